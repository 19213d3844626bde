package keepalive

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// HTTP10Unconfirmed reports reuse of an HTTP/1.0 connection that nobody had
// agreed to keep.
var HTTP10Unconfirmed = &rules.Rule{
	Code: "KA006",
	Name: "http10-keep-alive-unconfirmed",
	Doc: rules.Doc{
		Title:    "a connection was reused after an HTTP/1.0 message that did not agree to keep it",
		Severity: rules.Warning,
		Wire: "The response before was HTTP/1.0 without Connection: keep-alive, and the client knew all of it when it sent another request on the same connection. " +
			"Or an HTTP/1.0 client left the token out in the middle of a connection, and both sides went on.",
		Harm: "HTTP/1.0 connections end after each response unless the server confirms the client's Connection: keep-alive. " +
			"A server that keeps its word closes, and the next request is lost; with a proxy in between that does not know the field, the connection hangs.",
		Fix: "speak HTTP/1.1 on both sides, or reuse an HTTP/1.0 connection only after Connection: keep-alive in each response",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "proxy_http_version 1.1 with proxy_set_header Connection \"\"; older releases ask upstreams in HTTP/1.0."},
			{Program: "haproxy", Text: "It follows the rules on both sides; remove h1-adjust and http-response rules that drop Connection."},
			{Program: "Apache", Text: "Remove downgrade-1.0, force-response-1.0 and force-proxy-request-1.0."},
			{Program: "Node", Text: "It confirms to HTTP/1.0 clients only where the length is known: set Content-Length."},
			{Program: "Java", Text: "Hand-written clients: test response.version and the Connection field before the socket goes back to the pool."},
			{Program: "Go", Text: "net/http follows the rules; hand-written clients: http.Response.Close tells."},
			{Program: "Python", Text: "http.server answers HTTP/1.0 by default: protocol_version = \"HTTP/1.1\" with lengths on all responses. ab needs -k and a server that confirms."},
		},
		Confirm: "Filter http && tcp.stream eq N: a response with http.response.version == \"HTTP/1.0\" and without Connection: keep-alive stands before another request.",
		Silent: "The response is HTTP/1.1, or says Connection: keep-alive. The request left before the client knew the response: it was pipelined (PIP002). " +
			"The response before was not seen in full, or is the one only a close ends.",
		Refs: []string{"RFC 9112 §9.3", "RFC 9112 §C.2.2", "RFC 2068 §19.7.1"},
	},
	Needs:       blind,
	Transaction: unconfirmed,
	Odd:         rules.AfterOld,
}

func unconfirmed(p *rules.Pass, t *http1.Transaction) {
	if t.Index == 0 || t.Req.First.Frame == 0 {
		return
	}
	x := p.Last()
	if x.Version >= 11 && x.ReqVersion >= 11 || !follows(x, t) || x.Framing == http1.UntilClose || t.Req.First.Ack.Less(x.RespEnd.Seq) ||
		p.Conn().Missing&lifecycle.OneDirection != 0 {
		return
	}
	why, shape := "", ""
	switch {
	case x.Version == 10 && !x.RespBits.Has(http1.ConnKeepAlive):
		why = fmt.Sprintf("the HTTP/1.0 response %d before did not say Connection: keep-alive", x.Status)
	case x.ReqVersion == 10 && !x.ReqBits.Has(http1.ConnKeepAlive) && x.Index > 0:
		why, shape = "the HTTP/1.0 request before no longer said Connection: keep-alive", "request"
	default:
		return
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(t.Req.First.Frame, x.RespStart.Frame, x.ReqStart.Frame),
		Time:     t.Req.First.Time,
		Subject:  subj,
		Message:  fmt.Sprintf("%s: sent on a connection that was not to be kept: %s", subj.Where(), why),
		Side:     "client",
		Shape:    shape,
		Cause:    t.Req.First.Frame,
	})
}
