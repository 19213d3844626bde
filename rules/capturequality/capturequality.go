// Package capturequality notes what is wrong with the capture itself. It
// explains why connections could not be judged.
package capturequality

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// note is a finding about the capture.
func note(c *rules.CaptureFacts, frame uint64, message string, measured ...rules.Measure) rules.Finding {
	return rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(frame),
		Time:     c.First,
		Message:  message,
		Side:     "capture",
		Measured: measured,
	}
}

// lacking counts the connections that lack e, and returns the first frame of
// the first.
func lacking(c *rules.CaptureFacts, e lifecycle.Evidence) (n, frame uint64) {
	for what, conns := range c.MissingConns {
		if what&e != 0 {
			n += conns
		}
	}
	return n, c.FirstMissing[e]
}

func figure[T uint64 | int64](name string, v T) rules.Measure {
	return rules.Measure{Name: name, Value: float64(v)}
}

// number spells n with its noun.
func number(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%s %s", rules.Count(int64(n)), many)
}
