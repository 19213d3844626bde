package keepalive

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/rules"
)

// HTTP10ProxyClient reports forward proxies that keep connections with
// HTTP/1.0 clients.
var HTTP10ProxyClient = &rules.Rule{
	Code: "KA010",
	Name: "persistent-with-http10-client",
	Doc: rules.Doc{
		Title:    "a forward proxy keeps a connection open with an HTTP/1.0 client that asked by Connection: keep-alive",
		Severity: rules.Warning,
		Wire: "An HTTP/1.0 request in absolute form, which goes to a forward proxy, carries Connection: keep-alive. " +
			"The proxy confirms it in its response, or serves the next request on the same connection.",
		Harm: "An HTTP/1.0 client may sit behind another proxy that does not know the Connection field and passes it on. " +
			"Then two sides each wait for the other to close, and the request after that hangs. RFC 9112 §9.3 forbids it to proxies for that reason.",
		Fix: "close connections to HTTP/1.0 clients after the response, or have the clients speak HTTP/1.1",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It is no forward proxy; where it serves as one all the same, give HTTP/1.0 clients ($server_protocol) a location with keepalive_timeout 0."},
			{Program: "haproxy", Text: "http-request set-var(txn.v) req.ver, then http-response set-header Connection close if { var(txn.v) 1.0 }."},
			{Program: "Apache", Text: "SetEnvIf Request_Protocol HTTP/1\\.0 nokeepalive."},
			{Program: "Squid", Text: "client_persistent_connections off, if such clients cannot be told apart otherwise: it holds for all."},
			{Program: "Node", Text: "In a proxy: if (req.httpVersion === '1.0') res.shouldKeepAlive = false."},
			{Program: "Java", Text: "Netty: HttpUtil.setKeepAlive(response, false) where request.protocolVersion() is HTTP_1_0."},
			{Program: "Go", Text: "In a proxy handler: if !r.ProtoAtLeast(1, 1) { w.Header().Set(\"Connection\", \"close\") }."},
		},
		Confirm: "Filter http.request.version == \"HTTP/1.0\" && http.request.uri matches \"^http:\" && http.connection, and look for http.connection == \"keep-alive\" in its response.",
		Silent:  "The request is HTTP/1.1 or in origin form: its server may keep the connection. The proxy answers without the token, or with close, and no other request follows on the connection.",
		Refs:    []string{"RFC 9112 §9.3", "RFC 9112 §C.2.2", "RFC 9112 §3.2.2"},
	},
	Needs:       blind,
	Transaction: http10Client,
	Odd:         rules.OldRequest,
}

func http10Client(p *rules.Pass, t *http1.Transaction) {
	if t.Outcome != http1.Answered || t.Req.Version >= 11 || !t.Req.Bits.Has(http1.AbsoluteForm) {
		return
	}
	r := &t.Resp
	confirmed := asks10(t.Req.Bits) && r.Bits.Has(http1.ConnKeepAlive) && !r.Bits.Has(http1.ConnClose) && r.Framing != http1.UntilClose
	frames := rules.Frames(r.First.Frame, t.Req.First.Frame)
	how := "confirmed Connection: keep-alive of an HTTP/1.0 client"
	if !confirmed {
		c := p.Conn()
		if c == nil || !follows(&c.LastExchange, t) || c.LastExchange.ReqVersion >= 11 || !c.LastExchange.ReqBits.Has(http1.AbsoluteForm) || !asks10(c.LastExchange.ReqBits) {
			return
		}
		how = "served another request of an HTTP/1.0 client that had asked for Connection: keep-alive"
		frames = rules.Frames(r.First.Frame, t.Req.First.Frame, c.LastExchange.ReqStart.Frame)
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: rules.Warning,
		Frames:   frames,
		Time:     r.First.Time,
		Subject:  subj,
		Message:  fmt.Sprintf("proxy %v → %v %s: %s", subj.Server, subj.Client.Addr(), subj.Label(), how),
		Side:     "proxy",
		Cause:    t.Req.First.Frame,
		Once:     true,
	})
}

// asks10 reports whether an HTTP/1.0 request asks to keep the connection.
func asks10(b http1.Bits) bool { return b.Has(http1.ConnKeepAlive) && !b.Has(http1.ConnClose) }
