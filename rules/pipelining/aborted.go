package pipelining

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// Aborted reports pipelined requests that a server left unanswered.
var Aborted = &rules.Rule{
	Code: "PIP003",
	Name: "pipeline-aborted",
	Doc: rules.Doc{
		Title:    "the server ended the connection with pipelined requests unanswered",
		Severity: rules.Error,
		Wire: "A client had sent several requests without waiting. The server answered some, or none, and ended the connection by FIN or RST. " +
			"It is reported once a connection, with the requests that were lost, and again for the client if it pipelines the same requests on its next connection before that is known to be kept.",
		Harm: "The client cannot tell which of the lost requests were carried out. It may send the idempotent ones again; a POST among them may be done twice, or never. " +
			"A client that pipelines them again at once meets the same end, and never gets past it.",
		Fix: "let the server answer what it has read before it closes and say \"Connection: close\" one response earlier; on the client send again only what is idempotent, one at a time at first",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "keepalive_requests ends a connection in the middle of a pipeline: raise it. lingering_close stays on."},
			{Program: "haproxy", Text: "Remove option httpclose; it closes after the first response."},
			{Program: "Apache", Text: "MaxKeepAliveRequests 0, or more than clients send at once."},
			{Program: "Node", Text: "server.maxRequestsPerSocket answers those beyond it with 503; look for res.destroy(), and socket.end() in a handler. undici: lower pipelining."},
			{Program: "Java", Text: "Tomcat: maxKeepAliveRequests; Jetty answers pipelined requests in turn."},
			{Program: "Go", Text: "A handler that sets \"Connection: close\" drops what was pipelined behind: do so only when the server shuts down, and use Shutdown, not Close."},
			{Program: "Python", Text: "http.server and gunicorn's sync worker close after one response: pipeline to them never."},
		},
		Confirm: "Filter tcp.stream eq N && (http || tcp.flags.fin == 1 || tcp.flags.reset == 1): more requests than responses before the server's FIN or RST.",
		Silent: "The client ended the connection first. The requests were sent one by one: request-unanswered or keep-alive-race. " +
			"An earlier message could not be framed, or bytes are missing: which response is whose is unknown.",
		Refs: []string{"RFC 9112 §9.3.2", "RFC 9112 §9.6", "RFC 9110 §9.2.2"},
	},
	Needs:  lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.BadFraming | lifecycle.Capped,
	Closed: aborted,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*rules.TransactionFact, rules.Pair, Pipelines](Repeats{Keep: 64, Within: c.RetryWindow})
	},
}

func aborted(p *rules.Pass, c *lifecycle.Conn) {
	end := serverEnd(c)
	if end == nil || c.Missing&(lossy|lifecycle.BadFraming) != 0 {
		return
	}
	pipelined, unsafe, n := 0, 0, c.LostCount
	var names []string
	frames := rules.Frames(end.Frame)
	for i := range c.Lost {
		l := &c.Lost[i]
		if l.Answering {
			n--
			continue
		}
		if l.Bits.Has(http1.Pipelined) {
			pipelined++
		}
		frames = append(frames, l.First.Frame)
		name := fmt.Sprintf("%s %s", method(l.MethodName), p.Config.Redact.Target(string(l.Target)))
		if l.Method.Idempotent() {
			name += " (idempotent)"
		} else {
			unsafe++
			name += " (not idempotent)"
		}
		names = append(names, name)
	}
	if pipelined == 0 {
		return
	}
	what := strings.Join(names, ", ")
	if more := n - len(names); more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	by := "FIN"
	if end == &c.End[http1.Server].RST {
		by = "RST"
	}
	requests := "requests"
	if n == 1 {
		requests = "request"
	}
	subj := rules.Subject{Client: c.Client, Server: c.Server}
	p.Report(rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(frames...),
		Time:     end.Time,
		Subject:  subj,
		Message:  fmt.Sprintf("%s: %s with %d pipelined %s unanswered: %s", subj.WhereServer(), by, n, requests, what),
		Side:     "server",
		Cause:    end.Frame,
		Measured: []rules.Measure{
			{Name: "requests_lost", Value: float64(n), Sum: true},
			{Name: "non_idempotent_lost", Value: float64(unsafe), Sum: true},
		},
	})
}

