package reassembly

import (
	"github.com/connlint/connlint/capture/wire"
)

// piece is a run of bytes held back, or a FIN. Pieces of a stream are linked
// in sequence order and do not overlap.
type piece struct {
	next         uint32 // in the stream
	older, newer uint32 // among all pieces of the table
	conn         uint32 // whose it is
	n            int32  // bytes on the wire, 0 for a FIN; len(bytes) were captured
	seq          wire.Seq
	ack          wire.Seq
	acks         bool // ack is valid
	time         int64
	frame        uint64
	bytes        []byte
}

func (p *piece) end() wire.Seq { return p.seq.Add(int(p.n)) }

// cost is what a piece counts against the caps: the memory it takes, and
// something for being one more in a list.
func (p *piece) cost() int { return cap(p.bytes) + 512 }

// piecePool holds the pieces of a table. Their memory is reused.
type piecePool struct {
	list           []piece // 0 is unused
	free           []uint32
	bytes          [][]byte // buffers free for reuse
	held           int      // cost of what is held back
	oldest, newest uint32
}

// Sizes of buffers worth keeping: one for ordinary segments, the rest is left
// to the garbage collector.
const (
	smallBuf = 2048
	keepBufs = 4096
)

// add takes p in, with a copy of b, and returns its index.
func (pool *piecePool) add(p piece, b []byte) uint32 {
	var i uint32
	if n := len(pool.free); n > 0 {
		i = pool.free[n-1]
		pool.free = pool.free[:n-1]
	} else {
		i = uint32(len(pool.list))
		pool.list = append(pool.list, piece{})
	}
	p.bytes = pool.copyOf(b)
	p.older, p.newer = pool.newest, 0
	if pool.newest != 0 {
		pool.list[pool.newest].newer = i
	} else {
		pool.oldest = i
	}
	pool.newest = i
	pool.list[i] = p
	pool.held += p.cost()
	return i
}

func (pool *piecePool) copyOf(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(b) > smallBuf {
		return append([]byte(nil), b...)
	}
	var buf []byte
	if n := len(pool.bytes); n > 0 {
		buf = pool.bytes[n-1]
		pool.bytes = pool.bytes[:n-1]
	} else {
		buf = make([]byte, smallBuf)
	}
	return buf[:copy(buf[:smallBuf], b)]
}

// put takes piece i back.
func (pool *piecePool) put(i uint32) {
	p := &pool.list[i]
	pool.held -= p.cost()
	if p.older != 0 {
		pool.list[p.older].newer = p.newer
	} else {
		pool.oldest = p.newer
	}
	if p.newer != 0 {
		pool.list[p.newer].older = p.older
	} else {
		pool.newest = p.older
	}
	if cap(p.bytes) == smallBuf && len(pool.bytes) < keepBufs {
		pool.bytes = append(pool.bytes, p.bytes[:0])
	}
	*p = piece{}
	pool.free = append(pool.free, i)
}

// data delivers a segment's bytes, which begin at seq, and its FIN, or holds
// them back.
func (t *Table[S]) data(c *Conn[S], d wire.Dir, s *Segment, seq wire.Seq, fin bool) {
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	acks := s.Flags&wire.ACK != 0
	if x.pend == 0 && seq.LessEq(x.Nxt) && y.allows(s.Ack, acks) {
		t.span.Bytes, t.span.Time, t.span.Frame, t.span.Ack = nil, s.Time, s.Frame, s.Ack // a literal would be made aside and copied
		if s.Len > 0 {
			t.deliver(c, d, seq, s.Len, s.Payload)
		}
		if fin && x.finSeq == x.Nxt {
			t.deliverFIN(c, d)
		}
		return
	}
	p := piece{conn: c.ref, n: int32(s.Len), seq: seq, ack: s.Ack, acks: acks, time: s.Time, frame: s.Frame, bytes: s.Payload}
	t.hold(x, &p, fin)
	if int(x.pendCost) > t.opts.MaxHeldByConn {
		t.Stats.HeldTooMuch++
		t.giveUpAll(c)
	}
	for t.pieces.held > t.opts.MaxHeld {
		t.Stats.HeldTooMuch++
		t.giveUpAll(t.at(t.pieces.list[t.pieces.oldest].conn))
	}
}

