package shutdown

import (
	"fmt"
	"strings"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/rules"
)

// ResetLosesResponse reports a server that answers early and closes with
// unread request bytes.
var ResetLosesResponse = &rules.Rule{
	Code: "CLS002",
	Name: "reset-loses-response",
	Doc: rules.Doc{
		Title:    "a server answered before it had read the request, closed, and its reset may destroy the answer",
		Severity: rules.Error,
		Wire: "The server sends its response (413, 401, a redirect) while the request's body is still on its way, and closes the socket. " +
			"Closing with unread bytes sends RST at once; if the bytes come later, they are answered by RST.",
		Harm: "On a RST the client's TCP throws away what the program has not read yet: the response that was there to explain the matter. " +
			"The program sees \"connection reset\" or \"broken pipe\" instead of 413, and often retries the whole upload.",
		Fix: "close in two steps: send the response, shut down the sending side, read and discard until the client closes or a few seconds are over",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "Leave lingering_close on (the default; \"always\" for clients behind slow links) and lingering_timeout at 5 s."},
			{Program: "haproxy", Text: "Let the back end read: avoid http-request deny and return before the body (use option http-buffer-request for small ones); no option nolinger."},
			{Program: "Apache", Text: "httpd lingers for 2 s by itself; for larger uploads raise LimitRequestBody or let the handler read the body before it answers."},
			{Program: "Node", Text: "req.resume() before res.end() in early answers; do not call req.destroy() or socket.destroy()."},
			{Program: "Java", Text: "Read the rest of the request's InputStream, up to a limit; Tomcat: maxSwallowSize -1 or above the largest upload."},
			{Program: "Go", Text: "net/http reads up to 256 KiB after the handler; for larger bodies io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, limit)) first."},
			{Program: "Python", Text: "Read the body before answering; http.server: rfile.read the declared length, or shutdown(SHUT_WR) and drain before close."},
		},
		Confirm: "Filter tcp.flags.reset == 1: a RST of the server follows its response while tcp.len > 0 segments of the client are not acknowledged, or come after it.",
		Silent: "The whole request was acknowledged before the response began, or long before the RST. The client had closed after it knew the response. The client reset first. " +
			"Another request was outstanding: then that one is what was lost.",
		Refs: []string{"RFC 9112 §9.6", "RFC 9110 §15.5.14", "RFC 1122 §4.2.2.13", "RFC 2525 §2.17"},
	},
	Needs:       unsure,
	Transaction: resetIncomplete,
	Odd:         rules.NotAnswered,
	Closed:      resetAnswered,
}

// resetSoon is how soon after the response a RST still finds it unread, where
// the request's bytes have arrived meanwhile.
const resetSoon = time.Second

// resetAnswered looks at a connection whose last response was sent whole.
func resetAnswered(p *rules.Pass, c *lifecycle.Conn) {
	x := &c.LastExchange
	if c.Missing&unsure != 0 || c.LostCount > 0 || x.RespEnd.Frame == 0 || x.Framing == http1.Switched {
		return
	}
	s := p.Subject(nil)
	s.Method, s.Status = x.Method.String(), int(x.Status)
	reportReset(p, c, &x.RespStart, &x.RespEnd, x.ReqEnd.Seq, s)
}

// resetIncomplete looks at a response that the RST itself cut.
func resetIncomplete(p *rules.Pass, t *http1.Transaction) {
	if t.Outcome != http1.Incomplete || switched(t) {
		return
	}
	if c := p.Conn(); c != nil {
		reportReset(p, c, &t.Resp.First, &t.Resp.Last, t.Req.Last.Seq, p.Subject(t))
	}
}

// reportReset reports the server's RST if it follows a response that left
// before all of its request, which ends at end, had arrived.
func reportReset(p *rules.Pass, c *lifecycle.Conn, from, to *http1.Mark, end wire.Seq, s rules.Subject) {
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	rst := &sv.RST
	switch {
	case !rst.Seen() || rst.Frame < from.Frame || rst.Frame < sv.LastData.Frame:
		return
	case before(&cl.RST, rst):
		return
	case before(&cl.FIN, rst) && to.Seq.LessEq(cl.FIN.Ack):
		return // the client had the response when it closed
	case end.LessEq(from.Ack):
		return // nothing was in flight when the server answered
	}
	unread := max(0, end.Sub(cl.Acked))
	if unread == 0 && rst.Time-to.Time > int64(resetSoon) {
		return // all of it arrived and lay in time: the reset has another reason
	}
	inFlight := end.Sub(from.Ack)
	wait := rst.Time - to.Time
	p.Report(rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(rst.Frame, from.Frame, sv.FIN.Frame),
		Time:     rst.Time,
		Subject:  s,
		Message: fmt.Sprintf("%s: reset %s after response %d, which it had sent with %s bytes of the request still on their way",
			strings.TrimSpace(s.WhereServer()), rules.Span(wait), s.Status, rules.Count(int64(inFlight))),
		Side:  "server",
		Cause: ending(sv).Frame,
		Once:  true,
		Measured: []rules.Measure{
			{Name: "rst_after_response_ms", Value: rules.Millis(wait)},
			{Name: "in_flight_bytes", Value: float64(inFlight)},
			{Name: "unacknowledged_bytes", Value: float64(unread)},
		},
	})
}
