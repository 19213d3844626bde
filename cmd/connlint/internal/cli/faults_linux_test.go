package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
)

// writer is a command that writes: to standard output, or to a file where
// OUTPUT stands. CAPTURE is what it reads, if it reads one.
type writer struct {
	name   string
	args   []string
	status int // where nothing goes wrong
}

const (
	captureArg = "CAPTURE"
	outputArg  = "OUTPUT"
)

// toOutput are the commands that write to standard output, in each format.
func toOutput() (list []writer) {
	for _, f := range report.Formats() {
		list = append(list, writer{"check " + f, []string{"check", "--isolated", "--format", f, captureArg}, exitFindings},
			writer{"check --output " + f + ":-", []string{"check", "--isolated", "--format", "text", "--output", f + ":-", captureArg}, exitFindings})
	}
	return append(list,
		writer{"check --all", []string{"check", "--isolated", "--all", captureArg}, exitFindings},
		writer{"check --statistics", []string{"check", "--isolated", "--statistics", captureArg}, exitFindings},
		writer{"stats", []string{"stats", captureArg}, 0},
		writer{"stats json", []string{"stats", "--format", "json", captureArg}, 0},
		writer{"report", []string{"report", "--isolated", "-o", "-", captureArg}, 0},
		writer{"baseline", []string{"baseline", "--isolated", captureArg}, 0},
		writer{"show", []string{"show", captureArg, "0"}, 0},
		writer{"show json", []string{"show", "--format", "json", captureArg, "0"}, 0},
		writer{"why", []string{"why", captureArg + ":11"}, 0},
		writer{"connlint", nil, 0},
		writer{"rules", []string{"rules"}, 0},
		writer{"rules json", []string{"rules", "--format", "json"}, 0},
		writer{"explain", []string{"explain", "LAT001"}, 0},
		writer{"config", []string{"config", "--isolated"}, 0},
		writer{"config --schema", []string{"config", "--schema"}, 0},
		writer{"man", []string{"man", "check"}, 0},
		writer{"completion", []string{"completion", "bash"}, 0},
		writer{"version", []string{"version"}, 0},
		writer{"help", []string{"help"}, 0},
		writer{"help check", []string{"help", "check"}, 0},
		writer{"check --help", []string{"check", "--help"}, 0})
}

// toFiles are the commands that write a file.
func toFiles() (list []writer) {
	for _, f := range report.Formats() {
		list = append(list, writer{"check " + f, []string{"check", "--isolated", "--format", "concise", "--output", f + ":" + outputArg, captureArg}, exitFindings})
	}
	return append(list,
		writer{"check", []string{"check", "--isolated", "--output", outputArg, captureArg}, exitFindings},
		writer{"report", []string{"report", "--isolated", "-o", outputArg, captureArg}, 0},
		writer{"baseline", []string{"baseline", "--isolated", "-o", outputArg, captureArg}, 0})
}

// built builds the command, as users have it, and returns its path.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.Getenv(scratch), "connlint")
	if out, err := exec.Command("go", "build", "-o", path, repository+"/cmd/connlint").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
})

// process returns a run of the command in a process of its own.
func process(t *testing.T, w writer, file, output string) *exec.Cmd {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	for _, a := range w.args {
		cmd.Args = append(cmd.Args, strings.NewReplacer(captureArg, file, outputArg, output).Replace(a))
	}
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	return cmd
}

