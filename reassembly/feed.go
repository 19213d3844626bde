package reassembly

import (
	"bytes"

	"github.com/connlint/connlint/capture/wire"
)

// Bounds on sequence numbers that can belong to a stream: how far before what
// was delivered, and how far after what was delivered or acknowledged. RFC
// 7323 allows windows up to 1 GiB. A capture that misses more than maxAhead in
// one piece goes on where the other side's acknowledgements are.
const (
	maxBehind = 1 << 30
	maxAhead  = 64 << 20
)

// Feed takes the next segment in capture order. Its slices are borrowed until
// Feed returns.
func (t *Table[S]) Feed(s *Segment) {
	t.Stats.Segments++
	t.tell(s)
	c, d, kind := t.lookup(s)
	if c == nil {
		t.Stats.Late++
		return
	}
	if s.Time > c.Last {
		c.Last = s.Time
	}
	c.LastFrame = s.Frame
	if s.Flags&wire.RST != 0 {
		t.feedRST(c, d, s, kind)
	} else {
		t.feed(c, d, s, kind)
	}
	t.advance(c, s)
	switch {
	case c.flags&lingering != 0:
	case c.flags&wasReset != 0:
		t.linger(c)
	case c.Finished():
		if c.Holding() || c.Streams[0].hole() || c.Streams[1].hole() {
			t.linger(c)
		} else {
			t.close(c, Ended)
		}
	}
}

// lookup returns the connection that s belongs to, which may begin with it,
// and which way s goes along it; nil for a segment that comes after the end of
// its connection. Whether a connection is over does not depend on what else is
// in the table.
func (t *Table[S]) lookup(s *Segment) (*Conn[S], wire.Dir, Kind) {
	hash := uint32(s.Hash >> 32)
	var prev Prev
	i, d, ok := t.find(&s.Flow, hash)
	if ok && t.slots[i].ref&isTomb == 0 {
		var c *Conn[S]
		if ref := t.slots[i].ref; ref&isPacked == 0 {
			c = t.at(ref)
		} else {
			c = t.wake(i)
		}
		switch {
		case c.flags&lingering != 0 && t.over(c.endAt, s):
			t.close(c, Ended)
		case t.opts.IdleTimeout > 0 && s.Time-c.Last > int64(t.opts.IdleTimeout):
			t.Stats.IdleEvicted++
			t.close(c, IdleTooLong)
		case c.replacedBy(s, d):
			prev = t.close(c, TupleReused)
		default:
			return c, d, 0
		}
		i, d, ok = t.find(&s.Flow, hash)
	}
	if ok {
		b := t.tombs.at(t.slots[i].ref &^ isTomb)
		if !t.over(b.until(), s) {
			if !b.begins(s, d) {
				return nil, d, 0
			}
			prev = Prev{ID: b.id, Last: b.last, Memo: b.memo}
		}
		b.slotd = false
		t.remove(i)
		i, _, _ = t.find(&s.Flow, hash)
	}
	if t.live >= t.opts.MaxConns {
		t.makeRoom()
		i, _, _ = t.find(&s.Flow, hash)
	}
	key, d := s.Flow.Canonical()
	c := t.open(i, &key, hash, s)
	c.Prev = prev
	return c, d, First
}

// begins reports whether s starts another connection on the addresses of an
// ended one: a SYN, a SYN-ACK with another ISN, or data far from the old
// sequence numbers.
func (b *tomb) begins(s *Segment, d wire.Dir) bool {
	switch {
	case s.Flags&wire.RST != 0:
		return false
	case s.Flags&(wire.SYN|wire.ACK) == wire.SYN:
		return true
	case s.Flags&wire.SYN != 0:
		return b.known[d] && s.Seq != b.isn[d]
	}
	far := s.Seq.Sub(b.end[d])
	return b.known[d] && s.Len > 0 && (far > 1<<20 || far < -(1<<24))
}

