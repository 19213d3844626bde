package lifecycle

import (
	"net/netip"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// State is what is remembered of one connection while it lives. It is kept
// small, as a capture may hold a million; what only the end of a connection
// needs is in a closing, taken from a pool.
type State struct {
	// First what each segment changes or asks for.
	segments, retrans   [2]uint32
	lastFrame           uint64
	lastTime            int64  // capture time of the latest segment
	longest             int64  // longest silence, nanoseconds
	closing             uint32 // index in the pool, 0 for none
	idle                uint32 // index of an afterIdle in the pool, 0 for none
	resend              uint32 // index of a resend in the pool, 0 for none
	Requests, Responses uint32 // heads met
	answered            uint32
	Missing             Evidence // beyond what the connection itself shows
	clientDir           wire.Dir
	clientBy            roleBy
	syns                [2]uint8
	stray               bool // the pool has an Unsolicited of it
	established         mark

	lastData, firstData [2]mark
	bytes               [2]int64
	syn                 [2]mark
	last                Exchange
}

// roleBy says how it is known who the client is.
type roleBy uint8

const (
	byFirst   roleBy = iota // by the first segment: a guess
	byContent               // its bytes parse as a request, or the other's as a response
	bySYN
)

// mark is a Mark in fewer bytes: the frame is counted from the connection's
// first.
type mark struct {
	time     int64
	frame    uint32 // frame − first frame + 1, 0 for none
	seq, ack wire.Seq
	hasAck   bool
}

// closing holds what the end of a connection is judged by.
type closing struct {
	fin, finAcked, rst [2]mark
	rsts               [2]int32
}

// afterIdle follows data sent after silence until it is acknowledged.
type afterIdle struct {
	data, resent mark
	end          wire.Seq
	idle         int64
	n, resends   int32
	dir          wire.Dir
	spoke        bool
}

// Pool keeps what few of one goroutine's connections need.
type Pool struct {
	closings slots[closing]
	idles    slots[afterIdle]
	resends  slots[resend]

	stray map[uint64]Unsolicited // by first frame of the connection
}

// slots holds values by index, so that a connection keeps four bytes for what
// it rarely has. Index 0 stands for none.
type slots[T any] struct {
	list []T
	free []uint32
}

// get returns the index of a zero value.
func (s *slots[T]) get() uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	if len(s.list) == 0 {
		s.list = make([]T, 1, 64)
	}
	var zero T
	s.list = append(s.list, zero)
	return uint32(len(s.list) - 1)
}

// at returns the value with an index. It is valid until the next get.
func (s *slots[T]) at(i uint32) *T { return &s.list[i] }

// drop gives a value back, if there is one, and clears its index.
func (s *slots[T]) drop(i *uint32) {
	if *i != 0 {
		var zero T
		s.list[*i] = zero
		s.free = append(s.free, *i)
		*i = 0
	}
}

// Release gives back what the connection, whose first frame is id, took from
// the pool.
func (s *State) Release(p *Pool, id uint64) {
	if s.stray {
		delete(p.stray, id)
		s.stray = false
	}
	p.closings.drop(&s.closing)
	p.idles.drop(&s.idle)
	p.resends.drop(&s.resend)
}

// Answered takes in a transaction whose final response is complete.
func (s *State) Answered(t *http1.Transaction) {
	s.answered++
	span := Span{From: t.Req.Last.Time, To: t.Resp.Last.Time, Frame: t.Resp.Last.Frame, Index: t.Index}
	if prev := &s.last; t.Req.Bits.Any(http1.Pipelined) && prev.Index+1 == t.Index && prev.RespEnd.Frame != 0 {
		span.From = max(span.From, prev.RespEnd.Time)
		if slow := prev.Slowest; slow.To-slow.From > span.To-span.From {
			span = slow
		}
	}
	x := &s.last // each field by itself: a literal of that size is made aside and copied
	x.Index, x.Method, x.Slowest = t.Index, t.Method, span
	x.ReqBits, x.ReqStart, x.ReqEnd, x.ReqVersion = t.Req.Bits, t.Req.First, t.Req.Last, t.Req.Version
	x.RespBits, x.RespStart, x.RespEnd, x.Version = t.Resp.Bits, t.Resp.First, t.Resp.Last, t.Resp.Version
	x.KeepAliveTimeout, x.KeepAliveMax = t.Resp.KeepAliveTimeout, t.Resp.KeepAliveMax
	x.Status, x.Framing = t.Resp.Status, t.Resp.Framing
}

