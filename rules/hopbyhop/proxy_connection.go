package hopbyhop

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// ProxyConnection reports clients that send Proxy-Connection.
var ProxyConnection = &rules.Rule{
	Code: "HOP003",
	Name: "proxy-connection",
	Doc: rules.Doc{
		Title:    "a client sends Proxy-Connection",
		Severity: rules.Warning,
		Wire: "A request carries Proxy-Connection, an invention of early browsers: where Connection: keep-alive would be passed on by a proxy that does not know it, " +
			"they used a field that only the next proxy would heed. With CONNECT, which goes no further than the proxy, it is a note only (info).",
		Harm: "It works for one proxy. In a chain the first passes it on, the next takes it for its client's wish, and the connection hangs as it would have with Connection (RFC 9112 appendix C.2.2). " +
			"Proxies that do know Connection heed both, and the two may differ.",
		Fix: "send Connection; HTTP/1.1 keeps connections without either",
		Fixes: []rules.Fix{
			{Program: "curl", Text: "curl adds it for HTTP proxies: --proxy-header \"Proxy-Connection:\" takes it out, or tunnel with -p."},
			{Program: "nginx", Text: "As a proxy: proxy_set_header Proxy-Connection \"\"."},
			{Program: "haproxy", Text: "http-request del-header proxy-connection."},
			{Program: "Node", Text: "Proxy agents: leave the field out of options.headers; proxy-agent and the older http-proxy-agent set it."},
			{Program: "Java", Text: "HttpURLConnection sends Proxy-Connection: keep-alive through a proxy by itself; java.net.http.HttpClient does not."},
			{Program: "Go", Text: "net/http does not send it; look at headers that are copied from a client."},
			{Program: "Python", Text: "requests and urllib3 do not send it; look at headers that are copied from a client."},
		},
		Confirm: "Filter http.proxy_connection.",
		Silent:  "The sender is a proxy itself and passed it on to a server: that is hop-by-hop-leaked.",
		Refs:    []string{"RFC 9112 §C.2.2", "RFC 9110 §7.6.1"},
	},
	Needs:    lifecycle.Gap | lifecycle.SnapCut | lifecycle.Encrypted | lifecycle.Capped,
	Head:     proxyConnection,
	HeadBits: http1.HasProxyConnection,
}

func proxyConnection(p *rules.Pass, h *http1.Head, m *http1.Message, t *http1.Transaction) {
	if h.Side == http1.Server || !m.Bits.Has(http1.HasProxyConnection) || originForm(h.Target) && (proxied(m.Bits) || m.Bits.Any(http1.Cut|http1.Truncated)) {
		return // a proxy's leak, or perhaps: the rest of the head would tell
	}
	sev := rules.Warning
	if t != nil && t.Method == http1.CONNECT {
		sev = rules.Info
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: sev,
		Frames:   rules.Frames(m.First.Frame, m.HeadEnd.Frame),
		Time:     m.First.Time,
		Subject:  subj,
		Say: func() string {
			return fmt.Sprintf("%s: carries Proxy-Connection, which no standard knows", subj.Where())
		},
		Side:  "client",
		Cause: m.First.Frame,
	})
}
