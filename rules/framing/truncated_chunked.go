package framing

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// TruncatedChunked reports chunked responses without their last chunk.
var TruncatedChunked = &rules.Rule{
	Code: "FRM003",
	Name: "truncated-chunked",
	Doc: rules.Doc{
		Title:    "a chunked response ended before its last chunk",
		Severity: rules.Error,
		Wire: "A response with Transfer-Encoding: chunked ends in a chunk of size 0, trailer fields if any, and an empty line (RFC 9112 §7.1). " +
			"The server ended the connection, by FIN or RST, before that had come.",
		Harm: "The client has a part of the body and cannot know how much is missing. " +
			"A client or a cache that takes it for the whole shows, stores and hands on damaged data. It is how an application's crash in the middle of a page looks on the wire.",
		Fix: "let the application end its response; look in its log for the exception, time-out or kill at that moment",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "\"upstream prematurely closed connection while reading upstream\" and \"upstream timed out\" in the error log name the upstream; raise proxy_read_timeout if the application is only slow."},
			{Program: "haproxy", Text: "Termination states SD-- and sD-- in the log; raise timeout server, and timeout tunnel for event streams."},
			{Program: "Apache", Text: "ProxyTimeout and CGIScriptTimeout cut bodies; the error log names the child that died."},
			{Program: "Node", Text: "Call res.end() on all paths, use stream.pipeline in place of pipe, and look for res.destroy() and server.requestTimeout."},
			{Program: "Java", Text: "Close the response's stream in finally; an exception after the response is committed cuts it, as it must."},
			{Program: "Go", Text: "A panic in a handler (http.ErrAbortHandler too) and http.Server.WriteTimeout cut the response; set the deadline with http.ResponseController for long ones."},
			{Program: "Python", Text: "Generators that raise cut the response; gunicorn kills workers at --timeout."},
		},
		Confirm: "Filter tcp.stream eq N: the server's FIN or RST follows chunk data without 30 0d 0a 0d 0a (\"0\" and two line ends) before it; Wireshark shows no \"End of chunked encoding\".",
		Silent: "The client's FIN or RST came first: it gave the body up. The capture ended first, lost or dropped bytes of the connection, or was cut so that chunk sizes are missing. " +
			"A chunk size that is no number is malformed-message.",
		Refs: []string{"RFC 9112 §7.1", "RFC 9112 §8"},
	},
	Needs:       lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.BadFraming | lifecycle.Capped,
	Transaction: noLastChunk,
	Odd:         rules.NotAnswered,
}

func noLastChunk(p *rules.Pass, t *http1.Transaction) {
	r := &t.Resp
	if r.Framing != http1.Chunked {
		return
	}
	end := cutBy(p, t)
	if end == nil {
		return
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(end.Frame, r.First.Frame, t.Req.First.Frame),
		Time:     end.Time,
		Subject:  subj,
		Message: fmt.Sprintf("%s: the server ended the connection without the last chunk of response %d, after %s bytes of its body",
			subj.WhereServer(), r.Status, rules.Count(r.Body)),
		Side:     "server",
		Cause:    end.Frame,
		Measured: []rules.Measure{{Name: "body_bytes", Value: float64(r.Body)}},
	})
}
