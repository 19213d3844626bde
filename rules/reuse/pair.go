// Package reuse reports connections that need not have been opened, and those
// that are of no use.
package reuse

import (
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
)

// web reports whether a connection carried HTTP/1 or TLS that is not known to
// hold anything else.
func web(c *lifecycle.Conn) bool {
	return c.Protocol == http1.HTTP1 || c.Protocol == http1.TLS && !c.TLS.HTTP2()
}

// closed returns when a connection was first ended by a side, 0 while it had
// not.
func closed(c *lifecycle.Conn) int64 {
	switch c.Outcome {
	case lifecycle.StillOpen:
		for i := range c.End {
			if e := &c.End[i]; e.Acked == e.Nxt.Add(1) {
				return c.Last // one byte that was not captured is acknowledged: its FIN
			}
		}
		return 0
	case lifecycle.HalfClosed, lifecycle.Evicted:
		return 0
	}
	if e := ending(&c.End[c.First]); e.Seen() {
		return e.Time
	}
	return c.Last
}

// ending returns a side's first FIN or RST.
func ending(e *lifecycle.End) *lifecycle.Mark {
	if e.FIN.Seen() && (!e.RST.Seen() || e.FIN.Frame <= e.RST.Frame) {
		return &e.FIN
	}
	return &e.RST
}