// end runs it and returns its exit status and what it says on standard error.
func end(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

// oneLine says that text is one line of ours, with these words in it.
func oneLine(t *testing.T, text string, words ...string) {
	t.Helper()
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "connlint: ") {
		t.Errorf("%q is not one line", text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

// sample is a capture with findings.
func sample(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(recorded, "lat001-java-httpserver-at-client.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// tree lists the files in a directory and below.
func tree(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir {
			list = append(list, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Standard output on a full disk: exit 3 and a line that says so.
func TestFullStandardOutput(t *testing.T) {
	for _, w := range toOutput() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Skip(err)
			}
			defer full.Close()
			cmd := process(t, w, sample(t), "")
			cmd.Stdout = full
			status, errs := end(t, cmd)
			if status != exitUnread {
				t.Errorf("exit status %d", status)
			}
			oneLine(t, errs, "/dev/stdout", "no space left on device")
		})
	}
}

// Nobody reads standard output: not a word, and the status is as if somebody did.
func TestClosedStandardOutput(t *testing.T) {
	for _, w := range toOutput() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			r, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			defer out.Close()
			cmd := process(t, w, sample(t), "")
			cmd.Stdout = out
			if status, errs := end(t, cmd); status != w.status || errs != "" {
				t.Errorf("exit status %d instead of %d, %q", status, w.status, errs)
			}
		})
	}
}

// A full disk: exit 3, a line with the file and the reason; what was there
// before is as it was, and nothing is left behind.
func TestFullFileSystem(t *testing.T) {
	needRoot(t)
	mount := t.TempDir()
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	before := map[string]string{"old": "what was there before", "filler": strings.Repeat("x", 52<<10)}
	for name, text := range before {
		if err := os.WriteFile(filepath.Join(mount, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkdir(filepath.Join(mount, "man"), 0o755); err != nil {
		t.Fatal(err)
	}
	// All but a few bytes are taken: small reports fit in a page of their own.
	for i := 0; ; i++ {
		name := fmt.Sprintf("page%d", i)
		if err := os.WriteFile(filepath.Join(mount, name), bytes.Repeat([]byte("y"), 4096), 0o644); err != nil {
			if err := os.Remove(filepath.Join(mount, name)); err != nil {
				t.Fatal(err)
			}
			break
		}
		before[name] = strings.Repeat("y", 4096)
	}
	check := func(t *testing.T, status int, errs string, words ...string) {
		t.Helper()
		if status != exitUnread {
			t.Errorf("exit status %d, %s", status, errs)
		}
		oneLine(t, errs, append(words, "no space left on device")...)
		if got := tree(t, mount); len(got) != len(before)+1 {
			t.Errorf("there are %q", got)
		}
		for name, text := range before {
			if b, err := os.ReadFile(filepath.Join(mount, name)); err != nil || string(b) != text {
				t.Errorf("%s: %v; it has %d bytes, %.20q", name, err, len(b), b)
			}
		}
	}
	for _, w := range toFiles() {
		for _, name := range []string{"old", "new"} {
			t.Run(w.name+" "+name, func(t *testing.T) {
				status, errs := end(t, process(t, w, sample(t), filepath.Join(mount, name)))
				check(t, status, errs, filepath.Join(mount, name))
			})
		}
	}
	t.Run("config --init", func(t *testing.T) {
		cmd := process(t, writer{args: []string{"config", "--init"}}, "", "")
		cmd.Dir = mount
		status, errs := end(t, cmd)
		check(t, status, errs, ".connlint.yml")
	})
	t.Run("man", func(t *testing.T) {
		cmd := process(t, writer{args: []string{"man", "--output", outputArg}}, "", filepath.Join(mount, "man"))
		status, errs := end(t, cmd)
		line, _, _ := strings.Cut(errs, "\n")
		check(t, status, line+"\n", filepath.Join(mount, "man"))
	})
	t.Run("some outputs can be written", func(t *testing.T) {
		dir := t.TempDir()
		good, bad := filepath.Join(dir, "good.json"), filepath.Join(mount, "bad.json")
		var out bytes.Buffer
		cmd := process(t, writer{args: []string{"check", "--isolated", "--output", "json:" + bad, "--output", "json:" + good, captureArg}}, sample(t), "")
		cmd.Stdout = &out
		status, errs := end(t, cmd)
		check(t, status, errs, bad)
		if b, err := os.ReadFile(good); err != nil || !json.Valid(b) || !strings.Contains(out.String(), "LAT001") {
			t.Errorf("%v; the other outputs: %.100q, %.100q", err, b, out.String())
		}
	})
	t.Run("live --write", func(t *testing.T) {
		n := newNetwork(t)
		c := n.start("live", "-i", "a", "--isolated", "--write", filepath.Join(mount, "kept.pcapng"), "--fail-on", "never")
		s := n.sender("b")
		frame := append(bytes.Repeat([]byte{2}, 12), append([]byte{8, 0}, make([]byte, 1000)...)...)
		for i := 0; len(c.status) == 0 && i < 10_000; i++ {
			if err := s.send(frame); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if status := c.wait(); status != exitUnread || !strings.Contains(c.errs.String(), "kept.pcapng") || !strings.Contains(c.errs.String(), "no space left on device") {
			t.Errorf("exit status %d, %s", status, c.errs.String())
		}
		if err := os.Remove(filepath.Join(mount, "kept.pcapng")); err != nil { // what was captured is kept, as far as it went
			t.Error(err)
		}
	})
}

// Killed at any moment, a command leaves at the output's name what was there
// before, or all of the new.
func TestKilled(t *testing.T) {
	for i, w := range toFiles() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(uint64(i), 9))
			dir := t.TempDir()
			file := filepath.Join(dir, "out")
			began := time.Now()
			if status, errs := end(t, process(t, w, sample(t), file)); status != w.status {
				t.Fatalf("exit status %d, %s", status, errs)
			}
			took := time.Since(began)
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for range 12 {
				const old = "what was there before"
				if err := os.WriteFile(file, []byte(old), 0o644); err != nil {
					t.Fatal(err)
				}
				cmd := process(t, w, sample(t), file)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				// Most of the time it is in its last part.
				time.Sleep(took/2 + time.Duration(rng.Int64N(int64(took))))
				_ = cmd.Process.Kill() // it may have ended
				_ = cmd.Wait()
				if b, err := os.ReadFile(file); err != nil || string(b) != old && len(b) != len(whole) {
					t.Fatalf("%v; %d bytes, not %d", err, len(b), len(whole))
				}
			}
		})
	}
}

// reading are the commands that read a capture, as toOutput has them.
func reading() (list []writer) {
	for _, w := range toOutput() {
		if slices.ContainsFunc(w.args, func(a string) bool { return strings.Contains(a, captureArg) }) {
			list = append(list, w)
		}
	}
	return list
}

// A capture that ends early, anywhere, or that fails to be read: exit 3, a line
// with the file, the reason and the place; what is written is whole.
func TestCutAndUnreadable(t *testing.T) {
	whole, err := os.ReadFile(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 9))
	for _, w := range reading() {
		t.Run(w.name, func(t *testing.T) {
			for _, n := range []int{0, 3, 4, 23, 24, 30, 40, 41, len(whole) - 1, rng.IntN(len(whole)), rng.IntN(len(whole))} {
				file := filepath.Join(t.TempDir(), "cut.pcap")
				if err := os.WriteFile(file, whole[:n], 0o644); err != nil {
					t.Fatal(err)
				}
				if readAll(file) == nil {
					continue // cut between two records
				}
				check := func(s Streams, out, errs *bytes.Buffer, name string, words ...string) {
					t.Helper()
					args := slices.Clone(w.args)
					for i := range args {
						args[i] = strings.Replace(args[i], captureArg, name, 1)
					}
					if args[0] == "why" && name == "-" {
						return
					}
					if status := Main(args, s); status != exitUnread {
						t.Errorf("cut at %d: exit status %d, %s", n, status, errs)
					}
					line, rest, _ := strings.Cut(errs.String(), "\n")
					oneLine(t, line+"\n", append(words, name+": ")...)
					if rest != "" && args[0] != "show" { // which says, too, what it did not find
						t.Errorf("more than a line: %q", errs)
					}
					if strings.Contains(w.name, "json") && !strings.Contains(w.name, "show") && !strings.Contains(w.name, "jsonl") && !strings.Contains(w.name, "--output") && !json.Valid(out.Bytes()) {
						t.Errorf("no JSON: %.100q", out)
					}
				}
				s, out, errs := streams(nil)
				check(s, out, errs, file)
				s, out, errs = streams(nil)
				s.In = io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(syscall.EIO))
				check(s, out, errs, "-", "cannot read: input/output error")
			}
		})
	}
}

