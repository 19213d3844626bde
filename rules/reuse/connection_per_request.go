package reuse

import (
	"fmt"
	"slices"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// ConnectionPerRequest reports pairs that open connections they need not.
var ConnectionPerRequest = &rules.Rule{
	Code: "REU001",
	Name: "connection-per-request",
	Doc: rules.Doc{
		Title:    "a client opens connections that reuse would have saved",
		Severity: rules.Warning,
		Wire: "The client opens a connection for a request, or for a few, though another of its connections to the same server had just become idle, or could have stayed open. " +
			"The requests are replayed over an ideal pool, which opens a connection only when none is idle; what the pool never opens was avoidable.",
		Harm: "Each avoidable connection costs a round trip for TCP, one or two more for TLS, a slow start from ten segments, a socket on both sides and a port in TIME_WAIT. " +
			"Over long distances most of a request's time goes into that.",
		Fix: "keep one client, session or pool for all requests, read responses to their end, and remove what closes connections: see the cause",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "As proxy: keepalive 32 in the upstream block, proxy_http_version 1.1, proxy_set_header Connection \"\". As server: keepalive_timeout 60s, keepalive_requests 1000."},
			{Program: "haproxy", Text: "http-reuse safe (the default); remove \"option httpclose\" and \"option http-server-close\"."},
			{Program: "Apache", Text: "KeepAlive On; as proxy: no disablereuse=On, no SetEnv proxy-nokeepalive or force-proxy-request-1.0."},
			{Program: "Node", Text: "One http.Agent({keepAlive: true}) for all requests (the default from 19 on); consume responses."},
			{Program: "Java", Text: "One HttpClient for all requests; HttpURLConnection: read the body, error streams too; no http.keepAlive=false."},
			{Program: "Go", Text: "One http.Client; io.Copy(io.Discard, res.Body) and res.Body.Close(); MaxIdleConnsPerHost above its default of 2; no DisableKeepAlives, no req.Close."},
			{Program: "Python", Text: "requests.Session or httpx.Client held across requests in place of requests.get; http.client: keep the HTTPConnection."},
		},
		Confirm: "Filter tcp.flags.syn == 1 && tcp.flags.ack == 0 && ip.src == CLIENT && tcp.dstport == PORT and compare the count with that of http.request; connlint stats shows the pair's figures.",
		Silent: "Fewer than 5 connections were avoidable, or less than half of them, or less than a fifth of the number of requests. Parallel load needs its connections at once. " +
			"Requests came more than 10 s apart, or further than the server keeps idle connections. Health checks by balancers are left out, by their User-Agent.",
		Refs: []string{"RFC 9112 §9.3", "RFC 9112 §9.4", "RFC 6928 §2", "RFC 8446 §2"},
	},
	Needs: lifecycle.OneDirection,
	Group: func(*rules.Config) rules.Grouping {
		return rules.GroupBy[*rules.UsageFact, rules.Pair, *Record](perRequest{})
	},
}

// perRequest is Usage judged by REU001.
type perRequest struct{ Usage }

// Judge reports a pair most of whose connections were avoidable.
func (perRequest) Judge(p *rules.Pass, k rules.Pair, r *Record) {
	c := p.Config
	most := r.Links.Len() // the model would look at no more
	if most < c.AvoidableMin {
		return
	}
	links, more := r.Links.All()
	if float64(most) < c.AvoidableUsePart*float64(r.least(links, more)) {
		return
	}
	m := r.model(links, more, c.PoolIdle)
	if m.Avoidable < max(1, c.AvoidableMin) || float64(m.Avoidable) < c.AvoidablePart*float64(m.Connections) ||
		float64(m.Avoidable) < c.AvoidableUsePart*float64(m.Transactions) {
		return
	}
	lost := m.Setup + m.Slow
	s := k.Subject()
	s.Host = c.Redact.Host(r.single())
	f := rules.Finding{
		Severity: rules.Warning,
		Frames:   slices.Clone(m.Frames),
		Time:     m.First,
		Conn:     m.Frames[0],
		Conns:    m.Avoidable,
		Subject:  s,
		Side:     "client",
		Cost:     lost,
		Measured: []rules.Measure{
			{Name: "connections", Value: float64(m.Connections), Sum: true},
			{Name: "transactions", Value: float64(m.Transactions), Sum: true},
			{Name: "avoidable", Value: float64(m.Avoidable), Sum: true},
			{Name: "setup_ms", Value: rules.Millis(m.Setup), Sum: true},
			{Name: "slow_start_ms", Value: rules.Millis(m.Slow), Sum: true},
			{Name: "observed_total_ms", Value: rules.Millis(m.Observed)},
			{Name: "estimated_total_with_reuse_ms", Value: rules.Millis(m.Estimated)},
		},
	}
	what := "requests"
	if r.Encrypted > 0 {
		what = "exchanges"
	}
	f.Message = fmt.Sprintf("%s: %s connections for %s %s, %s of them avoidable", s.Where(), rules.Count(int64(m.Connections)),
		rules.Count(int64(m.Transactions)), what, rules.Count(int64(m.Avoidable)))
	if now, then := rules.Span(m.Observed), rules.Span(m.Estimated); m.Observed > m.Estimated && now != then {
		f.Message += fmt.Sprintf("; %s would be %s with reuse", now, then)
	}
	cause, share := m.cause()
	f.Message += fmt.Sprintf("; cause: %s (%.0f %%)", cause.Text(), 100*share)
	f.Measured = append(f.Measured, rules.Measure{Name: "cause_" + cause.String() + "_part", Value: share})
	switch cause {
	case HTTP10, ServerCloses, RequestLimit, ServerClose, MissingLength:
		f.Side = "server"
	}
	// Where both close after a response without a word, whose FIN is out first
	// is chance.
	f.Unsure = cause == ClientCloses || cause == ServerCloses
	if m.Part {
		f.Message += "; figures of the first part of the traffic"
	}
	p.Report(f)
}

// cause returns the most frequent cause and its share of the connections.
func (m *Model) cause() (c Cause, share float64) {
	for i, n := range m.Causes {
		if n > m.Causes[c] {
			c = Cause(i)
		}
	}
	if m.Connections > 0 {
		share = float64(m.Causes[c]) / float64(m.Connections)
	}
	return c, share
}