// allows reports whether bytes of the other side that acknowledge ack may be
// delivered: all of s up to there has been, as far as that is known to exist.
func (s *Stream) allows(ack wire.Seq, acks bool) bool {
	return !acks || ack.LessEq(s.Nxt) || !s.hole() || s.Acked.Less(ack) || ack.Sub(s.Nxt) > maxAhead
}

// hold keeps copies of those bytes of p that are neither delivered nor held
// yet, and of a FIN behind them, until their turn.
func (t *Table[S]) hold(x *Stream, p *piece, fin bool) {
	seq, end := p.seq, p.end()
	from := seq.Max(x.Nxt)
	before := x.pendLast
	if x.pend == 0 || from.Less(t.pieces.list[before].seq) {
		before = 0
		for i := x.pend; i != 0 && t.pieces.list[i].seq.LessEq(from); i = t.pieces.list[i].next {
			before = i
		}
	}
	b := p.bytes
	for from.Less(end) {
		next := x.pend
		if before != 0 {
			from = from.Max(t.pieces.list[before].end())
			next = t.pieces.list[before].next
		}
		to := end
		if next != 0 && t.pieces.list[next].seq.Less(to) {
			to = t.pieces.list[next].seq
		}
		if n := to.Sub(from); n > 0 {
			p.seq, p.n = from, int32(n)
			skip := min(from.Sub(seq), len(b))
			t.link(x, before, p, b[skip:min(skip+n, len(b))])
			from = to
		}
		before = next // what was linked in ends where next begins
	}
	if fin {
		p.seq, p.n = x.finSeq, 0
		t.link(x, x.pendLast, p, nil)
	}
}

// link puts a copy of p into the stream's list behind piece before, 0 for the
// head.
func (t *Table[S]) link(x *Stream, before uint32, p *piece, b []byte) {
	if x.pend == 0 {
		before = 0
	}
	at := &x.pend
	if before != 0 {
		at = &t.pieces.list[before].next
	}
	p.next = *at
	i := t.pieces.add(*p, b)
	// Adding may have moved the list.
	if before != 0 {
		at = &t.pieces.list[before].next
	}
	*at = i
	if p.next == 0 {
		x.pendLast = i
	}
	x.pendCost += uint32(t.pieces.list[i].cost())
}

// unlink takes a stream's first piece out of its list. The bytes stay valid
// until put.
func (t *Table[S]) unlink(x *Stream) (uint32, piece) {
	i := x.pend
	p := t.pieces.list[i]
	x.pend = p.next
	x.pendCost -= uint32(p.cost())
	return i, p
}

// known returns how many of the bytes from seq to end are delivered or held,
// and the first that is neither.
func (t *Table[S]) known(x *Stream, seq, end wire.Seq) (n int, first wire.Seq) {
	at := seq
	if seq.Less(x.Nxt) {
		if end.LessEq(x.Nxt) {
			return end.Sub(seq), end
		}
		n, at = x.Nxt.Sub(seq), x.Nxt
	}
	if x.pend == 0 || t.pieces.list[x.pendLast].end().LessEq(at) {
		return n, at
	}
	first = end
	for i := x.pend; i != 0 && at.Less(end); i = t.pieces.list[i].next {
		p := &t.pieces.list[i]
		if p.end().LessEq(at) {
			continue
		}
		if at.Less(p.seq) && first == end {
			first = at
		}
		if !p.seq.Less(end) {
			break
		}
		to := p.end()
		if end.Less(to) {
			to = end
		}
		n += to.Sub(at.Max(p.seq))
		at = to
	}
	if at.Less(end) && first == end {
		first = at
	}
	return n, first
}

