package timing

import (
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// Closure is a time during which a side's receive window was closed (RFC 9293
// §3.8.6.1).
type Closure struct {
	Receiver http1.Side // whose window it is
	From     http1.Mark // its segment that closed the window
	To       http1.Mark // its segment that opened it; Frame 0 if none did
	Duration time.Duration
	Probes   int // zero-window probes met meanwhile
}

// Windows follows the receive windows of one connection.
type Windows struct{ shut [2]*shut }

type shut struct {
	from   http1.Mark
	probes int
}

// Segment takes a segment. It returns true with out filled in, but for
// Receiver, when the segment opens a window that was closed.
func (w *Windows) Segment(p *Pool, d wire.Dir, seg *reassembly.Segment, k reassembly.Kind, out *Closure) bool {
	if s := w.shut[d.Flip()]; s != nil {
		switch {
		case k&reassembly.ZeroWindowProbe != 0:
			s.probes++
		case k&reassembly.NewData != 0 && seg.Len > 1 && s.from.Ack.Less(seg.Seq.Add(seg.Len)):
			// The sender goes on: the capture missed the window's opening.
			w.shut[d.Flip()] = nil
			p.shuts = append(p.shuts, s)
		}
	}
	if k&reassembly.OutOfWindow != 0 || seg.Flags&(wire.RST|wire.SYN) != 0 {
		return false
	}
	s := w.shut[d]
	switch {
	case seg.Window == 0 && s == nil:
		if n := len(p.shuts); n > 0 {
			s, p.shuts = p.shuts[n-1], p.shuts[:n-1]
		} else {
			s = &shut{}
		}
		*s = shut{from: http1.Mark{Time: seg.Time, Frame: seg.Frame, Seq: seg.Seq, Ack: seg.Ack}}
		w.shut[d] = s
	case seg.Window != 0 && s != nil:
		w.shut[d] = nil
		p.shuts = append(p.shuts, s)
		*out = Closure{From: s.from, To: http1.Mark{Time: seg.Time, Frame: seg.Frame, Seq: seg.Seq, Ack: seg.Ack},
			Duration: time.Duration(seg.Time - s.from.Time), Probes: s.probes}
		return true
	}
	return false
}

// Close returns true with out filled in if the window of the side sending in
// direction d is still closed at the connection's last segment.
func (w *Windows) Close(p *Pool, d wire.Dir, last int64, out *Closure) bool {
	s := w.shut[d]
	if s == nil {
		return false
	}
	w.shut[d] = nil
	p.shuts = append(p.shuts, s)
	*out = Closure{From: s.from, Duration: time.Duration(last - s.from.Time), Probes: s.probes}
	return true
}
