package reassembly

import (
	"github.com/connlint/connlint/capture/wire"
)

// Bounds on sequence numbers that can belong to a stream: how far before what
// was delivered, and how far after. RFC 7323 allows windows up to 1 GiB; a
// capture that misses more than maxAhead in one piece starts afresh when the
// other side acknowledges it.
const (
	maxBehind = 1 << 30
	maxAhead  = 64 << 20
)

// Feed takes the next segment in capture order. Its slices are borrowed until
// Feed returns.
func (t *Table[S]) Feed(s *Segment) {
	t.Stats.Segments++
	if now := max(s.Now, s.Time); now > t.now {
		t.now = now
		t.expire()
	}
	key, d := s.Flow.Canonical()
	hash := uint32(s.Hash)
	var c *Conn[S]
	var ref uint32
	kind := Kind(0)
	var prev Prev
	i, ok := t.find(&key, hash)
	switch {
	case ok && t.slots[i].ref&isTomb != 0:
		b := t.tombs.at(t.slots[i].ref &^ isTomb)
		if !b.begins(s, d) {
			t.Stats.Late++
			return
		}
		prev = b.prev
		t.unearth(i)
		i, _ = t.find(&key, hash)
		c, kind = t.begin(i, &key, hash, s), First
	case ok:
		ref = t.slots[i].ref
		c = t.at(ref)
		if c.replacedBy(s, d) {
			prev = t.close(c, ref, TupleReused, false)
			i, _ = t.find(&key, hash)
			c, kind = t.begin(i, &key, hash, s), First
		}
	default:
		c, kind = t.begin(i, &key, hash, s), First
	}
	if kind&First != 0 {
		c.Prev = prev
	}
	if s.Time > c.Last {
		c.Last = s.Time
	}
	t.feed(c, d, s, kind)
	switch {
	case c.flags&lingering != 0:
	case c.flags&wasReset != 0:
		t.linger(c, t.refOf(c))
	case c.Finished():
		if c.Holding() || c.Streams[0].hole() || c.Streams[1].hole() {
			t.linger(c, t.refOf(c))
		} else {
			t.close(c, t.refOf(c), Ended, true)
		}
	}
}

// begin opens a connection at slot i, making room first if the table is full.
func (t *Table[S]) begin(i uint32, key *wire.Flow, hash uint32, s *Segment) *Conn[S] {
	if t.live >= t.opts.MaxConns {
		t.makeRoom()
		i, _ = t.find(key, hash)
	}
	return t.open(i, key, hash, s)
}

// begins reports whether s starts another connection on the addresses of an
// ended one: a SYN with another ISN, or data far from the old sequence
// numbers.
func (b *tomb) begins(s *Segment, d wire.Dir) bool {
	if s.Flags&wire.RST != 0 {
		return false
	}
	if s.Flags&wire.SYN != 0 {
		return s.Flags&wire.ACK == 0 || !b.syn[d] || s.Seq != b.isn[d]
	}
	far := s.Seq.Sub(b.end[d])
	return s.Len > 0 && (far > 1<<20 || far < -(1<<24))
}

// replacedBy reports whether s begins another connection on c's addresses
// (RFC 9293 §3.10.7.4 leaves it to the ISN; so does Wireshark's tcp.stream).
func (c *Conn[S]) replacedBy(s *Segment, d wire.Dir) bool {
	if s.Flags&(wire.SYN|wire.RST) != wire.SYN {
		return false
	}
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	if s.Flags&wire.ACK == 0 {
		if x.flags&sawSYN != 0 {
			ended := c.flags&wasReset != 0 || x.flags&sawFIN != 0 || y.flags&sawFIN != 0
			return s.Seq != x.ISN || ended
		}
		// Without a SYN of this side on record: of the same connection only
		// if its numbers fit, as when the SYN-ACK overtook the SYN.
		return x.flags&started != 0 || y.flags&started != 0 && !(y.flags&sawSYN != 0 && x.flags&ackable != 0 && s.Seq.Add(1) == x.Acked)
	}
	// A SYN-ACK with another ISN answers another SYN, unless it answers the
	// one on record: a server may choose again while the first got lost.
	if x.flags&sawSYN == 0 {
		return x.flags&started != 0
	}
	return s.Seq != x.ISN && !(y.flags&sawSYN != 0 && s.Ack == y.ISN.Add(1) && !x.hasData())
}

