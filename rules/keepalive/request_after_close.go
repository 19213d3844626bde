package keepalive

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// RequestAfterClose reports requests on connections that had been declared
// over.
var RequestAfterClose = &rules.Rule{
	Code: "KA007",
	Name: "request-after-close",
	Doc: rules.Doc{
		Title:    "a request was sent after Connection: close had been said",
		Severity: rules.Error,
		Wire: "The client had itself sent Connection: close with an earlier request of the connection; " +
			"or a response with Connection: close was complete, and the next request's acknowledgement covers it: the client's host had all of it.",
		Harm: "The server closes after the response that said so and does not read what follows (RFC 9112 §9.6). " +
			"The request is lost, and its RST can take the end of the last response with it.",
		Fix: "have the client take a connection out of its pool as soon as either side says close",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It takes such connections out of its upstream pool: look at the program that owns the client's address."},
			{Program: "haproxy", Text: "It does so too; look for http-response rules that remove Connection: the client behind cannot know then."},
			{Program: "Apache", Text: "Do not unset Connection in responses with mod_headers."},
			{Program: "Node", Text: "http.Agent does this by itself: look at hand-made clients on net.Socket, and at code that sets Connection: close by hand and keeps the socket."},
			{Program: "Java", Text: "Hand-written clients: test for the close option before the socket goes back to the pool; Apache HttpClient: leave the default ConnectionReuseStrategy."},
			{Program: "Go", Text: "net/http honours Response.Close; a hand-written client must test it before http.ReadResponse is called again on the same connection."},
			{Program: "Python", Text: "http.client: response.will_close tells; do not set sock by hand."},
		},
		Confirm: "Filter http && tcp.stream eq N: a message with http.connection == \"close\", and a request after it whose tcp.ack covers that response.",
		Silent: "The request left before its client had the whole response that said close: it was pipelined, and its loss is PIP003 or a race. " +
			"Only an interim response (1xx) said close. The client's earlier request was not seen.",
		Refs: []string{"RFC 9112 §9.6", "RFC 9112 §9.3"},
	},
	Needs:       blind,
	Transaction: afterClose,
	Odd:         rules.AfterClose,
}

func afterClose(p *rules.Pass, t *http1.Transaction) {
	if t.Index == 0 || t.Req.First.Frame == 0 {
		return
	}
	x := p.Last()
	own := x.ReqBits.Has(http1.ConnClose)
	theirs := x.RespBits.Has(http1.ConnClose) && x.RespEnd.Seq.LessEq(t.Req.First.Ack)
	if x.RespEnd.Frame == 0 || x.Index >= t.Index || !own && !theirs || p.Conn().Missing&lifecycle.OneDirection != 0 {
		return
	}
	subj := p.Subject(t)
	f := rules.Finding{
		Severity: rules.Error,
		Time:     t.Req.First.Time,
		Subject:  subj,
		Side:     "client",
		// No Cause: it explains how the request and the connection ended.
	}
	if own {
		after := time.Duration(t.Req.First.Time - x.ReqStart.Time)
		f.Frames = rules.Frames(t.Req.First.Frame, x.ReqStart.Frame)
		f.Message = fmt.Sprintf("%s: sent %s after the client's own Connection: close", subj.Where(), rules.Span(after))
		f.Measured = []rules.Measure{{Name: "after_close_ms", Value: rules.Millis(after)}}
		f.Shape = "own"
	} else {
		after := time.Duration(t.Req.First.Time - x.RespEnd.Time)
		f.Frames = rules.Frames(t.Req.First.Frame, x.RespStart.Frame, x.RespEnd.Frame)
		f.Message = fmt.Sprintf("%s: sent %s after the end of a response %d with Connection: close, which its host had acknowledged", subj.Where(), rules.Span(after), x.Status)
		f.Measured = []rules.Measure{{Name: "after_close_ms", Value: rules.Millis(after)}}
	}
	p.Report(f)
}
