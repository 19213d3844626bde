package framing

import (
	"bytes"
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// Malformed reports messages that break the grammar of HTTP/1.
var Malformed = &rules.Rule{
	Code: "FRM005",
	Name: "malformed-message",
	Doc: rules.Doc{
		Title:    "a message breaks the grammar of HTTP/1",
		Severity: rules.Error,
		Wire: "A start line, a field name or a chunk size is not what the grammar allows, white space stands before a field's colon, or a head holds a NUL byte or a CR without LF (error); " +
			"a line ends in LF without CR, or a field is folded over several lines (warning).",
		Harm: "One receiver repairs what another refuses and a third reads differently. The message is answered with 400, or a field is lost, " +
			"or two programs on the path disagree about it, which is how requests are smuggled past a filter.",
		Fix: "let a library write the message; end each line in CR LF, and check names and values for white space and control characters before they are sent",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It answers 400 and logs \"client sent invalid header line\" or drops the field (ignore_invalid_headers): look at who sent it; for upstreams, \"upstream sent invalid header\"."},
			{Program: "haproxy", Text: "show errors on the stats socket prints the last message it refused; keep option accept-unsafe-violations-in-http-request off."},
			{Program: "Apache", Text: "Keep HttpProtocolOptions Strict; CGI programs must write field names without white space."},
			{Program: "Node", Text: "Do not write heads to net.Socket by hand; http.validateHeaderName and validateHeaderValue check."},
			{Program: "Java", Text: "HttpURLConnection and HttpClient check names; look for code that prints to a Socket with println, which ends lines as the platform does."},
			{Program: "Go", Text: "net/http checks; code that writes with fmt.Fprintf to a net.Conn must end lines in \\r\\n."},
			{Program: "Python", Text: "http.client checks; raw sockets need \\r\\n, and values must be stripped of line ends."},
			{Program: "nc, printf, echo", Text: "printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' | nc -N HOST 80, or nc -C."},
		},
		Confirm: "Follow the TCP stream and show it as hex dump at the frame named; Wireshark marks a bad start line as data, not as HTTP.",
		Silent: "An empty line before a request line. Bytes that are not HTTP at all: TLS, HTTP/2, WebSocket, what a tunnel carries, another protocol on the port. " +
			"What follows lost bytes, until a message begins anew.",
		Refs: []string{"RFC 9112 §2.2", "RFC 9112 §3", "RFC 9112 §4", "RFC 9112 §5.1", "RFC 9112 §5.2", "RFC 9112 §7.1", "RFC 9110 §5.5"},
	},
	Needs:   lifecycle.Gap | lifecycle.SnapCut | lifecycle.Capped,
	Anomaly: malformed,
}

func malformed(p *rules.Pass, a *http1.Anomaly, t *http1.Transaction) {
	sev, shape, what := rules.Error, "", ""
	switch a.Kind {
	case http1.BadStartLine:
		if !meantAsHTTP(a, t) {
			return
		}
		shape, what = "start line", "a start line that is none"
	case http1.BadFieldName:
		shape, what = "field name", "a line in the head that begins with no field name"
		if i := bytes.IndexByte(a.Bytes, ':'); i > 0 {
			what = fmt.Sprintf("field name %q, with characters that none may have", a.Bytes[:min(i, 32)])
		}
	case http1.SpaceBeforeColon:
		shape = "space"
		what = fmt.Sprintf("white space before the colon in %q", a.Bytes[:min(len(a.Bytes), 32)])
	case http1.NULByte:
		shape, what = "nul", "a NUL byte in the head"
	case http1.BareCR:
		shape, what = "cr", "a CR in the head that ends no line"
	case http1.BadChunkSize:
		shape, what = "chunk size", fmt.Sprintf("a chunk size that is none, at byte %q", a.Bytes)
	case http1.LFOnly:
		sev, shape, what = rules.Warning, "lf", "a line that ends in LF without CR"
	case http1.FoldedField:
		sev, shape, what = rules.Warning, "fold", "a field folded over several lines"
	default:
		return
	}
	subj := p.Subject(t)
	f := rules.Finding{
		Severity: sev,
		Frames:   rules.Frames(a.At.Frame),
		Time:     a.At.Time,
		Shape:    shape,
		Cause:    a.At.Frame,
		Side:     "client",
		Message:  fmt.Sprintf("%s: the request has %s", subj.Where(), what),
	}
	if a.Side == http1.Server {
		f.Side, f.Message = "server", fmt.Sprintf("%s: the response has %s", subj.WhereServer(), what)
		if t != nil && t.Resp.First.Frame != 0 {
			f.Cause = t.Resp.First.Frame
		}
	} else if t != nil && t.Req.First.Frame != 0 {
		f.Cause = t.Req.First.Frame
	}
	if f.Cause != a.At.Frame {
		f.Frames = append(f.Frames, f.Cause)
	}
	f.Subject = subj
	p.Report(f)
}

// meantAsHTTP reports whether what stands in place of a start line is a
// broken one, and not another protocol's.
func meantAsHTTP(a *http1.Anomaly, t *http1.Transaction) bool {
	if bytes.Contains(a.Bytes, []byte("HTTP/")) {
		return true
	}
	if a.Side == http1.Server {
		return t != nil // a request was waiting for its response
	}
	i := bytes.IndexByte(a.Bytes, ' ')
	return i > 0 && http1.MethodOf(a.Bytes[:i]) != http1.Other
}
