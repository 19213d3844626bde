package html

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules/runner"
)

// What of a connection a ladder shows: its beginning, and the segments around
// those that the finding names.
const (
	ladderHead   = 4
	ladderAround = 8
	ladderRows   = 60
	maxNotes     = 200                   // characters beside a segment
	longWait     = 20 * time.Millisecond // a wait that is set off
)

// Ladder is a connection drawn segment by segment.
type Ladder struct {
	Caption            string
	Client, ClientPort string
	Server, ServerPort string
	Rungs              []rung
}

// rung is a segment, or so many left out.
type rung struct {
	LeftOut, Time, Wait, Frame, Label, Notes string
	Hit, Long, FromServer                    bool
}

// DrawLadder draws the connection t for a finding with those frames, nil if no
// segment of it is known. A negative t.Number says that its number is not.
func DrawLadder(t *runner.Trace, frames []uint64) *Ladder {
	if len(t.Rows) == 0 {
		return nil
	}
	named := map[uint64]bool{}
	for _, f := range frames {
		named[f] = true
	}
	l := &Ladder{Client: host(t.Conn.Client), ClientPort: fmt.Sprint(t.Conn.Client.Port()), Server: host(t.Conn.Server),
		ServerPort: fmt.Sprint(t.Conn.Server.Port()), Caption: "The finding's frames are marked."}
	if t.Number >= 0 {
		l.Caption = fmt.Sprintf("Connection %d (tcp.stream eq %d). The finding's frames are marked.", t.Number, t.Number)
	}
	last := -1
	for _, k := range shown(t.Rows, named) {
		if k < 0 {
			l.Rungs = append(l.Rungs, rung{LeftOut: report.Count(-k, "segment") + " left out"})
			continue
		}
		r := &t.Rows[k]
		g := rung{Time: fmt.Sprintf("%.6f", float64(r.Time-t.Rows[0].Time)/1e9), Frame: fmt.Sprint(r.Frame),
			Label: report.Label(r), Notes: clip(report.Notes(r), maxNotes), Hit: named[r.Frame], FromServer: r.Side == http1.Server}
		if last >= 0 {
			wait := r.Time - t.Rows[last].Time
			g.Wait, g.Long = "+"+report.Duration(wait), wait >= int64(longWait)
		}
		last = k
		l.Rungs = append(l.Rungs, g)
	}
	return l
}

// host writes an address as it stands before a port.
func host(a netip.AddrPort) string {
	if a.Addr().Is4() {
		return a.Addr().String()
	}
	return "[" + a.Addr().String() + "]"
}

// shown returns the rows to show by index, and -n where n are left out.
func shown(rows []runner.Row, named map[uint64]bool) []int {
	keep := make([]bool, len(rows))
	left := ladderRows
	take := func(i int) {
		if i >= 0 && i < len(rows) && !keep[i] && left > 0 {
			keep[i] = true
			left--
		}
	}
	for i := range rows {
		if named[rows[i].Frame] {
			take(i)
		}
	}
	for i := range ladderHead {
		take(i)
	}
	for away := 1; away <= ladderAround; away++ {
		for i := range rows {
			if named[rows[i].Frame] {
				take(i - away)
				take(i + away)
			}
		}
	}
	var out []int
	skipped := 0
	for i, k := range keep {
		if !k {
			skipped++
			continue
		}
		if skipped > 0 {
			out = append(out, -skipped)
			skipped = 0
		}
		out = append(out, i)
	}
	if skipped > 0 {
		out = append(out, -skipped)
	}
	return out
}
