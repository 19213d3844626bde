package reuse

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// ParallelExcess reports clients that hold many connections to one server.
var ParallelExcess = &rules.Rule{
	Code: "REU002",
	Name: "parallel-excess",
	Doc: rules.Doc{
		Title:    "a client holds many connections to one server at once",
		Severity: rules.Info,
		Wire:     "More than six connections of one client to one server are open at the same time. Browsers stop at six for HTTP/1.1.",
		Harm: "Each connection starts slowly on its own, they compete with each other and with other clients, and each takes a socket, a buffer and perhaps a thread of the server. " +
			"A pool without a limit turns a slow server into an overrun one.",
		Fix: "limit the pool's connections per host to what the server and the load need; queue the rest, or use HTTP/2",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "limit_conn per client address; as proxy: max_conns of the upstream server."},
			{Program: "haproxy", Text: "maxconn of the server line, with timeout queue."},
			{Program: "Apache", Text: "ProxyPass max= of the worker, with acquire=."},
			{Program: "Node", Text: "http.Agent({maxSockets: 6}); without it there is no limit."},
			{Program: "Java", Text: "Apache HttpClient: setMaxConnPerRoute; java.net.http has no limit for HTTP/1.1: bound the executor or use a semaphore."},
			{Program: "Go", Text: "Transport.MaxConnsPerHost; 0 means no limit."},
			{Program: "Python", Text: "HTTPAdapter(pool_maxsize=N, pool_block=True); httpx.Limits(max_connections=N)."},
		},
		Confirm: "Under Statistics, Conversations, TCP, sort by client and server; or on the client: ss -tn state established dst SERVER | wc -l.",
		Silent:  "Six or fewer at once. The client is itself a proxy: it adds Via, Forwarded or X-Forwarded-*, or it serves others in this capture. The snapshot length cut heads: then nobody can tell.",
		Refs:    []string{"RFC 9112 §9.4"},
	},
	Absence: true,
	Needs:   lifecycle.OneDirection | lifecycle.SnapCut,
	Group: func(*rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, rules.Pair, *Spans](parallelism{})
	},
}

type parallelism struct{ spanning }

// Judge reports a pair with too many connections open at once.
func (parallelism) Judge(p *rules.Pass, k rules.Pair, a *Spans) {
	if a.N <= int64(p.Config.MaxParallel) || a.Proxy || a.Cut || p.Totals != nil && k.Client != k.Server.Addr() && p.Totals.Servers[k.Client] {
		return
	}
	list := a.List.Values()
	spans := make([]span, len(list))
	for i, s := range list {
		spans[i] = span{s.Open, s.Close}
	}
	n, at := peak(spans)
	if n <= p.Config.MaxParallel {
		return
	}
	f := rules.Finding{
		Severity: rules.Info, Time: at, Conns: n, Subject: k.Subject(), Side: "client",
		Measured: []rules.Measure{{Name: "peak_connections", Value: float64(n)}, {Name: "connections", Value: float64(a.N)}},
	}
	for _, s := range list {
		if s.Open == at {
			f.Frames = append(f.Frames, s.Frame)
			break
		}
	}
	f.Message = fmt.Sprintf("%s: %s connections open at once, of %s in all", f.Subject.Where(), rules.Count(int64(n)), rules.Count(a.N))
	p.Report(f)
}
