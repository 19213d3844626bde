//go:build unix

package cli

import (
	"os"
	"os/exec"
	"syscall"
)

// endSignals are those that end a process and can be caught.
func endSignals() []os.Signal {
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
}

// ownGroup gives the command a process group, so that what it starts can be
// reached with it.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalGroup signals the command and all in its group.
func signalGroup(c *exec.Cmd, sig os.Signal) bool {
	s, ok := sig.(syscall.Signal)
	return ok && syscall.Kill(-c.Process.Pid, s) == nil
}
