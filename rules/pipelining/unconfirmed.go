package pipelining

import (
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// Unconfirmed reports pipelining on a connection that nobody knows to be kept.
var Unconfirmed = &rules.Rule{
	Code: "PIP002",
	Name: "pipelining-unconfirmed",
	Doc: rules.Doc{
		Title:    "requests were pipelined before the first response showed that the connection is kept",
		Severity: rules.Info,
		Wire: "A client sent its second request on a new connection before any byte of the first response had reached it. " +
			"It is a warning where the server then did not keep the connection for it.",
		Harm: "Whether a server keeps a connection is known from its first response only. If it does not, all but the first of these requests are lost and must be sent again; " +
			"the unread ones can make the server's kernel reset the connection, and the first response is lost with them.",
		Fix: "send one request, and pipeline only when its response has shown that the connection is kept",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It answers pipelined requests in turn, up to keepalive_requests, and closes with the rest unread: raise it for such clients."},
			{Program: "haproxy", Text: "It passes on one request of a connection at a time: look at the client in front."},
			{Program: "Node", Text: "undici sends the first request of a connection alone by itself; pipelining: 1 (the default) turns pipelining off."},
			{Program: "Java", Text: "Vert.x: setPipelining(false), or send a first request and wait for it."},
			{Program: "Go", Text: "fasthttp's PipelineClient writes at once: use HostClient where servers may close."},
			{Program: "Python", Text: "http.client and requests do not pipeline: look for code that writes several requests to a socket."},
		},
		Confirm: "Filter tcp.stream eq N && http.request: the second request's tcp.ack (relative) is 1, it knew nothing of the server.",
		Silent: "The client had seen the beginning of the first response. The handshake is not in the capture. An earlier message could not be framed, or bytes are missing. " +
			"A final response that came before its request was complete ends that request's turn.",
		Refs: []string{"RFC 9112 §9.3.2", "RFC 9112 §9.6"},
	},
	Needs:       lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.MidStream | lifecycle.BadFraming | lifecycle.Capped,
	Transaction: unconfirmed,
	Odd:         rules.InPipeline,
}

func unconfirmed(p *rules.Pass, t *http1.Transaction) {
	if !t.Req.Bits.Has(http1.Pipelined) || t.Behind.Frame == 0 {
		return
	}
	c := p.Conn()
	if c == nil || !blind(c, t) {
		return
	}
	subj := p.Subject(t)
	// All of a connection's are one finding, as grave as the worst: their
	// methods and targets are not what it is about.
	of := subj
	of.Method, of.Target, of.Status = "", "", 0
	f := rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(t.Req.First.Frame, t.Behind.Frame),
		Time:     t.Req.First.Time,
		Subject:  of,
		Message:  subj.Where() + ": pipelined on a new connection before its first response showed that it is kept",
		Side:     "client",
		Cause:    t.Behind.Frame,
		Measured: []rules.Measure{{Name: "pipeline_depth", Value: float64(t.Depth)}},
	}
	unanswered := t.Outcome == http1.Unanswered || t.Outcome == http1.Incomplete || t.Outcome == http1.Open
	if end := serverEnd(c); unanswered && end != nil {
		f.Severity = rules.Warning
		f.Frames = append(f.Frames, end.Frame)
		f.Message += ", and the server did not keep it"
	}
	p.Report(f)
}

// blind reports whether a request left before its client knew any byte of the
// server's.
func blind(c *lifecycle.Conn, t *http1.Transaction) bool {
	s := &c.End[http1.Server]
	return s.SYN.Seen() && t.Req.First.Ack.LessEq(s.ISN.Add(1))
}

// serverEnd returns the FIN or RST by which the server ended the connection,
// nil if it did not or the client was first.
func serverEnd(c *lifecycle.Conn) *lifecycle.Mark {
	if c.First != http1.Server {
		return nil
	}
	return firstEnd(c, http1.Server)
}

// firstEnd returns that side's first FIN or RST, nil for none.
func firstEnd(c *lifecycle.Conn, side http1.Side) *lifecycle.Mark {
	e := &c.End[side]
	switch {
	case e.FIN.Seen() && (!e.RST.Seen() || e.FIN.Frame <= e.RST.Frame):
		return &e.FIN
	case e.RST.Seen():
		return &e.RST
	}
	return nil
}

// lossy is what leaves doubt about what was answered.
const lossy = lifecycle.Gap | lifecycle.OneDirection | lifecycle.Capped
