package reuse

import (
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// Span is when one connection was open.
type Span struct {
	Open, Close int64 // Close 0 while open
	Idle        int64 // since when it stands reusable, 0 if it does not
	Frame       uint64
}

// Columns implements accum.Row: spans are in the order of their beginnings.
func (s Span) Columns() accum.Columns {
	return accum.Columns{s.Open, int64(s.Frame), s.Close, s.Idle}
}

// Of implements accum.Row.
func (Span) Of(c accum.Columns) Span {
	return Span{Open: c[0], Frame: uint64(c[1]), Close: c[2], Idle: c[3]}
}

// Spans is what is known of one pair.
type Spans struct {
	Pairs int // at least so many share the memory
	List  accum.Lowest[Span]
	N     int64
	Idle  int64 // connections that stand reusable at the end
	Proxy bool  // the client shows itself a proxy
	Cut   bool  // heads are cut or not captured: it may have shown that there
}

// spanning is the aggregate that keeps when a pair's connections were open.
type spanning struct{}

// Shares implements rules.Sharer: a pair's connections are kept once for all
// who judge them.
func (spanning) Shares() any { return spanning{} }

// Key returns the pair of a connection that carried HTTP/1 or TLS.
func (s spanning) Key(c *lifecycle.Conn) (rules.Pair, bool) { return rules.PairOf(c), s.Takes(c) }

// Takes implements rules.Taker.
func (spanning) Takes(c *lifecycle.Conn) bool { return c.ClientKnown && web(c) }

// Add notes a connection.
func (spanning) Add(a *Spans, c *lifecycle.Conn) *Spans {
	a = accum.Made(a)
	a.N++
	a.Proxy = a.Proxy || c.LastExchange.RespEnd.Frame != 0 && c.LastExchange.ReqBits.Any(http1.HasVia|http1.HasForwarded)
	a.Cut = a.Cut || c.Missing&(lifecycle.SnapCut|lifecycle.OneDirection) != 0
	s := Span{Open: c.Start, Close: closed(c), Frame: c.ID}
	if syn := &c.End[http1.Client].SYN; syn.Seen() {
		s.Open, s.Frame = syn.Time, syn.Frame
	}
	if s.Idle = idleSince(c); s.Idle != 0 {
		a.Idle++
	}
	a.List.Add(s, linksOf(a.Pairs))
	return a
}

// Merge returns the connections of both.
func (spanning) Merge(a, b *Spans) *Spans {
	if b == nil {
		return a
	}
	a = accum.Made(a)
	a.N += b.N
	a.Idle += b.Idle
	a.Proxy, a.Cut = a.Proxy || b.Proxy, a.Cut || b.Cut
	a.Pairs = max(a.Pairs, b.Pairs)
	a.List.Merge(b.List, linksOf(a.Pairs))
	return a
}

// Ration implements rules.Rationed.
func (spanning) Ration(a *Spans, pairs int) *Spans {
	a = accum.Made(a)
	a.Pairs = pairs
	a.List.Trim(linksOf(pairs))
	return a
}

// idleSince returns since when a connection that is open at the end of the
// capture stands reusable, 0 if it does not.
func idleSince(c *lifecycle.Conn) int64 {
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	if closed(c) != 0 || cl.FIN.Seen() || sv.FIN.Seen() || c.LostCount > 0 {
		return 0
	}
	x := &c.LastExchange
	switch {
	case c.Protocol == http1.TLS:
		if c.TLS.Done.Frame == 0 || !sv.LastData.Seen() || sv.LastData.Time < cl.LastData.Time || sv.LastData.Frame <= c.TLS.Done.Frame {
			return 0
		}
		return sv.LastData.Time
	case x.RespEnd.Frame == 0 || x.Framing == http1.Switched || (x.ReqBits | x.RespBits).Has(http1.ConnClose):
		return 0
	case (x.Version == 10 || x.ReqVersion == 10) && !x.RespBits.Has(http1.ConnKeepAlive):
		return 0
	}
	return x.RespEnd.Time
}

// end returns the capture's end.
func end(p *rules.Pass) int64 {
	if p.Totals == nil {
		return 0
	}
	return p.Totals.Last
}

// since is how long before b a was.
func since(a, b int64) time.Duration { return time.Duration(b - a) }
