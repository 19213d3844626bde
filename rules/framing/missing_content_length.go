// Package framing reports messages whose end cannot be told for sure.
package framing

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// MissingContentLength reports responses that only the end of the connection
// ends.
var MissingContentLength = &rules.Rule{
	Code: "FRM001",
	Name: "missing-content-length",
	Doc: rules.Doc{
		Title:    "a response with a body has neither Content-Length nor chunked",
		Severity: rules.Warning,
		Wire: "The response's head gives no length, so its body is whatever comes until the server closes the connection (RFC 9112 §6.3, rule 8). " +
			"The connection cannot carry another request.",
		Harm: "Each such response costs a connection, and the next request pays for a new handshake, TLS and slow start. " +
			"A body that was cut by a crash, a time-out or a reset looks like a complete one: the client may take half a document for the whole.",
		Fix: "send Content-Length where the length is known, Transfer-Encoding: chunked otherwise, and HTTP/1.1 to upstreams",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "proxy_http_version 1.1 with proxy_set_header Connection \"\": releases whose default is 1.0 ask upstreams in HTTP/1.0, which has no chunked. Leave chunked_transfer_encoding on."},
			{Program: "haproxy", Text: "It passes the server's framing on; remove \"option httpclose\" and answer for the application's own lengths."},
			{Program: "Apache", Text: "For CGI and proxied back ends leave mod_proxy's HTTP version at 1.1 (no force-proxy-request-1.0, no downgrade-1.0); httpd then chunks by itself."},
			{Program: "Node", Text: "Do not write to the raw socket, and do not set res.useChunkedEncodingByDefault = false; http chunks where no length is set."},
			{Program: "Java", Text: "Servlets: setContentLengthLong, or leave it to the container; com.sun.net.httpserver: sendResponseHeaders(status, 0) means chunked."},
			{Program: "Go", Text: "net/http chunks by itself; look for hijacked connections and hand-written responses."},
			{Program: "Python", Text: "http.server: protocol_version = \"HTTP/1.1\" and a Content-Length for each response; WSGI servers chunk only for HTTP/1.1 clients."},
		},
		Confirm: "Filter http.response && !http.content_length_header && !http.transfer_encoding, and look for the server's FIN after the last body byte.",
		Silent: "The response has no body: to HEAD, 1xx, 204, 304, 2xx to CONNECT, and all that follows a 101. " +
			"It is only a note (info) where close was announced by either side, for plain HTTP/1.0, and for text/event-stream, whose length nobody knows. " +
			"Its head was cut or too long to be known in full, or its request was not seen: it may have been HEAD.",
		Refs: []string{"RFC 9112 §6.3", "RFC 9112 §8", "RFC 9112 §9.3", "RFC 9110 §8.6"},
	},
	Needs:       lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.BadFraming | lifecycle.Capped,
	Transaction: missingLength,
	Odd:         rules.ToTheClose,
}

func missingLength(p *rules.Pass, t *http1.Transaction) {
	r := &t.Resp
	switch {
	case r.Framing != http1.UntilClose || r.HeadEnd.Frame == 0 || t.Req.First.Frame == 0:
		return
	case r.Bits.Any(http1.HasContentLength | http1.TEChunkedLast | http1.Truncated | http1.Cut):
		return
	case t.Method == http1.HEAD || r.Status < 200 || r.Status == 204 || r.Status == 304,
		t.Method == http1.CONNECT && r.Status < 300:
		return
	}

	subj := p.Subject(t)
	sev, why := rules.Info, "a plain HTTP/1.0 exchange"
	switch {
	case r.Bits.Has(http1.EventStream):
		why = "an event stream"
	case r.Bits.Has(http1.ConnClose):
		why = "the server had announced to close"
	case t.Req.Bits.Has(http1.ConnClose):
		why = "the client had asked to close"
	case persistent(t):
		sev, why = rules.Warning, "the connection could have been kept"
	}
	frames := rules.Frames(r.First.Frame, r.Last.Frame)
	cut := false
	// A FIN of the server's ends the body. Where its RST stands instead,
	// nobody can tell whether that was the end.
	if c := p.Conn(); c != nil && !r.Complete && c.End[http1.Server].RST.Seen() && !c.End[http1.Server].FIN.Seen() {
		sev, cut = rules.Error, true
		frames = rules.Frames(r.First.Frame, r.Last.Frame, c.End[http1.Server].RST.Frame)
	}
	p.Report(rules.Finding{
		Severity: sev,
		Frames:   frames,
		Time:     r.First.Time,
		Subject:  subj,
		Say: func() string {
			if cut {
				return fmt.Sprintf("%s: response %d has neither Content-Length nor chunked, and a RST ended it after %s body bytes: complete or cut cannot be told",
					subj.WhereServer(), r.Status, rules.Count(r.Body))
			}
			return fmt.Sprintf("%s: response %d has neither Content-Length nor chunked, so only a close ends its body; %s",
				subj.WhereServer(), r.Status, why)
		},
		Side:     "server",
		Cause:    r.First.Frame,
		Measured: []rules.Measure{{Name: "body_bytes", Value: float64(r.Body)}},
	})
}

// persistent reports whether both sides offered to keep the connection, close
// not being announced (RFC 9112 §9.3).
func persistent(t *http1.Transaction) bool {
	offered := t.Req.Version >= 11 || t.Req.Bits.Has(http1.ConnKeepAlive)
	if t.Req.Version >= 11 && t.Resp.Version >= 11 {
		return offered
	}
	// With HTTP/1.0 on either side it takes the server's word.
	return offered && t.Resp.Bits.Has(http1.ConnKeepAlive)
}