// replacedBy reports whether s begins another connection on c's addresses.
// RFC 9293 §3.10.7.4 leaves it to the ISN, and so does Wireshark's tcp.stream.
func (c *Conn[S]) replacedBy(s *Segment, d wire.Dir) bool {
	if s.Flags&(wire.SYN|wire.RST) != wire.SYN {
		return false
	}
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	if x.flags&based == 0 || y.flags&based == 0 && s.Flags&wire.ACK != 0 {
		return false
	}
	if s.Flags&wire.ACK == 0 {
		ended := c.flags&wasReset != 0 || (x.flags|y.flags)&sawFIN != 0
		return s.Seq != x.ISN || ended
	}
	// A server may choose another ISN while its first SYN-ACK is lost: it still
	// answers the same SYN.
	return s.Seq != x.ISN && s.Ack != y.ISN.Add(1)
}

// hole reports whether the other side has acknowledged bytes not delivered.
func (s *Stream) hole() bool {
	return s.flags&(ackable|started) == ackable|started && s.Nxt.Less(s.Acked)
}

// feedRST takes a segment with the RST flag.
func (t *Table[S]) feedRST(c *Conn[S], d wire.Dir, s *Segment, kind Kind) {
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	x.meet(s)
	if x.acceptsRST(y, s) {
		kind |= ValidRST
	} else {
		kind |= OutOfWindow
		t.Stats.OutOfWindow++
	}
	t.h.Segment(c, d, s, kind)
	if kind&ValidRST != 0 && c.flags&wasReset == 0 {
		c.flags |= wasReset
		if d == 1 {
			c.flags |= resetBy1
		}
	}
}

// feed puts a segment without the RST flag to its place.
func (t *Table[S]) feed(c *Conn[S], d wire.Dir, s *Segment, kind Kind) {
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	x.meet(s)
	var ok, again bool
	if s.Flags&wire.SYN != 0 {
		again = x.flags&sawSYN != 0 && s.Seq == x.ISN
		ok = again || x.syn(y, s)
	} else if x.flags&started != 0 {
		ok = x.accepts(y, s)
	} else if ok = !x.beforeSYN(y, s); ok {
		x.join(s)
	}
	seq := s.Seq // of the first byte
	if s.Flags&wire.SYN != 0 {
		seq = seq.Add(1)
	}
	end := seq.Add(s.Len)
	if !ok || x.flags&sawFIN != 0 && s.Len > 0 && x.finSeq.Less(end) { // no byte comes after the FIN
		t.Stats.OutOfWindow++
		t.h.Segment(c, d, s, kind|OutOfWindow)
		return
	}
	kind |= t.classify(x, y, s, seq)
	if (x.pend != 0 || s.Flags&(wire.URG|wire.SYN) != 0) && t.ambiguous(x, y, s, seq, kind) {
		kind |= Ambiguous
		t.Stats.Ambiguous++
	}
	if again && kind&NewData == 0 {
		kind |= Retransmission
	}
	if kind&Retransmission != 0 {
		t.Stats.Retransmitted++
	}
	if s.Flags&wire.ACK != 0 {
		if y.acked(s.Ack) {
			kind |= AckedUnseen
		}
		if y.probeTime != 0 && y.probeEnd.LessEq(s.Ack) {
			if rtt := s.Time - y.probeTime; rtt >= 0 && (x.MinRTT < 0 || rtt < x.MinRTT) {
				x.MinRTT = rtt
			}
			y.probeTime = 0
		}
	}
	x.Window = x.windowAs(s)
	if kind&(Retransmission|Overlap|OutOfOrder) != 0 {
		// Karn: an answer to either copy proves nothing, nor does one that had
		// to wait for a hole to fill.
		if x.probeTime != 0 && s.Seq.Less(x.probeEnd) {
			x.probeTime = 0
		}
	} else if x.probeTime == 0 && (kind&(NewData|NewFIN) != 0 || s.Flags&wire.SYN != 0) {
		x.probeTime, x.probeEnd = max(s.Time, 1), s.End()
	}
	if s.Len > 0 {
		x.OptionLen = uint8(len(s.Options))
		if s.Len > len(s.Payload) {
			t.Stats.CutSegments++
			if t.Stats.FirstCut == 0 {
				t.Stats.FirstCut = s.Frame
			}
		}
	}
	if c.flags&wasReset != 0 && kind&NewData != 0 {
		t.revive(c, d, s)
	}

	t.h.Segment(c, d, s, kind)

	fin := kind&NewFIN != 0
	if fin {
		if x.flags |= sawFIN; end.Less(x.Max) {
			t.dropBeyond(x, end)
		}
		x.finSeq, x.Max = end, end.Add(1)
	} else if x.Max.Less(end) && x.flags&sawFIN == 0 {
		x.Max = end
		if x.flags&ackable != 0 && end.Sub(x.Acked) > maxBehind {
			x.Acked = end.Add(-maxBehind) // its acknowledgements are not captured
		}
	}
	if fin || x.Nxt.Less(end) {
		t.data(c, d, s, seq, fin)
	}
}

