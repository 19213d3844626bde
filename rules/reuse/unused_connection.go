package reuse

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// UnusedConnection reports connections opened for nothing.
var UnusedConnection = &rules.Rule{
	Code: "REU003",
	Name: "unused-connection",
	Doc: rules.Doc{
		Title:    "connections were opened and no request was sent on them",
		Severity: rules.Info,
		Wire:     "The handshake is done, and then nothing: no request until the connection is closed, or for ten seconds and more.",
		Harm: "Each costs a handshake and holds a socket of the server, often until a time-out. Servers with a thread for each connection lose that thread. " +
			"Browsers open some ahead on purpose; programs seldom mean to.",
		Fix: "open connections when there is a request for them; look for pools with a minimum size, warm-up code and monitors",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "client_header_timeout bounds how long such connections stay; listen ... deferred hides them from the workers."},
			{Program: "haproxy", Text: "timeout http-request; option dontlognull keeps them out of the log; use httpchk in place of plain TCP checks."},
			{Program: "Apache", Text: "RequestReadTimeout header=10; AcceptFilter http data."},
			{Program: "Node", Text: "server.headersTimeout and server.connectionsCheckingInterval; clients: no agent.createConnection ahead."},
			{Program: "Java", Text: "Set minimum idle of pools to 0; Tomcat: connectionTimeout."},
			{Program: "Go", Text: "http.Server.ReadHeaderTimeout; a dial that a request no longer needs stays in the Transport: IdleConnTimeout."},
			{Program: "Python", Text: "No connect() ahead of requests; gunicorn: a worker class that does not block on silent connections."},
		},
		Confirm: "Under Statistics, Conversations, TCP, look for conversations of 3 to 7 packets without bytes.",
		Silent: "Opened and closed by the same side within a second without data: that is a TCP probe. Open for less than ten seconds when the capture ends. " +
			"The handshake was not captured. The server is not known to speak HTTP: it answered no request, and its port is not one of HTTP's.",
		Refs: []string{"RFC 9112 §9.5", "RFC 9293 §3.5"},
	},
	Absence: true,
	Needs:   lifecycle.OneDirection,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, rules.Pair, Unused](idling{After: int64(c.UnusedAfter), Probe: int64(c.UnusedProbe)})
	},
}

// idling is the aggregate of connections without requests.
type idling struct{ After, Probe int64 }

// Unused is what is known of one pair.
type Unused struct {
	Samples accum.SmallestN[Silence] // the first of them
	N       int64
	Open    []int64 // when those were established that are open at the end of the capture, the first maxOpen
	Probes  int64
	Held    accum.MinMax[int64] // how long those were open that were closed, nanoseconds
	Web     bool                // HTTP or TLS was spoken
}

// Silence is one such connection as evidence.
type Silence struct {
	Time  int64
	Frame uint64
	Open  bool // at the end of the capture
}

const maxOpen = 1 << 10

func silenceOrder(a, b Silence) int {
	if c := cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Frame, b.Frame)); c != 0 || a.Open == b.Open {
		return c
	}
	if a.Open {
		return 1
	}
	return -1
}

// Key returns the connection's pair.
func (g idling) Key(c *lifecycle.Conn) (rules.Pair, bool) { return rules.PairOf(c), g.Takes(c) }

// Takes implements rules.Taker.
func (idling) Takes(c *lifecycle.Conn) bool {
	return c.ClientKnown && (web(c) || c.Protocol == http1.Undecided)
}

// Add notes a connection.
func (g idling) Add(a Unused, c *lifecycle.Conn) Unused {
	a.Web = a.Web || web(c)
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	if !c.Established.Seen() || c.Missing&(lifecycle.OneDirection|lifecycle.Gap|lifecycle.MidStream) != 0 {
		return a
	}
	from := c.Established.Time
	s := Silence{Time: from, Frame: c.ID}
	switch {
	case cl.FirstData.Seen():
		if cl.FirstData.Time-from < g.After || sv.FirstData.Seen() && sv.FirstData.Frame < cl.FirstData.Frame {
			return a
		}
		a.Held = a.Held.Add(cl.FirstData.Time - from)
	case sv.FirstData.Seen():
		return a // a server that speaks first speaks no HTTP
	case cl.FIN.Seen() || sv.FIN.Seen() || cl.RST.Seen() || sv.RST.Seen():
		over := ending(&c.End[c.First])
		if c.First == http1.Client && over.Time-from < g.Probe {
			a.Probes++
			return a
		}
		a.Held = a.Held.Add(over.Time - from)
	case c.Outcome == lifecycle.Replaced:
		return a
	default:
		s.Open = true
		a.Open = accum.SmallestN[int64](a.Open).Add(from, maxOpen, cmp.Compare[int64])
	}
	if !s.Open {
		a.N++
	}
	a.Samples = a.Samples.Add(s, maxOpen, silenceOrder)
	return a
}

// Merge returns the connections of both.
func (idling) Merge(a, b Unused) Unused {
	a.Samples = a.Samples.Merge(b.Samples, maxOpen, silenceOrder)
	a.N += b.N
	a.Open = accum.SmallestN[int64](a.Open).Merge(b.Open, maxOpen, cmp.Compare[int64])
	a.Probes += b.Probes
	a.Held = a.Held.Merge(b.Held)
	a.Web = a.Web || b.Web
	return a
}

// Judge reports a pair's unused connections.
func (g idling) Judge(p *rules.Pass, k rules.Pair, a Unused) {
	if !a.Web && !slices.Contains([]uint16{80, 443, 3128, 8000, 8008, 8080, 8081, 8443, 8888}, k.Server.Port()) {
		return
	}
	over := end(p)
	n := a.N
	longest := int64(0)
	if a.Held.Seen {
		longest = a.Held.Max
	}
	for _, from := range a.Open {
		if held := over - from; held >= g.After {
			n++
			longest = max(longest, held)
		}
	}
	if n == 0 {
		return
	}
	f := rules.Finding{
		Severity: rules.Info, Conns: int(n), Subject: k.Subject(), Side: "client",
		Measured: []rules.Measure{
			{Name: "unused_connections", Value: float64(n), Sum: true},
			{Name: "longest_s", Value: float64(longest) / 1e9},
			{Name: "tcp_probes", Value: float64(a.Probes), Sum: true},
		},
	}
	for _, s := range a.Samples {
		if s.Open && over-s.Time < g.After || len(f.Frames) == modelFrames {
			continue
		}
		if len(f.Frames) == 0 {
			f.Time, f.Conn = s.Time, s.Frame
		}
		f.Frames = append(f.Frames, s.Frame)
	}
	what := "connection was"
	if n > 1 {
		what = "connections were"
	}
	f.Message = fmt.Sprintf("%s: %s %s opened and not used for a request, for up to %s", f.Subject.Where(), rules.Count(n), what, rules.Span(longest))
	p.Report(f)
}
