package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
)

// errInterrupted is why a capture was not read on.
var errInterrupted = errors.New("interrupted")

// interrupts end the reading of captures on SIGINT or SIGTERM: what was read
// by then is reported. The second of them ends the process.
type interrupts struct {
	ctx  context.Context // done when one has come
	stop func()          // heeds no more; who waits for a pipe gives up
	come atomic.Bool
}

// heed begins to heed signals, until the function returned is called. Signals
// that this process was started to ignore, as a shell's background jobs are,
// stay ignored.
func (a *app) heed() (stop func()) {
	var heeded []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if !signal.Ignored(s) {
			heeded = append(heeded, s)
		}
	}
	if len(heeded) == 0 {
		ctx, cancel := context.WithCancel(context.Background())
		a.signals = &interrupts{ctx: ctx, stop: cancel}
		return cancel
	}
	ctx, stop := signal.NotifyContext(context.Background(), heeded...)
	a.signals = &interrupts{ctx: ctx, stop: stop}
	came := a.signals
	context.AfterFunc(ctx, func() {
		came.come.Store(true)
		stop()
	})
	return stop
}

// interrupted reports whether a signal said to end.
func (a *app) interrupted() bool { return a.signals != nil && a.signals.come.Load() }

// notRead says which captures were left out, those from number i on, nil if
// none were.
func (a *app) notRead(i, n int) error {
	if !a.interrupted() || i >= n {
		return nil
	}
	return fmt.Errorf("%w: %d of %d captures not read", errInterrupted, n-i, n)
}

// open opens a capture that can be interrupted.
func (a *app) open(file string) (capture.Source, error) {
	opts, piped := a.options([]string{file})
	src, err := pcapfile.Open(file, opts)
	if err != nil {
		return nil, err
	}
	return a.breakable(src, piped), nil
}

// join opens captures as one that can be interrupted.
func (a *app) join(files []string) capture.Source {
	opts, piped := a.options(files)
	return a.breakable(pcapfile.Join(files, opts), piped)
}

func (a *app) options(files []string) (opts pcapfile.Options, piped bool) {
	opts.Stdin = a.In
	for _, file := range files {
		in, ok := a.In.(*os.File)
		if file != "-" || !ok || a.signals == nil {
			continue
		}
		if st, err := in.Stat(); err == nil && !st.Mode().IsRegular() {
			opts.Stdin, piped = newPump(a.signals.ctx, in), true
		}
	}
	return opts, piped
}

func (a *app) breakable(src capture.Source, piped bool) capture.Source {
	b := &breakable{Source: src, come: new(atomic.Bool)}
	if a.signals != nil && !piped { // the pump knows when to end
		b.come = &a.signals.come
	}
	return b
}

// breakable is a source that ends when a signal has come.
type breakable struct {
	capture.Source
	come    *atomic.Bool
	packets uint64
	ahead   capture.Ahead // Source, if it is that
}

// Pieces implements [capture.Ahead].
func (b *breakable) Pieces() bool {
	ahead, ok := b.Source.(capture.Ahead)
	if ok && ahead.Pieces() {
		b.ahead = ahead
	}
	return b.ahead != nil
}

// ReadAhead implements [capture.Ahead].
func (b *breakable) ReadAhead(n uint64) { b.ahead.ReadAhead(n) }

// Piece implements [capture.Ahead].
func (b *breakable) Piece() uint64 { return b.ahead.Piece() }

func (b *breakable) Next(p *capture.Packet) error {
	if b.come.Load() {
		return b.broken()
	}
	err := b.Source.Next(p)
	switch {
	case err == nil:
		b.packets++
	case errors.Is(err, errInterrupted):
		return b.broken()
	}
	return err
}

// broken is no [capture.ReadError]: nothing is wrong with the capture.
func (b *breakable) broken() error {
	return fmt.Errorf("%s: %w after %d packets", b.Info().Name, errInterrupted, b.packets)
}

// pump reads a pipe in a goroutine, so that waiting for more can end. When a
// signal has come it gives who writes there the time to end as well, as Ctrl-C
// ends all of tcpdump -w - | connlint check -.
type pump struct {
	chunks chan chunk
	free   chan []byte
	ctx    context.Context
	late   <-chan time.Time

	at   []byte // what is at hand
	rest []byte // of it
	err  error
}

type chunk struct {
	b   []byte
	n   int
	err error
}

// patienceWithWriters is how long they may take to end.
const patienceWithWriters = time.Second

func newPump(ctx context.Context, r io.Reader) *pump {
	p := &pump{chunks: make(chan chunk), free: make(chan []byte, 2), ctx: ctx}
	for range 2 {
		p.free <- make([]byte, 256<<10)
	}
	go func() {
		for b := range p.free {
			n, err := r.Read(b)
			p.chunks <- chunk{b, n, err}
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *pump) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		if p.at != nil {
			p.free <- p.at
			p.at = nil
		}
		if p.late == nil {
			select {
			case c := <-p.chunks:
				p.take(c)
			case <-p.ctx.Done():
				p.late = time.After(patienceWithWriters)
			}
			continue
		}
		select {
		case <-p.late:
			p.err = errInterrupted
			continue
		default:
		}
		select {
		case c := <-p.chunks:
			p.take(c)
		case <-p.late:
			p.err = errInterrupted
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pump) take(c chunk) { p.at, p.rest, p.err = c.b, c.b[:c.n], c.err }
