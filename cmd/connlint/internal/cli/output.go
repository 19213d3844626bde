package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/cmd/connlint/internal/outfile"
)

// outlet is standard output. It keeps the first error of writing there.
type outlet struct {
	w   io.Writer
	err error
}

func (o *outlet) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// unwritten is why output other than to standard output could not be written.
type unwritten struct{ err error }

func (u *unwritten) Error() string { return u.err.Error() }
func (u *unwritten) Unwrap() error { return u.err }

// isUnwritten reports whether err, or one of those that it joins, is
// [unwritten].
func isUnwritten(err error) bool {
	_, ok := errors.AsType[*unwritten](err)
	return ok
}

// butClosedPipes returns err without those of the errors it joins that say that
// nobody reads on: who reads has seen enough.
func butClosedPipes(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, e := range joined.Unwrap() {
			rest = append(rest, butClosedPipes(e))
		}
		return errors.Join(rest...)
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// checkOutputs reports early, before hours of reading, what would keep files
// from being written, and whether one is among the captures to be read.
func checkOutputs(files, captures []string) error {
	for _, file := range files {
		if file == "-" {
			continue
		}
		if err := outfile.Check(file); err != nil {
			return fmt.Errorf("--output: cannot write %q: %w", file, sayWhy(err))
		}
		st, err := os.Stat(file)
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		read, _ := pcapfile.Expand(captures) // what is wrong there will be said when they are read
		for _, c := range read {
			if other, err := os.Stat(c); err == nil && os.SameFile(st, other) {
				return fmt.Errorf("--output: %q is a capture that is to be read; write elsewhere", file)
			}
		}
	}
	return nil
}

// put writes what --output names: a file, - for standard output.
func (a *app) put(file string, content []byte) error {
	if file == "-" {
		_, err := a.Out.Write(content)
		return err
	}
	if err := outfile.Write(file, content); err != nil {
		return &unwritten{fmt.Errorf("--output: cannot write %q: %w", file, sayWhy(err))}
	}
	return nil
}
