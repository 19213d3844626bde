package framing

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// Unsolicited reports responses that no request asked for.
var Unsolicited = &rules.Rule{
	Code: "FRM008",
	Name: "unsolicited-response",
	Doc: rules.Doc{
		Title:    "a response came though no request was outstanding",
		Severity: rules.Error,
		Wire: "The server sent a status line when each request it had been sent was answered in full. " +
			"A 408 on an idle connection that the server then closes (400 or 503 where it says close) is how some servers end an idle wait: a note only (info).",
		Harm: "A client that does not look at its idle connections takes the stray response for the answer to its next request, and each later one for the answer to the request after. " +
			"With a proxy in between, one user sees another's data.",
		Fix: "find what answers twice: an error handler behind a response that was already sent, or a request that the server counts as two",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It logs \"upstream sent unsolicited data\" and closes; it closes idle client connections without a 408."},
			{Program: "haproxy", Text: "timeout http-keep-alive closes in silence; timeout http-request answers 408 before the first byte: option http-ignore-probes keeps quiet for browsers' spare connections."},
			{Program: "Apache", Text: "RequestReadTimeout answers 408 to connections that never asked: raise header=, or take the note as it is."},
			{Program: "Node", Text: "Do not write to the socket after res.end(); clientError handlers must check socket.writable and whether a response was sent. server.headersTimeout answers 408."},
			{Program: "Java", Text: "An exception mapper or error page must not write where the response is committed."},
			{Program: "Go", Text: "net/http's client logs \"Unsolicited response received on idle HTTP channel\" and closes; handlers that hijack must write one response only."},
			{Program: "Python", Text: "http.server: call send_response once a request, and return after send_error."},
		},
		Confirm: "Filter tcp.stream eq N && http: a response without \"Request in frame\".",
		Silent:  "The request may be one that the capture lost, or was sent before it began. Interim responses before a final one. Pushed bytes that begin no status line are content-length-mismatch or body-not-allowed.",
		Refs:    []string{"RFC 9112 §9.2", "RFC 9110 §15.5.9", "RFC 9112 §11.2"},
	},
	Needs:  lifecycle.Gap | lifecycle.MidStream | lifecycle.OneDirection | lifecycle.BadFraming | lifecycle.Capped,
	Closed: unsolicited,
}

func unsolicited(p *rules.Pass, c *lifecycle.Conn) {
	u := &c.Unsolicited
	if u.Count == 0 || c.Missing&(lossy|lifecycle.MidStream) != 0 {
		return
	}
	subj := rules.Subject{Client: c.Client, Server: c.Server, Status: int(u.Status)}
	sev, note := rules.Error, ""
	if farewell(c) {
		sev, note = rules.Info, ", and the connection was not used again"
	}
	before := "before any request"
	cause := u.First.Frame
	if b := &u.Before; b.RespEnd.Frame != 0 {
		before = fmt.Sprintf("%s after the end of response %d", rules.Span(u.First.Time-b.RespEnd.Time), b.Status)
		// Where lengths contradict each other, server and client count the
		// messages differently: that is the cause.
		switch {
		case contradicts(http1.Server, b.RespBits, b.Version) && !bodiless(&http1.Message{Status: b.Status}, nil):
			cause = b.RespStart.Frame
		case contradicts(http1.Client, b.ReqBits, b.ReqVersion):
			cause = b.ReqStart.Frame
		}
	}
	msg := fmt.Sprintf("%s: response %d with no request outstanding, %s%s", subj.WhereServer(), u.Status, before, note)
	if u.Count > 1 {
		msg += fmt.Sprintf("; %d such responses in all", u.Count)
	}
	p.Report(rules.Finding{
		Severity: sev,
		Frames:   rules.Frames(u.First.Frame, u.Before.RespStart.Frame, u.Before.ReqStart.Frame),
		Time:     u.First.Time,
		Subject:  subj,
		Message:  msg,
		Side:     "server",
		Cause:    cause,
		Measured: []rules.Measure{{Name: "responses", Value: float64(u.Count), Sum: true}},
	})
}

// farewell reports whether the stray response was the server's word before it
// closed an idle connection: a 408, or a 400 or 503 that says close, with
// nothing answered behind it.
func farewell(c *lifecycle.Conn) bool {
	u := &c.Unsolicited
	switch u.Status {
	case 408:
	case 400, 503:
		if !u.Bits.Has(http1.ConnClose) {
			return false
		}
	default:
		return false
	}
	if u.Count > 1 || c.LastExchange.RespEnd.Frame > u.First.Frame {
		return false
	}
	// A capture that ends before the close has nothing against it.
	s := &c.End[http1.Server]
	return s.FIN.Seen() || s.RST.Seen() || c.Outcome == lifecycle.StillOpen || c.Outcome == lifecycle.HalfClosed
}
