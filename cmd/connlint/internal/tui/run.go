// Package tui shows a run on a terminal while it goes on: findings, servers,
// connections, one connection, one rule.
//
// The screen is a [Model] that [Update] changes, message by message, and
// [Draw] draws. [Run] polls snapshots and passes on keys; nothing of it
// touches the packets' way.
package tui

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path/filepath"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/cmd/connlint/internal/outfile"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules/runner"
)

// Feed is what is shown.
type Feed struct {
	Title   string // of the capture
	Version string // of connlint, for what is saved
	Live    bool
	Color   bool
	// Tap is what the run reads, and Monitor its Options.Monitor.
	Tap     *Tap
	Monitor *runner.Monitor
	// Options are the run's, for ladders.
	Options runner.Options
	// Packets opens what is kept of the packets; nil for Tap.Recent.
	Packets func() (capture.Source, error)
}

const (
	pollEvery = 200 * time.Millisecond
	drawEvery = 100 * time.Millisecond
	// share bounds what looking on costs the run: a snapshot may take one part
	// in so many of the time.
	share = 20
)

// Run shows the feed on the screen until the user quits or ctx ends, and gives
// the screen back. It does not stop the feed's run.
func Run(ctx context.Context, screen tcell.Screen, f Feed) error {
	if err := screen.Init(); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	defer screen.Fini()
	screen.EnableMouse(tcell.MouseButtonEvents)
	screen.SetStyle(tcell.StyleDefault)
	if f.Packets == nil {
		f.Packets = f.Tap.Recent
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	msgs := make(chan Msg)
	send := func(m Msg) {
		select {
		case msgs <- m:
		case <-ctx.Done():
		}
	}
	events, quit := make(chan tcell.Event, 16), make(chan struct{})
	defer close(quit)
	wg.Go(func() { screen.ChannelEvents(events, quit) })
	now := make(chan struct{}, 1)
	wg.Go(func() { f.poll(ctx, send, now) })

	m := NewModel(f.Title, f.Live, f.Color)
	w, h := screen.Size()
	m, _ = Update(m, ResizeMsg{w, h})
	Draw(screen, &m)
	screen.Show()
	drawn, dirty := time.Now(), false
	var mouse pointer
	var timer <-chan time.Time
	stopTrace := func() {}
	handle := func(msg Msg) (quit bool) {
		var cmd Cmd
		m, cmd = Update(m, msg)
		dirty = true
		if m.reading() == nil {
			stopTrace() // it was left
		}
		switch cmd := cmd.(type) {
		case QuitCmd:
			return true
		case PollCmd:
			select {
			case now <- struct{}{}:
			default:
			}
		case TraceCmd:
			stopTrace()
			var one context.Context
			one, stopTrace = context.WithCancel(ctx)
			wg.Go(func() { send(f.trace(one, cmd, send)) })
		case SaveCmd:
			result := m.Snap.Result
			wg.Go(func() { send(f.save(ctx, cmd, result)) })
		}
		return false
	}
	for {
		if dirty && timer == nil {
			timer = time.After(max(drawEvery-time.Since(drawn), 0))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer:
			timer, dirty, drawn = nil, false, time.Now()
			Draw(screen, &m)
			screen.Show()
		case msg := <-msgs:
			handle(msg)
		case e, ok := <-events:
			if !ok {
				return nil // the terminal is gone
			}
			var msg Msg
			switch e := e.(type) {
			case *tcell.EventKey:
				if e.Key() == tcell.KeyCtrlL {
					screen.Sync()
				}
				msg = KeyMsg{e.Key(), e.Rune()}
			case *tcell.EventResize:
				w, h := e.Size()
				screen.Sync()
				msg = ResizeMsg{w, h}
			case *tcell.EventMouse:
				msg = mouse.msg(e)
			case *tcell.EventError:
				return fmt.Errorf("terminal: %w", e)
			}
			if msg != nil && handle(msg) {
				return nil
			}
		}
	}
}

// pointer turns states of the mouse into clicks.
type pointer struct{ down bool }

func (p *pointer) msg(e *tcell.EventMouse) Msg {
	x, y := e.Position()
	b := e.Buttons()
	was := p.down
	p.down = b&tcell.Button1 != 0
	switch {
	case b&tcell.WheelUp != 0:
		return MouseMsg{x, y, -1}
	case b&tcell.WheelDown != 0:
		return MouseMsg{x, y, 1}
	case p.down && !was:
		return MouseMsg{x, y, 0}
	}
	return nil
}

// poll sends snapshots, at once when asked to by now. When the run is over only
// the memory changes.
func (f *Feed) poll(ctx context.Context, send func(Msg), now <-chan struct{}) {
	for {
		begin := time.Now()
		s := f.Monitor.Snapshot()
		wait := max(pollEvery, share*time.Since(begin))
		if s.Result != nil {
			wait = time.Second
		}
		send(SnapMsg{s, f.stats()})
		select {
		case <-ctx.Done():
			return
		case <-now:
		case <-time.After(wait):
		}
	}
}

func (f *Feed) stats() Stats {
	s := Stats{At: time.Now()}
	var info capture.Info
	s.Packets, s.Bytes, info = f.Tap.seen()
	s.Read, s.Size, s.Dropped = int64(info.Bytes), info.Size, info.Dropped
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	s.Memory = sample[0].Value.Uint64() - sample[1].Value.Uint64()
	return s
}

// ending is a source that ends with a context, and says now and then how far
// it is.
type ending struct {
	capture.Source
	ctx  context.Context
	n    int
	far  func(part float64) // nil to say nothing
	said time.Time
}

func (e *ending) Next(p *capture.Packet) error {
	if e.n++; e.n%4096 == 0 {
		if e.ctx.Err() != nil {
			return io.EOF
		}
		if e.far != nil && time.Since(e.said) >= pollEvery {
			e.said = time.Now()
			if i := e.Info(); i.Size > 0 {
				e.far(min(float64(i.Bytes)/float64(i.Size), 1))
			}
		}
	}
	return e.Source.Next(p)
}

func (f *Feed) trace(ctx context.Context, cmd TraceCmd, send func(Msg)) Msg {
	src, err := f.Packets()
	if err != nil {
		return TraceMsg{Conn: cmd.Conn, Err: err}
	}
	far := func(part float64) { send(ReadMsg{cmd.Conn, part}) }
	t, err := runner.TraceOnly(&ending{Source: src, ctx: ctx, far: far, said: time.Now()}, cmd.Conn, f.Options)
	err = errors.Join(err, src.Close())
	t.Number = f.Monitor.Number(cmd.Conn.ID)
	if err == nil {
		t.Explain(f.Monitor.Snapshot().Findings)
	}
	return TraceMsg{cmd.Conn, t, err}
}

// keep says which packets are saved: those of a connection, or those between
// a client and a server.
type keep struct {
	conn   runner.Connection
	client netip.Addr // the zero value for all
	server netip.AddrPort
}

func (k *keep) wants(s *capture.Segment) bool {
	a, b := s.Flow.Source(), s.Flow.Dest()
	if k.conn.ID != 0 {
		return s.Frame >= k.conn.ID && (a == k.conn.A && b == k.conn.B || a == k.conn.B && b == k.conn.A)
	}
	is := func(client, server netip.AddrPort) bool {
		return server == k.server && (!k.client.IsValid() || client.Addr() == k.client)
	}
	return is(a, b) || is(b, a)
}

// formats are the formats of findings that can be saved, by a file's ending.
var formats = []struct{ ext, format string }{
	{".json", "json"}, {".jsonl", "jsonl"}, {".txt", "text"}, {".md", "markdown"}, {".sarif", "sarif"},
}

func saveFormats() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.ext)
	}
	return out
}

