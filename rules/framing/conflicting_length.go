package framing

import (
	"fmt"
	"strings"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// ConflictingLength reports messages that two receivers may end in two places.
var ConflictingLength = &rules.Rule{
	Code: "FRM004",
	Name: "conflicting-length",
	Doc: rules.Doc{
		Title:    "a message gives its length in two ways, or in none that can be read",
		Severity: rules.Error,
		Wire: "A head has Transfer-Encoding together with Content-Length, Content-Length fields that differ, or one that is no number; " +
			"Transfer-Encoding stands in an HTTP/1.0 message or in the response to an HTTP/1.0 request; or a request's last transfer coding is not chunked.",
		Harm: "Two programs on the path may end the message in two places. What one takes for its body is the next request to the other: request smuggling, or responses handed to the wrong client. " +
			"Careful receivers refuse the message or close the connection after it.",
		Fix: "send one length: drop Content-Length when the body is chunked, and use no Transfer-Encoding towards HTTP/1.0",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It refuses such requests with 400, and logs \"client sent invalid\" or upstream lengths; look at who sent them. Do not add Content-Length with add_header."},
			{Program: "haproxy", Text: "It removes Content-Length where Transfer-Encoding stands; do not set option accept-unsafe-violations-in-http-request."},
			{Program: "Apache", Text: "Keep HttpProtocolOptions Strict; do not set Content-Length by Header or RequestHeader."},
			{Program: "Node", Text: "Do not copy content-length or transfer-encoding of one message to another when proxying; do not use insecureHTTPParser."},
			{Program: "Java", Text: "Do not copy Transfer-Encoding or Content-Length from an upstream's response to the servlet's: the container sets its own."},
			{Program: "Go", Text: "net/http refuses both; code that writes heads to a hijacked connection must choose one."},
			{Program: "Python", Text: "Flask, Django, requests: do not pass on upstream headers whole; leave out Transfer-Encoding, Content-Length and Content-Encoding. http.server: answer chunked only to HTTP/1.1 requests."},
		},
		Confirm: "Filter http.transfer_encoding && http.content_length_header, or look at each Content-Length of the head; http.request.version == \"HTTP/1.0\" for the request of a chunked response.",
		Silent: "Several equal Content-Length fields are let pass (RFC 9112 §6.3). Responses that have no body in any case (1xx, 204, 2xx to CONNECT) are body-not-allowed. " +
			"Parts of the head that the capture has not are not guessed at.",
		Refs: []string{"RFC 9112 §6.1", "RFC 9112 §6.3", "RFC 9112 §11.2", "RFC 9110 §8.6"},
	},
	Needs:    lifecycle.Gap | lifecycle.SnapCut | lifecycle.Capped,
	Head:     conflict,
	HeadBits: http1.HasTransferEncoding | http1.DifferingLengths | http1.BadContentLength,
}

func conflict(p *rules.Pass, h *http1.Head, m *http1.Message, t *http1.Transaction) {
	if h.Side == http1.Server && bodiless(m, t) {
		return
	}
	shape, what := contradiction(h.Side, m, t)
	if shape == "" {
		return
	}
	subj := p.Subject(t)
	f := rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(m.First.Frame, m.HeadEnd.Frame),
		Time:     m.First.Time,
		Shape:    shape,
		Cause:    m.First.Frame,
	}
	if h.Side == http1.Client {
		f.Side, f.Message = "client", fmt.Sprintf("%s: the request has %s", subj.Where(), what)
	} else {
		subj.Status = int(m.Status)
		f.Side, f.Message = "server", fmt.Sprintf("%s: response %d has %s", subj.WhereServer(), m.Status, what)
	}
	if via := onPath(m, t); via != "" {
		f.Message += fmt.Sprintf("; a proxy is on the path (%s), and where the two differ about the end, requests can be smuggled", via)
	}
	f.Subject = subj
	p.Report(f)
}

// bodiless reports whether a response has no body, whatever its fields say:
// neither Content-Length nor Transfer-Encoding may stand there (RFC 9110
// §8.6, RFC 9112 §6.1).
func bodiless(m *http1.Message, t *http1.Transaction) bool {
	return m.Status < 200 || m.Status == 204 || t != nil && t.Method == http1.CONNECT && m.Status < 300
}

// contradiction names what is wrong with a message's lengths: for the
// fingerprint, and in words. Both are empty where nothing is.
func contradiction(side http1.Side, m *http1.Message, t *http1.Transaction) (shape, what string) {
	b := m.Bits
	if !b.Any(http1.HasTransferEncoding) {
		switch {
		case b.Has(http1.DifferingLengths):
			return "differ", "Content-Length fields that differ"
		case b.Has(http1.BadContentLength):
			return "number", "a Content-Length that is no number"
		}
		return "", ""
	}
	whole := !b.Any(http1.Cut | http1.Truncated)
	switch {
	case b.Has(http1.HasContentLength):
		return "both", "Transfer-Encoding and Content-Length"
	case m.Version == 10:
		return "1.0", "Transfer-Encoding in an HTTP/1.0 message"
	case side == http1.Client && whole && !b.Has(http1.TEChunkedLast):
		return "last", "a Transfer-Encoding whose last coding is not chunked, so that its end cannot be told"
	case side == http1.Server && t != nil && t.Req.HeadEnd.Frame != 0 && t.Req.Version == 10:
		return "to 1.0", "Transfer-Encoding, and answers an HTTP/1.0 request"
	}
	return "", ""
}

// contradicts is contradiction for a message of which only the bits are left.
func contradicts(side http1.Side, b http1.Bits, version uint8) bool {
	m := http1.Message{Bits: b, Version: version}
	shape, _ := contradiction(side, &m, nil)
	return shape != ""
}

// onPath names what of a message or its transaction shows a proxy on the path.
func onPath(m *http1.Message, t *http1.Transaction) string {
	b := m.Bits
	if t != nil {
		b |= t.Req.Bits
	}
	var by []string
	if b.Has(http1.HasVia) {
		by = append(by, "Via")
	}
	if b.Has(http1.HasForwarded) {
		by = append(by, "Forwarded")
	}
	if b.Has(http1.AbsoluteForm) {
		by = append(by, "absolute-form target")
	}
	if b.Has(http1.HasProxyConnection) {
		by = append(by, "Proxy-Connection")
	}
	return strings.Join(by, ", ")
}
