package reuse

import (
	"fmt"
	"slices"
	"time"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// ConnectionLeak reports clients that forget connections.
var ConnectionLeak = &rules.Rule{
	Code: "REU004",
	Name: "connection-leak",
	Doc: rules.Doc{
		Title:    "a client opens connections while others stand idle that it never uses again nor closes",
		Severity: rules.Warning,
		Wire: "Each request leaves its connection behind: answered, open, idle. The client opens another one for the next request, and so on. " +
			"None of the idle ones is used or closed again until the end of the capture.",
		Harm: "Sockets, file descriptors, buffers and ports grow until a limit is hit (\"too many open files\"), on the client and on the server. " +
			"Each new connection pays for its handshake besides.",
		Fix: "give connections back to the pool: close response bodies, share one client, close what is not used any more",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "As server: keepalive_timeout bounds the harm; keepalive_min_timeout and limit_conn per address."},
			{Program: "haproxy", Text: "timeout http-keep-alive and timeout client bound the harm; maxconn per source with stick tables."},
			{Program: "Apache", Text: "KeepAliveTimeout bounds the harm; mod_reqtimeout."},
			{Program: "Node", Text: "One http.Agent for all requests; consume each response (res.resume()); agent.destroy() when done."},
			{Program: "Java", Text: "One HttpClient for all requests; Apache HttpClient: EntityUtils.consume and CloseableHttpResponse.close(); OkHttp: response.body().close()."},
			{Program: "Go", Text: "defer res.Body.Close() after each request, errors included, and read it to io.EOF; one Transport for all."},
			{Program: "Python", Text: "with requests.Session() as s; stream=True responses: read or close them; aiohttp: one ClientSession, async with for responses."},
		},
		Confirm: "Filter tcp.flags.syn == 1 && ip.src == CLIENT: connections without any tcp.flags.fin or tcp.flags.reset; on the client ss -tn state established dst SERVER grows.",
		Silent: "Fewer than ten stand idle when others are opened, or fewer than five are opened then. Those that stand idle are used or closed later, or have not stood long: " +
			"10 s, or five times the usual gap between opens.",
		Refs: []string{"RFC 9112 §9.3", "RFC 9112 §9.5"},
	},
	Absence: true,
	Needs:   lifecycle.OneDirection,
	Group: func(*rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, rules.Pair, *Spans](leaking{})
	},
}

type leaking struct{ spanning }

// Judge reports a pair whose connections are left behind.
func (leaking) Judge(p *rules.Pass, k rules.Pair, a *Spans) {
	c := p.Config
	least := max(1, c.LeakMinIdle)
	if a.Idle < int64(least) {
		return
	}
	over := end(p)
	list := a.List.Values()
	gap := medianGap(list)
	left := 0 // whether long enough or not
	var idle []int64
	var frames []uint64
	for _, s := range list {
		if s.Idle == 0 {
			continue
		}
		left++
		stood := since(s.Idle, over)
		if stood >= c.LeakIdle || gap > 0 && float64(stood) >= c.LeakGaps*float64(gap) {
			idle = append(idle, s.Idle)
			frames = append(frames, s.Frame)
		}
	}
	if len(idle) < least {
		return
	}
	slices.Sort(idle)
	full := idle[least-1] // since when so many stand idle
	opens := 0
	var first, last int64
	for _, s := range list {
		if s.Open >= full {
			opens++
			last = s.Open
		}
		if first == 0 {
			first = s.Open
		}
	}
	if opens < c.LeakMinOpens {
		return
	}
	growth := float64(left) / max(since(first, last), time.Second).Minutes()
	f := rules.Finding{
		Severity: rules.Warning, Time: idle[0], Conns: left, Subject: k.Subject(), Side: "client",
		Frames: frames[:min(len(frames), modelFrames)],
		Measured: []rules.Measure{
			{Name: "left_open", Value: float64(left), Sum: true},
			{Name: "connections", Value: float64(a.N), Sum: true},
			{Name: "opened_meanwhile", Value: float64(opens)},
			{Name: "growth_per_min", Value: growth},
			{Name: "idle_longest_s", Value: since(idle[0], over).Seconds()},
		},
	}
	f.Message = fmt.Sprintf("%s: %s of %s connections left open and idle, %s opened meanwhile; %.0f more a minute",
		f.Subject.Where(), rules.Count(int64(left)), rules.Count(a.N), rules.Count(int64(opens)), growth)
	p.Report(f)
}

// medianGap returns the usual time between opens.
func medianGap(list []Span) time.Duration {
	if len(list) < 2 {
		return 0
	}
	gaps := make([]int64, 0, len(list)-1)
	for i := 1; i < len(list); i++ {
		gaps = append(gaps, list[i].Open-list[i-1].Open)
	}
	slices.Sort(gaps)
	return time.Duration(gaps[len(gaps)/2])
}
