package lifecycle

import (
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// resend follows data that is sent again until it is acknowledged, and keeps
// the longest time that took.
type resend struct {
	longest span
	cur     span // n is 0 while nothing waits
	end     wire.Seq
	dir     wire.Dir
}

// span is a time in which data was sent again n times.
type span struct {
	from, to int64
	n        int32
}

// again follows what is sent again. What is acknowledged within MinIdle is
// everyday loss, and forgotten.
func (s *State) again(p *Pool, d wire.Dir, seg *reassembly.Segment, k reassembly.Kind) {
	if k&reassembly.Retransmission != 0 && seg.Len > 0 && seg.Flags&wire.SYN == 0 {
		if s.resend == 0 {
			s.resend = p.resends.get()
		}
		r := p.resends.at(s.resend)
		if r.cur.n == 0 {
			r.cur.from, r.end, r.dir = seg.Time, seg.Seq.Add(1), d
			if m := &s.lastData[d]; m.frame != 0 {
				r.cur.from = min(r.cur.from, m.time)
			}
		}
		if d == r.dir && seg.Seq.Less(r.end) {
			r.cur.n++
			r.cur.to = seg.Time
		}
		return
	}
	if s.resend == 0 {
		return
	}
	r := p.resends.at(s.resend)
	if r.cur.n == 0 || d == r.dir || seg.Flags&(wire.ACK|wire.RST) != wire.ACK || seg.Ack.Less(r.end) {
		return
	}
	r.cur.to = seg.Time
	if r.cur.to-r.cur.from > max(r.longest.to-r.longest.from, int64(MinIdle)) {
		r.longest = r.cur
	}
	if r.cur = (span{}); r.longest.n == 0 {
		p.resends.drop(&s.resend)
	}
}

// resent describes the longest time so far.
func (r *resend) resent() Resent {
	x := r.cur
	if r.longest.to-r.longest.from > x.to-x.from {
		x = r.longest
	}
	return Resent{From: x.from, To: x.to, Times: int(x.n)}
}
