package keepalive

import (
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
)

// Race reports requests that crossed the server's close of an idle connection.
var Race = &rules.Rule{
	Code: "KA001",
	Name: "keep-alive-race",
	Doc: rules.Doc{
		Title:    "a request was on its way while the server closed the idle connection",
		Severity: rules.Error,
		Wire: "The server's idle time-out ran out and it sent FIN, or a RST with the ACK flag, that acknowledges nothing of the request. " +
			"The request does not acknowledge that FIN either, or left less than 10 ms after the client's kernel had it: the two crossed. No response comes.",
		Harm: "The request is lost: the client sees a connection reset or an empty reply. What may be repeated can be sent again; " +
			"a POST may not, for its client cannot tell this from a server that died in the middle of it. The more idle connections a pool keeps, the more often it happens.",
		Fix: "let the client drop idle connections some seconds before the server does, and retry idempotent requests once on a new connection",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "As the server: keepalive_timeout longer than that of every client in front. As the client of upstreams: keepalive_timeout in the upstream block shorter than the application's; proxy_next_upstream error retries what is idempotent."},
			{Program: "haproxy", Text: "timeout http-keep-alive above that of the balancer in front; towards servers pool-purge-delay below their time-out, and \"retry-on conn-failure empty-response\" for what may be repeated."},
			{Program: "Apache", Text: "KeepAliveTimeout above the client's idle time; mod_proxy: ttl= on the worker below the back end's time-out."},
			{Program: "Node", Text: "server.keepAliveTimeout (5 s by default) above the balancer's idle time-out, with headersTimeout above it; as the client: agentkeepalive's freeSocketTimeout, or undici, which reads Keep-Alive: timeout."},
			{Program: "Java", Text: "Apache HttpClient: evictIdleConnections and a ConnectionKeepAliveStrategy; java.net.http: -Djdk.httpclient.keepalive.timeout=SECONDS below the server's."},
			{Program: "Go", Text: "As the client: Transport.IdleConnTimeout below the server's (90 s by default); as the server: Server.IdleTimeout above the clients'."},
			{Program: "Python", Text: "urllib3 and requests have no idle time-out: mount an HTTPAdapter with retries, or use httpx with keepalive_expiry. gunicorn: --keep-alive above the balancer's idle time; uvicorn: --timeout-keep-alive likewise."},
		},
		Confirm: "Filter tcp.stream eq N && (http.request || tcp.flags.fin == 1 || tcp.flags.reset == 1): the server's FIN has a tcp.ack no greater than the tcp.seq of the request, and the request's tcp.ack does not cover the FIN.",
		Silent: "The server's FIN or RST acknowledges any byte of the request, or a response began: then the server had it. The RST has no ACK flag and no FIN came: it only answers a segment. " +
			"The request left 10 ms or more after the client's kernel had acknowledged the FIN: that is KA002. The connection was not idle, the client had reset it, or a capture that joined late may miss an outstanding request. " +
			"On TLS connections only application data of at least 64 bytes after a second of idleness counts as a request, and HTTP/2 is left out where it is known.",
		Refs: []string{"RFC 9112 §9.3.1", "RFC 9112 §9.5", "RFC 9110 §9.2.2"},
	},
	Needs: blind,
	Odd:   rules.NotAnswered,
	Transaction: func(p *rules.Pass, t *http1.Transaction) {
		onTransaction(p, t, crossed)
	},
	TurnOdd: rules.Unreplied,
	Turn:    func(p *rules.Pass, t *timing.Turn) { onTurn(p, t, crossed) },
}

// crossed reports whether the client's program cannot be blamed for not having
// seen the close.
func crossed(p *rules.Pass, r *race) bool { return !r.knew || r.lag < p.Config.KeepAliveRaceLag }
