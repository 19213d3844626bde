// Package timewait reports ports that closed connections still hold.
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

// Buildup reports clients that run towards the end of their ports.
var Buildup = &rules.Rule{
	Code: "TW001",
	Name: "time-wait-buildup",
	Doc: rules.Doc{
		Title:    "a client's closed connections to one server pile up in TIME_WAIT",
		Severity: rules.Warning,
		Wire: "The side that closes first keeps the connection's port in TIME_WAIT for 60 s on Linux (RFC 9293 §3.6.1 asks for four minutes). " +
			"A client that opens and closes a connection for each request holds one port of its ephemeral range towards that server for each close of the last minute.",
		Harm: "When the range is used up, connect fails with EADDRNOTAVAIL, or waits for a port. " +
			"Long before that, each request pays for a handshake that reuse would save. With 28,232 ports and 60 s the end comes at 470 closes a second.",
		Fix: "reuse connections; then a wider ip_local_port_range; then more source addresses",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "keepalive in the upstream block, with proxy_http_version 1.1 and proxy_set_header Connection \"\"; proxy_bind with several addresses where that is not enough."},
			{Program: "haproxy", Text: "http-reuse safe (the default) or always, pool-max-conn left alone; \"source\" with several addresses or usesrc."},
			{Program: "Apache", Text: "ProxyPass without disablereuse=On; worker ttl and max above the load."},
			{Program: "Node", Text: "One http.Agent({keepAlive: true}) for all requests (the default agent has it since 19)."},
			{Program: "Java", Text: "One HttpClient for all requests; Apache HttpClient: PoolingHttpClientConnectionManager, and read bodies to their end."},
			{Program: "Go", Text: "One http.Client; read the body to io.EOF and close it; raise Transport.MaxIdleConnsPerHost above its default of 2."},
			{Program: "Python", Text: "requests.Session or httpx.Client held across requests; pool_maxsize as large as the number of threads."},
		},
		Confirm: "Filter tcp.flags.fin == 1 && ip.src == CLIENT && tcp.dstport == PORT and look at the rate under Statistics, I/O Graphs; on the client: ss -tan state time-wait | wc -l.",
		Silent: "There were fewer than 50 closes, or fewer than 10 % of the ports are held or will be. The server closed first: it holds them, not the client. " +
			"A connection that ended by RST holds nothing. Closes after the pair's last SYN, such as those of a pool at exit, make no rate.",
		Refs: []string{"RFC 9293 §3.6.1", "RFC 6056 §2.2", "RFC 9112 §9.3"},
	},
	Needs: lifecycle.OneDirection,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, rules.Pair, *Reuses](buildup{Comebacks{Hold: c.TimeWait}})
	},
}

// Pileup is the aggregate: the closes after which one side holds TIME_WAIT.
type Pileup struct {
	Hold time.Duration // how long a closed connection holds its port
	Side http1.Side    // which side's holds are counted
}

// Closes is what is known of one pair.
type Closes struct {
	At      accum.Timeline // closes after which the side holds TIME_WAIT
	Opened  accum.MinMax[int64]
	Conns   int64
	Samples accum.SmallestN[Close] // the first of them
	Early   int64                  // SYNs on what was still held
}

// Close is one close as evidence.
type Close struct {
	Time  int64
	Frame uint64
}

const samples = 3

// Key returns the connection's pair.
func (Pileup) Key(c *lifecycle.Conn) (rules.Pair, bool) { return rules.PairOf(c), c.ClientKnown }

// Takes implements rules.Taker.
func (Pileup) Takes(c *lifecycle.Conn) bool { return c.ClientKnown }

// Add notes the connection's SYN, and its close if the side holds TIME_WAIT
// after it.
func (p Pileup) Add(a *Closes, c *lifecycle.Conn) *Closes {
	a = accum.Made(a)
	a.Conns++
	if syn := &c.End[http1.Client].SYN; syn.Seen() {
		a.Opened = a.Opened.Add(syn.Time)
	}
	if early(c, p.Hold) {
		a.Early++
	}
	e, o := &c.End[p.Side], &c.End[1-p.Side]
	if c.HoldsTimeWait(p.Side) {
		// TIME_WAIT begins once both FINs are there.
		at, frame := e.FIN.Time, e.FIN.Frame
		a.At.Note(max(at, o.FIN.Time), 1)
		a.Samples = a.Samples.Add(Close{at, frame}, samples, earlier)
	}
	return a
}