// revive takes a RST back whose sender goes on: it was forged, or the other
// side did not accept it (RFC 5961 §3).
func (t *Table[S]) revive(c *Conn[S], d wire.Dir, s *Segment) {
	by := wire.Dir(0)
	if c.flags&resetBy1 != 0 {
		by = 1
	}
	if d == by && s.Time-(c.endAt-int64(lingerTime)) > int64(Patience) {
		t.unlinger(c)
		c.flags &^= wasReset | resetBy1
	}
}

// meet notes a side's first segment. Without a SYN its ISN is guessed as
// Wireshark does, to tell a late SYN from that of another connection.
func (s *Stream) meet(seg *Segment) {
	if s.flags&(sawAny|based) == sawAny|based {
		return
	}
	s.flags |= sawAny
	if s.flags&based == 0 {
		s.flags |= based
		s.ISN = seg.Seq
		if seg.Flags&wire.SYN == 0 {
			s.ISN = seg.Seq.Add(-1)
		}
	}
}

// acceptsRST reports whether a RST ends the connection: its sequence number
// lies in what the receiver may still expect (RFC 9293 §3.5.3), or, before a
// connection stands, it answers a SYN.
func (s *Stream) acceptsRST(peer *Stream, seg *Segment) bool {
	if s.flags&started == 0 {
		// Nothing known of the sender: a refusal, or a capture that began late.
		return peer.flags&sawSYN == 0 || seg.Flags&wire.ACK == 0 || peer.ISN.Less(seg.Ack)
	}
	low := s.Nxt
	if s.flags&ackable != 0 {
		low = s.Acked
		if s.Max.Less(low) {
			low = s.Max
		}
	}
	window := int(max(peer.Window, 65535))
	return low.LessEq(seg.Seq) && seg.Seq.LessEq(s.Max.Add(window))
}

// syn takes a SYN or SYN-ACK other than the one known, if any, and reports
// whether it can belong to the stream.
func (s *Stream) syn(peer *Stream, seg *Segment) bool {
	first := seg.Seq.Add(1)
	switch {
	case s.flags&sawSYN != 0:
		// A server may choose again, but not once its choice was taken up.
		if s.ISN.Add(1) != s.Max || s.flags&ackable != 0 {
			return false
		}
		s.Nxt, s.Max = first, first
	case s.flags&started != 0:
		// Its own data overtook the SYN: what was delivered stays so.
		if ahead := s.Nxt.Sub(first); ahead < 0 || ahead > maxAhead {
			return false
		}
	default:
		s.flags |= started
		s.Nxt, s.Max = first, first
		s.checkAcked()
	}
	s.flags |= sawSYN
	s.flags &^= scaled
	peer.flags &^= scaled
	s.ISN, s.MSS, s.wscale = seg.Seq, 0, -1
	it := wire.Options(seg.Options) // as the loop's own it would be copied for each turn
	for it.Next() {
		if n, ok := it.MSS(); ok {
			s.MSS = uint16(n)
		}
		if n, ok := it.WindowScale(); ok {
			s.wscale = int8(n)
		}
	}
	if s.wscale >= 0 && peer.wscale >= 0 {
		s.flags |= scaled
		peer.flags |= scaled
	}
	return true
}

