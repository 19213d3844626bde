package reuse

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

// ConnectFailed reports connections that did not come about, or not at once.
var ConnectFailed = &rules.Rule{
	Code: "REU007",
	Name: "connect-failed",
	Doc: rules.Doc{
		Title:    "connections to a server were refused, or their SYNs had to be repeated",
		Severity: rules.Warning,
		Wire: "A SYN is answered by RST: nobody listens there. Or it is not answered: the client repeats it after one second, then two, four and so on, " +
			"until it is answered or the client gives up.",
		Harm: "A refused request fails or goes to another server. A lost SYN costs a whole second, far more than any other lost packet, since no round trip is known yet. " +
			"A full accept queue, a firewall that drops and a route that fails look the same from the client.",
		Fix: "start the server before its clients, raise its listen backlog, look for packet loss and firewalls; connections that are reused need no SYN",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "listen ... backlog=4096 with net.core.somaxconn as high; upstream: fail_timeout and max_fails."},
			{Program: "haproxy", Text: "backlog and maxconn of the frontend; option redispatch, retries and timeout connect for back ends."},
			{Program: "Apache", Text: "ListenBacklog 4096; MaxRequestWorkers above the load; ProxyPass retry= and connectiontimeout=."},
			{Program: "Node", Text: "server.listen({backlog: 4096}); a blocked event loop does not accept."},
			{Program: "Java", Text: "Tomcat acceptCount above its 100; ServerSocket's backlog argument above its 50."},
			{Program: "Go", Text: "net.Listen takes its backlog from net.core.somaxconn: raise that; clients: Dialer.Timeout."},
			{Program: "Python", Text: "socket.listen(4096); gunicorn --backlog 4096; clients: timeout=(connect, read) with retries for connect."},
		},
		Confirm: "Filter tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.analysis.retransmission, or tcp.flags.reset == 1 && tcp.seq == 1; on the server: nstat TcpExtListenDrops TcpExtListenOverflows.",
		Silent:  "The first SYN was answered. A SYN that was sent less than a second before the end of the capture. The server's packets were not captured.",
		Refs:    []string{"RFC 9293 §3.5", "RFC 6298 §2", "RFC 1122 §4.2.3.5"},
	},
	Absence: true,
	Needs:   lifecycle.OneDirection,
	Group: func(*rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, netip.AddrPort, Failures](failing{})
	},
}

type failing struct{}

// Failures is what is known of one server endpoint.
type Failures struct {
	Refused, GaveUp, Late int64 // connections
	Attempts              int64 // SYNs of them
	Lost                  int64 // nanoseconds from first SYN to refusal, answer or last attempt
	Single                []int64
	Samples               accum.SmallestN[Failure]
}

// Failure is one of them as evidence.
type Failure struct {
	Time        int64
	Frame, Conn uint64
	Single      bool // one SYN, never answered
	Client      netip.Addr
}

func failureOrder(a, b Failure) int {
	if c := cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Frame, b.Frame)); c != 0 || a.Single == b.Single {
		return c
	}
	if a.Single {
		return 1
	}
	return -1
}

// Key returns the server of a connection that did not come about at once.
func (g failing) Key(c *lifecycle.Conn) (netip.AddrPort, bool) { return c.Server, g.Takes(c) }

// Takes implements rules.Taker.
func (failing) Takes(c *lifecycle.Conn) bool {
	cl := &c.End[http1.Client]
	return cl.SYN.Seen() && c.ClientKnown && c.Missing&lifecycle.OneDirection == 0 &&
		(c.Outcome == lifecycle.Refused || c.Outcome == lifecycle.NoAnswer || cl.SYNs > 1 && !answeredFirst(c))
}

// answeredFirst reports whether the SYN-ACK came before the SYN was repeated,
// as far as the round trip tells: then it was lost beyond the capture point.
func answeredFirst(c *lifecycle.Conn) bool {
	sv := &c.End[http1.Server]
	return sv.SYN.Seen() && sv.SYN.Time-c.End[http1.Client].SYN.Time < int64(retryAfter)
}

// retryAfter is less than any system waits before it repeats a SYN.
const retryAfter = 900 * time.Millisecond

// Add notes a connection.
func (failing) Add(a Failures, c *lifecycle.Conn) Failures {
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	f := Failure{Time: cl.SYN.Time, Frame: cl.SYN.Frame, Conn: c.ID, Client: c.Client.Addr()}
	switch {
	case c.Outcome == lifecycle.Refused:
		a.Refused++
		a.Lost += max(0, sv.RST.Time-cl.SYN.Time)
	case c.Outcome == lifecycle.NoAnswer && cl.SYNs < 2:
		f.Single = true
		a.Single = accum.SmallestN[int64](a.Single).Add(cl.SYN.Time, maxOpen, cmp.Compare[int64])
		a.Samples = a.Samples.Add(f, modelFrames*4, failureOrder)
		return a
	case c.Outcome == lifecycle.NoAnswer:
		a.GaveUp++
		a.Lost += max(0, c.Last-cl.SYN.Time)
	default:
		a.Late++
		a.Lost += max(0, sv.SYN.Time-cl.SYN.Time)
	}
	a.Attempts += int64(cl.SYNs)
	a.Samples = a.Samples.Add(f, modelFrames*4, failureOrder)
	return a
}

// Merge returns what is known from both.
func (failing) Merge(a, b Failures) Failures {
	a.Refused += b.Refused
	a.GaveUp += b.GaveUp
	a.Late += b.Late
	a.Attempts += b.Attempts
	a.Lost += b.Lost
	a.Single = accum.SmallestN[int64](a.Single).Merge(b.Single, maxOpen, cmp.Compare[int64])
	a.Samples = a.Samples.Merge(b.Samples, modelFrames*4, failureOrder)
	return a
}

// Judge reports a server that connections failed to.
func (failing) Judge(p *rules.Pass, server netip.AddrPort, a Failures) {
	over := end(p)
	for _, at := range a.Single {
		if over-at >= int64(time.Second) {
			a.GaveUp++
			a.Attempts++
		}
	}
	n := a.Refused + a.GaveUp + a.Late
	if n == 0 {
		return
	}
	f := rules.Finding{
		Severity: rules.Warning, Subject: rules.Subject{Server: server}, Side: "server", Conns: int(n), Cost: a.Lost,
		Measured: []rules.Measure{
			{Name: "attempts", Value: float64(a.Attempts), Sum: true},
			{Name: "refused", Value: float64(a.Refused), Sum: true},
			{Name: "unanswered", Value: float64(a.GaveUp), Sum: true},
			{Name: "answered_late", Value: float64(a.Late), Sum: true},
			{Name: "lost_ms", Value: rules.Millis(a.Lost), Sum: true},
		},
	}
	for _, s := range a.Samples {
		if s.Single && over-s.Time < int64(time.Second) || len(f.Frames) == modelFrames {
			continue
		}
		if len(f.Frames) == 0 {
			f.Time, f.Conn = s.Time, s.Conn
			f.Client = netip.AddrPortFrom(s.Client, 0)
		}
		f.Frames = append(f.Frames, s.Frame)
	}
	f.Message = fmt.Sprintf("server %v: %s attempts to connect, %s refused, %s never answered, %s answered late; %s lost",
		server, rules.Count(a.Attempts), rules.Count(a.Refused), rules.Count(a.GaveUp), rules.Count(a.Late), rules.Span(a.Lost))
	p.Report(f)
}
