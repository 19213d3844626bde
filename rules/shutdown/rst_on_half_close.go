// Package shutdown reports connections that ended badly.
package shutdown

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// RSTOnHalfClose reports a server that takes its client's FIN for a hang-up.
var RSTOnHalfClose = &rules.Rule{
	Code: "CLS001",
	Name: "rst-on-half-close",
	Doc: rules.Doc{
		Title:    "a client closed its sending side after a request, and the server reset the connection instead of answering",
		Severity: rules.Error,
		Wire: "The client sent a whole request and then FIN: it has no more to send and waits for the response (a half-close). " +
			"The server, which had sent no FIN, answers with a RST that acknowledges that FIN, before its response is complete.",
		Harm: "The request may have been carried out, but its response is lost, and what of it lay unread in the client's buffer with it. " +
			"TCP allows a half-close (RFC 9293 §3.6), and shutdown(SHUT_WR) is how simple clients and many tools end a request.",
		Fix: "let the server finish its response after the client's FIN; on the client keep the sending side open until the response is read",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "proxy_ignore_client_abort on (fastcgi_, uwsgi_ likewise); lingering_close stays on."},
			{Program: "haproxy", Text: "Remove \"option abortonclose\", or set \"no option abortonclose\" for these back ends; it takes a half-close for an abort."},
			{Program: "Apache", Text: "httpd answers half-closed clients; look at the application server behind it."},
			{Program: "Node", Text: "http.createServer sets allowHalfOpen; for raw servers net.createServer({allowHalfOpen: true}), and do not destroy the socket on 'end'."},
			{Program: "Java", Text: "Netty: ChannelOption.ALLOW_HALF_CLOSURE, and handle ChannelInputShutdownEvent."},
			{Program: "Go", Text: "net/http cancels the request's context when the client's FIN arrives: do not give up on r.Context() for such clients, or detach with context.WithoutCancel."},
			{Program: "Python", Text: "asyncio: return True from Protocol.eof_received to keep the transport open. Clients: do not call shutdown(SHUT_WR) before the response is read."},
		},
		Confirm: "Filter tcp.flags.reset == 1 && tcp.flags.ack == 1: its tcp.ack is one more than the sequence number of the client's FIN, and no FIN of the server came before.",
		Silent: "The RST has no ACK flag or does not cover the FIN: it answers something else. The server had sent its FIN, or the final response was complete. The request was not complete when the FIN came. " +
			"TLS alerts, HTTP/2, WebSocket and tunnel bytes are no response that is owed. Only the first RST of a connection counts.",
		Refs: []string{"RFC 9293 §3.6", "RFC 9112 §9.6", "RFC 1122 §4.2.2.13"},
	},
	Needs:       lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.Encrypted | lifecycle.BadFraming | lifecycle.Capped,
	Transaction: resetHalfClosed,
	Odd:         rules.NotAnswered,
}

func resetHalfClosed(p *rules.Pass, t *http1.Transaction) {
	switch t.Outcome {
	case http1.Incomplete, http1.Unanswered, http1.Open:
		// Open: the capture ended before the connection was forgotten. The
		// RST will do.
	default:
		return
	}
	if !t.Req.Complete || t.Resp.Framing == http1.Switched && t.Resp.First.Frame != 0 {
		return
	}
	c := p.Conn()
	if c == nil {
		return
	}
	fin, rst := &c.End[http1.Client].FIN, &c.End[http1.Server].RST
	switch {
	case !fin.Seen() || !rst.Seen() || c.End[http1.Server].FIN.Seen():
		return
	case fin.Seq.Less(t.Req.Last.Seq):
		return // the request was not out when the FIN was
	case !rst.HasAck || rst.Ack.Less(fin.Seq.Add(1)):
		return
	}
	// What the server had sent, by its own segments or else by what the client
	// knew of it.
	sent := fin.Ack
	if e := &c.End[http1.Server]; e.SYN.Seen() || e.FirstData.Seen() {
		sent = e.Nxt
	}
	if sent.Less(rst.Seq) {
		return // the capture misses some of it
	}
	subj := p.Subject(t)
	got := "no response"
	if t.Resp.First.Frame != 0 {
		got = fmt.Sprintf("%s bytes of its response", rules.Count(int64(t.Resp.Last.Seq.Sub(t.Resp.First.Seq))))
	}
	wait := rst.Time - fin.Time
	p.Report(rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(rst.Frame, fin.Frame, t.Req.First.Frame),
		Time:     rst.Time,
		Subject:  subj,
		Message: fmt.Sprintf("%s: RST %s after the client's half-close, with %s sent",
			subj.WhereServer(), rules.Span(wait), got),
		Side:  "server",
		Cause: rst.Frame,
		Once:  true,
		Measured: []rules.Measure{
			{Name: "rst_after_fin_ms", Value: rules.Millis(wait)},
			{Name: "response_bytes", Value: float64(max(0, t.Resp.Last.Seq.Sub(t.Resp.First.Seq)))},
		},
	})
}
