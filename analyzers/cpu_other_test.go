//go:build !unix

package analyzers_test

// cpuTime returns 0: only Unix systems are measured.
func cpuTime() int64 { return 0 }
