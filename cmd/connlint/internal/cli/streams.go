package cli

import (
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/term"
)

// Streams is what a run of the command has of the world around it.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Env looks up a variable of the environment; an unset one is empty.
	Env func(string) string
	// InTTY, OutTTY and ErrTTY say which streams are terminals.
	InTTY, OutTTY, ErrTTY bool
	Width                 int // of the terminal in columns, 0 if unknown
}

// System returns the streams of this process.
func System() Streams {
	// A pipe that nobody reads any more is an error of writing, not a death in
	// the middle of other output. Unlike ignoring the signal this is not
	// inherited by commands that are run.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	s := Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv}
	s.InTTY = isTerminal(os.Stdin)
	s.OutTTY = isTerminal(os.Stdout)
	s.ErrTTY = isTerminal(os.Stderr)
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.Width = w
			break
		}
	}
	return s
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// width returns in how many columns output to standard output is to fit, 0
// where that is left open: what the user asks for by COLUMNS, or else those of
// the terminal.
func (s *Streams) width() int {
	if n, err := strconv.Atoi(s.Env("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if s.OutTTY {
		return s.Width
	}
	return 0
}

// color says whether output to standard output has colours. What the user
// asks for on the command line wins over the environment, that over what the
// output is.
func (s *Streams) color(when string) bool {
	switch when {
	case "always":
		return true
	case "never":
		return false
	}
	switch force := s.Env("CLICOLOR_FORCE"); {
	case s.Env("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	}
	return s.OutTTY && s.Env("TERM") != "dumb"
}
