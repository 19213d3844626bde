package keepalive

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// AdvertisedTimeoutBroken reports idle connections that were not kept as long
// as the Keep-Alive field said, or used longer.
var AdvertisedTimeoutBroken = &rules.Rule{
	Code: "KA004",
	Name: "advertised-timeout-broken",
	Doc: rules.Doc{
		Title:    "the server closed an idle connection before the time-out it had advertised",
		Severity: rules.Warning,
		Wire: "A response carries Keep-Alive: timeout=T, and the server ends the idle connection more than a second before T is over; " +
			"or it carries max=N with N above zero, and the server ends the connection right after that response. " +
			"The other way round, a client that reuses a connection after T (info): the server may have closed it.",
		Harm: "Clients that read the field, such as undici, Node's http.Agent and Apache HttpClient, keep idle connections up to T. " +
			"Where the server closes earlier, their requests run into the close and are lost (KA001).",
		Fix: "advertise what the server does: the same time-out in the field and in the configuration, or no field",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "keepalive_timeout TIMEOUT HEADER_TIMEOUT: the second is what it advertises, and must not be the larger; look at worker shutdowns and worker_connections too, which close idle connections early."},
			{Program: "haproxy", Text: "It does not write the field; remove one that a back end sends: http-response del-header Keep-Alive."},
			{Program: "Apache", Text: "KeepAliveTimeout and MaxKeepAliveRequests are what it advertises; the event MPM closes idle connections early when all workers are busy: raise MaxRequestWorkers or AsyncRequestWorkerFactor."},
			{Program: "Node", Text: "server.keepAliveTimeout is advertised by itself: do not set a Keep-Alive header by hand."},
			{Program: "Java", Text: "Tomcat: keepAliveTimeout on the Connector, which it advertises; useKeepAliveResponseHeader=\"false\" leaves it out."},
			{Program: "Go", Text: "net/http does not write the field: remove hand-set Keep-Alive headers, or set Server.IdleTimeout to match."},
			{Program: "Python", Text: "gunicorn --keep-alive and uvicorn --timeout-keep-alive do not show in any header: drop a hand-made Keep-Alive field."},
		},
		Confirm: "Filter http.response && tcp contains \"timeout=\", and compare with tcp.time_delta of the server's FIN in the same tcp.stream.",
		Silent: "Close was announced by either side, or the connection was not persistent. The client ended it first. The server kept it at least until one second before T, counted from the first byte of the response: it may have written all of it at once. A request was outstanding. " +
			"Only max= was given and the connection had been idle: that says nothing of time.",
		Refs: []string{"RFC 2068 §19.7.1", "RFC 9112 §9.5", "draft-thomson-hybi-http-timeout"},
	},
	Needs:       blind,
	Transaction: usedAfterTimeout,
	Odd:         rules.AfterLimit,
	Closed:      closedBeforeTimeout,
}

func usedAfterTimeout(p *rules.Pass, t *http1.Transaction) {
	if t.Index == 0 || t.Outcome != http1.Answered {
		return
	}
	x := p.Last()
	if !follows(x, t) || x.KeepAliveTimeout < 0 || !agreed(x) || t.Req.Bits.Has(http1.Pipelined) {
		return
	}
	idle := time.Duration(t.Req.First.Time - x.RespEnd.Time)
	if idle <= time.Duration(x.KeepAliveTimeout)*time.Second {
		return
	}
	if p.Conn().Missing&(lifecycle.Gap|lifecycle.OneDirection) != 0 {
		return // an exchange may be missing in between
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(t.Req.First.Frame, x.RespStart.Frame),
		Time:     t.Req.First.Time,
		Subject:  subj,
		Message:  fmt.Sprintf("%s: sent after %s idle, where the server had said timeout=%d", subj.Where(), rules.Span(idle), x.KeepAliveTimeout),
		Fix:      "have the client's pool drop connections before the advertised time-out",
		Side:     "client",
		Shape:    "late reuse",
		Cause:    t.Req.First.Frame,
		Measured: []rules.Measure{{Name: "idle_ms", Value: rules.Millis(idle)}, {Name: "advertised_timeout_s", Value: float64(x.KeepAliveTimeout)}},
	})
}

func closedBeforeTimeout(p *rules.Pass, c *lifecycle.Conn) {
	x, end := &c.LastExchange, ending(c)
	if end == nil || !unprompted(c, end) || !idleAtEnd(c, end) || !agreed(x) || c.Missing&lifecycle.OneDirection != 0 {
		return
	}
	idle := time.Duration(end.Time - x.RespEnd.Time)
	promised := time.Duration(x.KeepAliveTimeout) * time.Second
	// The server may have been idle since it wrote the response to its socket,
	// which is not before it began to send it.
	early := x.KeepAliveTimeout >= 0 && time.Duration(end.Time-x.RespStart.Time) < promised-p.Config.KeepAliveGrace
	more := x.KeepAliveMax > 0 && idle <= p.Config.KeepAliveRightAfter
	if !early && !more {
		return
	}
	subj := subject(c)
	f := rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(end.Frame, x.RespStart.Frame, x.RespEnd.Frame),
		Time:     end.Time,
		Subject:  subj,
		Side:     "server",
		Cause:    firstEnd(&c.End[http1.Server]),
		Once:     true,
		Measured: []rules.Measure{{Name: "idle_ms", Value: rules.Millis(idle)}},
	}
	if early {
		f.Message = fmt.Sprintf("%s: closed after %s idle, where it had said timeout=%d", fromServer(&subj), rules.Span(idle), x.KeepAliveTimeout)
		f.Measured = append(f.Measured, rules.Measure{Name: "advertised_timeout_s", Value: float64(x.KeepAliveTimeout)})
	} else {
		f.Message = fmt.Sprintf("%s: closed %s after a response, where it had said max=%d", fromServer(&subj), rules.Span(idle), x.KeepAliveMax)
		f.Measured = append(f.Measured, rules.Measure{Name: "advertised_max", Value: float64(x.KeepAliveMax)})
		f.Shape = "max"
	}
	p.Report(f)
}
