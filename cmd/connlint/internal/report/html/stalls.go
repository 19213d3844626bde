package html

import (
	"cmp"
	"time"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
	"github.com/connlint/connlint/rules/reuse"
)

// maxStalls is how many stalls of a pair are kept: the first.
const maxStalls = 1 << 10

// Stall is a message that waited for a delayed acknowledgement.
type Stall struct {
	Time  int64 // of the bytes that came late
	Frame uint64
	Conn  uint64 // first frame of the connection
	Delay time.Duration
}

// Stalls are those of one pair.
type Stalls struct{ List accum.SmallestN[Stall] }

// stalling is the aggregate that keeps when messages stalled.
type stalling struct{ Min time.Duration }

// Key returns the pair of a stall that lasted.
func (s stalling) Key(f *rules.StallFact) (reuse.Pair, bool) {
	return reuse.Pair{Client: f.Conn.Client.Addr(), Server: f.Conn.Server}, f.Conn.ClientKnown && !f.Disturbed && f.AckDelay >= s.Min
}

// Add notes a stall.
func (stalling) Add(a Stalls, f *rules.StallFact) Stalls {
	a.List = a.List.Add(Stall{f.Next.Time, f.Next.Frame, f.Conn.ID, f.AckDelay}, maxStalls, stallOrder)
	return a
}

// Merge returns the stalls of both.
func (stalling) Merge(a, b Stalls) Stalls {
	a.List = a.List.Merge(b.List, maxStalls, stallOrder)
	return a
}

// Judge does nothing: the rules judge.
func (stalling) Judge(*rules.Pass, reuse.Pair, Stalls) {}

func stallOrder(a, b Stall) int {
	return cmp.Or(cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.Time, b.Time), cmp.Compare(a.Delay, b.Delay))
}