// The same of the system itself: the memory of a process, from its first page
// on, cannot be read.
func TestInputOutputError(t *testing.T) {
	for _, w := range reading() {
		status, errs := end(t, process(t, w, "/proc/self/mem", ""))
		if status != exitUnread {
			t.Errorf("%s: exit status %d", w.name, status)
		}
		oneLine(t, errs, "/proc/self/mem: cannot read: input/output error")
	}
}

// A file that shrinks while it is read ends where it ends now; one that grows
// is read as far as it went.
func TestFileChangesWhileRead(t *testing.T) {
	var big bytes.Buffer
	whole, err := os.ReadFile(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	big.Write(whole)
	for big.Len() < 8<<20 { // several blocks
		big.Write(whole[24:])
	}
	for _, c := range []struct {
		name string
		size int64
		grow int
		err  string
	}{
		{"cut short", 3<<20 + 7, 0, "the file ends inside a record"},
		{"cut to nothing", 0, 0, "the file ends inside a record"},
		{"grown", 0, 100, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.pcap")
			if err := os.WriteFile(file, big.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			src, err := pcapfile.Open(file, pcapfile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			n := 0
			next := func() error { n++; return src.Next(new(capture.Packet)) }
			if err := next(); err != nil {
				t.Fatal(err)
			}
			if c.grow > 0 {
				f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				for range c.grow {
					if _, err := f.Write(whole[24:]); err != nil {
						t.Fatal(err)
					}
				}
				f.Close()
			} else if err := os.Truncate(file, c.size); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				err = next()
			}
			if c.err == "" && err != io.EOF || c.err != "" && !strings.Contains(err.Error(), c.err) {
				t.Errorf("after %d packets: %v", n, err)
			}
		})
	}
}

// told is a command whose standard input is a pipe.
type told struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   *os.File
	errs safe
	out  safe
}