// Unsolicited takes in a response that no request was outstanding for, on the
// connection whose first frame is id.
func (s *State) Unsolicited(p *Pool, id uint64, t *http1.Transaction) {
	if p.stray == nil {
		p.stray = map[uint64]Unsolicited{}
	}
	s.stray = true
	u := p.stray[id]
	if u.Count++; u.Count == 1 {
		u.First, u.Last, u.Bits, u.Status, u.Before = t.Resp.First, t.Resp.Last, t.Resp.Bits, t.Resp.Status, s.last
	}
	p.stray[id] = u
}

// silence follows what comes after a time without any segment.
func (s *State) silence(p *Pool, id uint64, d wire.Dir, seg *reassembly.Segment, k reassembly.Kind) {
	since := int64(0)
	if s.lastTime != 0 {
		since = seg.Time - s.lastTime
		s.longest = max(s.longest, since)
	}
	s.lastTime = max(s.lastTime, seg.Time)
	if since >= int64(MinIdle) && k&reassembly.NewData != 0 && k&reassembly.ZeroWindowProbe == 0 && seg.Len > 0 {
		if s.idle == 0 {
			s.idle = p.idles.get()
		}
		*p.idles.at(s.idle) = afterIdle{data: s.mark(id, seg), end: seg.Seq.Add(1), idle: since, n: int32(seg.Len), dir: d}
		return
	}
	if s.idle == 0 {
		return
	}
	a := p.idles.at(s.idle)
	if d == a.dir {
		if k&reassembly.Retransmission != 0 && seg.Seq.LessEq(a.data.seq) && a.data.seq.Less(seg.Seq.Add(seg.Len)) {
			a.resends++
			a.resent = s.mark(id, seg)
		}
		return
	}
	a.spoke = true
	if seg.Flags&(wire.ACK|wire.RST) == wire.ACK && a.end.LessEq(seg.Ack) {
		p.idles.drop(&s.idle) // it arrived: nothing to remember
	}
}

// Client returns the direction in which the client sends, and whether that is
// more than a guess.
func (s *State) Client() (wire.Dir, bool) { return s.clientDir, s.clientBy != byFirst }

// ClientBySYN reports whether the client is known by its SYN.
func (s *State) ClientBySYN() bool { return s.clientBy == bySYN }

// SetClient says that the side sending in direction d is the client, as its
// bytes show. A SYN is stronger evidence and stands.
func (s *State) SetClient(d wire.Dir) {
	if s.clientBy == byFirst {
		s.clientDir, s.clientBy = d, byContent
	}
}

// LastExchange returns the last answered transaction, as a record would. It is
// borrowed: valid until the next one is answered.
func (s *State) LastExchange() *Exchange { return &s.last }

// LastData returns the frame of the last data that a side of the connection
// whose first frame is id sent, 0 for none.
func (s *State) LastData(id uint64, side http1.Side) uint64 {
	var m Mark
	s.lastData[wire.Dir(side)^s.clientDir].full(id, &m)
	return m.Frame
}

// Side returns who sends in direction d.
func (s *State) Side(d wire.Dir) http1.Side { return http1.Side(d ^ s.clientDir) }

func (s *State) mark(id uint64, seg *reassembly.Segment) (m mark) {
	m.set(id, seg)
	return m
}

// set makes m the mark of seg, in place: made aside it would be copied.
func (m *mark) set(id uint64, seg *reassembly.Segment) {
	m.time, m.frame, m.seq, m.ack, m.hasAck = seg.Time, uint32(seg.Frame-id)+1, seg.Seq, seg.Ack, seg.Flags&wire.ACK != 0
}

