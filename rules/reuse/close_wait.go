package reuse

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// CloseWait reports sides that do not close what the other side has closed.
var CloseWait = &rules.Rule{
	Code: "REU005",
	Name: "close-wait",
	Doc: rules.Doc{
		Title:    "one side closed, and the other keeps its socket in CLOSE_WAIT",
		Severity: rules.Warning,
		Wire: "One side's FIN is acknowledged, nothing is outstanding, and for ten seconds or more the other side sends no FIN. " +
			"Its kernel knows that the connection is over; its program has not closed the socket.",
		Harm: "The socket stays in CLOSE_WAIT until the program closes it or ends: there is no time-out. Descriptors run out, and a pool may hand out the dead connection for the next request.",
		Fix:  "close sockets whose other side has closed: read until end of file and close, let the pool check idle connections",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "Only a stuck worker leaves them: look for blocking modules and full disks."},
			{Program: "haproxy", Text: "timeout client-fin and timeout server-fin; option abortonclose."},
			{Program: "Apache", Text: "As proxy: ttl= of the worker below the back end's idle time-out."},
			{Program: "Node", Text: "Consume responses; on raw sockets handle 'end' and call end() (allowHalfOpen false does it)."},
			{Program: "Java", Text: "Apache HttpClient: evictExpiredConnections() and evictIdleConnections; close responses in try-with-resources."},
			{Program: "Go", Text: "Close res.Body; raw connections: a reader that gets io.EOF must Close."},
			{Program: "Python", Text: "Close sessions and responses (with); idle connections of a requests.Session are checked on next use only: close the session when done."},
		},
		Confirm: "Filter tcp.flags.fin == 1: a connection with one FIN only; on the host that did not send it: ss -tanp state close-wait.",
		Silent: "The other side closed or reset within ten seconds, was still answering, or the capture ended before. " +
			"The FIN was not acknowledged: then the host is gone, not the program asleep.",
		Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.3.2"},
	},
	Absence: true,
	Needs:   lifecycle.OneDirection | lifecycle.Gap,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, sleeper, Waits](sleeping{After: int64(c.CloseWaitAfter)})
	},
}

// sleeper is a side that does not close.
type sleeper struct {
	rules.Pair
	Side http1.Side
}

// sleeping is the aggregate of half-closed connections.
type sleeping struct{ After int64 }

// Waits is what is known of one side of a pair.
type Waits struct {
	Pairs int                // at least so many share the memory
	List  accum.Lowest[Wait] // those that began first
}

// Wait is one socket in CLOSE_WAIT.
type Wait struct {
	From, To int64 // To 0 while it waits
	FIN      uint64
	Conn     uint64
}

// Columns implements accum.Row: sockets are in the order of since when they
// wait.
func (w Wait) Columns() accum.Columns {
	return accum.Columns{w.From, int64(w.FIN), w.To, int64(w.Conn)}
}

// Of implements accum.Row.
func (Wait) Of(c accum.Columns) Wait {
	return Wait{From: c[0], FIN: uint64(c[1]), To: c[2], Conn: uint64(c[3])}
}

// asleep returns the side that has not closed.
func asleep(c *lifecycle.Conn) (side http1.Side, ok bool) {
	side = 1 - c.First
	e := &c.End[c.First]
	return side, e.FIN.Seen() && e.FINAcked.Seen()
}

// Key returns the side that slept, of a connection that the other side has
// closed.
func (g sleeping) Key(c *lifecycle.Conn) (sleeper, bool) {
	side, ok := asleep(c)
	if !ok || !c.ClientKnown || !(web(c) || c.Protocol == http1.Undecided) ||
		c.Missing&(lifecycle.OneDirection|lifecycle.Gap) != 0 || c.LostCount > 0 {
		return sleeper{}, false
	}
	if w := wait(c); w.To != 0 && w.To-w.From < g.After {
		return sleeper{}, false
	}
	return sleeper{rules.PairOf(c), side}, true
}

// wait returns how long the side slept that has not closed.
func wait(c *lifecycle.Conn) Wait {
	side, _ := asleep(c)
	e, o := &c.End[1-side], &c.End[side]
	w := Wait{From: e.FINAcked.Time, FIN: e.FIN.Frame, Conn: c.ID}
	if o.LastData.Seen() && o.LastData.Time > w.From {
		w.From = o.LastData.Time // it was still sending
	}
	switch over := ending(o); {
	case e.RST.Seen() && (!over.Seen() || e.RST.Frame < over.Frame):
		w.To = e.RST.Time
	case over.Seen():
		w.To = over.Time
	case c.Outcome == lifecycle.Replaced:
		w.To = c.Last
	}
	return w
}

// Add notes a connection whose other side slept.
func (sleeping) Add(a Waits, c *lifecycle.Conn) Waits {
	a.List.Add(wait(c), linksOf(a.Pairs))
	return a
}

// Merge returns the connections of both.
func (sleeping) Merge(a, b Waits) Waits {
	a.Pairs = max(a.Pairs, b.Pairs)
	a.List.Merge(b.List, linksOf(a.Pairs))
	return a
}

// Ration implements rules.Rationed.
func (sleeping) Ration(a Waits, pairs int) Waits {
	a.Pairs = pairs
	a.List.Trim(linksOf(pairs))
	return a
}

// Judge reports a side that leaves sockets in CLOSE_WAIT.
func (g sleeping) Judge(p *rules.Pass, k sleeper, a Waits) {
	over := end(p)
	var spans []span
	longest := int64(0)
	f := rules.Finding{Severity: rules.Info, Subject: k.Subject(), Side: "client"}
	for _, w := range a.List.Values() {
		to := w.To
		if to == 0 {
			to = over
		}
		if to-w.From < g.After {
			continue
		}
		spans = append(spans, span{w.From, w.To})
		longest = max(longest, to-w.From)
		if len(f.Frames) < modelFrames {
			f.Frames = append(f.Frames, w.FIN)
		}
		if f.Conn == 0 {
			f.Conn, f.Time = w.Conn, w.From
		}
	}
	if len(spans) == 0 {
		return
	}
	n, _ := peak(spans)
	if n >= p.Config.CloseWaitWarnCount || longest >= int64(p.Config.CloseWaitWarn) {
		f.Severity = rules.Warning
	}
	where := f.Subject.Where()
	if k.Side == http1.Server {
		f.Side = "server"
		where = f.Subject.WhereServer()
	}
	f.Conns = len(spans)
	what := "socket"
	if n > 1 {
		what = "sockets"
	}
	f.Message = fmt.Sprintf("%s: %s %s at once in CLOSE_WAIT, for up to %s", where, rules.Count(int64(n)), what, rules.Span(longest))
	f.Measured = []rules.Measure{
		{Name: "connections", Value: float64(len(spans)), Sum: true},
		{Name: "peak_connections", Value: float64(n)},
		{Name: "longest_s", Value: float64(longest) / 1e9},
	}
	p.Report(f)
}