// beforeSYN reports whether a segment is a bare FIN to a client that has sent
// its SYN and waits for the answer. It is forged, or of an older connection,
// and the client drops it (RFC 9293 §3.10.7.3).
func (s *Stream) beforeSYN(peer *Stream, seg *Segment) bool {
	return seg.Flags&wire.FIN != 0 && seg.Len == 0 && peer.flags&sawSYN != 0 && s.flags&ackable == 0
}

// join begins to follow a side in mid-stream, or a side whose SYN was missed.
func (s *Stream) join(seg *Segment) {
	s.flags |= started
	s.Nxt = seg.Seq
	s.checkAcked()
	probe := seg.Len <= 1 && seg.Flags&wire.FIN == 0
	if s.flags&ackable != 0 {
		// The other side acknowledged up to Acked before: what lies between is
		// missing, unless the packets were shuffled. A probe repeats the last
		// byte.
		if gap := seg.Seq.Sub(s.Acked); gap > 0 || gap == -1 && probe {
			s.Nxt = s.Acked
		}
	} else if probe {
		s.Nxt = seg.Seq.Add(seg.Len) // a single byte is a keep-alive, most likely
		if seg.Len == 0 {
			s.flags |= probed
		}
	}
	s.Max = s.Nxt
}

// checkAcked forgets an acknowledgement that came before the stream began and
// is nowhere near it.
func (s *Stream) checkAcked() {
	if d := s.Acked.Sub(s.Nxt); d > maxAhead || d < -maxAhead {
		s.flags &^= ackable
	}
}

// acked takes an acknowledgement of the side's bytes and reports whether it
// covers bytes that the capture has not seen.
func (s *Stream) acked(ack wire.Seq) (unseen bool) {
	if s.flags&based == 0 {
		s.flags |= based
		s.ISN = ack.Add(-1)
	}
	if s.flags&started != 0 && s.Max.Less(ack) {
		if ack.Sub(s.Max) > maxBehind || s.flags&sawFIN != 0 {
			return true // no receiver can have got that
		}
		if s.flags&(sawSYN|probed) == probed && s.Nxt == s.Max && s.Nxt == s.ISN.Add(1) && ack == s.Nxt.Add(1) {
			// Nothing but this side's first segment is known, empty and one
			// short of what the other side has: it was a keep-alive.
			s.Nxt, s.Max = ack, ack
		} else {
			unseen = true
		}
	}
	if s.flags&ackable == 0 || s.Acked.Less(ack) {
		s.flags |= ackable
		s.Acked = ack
	}
	return unseen
}

// accepts reports whether a segment without SYN and RST can belong to the
// stream.
func (s *Stream) accepts(peer *Stream, seg *Segment) bool {
	ahead, limit := seg.Seq.Sub(s.Nxt), maxAhead
	if ahead > 0 && s.hole() {
		ahead = seg.Seq.Sub(s.Acked)
	}
	if peer.flags&sawAny == 0 {
		limit = maxBehind // no acknowledgement will tell
	}
	if s.flags&sawSYN != 0 && seg.Seq.Less(s.ISN) && s.ISN.Less(s.Nxt) {
		return false // of an older connection, or one that a forged SYN put an end to here
	}
	return ahead <= limit && ahead >= -maxBehind && (seg.Flags&wire.FIN == 0 || s.acceptsFIN(peer, seg.Seq.Add(seg.Len)))
}

// acceptsFIN reports whether a FIN at seq may be the stream's: where the window
// is known it lies within. Of bytes no more is asked than that they are near,
// as the acknowledgement that opened the window may be missing.
func (s *Stream) acceptsFIN(peer *Stream, seq wire.Seq) bool {
	if s.flags&peer.flags&sawSYN == 0 {
		return true // the window's scale is not known
	}
	edge := s.Max
	if s.flags&ackable != 0 {
		edge = edge.Max(s.Acked)
	}
	return seq.LessEq(edge.Add(int(max(peer.Window, 65535))))
}