// dropBeyond forgets what is held of a stream from seq on.
func (t *Table[S]) dropBeyond(x *Stream, seq wire.Seq) {
	var last uint32
	for i := x.pend; i != 0; {
		p := &t.pieces.list[i]
		next := p.next
		if !p.seq.Less(seq) {
			if last != 0 {
				t.pieces.list[last].next = 0
			} else {
				x.pend = 0
			}
			x.pendCost -= uint32(p.cost())
			t.pieces.put(i)
		} else {
			if n := seq.Sub(p.seq); n < int(p.n) {
				p.n = int32(n)
				p.bytes = p.bytes[:min(n, len(p.bytes))]
			}
			last = i
		}
		i = next
	}
	x.pendLast = last
}

// deliver hands n bytes that begin at or before Nxt to the handler, those
// already delivered left out, those not captured as a gap. Time, frame and
// acknowledgement stand in t.span.
func (t *Table[S]) deliver(c *Conn[S], d wire.Dir, seq wire.Seq, n int, b []byte) {
	x, sp := &c.Streams[d], &t.span
	skip := x.Nxt.Sub(seq)
	if skip >= n {
		return
	}
	x.Nxt = seq.Add(n)
	have := min(len(b), n)
	if skip < have {
		sp.Bytes, sp.Seq = b[skip:have], seq.Add(skip)
		t.h.Data(c, d, sp)
		skip = have
	}
	if skip < n {
		t.lost = Gap{Len: n - skip, Cut: true, Time: sp.Time, Frame: sp.Frame, Seq: seq.Add(skip), Ack: sp.Ack}
		t.h.Gap(c, d, &t.lost)
	}
}

// deliverFIN tells the handler of a FIN whose turn has come. Time, frame and
// acknowledgement stand in t.span.
func (t *Table[S]) deliverFIN(c *Conn[S], d wire.Dir) {
	x, sp := &c.Streams[d], &t.span
	sp.Bytes, sp.Seq = nil, x.finSeq
	x.Nxt = x.finSeq.Add(1)
	t.h.FIN(c, d, sp)
}

// advance delivers what has become deliverable and gives up holes whose time
// is over.
func (t *Table[S]) advance(c *Conn[S], s *Segment) {
	x, y := &c.Streams[0], &c.Streams[1]
	if x.pend|y.pend == 0 && !x.hole() && !y.hole() {
		return
	}
	t.drain(c)
	for d := range c.Streams {
		t.checkHole(c, wire.Dir(d), s)
	}
}

// checkHole gives up a stream's hole when patience ends. With nothing held
// back there is no hurry: the packets may only be out of order.
func (t *Table[S]) checkHole(c *Conn[S], d wire.Dir, s *Segment) {
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	patience, segments := int64(Patience), uint16(PatienceSegments)
	to := x.Acked
	if !x.hole() {
		if x.pend == 0 || y.flags&sawAny != 0 {
			x.holeSince = 0
			return
		}
		// No acknowledgement will ever tell: wait as for a retransmission.
		patience, segments = 20*patience, 8*segments
		to = t.pieces.list[x.pend].seq
	}
	if x.holeSince == 0 || x.holeEnd.LessEq(x.Nxt) || s.Time < x.holeSince {
		x.holeSince, x.holeEnd, x.holeSegs = max(s.Time, 1), to, 0
		return
	}
	x.holeSegs++
	if s.Time-x.holeSince <= patience && x.holeSegs <= segments {
		return
	}
	// Everything before holeEnd has been missed for that long.
	for c.Holding() && x.Nxt.Less(x.holeEnd) && t.giveUp(c, d, x.holeEnd, s.Time, s.Frame) {
		t.drain(c)
	}
}

// drain delivers pieces whose turn has come, both ways, until none has.
func (t *Table[S]) drain(c *Conn[S]) {
	for {
		var ready [2]bool // the first piece is next in sequence, but not allowed
		again := false
		for d := range c.Streams {
			x, y := &c.Streams[d], &c.Streams[1-d]
			for x.pend != 0 {
				p := &t.pieces.list[x.pend]
				if x.Nxt.Less(p.seq) {
					break
				}
				if !y.allows(p.ack, p.acks) {
					ready[d] = true
					break
				}
				t.pop(c, wire.Dir(d))
				again = true
			}
		}
		if again {
			continue
		}
		if !ready[0] || !ready[1] {
			return
		}
		// Each acknowledges the other, which cannot be. The one captured first
		// goes first.
		t.pop(c, t.firstHeld(c))
	}
}

