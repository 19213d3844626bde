package keepalive

import (
	"cmp"
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// ThinMargin reports clients that reuse connections shortly before their
// server closes them.
var ThinMargin = &rules.Rule{
	Code: "KA011",
	Name: "thin-keep-alive-margin",
	Doc: rules.Doc{
		Title:    "a client reuses connections that its server is about to close",
		Severity: rules.Info,
		Wire: "At least three requests were sent on connections that had been idle for more than 80 % of the server's idle time-out: " +
			"the one in its Keep-Alive field, or the one its own closes show.",
		Harm: "Nothing was lost yet. A little more delay, and the request meets the close (KA001).",
		Fix:  "set the client's idle time-out well below the server's: half of it, or some seconds less",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "As the client of upstreams: keepalive_timeout in the upstream block; as the server: keepalive_timeout above that of the clients."},
			{Program: "haproxy", Text: "pool-purge-delay towards servers; timeout http-keep-alive towards clients."},
			{Program: "Apache", Text: "ttl= on the proxy worker; KeepAliveTimeout."},
			{Program: "Node", Text: "undici: keepAliveTimeoutThreshold; agentkeepalive: freeSocketTimeout; as the server: keepAliveTimeout."},
			{Program: "Java", Text: "Apache HttpClient: setConnectionTimeToLive and evictIdleConnections; java.net.http: jdk.httpclient.keepalive.timeout."},
			{Program: "Go", Text: "Transport.IdleConnTimeout; Server.IdleTimeout."},
			{Program: "Python", Text: "httpx: keepalive_expiry (5 s by default); aiohttp: TCPConnector(keepalive_timeout=...), 15 s by default."},
		},
		Confirm: "Filter http.request && tcp.time_delta > T, with 80 % of the server's time-out in seconds for T.",
		Silent:  "The time-out is neither advertised nor observed. An observed one takes two closes by the server after equal idle times, of connections that the client had not closed. Fewer than three reuses came that late. A request after the advertised time-out is KA004.",
		Refs:    []string{"RFC 9112 §9.5", "RFC 2068 §19.7.1"},
	},
	Needs: blind,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*rules.UsageFact, rules.Pair, Reuses](Margins{Part: c.KeepAliveThinPart, RightAfter: c.KeepAliveRightAfter})
	},
}

// Margins is the aggregate that holds idle times against time-outs.
type Margins struct {
	Part       float64       // of the time-out
	RightAfter time.Duration // a close this soon is no idle time-out
}

// Reuses is what is known of one pair.
type Reuses struct {
	Late      int64 // reuses after more than Part of the advertised time-out, but within it
	LateFirst accum.SmallestN[Reuse]
	// Longest are the longest idle times before reuses without an advertised
	// time-out.
	Longest accum.TopK[Reuse]
	// Timeouts are how long the server kept idle connections before it closed
	// them, the shortest.
	Timeouts accum.SmallestN[int64]
}

// Reuse is a request on a connection that had been idle.
type Reuse struct {
	Frame   uint64
	Time    int64
	Idle    int64 // nanoseconds
	Timeout int32 // advertised, seconds, -1 without
}

// Bounds on what is kept of a pair.
const (
	maxLate     = 3
	maxReuses   = 64
	maxTimeouts = 8
)

// Key returns the pair.
func (m Margins) Key(u *rules.UsageFact) (rules.Pair, bool) { return u.Pair(), m.Takes(u) }

// Takes implements rules.Taker.
func (m Margins) Takes(u *rules.UsageFact) bool {
	if !u.ClientKnown || u.Turn != nil {
		return false
	}
	// Most requests come right after a response: no need to ask for more.
	if t := u.Transaction; t != nil && (!follows(u.Last, t) || t.Req.First.Time-u.Last.RespEnd.Time <= int64(m.RightAfter)) {
		return false
	}
	return u.Conn().Missing&lifecycle.OneDirection == 0
}