func tell(t *testing.T, w writer, output string, send []byte) *told {
	t.Helper()
	r, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &told{t: t, cmd: process(t, w, "-", output), in: in}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = r, &c.out, &c.errs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { in.Close(); _ = c.cmd.Process.Kill() })
	if _, err := in.Write(send); err != nil {
		t.Fatal(err)
	}
	// Once all is taken out of the pipe, it heeds signals.
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, err := unix.IoctlGetInt(int(in.Fd()), unix.TIOCINQ); err == nil && n == 0 {
			break
		}
	}
	time.Sleep(10 * time.Millisecond)
	return c
}

func (c *told) wait() syscall.WaitStatus {
	c.t.Helper()
	guard := time.AfterFunc(time.Minute, func() { _ = c.cmd.Process.Kill() })
	defer guard.Stop()
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// Interrupted, commands report what they have read, and exit 3; if the capture
// comes to its end nevertheless, they end as ever. The second signal is deadly.
func TestInterrupted(t *testing.T) {
	whole, err := os.ReadFile(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}
	for i, w := range reading() {
		if w.args[0] == "why" {
			continue // it reads twice, and so no pipe
		}
		sig := signals[i%2]
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			c := tell(t, w, "", whole)
			if err := c.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if s := c.wait(); s.ExitStatus() != exitUnread {
				t.Errorf("status %v, %s", s, c.errs.String())
			}
			oneLine(t, c.errs.String(), "-: interrupted after 57 packets")
			if w.status == exitFindings && !strings.Contains(c.out.String(), "LAT001") || c.out.String() == "" {
				t.Errorf("the findings so far are not reported: %s", c.out.String())
			}
		})
		t.Run(w.name+", who writes ends as well", func(t *testing.T) {
			t.Parallel()
			c := tell(t, w, "", whole[:len(whole)/2])
			if err := c.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if _, err := c.in.Write(whole[len(whole)/2:]); err != nil {
				t.Fatal(err)
			}
			c.in.Close()
			if s := c.wait(); s.ExitStatus() != w.status || c.errs.String() != "" {
				t.Errorf("status %v, %s", s, c.errs.String())
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		c := tell(t, writer{args: []string{"check", "--isolated", captureArg}}, "", whole)
		for range 2 {
			if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if s := c.wait(); !s.Signaled() || s.Signal() != syscall.SIGTERM {
			t.Errorf("status %v, %s", s, c.errs.String())
		}
	})
	t.Run("files", func(t *testing.T) {
		for _, w := range toFiles() {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				file := filepath.Join(t.TempDir(), "out")
				c := tell(t, w, file, whole)
				if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				if s := c.wait(); s.ExitStatus() != exitUnread {
					t.Errorf("status %v, %s", s, c.errs.String())
				}
				b, err := os.ReadFile(file)
				if w.args[0] == "baseline" { // half a baseline is worse than none
					if err == nil {
						t.Errorf("a baseline is written: %s", b)
					}
				} else if err != nil || len(b) == 0 {
					t.Errorf("%v, %q", err, b)
				}
			})
		}
	})
}

