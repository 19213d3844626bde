package framing

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// BodyNotAllowed reports responses that have, or announce, a body they must
// not have.
var BodyNotAllowed = &rules.Rule{
	Code: "FRM006",
	Name: "body-not-allowed",
	Doc: rules.Doc{
		Title:    "a response that must have no body has one, or gives a length for it",
		Severity: rules.Error,
		Wire: "Body bytes follow the response to HEAD, or a 204, 205 or 304 (error). " +
			"Or a 1xx, a 204 or the 2xx to a CONNECT carries Content-Length or Transfer-Encoding (warning).",
		Harm: "The client ends such a response at its head. Body bytes are then the beginning of the next response: the client drops the connection, or reads another answer out of them. " +
			"A length field is passed over by those who know the rule, and waited for by those who do not: the request hangs.",
		Fix: "send no body and no Content-Length or Transfer-Encoding with 1xx, 204 and CONNECT's 2xx, and no body to HEAD, 205 and 304",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It drops the body itself; for upstreams look in the error log for \"upstream sent more data than specified\"."},
			{Program: "haproxy", Text: "Do not add Content-Length by http-response set-header; http-request return status 204 without a body."},
			{Program: "Apache", Text: "CGI: print no body when REQUEST_METHOD is HEAD or the status is 204 or 304."},
			{Program: "Node", Text: "res.writeHead(204); res.end() with no argument; no Content-Length. http drops bodies itself: look for writes to the raw socket, and set rejectNonStandardBodyWrites."},
			{Program: "Java", Text: "com.sun.net.httpserver: sendResponseHeaders(204, -1), where 0 means chunked; the same for HEAD. JAX-RS: Response.noContent()."},
			{Program: "Go", Text: "net/http answers a Write with http.ErrBodyNotAllowed: do not pass over it. Do not set Content-Length for 204."},
			{Program: "Python", Text: "http.server: do_HEAD must not write a body, and send_response(204) takes no Content-Length. Frameworks that do so: return Response(status=204)."},
		},
		Confirm: "Filter http.response.code == 204 && http.content_length_header, and for body bytes look at the segment after the head: Wireshark shows it as data.",
		Silent: "Content-Length in the response to HEAD or in a 304: it tells what GET would get. An empty body of a 205, by Content-Length: 0 or one empty chunk. " +
			"A status line behind such a response is unsolicited-response. The request was not seen: it may have been HEAD.",
		Refs: []string{"RFC 9110 §6.4.1", "RFC 9110 §8.6", "RFC 9110 §9.3.2", "RFC 9110 §15.3.6", "RFC 9112 §6.1", "RFC 9112 §6.3"},
	},
	Needs:       lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.BadFraming | lifecycle.Capped,
	Head:        lengthNotAllowed,
	HeadOdd:     rules.IdleLength,
	Transaction: resetContent,
	Odd:         rules.ResetStatus,
	Anomaly:     bodyBytes,
}

func lengthNotAllowed(p *rules.Pass, h *http1.Head, m *http1.Message, t *http1.Transaction) {
	if h.Side == http1.Client || !bodiless(m, t) || !m.Bits.Any(http1.HasContentLength|http1.HasTransferEncoding) {
		return
	}
	field := "Content-Length"
	if m.Bits.Has(http1.HasTransferEncoding) {
		field = "Transfer-Encoding"
	}
	subj := p.Subject(t)
	subj.Status = int(m.Status)
	p.Report(rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(m.First.Frame, m.HeadEnd.Frame),
		Time:     m.First.Time,
		Subject:  subj,
		Message:  fmt.Sprintf("%s: response %d has no body, and carries %s", subj.WhereServer(), m.Status, field),
		Side:     "server",
		Shape:    field,
		Cause:    m.First.Frame,
	})
}

// emptyChunk is the length of a chunked body without content or trailer
// fields: "0\r\n\r\n".
const emptyChunk = 5

// resetContent looks at 205: framed as any other response, it must be empty.
func resetContent(p *rules.Pass, t *http1.Transaction) {
	r := &t.Resp
	if r.Status != 205 || r.First.Frame == 0 || t.Method == http1.HEAD || t.Req.First.Frame == 0 {
		return
	}
	n := r.Body
	if r.Framing == http1.Chunked && (n <= emptyChunk || r.Bits.Has(http1.HasTrailer)) {
		return
	}
	if n == 0 {
		return
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(r.First.Frame, r.Last.Frame),
		Time:     r.First.Time,
		Subject:  subj,
		Message:  fmt.Sprintf("%s: response 205 must have no content, and %s body bytes follow it", subj.WhereServer(), rules.Count(n)),
		Side:     "server",
		Shape:    "bytes",
		Cause:    r.First.Frame,
		Measured: []rules.Measure{{Name: "body_bytes", Value: float64(n)}},
	})
}

func bodyBytes(p *rules.Pass, a *http1.Anomaly, t *http1.Transaction) {
	if a.Kind != http1.BodyNotAllowed || a.Side == http1.Client {
		return
	}
	c := p.Conn()
	if c == nil || c.Missing&lossy != 0 {
		return
	}
	// The response is over and told of: the record remembers it.
	last := &c.LastExchange
	if last.RespEnd.Frame == 0 || !last.RespEnd.Seq.LessEq(a.At.Seq) {
		last = &lifecycle.Exchange{RespStart: a.At}
	}
	subj := p.Subject(nil)
	subj.Status = int(last.Status)
	subj.Method = last.Method.String()
	what := "a response without a body"
	switch {
	case last.Method == http1.HEAD:
		what = fmt.Sprintf("response %d to HEAD", last.Status)
	case last.Status != 0:
		what = fmt.Sprintf("response %d", last.Status)
	}
	p.Report(rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(a.At.Frame, last.RespStart.Frame),
		Time:     a.At.Time,
		Subject:  subj,
		Message:  fmt.Sprintf("server %v → %v: body bytes follow %s, which must have no body", subj.Server, subj.Client.Addr(), what),
		Side:     "server",
		Shape:    "bytes",
		Cause:    last.RespStart.Frame,
	})
}
