// Package pipelining reports requests that did not wait for the responses
// before them.
package pipelining

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// NonIdempotent reports pipelining around requests that must not be repeated.
var NonIdempotent = &rules.Rule{
	Code: "PIP001",
	Name: "pipelined-non-idempotent",
	Doc: rules.Doc{
		Title:    "a request was pipelined behind, or as, one that must not be repeated",
		Severity: rules.Error,
		Wire: "A client sent a request before it knew the whole response to an earlier one. " +
			"The earlier request was POST, PATCH, LOCK, CONNECT or of an unknown method (error), or the later one is, behind requests that may be repeated (warning).",
		Harm: "If the connection ends in between, the client cannot know which of its requests were carried out. " +
			"What may be repeated can be sent again; a POST may then be done twice or not at all. " +
			"Some servers and proxies do not wait either, and carry the requests out in another order.",
		Fix: "wait for the response to a non-idempotent request before sending the next, or send it on a connection of its own",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It does not pipeline to upstreams: the client in front does."},
			{Program: "haproxy", Text: "It handles one request of a connection at a time: the client in front is at fault."},
			{Program: "Node", Text: "http.Agent does not pipeline. undici: pipelining: 1 (the default); higher values hold non-idempotent requests back unless told otherwise."},
			{Program: "Java", Text: "Netty, Vert.x: setPipelining(false), or one request a pooled channel at a time."},
			{Program: "Go", Text: "net/http does not pipeline; valyala/fasthttp's PipelineClient is for idempotent requests only."},
			{Program: "Python", Text: "http.client, requests and aiohttp do not pipeline: look for code that writes to the socket itself."},
		},
		Confirm: "Follow the connection with tcp.stream eq N && http: a request stands before the response to the one before, and its tcp.ack does not reach that response's last byte.",
		Silent: "The client knew, by its acknowledgement, the end of every earlier response. A final response came early, before its request's body was complete, and the next request follows that body. " +
			"An earlier message could not be framed: from there on nobody can tell which response is whose.",
		Refs: []string{"RFC 9112 §9.3.2", "RFC 9110 §9.2.2"},
	},
	Absence:     true,
	Needs:       lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.MidStream | lifecycle.BadFraming | lifecycle.Capped,
	Transaction: nonIdempotent,
	Odd:         rules.InPipeline,
}

func nonIdempotent(p *rules.Pass, t *http1.Transaction) {
	unsafe := t.BehindUnsafe.Frame != 0
	if !unsafe && (t.Behind.Frame == 0 || t.Method.Idempotent()) {
		return
	}
	subj := p.Subject(t)
	f := rules.Finding{
		Severity: rules.Warning,
		Time:     t.Req.First.Time,
		Subject:  subj,
		Side:     "client",
		Cause:    t.Req.First.Frame,
		Measured: []rules.Measure{{Name: "pipeline_depth", Value: float64(t.Depth)}},
	}
	if unsafe {
		f.Severity = rules.Error
		f.Frames = rules.Frames(t.Req.First.Frame, t.BehindUnsafe.Frame)
		f.Shape = "behind"
		f.Message = fmt.Sprintf("%s: sent %s after a %s that was still unanswered", subj.Where(),
			rules.Span(t.Req.First.Time-t.BehindUnsafe.Time), method(t.BehindMethod))
	} else {
		f.Frames = rules.Frames(t.Req.First.Frame, t.Behind.Frame)
		f.Message = fmt.Sprintf("%s: not idempotent, and sent %s after a request that was still unanswered", subj.Where(),
			rules.Span(t.Req.First.Time-t.Behind.Time))
	}
	p.Report(f)
}

func method(name []byte) string {
	if len(name) == 0 {
		return "request"
	}
	return string(name)
}
