package timing

import (
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/reassembly"
)

// Pack writes the state. data marks segments, by direction, that those it
// keeps are near to.
func (t *State) Pack(p *reassembly.Packer, data *[2]http1.Mark) {
	for d := range t.half {
		h := &t.half[d]
		v := uint64(h.stage)
		if h.nagleOff {
			v |= 1 << 2
		}
		if h.disturbed {
			v |= 1 << 3
		}
		p.Uint(v)
		if h.stage == quiet {
			continue // what it was before is over
		}
		first, ack := h.first.mark(), h.ack.mark()
		first.Pack(p, &data[d])
		p.Seq(h.end, first.Seq)
		ack.Pack(p, &http1.Mark{Time: first.Time, Frame: first.Frame, Seq: first.Ack, Ack: h.end})
		p.Int(int64(h.firstLen))
	}
}

// Unpack reads what Pack wrote, into a zero state.
func (t *State) Unpack(u *reassembly.Unpacker, data *[2]http1.Mark) {
	for d := range t.half {
		h := &t.half[d]
		v := u.Uint()
		h.stage, h.nagleOff, h.disturbed = stage(v&3), v&(1<<2) != 0, v&(1<<3) != 0
		if h.stage == quiet {
			continue
		}
		var first, ack http1.Mark
		first.Unpack(u, &data[d])
		h.end = u.Seq(first.Seq)
		ack.Unpack(u, &http1.Mark{Time: first.Time, Frame: first.Frame, Seq: first.Ack, Ack: h.end})
		h.first, h.ack = seen{first.Time, first.Frame, first.Seq, first.Ack}, seen{ack.Time, ack.Frame, ack.Seq, ack.Ack}
		h.firstLen = int32(u.Int())
	}
}

// What the first number of packed turns holds: a bit each for the flags, for
// ackAt being packed and for the figures that are not 0, and then the index.
const (
	turnFlags   = 1
	hasAckAt    = 1 << 7
	turnFigures = 8
	turnIndex   = turnFigures + 12
)

// figures returns the numbers of a turn, most of them 0.
func (s *turns) figures() [12]int64 {
	w := &s.t
	return [12]int64{w.ReqBytes, w.RespBytes, int64(w.Idle), int64(w.RTT), int64(w.Flights), w.FirstFlight, w.LastFlight,
		w.MaxFlight, w.EarlierMax, s.flight, s.previous, s.best}
}

// Pack writes the turn under way and gives its memory back.
func (t *Turns) Pack(p *reassembly.Packer, pool *Pool, client, server *http1.Mark) {
	s := t.s
	if s == nil {
		p.Uint(0)
		return
	}
	w := &s.t
	has := uint64(1)
	for i, b := range [...]bool{w.Growing, w.AckClocked, w.Handshake, w.First, w.Retransmitted, s.client, s.ackAt != 0} {
		if b {
			has |= 1 << (turnFlags + i)
		}
	}
	figures := s.figures()
	for i, n := range figures {
		if n != 0 {
			has |= 1 << (turnFigures + i)
		}
	}
	p.Uint(has | uint64(w.Index)<<turnIndex)
	w.ReqFirst.Pack(p, client)
	w.ReqLast.Pack(p, &w.ReqFirst)
	w.RespFirst.Pack(p, server)
	w.RespLast.Pack(p, &w.RespFirst)
	for _, n := range figures {
		if n != 0 {
			p.Int(n)
		}
	}
	p.Int(s.lastData - w.RespLast.Time)
	if s.ackAt != 0 {
		p.Int(s.ackAt - w.RespLast.Time)
	}
	p.Seq(s.begin, w.RespFirst.Seq)
	pool.drop(s)
	t.s = nil
}

// Unpack reads what Pack wrote, into zero Turns.
func (t *Turns) Unpack(u *reassembly.Unpacker, pool *Pool, client, server *http1.Mark) {
	has := u.Uint()
	if has == 0 {
		return
	}
	s := pool.get()
	t.s = s
	w := &s.t
	for i, b := range [...]*bool{&w.Growing, &w.AckClocked, &w.Handshake, &w.First, &w.Retransmitted, &s.client} {
		*b = has&(1<<(turnFlags+i)) != 0
	}
	w.Index = uint32(has >> turnIndex)
	w.ReqFirst.Unpack(u, client)
	w.ReqLast.Unpack(u, &w.ReqFirst)
	w.RespFirst.Unpack(u, server)
	w.RespLast.Unpack(u, &w.RespFirst)
	var figures [12]int64
	for i := range figures {
		if has&(1<<(turnFigures+i)) != 0 {
			figures[i] = u.Int()
		}
	}
	w.ReqBytes, w.RespBytes, w.Idle, w.RTT = figures[0], figures[1], time.Duration(figures[2]), time.Duration(figures[3])
	w.Flights, w.FirstFlight, w.LastFlight, w.MaxFlight, w.EarlierMax = int(figures[4]), figures[5], figures[6], figures[7], figures[8]
	s.flight, s.previous, s.best = figures[9], figures[10], figures[11]
	s.lastData = w.RespLast.Time + u.Int()
	if has&hasAckAt != 0 {
		s.ackAt = w.RespLast.Time + u.Int()
	}
	s.begin = u.Seq(w.RespFirst.Seq)
}

// Open reports whether no window is closed.
func (w *Windows) Open() bool { return w.shut[0] == nil && w.shut[1] == nil }
