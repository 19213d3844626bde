package html

import (
	"cmp"
	"fmt"
	"time"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
	"github.com/connlint/connlint/rules/keepalive"
)

// maxMarks is how many marks of a pair are kept of each kind: the first.
const maxMarks = 1 << 9

// Mark is what a timeline shows of a connection besides its use: a message
// that waited for a delayed acknowledgement, or a request that met a server
// which had closed the idle connection.
type Mark struct {
	Time  int64 // of the bytes that came late, or of the request
	Frame uint64
	Conn  uint64        // first frame of the connection
	Span  time.Duration // that the message waited, or the connection was idle
	Race  bool
}

func (m *Mark) title() string {
	if m.Race {
		return fmt.Sprint("frame ", m.Frame) + ": a request met a server that had closed the connection, idle for " + duration(m.Span)
	}
	return fmt.Sprint("frame ", m.Frame) + ": waited " + report.Duration(int64(m.Span)) + " for an acknowledgement"
}

// Marks are those of one pair.
type Marks struct{ List accum.SmallestN[Mark] }

func markOrder(a, b Mark) int {
	return cmp.Or(cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.Time, b.Time), cmp.Compare(a.Span, b.Span))
}

func (a Marks) add(m Mark) Marks {
	a.List = a.List.Add(m, maxMarks, markOrder)
	return a
}

func (a Marks) merge(b Marks) Marks {
	a.List = a.List.Merge(b.List, maxMarks, markOrder)
	return a
}

// stalling is the aggregate that keeps when messages stalled.
type stalling struct{ Min time.Duration }

// Key returns the pair of a stall that lasted.
func (s stalling) Key(f *rules.StallFact) (rules.Pair, bool) {
	if f.Disturbed || f.AckDelay < s.Min || !f.ClientKnown {
		return rules.Pair{}, false
	}
	return f.Pair(), true
}

// Add notes a stall.
func (stalling) Add(a Marks, f *rules.StallFact) Marks {
	return a.add(Mark{Time: f.Next.Time, Frame: f.Next.Frame, Conn: f.ID, Span: f.AckDelay})
}

// Merge returns the stalls of both.
func (stalling) Merge(a, b Marks) Marks { return a.merge(b) }

// Judge does nothing: the rules judge.
func (stalling) Judge(*rules.Pass, rules.Pair, Marks) {}

// racing is the aggregate that keeps which requests met a close.
type racing struct{}

// Key returns the pair of a request that met a close.
func (racing) Key(f *rules.UsageFact) (rules.Pair, bool) {
	if f.Transaction == nil || !f.ClientKnown {
		return rules.Pair{}, false
	}
	_, met := keepalive.Met(f.Conn(), f.Transaction)
	return f.Pair(), met
}

// Add notes a request.
func (racing) Add(a Marks, f *rules.UsageFact) Marks {
	idle, _ := keepalive.Met(f.Conn(), f.Transaction)
	at := f.Transaction.Req.First
	return a.add(Mark{Time: at.Time, Frame: at.Frame, Conn: f.ID, Span: idle, Race: true})
}

// Merge returns the races of both.
func (racing) Merge(a, b Marks) Marks { return a.merge(b) }

// Judge does nothing: the rules judge.
func (racing) Judge(*rules.Pass, rules.Pair, Marks) {}
