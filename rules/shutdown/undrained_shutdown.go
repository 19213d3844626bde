package shutdown

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// UndrainedShutdown reports servers that stop without finishing what they
// took.
var UndrainedShutdown = &rules.Rule{
	Code: "CLS005",
	Name: "undrained-shutdown",
	Doc: rules.Doc{
		Title:    "a server stopped with requests in hand",
		Severity: rules.Error,
		Wire: "Within a second one server endpoint ends several connections whose requests it has taken and not answered, without having announced close. " +
			"From then on it sends no response and completes no handshake for a second or more, or refuses connections: the process was stopped or died.",
		Harm: "Every request in flight is lost at each deployment or restart. Those that are not idempotent may have been carried out, and cannot be repeated safely.",
		Fix:  "drain before stopping: stop accepting, answer what was taken with Connection: close, wait for it, then exit; take the endpoint out of the balancer first",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "nginx -s quit (SIGQUIT) in place of stop (SIGTERM); systemd: KillSignal=SIGQUIT; worker_shutdown_timeout above the slowest request."},
			{Program: "haproxy", Text: "Soft stop by SIGUSR1 or a reload in master-worker mode; hard-stop-after above the slowest request."},
			{Program: "Apache", Text: "apachectl graceful-stop with GracefulShutdownTimeout above the slowest request."},
			{Program: "Node", Text: "On SIGTERM: server.close() and server.closeIdleConnections(), then exit in its callback."},
			{Program: "Java", Text: "Spring Boot: server.shutdown=graceful; Tomcat: GracefulShutdown; HttpServer.stop(delay) with a delay above 0."},
			{Program: "Go", Text: "http.Server.Shutdown(ctx) on SIGTERM in place of Close or os.Exit; wait for it in main."},
			{Program: "Python", Text: "gunicorn: SIGTERM with --graceful-timeout; uvicorn: --timeout-graceful-shutdown."},
		},
		Confirm: "Filter tcp.srcport == PORT && (tcp.flags.fin == 1 || tcp.flags.reset == 1) around the time given: each follows an unanswered request; then look for http.response or SYN-ACKs of the server in the next second.",
		Silent: "The server went on answering or accepting within the second. Fewer than three connections lost a request within a second. " +
			"The clients had closed first, or the server had announced close. Idle connections that are closed lose nothing.",
		Refs: []string{"RFC 9112 §9.6", "RFC 9112 §9.5", "RFC 9110 §9.2.2"},
	},
	Absence: true,
	Needs:   unsure,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*rules.UsageFact, netip.AddrPort, *Stops](Drain{})
	},
}

// What makes a shutdown.
const (
	stopWindow   = time.Second // within which connections end
	stopMinConns = 3
	stopSilence  = time.Second // without a sign of life from the first of them on
	maxCut       = 4096        // cuts kept of a server
	maxStopShown = 6           // frames of a finding
)

// Drain is the aggregate by server endpoint.
type Drain struct{}

// Stops is what is known of one server endpoint.
type Stops struct {
	Cuts    accum.SmallestN[Cut] // connections it ended with requests in hand, the first maxCut
	Alive   accum.Timeline       // handshakes completed and responses begun
	Refused accum.Timeline       // SYNs refused
}

// Cut is a connection that its server ended with requests in hand.
type Cut struct {
	Time             int64
	Frame, Conn      uint64
	Requests, Unsafe int // of them, not idempotent
}

func cutOrder(a, b Cut) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Frame, b.Frame))
}

// Key returns the server.
func (d Drain) Key(f *rules.UsageFact) (netip.AddrPort, bool) { return f.Server, d.Takes(f) }

// Takes implements rules.Taker.
func (Drain) Takes(f *rules.UsageFact) bool { return f.Turn == nil && f.ClientKnown }

