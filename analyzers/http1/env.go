package http1

import (
	"encoding/binary"
	"math/bits"
)

// Options bound what a Session keeps. The zero value means the defaults.
type Options struct {
	MaxHead        int // bytes of a head that are kept; 64 KiB
	MaxOutstanding int // requests of a connection that wait for their responses; 1024
	MaxHash        int // body bytes that BodyHash covers; 64 KiB
	// For all sessions of an Env together:
	MaxHeads   int // bytes kept of heads that are not whole yet; 64 MiB
	MaxWaiting int // requests that wait behind others of their connection; 32768
}

// Stats counts what was found.
type Stats struct {
	Requests  uint64 // request lines with their heads, cut ones too
	Responses uint64 // status lines with their heads, interim and cut ones too
}

// Env is what all sessions of one goroutine share: the sink, scratch space and
// the pools their buffers come from.
type Env struct {
	Sink  Sink
	Stats Stats

	opts  Options
	p     headParse
	fault Anomaly

	free    *Transaction
	bufs    []*headBuf
	history []*history

	heads   int // bytes of buffers in use
	waiting int // transactions that were queued behind others
	recent  int // entries of all histories
}

// NewEnv returns an Env that tells sink what its sessions find.
func NewEnv(sink Sink, opts Options) *Env {
	if opts.MaxHead <= 0 {
		opts.MaxHead = 64 << 10
	}
	if opts.MaxOutstanding <= 0 {
		opts.MaxOutstanding = 1024
	}
	opts.MaxOutstanding = min(opts.MaxOutstanding, 1<<16-1)
	if opts.MaxHash <= 0 {
		opts.MaxHash = 64 << 10
	}
	if opts.MaxHeads <= 0 {
		opts.MaxHeads = 64 << 20
	}
	if opts.MaxWaiting <= 0 {
		opts.MaxWaiting = 32 << 10
	}
	return &Env{Sink: sink, opts: opts}
}

// headBuf holds the beginning of a head until the rest comes.
type headBuf struct {
	b    []byte
	at   Mark // of b[0]
	scan int  // where in b the unfinished line begins

	// Of a head longer than b may grow, later lines pass through line, and only
	// what they say is kept.
	over    bool
	line    []byte
	lineLen int
	info    headInfo
}

const (
	keptBuf  = 16 << 10 // larger buffers are left to the garbage collector
	overLine = 1 << 10  // bytes looked at of a line beyond MaxHead
	maxJunk  = 64       // bytes shown of what is no start line
)

func (e *Env) getBuf(at Mark) *headBuf {
	var h *headBuf
	if n := len(e.bufs); n > 0 {
		h, e.bufs = e.bufs[n-1], e.bufs[:n-1]
	} else {
		h = &headBuf{b: make([]byte, 0, 512)}
	}
	h.at = at
	e.heads += cap(h.b)
	return h
}

// grow appends b to a buffer in use.
func (e *Env) grow(h *headBuf, b []byte) {
	n := cap(h.b)
	h.b = append(h.b, b...)
	e.heads += cap(h.b) - n
}

// room returns how much of h's head may be kept: less, once there are too many
// heads of which the end does not come.
func (e *Env) room(h *headBuf) int {
	if e.heads <= e.opts.MaxHeads {
		return e.opts.MaxHead
	}
	return min(max(len(h.b), overLine), e.opts.MaxHead)
}

func (e *Env) putBuf(h *headBuf) {
	e.heads -= cap(h.b)
	if cap(h.b) > keptBuf {
		return
	}
	*h = headBuf{b: h.b[:0], line: h.line[:0]}
	e.bufs = append(e.bufs, h)
}

func (e *Env) get() *Transaction {
	t := e.free
	if t == nil {
		t = new(Transaction)
	} else {
		e.free = t.next
		buf := t.buf[:0]
		*t = Transaction{} // in place; with fields it would be made aside and copied
		t.buf = buf
	}
	t.Req.unset()
	t.Resp.unset()
	return t
}

func (e *Env) put(t *Transaction) {
	if t.waits {
		e.waiting--
	}
	t.next = e.free
	e.free = t
}

func (m *Message) reset() {
	*m = Message{}
	m.unset()
}

// unset says that the head of a zero m has told nothing yet.
func (m *Message) unset() { m.Declared, m.KeepAliveTimeout, m.KeepAliveMax = -1, -1, -1 }

// keep copies b, at most limit bytes of it, into the transaction's own buffer.
func (t *Transaction) keep(b []byte, limit int) []byte {
	n := len(t.buf)
	t.buf = append(t.buf, b[:min(len(b), limit)]...)
	return t.buf[n:len(t.buf):len(t.buf)]
}

// bodyHash hashes a body sixteen bytes at a time, however it is cut up. The
// result is the same in every process.
type bodyHash struct {
	h       uint64
	words   [2]uint64 // bytes of the sixteen that are not whole yet
	n       int64
	on, bad bool
}

// mix takes in two words by one multiplication: each waits for the one before
// it, so there should be few.
func (h *bodyHash) mix(v, w uint64) {
	hi, lo := bits.Mul64(h.h^v^0x9e3779b97f4a7c15, w^0xd6e8feb86659fd93)
	h.h = hi ^ lo ^ bits.RotateLeft64(h.h, 23)
}

func (h *bodyHash) write(b []byte, limit int) {
	if h.n+int64(len(b)) > int64(limit) {
		h.bad = true
	}
	if h.bad {
		return
	}
	for len(b) > 0 && h.n%16 != 0 {
		h.add(b[0])
		b = b[1:]
	}
	h.n += int64(len(b) &^ 15)
	for ; len(b) >= 16; b = b[16:] {
		h.mix(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]))
	}
	if len(b) >= 8 {
		h.words[0] = binary.LittleEndian.Uint64(b)
		h.n += 8
		b = b[8:]
	}
	for _, c := range b {
		h.add(c)
	}
}

func (h *bodyHash) add(c byte) {
	h.words[h.n>>3&1] |= uint64(c) << (h.n % 8 * 8)
	if h.n++; h.n%16 == 0 {
		h.mix(h.words[0], h.words[1])
		h.words = [2]uint64{}
	}
}

func (h *bodyHash) sum() uint64 {
	f := *h
	f.mix(f.words[0], f.words[1])
	f.mix(uint64(f.n), 0)
	return f.h
}
