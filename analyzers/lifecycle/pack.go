package lifecycle

import (
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// How a packed mark follows from another one.
const (
	markNone = iota // the zero mark
	markSame
	markNear
)

// pack writes m so that it is short if it is near ref, or with answer near the
// other side's next after ref.
func (m *mark) pack(p *reassembly.Packer, ref *mark, answer bool) {
	seq, ack := ref.seq, ref.ack
	if answer {
		seq, ack = ack, seq
	}
	switch {
	case m.time == ref.time && m.frame == ref.frame && m.seq == seq && m.ack == ack && m.hasAck == ref.hasAck:
		p.Uint(markSame)
	case *m == mark{}:
		p.Uint(markNone)
	default:
		near := uint64(markNear)
		if m.hasAck {
			near |= 1 << 2
		}
		p.Uint(near)
		p.Int(m.time - ref.time)
		p.Int(int64(m.frame) - int64(ref.frame))
		p.Seq(m.seq, seq)
		p.Seq(m.ack, ack)
	}
}

// unpack reads what pack wrote, into a zero mark.
func (m *mark) unpack(u *reassembly.Unpacker, ref *mark, answer bool) {
	seq, ack := ref.seq, ref.ack
	if answer {
		seq, ack = ack, seq
	}
	v := u.Uint()
	switch v & 3 {
	case markSame:
		m.time, m.frame, m.seq, m.ack, m.hasAck = ref.time, ref.frame, seq, ack, ref.hasAck
	case markNear:
		m.hasAck = v&(1<<2) != 0
		m.time = ref.time + u.Int()
		m.frame = uint32(int64(ref.frame) + u.Int())
		m.seq, m.ack = u.Seq(seq), u.Seq(ack)
	}
}

// Which of a state's rarer parts are packed.
const (
	hasPooled = 1 << iota
	hasExchange
	hasSlowest
	hasMore // a side sent more than its first data
)

// Known is what is known of a state's connection without the state.
type Known struct {
	ID, LastFrame uint64 // first and last frame
	Start, Last   int64  // capture time of first and last segment
	Streams       *[2]reassembly.Stream
}

// opening returns what the client's SYN is like, and the answer to it, syn.
func (k *Known) opening(client wire.Dir) mark {
	return mark{time: k.Start, frame: 1, seq: k.Streams[client].ISN}
}

func (k *Known) answer(server wire.Dir, syn *mark) mark {
	return mark{time: syn.time, frame: syn.frame, seq: k.Streams[server].ISN, ack: syn.seq.Add(1)}
}

// latest returns what data of the client's at the end is like.
func (k *Known) latest(client wire.Dir) mark {
	return mark{time: k.Last, frame: uint32(k.LastFrame-k.ID) + 1, seq: k.Streams[client].Nxt, ack: k.Streams[client.Flip()].Nxt}
}

// Pack writes the state of a connection of which the rest is known.
func (s *State) Pack(p *reassembly.Packer, k *Known) {
	has := uint64(0)
	if s.closing|s.idle|s.resend != 0 {
		has |= hasPooled
	}
	if s.last != (Exchange{}) {
		has |= hasExchange
	}
	if s.last.Slowest != s.last.span() {
		has |= hasSlowest
	}
	if s.lastData != s.firstData {
		has |= hasMore
	}
	stray := uint64(0)
	if s.stray {
		stray = 1
	}
	p.Uint(has | uint64(s.clientDir)<<4 | uint64(s.clientBy)<<5 | stray<<7 | uint64(s.syns[0])<<8 | uint64(s.syns[1])<<16 |
		uint64(s.Missing)<<24)
	c, v := s.clientDir, s.clientDir.Flip()
	ref := k.opening(c)
	s.syn[c].pack(p, &ref, false)
	ref = k.answer(v, &s.syn[c])
	s.syn[v].pack(p, &ref, false)
	s.established.pack(p, &s.syn[v], true)
	s.firstData[c].pack(p, &s.established, false)
	s.firstData[v].pack(p, &s.firstData[c], true)
	if has&hasMore != 0 {
		ref = k.latest(c)
		s.lastData[c].pack(p, &ref, false)
		s.lastData[v].pack(p, &s.lastData[c], true)
	}
	for d := range 2 {
		p.Int(s.bytes[d])
		p.Uint(uint64(s.segments[d]))
		p.Uint(uint64(s.retrans[d]))
	}
	p.Int(int64(s.lastFrame - k.LastFrame))
	p.Int(k.Last - s.lastTime)
	p.Int(s.longest)
	p.Uint(uint64(s.Requests))
	p.Uint(uint64(s.Responses))
	p.Uint(uint64(s.answered))
	if has&hasPooled != 0 {
		p.Uint(uint64(s.closing))
		p.Uint(uint64(s.idle))
		p.Uint(uint64(s.resend))
	}
	if has&hasExchange == 0 {
		return
	}
	x := &s.last
	p.Uint(uint64(x.Index))
	p.Uint(uint64(x.ReqBits))
	p.Uint(uint64(x.RespBits))
	data := s.near(c, k.ID)
	x.ReqStart.Pack(p, &data)
	x.ReqEnd.Pack(p, &x.ReqStart)
	data = s.near(v, k.ID)
	x.RespStart.Pack(p, &data)
	x.RespEnd.Pack(p, &x.RespStart)
	p.Int(int64(x.KeepAliveTimeout))
	p.Int(int64(x.KeepAliveMax))
	p.Uint(uint64(x.Status) | uint64(x.ReqVersion)<<16 | uint64(x.Version)<<24 | uint64(x.Framing)<<32 | uint64(x.Method)<<40)
	if has&hasSlowest != 0 {
		p.Int(x.Slowest.From - x.RespEnd.Time)
		p.Int(x.Slowest.To - x.RespEnd.Time)
		p.Int(int64(x.Slowest.Frame - x.RespEnd.Frame))
		p.Uint(uint64(x.Slowest.Index))
	}
}

// Unpack reads what Pack wrote, into a zero state.
func (s *State) Unpack(u *reassembly.Unpacker, k *Known) {
	has := u.Uint()
	s.clientDir, s.clientBy, s.stray = wire.Dir(has>>4&1), roleBy(has>>5&3), has>>7&1 != 0
	s.syns[0], s.syns[1] = uint8(has>>8), uint8(has>>16)
	s.Missing = Evidence(has >> 24)
	c, v := s.clientDir, s.clientDir.Flip()
	ref := k.opening(c)
	s.syn[c].unpack(u, &ref, false)
	ref = k.answer(v, &s.syn[c])
	s.syn[v].unpack(u, &ref, false)
	s.established.unpack(u, &s.syn[v], true)
	s.firstData[c].unpack(u, &s.established, false)
	s.firstData[v].unpack(u, &s.firstData[c], true)
	if has&hasMore != 0 {
		ref = k.latest(c)
		s.lastData[c].unpack(u, &ref, false)
		s.lastData[v].unpack(u, &s.lastData[c], true)
	} else {
		s.lastData = s.firstData
	}
	for d := range 2 {
		s.bytes[d] = u.Int()
		s.segments[d] = uint32(u.Uint())
		s.retrans[d] = uint32(u.Uint())
	}
	s.lastFrame = k.LastFrame + uint64(u.Int())
	s.lastTime = k.Last - u.Int()
	s.longest = u.Int()
	s.Requests, s.Responses, s.answered = uint32(u.Uint()), uint32(u.Uint()), uint32(u.Uint())
	if has&hasPooled != 0 {
		s.closing, s.idle, s.resend = uint32(u.Uint()), uint32(u.Uint()), uint32(u.Uint())
	}
	if has&hasExchange == 0 {
		return
	}
	x := &s.last
	x.Index, x.ReqBits, x.RespBits = uint32(u.Uint()), http1.Bits(u.Uint()), http1.Bits(u.Uint())
	data := s.near(c, k.ID)
	x.ReqStart.Unpack(u, &data)
	x.ReqEnd.Unpack(u, &x.ReqStart)
	data = s.near(v, k.ID)
	x.RespStart.Unpack(u, &data)
	x.RespEnd.Unpack(u, &x.RespStart)
	x.KeepAliveTimeout, x.KeepAliveMax = int32(u.Int()), int32(u.Int())
	w := u.Uint()
	x.Status, x.ReqVersion, x.Version = uint16(w), uint8(w>>16), uint8(w>>24)
	x.Framing, x.Method = http1.Framing(w>>32), http1.Method(w>>40)
	if has&hasSlowest == 0 {
		x.Slowest = x.span()
		return
	}
	x.Slowest.From, x.Slowest.To = x.RespEnd.Time+u.Int(), x.RespEnd.Time+u.Int()
	x.Slowest.Frame, x.Slowest.Index = x.RespEnd.Frame+uint64(u.Int()), uint32(u.Uint())
}

// span returns the time the server spent on the request, none before it.
func (x *Exchange) span() Span {
	return Span{From: x.ReqEnd.Time, To: x.RespEnd.Time, Frame: x.RespEnd.Frame, Index: x.Index}
}

// near returns the last data in direction d as a mark of HTTP's.
func (s *State) near(d wire.Dir, id uint64) http1.Mark {
	var m Mark
	s.lastData[d].full(id, &m)
	return http1.Mark{Time: m.Time, Frame: m.Frame, Seq: m.Seq, Ack: m.Ack}
}

// Near returns marks that what follows the state in a pack is near to: the last
// data in each direction, the last request answered. They are zero where there
// was none.
func (s *State) Near(id uint64) (data [2]http1.Mark, request http1.Mark) {
	return [2]http1.Mark{s.near(0, id), s.near(1, id)}, s.last.ReqStart
}
