package timewait

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// TupleReused reports clients that come back from a port that is still held.
var TupleReused = &rules.Rule{
	Code: "TW003",
	Name: "tuple-reused-in-time-wait",
	Doc: rules.Doc{
		Title:    "a connection was opened from addresses and ports that were still in TIME_WAIT",
		Severity: rules.Warning,
		Wire: "A SYN uses the addresses and ports of a connection that ended by FIN less than 60 s before. " +
			"A client that holds TIME_WAIT may do so on purpose (net.ipv4.tcp_tw_reuse); where the server holds it, the client's system cannot know.",
		Harm: "It shows that free ports are running out. A server in TIME_WAIT accepts a SYN only if its sequence number or timestamp is beyond those of the old connection; " +
			"otherwise it sends an old acknowledgement or drops the SYN, and the client waits a second or more for its next attempt.",
		Fix: "reuse connections; then more ports or addresses for the client; let the client close first where it must be closed",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "keepalive in the upstream block; proxy_bind with several addresses."},
			{Program: "haproxy", Text: "http-reuse safe or always; \"source\" with several addresses and a port range."},
			{Program: "Apache", Text: "ProxyPass without disablereuse=On; worker ttl and max above the load."},
			{Program: "Node", Text: "One http.Agent({keepAlive: true}) for all requests."},
			{Program: "Java", Text: "One HttpClient for all requests; read bodies to their end, so that connections return to the pool."},
			{Program: "Go", Text: "One http.Client; raise Transport.MaxIdleConnsPerHost above its default of 2."},
			{Program: "Python", Text: "requests.Session or httpx.Client held across requests."},
		},
		Confirm: "Filter tcp.analysis.reused_ports: each such SYN follows the FINs of a connection of the same ports by less than a minute.",
		Silent: "The connection before ended by RST, or more than 60 s ago, or its end was not captured. " +
			"TW001 fires for the pair: then these are its evidence, unless they were refused.",
		Refs: []string{"RFC 9293 §3.6.1", "RFC 6191", "RFC 5961 §4"},
	},
	Needs: lifecycle.OneDirection,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, rules.Pair, *Reuses](Comebacks{Hold: c.TimeWait})
	},
}

// Comebacks is the aggregate: SYNs on what is held in TIME_WAIT.
type Comebacks struct {
	Hold time.Duration // how long a closed connection is held
}

// Reuses is what is known of one pair.
type Reuses struct {
	Closes  Closes                 // those that TW001 judges
	N       [2]int64               // by who held TIME_WAIT; both count for both
	Total   int64                  // SYNs
	Hurt    int64                  // of them, refused, answered by an old acknowledgement, or repeated
	Age     accum.MinMax[int64]    // nanoseconds since the connection before
	Samples accum.SmallestN[Reuse] // those that were hurt first
}

// Reuse is one SYN as evidence.
type Reuse struct {
	Fine        bool // nothing came of it
	Time, Age   int64
	Frame, Conn uint64
	How         string // what came of it
	Held        string // who held TIME_WAIT
}

func reuseOrder(a, b Reuse) int {
	if a.Fine != b.Fine {
		if b.Fine {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Frame, b.Frame))
}

// Shares implements rules.Sharer.
func (g Comebacks) Shares() any { return g }

// Key returns the connection's pair.
func (Comebacks) Key(c *lifecycle.Conn) (rules.Pair, bool) { return Pileup{}.Key(c) }

// Takes implements rules.Taker.
func (Comebacks) Takes(c *lifecycle.Conn) bool { return Pileup{}.Takes(c) }

// Add notes the connection if it came too early.
func (g Comebacks) Add(a *Reuses, c *lifecycle.Conn) *Reuses {
	a = accum.Made(a)
	Pileup{Hold: g.Hold, Side: http1.Client}.Add(&a.Closes, c)
	syn := &c.End[http1.Client].SYN
	if !early(c, g.Hold) {
		return a
	}
	age := syn.Time - c.Before.Last
	client, server := c.Before.TimeWait[http1.Client], c.Before.TimeWait[http1.Server]
	r := Reuse{Time: syn.Time, Age: age, Frame: syn.Frame, Conn: c.ID, Held: "the client"}
	if client {
		a.N[http1.Client]++
	}
	if server {
		a.N[http1.Server]++
		if r.Held = "the server"; client {
			r.Held = "both sides"
		}
	}
	a.Total++
	sv := &c.End[http1.Server]
	switch {
	case c.Outcome == lifecycle.Refused:
		r.How = "refused"
	case sv.Segments > 0 && !sv.SYN.Seen() && sv.Bytes+c.End[http1.Client].Bytes == 0: // else the capture lacks the SYN-ACK
		r.How = "answered by an old acknowledgement"
	case c.End[http1.Client].SYNs > 1:
		r.How = "repeated"
	default:
		r.Fine = true
	}
	if !r.Fine {
		a.Hurt++
	}
	a.Age = a.Age.Add(age)
	a.Samples = a.Samples.Add(r, samples, reuseOrder)
	return a
}

// early reports whether a connection was opened while the one before it on the
// same addresses and ports was held.
func early(c *lifecycle.Conn, hold time.Duration) bool {
	syn, b := &c.End[http1.Client].SYN, &c.Before
	age := syn.Time - b.Last
	return syn.Seen() && b.ID != 0 && b.Finished && (b.TimeWait[0] || b.TimeWait[1]) && age >= 0 && age < int64(hold)
}

// Merge returns the SYNs of both.
func (g Comebacks) Merge(a, b *Reuses) *Reuses {
	if b == nil {
		return a
	}
	a = accum.Made(a)
	Pileup{Hold: g.Hold}.Merge(&a.Closes, &b.Closes)
	a.N[0] += b.N[0]
	a.N[1] += b.N[1]
	a.Total += b.Total
	a.Hurt += b.Hurt
	a.Age = a.Age.Merge(b.Age)
	a.Samples = a.Samples.Merge(b.Samples, samples, reuseOrder)
	return a
}

// Judge reports a pair's early SYNs.
func (g Comebacks) Judge(pass *rules.Pass, k rules.Pair, a *Reuses) {
	if a.Total == 0 || a.Hurt == 0 && (Pileup{Hold: g.Hold}).weigh(pass.Config, &a.Closes).fires {
		return
	}
	first := a.Samples[0]
	f := rules.Finding{
		Severity: rules.Warning,
		Time:     first.Time,
		Conn:     first.Conn,
		Conns:    int(a.Total),
		Subject:  rules.Subject{Client: netip.AddrPortFrom(k.Client, 0), Server: k.Server},
		Side:     "client",
		Measured: []rules.Measure{
			{Name: "reuses", Value: float64(a.Total), Sum: true},
			{Name: "hurt", Value: float64(a.Hurt), Sum: true},
			{Name: "held_by_client", Value: float64(a.N[http1.Client]), Sum: true},
			{Name: "held_by_server", Value: float64(a.N[http1.Server]), Sum: true},
			{Name: "youngest_s", Value: float64(a.Age.Min) / 1e9},
		},
	}
	for _, s := range a.Samples {
		f.Frames = append(f.Frames, s.Frame)
	}
	f.Message = fmt.Sprintf("%s: SYN %s after the connection before on the same ports, which %s held in TIME_WAIT",
		f.Subject.Where(), rules.Span(first.Age), first.Held)
	if a.Hurt > 0 {
		f.Severity = rules.Error
		f.Message += ": " + first.How
	}
	if a.Total > 1 {
		f.Message += fmt.Sprintf("; %s such SYNs", rules.Count(a.Total))
	}
	pass.Report(f)
}