func earlier(a, b Close) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Frame, b.Frame))
}

// Merge returns the closes of both.
func (Pileup) Merge(a, b *Closes) *Closes {
	if b == nil {
		return a
	}
	a = accum.Made(a)
	a.At = a.At.Merge(b.At)
	a.Opened = a.Opened.Merge(b.Opened)
	a.Conns += b.Conns
	a.Early += b.Early
	a.Samples = a.Samples.Merge(b.Samples, samples, earlier)
	return a
}

// buildup is Comebacks judged by TW001: both look at the same closes.
type buildup struct{ Comebacks }

// Judge judges the client's closes.
func (b buildup) Judge(pass *rules.Pass, k rules.Pair, a *Reuses) {
	Pileup{Hold: b.Hold, Side: http1.Client}.Judge(pass, k, &a.Closes)
}

// Judge weighs the ports held, and those that will be at this rate, against
// those there are.
func (p Pileup) Judge(pass *rules.Pass, k rules.Pair, a *Closes) {
	w := p.weigh(pass.Config, a)
	if !w.fires {
		return
	}
	ports, held, projected := float64(pass.Config.Ports()), w.held, w.projected
	sev := rules.Warning
	if float64(held) >= ports || projected >= ports && w.span >= longSpan {
		sev = rules.Error
	}
	f := rules.Finding{
		Severity: sev,
		Time:     w.at,
		Subject:  rules.Subject{Client: netip.AddrPortFrom(k.Client, 0), Server: k.Server},
		Side:     "client",
		Conns:    int(a.At.N),
		Measured: []rules.Measure{
			{Name: "held_peak_ports", Value: float64(held)},
			{Name: "closes_per_s", Value: w.rate},
			{Name: "projected_ports", Value: projected},
			{Name: "available_ports", Value: ports},
			{Name: "span_s", Value: w.span.Seconds()},
		},
	}
	if a.Early > 0 {
		f.Measured = append(f.Measured, rules.Measure{Name: "reused_in_time_wait", Value: float64(a.Early)})
	}
	for _, s := range a.Samples {
		f.Frames = append(f.Frames, s.Frame)
		if len(f.Frames) == 1 {
			f.Time = s.Time
		}
	}
	f.Message = fmt.Sprintf("%s: %s ports held in TIME_WAIT at once", f.Subject.Where(), rules.Count(held))
	if projected > float64(held) {
		f.Message += fmt.Sprintf("; at %.0f closes a second it will be %s", w.rate, rules.Count(int64(projected)))
	}
	f.Message += fmt.Sprintf(" of %s", rules.Count(int64(ports)))
	if projected >= ports {
		left := ports / w.rate
		f.Message += fmt.Sprintf(": none left %s after the start", rules.Span(int64(left*1e9)))
		f.Measured = append(f.Measured, rules.Measure{Name: "exhausted_after_s", Value: left})
	}
	pass.Report(f)
}

// weight is what the closes of a pair come to.
type weight struct {
	held, at        int64 // most at once, and since when
	rate, projected float64
	span            time.Duration // from first to last SYN
	fires           bool          // enough for TW001
}

func (p Pileup) weigh(c *rules.Config, a *Closes) (w weight) {
	w.held, w.at = a.At.Peak(p.Hold)
	if a.Opened.Seen {
		w.span = time.Duration(a.Opened.Max - a.Opened.Min)
		w.rate = float64(a.At.Before(a.Opened.Max)) / max(w.span, time.Second).Seconds()
	}
	w.projected = w.rate * p.Hold.Seconds()
	w.fires = a.At.N >= int64(max(1, c.TimeWaitMinCloses)) && max(float64(w.held), w.projected) >= c.TimeWaitWarnPart*float64(c.Ports())
	return w
}

// longSpan is how long a rate must have been held to be believed.
const longSpan = 10 * time.Second
