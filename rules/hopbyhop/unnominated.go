package hopbyhop

import (
	"fmt"
	"strings"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// Unnominated reports fields for one hop that Connection does not name.
var Unnominated = &rules.Rule{
	Code: "HOP005",
	Name: "unnominated-hop-by-hop",
	Doc: rules.Doc{
		Title:    "a field for one hop is not named in Connection",
		Severity: rules.Warning,
		Wire: "A message carries Keep-Alive, TE, Upgrade or HTTP2-Settings, and its Connection field does not have the option that goes with it: keep-alive, te, upgrade, http2-settings. " +
			"The sender must name them there (RFC 9110 §7.6.1).",
		Harm: "A proxy that does not know the field passes it on. The server behind it then upgrades, keeps a connection or sends codings for somebody who never asked. " +
			"Careful servers pass over a field that is not named: the upgrade never happens.",
		Fix: "name the field in Connection, or leave it out",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "WebSocket upstreams need proxy_set_header Connection \"upgrade\" beside proxy_set_header Upgrade $http_upgrade; grpc and TE: proxy_set_header Connection \"te\"."},
			{Program: "haproxy", Text: "http-request del-header keep-alive, te: it takes Connection off and leaves these."},
			{Program: "Apache", Text: "mod_proxy_wstunnel, or ProxyPass upgrade=websocket, in place of RequestHeader set Upgrade."},
			{Program: "Node", Text: "headers: { Connection: \"Upgrade\", Upgrade: \"websocket\" }; do not copy keep-alive from an upstream's response without Connection."},
			{Program: "Java", Text: "Leave Keep-Alive to the container; com.sun.net.httpserver sends no Connection by itself: set both or none."},
			{Program: "Go", Text: "Set Connection: Upgrade beside Upgrade; net/http answers without Keep-Alive."},
			{Program: "Python", Text: "http.server: send_header(\"Connection\", \"keep-alive\") beside Keep-Alive; requests: no TE without Connection: TE."},
		},
		Confirm: "Filter http.upgrade && !(http.connection contains \"pgrade\"), or look for Keep-Alive and TE in http.request.line and http.response.line of messages without http.connection.",
		Silent: "Part of the head is not in the capture: Connection may stand there. Keep-Alive beside Proxy-Connection: that field is proxy-connection's. " +
			"A trailer section's Trailer field needs no option.",
		Refs: []string{"RFC 9110 §7.6.1", "RFC 9110 §7.8", "RFC 9110 §10.1.4", "RFC 2068 §19.7.1"},
	},
	Needs:    lifecycle.Gap | lifecycle.SnapCut | lifecycle.Encrypted | lifecycle.Capped,
	Head:     unnominated,
	HeadBits: http1.HasKeepAlive | http1.HasTE | http1.HasUpgrade | http1.HasHTTP2Settings,
}

func unnominated(p *rules.Pass, h *http1.Head, m *http1.Message, t *http1.Transaction) {
	b := m.Bits
	if !b.Any(http1.HasKeepAlive|http1.HasTE|http1.HasUpgrade|http1.HasHTTP2Settings) || b.Any(http1.Cut|http1.Truncated) {
		return
	}
	var names []string
	for _, f := range [...]struct {
		has, option http1.Bits
		name        string
	}{
		{http1.HasKeepAlive, http1.ConnKeepAlive, "Keep-Alive"},
		{http1.HasTE, http1.ConnTE, "TE"},
		{http1.HasUpgrade, http1.ConnUpgrade, "Upgrade"},
		{http1.HasHTTP2Settings, http1.ConnHTTP2Settings, "HTTP2-Settings"},
	} {
		if b.Has(f.has) && !b.Has(f.option) && !(f.has == http1.HasKeepAlive && b.Has(http1.HasProxyConnection)) {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return
	}
	what := strings.Join(names, ", ")
	subj := p.Subject(t)
	f := rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(m.First.Frame, m.HeadEnd.Frame),
		Time:     m.First.Time,
		Side:     "client",
		Shape:    strings.ToLower(what),
		Cause:    m.First.Frame,
		Message:  fmt.Sprintf("%s: carries %s without naming it in Connection", subj.Where(), what),
	}
	if h.Side == http1.Server {
		subj.Status = int(m.Status)
		f.Side = "server"
		f.Message = fmt.Sprintf("%s: response %d carries %s without naming it in Connection", subj.WhereServer(), m.Status, what)
	}
	f.Subject = subj
	p.Report(f)
}
