package latency

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// HeadOfLineBlocking reports pipelined requests that waited for the response
// to a slower one.
var HeadOfLineBlocking = &rules.Rule{
	Code: "LAT004",
	Name: "head-of-line-blocking",
	Doc: rules.Doc{
		Title:    "a pipelined request waited for the response to a slower one before it",
		Severity: rules.Warning,
		Wire: "A client sends several requests on one connection without waiting. HTTP/1.1 has responses come in the order of the requests, " +
			"so a response that is ready stays in the server until all before it are sent. One slow request holds up everything behind it.",
		Harm: "Fast requests take as long as the slowest one in front of them, and the slower the outlier, the more of them it catches. " +
			"A second connection, or a wait for the response, would have cost at most one round trip.",
		Fix: "send slow requests on a connection of their own, or do not pipeline",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It reads pipelined requests one after the other and cannot reorder them; HTTP/2 (\"http2 on\") lets fast responses overtake."},
			{Program: "haproxy", Text: "It answers pipelined requests in order too. \"alpn h2,http/1.1\" on the bind line is the way out."},
			{Program: "Node", Text: "undici: pipelining: 1, the default, with more connections instead."},
			{Program: "Java", Text: "java.net.http never pipelines HTTP/1.1; Netty and Vert.x clients do when told: setPipelining(false)."},
			{Program: "Go", Text: "net/http never pipelines; fasthttp.PipelineClient does: use fasthttp.Client for requests of unequal length."},
			{Program: "Python", Text: "aiohttp and requests never pipeline; raw sockets and Twisted's HTTP/1.1 client parts can."},
		},
		Confirm: "Filter http && tcp.stream == N: the responses to several requests arrive together, right after a slow one, and in the order of the requests.",
		Silent: "The request was not pipelined, waited less than 100 ms, or took a quarter of its wait or more itself. " +
			"No request in front of it was slower than itself by that much: many short ones in a row are load, not blocking. Earlier messages are missing or cannot be framed.",
		Refs: []string{"RFC 9112 §9.3.2"},
	},
	Needs:       lifecycle.OneDirection | lifecycle.Gap | lifecycle.BadFraming,
	Transaction: headOfLine,
	Odd:         rules.InPipeline,
}

func headOfLine(p *rules.Pass, t *http1.Transaction) {
	if t.Outcome != http1.Answered || !t.Req.Bits.Any(http1.Pipelined) {
		return
	}
	conn := p.Conn()
	last := &conn.LastExchange
	if last.RespEnd.Frame == 0 || last.Index+1 != t.Index {
		return
	}
	// What counts is the part of the wait that one slower request made.
	slow := &last.Slowest
	wait := time.Duration(slow.To - max(slow.From, t.Req.Last.Time))
	// The path's share is nobody's blocking.
	wait -= max(conn.End[http1.Server].LegRTT, 0)
	own := time.Duration(t.Resp.Last.Time - max(last.RespEnd.Time, t.Req.Last.Time))
	if wait < p.Config.HOLMinWait || float64(own) >= p.Config.HOLOwnPart*float64(wait) {
		return
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(t.Req.First.Frame, slow.Frame, t.Resp.First.Frame, t.Resp.Last.Frame),
		Time:     t.Req.First.Time,
		Subject:  subj,
		Side:     "client",
		Message: fmt.Sprintf("%s: waited %s behind a slower pipelined request, then took %s itself",
			subj.Where(), rules.Span(wait), rules.Span(own)),
		Measured: []rules.Measure{
			{Name: "wait_ms", Value: rules.Millis(wait), Sum: true},
			{Name: "own_ms", Value: rules.Millis(own)},
			{Name: "requests_before", Value: float64(t.Index - slow.Index)},
		},
		Cost:  int64(wait),
		Cause: t.Req.First.Frame,
	})
}