// Add notes a reuse, or how long the server kept the connection.
func (m Margins) Add(a Reuses, u *rules.UsageFact) Reuses {
	c, x := u.Conn(), u.Last
	if t := u.Transaction; t != nil {
		if t.Outcome != http1.Answered || t.Req.Bits.Has(http1.Pipelined) || !agreed(x) {
			return a
		}
		r := Reuse{Frame: t.Req.First.Frame, Time: t.Req.First.Time, Idle: t.Req.First.Time - x.RespEnd.Time, Timeout: x.KeepAliveTimeout}
		timeout := int64(r.Timeout) * int64(time.Second)
		switch {
		case r.Timeout < 0:
			a.Longest = a.Longest.Add(r, maxReuses, longest)
		case r.Idle <= timeout && float64(r.Idle) > m.Part*float64(timeout):
			a.Late++
			a.LateFirst = a.LateFirst.Add(r, maxLate, earlier)
		}
		return a
	}
	end := ending(c)
	if end == nil || !unprompted(c, end) || !idleAtEnd(c, end) || !agreed(x) || x.KeepAliveTimeout >= 0 {
		return a
	}
	if kept := end.Time - x.RespEnd.Time; kept > int64(m.RightAfter) {
		a.Timeouts = a.Timeouts.Add(kept, maxTimeouts, cmp.Compare[int64])
	}
	return a
}

func earlier(a, b Reuse) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Idle, b.Idle), cmp.Compare(a.Timeout, b.Timeout))
}

func longest(a, b Reuse) int {
	return cmp.Or(cmp.Compare(a.Idle, b.Idle), earlier(b, a))
}

// Merge returns what is known of both.
func (Margins) Merge(a, b Reuses) Reuses {
	a.Late += b.Late
	a.LateFirst = a.LateFirst.Merge(b.LateFirst, maxLate, earlier)
	a.Longest = a.Longest.Merge(b.Longest, maxReuses, longest)
	a.Timeouts = a.Timeouts.Merge(b.Timeouts, maxTimeouts, cmp.Compare[int64])
	return a
}

// observed returns the idle time-out that the server's closes show: that of
// the two shortest-lived that agree to a tenth, 0 if there are none.
func (a *Reuses) observed() time.Duration {
	if len(a.Timeouts) < 2 || a.Timeouts[1]-a.Timeouts[0] > a.Timeouts[0]/10 {
		return 0
	}
	return time.Duration(a.Timeouts[0])
}

// Judge counts the reuses that came late.
func (m Margins) Judge(p *rules.Pass, k rules.Pair, a Reuses) {
	least := int64(max(p.Config.KeepAliveThinReuses, 1))
	if a.Late >= least {
		m.report(p, k, a.Late, a.LateFirst, time.Duration(a.LateFirst[0].Timeout)*time.Second, "advertises")
		return
	}
	timeout := a.observed()
	if timeout == 0 {
		return
	}
	var late accum.SmallestN[Reuse]
	n := int64(0)
	for _, r := range a.Longest {
		if float64(r.Idle) > m.Part*float64(timeout) && r.Idle <= int64(timeout) {
			n++
			late = late.Add(r, maxLate, earlier)
		}
	}
	if n >= least {
		m.report(p, k, n, late, timeout, "was seen to have")
	}
}

func (m Margins) report(p *rules.Pass, k rules.Pair, n int64, first accum.SmallestN[Reuse], timeout time.Duration, how string) {
	f := rules.Finding{
		Severity: rules.Info,
		Time:     first[0].Time,
		Subject:  k.Subject(),
		Side:     "client",
	}
	idle := int64(0)
	for _, r := range first {
		f.Frames = append(f.Frames, r.Frame)
		idle = max(idle, r.Idle)
	}
	f.Message = fmt.Sprintf("%s: %s reuses after more than %.0f %% of the idle time-out of %s that the server %s",
		f.Subject.Where(), rules.Count(n), 100*m.Part, rules.Span(timeout), how)
	f.Measured = []rules.Measure{{Name: "late_reuses", Value: float64(n)}, {Name: "idle_ms", Value: rules.Millis(idle)}, {Name: "server_timeout_ms", Value: rules.Millis(timeout)}}
	p.Report(f)
}
