package framing

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// RequestLengthMissing reports uploads that do not say how long they are.
var RequestLengthMissing = &rules.Rule{
	Code: "FRM007",
	Name: "request-length-missing",
	Doc: rules.Doc{
		Title:    "a POST, PUT or PATCH gives no length for its body",
		Severity: rules.Info,
		Wire: "The request has neither Content-Length nor Transfer-Encoding. By RFC 9112 §6.3 it has no body, " +
			"but its method expects one, and a client should then say Content-Length: 0 (RFC 9110 §8.6).",
		Harm: "Servers and proxies that want a length answer 411 or wait for a body. If the client does send one, it is read as the next request.",
		Fix:  "send Content-Length: 0 with an empty body",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "proxy_pass sends Content-Length: 0 unless proxy_pass_request_body off; then set Content-Length to \"\" only together with another method."},
			{Program: "haproxy", Text: "It passes requests on as they came: the client is at fault."},
			{Program: "Node", Text: "http.request adds Content-Length: 0 or chunked for POST when end() is called; do not set the fields to undefined or use removeHeader."},
			{Program: "Java", Text: "HttpClient: BodyPublishers.noBody() sends Content-Length: 0 for POST and PUT."},
			{Program: "Go", Text: "net/http sends Content-Length: 0 for POST, PUT and PATCH where Body is nil or http.NoBody."},
			{Program: "Python", Text: "http.client and requests send Content-Length: 0 for these methods; raw heads must do so themselves."},
		},
		Confirm: "Filter http.request.method in {\"POST\", \"PUT\", \"PATCH\"} && !http.content_length_header && !http.transfer_encoding.",
		Silent:  "Other methods. The head was cut, or is longer than is kept: the length may stand there.",
		Refs:    []string{"RFC 9110 §8.6", "RFC 9112 §6.3"},
	},
	Needs:   lifecycle.Gap | lifecycle.SnapCut | lifecycle.Capped,
	Head:    noRequestLength,
	HeadOdd: rules.Lengthless,
}

func noRequestLength(p *rules.Pass, h *http1.Head, m *http1.Message, t *http1.Transaction) {
	if h.Side == http1.Server || t == nil ||
		m.Bits.Any(http1.HasContentLength|http1.HasTransferEncoding|http1.Cut|http1.Truncated) {
		return
	}
	switch t.Method {
	case http1.POST, http1.PUT, http1.PATCH:
	default:
		return
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(m.First.Frame, m.HeadEnd.Frame),
		Time:     m.First.Time,
		Subject:  subj,
		Say:      func() string { return fmt.Sprintf("%s: neither Content-Length nor Transfer-Encoding", subj.Where()) },
		Side:     "client",
		Cause:    m.First.Frame,
	})
}