// Add notes a response, or how a connection began and ended.
func (Drain) Add(a *Stops, f *rules.UsageFact) *Stops {
	a = accum.Made(a)
	if t := f.Transaction; t != nil {
		if t.Resp.First.Frame != 0 {
			a.Alive.Note(t.Resp.First.Time, 1)
		}
		return a
	}
	c := f.Conn()
	if c.Established.Seen() {
		a.Alive.Note(c.Established.Time, 1)
	} else if c.End[http1.Client].FirstData.Seen() {
		a.Alive.Note(c.Start, 1) // its handshake was not captured, or out of order
	}
	sv := &c.End[http1.Server]
	if c.Outcome == lifecycle.Refused {
		a.Refused.Note(sv.RST.Time, 1)
	}
	end := ending(sv)
	if c.Missing&unsure != 0 || hidden(c) || c.LostCount == 0 || !end.Seen() || !end.HasAck || c.First != http1.Server ||
		c.LastExchange.RespBits.Has(http1.ConnClose) && c.LastExchange.RespEnd.Frame != 0 {
		return a
	}
	cut := Cut{Time: end.Time, Frame: end.Frame, Conn: c.ID}
	for i := range c.Lost {
		if l := &c.Lost[i]; l.First.Seq.Less(end.Ack) {
			cut.Requests++
			if !l.Method.Idempotent() {
				cut.Unsafe++
			}
		}
	}
	if cut.Requests > 0 {
		a.Cuts = a.Cuts.Add(cut, maxCut, cutOrder)
	}
	return a
}

// Merge returns what is known from both.
func (Drain) Merge(a, b *Stops) *Stops {
	if b == nil {
		return a
	}
	a = accum.Made(a)
	a.Cuts = a.Cuts.Merge(b.Cuts, maxCut, cutOrder)
	a.Alive = a.Alive.Merge(b.Alive)
	a.Refused = a.Refused.Merge(b.Refused)
	return a
}

// Judge looks for times at which several connections were cut and no life was
// left.
func (Drain) Judge(p *rules.Pass, server netip.AddrPort, a *Stops) {
	for i := 0; i < len(a.Cuts); {
		n := 1
		for i+n < len(a.Cuts) && a.Cuts[i+n].Time-a.Cuts[i].Time <= int64(stopWindow) {
			n++
		}
		if n < stopMinConns {
			i++
			continue
		}
		back, alive := next(&a.Alive, a.Cuts[i].Time)
		refused, until := lastBefore(&a.Refused, a.Cuts[i].Time, back, alive)
		if alive && back-a.Cuts[i].Time < int64(stopSilence) && !refused {
			i++
			continue
		}
		reportStop(p, server, a.Cuts[i:i+n], back, alive, refused, until)
		i += n
	}
}

// next returns when the first event comes in a bin after that of time at.
func next(t *accum.Timeline, at int64) (when int64, ok bool) {
	for _, b := range t.Bins {
		if b.At > at>>t.Shift {
			return b.At << t.Shift, true
		}
	}
	return 0, false
}

// lastBefore returns the last event after at and before limit.
func lastBefore(t *accum.Timeline, at, limit int64, limited bool) (found bool, when int64) {
	for _, b := range t.Bins {
		time := b.At << t.Shift
		if b.At >= at>>t.Shift && (!limited || time < limit) {
			found, when = true, max(time, at)
		}
	}
	return found, when
}

func reportStop(p *rules.Pass, server netip.AddrPort, cuts []Cut, back int64, alive, refused bool, until int64) {
	f := rules.Finding{
		Severity: rules.Error, Time: cuts[0].Time, Conn: cuts[0].Conn, Conns: len(cuts),
		Subject: rules.Subject{Server: server}, Side: "server",
	}
	requests, unsafe := 0, 0
	for _, c := range cuts {
		if len(f.Frames) < maxStopShown {
			f.Frames = append(f.Frames, c.Frame)
		}
		f.Covers = append(f.Covers, c.Conn)
		requests += c.Requests
		unsafe += c.Unsafe
	}
	slices.Sort(f.Covers)
	f.Message = fmt.Sprintf("server %v: ended %d connections within %s with %d requests unanswered, %d of them not idempotent",
		server, len(cuts), rules.Span(cuts[len(cuts)-1].Time-cuts[0].Time), requests, unsafe)
	f.Measured = []rules.Measure{
		{Name: "requests_lost", Value: float64(requests), Sum: true},
		{Name: "non_idempotent_lost", Value: float64(unsafe), Sum: true},
	}
	if refused {
		f.Message += fmt.Sprintf("; it refused connections until %s later", rules.Span(until-cuts[0].Time))
		f.Measured = append(f.Measured, rules.Measure{Name: "refused_until_s", Value: float64(until-cuts[0].Time) / 1e9})
	}
	if alive {
		f.Message += fmt.Sprintf("; it was back after %s", rules.Span(back-cuts[0].Time))
		f.Measured = append(f.Measured, rules.Measure{Name: "back_after_s", Value: float64(back-cuts[0].Time) / 1e9})
	}
	p.Report(f)
}