// hasData reports whether any byte of the side beyond its SYN was seen.
func (s *Stream) hasData() bool { return s.flags&started != 0 && s.ISN.Add(1).Less(s.Max) }

// hole reports whether the other side has acknowledged bytes not delivered.
func (s *Stream) hole() bool {
	return s.flags&(ackable|started) == ackable|started && s.Nxt.Less(s.Acked)
}

// feed puts one segment of c to its place.
func (t *Table[S]) feed(c *Conn[S], d wire.Dir, s *Segment, kind Kind) {
	x, y := &c.Streams[d], &c.Streams[d.Flip()]
	if s.Flags&wire.RST != 0 {
		if x.acceptsRST(y, s) {
			kind |= ValidRST
		} else {
			kind |= OutOfWindow
			t.Stats.OutOfWindow++
		}
		x.flags |= sawAny
		t.h.Segment(c, d, s, kind)
		if kind&ValidRST != 0 {
			c.flags |= wasReset
		}
		t.advance(c, s)
		return
	}

	x.flags |= sawAny
	switch {
	case s.Flags&wire.SYN != 0:
		kind |= x.syn(y, s)
	case x.flags&started == 0:
		x.join(s)
		fallthrough
	default:
		kind |= x.classify(y, s)
	}
	if kind&OutOfWindow != 0 {
		t.Stats.OutOfWindow++
		t.h.Segment(c, d, s, kind)
		return
	}
	if kind&Retransmission != 0 {
		t.Stats.Retransmitted++
		if s.Seq.Less(x.probeEnd) {
			x.probeTime = 0 // Karn: an answer to either copy proves nothing
		}
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
	x.Window = uint32(s.Window)
	if s.Flags&wire.SYN == 0 && x.flags&scaled != 0 {
		x.Window <<= uint(x.wscale)
	}
	end := s.End()
	if x.probeTime == 0 && kind&(Overlap|OutOfOrder|Retransmission) == 0 &&
		(kind&(NewData|NewFIN) != 0 || s.Flags&wire.SYN != 0) {
		x.probeTime, x.probeEnd = max(s.Time, 1), end
	}
	if s.Len > 0 {
		x.OptionLen = uint8(len(s.Options))
	}

	t.h.Segment(c, d, s, kind)

	if x.Max.Less(end) && kind&(KeepAlive|ZeroWindowProbe) == 0 {
		x.Max = end
	}
	if kind&NewFIN != 0 {
		x.flags |= sawFIN
		x.finSeq = s.Seq.Add(s.Len)
	}
	if s.Len > len(s.Payload) {
		t.Stats.CutSegments++
		if t.Stats.FirstCut == 0 {
			t.Stats.FirstCut = s.Frame
		}
	}
	if s.Len > 0 && kind&KeepAlive == 0 || kind&NewFIN != 0 {
		t.data(c, d, s)
	}
	t.advance(c, s)
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

// syn takes a SYN or SYN-ACK and says what it is to the stream.
func (s *Stream) syn(peer *Stream, seg *Segment) Kind {
	if s.flags&sawSYN != 0 && (seg.Seq == s.ISN || s.hasData()) {
		return Retransmission
	}
	s.flags |= sawSYN | started
	s.ISN, s.Nxt, s.Max = seg.Seq, seg.Seq.Add(1), seg.Seq.Add(1)
	s.MSS, s.wscale = 0, -1
	for it := wire.Options(seg.Options); it.Next(); {
		if n, ok := it.MSS(); ok {
			s.MSS = uint16(n)
		}
		if n, ok := it.WindowScale(); ok {
			s.wscale = int8(min(n, 14)) // RFC 7323 §2.3
		}
	}
	if s.wscale >= 0 && peer.wscale >= 0 {
		s.flags |= scaled
		peer.flags |= scaled
	}
	if seg.Len > 0 {
		return NewData // Fast Open (RFC 7413)
	}
	return 0
}

// join begins to follow a side in mid-stream, or a side whose SYN was missed.
func (s *Stream) join(seg *Segment) {
	s.flags |= started
	s.Nxt = seg.Seq
	if s.flags&ackable != 0 {
		// The other side acknowledged up to Acked before: what lies between is
		// missing, unless the packets were shuffled. A probe repeats the last
		// byte.
		if gap := seg.Seq.Sub(s.Acked); gap > 0 && gap < maxAhead || gap == -1 && seg.Len <= 1 {
			s.Nxt = s.Acked
		}
	}
	s.Max = s.Nxt
}

// acked takes an acknowledgement of the side's bytes and reports whether it
// covers bytes that the capture has not seen.
func (s *Stream) acked(ack wire.Seq) bool {
	if s.flags&ackable == 0 {
		s.flags |= ackable
		s.Acked = ack
		return s.flags&started != 0 && s.Max.Less(ack)
	}
	if s.Acked.Less(ack) && ack.Sub(s.Acked) < maxBehind {
		s.Acked = ack
	}
	return s.flags&started != 0 && s.Max.Less(ack)
}

// classify says what a segment without SYN and RST is to its stream.
func (s *Stream) classify(peer *Stream, seg *Segment) Kind {
	n, end := seg.Len, seg.Seq.Add(seg.Len)
	ahead := seg.Seq.Sub(s.Nxt)
	if ahead > maxAhead && !(s.flags&ackable != 0 && seg.Seq.LessEq(s.Acked)) || ahead < -maxBehind {
		return OutOfWindow
	}
	var k Kind
	if seg.Flags&wire.FIN != 0 {
		if s.flags&sawFIN == 0 {
			k = NewFIN
		} else if n == 0 {
			return Retransmission
		}
	}
	if s.flags&sawFIN != 0 && s.finSeq.Less(end) {
		return OutOfWindow // bytes after the FIN
	}
	if n <= 1 && seg.Flags&wire.FIN == 0 && seg.Seq.Add(1) == s.Max && seg.Seq != s.ISN &&
		(n == 0 || seg.Seq.Less(s.Nxt)) {
		if peer.Window == 0 && peer.flags&sawAny != 0 {
			return ZeroWindowProbe
		}
		return KeepAlive
	}
	switch {
	case n == 0:
		if k != 0 {
			return k
		}
		k = PureACK
		if s.flags&ackable != 0 && seg.Flags&wire.ACK != 0 && peer.flags&ackable != 0 && seg.Ack == peer.Acked {
			if s.windowAs(seg) == s.Window {
				k |= DuplicateACK
			} else {
				k |= WindowUpdate
			}
		}
	case n == 1 && peer.Window == 0 && peer.flags&sawAny != 0 && !seg.Seq.Less(s.Max):
		k |= ZeroWindowProbe
	case end.LessEq(s.Max):
		// In a hole it lets the stream move on, but says nothing that was not
		// said before, to this side or past the capture point.
		if k |= Retransmission; s.Nxt.Less(end) {
			k |= OutOfOrder
		}
	case seg.Seq.Less(s.Max):
		k |= Overlap | NewData
	default:
		k |= NewData
		if s.Max.Less(seg.Seq) {
			k |= OutOfOrder
		}
	}
	return k
}

// windowAs returns the window that seg advertises, scaled like s.Window.
func (s *Stream) windowAs(seg *Segment) uint32 {
	w := uint32(seg.Window)
	if s.flags&scaled != 0 {
		w <<= uint(s.wscale)
	}
	return w
}
