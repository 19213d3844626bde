package reassembly

import (
	"github.com/connlint/connlint/capture/wire"
)

// piece is a segment's bytes held back. Pieces of a stream are linked in
// sequence order and may overlap.
type piece struct {
	next  uint32
	n     int32 // payload bytes on the wire; len(bytes) were captured
	seq   wire.Seq
	ack   wire.Seq
	time  int64
	frame uint64
	fin   bool
	acks  bool // ack is valid
	bytes []byte
}

// cost is what a piece counts against the caps: its bytes and what keeping
// them takes, so that a flood of tiny pieces is bounded too.
func (p *piece) cost() int { return len(p.bytes) + 512 }

// piecePool holds the pieces of a table. Their memory is reused.
type piecePool struct {
	list  []piece // 0 is unused
	free  []uint32
	bytes [][]byte // buffers free for reuse
	held  int      // cost of what is held back
}

func (p *piecePool) get() uint32 {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		return i
	}
	p.list = append(p.list, piece{})
	return uint32(len(p.list) - 1)
}

// Sizes of buffers worth keeping: one for ordinary segments, the rest is left
// to the garbage collector.
const (
	smallBuf = 2048
	keepBufs = 4096
)

func (p *piecePool) copyOf(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(b) > smallBuf {
		return append([]byte(nil), b...)
	}
	var buf []byte
	if n := len(p.bytes); n > 0 {
		buf = p.bytes[n-1]
		p.bytes = p.bytes[:n-1]
	} else {
		buf = make([]byte, smallBuf)
	}
	return buf[:copy(buf[:smallBuf], b)]
}

func (p *piecePool) put(i uint32) {
	q := &p.list[i]
	p.held -= q.cost()
	if cap(q.bytes) == smallBuf && len(p.bytes) < keepBufs {
		p.bytes = append(p.bytes, q.bytes[:0])
	}
	*q = piece{}
	p.free = append(p.free, i)
}

// data delivers a segment's bytes and FIN, or holds them back.
func (t *Table[S]) data(c *Conn[S], d wire.Dir, s *Segment) {
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	seq, ack, acks := s.Seq, s.Ack, s.Flags&wire.ACK != 0
	if s.Flags&wire.SYN != 0 {
		seq = seq.Add(1)
	}
	if x.pend == 0 && seq.LessEq(x.Nxt) && y.allows(ack, acks) {
		t.deliver(c, d, s.Payload, s.Len, s.Time, s.Frame, seq, ack)
		if x.flags&(sawFIN|finDone) == sawFIN && x.finSeq == x.Nxt {
			t.deliverFIN(c, d, s.Time, s.Frame, ack)
		}
		return
	}
	if seq.Add(s.Len).LessEq(x.Nxt) && s.Flags&wire.FIN == 0 {
		return // nothing new
	}
	if x.pend == 0 {
		c.heldFor = 0
	}
	t.hold(x, s, seq, acks)
	if int(x.pendBytes) > t.opts.MaxHeldByConn || t.pieces.held > t.opts.MaxHeld {
		t.Stats.HeldTooMuch++
		t.giveUpAll(c)
	}
}

// allows reports whether bytes of the other side that acknowledge ack may be
// delivered: all of s up to there has been.
func (s *Stream) allows(ack wire.Seq, acks bool) bool {
	return !acks || s.flags&started == 0 || ack.LessEq(s.Nxt) || ack.Sub(s.Nxt) > maxAhead
}

// hold keeps a copy of a segment's bytes until its turn.
func (t *Table[S]) hold(x *Stream, s *Segment, seq wire.Seq, acks bool) {
	i := t.pieces.get()
	p := &t.pieces.list[i]
	*p = piece{n: int32(s.Len), seq: seq, ack: s.Ack, time: s.Time, frame: s.Frame,
		fin: s.Flags&wire.FIN != 0, acks: acks, bytes: t.pieces.copyOf(s.Payload)}
	t.pieces.held += p.cost()
	x.pendBytes += uint32(p.cost())
	at := &x.pend
	if x.pend != 0 && t.pieces.list[x.pendLast].seq.LessEq(seq) {
		at = &t.pieces.list[x.pendLast].next // the usual case: no walk
	}
	for *at != 0 && t.pieces.list[*at].seq.LessEq(seq) {
		at = &t.pieces.list[*at].next
	}
	p.next = *at
	*at = i
	if p.next == 0 {
		x.pendLast = i
	}
}

// deliver hands n bytes from seq to the handler, those already delivered left
// out, those not captured as a gap.
func (t *Table[S]) deliver(c *Conn[S], d wire.Dir, b []byte, n int, tm int64, frame uint64, seq, ack wire.Seq) {
	x := &c.Streams[d]
	skip := x.Nxt.Sub(seq)
	if skip < 0 || skip >= n {
		return
	}
	x.Nxt = seq.Add(n)
	if skip < len(b) {
		sp := Span{Bytes: b[skip:], Time: tm, Frame: frame, Seq: seq.Add(skip), Ack: ack}
		t.h.Data(c, d, &sp)
	}
	if n > len(b) {
		from := max(skip, len(b))
		g := Gap{Len: n - from, Cut: true, Time: tm, Frame: frame, Seq: seq.Add(from), Ack: ack}
		t.h.Gap(c, d, &g)
	}
	x.holeSince = 0
}

