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
	established       mark
	syn               [2]mark
	firstData         [2]mark
	lastData          [2]mark
	bytes             [2]int64
	segments, retrans [2]uint32
	lastFrame         uint64
	closing           uint32 // index in the pool, 0 for none
	syns              [2]uint8
	Requests          uint32
	Responses         uint32
	Answered          uint32
	LastResponse      http1.Mark
	Missing           Evidence // beyond what the connection itself shows
	clientDir         wire.Dir
	clientBy          roleBy
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

// Pool keeps the closings of one goroutine's connections.
type Pool struct {
	list []closing
	free []uint32
}

func (p *Pool) get() uint32 {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		return i
	}
	if len(p.list) == 0 {
		p.list = make([]closing, 1, 64)
	}
	p.list = append(p.list, closing{})
	return uint32(len(p.list) - 1)
}

// Release gives back what the connection took from the pool.
func (s *State) Release(p *Pool) {
	if s.closing != 0 {
		p.list[s.closing] = closing{}
		p.free = append(p.free, s.closing)
		s.closing = 0
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

// Side returns who sends in direction d.
func (s *State) Side(d wire.Dir) http1.Side { return http1.Side(d ^ s.clientDir) }

func (s *State) mark(id uint64, seg *reassembly.Segment) mark {
	return mark{time: seg.Time, frame: uint32(seg.Frame-id) + 1, seq: seg.Seq, ack: seg.Ack, hasAck: seg.Flags&wire.ACK != 0}
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
	if seg.Flags&wire.SYN != 0 {
		if s.syn[d].frame == 0 {
			s.syn[d] = s.mark(id, seg)
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
		s.established = s.mark(id, seg)
	}
	if k&reassembly.Retransmission != 0 {
		s.retrans[d]++
	}
	if k&reassembly.NewData != 0 && k&reassembly.ZeroWindowProbe == 0 && seg.Len > 0 {
		m := s.mark(id, seg)
		if s.firstData[d].frame == 0 {
			s.firstData[d] = m
		}
		s.lastData[d] = m
		s.bytes[d] += int64(seg.Len)
	}
	if s.closing != 0 && seg.Flags&wire.ACK != 0 {
		c := &p.list[s.closing]
		o := d.Flip()
		if c.fin[o].frame != 0 && c.finAcked[o].frame == 0 && seg.Flags&wire.RST == 0 && c.fin[o].seq.Less(seg.Ack) {
			c.finAcked[o] = s.mark(id, seg)
		}
	}
	if k&(reassembly.NewFIN|reassembly.ValidRST) == 0 {
		return
	}
	if s.closing == 0 {
		s.closing = p.get()
	}
	c := &p.list[s.closing]
	m := s.mark(id, seg)
	if k&reassembly.NewFIN != 0 {
		m.seq = seg.Seq.Add(seg.Len)
		c.fin[d] = m
	}
	if k&reassembly.ValidRST != 0 {
		if c.rst[d].frame == 0 {
			c.rst[d] = m
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
	*c = Conn{ID: conn.ID, Client: flow.Source(), Server: flow.Dest(), ClientKnown: s.clientBy != byFirst,
		Missing: s.Missing, Protocol: proto, Start: conn.Start, Last: conn.Last, LastFrame: s.lastFrame,
		Established: s.established.full(conn.ID), Requests: s.Requests, Responses: s.Responses,
		Answered: s.Answered, LastResponse: s.LastResponse}
	if conn.MidStream() {
		c.Missing |= MidStream
	}
	if conn.OneDirection() && !(conn.Streams[0].SYN() || conn.Streams[1].SYN()) {
		c.Missing |= OneDirection
	}
	var end *closing
	if s.closing != 0 {
		end = &p.list[s.closing]
	}
	for side := range c.End {
		d := wire.Dir(side) ^ cd
		st, e := &conn.Streams[d], &c.End[side]
		*e = End{ISN: st.ISN, SYN: s.syn[d].full(conn.ID), SYNs: int(s.syns[d]),
			FirstData: s.firstData[d].full(conn.ID), LastData: s.lastData[d].full(conn.ID),
			Bytes: s.bytes[d], Segments: int64(s.segments[d]), Retransmits: int64(s.retrans[d]),
			LegRTT: time.Duration(st.MinRTT), MSS: int(st.MSS), Nxt: st.Max, Acked: st.Acked}
		if end != nil {
			e.FIN, e.FINAcked = end.fin[d].full(conn.ID), end.finAcked[d].full(conn.ID)
			e.RST, e.RSTs = end.rst[d].full(conn.ID), int(end.rsts[d])
		}
	}
	if c.oneSidedHandshake() {
		c.Missing |= OneDirection
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
		if cl.SYN.Seen() && !sv.SYN.Seen() && sv.RST.Seen() && sv.Bytes == 0 {
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

func (m *mark) full(id uint64) Mark {
	if m.frame == 0 {
		return Mark{}
	}
	return Mark{Time: m.time, Frame: id + uint64(m.frame) - 1, Seq: m.seq, Ack: m.ack, HasAck: m.hasAck}
}

// Ends returns the connection's addresses as the record would.
func Ends(key *wire.Flow, client wire.Dir) (c, s netip.AddrPort) {
	if client == 1 {
		return key.Dest(), key.Source()
	}
	return key.Source(), key.Dest()
}
