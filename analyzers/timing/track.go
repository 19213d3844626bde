package timing

import (
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// minWait is the shortest wait between two writes worth a Stall: no rule
// looks at less.
const minWait = 15 * time.Millisecond

// tellingLeg is the shortest round trip to a sender, in nanoseconds, by which
// its segment can be told to have left before an ACK reached it: below, the
// jitter of capture times hides which was first.
const tellingLeg = int64(6 * time.Millisecond)

// State follows both directions of one connection. Its zero value is ready.
type State struct {
	half [2]half
}

// half is one direction's latest small segment and what became of it.
type half struct {
	first, ack seen
	end        wire.Seq // after first
	firstLen   int32
	stage      stage
	nagleOff   bool
	disturbed  bool
}

type seen struct {
	time     int64
	frame    uint64
	seq, ack wire.Seq
}

func (s *seen) mark() http1.Mark {
	return http1.Mark{Time: s.time, Frame: s.frame, Seq: s.seq, Ack: s.ack}
}

type stage uint8

const (
	quiet stage = iota
	small       // first is sent
	acked       // and covered by a pure ACK, nothing else since
)

// Segment takes a segment before its bytes are delivered. It returns true
// with st filled in when the segment ends a stall: st.Sender, Encrypted and
// whether the stall lies inside a message are the caller's to tell.
func (t *State) Segment(streams *[2]reassembly.Stream, d wire.Dir, s *reassembly.Segment, k reassembly.Kind, st *Stall) bool {
	x, y := &t.half[d], &t.half[d.Flip()]
	if k&reassembly.ValidRST != 0 {
		x.stage, y.stage = quiet, quiet
		return false
	}
	if k&reassembly.OutOfWindow != 0 || s.Flags&wire.SYN != 0 {
		return false
	}

	// What the segment acknowledges of the other direction.
	if y.stage == small && s.Flags&wire.ACK != 0 && y.end.LessEq(s.Ack) {
		switch {
		case y.end.Less(s.Ack):
			y.stage = quiet // it covers more: the other side did not wait, the capture has it late or not at all
		case k&reassembly.PureACK != 0:
			y.stage = acked
			y.ack = seen{s.Time, s.Frame, s.Seq, s.Ack}
			if s.Window == 0 {
				y.disturbed = true
			}
		case s.Len > 0 || k&reassembly.NewFIN != 0:
			y.stage = quiet // answered, not merely acknowledged
		}
	} else if y.stage == acked && k&(reassembly.NewData|reassembly.NewFIN) != 0 {
		y.stage = quiet // the other side spoke: what follows need not have waited
	} else if y.stage != quiet && k&reassembly.PureACK != 0 && s.Window == 0 {
		y.disturbed = true
	}

	if k&reassembly.Retransmission != 0 {
		x.disturbed = true
		return false
	}
	if s.Len == 0 || k&(reassembly.NewData) == 0 || k&reassembly.ZeroWindowProbe != 0 {
		return false
	}
	if k&(reassembly.Overlap|reassembly.OutOfOrder) != 0 {
		x.stage = quiet
		return false
	}

	sx, sy := &streams[d], &streams[d.Flip()]
	mss := effectiveMSS(sx, sy, len(s.Options))
	found := false
	switch x.stage {
	case acked:
		// X cannot have known of the acknowledgement yet: it did not wait.
		if sx.MinRTT >= tellingLeg && s.Time-x.ack.time < sx.MinRTT/2 {
			x.noteSmall(s, mss)
			break
		}
		if s.Time-x.first.time < int64(minWait) {
			break
		}
		if k&reassembly.AckedUnseen != 0 {
			break // the other side spoke, though the capture lacks it
		}
		*st = Stall{First: x.first.mark(), Ack: x.ack.mark(), Next: http1.Mark{Time: s.Time, Frame: s.Frame, Seq: s.Seq, Ack: s.Ack},
			FirstLen: int(x.firstLen), NextLen: s.Len, MSS: mss,
			AckDelay: time.Duration(x.ack.time - x.first.time - max(sy.MinRTT, 0)),
			Release:  time.Duration(s.Time - x.ack.time - max(sx.MinRTT, 0)),
			LegX:     time.Duration(sx.MinRTT), LegY: time.Duration(sy.MinRTT),
			NoSYN: !sx.SYN() && !sy.SYN(), NagleOff: x.nagleOff, Disturbed: x.disturbed}
		found = true
	case small:
		x.noteSmall(s, mss)
	}

	x.stage = quiet
	// What the capture shows acknowledged before it was sent is out of order:
	// its times tell nothing.
	if late := sx.Acknowledged(s.End()); !late && (mss == 0 || s.Len%mss != 0) {
		x.stage = small
		x.first = seen{s.Time, s.Frame, s.Seq, s.Ack}
		x.end = s.Seq.Add(s.Len)
		x.firstLen = int32(s.Len)
		x.disturbed = sy.Window == 0 && sy.Seen()
	}
	return found
}

// noteSmall marks Nagle's algorithm as off when a small segment leaves while
// an earlier small one is not acknowledged (RFC 9293 §3.7.4). The last
// segment before a FIN is never held.
func (h *half) noteSmall(s *reassembly.Segment, mss int) {
	if mss > 0 && s.Len < mss && h.firstLen%int32(mss) != 0 && s.Flags&wire.FIN == 0 && !h.disturbed {
		h.nagleOff = true
	}
}

// effectiveMSS returns the largest payload of a segment from x to y: the
// smaller of both sides' MSS options less the option bytes of x's data
// segments; 0 when no SYN was seen (RFC 9293 §3.7.1, RFC 6691).
func effectiveMSS(x, y *reassembly.Stream, options int) int {
	mss := 0
	for _, s := range [2]*reassembly.Stream{x, y} {
		if s.MSS != 0 && (mss == 0 || int(s.MSS) < mss) {
			mss = int(s.MSS)
		}
	}
	return max(0, mss-options)
}
