package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes this process the parent of what its children leave behind.
func adopt() {
	// Without it, what they leave behind is left.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// endLeft ends what the command left behind in this terminal session: a shell's
// background commands, which ignore an interrupt. What made itself a daemon,
// with a session of its own, is left alone.
func endLeft() {
	const gentle, all = time.Second, 2 * time.Second
	began := time.Now()
	told := map[int]bool{}
	for {
		list := left()
		for _, pid := range list {
			switch late := time.Since(began) > gentle; {
			case late:
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
			case !told[pid]:
				told[pid] = true
				_ = syscall.Kill(pid, syscall.SIGTERM)
			}
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		if len(list) == 0 || time.Since(began) > all {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// left returns the children of this process in its session.
func left() []int {
	var list []int
	session, err := unix.Getsid(0)
	if err != nil {
		return nil
	}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may hold anything.
		var state rune
		var parent, group, sid int
		if _, err := fmt.Sscanf(string(b[bytes.LastIndexByte(b, ')')+1:]), " %c %d %d %d", &state, &parent, &group, &sid); err != nil {
			continue
		}
		if parent == os.Getpid() && sid == session {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				list = append(list, pid)
			}
		}
	}
	return list
}