// Segment takes a segment of the connection whose first frame is id, as
// reassembly.Handler's Segment does.
func (s *State) Segment(p *Pool, id uint64, streams *[2]reassembly.Stream, d wire.Dir, seg *reassembly.Segment, k reassembly.Kind) {
	if k&reassembly.First != 0 {
		s.clientDir = d
		if seg.Flags&(wire.SYN|wire.ACK) == wire.SYN|wire.ACK {
			s.clientDir, s.clientBy = d.Flip(), bySYN
		}
	}
	s.lastFrame = seg.Frame
	s.segments[d]++
	s.silence(p, id, d, seg, k)
	if s.resend != 0 || k&reassembly.Retransmission != 0 {
		s.again(p, d, seg, k)
	}
	if seg.Flags&wire.SYN != 0 {
		if s.syn[d].frame == 0 {
			s.syn[d].set(id, seg)
		}
		if s.syns[d] < 255 {
			s.syns[d]++
		}
		switch {
		case seg.Flags&wire.ACK != 0:
			s.clientDir, s.clientBy = d.Flip(), bySYN
		case s.clientBy != bySYN:
			// In a simultaneous open the first SYN's sender counts as client.
			s.clientDir, s.clientBy = d, bySYN
		}
	} else if s.established.frame == 0 && s.syn[0].frame != 0 && s.syn[1].frame != 0 && d == s.clientDir &&
		seg.Flags&(wire.RST|wire.ACK) == wire.ACK {
		s.established.set(id, seg)
	}
	if k&reassembly.Retransmission != 0 {
		s.retrans[d]++
	}
	if k&reassembly.NewData != 0 && k&reassembly.ZeroWindowProbe == 0 && seg.Len > 0 {
		if s.firstData[d].frame == 0 {
			s.firstData[d].set(id, seg)
		}
		s.lastData[d].set(id, seg)
		s.bytes[d] += int64(seg.Len)
	}
	if s.closing != 0 && seg.Flags&wire.ACK != 0 {
		c := p.closings.at(s.closing)
		o := d.Flip()
		if c.fin[o].frame != 0 && c.finAcked[o].frame == 0 && seg.Flags&wire.RST == 0 && c.fin[o].seq.Less(seg.Ack) {
			c.finAcked[o].set(id, seg)
		}
	}
	if k&(reassembly.NewFIN|reassembly.ValidRST) == 0 {
		return
	}
	if s.closing == 0 {
		s.closing = p.closings.get()
	}
	c := p.closings.at(s.closing)
	fin := seg.Seq
	if k&reassembly.NewFIN != 0 {
		fin = seg.Seq.Add(seg.Len)
		c.fin[d].set(id, seg)
		c.fin[d].seq = fin
	}
	if k&reassembly.ValidRST != 0 {
		if c.rst[d].frame == 0 {
			c.rst[d].set(id, seg)
			c.rst[d].seq = fin
		}
		c.rsts[d]++
	}
}

// Record fills c with the connection's record. why is how its table let go of
// it; live is true while it has not.
func Record[S any](s *State, p *Pool, conn *reassembly.Conn[S], why reassembly.CloseReason, live bool, proto http1.Protocol, c *Conn) {
	cd := s.clientDir
	flow := conn.Key
	if cd == 1 {
		flow = flow.Reverse()
	}
	*c = Conn{} // and filled in place: a literal of that size is made aside and copied
	c.ID, c.Client, c.Server, c.ClientKnown = conn.ID, flow.Source(), flow.Dest(), s.clientBy != byFirst
	c.Missing, c.Protocol = s.Missing, proto
	c.Start, c.Last, c.Until, c.LastFrame = conn.Start, conn.Last, conn.Last, s.lastFrame
	s.established.full(conn.ID, &c.Established)
	c.Requests, c.Responses, c.Answered = s.Requests, s.Responses, s.answered
	c.LastResponse, c.LastExchange, c.LongestIdle = s.last.RespEnd, s.last, time.Duration(s.longest)
	if s.idle != 0 {
		a := p.idles.at(s.idle)
		c.AfterIdle = AfterIdle{Side: s.Side(a.dir), Idle: time.Duration(a.idle), Len: int(a.n), Retransmits: int(a.resends), Spoke: a.spoke}
		a.data.full(conn.ID, &c.AfterIdle.Data)
		a.resent.full(conn.ID, &c.AfterIdle.LastSent)
	}
	if s.resend != 0 {
		c.Resent = p.resends.at(s.resend).resent()
	}
	c.Before = before(conn.Prev, cd)
	if s.stray {
		c.Unsolicited = p.stray[conn.ID]
	}
	if conn.MidStream() {
		c.Missing |= MidStream
	}
	if conn.OneDirection() && !(conn.Streams[0].SYN() || conn.Streams[1].SYN()) {
		c.Missing |= OneDirection
	}
	var end *closing
	if s.closing != 0 {
		end = p.closings.at(s.closing)
	}
	for side := range c.End {
		d := wire.Dir(side) ^ cd
		st, e := &conn.Streams[d], &c.End[side]
		s.syn[d].full(conn.ID, &e.SYN)
		s.firstData[d].full(conn.ID, &e.FirstData)
		s.lastData[d].full(conn.ID, &e.LastData)
		e.ISN, e.SYNs = st.ISN, int(s.syns[d])
		e.Bytes, e.Segments, e.Retransmits = s.bytes[d], int64(s.segments[d]), int64(s.retrans[d])
		e.LegRTT, e.MSS, e.Nxt, e.Acked = time.Duration(st.MinRTT), int(st.MSS), st.Max, st.Acked
		if !st.Acknowledged(st.Acked) {
			e.Acked = st.ISN
		}
		if end != nil {
			end.fin[d].full(conn.ID, &e.FIN)
			end.finAcked[d].full(conn.ID, &e.FINAcked)
			end.rst[d].full(conn.ID, &e.RST)
			e.RSTs = int(end.rsts[d])
		}
	}
	if c.oneSidedHandshake() {
		c.Missing |= OneDirection
	}
	for side := range c.End {
		if c.endNotSeen(side, &conn.Streams[wire.Dir(side)^cd], live) {
			c.Missing |= Gap
		}
	}
	c.First = c.firstToEnd()
	c.Outcome = c.outcome(why, live)
}

