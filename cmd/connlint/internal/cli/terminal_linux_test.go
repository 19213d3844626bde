package cli

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a terminal for a command to run on, and its other end.
type terminal struct {
	other, tty *os.File
	shown      safe
}

func newTerminal(t *testing.T, rows, columns uint16) *terminal {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	if err := unix.IoctlSetPointerInt(int(other.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(other.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return &terminal{other: other, tty: tty}
}

// attach makes it the command's terminal, which sends it the signals of keys.
func (x *terminal) attach(c *exec.Cmd) {
	c.Stdin, c.Stdout, c.Stderr = x.tty, x.tty, x.tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	c.Env = append(c.Env, "TERM=xterm-256color")
}

// read takes in what is shown, until nobody has the terminal open.
func (x *terminal) read() {
	b := make([]byte, 1<<16)
	for {
		n, err := x.other.Read(b)
		if err != nil {
			return
		}
		_, _ = x.shown.Write(b[:n])
	}
}

// until waits until the terminal shows what it should, which may be a while
// after the command has ended.
func (x *terminal) until(t *testing.T, what string, ok func(shown string) bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(x.String()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for it in vain: %s\n%s", what, x)
		}
	}
}

func (x *terminal) String() string { return x.shown.String() }

// press types keys.
func (x *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := x.other.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}
