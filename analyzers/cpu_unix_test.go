//go:build unix

package analyzers_test

import "syscall"

// cpuTime returns what the process has used, in nanoseconds: unlike a clock it
// says little of what else the machine does.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