// firstHeld returns the direction whose first piece was captured first.
func (t *Table[S]) firstHeld(c *Conn[S]) wire.Dir {
	a, b := c.Streams[0].pend, c.Streams[1].pend
	if a == 0 || b != 0 && t.pieces.list[b].frame < t.pieces.list[a].frame {
		return 1
	}
	return 0
}

// pop delivers a stream's first piece, which begins at or before Nxt.
func (t *Table[S]) pop(c *Conn[S], d wire.Dir) {
	i, p := t.unlink(&c.Streams[d])
	t.span = Span{Time: p.time, Frame: p.frame, Ack: p.ack}
	if p.n == 0 {
		t.deliverFIN(c, d)
	} else {
		t.deliver(c, d, p.seq, int(p.n), p.bytes)
	}
	t.span.Bytes = nil
	t.pieces.put(i)
}

// giveUp passes over what is missing of a stream next, to at most to, and
// reports whether there is progress.
func (t *Table[S]) giveUp(c *Conn[S], d wire.Dir, to wire.Seq, tm int64, frame uint64) bool {
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	if x.pend != 0 {
		if seq := t.pieces.list[x.pend].seq; seq.Less(to) {
			to = seq
		}
	} else if x.lacksOne() && y.pend != 0 && t.pieces.list[y.pend].seq.LessEq(y.Nxt) {
		t.pop(c, d.Flip())
		return true
	}
	return t.gap(c, d, to, tm, frame)
}

// lacksOne reports whether a single sequence number is missing at the end of
// all that is known of the stream. It is a lost FIN's, most likely, and no gap.
func (s *Stream) lacksOne() bool {
	return s.flags&sawFIN == 0 && s.pend == 0 && s.hole() && s.Acked == s.Nxt.Add(1)
}

// gap reports what is missing of a stream before to.
func (t *Table[S]) gap(c *Conn[S], d wire.Dir, to wire.Seq, tm int64, frame uint64) bool {
	x := &c.Streams[d]
	// The acknowledgement of a FIN counts one more than the bytes.
	if x.flags&sawFIN != 0 && x.finSeq.Less(to) {
		to = x.finSeq
	}
	n := to.Sub(x.Nxt)
	if n <= 0 {
		return false
	}
	t.Stats.Gaps++
	t.Stats.GapBytes += uint64(n)
	if t.Stats.FirstGap == 0 || frame < t.Stats.FirstGap { // a connection's end gives up what is long past
		t.Stats.FirstGap = frame
	}
	t.lost = Gap{Len: n, Time: tm, Frame: frame, Seq: x.Nxt}
	x.Nxt = to
	x.Max = x.Max.Max(to)
	t.h.Gap(c, d, &t.lost)
	return true
}

// giveUpAll delivers everything that is held back, in sequence order, holes
// as gaps.
func (t *Table[S]) giveUpAll(c *Conn[S]) {
	for {
		t.drain(c)
		if !c.Holding() {
			return
		}
		// The stream whose first piece came first in the capture moves on: its
		// own hole is given up, or else the part of the other side's that it
		// waits for.
		d := t.firstHeld(c)
		p := t.pieces.list[c.Streams[d].pend]
		to := p.seq
		if to.LessEq(c.Streams[d].Nxt) {
			d, to = d.Flip(), p.ack
		}
		t.giveUp(c, d, to, p.time, p.frame) // moves on: a side that can do neither would have been drained
	}
}

// giveUpTails reports what a closing connection's ends acknowledged after the
// last byte the capture has.
func (t *Table[S]) giveUpTails(c *Conn[S]) {
	for d := range c.Streams {
		x := &c.Streams[d]
		if x.hole() && !x.lacksOne() {
			t.gap(c, wire.Dir(d), x.Acked, c.Last, c.LastFrame)
		}
	}
}
