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

// LowRequestLimit reports servers that end connections after few requests.
var LowRequestLimit = &rules.Rule{
	Code: "REU006",
	Name: "low-request-limit",
	Doc: rules.Doc{
		Title:    "a server ends its connections after a fixed small number of requests",
		Severity: rules.Info,
		Wire:     "Several connections were ended by the server right after the same number of responses, and none carried more: a limit such as keepalive_requests.",
		Harm: "Every so many requests a client pays for handshakes and a slow start again, and a request may meet the closing connection. " +
			"Such limits once guarded against memory leaks; today they mostly cost time.",
		Fix: "raise the limit to 1,000 or more, or remove it",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "keepalive_requests 1000 (the default since 1.19.10; 100 before), in the upstream block too."},
			{Program: "haproxy", Text: "There is no limit for clients; http-reuse and max-reuse of the server line for back ends."},
			{Program: "Apache", Text: "MaxKeepAliveRequests 0, or well above its default of 100."},
			{Program: "Node", Text: "server.maxRequestsPerSocket = 0 (the default)."},
			{Program: "Java", Text: "Tomcat: maxKeepAliveRequests=\"-1\" (100 by default); Jetty and Netty have none."},
			{Program: "Go", Text: "net/http has no limit: look at the proxy before it, or at SetKeepAlivesEnabled."},
			{Program: "Python", Text: "gunicorn --max-requests recycles workers, with --max-requests-jitter; uWSGI http-keepalive."},
		},
		Confirm: "Count http.response in each tcp.stream that the server closed (tcp.flags.fin == 1 && tcp.srcport == PORT): the same number each time.",
		Silent: "Fewer than three connections, fewer than 2 or more than 100 requests, or a connection that carried more. The server closed idle connections. " +
			"The client asked for the close. The server took no connection after it had ended two: it was stopping. REU001 reports the pair: then the limit is its cause.",
		Refs: []string{"RFC 9112 §9.3", "RFC 9112 §9.6"},
	},
	Needs: lifecycle.OneDirection | lifecycle.MidStream | lifecycle.Gap | lifecycle.Encrypted,
	Group: func(*rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, netip.AddrPort, Limits](limiting{})
	},
}

type limiting struct{}

// maxCount is the highest number of requests that is counted apart.
const maxCount = 100

// Limits is what is known of one server endpoint.
type Limits struct {
	Ended map[int]Ends // by number of requests, 2 to maxCount
	Most  int64        // requests of any connection
	// Opened is when the server last completed a handshake: a server that
	// stops ends many at once, and takes no more.
	Opened int64
}

// Ends are connections that were ended after the same number of requests.
type Ends struct {
	N       int64
	Samples accum.SmallestN[End]
}

// End is one of them as evidence.
type End struct {
	Time        int64
	Frame, Conn uint64
}

func endOrder(a, b End) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Frame, b.Frame))
}

// rightAfter is how soon after a response a close belongs to it.
const rightAfter = 100 * time.Millisecond

// Key returns the server.
func (l limiting) Key(c *lifecycle.Conn) (netip.AddrPort, bool) { return c.Server, l.Takes(c) }

// Takes implements rules.Taker.
func (limiting) Takes(c *lifecycle.Conn) bool {
	return c.ClientKnown && c.Protocol == http1.HTTP1 && c.Answered > 0
}

// Add notes how many requests a connection carried, and whether the server
// ended it then.
func (limiting) Add(a Limits, c *lifecycle.Conn) Limits {
	a.Most, a.Opened = max(a.Most, int64(c.Answered)), max(a.Opened, c.Established.Time)
	x, s := &c.LastExchange, ending(&c.End[http1.Server])
	n := int(c.Answered)
	if n < 2 || n > maxCount || c.Missing&(lifecycle.OneDirection|lifecycle.MidStream|lifecycle.Gap) != 0 || x.ReqBits.Has(http1.ConnClose) ||
		!s.Seen() || c.First != http1.Server && !x.RespBits.Has(http1.ConnClose) ||
		!x.RespBits.Has(http1.ConnClose) && s.Time-x.RespEnd.Time > int64(rightAfter) {
		return a
	}
	if a.Ended == nil {
		a.Ended = map[int]Ends{}
	}
	e := a.Ended[n]
	e.N++
	e.Samples = e.Samples.Add(End{s.Time, s.Frame, c.ID}, modelFrames, endOrder)
	a.Ended[n] = e
	return a
}

// Merge returns what is known from both.
func (limiting) Merge(a, b Limits) Limits {
	a.Most, a.Opened = max(a.Most, b.Most), max(a.Opened, b.Opened)
	for n, o := range b.Ended {
		if a.Ended == nil {
			a.Ended = map[int]Ends{}
		}
		e := a.Ended[n]
		e.N += o.N
		e.Samples = e.Samples.Merge(o.Samples, modelFrames, endOrder)
		a.Ended[n] = e
	}
	return a
}

// Judge reports a server whose connections all ended at the same number.
func (limiting) Judge(p *rules.Pass, server netip.AddrPort, a Limits) {
	e := a.Ended[int(a.Most)]
	if a.Most > int64(p.Config.RequestLimitMax) || e.N < int64(max(1, p.Config.RequestLimitConns)) {
		return
	}
	if second := e.Samples[min(1, len(e.Samples)-1)]; a.Opened <= second.Time {
		return // no connection took the place of those that ended
	}
	f := rules.Finding{
		Severity: rules.Info, Subject: rules.Subject{Server: server}, Side: "server", Conns: int(e.N),
		Time: e.Samples[0].Time, Conn: e.Samples[0].Conn,
		Message: fmt.Sprintf("server %v: ended %s connections after %d requests each", server, rules.Count(e.N), a.Most),
		Measured: []rules.Measure{
			{Name: "request_limit", Value: float64(a.Most)},
			{Name: "connections", Value: float64(e.N), Sum: true},
		},
	}
	for _, s := range e.Samples {
		f.Frames = append(f.Frames, s.Frame)
	}
	p.Report(f)
}