func (t *Table[S]) deliverFIN(c *Conn[S], d wire.Dir, tm int64, frame uint64, ack wire.Seq) {
	x := &c.Streams[d]
	x.flags |= finDone
	sp := Span{Time: tm, Frame: frame, Seq: x.Nxt, Ack: ack}
	x.Nxt = x.Nxt.Add(1)
	t.h.FIN(c, d, &sp)
}

// advance delivers what has become deliverable and gives up holes whose time
// is over.
func (t *Table[S]) advance(c *Conn[S], s *Segment) {
	x, y := &c.Streams[0], &c.Streams[1]
	if x.pend == 0 && y.pend == 0 {
		// Acknowledged bytes may be missing with nothing held back behind
		// them: they too are waited for, as their order is what counts.
		if !x.hole() && !y.hole() {
			return
		}
	}
	t.drain(c)
	if c.Holding() {
		c.heldFor++
	}
	for d := range c.Streams {
		t.checkHole(c, wire.Dir(d), s)
	}
}

// checkHole gives up a stream's hole when patience ends.
func (t *Table[S]) checkHole(c *Conn[S], d wire.Dir, s *Segment) {
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	patience, segments := int64(Patience), uint16(PatienceSegments)
	oneSided := x.pend != 0 && y.flags&sawAny == 0
	if oneSided { // no acknowledgement will ever tell: wait as for a retransmission
		patience, segments = 20*patience, 8*segments
	}
	if !x.hole() && !oneSided {
		x.holeSince = 0
		return
	}
	if x.holeSince == 0 {
		x.holeSince = max(c.Last, 1)
		return
	}
	if c.Last-x.holeSince > patience || c.heldFor > segments {
		t.giveUp(c, d, s.Time, s.Frame)
		t.drain(c)
	}
}

// drain delivers pieces whose turn has come, both ways, until none has.
func (t *Table[S]) drain(c *Conn[S]) {
	for again := true; again; {
		again = false
		for d := range c.Streams {
			x, y := &c.Streams[d], &c.Streams[1-d]
			for x.pend != 0 {
				p := &t.pieces.list[x.pend]
				if x.Nxt.Less(p.seq) || !y.allows(p.ack, p.acks) {
					break
				}
				t.pop(c, wire.Dir(d))
				again = true
			}
		}
	}
}

// pop delivers a stream's first piece, which begins at or before Nxt.
func (t *Table[S]) pop(c *Conn[S], d wire.Dir) {
	x := &c.Streams[d]
	i := x.pend
	p := t.pieces.list[i] // the handler may not touch the pool, but stay safe from its growth
	x.pend = p.next
	x.pendBytes -= uint32(p.cost())
	t.deliver(c, d, p.bytes, int(p.n), p.time, p.frame, p.seq, p.ack)
	if x.flags&(sawFIN|finDone) == sawFIN && x.finSeq == x.Nxt {
		t.deliverFIN(c, d, p.time, p.frame, p.ack)
	}
	t.pieces.put(i)
}

// giveUp reports a stream's hole as a gap: up to its next piece, or to what
// was acknowledged.
func (t *Table[S]) giveUp(c *Conn[S], d wire.Dir, tm int64, frame uint64) {
	x := &c.Streams[d]
	to := x.Nxt
	if x.pend != 0 {
		to = to.Max(t.pieces.list[x.pend].seq)
	} else if x.hole() {
		to = x.Acked
	}
	t.giveUpTo(c, d, to, tm, frame)
}

// giveUpTo reports what is missing of a stream before to as a gap.
func (t *Table[S]) giveUpTo(c *Conn[S], d wire.Dir, to wire.Seq, tm int64, frame uint64) {
	x := &c.Streams[d]
	x.holeSince = 0
	c.heldFor = 0
	// The acknowledgement of a FIN counts one more than the bytes.
	if x.flags&sawFIN != 0 && x.finSeq.Less(to) {
		to = x.finSeq
	}
	if n := to.Sub(x.Nxt); n > 0 {
		t.Stats.Gaps++
		t.Stats.GapBytes += uint64(n)
		if t.Stats.FirstGap == 0 {
			t.Stats.FirstGap = frame
		}
		g := Gap{Len: n, Time: tm, Frame: frame, Seq: x.Nxt}
		x.Nxt = to
		t.h.Gap(c, d, &g)
	}
	x.Max = x.Max.Max(x.Nxt)
	if x.flags&(sawFIN|finDone) == sawFIN && x.finSeq == x.Nxt && x.pend == 0 {
		t.deliverFIN(c, d, tm, frame, 0)
	}
}

// giveUpAll delivers everything that is held back, in sequence order, holes
// as gaps.
func (t *Table[S]) giveUpAll(c *Conn[S]) {
	for {
		t.drain(c)
		if !c.Holding() {
			return
		}
		// The stream whose first piece came first in the capture moves on: the
		// other side's hole that it waits for is given up, or else its own.
		d := wire.Dir(0)
		a, b := c.Streams[0].pend, c.Streams[1].pend
		if a == 0 || b != 0 && t.pieces.list[b].frame < t.pieces.list[a].frame {
			d = 1
		}
		p := &t.pieces.list[c.Streams[d].pend]
		tm, frame := p.time, p.frame
		if o := &c.Streams[d.Flip()]; !o.allows(p.ack, p.acks) {
			was, to := o.Nxt, p.ack
			if o.pend != 0 && t.pieces.list[o.pend].seq.Less(to) {
				to = t.pieces.list[o.pend].seq
			}
			if t.giveUpTo(c, d.Flip(), to, tm, frame); was != o.Nxt {
				continue
			}
		}
		t.giveUp(c, d, tm, frame)
		t.pop(c, d)
	}
}
