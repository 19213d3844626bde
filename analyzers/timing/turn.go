package timing

import (
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// Turn is a run of client data followed by a run of server data. It stands
// for a transaction where messages are cut or encrypted, and shows how the
// response's bytes came.
type Turn struct {
	Index               uint32     // on its connection, from 0
	ReqFirst, ReqLast   http1.Mark // Seq is where each segment begins
	RespFirst, RespLast http1.Mark // Frame 0 while the server has not answered
	ReqBytes, RespBytes int64

	// Idle is how long neither side had sent data before the turn; for the
	// first turn, since the handshake.
	Idle time.Duration
	RTT  time.Duration // both legs' smallest round trips added, -1 if unknown

	// Flights are the bursts of the response: new data after a gap of at
	// least 0.8 RTT begins another. Growing says that each but the last was
	// larger than the one before, as in slow start (RFC 5681 §3.1).
	Flights                            int
	Growing                            bool
	FirstFlight, LastFlight, MaxFlight int64 // bytes
	// EarlierMax is the largest flight of the connection's earlier turns.
	EarlierMax int64
	// AckClocked says that each flight but the first followed at once on the
	// first acknowledgement of the one before, as when the congestion window
	// was what held it back.
	AckClocked bool
	// Handshake says that the turn belongs to a TLS handshake. First marks the
	// first of a connection that does not.
	Handshake, First bool
	// Retransmitted says that some of the response was sent again.
	Retransmitted bool
}

// turns follows the turn under way.
type turns struct {
	t        Turn
	flight   int64    // bytes of the flight under way
	previous int64    // of the one before
	lastData int64    // capture time
	best     int64    // largest flight of earlier turns
	ackAt    int64    // capture time at which the flight under way was first acknowledged, 0 for not yet
	begin    wire.Seq // of the flight under way
	client   bool     // client data begun
}

// clockSlack is how late a sender may follow an acknowledgement and still be
// said to have waited for it; on long paths a tenth of the round trip.
const clockSlack = 3 * time.Millisecond

// minFlightRTT is the shortest round trip at which gaps between segments can
// be told from a busy sender.
const minFlightRTT = 2 * time.Millisecond

// acked takes an acknowledgement of the client's.
func (s *turns) acked(seg *reassembly.Segment) {
	if s.t.RespFirst.Frame != 0 && s.ackAt == 0 && s.begin.Less(seg.Ack) {
		s.ackAt = seg.Time
	}
}

// segment takes a segment that carries new data. It returns true with the
// finished turn in out when the segment begins another. leg is the smallest
// round trip to the server.
func (s *turns) segment(side http1.Side, seg *reassembly.Segment, rtt, leg time.Duration, out *Turn) (done bool) {
	m := http1.Mark{Time: seg.Time, Frame: seg.Frame, Seq: seg.Seq, Ack: seg.Ack}
	t := &s.t
	if side == http1.Client {
		if t.RespFirst.Frame != 0 {
			done = s.finish(rtt, out)
		}
		if !s.client {
			s.client = true
			t.ReqFirst = m
			if s.lastData != 0 {
				t.Idle = time.Duration(seg.Time - s.lastData)
			}
		}
		t.ReqLast = m
		t.ReqBytes += int64(seg.Len)
		s.lastData = seg.Time
		return done
	}
	switch {
	case t.RespFirst.Frame == 0:
		t.RespFirst = m
		t.Flights, t.Growing, t.AckClocked = 1, true, true
		s.flight, s.previous = 0, 0
		s.begin, s.ackAt = seg.Seq, 0
	case rtt >= minFlightRTT && seg.Time-t.RespLast.Time >= int64(rtt)*8/10:
		s.endFlight(false)
		t.Flights++
		if s.ackAt == 0 || time.Duration(seg.Time-s.ackAt)-leg > max(clockSlack, rtt/10) {
			t.AckClocked = false
		}
		s.begin, s.ackAt = seg.Seq, 0
	}
	s.flight += int64(seg.Len)
	t.RespLast = m
	t.RespBytes += int64(seg.Len)
	s.lastData = seg.Time
	return done
}

// endFlight takes in the size of the flight under way.
func (s *turns) endFlight(last bool) {
	t := &s.t
	if t.Flights == 1 {
		t.FirstFlight = s.flight
	}
	if !last && t.Flights > 1 && s.flight <= s.previous {
		t.Growing = false
	}
	t.MaxFlight = max(t.MaxFlight, s.flight)
	t.LastFlight = s.flight
	s.previous, s.flight = s.flight, 0
}

// finish ends the turn under way.
func (s *turns) finish(rtt time.Duration, out *Turn) bool {
	if s.t.ReqFirst.Frame == 0 && s.t.RespFirst.Frame == 0 {
		return false
	}
	if s.t.RespFirst.Frame != 0 {
		s.endFlight(true)
	}
	*out = s.t
	out.RTT, out.EarlierMax = rtt, s.best
	s.best = max(s.best, out.MaxFlight)
	s.t = Turn{Index: out.Index + 1}
	s.client = false
	return true
}

// Turns follows the turns of one connection.
type Turns struct{ s *turns }

// Pool keeps what ended connections leave for the next. It serves one
// goroutine.
type Pool struct {
	turns []*turns
	shuts []*shut
}

func (p *Pool) get() *turns {
	if n := len(p.turns); n > 0 {
		s := p.turns[n-1]
		p.turns = p.turns[:n-1]
		return s
	}
	return &turns{}
}

func (p *Pool) drop(s *turns) {
	*s = turns{}
	p.turns = append(p.turns, s)
}

// Segment takes a segment that side sent, before its bytes are delivered. It
// returns true with out filled in when the segment ends a turn.
func (t *Turns) Segment(p *Pool, side http1.Side, streams *[2]reassembly.Stream, d wire.Dir, seg *reassembly.Segment, k reassembly.Kind, out *Turn) bool {
	if k&reassembly.Retransmission != 0 && side == http1.Server && t.s != nil && seg.Len > 0 {
		t.s.t.Retransmitted = true
	}
	if t.s != nil && side == http1.Client && seg.Flags&(wire.ACK|wire.RST) == wire.ACK && k&reassembly.OutOfWindow == 0 {
		t.s.acked(seg)
	}
	if k&reassembly.NewData == 0 || k&(reassembly.ZeroWindowProbe|reassembly.OutOfWindow) != 0 || seg.Len == 0 {
		return false
	}
	if t.s == nil {
		t.s = p.get()
	}
	return t.s.segment(side, seg, RTT(streams), time.Duration(max(streams[d].MinRTT, 0)), out)
}

// Close ends the turn under way, if there is one, and returns true with out
// filled in.
func (t *Turns) Close(p *Pool, streams *[2]reassembly.Stream, out *Turn) bool {
	s := t.s
	if s == nil {
		return false
	}
	done := s.finish(RTT(streams), out)
	p.drop(s)
	t.s = nil
	return done
}

// RTT returns the sum of both legs' smallest round trips, -1 while one is
// unknown.
func RTT(streams *[2]reassembly.Stream) time.Duration {
	if streams[0].MinRTT < 0 || streams[1].MinRTT < 0 {
		return -1
	}
	return time.Duration(streams[0].MinRTT + streams[1].MinRTT)
}
