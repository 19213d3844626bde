package timewait

import (
	"fmt"
	"net/netip"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// ServerSide reports servers that keep the TIME_WAIT of their clients'
// connections.
var ServerSide = &rules.Rule{
	Code: "TW002",
	Name: "server-side-time-wait",
	Doc: rules.Doc{
		Title:    "a server closes first and holds its connections in TIME_WAIT",
		Severity: rules.Info,
		Wire: "The side that sends the first FIN holds the connection for 60 s in TIME_WAIT. Here it is the server: " +
			"it closes after each response, because it or the client says close, or because its keep-alive is off or short.",
		Harm: "TIME_WAIT sockets of a server cost it some memory, not ports. But a client that comes back from the same port within the minute may be refused, " +
			"and so many closes mean that each request pays for a handshake.",
		Fix: "keep connections open: let the client reuse them, and the server allow it for longer",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "keepalive_timeout 60s or more, keepalive_requests 1000 or more."},
			{Program: "haproxy", Text: "Remove \"option httpclose\" and \"option forceclose\"; timeout http-keep-alive."},
			{Program: "Apache", Text: "KeepAlive On, MaxKeepAliveRequests 0 or large, KeepAliveTimeout above the clients' pause."},
			{Program: "Node", Text: "Clients: http.Agent({keepAlive: true}); server.keepAliveTimeout above its 5 s."},
			{Program: "Java", Text: "Do not send Connection: close; Tomcat: maxKeepAliveRequests and keepAliveTimeout."},
			{Program: "Go", Text: "No SetKeepAlivesEnabled(false) on the server, no DisableKeepAlives on the client's Transport."},
			{Program: "Python", Text: "requests.Session on the client; gunicorn with a worker class that keeps connections (gthread, gevent) and --keep-alive."},
		},
		Confirm: "Filter tcp.flags.fin == 1 && tcp.srcport == PORT and look at the rate; on the server: ss -tan state time-wait | wc -l.",
		Silent: "Fewer than 50 closes, or fewer than 1,000 held at the rate seen. The client closes first: TW001 judges that. " +
			"A connection that ended by RST holds nothing. Closes after the pair's last SYN make no rate.",
		Refs: []string{"RFC 9293 §3.6.1", "RFC 9112 §9.6"},
	},
	Needs: lifecycle.OneDirection,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, rules.Pair, *Closes](serverPileup{Pileup{Hold: c.TimeWait, Side: http1.Server}})
	},
}

// serverPileup is a Pileup that is judged by TW002.
type serverPileup struct{ Pileup }

// Judge reports a rate of closes that keeps many connections in TIME_WAIT.
func (p serverPileup) Judge(pass *rules.Pass, k rules.Pair, a *Closes) {
	w := p.weigh(pass.Config, a)
	if a.At.N < int64(max(1, pass.Config.TimeWaitMinCloses)) || w.projected < float64(pass.Config.ServerTimeWaitMin) {
		return
	}
	f := rules.Finding{
		Severity: rules.Info,
		Time:     w.at,
		Subject:  rules.Subject{Client: netip.AddrPortFrom(k.Client, 0), Server: k.Server},
		Side:     "server",
		Conns:    int(a.At.N),
		Measured: []rules.Measure{
			{Name: "held_peak_connections", Value: float64(w.held)},
			{Name: "closes_per_s", Value: w.rate},
			{Name: "projected_connections", Value: w.projected},
			{Name: "span_s", Value: w.span.Seconds()},
		},
	}
	for _, s := range a.Samples {
		f.Frames = append(f.Frames, s.Frame)
		if len(f.Frames) == 1 {
			f.Time = s.Time
		}
	}
	f.Message = fmt.Sprintf("%s: %s connections held in TIME_WAIT at once; at %.0f closes a second it will be %s",
		f.Subject.WhereServer(), rules.Count(w.held), w.rate, rules.Count(int64(w.projected)))
	pass.Report(f)
}