// oneSidedHandshake reports whether one side opened and went on while nothing
// of the other was captured: a SYN that nobody answered is no sign of that.
func (c *Conn) oneSidedHandshake() bool {
	for side := range c.End {
		e, o := &c.End[side], &c.End[1-side]
		if o.Segments == 0 && e.SYN.Seen() && e.Segments > int64(e.SYNs) {
			return true
		}
	}
	return false
}

// endNotSeen reports whether the other side acknowledged what the capture lacks
// of this side's last bytes: perhaps its FIN. While the connection lives they
// may still come.
func (c *Conn) endNotSeen(side int, st *reassembly.Stream, live bool) bool {
	e, rst := &c.End[side], &c.End[1-side].RST
	if e.FIN.Seen() || e.Segments == 0 {
		return false
	}
	after := st.Nxt.Add(1)
	return !live && st.Acknowledged(after) || rst.Seen() && rst.HasAck && after.LessEq(rst.Ack) && rst.Ack.LessEq(e.Nxt.Add(1))
}

// firstToEnd returns the side that ended the connection first: that whose FIN
// or RST the other's end acknowledges, or, where neither knew of the other,
// whose came first in the capture.
func (c *Conn) firstToEnd() http1.Side {
	a, b := c.End[http1.Client].ending(), c.End[http1.Server].ending()
	switch {
	case !b.Seen():
		return http1.Client
	case !a.Seen():
		return http1.Server
	case b.HasAck && c.End[http1.Client].FIN.Seen() && c.End[http1.Client].FIN.Seq.Less(b.Ack):
		return http1.Client
	case a.HasAck && c.End[http1.Server].FIN.Seen() && c.End[http1.Server].FIN.Seq.Less(a.Ack):
		return http1.Server
	case b.Frame < a.Frame:
		return http1.Server
	}
	return http1.Client
}

// ending returns the side's first FIN or RST.
func (e *End) ending() Mark {
	if e.FIN.Seen() && (!e.RST.Seen() || e.FIN.Frame <= e.RST.Frame) {
		return e.FIN
	}
	return e.RST
}

func (c *Conn) outcome(why reassembly.CloseReason, live bool) Outcome {
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	switch {
	case cl.RST.Seen() || sv.RST.Seen():
		if cl.SYN.Seen() && !sv.SYN.Seen() && sv.RST.Seen() && sv.Bytes == 0 && cl.Segments == int64(cl.SYNs) {
			return Refused
		}
		return Reset
	case cl.FIN.Seen() && sv.FIN.Seen():
		return Finished
	case live:
		return StillOpen
	case cl.SYN.Seen() && sv.Segments == 0 && cl.Segments == int64(cl.SYNs):
		return NoAnswer
	case why == reassembly.TupleReused:
		return Replaced
	case why == reassembly.IdleTooLong || why == reassembly.TableFull:
		return Evicted
	case cl.FIN.Seen() || sv.FIN.Seen():
		return HalfClosed
	}
	return StillOpen
}

// full fills the zero Mark to, if there is a mark.
func (m *mark) full(id uint64, to *Mark) {
	if m.frame != 0 {
		to.Time, to.Frame, to.Seq, to.Ack, to.HasAck = m.time, id+uint64(m.frame)-1, m.seq, m.ack, m.hasAck
	}
}

// Ends returns the connection's addresses as the record would.
func Ends(key *wire.Flow, client wire.Dir) (c, s netip.AddrPort) {
	if client == 1 {
		return key.Dest(), key.Source()
	}
	return key.Source(), key.Dest()
}

// The bits of a memo: what is remembered of a connection for the next one on
// the same addresses and ports.
const (
	memoTimeWait0 = 1 << iota // who sent in direction 0 holds TIME_WAIT
	memoTimeWait1
	memoFinished
)

// Memo returns what to remember of an ended connection.
func (c *Conn) Memo(client wire.Dir) (memo uint8) {
	for side := range c.End {
		if c.HoldsTimeWait(http1.Side(side)) {
			memo |= memoTimeWait0 << (wire.Dir(side) ^ client)
		}
	}
	if c.Outcome == Finished {
		memo |= memoFinished
	}
	return memo
}

func before(p reassembly.Prev, client wire.Dir) Before {
	return Before{ID: p.ID, Last: p.Last, Finished: p.Memo&memoFinished != 0, TimeWait: [2]bool{
		p.Memo&(memoTimeWait0<<client) != 0, p.Memo&(memoTimeWait0<<client.Flip()) != 0}}
}