func (f *Feed) save(ctx context.Context, cmd SaveCmd, result *runner.Result) Msg {
	if cmd.Keep != nil {
		n, err := f.savePackets(ctx, cmd)
		return SavedMsg{plural(n, "packet") + " saved to " + cmd.Path, err}
	}
	capt := runner.Result{File: f.Title, Format: "live", Packets: f.Tap.packets.Load()}
	if result != nil {
		capt = *result
	}
	capt.Findings = cmd.Findings
	var b bytes.Buffer
	for _, k := range formats {
		if k.ext == filepath.Ext(cmd.Path) {
			err := report.Write(&b, k.format, &report.Report{Version: f.Version, Captures: []*runner.Result{&capt}, Rules: f.Options.Rules}, report.Style{})
			if err != nil {
				return SavedMsg{Err: err}
			}
		}
	}
	err := create(cmd.Path, func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err })
	return SavedMsg{plural(len(cmd.Findings), "finding") + " saved to " + cmd.Path, err}
}

// create writes a new file, in whole or not at all. It leaves a file that is
// there alone.
func create(path string, write func(io.Writer) error) error {
	err := outfile.Create(path, 0o600, write)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already", path)
	}
	return err
}

// savePackets writes the packets wanted to a pcapng file.
func (f *Feed) savePackets(ctx context.Context, cmd SaveCmd) (n int, err error) {
	src, err := f.Packets()
	if err != nil {
		return 0, err
	}
	defer src.Close()
	err = create(cmd.Path, func(out io.Writer) error {
		w := packetFile{w: bufio.NewWriterSize(out, 1<<16), links: map[capture.LinkType]uint32{}}
		dec := capture.NewDecoder(capture.DecoderOptions{})
		var p capture.Packet
		var s capture.Segment
		for e := (&ending{Source: src, ctx: ctx}); ; {
			switch err := e.Next(&p); {
			case err == io.EOF && n == 0:
				return errors.New("none of the packets are left")
			case err == io.EOF:
				return w.w.Flush()
			case err != nil:
				return err
			}
			if dec.Decode(&p, &s) && cmd.Keep.wants(&s) {
				n++
				w.packet(&p)
			}
		}
	})
	return n, err
}
