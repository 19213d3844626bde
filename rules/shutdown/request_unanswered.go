package shutdown

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// RequestUnanswered reports requests that a server took and then hung up on.
var RequestUnanswered = &rules.Rule{
	Code: "CLS006",
	Name: "request-unanswered",
	Doc: rules.Doc{
		Title:    "a server took a request and ended the connection without a response",
		Severity: rules.Error,
		Wire: "The server's FIN or RST acknowledges bytes of a request, so its TCP had them, and no final response is complete. " +
			"The client had ended nothing. Proxies log it as \"upstream prematurely closed connection\".",
		Harm: "The client cannot tell whether the request was carried out. A request that is not idempotent cannot be repeated safely.",
		Fix:  "find out why the server ends the connection: a crash, a time-out shorter than the request takes, a worker recycled, an idle time-out that fires as the request arrives",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "Look for \"worker process exited\" and client time-outs in error_log; keepalive_timeout above the clients' idle time-out."},
			{Program: "haproxy", Text: "Termination states SH and SD in the log; timeout http-keep-alive and timeout client above what clients hold."},
			{Program: "Apache", Text: "MaxConnectionsPerChild and graceful restarts end workers; look for segmentation faults in the error log; KeepAliveTimeout."},
			{Program: "Node", Text: "Handle 'uncaughtException' and 'clientError'; server.requestTimeout and headersTimeout above the slowest request."},
			{Program: "Java", Text: "Connector connectionTimeout and keepAliveTimeout; look for OutOfMemoryError and rejected executor tasks."},
			{Program: "Go", Text: "A panic in a handler ends its connection: recover and answer 500; http.Server.ReadTimeout and WriteTimeout above the slowest request."},
			{Program: "Python", Text: "gunicorn --timeout kills silent workers and --max-requests recycles them; uvicorn --timeout-keep-alive."},
		},
		Confirm: "Follow the connection (tcp.stream eq N): the last client segment with tcp.len > 0 is acknowledged by a FIN or RST of the server, and no complete response comes between.",
		Silent: "The FIN or RST acknowledges nothing of the request: it crossed on the wire (KA001). The client reset the connection. Only a part of the request's head was sent. Connection: close had been said before the request: it was not to be answered (KA007). " +
			"The response had begun with a body that a close ends (FRM001). A closer finding has the same cause. After the client's own FIN it is no more than info.",
		Refs: []string{"RFC 9112 §9.3.1", "RFC 9112 §9.5", "RFC 9110 §9.2.2"},
	},
	Absence:     true,
	Needs:       unsure | lifecycle.MidStream,
	Transaction: requestUnanswered,
	Odd:         rules.NotAnswered,
}

// wasIdle is how long a connection must have been idle for an idle time-out to
// be a likely reason of its end.
const wasIdle = time.Second

func requestUnanswered(p *rules.Pass, t *http1.Transaction) {
	switch t.Outcome {
	case http1.Incomplete, http1.Unanswered, http1.Open:
	default:
		return
	}
	began := t.Resp.First.Frame != 0
	if t.Req.HeadEnd.Frame == 0 || began && (t.Resp.Framing == http1.Switched || t.Resp.Framing == http1.UntilClose) {
		return
	}
	c := p.Conn()
	if c == nil {
		return
	}
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	end := ending(sv)
	if !end.Seen() || !end.HasAck || end.Ack.LessEq(t.Req.First.Seq) || cl.RST.Seen() && c.First == http1.Client || hidden(c) {
		return
	}
	if c.Missing&lifecycle.MidStream != 0 && c.LastResponse.Frame == 0 {
		return // close may have been said before the capture began
	}
	if x := &c.LastExchange; x.RespEnd.Frame != 0 && (x.ReqBits | x.RespBits).Has(http1.ConnClose) {
		return // no further request was to be answered
	}
	sev, left := rules.Error, ""
	if c.First == http1.Client && cl.FIN.Seen() {
		sev, left = rules.Info, ", the client's FIN having come first"
	}
	by := "FIN"
	if end == &sv.RST {
		by = "RST"
	}
	wait := end.Time - t.Req.First.Time
	got := "no response"
	if began {
		got = fmt.Sprintf("%s bytes of the response", rules.Count(int64(t.Resp.Last.Seq.Sub(t.Resp.First.Seq))))
	}
	s := p.Subject(t)
	f := rules.Finding{
		Severity: sev,
		Frames:   rules.Frames(end.Frame, t.Req.First.Frame, t.Resp.First.Frame),
		Time:     end.Time,
		Subject:  s,
		Message:  fmt.Sprintf("%s: %s %s after the request began, with %s sent%s", s.WhereServer(), by, rules.Span(wait), got, left),
		Side:     "server",
		Cause:    end.Frame,
		Measured: []rules.Measure{{Name: "waited_ms", Value: rules.Millis(wait), Sum: true}},
	}
	if last := c.LastResponse; last.Frame != 0 && t.Req.First.Time-last.Time >= int64(wasIdle) {
		idle := t.Req.First.Time - last.Time
		f.Message += fmt.Sprintf("; perhaps an idle-close race, the connection had been idle for %s", rules.Span(idle))
		f.Measured = append(f.Measured, rules.Measure{Name: "idle_before_ms", Value: rules.Millis(idle)})
	}
	p.Report(f)
}
