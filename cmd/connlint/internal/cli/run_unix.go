//go:build unix

package cli

import (
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

// endSignals are those that end a process and can be caught, but for those
// that whoever started it, as nohup, had it ignore.
func endSignals() []os.Signal {
	return slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}, signal.Ignored)
}

// ownGroup gives the command a process group, so that what it starts can be
// reached with it.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalGroup signals the command and all in its group.
func signalGroup(c *exec.Cmd, sig os.Signal) bool {
	s, ok := sig.(syscall.Signal)
	return ok && syscall.Kill(-c.Process.Pid, s) == nil
}