// A process that was started to ignore a signal, as a shell's background jobs
// are, goes on ignoring it.
func TestIgnoredSignal(t *testing.T) {
	whole, err := os.ReadFile(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	w := writer{args: []string{"check", "--isolated", captureArg}}
	c := process(t, w, "-", "")
	sh := exec.Command("sh", append([]string{"-c", `trap "" INT; exec "$@"`, "sh", c.Path}, c.Args[1:]...)...)
	r, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	sh.Stdin = r
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	for _, part := range [][]byte{whole[:100], whole[100:]} {
		if _, err := in.Write(part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		if err := sh.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	in.Close()
	_ = sh.Wait()
	if status := sh.ProcessState.ExitCode(); status != exitFindings {
		t.Errorf("exit status %d", status)
	}
}

// With little memory, findings are the same.
func TestLittleMemory(t *testing.T) {
	want, _ := process(t, writer{args: []string{"check", "--isolated", "--format", "json", captureArg}}, sample(t), "").Output()
	for _, limit := range []string{"GOMEMLIMIT=8MiB", "GOGC=5", "ulimit"} {
		cmd := process(t, writer{args: []string{"check", "--isolated", "--format", "json", captureArg}}, sample(t), "")
		if limit == "ulimit" {
			cmd.Args = append([]string{"sh", "-c", `ulimit -v 2000000 && exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
			cmd.Path = "/bin/sh"
		} else {
			cmd.Env = append(cmd.Env, limit)
		}
		got, err := cmd.Output()
		if !bytes.Equal(got, want) || len(got) == 0 {
			t.Errorf("%s: %v; %.300q", limit, err, got)
		}
	}
}

// What a capture holds is never a path: commands leave nothing behind but what
// they are told to write.
func TestNoPathOfPackets(t *testing.T) {
	dir := t.TempDir()
	name := "../../../../../../../../tmp/connlint-was-here"
	line := func(at, what, text string) string { return at + " a " + what + " " + strconv.Quote(text) + "\n" }
	text := "conn a 10.0.0.5:40001 > 10.0.0.9:80\n+0 a handshake\n" +
		line("+0.01", "> P", "POST "+name+" HTTP/1.1\r\nHost: "+name+"\r\nX: file://"+name+"\r\nContent-Length: 5\r\n\r\n") +
		"+0.04 a < A\n" + line("+0", "> P", "hello") +
		line("+0.01", "< P", "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\""+name+"\"\r\nLocation: "+name+"\r\n\r\nbody") +
		"+0.001 a < F.\n"
	file := writeCapture(t, dir, "x.pcap", text)
	run := t.TempDir()
	for _, w := range append(toOutput(), toFiles()...) {
		cmd := process(t, w, file, "out")
		if w.args != nil && w.args[0] == "why" {
			cmd = process(t, writer{args: []string{"why", captureArg + ":4"}}, file, "out")
		}
		cmd.Dir = run
		cmd.Env = append(cmd.Env, "HOME="+run, "TMPDIR="+run, "XDG_CACHE_HOME="+run, "XDG_CONFIG_HOME="+run)
		if status, errs := end(t, cmd); status > exitFindings {
			t.Errorf("%s: exit status %d, %s", w.name, status, errs)
		}
	}
	if got := tree(t, run); !slices.Equal(got, []string{"out"}) {
		t.Errorf("there are %q", got)
	}
	if _, err := os.Lstat("/tmp/connlint-was-here"); err == nil {
		t.Error("a packet's path was written to")
	}
}

// An output that is to be read is left alone, whatever it is called.
func TestOutputIsInput(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "x.pcap")
	if err := os.WriteFile(file, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("x.pcap", filepath.Join(dir, "symbolic")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file, filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	for _, w := range toFiles() {
		for _, in := range []string{file, dir} {
			for _, out := range []string{file, filepath.Join(dir, "symbolic"), filepath.Join(dir, "hard")} {
				args := slices.Clone(w.args)
				for i := range args {
					args[i] = strings.NewReplacer(captureArg, in, outputArg, out).Replace(args[i])
				}
				s, _, errs := streams(nil)
				if status := Main(args, s); status != exitUsage {
					t.Errorf("%s, %s to %s: exit status %d", w.name, in, out, status)
				}
				oneLine(t, errs.String(), out)
				if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, whole) {
					t.Fatalf("%s: the capture is gone: %v", w.name, err)
				}
			}
		}
	}
}

// A watch ends when nobody takes what it writes, or when it is told to.
func TestWatchEnds(t *testing.T) {
	whole, err := os.ReadFile(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	r, closed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { closed.Close() })
	for _, c := range []struct {
		name   string
		out    func() (*os.File, error)
		status int
		says   string
	}{
		{"full", func() (*os.File, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }, exitUnread, "no space left on device"},
		{"closed", func() (*os.File, error) { return closed, nil }, exitFindings, ""},
		{"told to", func() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_WRONLY, 0) }, exitFindings, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "x.pcap"), whole, 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := c.out()
			if err != nil {
				t.Skip(err)
			}
			defer out.Close()
			cmd := process(t, writer{args: []string{"check", "--isolated", "--watch", dir}}, "", "")
			cmd.Stdout = out
			var seen safe
			if c.name == "told to" {
				cmd.Stdout = &seen
			}
			var errs safe
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			guard := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer guard.Stop()
			if c.name == "told to" {
				for end := time.Now().Add(time.Minute); !strings.Contains(seen.String(), "LAT001") && time.Now().Before(end); {
					time.Sleep(10 * time.Millisecond)
				}
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != c.status || !strings.Contains(errs.String(), c.says) || c.says == "" && errs.String() != "" {
				t.Errorf("exit status %d, %q", status, errs.String())
			}
		})
	}
}