// Repeats is the aggregate that finds pipelined requests that were lost, and
// pipelined again on another connection that was not known to be kept. Keep
// bounds how many requests of a pair are looked at.
type Repeats struct {
	Keep   int
	Within time.Duration // longest time from the loss to the repetition
}

// Pipelines is what is known of a pair's pipelined requests.
type Pipelines struct {
	Lost  accum.SmallestN[Piped] // At is when the server ended their connection
	Blind accum.SmallestN[Piped] // sent before their connection's first response
}

// Piped is a pipelined request.
type Piped struct {
	At      int64  // nanoseconds since 1970-01-01 UTC
	Conn    uint64 // first frame of its connection
	Frame   uint64 // of its first byte
	Request uint64 // hash of method, target and host
	Port    uint16 // the client's
}

// Key takes the pipelined requests.
func (r Repeats) Key(f *rules.TransactionFact) (rules.Pair, bool) { return f.Pair(), r.Takes(f) }

// Takes implements rules.Taker.
func (Repeats) Takes(f *rules.TransactionFact) bool { return f.Req.Bits.Has(http1.Pipelined) }

// Add notes a request that was lost, or one that was sent blindly.
func (r Repeats) Add(a Pipelines, f *rules.TransactionFact) Pipelines {
	x := Piped{At: f.Req.First.Time, Conn: f.ID, Frame: f.Req.First.Frame, Port: f.Client.Port(),
		Request: digest(0, f.MethodName, f.Target, f.Host)}
	if blind(f.Conn(), f.Transaction) {
		a.Blind = a.Blind.Add(x, r.Keep, comparePiped)
	}
	if end := serverEnd(f.Conn()); end != nil && f.Resp.First.Frame == 0 && f.Conn().Missing&lossy == 0 &&
		(f.Outcome == http1.Unanswered || f.Outcome == http1.Open) {
		x.At = end.Time
		a.Lost = a.Lost.Add(x, r.Keep, comparePiped)
	}
	return a
}

func comparePiped(a, b Piped) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.Request, b.Request))
}

// Merge returns the requests of both.
func (r Repeats) Merge(a, b Pipelines) Pipelines {
	a.Lost = a.Lost.Merge(b.Lost, r.Keep, comparePiped)
	a.Blind = a.Blind.Merge(b.Blind, r.Keep, comparePiped)
	return a
}

// Judge reports each connection on which lost requests were pipelined again.
func (r Repeats) Judge(p *rules.Pass, k rules.Pair, a Pipelines) {
	told := map[uint64]bool{} // by connection
	for i := range a.Blind {
		b := &a.Blind[i]
		if told[b.Conn] {
			continue
		}
		for j := range a.Lost {
			l := &a.Lost[j]
			if l.Request != b.Request || l.Conn == b.Conn || b.At < l.At || b.At-l.At > int64(r.Within) {
				continue
			}
			told[b.Conn] = true
			subj := rules.Subject{Client: netip.AddrPortFrom(k.Client, b.Port), Server: k.Server}
			p.Report(rules.Finding{
				Severity: rules.Error,
				Frames:   rules.Frames(b.Frame, l.Frame),
				Time:     b.At,
				Conn:     b.Conn,
				Subject:  subj,
				Message: fmt.Sprintf("%s: requests that the server had left unanswered %s before were pipelined again on a connection not known to be kept",
					subj.Where(), rules.Span(b.At-l.At)),
				Fix:   "send one of them alone, and pipeline again only when its response shows that the connection is kept",
				Side:  "client",
				Shape: "again",
				Cause: b.Frame,
			})
			break
		}
	}
}

// digest hashes words and a seed (FNV-1a); the same in every run.
func digest(seed uint64, words ...[]byte) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037) ^ seed
	for _, w := range words {
		for _, c := range w {
			h = (h ^ uint64(c)) * prime
		}
		h = (h ^ 0x100) * prime // no word runs into the next
	}
	return h ^ h>>29
}