// classify says what a segment without RST, whose bytes begin at seq, is to
// its stream.
func (t *Table[S]) classify(x, y *Stream, s *Segment, seq wire.Seq) Kind {
	n, end := s.Len, seq.Add(s.Len)
	if s.Flags&(wire.FIN|wire.SYN) == 0 {
		if n <= 1 && s.Seq.Add(1) == x.Max && (s.Seq != x.ISN || x.flags&sawSYN == 0) {
			// Repeats the last byte, or stands for it. A last byte not yet
			// acknowledged is sent again for its own sake.
			closed := y.flags&sawAny != 0 && y.Window == 0
			if n == 0 || s.Seq.Less(x.Nxt) && (closed || x.flags&ackable == 0 || x.Max.LessEq(x.Acked)) {
				if closed {
					return ZeroWindowProbe
				}
				return KeepAlive
			}
		}
		if n == 0 {
			if s.Flags&wire.ACK == 0 {
				return 0
			}
			if y.flags&ackable != 0 && s.Ack == y.Acked {
				if x.windowAs(s) == x.Window {
					return PureACK | DuplicateACK
				}
				return PureACK | WindowUpdate
			}
			return PureACK
		}
		if n == 1 && y.flags&sawAny != 0 && y.Window == 0 && seq == x.Max {
			return ZeroWindowProbe
		}
	}
	var k Kind
	if s.Flags&wire.FIN != 0 && x.flags&sawFIN == 0 && x.Nxt.LessEq(end) &&
		!(x.flags&ackable != 0 && end.Add(1).Less(x.Acked)) {
		k = NewFIN
	}
	switch {
	case n > 0:
		if x.pend == 0 && seq == x.Nxt && x.Max.LessEq(seq) {
			return k | NewData
		}
		known, first := t.known(x, seq, end)
		switch {
		case known == n:
			return k | Retransmission
		case known > 0:
			k |= Overlap
		}
		if k |= NewData; first != x.Max && (x.pend != 0 || first != x.Nxt) {
			k |= OutOfOrder
		}
	case k == 0 && s.Flags&wire.SYN == 0:
		k = Retransmission // of the FIN
	case seq != x.Max:
		k |= OutOfOrder
	}
	return k
}

// ambiguous reports whether receivers may read the bytes of a segment, or those
// before it, differently.
func (t *Table[S]) ambiguous(x, y *Stream, s *Segment, seq wire.Seq, k Kind) bool {
	switch {
	case s.Flags&wire.URG != 0 && s.Len > 0:
		return true
	case s.Flags&(wire.SYN|wire.ACK) == wire.SYN|wire.ACK:
		// The other side's SYN carried bytes that were not taken: they are sent
		// again, perhaps others.
		return y.flags&sawSYN != 0 && s.Ack == y.ISN.Add(1) && s.Ack.Less(y.Max)
	}
	return k&(Retransmission|Overlap) != 0 && x.pend != 0 && t.contradicts(x, seq, s.Payload)
}

// contradicts reports whether b, which begins at seq, differs from what is held
// back.
func (t *Table[S]) contradicts(x *Stream, seq wire.Seq, b []byte) bool {
	end := seq.Add(len(b))
	for i := x.pend; i != 0; i = t.pieces.list[i].next {
		p := &t.pieces.list[i]
		if !p.seq.Less(end) {
			break
		}
		from, to := p.seq.Max(seq), p.seq.Add(len(p.bytes))
		if end.Less(to) {
			to = end
		}
		if from.Less(to) && !bytes.Equal(p.bytes[from.Sub(p.seq):to.Sub(p.seq)], b[from.Sub(seq):to.Sub(seq)]) {
			return true
		}
	}
	return false
}

// windowAs returns the window that seg advertises, in bytes.
func (s *Stream) windowAs(seg *Segment) uint32 {
	w := uint32(seg.Window)
	if s.flags&scaled != 0 && seg.Flags&wire.SYN == 0 {
		w <<= uint(s.wscale)
	}
	return w
}
