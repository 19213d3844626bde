package http1

import (
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// How a packed mark follows from another one.
const (
	markNone = iota // the zero mark
	markSame
	markNear
)

// Pack writes m so that it is short if it is near ref.
func (m *Mark) Pack(p *reassembly.Packer, ref *Mark) {
	switch {
	case *m == *ref:
		p.Uint(markSame)
	case *m == Mark{}:
		p.Uint(markNone)
	default:
		p.Uint(markNear)
		p.Int(m.Time - ref.Time)
		p.Int(int64(m.Frame - ref.Frame))
		p.Seq(m.Seq, ref.Seq)
		p.Seq(m.Ack, ref.Ack)
	}
}

// Unpack reads what Pack wrote, into a zero mark.
func (m *Mark) Unpack(u *reassembly.Unpacker, ref *Mark) {
	switch u.Uint() {
	case markSame:
		*m = *ref
	case markNear:
		m.Time = ref.Time + u.Int()
		m.Frame = ref.Frame + uint64(u.Int())
		m.Seq, m.Ack = u.Seq(ref.Seq), u.Seq(ref.Ack)
	}
}

// AtRest reports whether no message is under way and no request waits.
func (s *Session) AtRest() bool {
	return s.head == nil && s.cli == nil && s.srv == nil && s.hist == nil && s.d[0].buf == nil && s.d[1].buf == nil
}

// Near is what numbers of a session about one side are close to: the next
// sequence number, and the last frame with data.
type Near struct {
	Seq   wire.Seq
	Frame uint64
}

// Pack writes a session at rest. near is of each side, and request a mark of
// the last request; the closer, the shorter.
func (s *Session) Pack(p *reassembly.Packer, near *[2]Near, request *Mark) {
	for side := range s.d {
		d := &s.d[side]
		p.Uint(uint64(d.state) | uint64(d.flags)<<8 | uint64(d.sub)<<16)
		p.Int(d.rem)
		p.Seq(d.next, near[side].Seq)
		p.Int(int64(int32(d.frame - uint32(near[side].Frame))))
	}
	p.Uint(bit(s.synced, 0) | bit(s.acked, 1) | bit(s.orphan, 2) | bit(s.last.live, 3) |
		uint64(s.proto)<<8 | uint64(s.doubts)<<16 | uint64(s.last.method)<<24 | uint64(s.queued)<<32)
	s.last.at.Pack(p, request)
	p.Seq(s.last.end, near[Server].Seq)
	p.Seq(s.orphanAck, 0)
	p.Seq(s.cliAck, near[Server].Seq)
	p.Uint(uint64(s.index))
	p.Uint(uint64(s.over))
}

// Unpack reads what Pack wrote, into a zero session.
func (s *Session) Unpack(u *reassembly.Unpacker, near *[2]Near, request *Mark) {
	for side := range s.d {
		d := &s.d[side]
		v := u.Uint()
		d.state, d.flags, d.sub = state(v), dirFlags(v>>8), uint8(v>>16)
		d.rem = u.Int()
		d.next = u.Seq(near[side].Seq)
		d.frame = uint32(near[side].Frame) + uint32(u.Int())
	}
	v := u.Uint()
	s.synced, s.acked, s.orphan, s.last.live = v&1 != 0, v&2 != 0, v&4 != 0, v&8 != 0
	s.proto, s.doubts, s.last.method, s.queued = Protocol(v>>8), Doubt(v>>16), Method(v>>24), uint16(v>>32)
	s.last.at.Unpack(u, request)
	s.last.end = u.Seq(near[Server].Seq)
	s.orphanAck = u.Seq(0)
	s.cliAck = u.Seq(near[Server].Seq)
	s.index = uint32(u.Uint())
	s.over = uint32(u.Uint())
}

// bit returns 1<<n if b holds.
func bit(b bool, n int) uint64 {
	if b {
		return 1 << n
	}
	return 0
}
