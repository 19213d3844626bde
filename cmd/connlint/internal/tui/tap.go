package tui

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/connlint/connlint/capture"
)

// Tap is a source that passes on another one's packets and can be looked at
// meanwhile: it counts them, and keeps the latest of them for ladders and for
// saving. Stop ends it.
type Tap struct {
	src     capture.Source
	packets atomic.Uint64
	bytes   atomic.Uint64
	wanted  atomic.Bool
	info    atomic.Pointer[capture.Info]
	stopped atomic.Bool

	mu   sync.Mutex
	ring ring
}

// NewTap returns a Tap on src that keeps up to keep bytes of the latest
// packets, 0 for none.
func NewTap(src capture.Source, keep int) *Tap {
	t := &Tap{src: src, ring: ring{limit: keep}}
	info := src.Info()
	t.info.Store(&info)
	return t
}

// Next implements capture.Source.
func (t *Tap) Next(p *capture.Packet) error {
	if t.stopped.Load() {
		return io.EOF
	}
	err := t.src.Next(p)
	if err != nil || t.wanted.Load() {
		t.wanted.Store(false)
		info := t.src.Info()
		t.info.Store(&info)
	}
	if err != nil {
		return err
	}
	// One goroutine writes: no need to add.
	t.packets.Store(t.packets.Load() + 1)
	t.bytes.Store(t.bytes.Load() + uint64(p.OrigLen))
	if t.ring.limit > 0 {
		t.mu.Lock()
		t.ring.add(p)
		t.mu.Unlock()
	}
	return nil
}

// Info implements capture.Source.
func (t *Tap) Info() capture.Info { return t.src.Info() }

// Close implements capture.Source.
func (t *Tap) Close() error { return t.src.Close() }

// Stop ends the source: its next Next returns io.EOF. Any goroutine may call
// it.
func (t *Tap) Stop() { t.stopped.Store(true) }

// seen returns what passed so far. Any goroutine may call it.
func (t *Tap) seen() (packets, bytes uint64, info capture.Info) {
	t.wanted.Store(true)
	return t.packets.Load(), t.bytes.Load(), *t.info.Load()
}

// Recent returns a source of the latest packets, with their frame numbers. It
// is an error if none are kept. Any goroutine may call it.
func (t *Tap) Recent() (capture.Source, error) {
	if t.ring.limit == 0 {
		return nil, errors.New("the packets were not kept")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &replay{tap: t, info: *t.info.Load()}
	t.ring.readers++
	r.chunks = append(r.chunks, t.ring.chunks...)
	if n := len(r.chunks); n > 0 { // the last is still written to
		last := &r.chunks[n-1]
		last.data, last.packets = last.data[:len(last.data):len(last.data)], last.packets[:len(last.packets):len(last.packets)]
	}
	return r, nil
}

// ring keeps the latest packets in chunks of memory, of which the oldest is
// used again, unless somebody may still read it.
type ring struct {
	limit   int
	chunks  []chunk
	readers int
}

// chunk holds packets one behind the other. What was written to it does not
// change while there are readers, so that it can be read while more is added.
type chunk struct {
	data    []byte
	packets []kept
}

type kept struct {
	at, n, orig int
	time        int64
	frame       uint64
	link        capture.LinkType
}

const chunkSize = 1 << 20

func (r *ring) add(p *capture.Packet) {
	n := len(r.chunks)
	if n == 0 || len(r.chunks[n-1].data)+len(p.Data) > cap(r.chunks[n-1].data) {
		var next chunk
		if n > 0 && n >= max(r.limit/chunkSize, 2) {
			if next = r.chunks[0]; r.readers > 0 {
				next = chunk{}
			}
			copy(r.chunks, r.chunks[1:])
			r.chunks = r.chunks[:n-1]
		}
		if cap(next.data) < len(p.Data) || cap(next.data) == 0 {
			next = chunk{data: make([]byte, 0, max(chunkSize, len(p.Data))), packets: make([]kept, 0, 1024)}
		}
		r.chunks = append(r.chunks, chunk{next.data[:0], next.packets[:0]})
		n = len(r.chunks)
	}
	c := &r.chunks[n-1]
	c.packets = append(c.packets, kept{len(c.data), len(p.Data), p.OrigLen, p.Time, p.Frame, p.Link})
	c.data = append(c.data, p.Data...)
}

// replay is a source of kept packets.
type replay struct {
	tap    *Tap // nil once closed
	info   capture.Info
	chunks []chunk
	i      int
}

func (r *replay) Next(p *capture.Packet) error {
	for len(r.chunks) > 0 && r.i == len(r.chunks[0].packets) {
		r.chunks, r.i = r.chunks[1:], 0
	}
	if len(r.chunks) == 0 {
		return io.EOF
	}
	k := &r.chunks[0].packets[r.i]
	r.i++
	*p = capture.Packet{Data: r.chunks[0].data[k.at : k.at+k.n], OrigLen: k.orig, Time: k.time, Frame: k.frame, Link: k.link}
	return nil
}

// Info implements capture.Source.
func (r *replay) Info() capture.Info { return r.info }

// Close lets the memory be used again.
func (r *replay) Close() error {
	if r.tap != nil {
		r.tap.mu.Lock()
		r.tap.ring.readers--
		r.tap.mu.Unlock()
		r.tap, r.chunks = nil, nil
	}
	return nil
}
