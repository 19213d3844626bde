package keepalive

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// LastRequestWithoutClose reports clients that leave without a word.
var LastRequestWithoutClose = &rules.Rule{
	Code: "KA009",
	Name: "last-request-without-close",
	Doc: rules.Doc{
		Title:    "the client closed a reusable connection right after its last response, without having said close",
		Severity: rules.Info,
		Wire: "The response is complete, both sides could have kept the connection, and the client's FIN follows within 100 ms. " +
			"Its last request had not said Connection: close.",
		Harm: "The server could not know that it may close: it holds the connection for the next request until the FIN comes, and the client keeps TIME_WAIT. " +
			"With Connection: close the server would close first, and hold TIME_WAIT itself.",
		Fix: "send Connection: close with the last request, or keep the connection",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "Upstreams without keepalive get Connection: close by default; do not clear it where there is no keepalive directive."},
			{Program: "haproxy", Text: "option httpclose announces; http-reuse keeps."},
			{Program: "Apache", Text: "ProxyPass with disablereuse=On closes unannounced: leave it off."},
			{Program: "Node", Text: "agent: false sends Connection: close; an Agent with keepAlive: true keeps."},
			{Program: "Java", Text: "HttpURLConnection: setRequestProperty(\"Connection\", \"close\") where one request is all there is; else one HttpClient for all."},
			{Program: "Go", Text: "Request.Close = true where one request is all there is; else one http.Client for all."},
			{Program: "Python", Text: "requests.get outside a Session: headers={'Connection': 'close'}, or hold a Session."},
		},
		Confirm: "Filter tcp.stream eq N && (http || tcp.flags.fin == 1): the client's FIN follows the last response, and http.connection == \"close\" is nowhere.",
		Silent:  "It is off unless selected: most clients do this. Either side said close, or the connection could not be kept. The server closed first, or the client later than 100 ms after the response.",
		Refs:    []string{"RFC 9112 §9.6", "RFC 9293 §3.6.1"},
	},
	Absence: true,
	Needs:   blind,
	Off:     true,
	Closed:  leftSilently,
}

func leftSilently(p *rules.Pass, c *lifecycle.Conn) {
	x, fin := &c.LastExchange, &c.End[http1.Client].FIN
	switch {
	case c.Protocol != http1.HTTP1, !fin.Seen(), c.Missing&lifecycle.OneDirection != 0,
		x.RespEnd.Frame == 0, !agreed(x), fin.Ack.Less(x.RespEnd.Seq), fin.Seq != x.ReqEnd.Seq:
		return
	}
	if s := &c.End[http1.Server]; s.RST.Seen() && s.RST.Frame < fin.Frame || s.FIN.Seen() && (s.FIN.Seq.Less(fin.Ack) || s.FIN.Ack.LessEq(fin.Seq)) {
		return // the server was first, or both closed at once
	}
	after := time.Duration(fin.Time - x.RespEnd.Time)
	if after > p.Config.KeepAliveRightAfter {
		return
	}
	subj := subject(c)
	p.Report(rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(fin.Frame, x.ReqStart.Frame, x.RespEnd.Frame),
		Time:     fin.Time,
		Subject:  subj,
		Say: func() string {
			return fmt.Sprintf("%s: FIN %s after the response to its last request, a %s that did not say Connection: close",
				fromClient(&subj), rules.Span(after), x.Method.String())
		},
		Side:     "client",
		Cause:    firstEnd(&c.End[http1.Client]),
		Once:     true,
		Measured: []rules.Measure{{Name: "fin_after_response_ms", Value: rules.Millis(after)}},
	})
}
