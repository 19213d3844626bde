package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nobody is a user without rights.
func nobody(t *testing.T) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}

// openDir is a directory that everybody may use.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLiveDropsRoot looks at the rights of a process that root started, on all
// its threads, while it captures: they are those of the user named, or of who
// called sudo.
func TestLiveDropsRoot(t *testing.T) {
	n := newNetwork(t)
	uid, gid := nobody(t)
	for _, c := range []struct {
		args []string
		env  []string
	}{
		{[]string{"--user", "nobody"}, nil},
		{nil, []string{fmt.Sprint("SUDO_UID=", uid), fmt.Sprint("SUDO_GID=", gid)}},
	} {
		kept := filepath.Join(openDir(t), "kept.pcapng")
		p := n.spawn(func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, c.env...) },
			append([]string{"live", "-i", "lo", "--isolated", "--write", kept, "--format", "jsonl", "--fail-on", "never"}, c.args...)...)
		p.captures()
		n.talk(3)
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
		if len(threads) == 0 {
			t.Fatal("the process is gone")
		}
		for _, file := range threads {
			b, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended
			}
			for l := range strings.Lines(string(b)) {
				name, value, _ := strings.Cut(l, ":")
				value = strings.Join(strings.Fields(value), " ")
				want := map[string]string{
					"Uid": strings.TrimSpace(strings.Repeat(fmt.Sprint(uid, " "), 4)), "Gid": strings.TrimSpace(strings.Repeat(fmt.Sprint(gid, " "), 4)),
					"Groups": fmt.Sprint(gid), "CapEff": "0000000000000000", "CapPrm": "0000000000000000",
				}
				if w, ok := want[name]; ok && value != w {
					t.Errorf("%v: %s is %q, not %q", c, name, value, w)
				}
			}
		}
		p.end(unix.SIGTERM)
		if found := asCheck(t, p.out.String(), kept); found < 3 {
			t.Errorf("%d findings", found)
		}
		info, err := os.Stat(kept)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != uid || int(st.Gid) != gid || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %d's and %d's, mode %v", kept, st.Uid, st.Gid, info.Mode())
		}
	}
}

// TestLiveUserMistakes names users that cannot be.
func TestLiveUserMistakes(t *testing.T) {
	n := newNetwork(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--user", "no-such-user"}, "no user no-such-user"},
		{[]string{"--user", "nobody", "--write", filepath.Join(closedDir(t), "kept.pcapng")}, "permission denied"},
	} {
		p := n.spawn(nil, append([]string{"live", "-i", "lo", "--isolated", "--duration", "5s"}, c.args...)...)
		if status := p.wait(); status != exitUsage || !strings.Contains(p.errs.String(), c.want) || strings.Count(p.errs.String(), "\n") != 1 {
			t.Errorf("%v: status %d: %s", c.args, status, p.errs.String())
		}
	}
}

// closedDir is a directory for root alone.
func closedDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestLiveCapability runs a copy of the program as a user without rights. It
// says what gives it the right, and with that, and no more, it captures.
func TestLiveCapability(t *testing.T) {
	n := newNetwork(t)
	uid, gid := nobody(t)
	if _, err := exec.LookPath("setcap"); err != nil {
		if os.Getenv("CONNLINT_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := openDir(t)
	program := filepath.Join(dir, "connlint")
	if err := copyFile(program, "/proc/self/exe"); err != nil {
		t.Fatal(err)
	}
	as := func(cmd *exec.Cmd) {
		cmd.Path = program
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		cmd.Dir = dir
	}
	kept := filepath.Join(dir, "kept.pcapng")
	args := []string{"live", "-i", "lo", "--isolated", "--write", kept, "--format", "jsonl", "--fail-on", "never"}

	p := n.spawn(as, args...)
	remedy := "setcap cap_net_raw+ep " + program
	if status := p.wait(); status != exitUsage || !strings.HasSuffix(p.errs.String(), "sudo "+remedy+"\n") || strings.Count(p.errs.String(), "\n") != 1 {
		t.Fatalf("status %d: %s", status, p.errs.String())
	}
	argv := strings.Fields(remedy)
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", remedy, err, out)
	}
	p = n.spawn(as, args...)
	p.captures()
	n.talk(3)
	time.Sleep(200 * time.Millisecond)
	p.end(unix.SIGTERM)
	if found := asCheck(t, p.out.String(), kept); found < 3 {
		t.Errorf("%d findings", found)
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// TestLiveInterfaceEnds takes the interface away while connections are open:
// what is known of them is reported, and one line says what happened.
func TestLiveInterfaceEnds(t *testing.T) {
	for _, c := range []struct {
		how, want string
	}{
		{"link set dev a down", "a: the interface went down"},
		{"link delete dev a", "a: the interface is gone"},
	} {
		n := newNetwork(t)
		kept := filepath.Join(t.TempDir(), "kept.pcapng")
		p := n.spawn(nil, "live", "-i", "a", "--isolated", "--format", "jsonl", "--write", kept, "--window", "10m")
		p.captures()
		list, ok := read(t, repository+"/testdata/recorded/reu001-node-agent-off-at-client.pcap")
		if !ok {
			t.Fatal("no recording to send")
		}
		b := n.sender("b")
		for _, r := range list {
			if err := b.send(r.frame); err != nil {
				t.Fatal(err)
			}
		}
		n.inside(func() error {
			out, err := exec.Command("ip", strings.Fields(c.how)...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
		if status := p.wait(); status != exitUnread {
			t.Errorf("%s: status %d", c.how, status)
		}
		said := strings.Split(strings.TrimSpace(p.errs.String()), "\n")
		if len(said) != 2 || !strings.Contains(said[1], c.want) {
			t.Errorf("%s: it says %q, not once %q", c.how, said, c.want)
		}
		if !strings.Contains(p.out.String(), "REU001") {
			t.Errorf("%s: found %s", c.how, p.out.String())
		}
		if again, _ := read(t, kept); len(again) != len(list) {
			t.Errorf("%s: %d packets sent, %d kept", c.how, len(list), len(again))
		}
	}
}
