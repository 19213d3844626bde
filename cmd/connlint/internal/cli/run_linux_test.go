package cli

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRunInterrupt presses Ctrl-C on a terminal while a command runs that has
// started others, which ignore it: what is known so far is reported, and nobody
// is left.
func TestRunInterrupt(t *testing.T) {
	n := newNetwork(t)
	tty := newTerminal(t, 50, 120)
	p := n.spawn(tty.attach, "run", "--isolated", "--", "sh", "-c",
		"sleep 1000 & echo one $!; (trap '' INT TERM; sleep 1000 & echo two $!; wait; wait) & wait")
	go tty.read()
	p.until("the command's children", func() bool { return strings.Contains(tty.String(), "two ") })
	n.talk(3)
	tty.press(t, "\x03")
	if status := p.wait(); status != exitSignalOffset+int(syscall.SIGINT) {
		t.Errorf("status %d", status)
	}
	tty.until(t, "the report", func(shown string) bool {
		return strings.Contains(shown, "KA005") && strings.Contains(shown, "3 requests")
	})
	for l := range strings.Lines(tty.String()) {
		f := strings.Fields(l)
		if len(f) != 2 || f[0] != "one" && f[0] != "two" {
			continue
		}
		pid, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %s of the command is still there: %v", f[0], err)
		}
	}
}

// TestRunSignal ends run as a CI system does, without a terminal.
func TestRunSignal(t *testing.T) {
	n := newNetwork(t)
	p := n.spawn(nil, "run", "--isolated", "--", "sh", "-c", "sleep 1000 & echo one $!; wait")
	p.until("the command", func() bool { return strings.Contains(p.out.String(), "one ") })
	n.talk(3)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(); status != exitSignalOffset+int(syscall.SIGTERM) {
		t.Errorf("status %d", status)
	}
	if !strings.Contains(p.errs.String(), "KA005") {
		t.Errorf("no report: %s", p.errs.String())
	}
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(p.out.String(), "one ")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the command's child is still there: %v", err)
	}
}

// TestRunStatus runs commands around which there is traffic with faults.
func TestRunStatus(t *testing.T) {
	n := newNetwork(t)
	for _, c := range []struct {
		args   []string
		script string
		status int
	}{
		{nil, "cat", exitFindings},
		{nil, "cat; exit 7", 7},
		{nil, "cat; kill -KILL $$", exitSignalOffset + int(syscall.SIGKILL)},
		{[]string{"--exit-zero"}, "cat", 0},
		{[]string{"--fail-on", "error"}, "cat", 0},
		{[]string{"--ignore", "KA,REU,TW"}, "cat", 0},
	} {
		in, end, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p := n.spawn(func(cmd *exec.Cmd) { cmd.Stdin = in }, append(append([]string{"run", "--isolated"}, c.args...), "--", "sh", "-c", "echo ready; "+c.script)...)
		p.until("the command", func() bool { return strings.Contains(p.out.String(), "ready") })
		n.talk(3)
		end.Close()
		in.Close()
		if status := p.wait(); status != c.status {
			t.Errorf("%v %q: status %d, not %d: %s", c.args, c.script, status, c.status, p.errs.String())
		}
		if p.out.String() != "ready\n" {
			t.Errorf("standard output is the command's: %q", p.out.String())
		}
		if !strings.Contains(p.errs.String(), "3 requests") {
			t.Errorf("%q: no report: %s", c.script, p.errs.String())
		}
	}
}

// TestRunStreams passes bytes through: the streams are the command's own.
func TestRunStreams(t *testing.T) {
	n := newNetwork(t)
	bytesIn := make([]byte, 3<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(bytesIn) // which always works
	for _, in := range [][]byte{bytesIn, nil} {
		var out bytes.Buffer
		p := n.spawn(func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout = bytes.NewReader(in), &out }, "run", "--isolated", "--", "sh", "-c", "cat; echo told >&2")
		if status := p.wait(); status != 0 {
			t.Errorf("status %d: %s", status, p.errs.String())
		}
		if !bytes.Equal(out.Bytes(), in) {
			t.Errorf("%d bytes in, %d out, or others", len(in), out.Len())
		}
		if !strings.HasPrefix(p.errs.String(), "told\n") {
			t.Errorf("on standard error: %s", p.errs.String())
		}
	}
}

// TestRunGrace waits for connections that the command leaves open, if it is
// told to.
func TestRunGrace(t *testing.T) {
	n := newNetwork(t)
	for _, grace := range []string{"0s", "20s"} {
		p := n.spawn(nil, "run", "--isolated", "--grace", grace, "--", "sh", "-c", "echo ready; sleep 0.5")
		p.until("the command", func() bool { return strings.Contains(p.out.String(), "ready") })
		end := n.hold()
		if grace == "0s" {
			p.wait() // for the command alone: the connection stays
		} else {
			time.Sleep(1500 * time.Millisecond)
			if p.ended() {
				t.Error("it did not wait for the connection")
			}
		}
		end()
		if status := p.wait(); status > exitFindings {
			t.Errorf("status %d: %s", status, p.errs.String())
		}
	}
}
