package shutdown

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// ClientAbort reports clients that give up on requests.
var ClientAbort = &rules.Rule{
	Code: "CLS004",
	Name: "client-abort",
	Doc: rules.Doc{
		Title:    "a client ended the connection while its request was outstanding",
		Severity: rules.Info,
		Wire: "The client sends RST before the response is complete, or FIN and then RST in answer to the response that came too late. " +
			"A FIN alone proves nothing: it may be a half-close that waits for the response.",
		Harm: "The server's work is lost, the request may have been carried out without its client knowing, and the connection is gone for those who come after. " +
			"Many aborts of one pair show a time-out shorter than the server needs.",
		Fix: "raise the client's time-out above what the server needs, or make the server faster; cancel work on the server when the client leaves",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "As client: proxy_read_timeout above the slowest answer; as server: status 499 in the log counts these."},
			{Program: "haproxy", Text: "timeout server above the slowest answer; termination state CD or CH in the log names the aborting side."},
			{Program: "Apache", Text: "ProxyTimeout, or timeout= of the worker, above the slowest answer."},
			{Program: "Node", Text: "AbortSignal.timeout, req.setTimeout above the slowest answer; on the server listen to 'close' of the response."},
			{Program: "Java", Text: "HttpRequest.Builder.timeout, or setReadTimeout, above the slowest answer."},
			{Program: "Go", Text: "http.Client.Timeout includes reading the body; read bodies to io.EOF, or the connection is closed; handlers watch r.Context()."},
			{Program: "Python", Text: "timeout=(connect, read) in requests and httpx; read streamed responses to their end."},
		},
		Confirm: "Filter tcp.flags.reset == 1 && ip.src == CLIENT: the last request before it has no complete response.",
		Silent: "The client sent FIN only. The server had ended the connection first. Nothing was outstanding. " +
			"The connection had been handed to another protocol.",
		Refs: []string{"RFC 9112 §9.5", "RFC 9293 §3.10.5", "RFC 9110 §15.6.5"},
	},
	Absence: true,
	Needs:   unsure,
	Closed:  clientAbort,
}

func clientAbort(p *rules.Pass, c *lifecycle.Conn) {
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	if c.Missing&unsure != 0 || c.Protocol != http1.HTTP1 || !cl.RST.Seen() || c.First != http1.Client || cl.RST.Frame < cl.LastData.Frame {
		return
	}
	x := &c.LastExchange
	var since http1.Mark
	switch {
	case c.LostCount > 0:
		l := &c.Lost[0]
		if !l.Answering && (before(&sv.FIN, &cl.RST) || before(&sv.RST, &cl.RST)) {
			return // it may have been a half-close that the server hung up on
		}
		since = l.First
	case x.RespEnd.Frame != 0 && before(&cl.FIN, &cl.RST) && cl.FIN.Ack.Less(x.RespEnd.Seq):
		since = x.ReqStart // the response came after the client had left
	default:
		return
	}
	end := ending(cl)
	wait := end.Time - since.Time
	// One finding a pair: which request it was matters less than how often.
	s := p.Subject(nil)
	p.Report(rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(end.Frame, cl.RST.Frame, since.Frame),
		Time:     end.Time,
		Subject:  s,
		Message:  fmt.Sprintf("%s: gave up %s after its request began", s.Where(), rules.Span(wait)),
		Side:     "client",
		Shape:    c.Client.Addr().String(),
		Cause:    end.Frame,
		Once:     true,
		Measured: []rules.Measure{
			{Name: "waited_ms", Value: rules.Millis(wait), Sum: true},
			{Name: "requests_lost", Value: float64(max(c.LostCount, 1)), Sum: true},
		},
	})
}
