package latency

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
)

// SlowStartAfterIdle reports responses that began slow start again because
// their connection had been idle.
var SlowStartAfterIdle = &rules.Rule{
	Code: "LAT003",
	Name: "slow-start-after-idle",
	Doc: rules.Doc{
		Title:    "a warm connection fell back to slow start after a pause",
		Severity: rules.Info,
		Wire: "A connection carried large flights, then was idle for longer than a retransmission time-out. Its sender then takes the congestion window for stale (RFC 5681 §4.1) " +
			"and begins again with ten segments, doubling each round trip, where one or two flights would have done.",
		Harm: "A large response after a pause takes several round trips more than the same one right after another. It undoes a part of what a kept connection is for.",
		Fix:  "set net.ipv4.tcp_slow_start_after_idle=0 on the sending host",
		Fixes: []rules.Fix{
			{Program: "Linux", Text: "sysctl -w net.ipv4.tcp_slow_start_after_idle=0 on the sending host; it holds for all programs of its network namespace."},
			{Program: "Docker", Text: "docker run --sysctl net.ipv4.tcp_slow_start_after_idle=0: containers have a network namespace, and so a value, of their own."},
			{Program: "Kubernetes", Text: "securityContext.sysctls of the pod, with the name among the kubelet's --allowed-unsafe-sysctls."},
			{Program: "nginx", Text: "It has no setting of its own, nor has any program: no socket option turns this off."},
			{Program: "FreeBSD", Text: "net.inet.tcp.rfc3390 and net.inet.tcp.initcwnd_segments set what it restarts with."},
		},
		Confirm: "Statistics, TCP Stream Graphs, Time Sequence (Stevens) of the connection: steps a round trip apart that grow, after a pause, where steps before it were tall.",
		Silent: "Earlier flights were not larger than twice ten segments, the pause was shorter than round trip + 200 ms, or the response fitted into as many flights as before. " +
			"The flights do not follow acknowledgements at once (the application was slow), or bytes were sent again. No SYN was seen: segment size and round trip are unknown. HTTP/2.",
		Refs: []string{"RFC 5681 §4.1", "RFC 6928", "RFC 7661"},
	},
	Needs:   lifecycle.OneDirection | lifecycle.MidStream | lifecycle.Gap,
	Turn:    afterIdle,
	TurnOdd: rules.InFlights,
}

// initialWindow is how many segments a connection begins with (RFC 6928).
const initialWindow = 10

// minRTO is what Linux adds to the round trip at least.
const minRTO = 200 * time.Millisecond

// slowStarted reports whether the turn's response grew as in slow start, held
// back by the congestion window alone.
func slowStarted(t *timing.Turn, mss int) bool {
	return t.Flights >= 2 && t.Growing && t.AckClocked && !t.Retransmitted && t.RTT > 0 && mss > 0 &&
		t.FirstFlight >= 2*int64(mss) // the least initial window (RFC 5681 §3.1)
}

// segmentSize returns the smaller of both sides' MSS options, 0 without.
func segmentSize(c *lifecycle.Conn) int {
	a, b := c.End[http1.Client].MSS, c.End[http1.Server].MSS
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

func afterIdle(p *rules.Pass, t *timing.Turn) {
	if t.Idle < t.RTT+minRTO || t.Handshake || t.Flights < 2 {
		return
	}
	c := p.Conn()
	mss := segmentSize(c)
	if !slowStarted(t, mss) || c.TLS.MayBeHTTP2() || c.Missing&(lifecycle.Gap|lifecycle.MidStream) != 0 {
		return
	}
	window := int64(initialWindow * mss)
	if t.EarlierMax <= 2*window || t.FirstFlight > window {
		return
	}
	warm := int((t.RespBytes + t.EarlierMax - 1) / t.EarlierMax)
	lost := t.Flights - warm
	if lost < 1 {
		return
	}
	cost := time.Duration(lost) * t.RTT
	subj := p.Subject(nil)
	p.Report(rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(t.RespFirst.Frame, t.ReqFirst.Frame, t.RespLast.Frame),
		Time:     t.RespFirst.Time,
		Subject:  subj,
		Side:     "server",
		Message: fmt.Sprintf("%s: %s bytes took %d flights after %s of silence, where %d had done before: %s lost",
			subj.WhereServer(), rules.Count(t.RespBytes), t.Flights, rules.Span(t.Idle), warm, rules.Span(cost)),
		Measured: []rules.Measure{
			{Name: "lost_ms", Value: rules.Millis(cost), Sum: true},
			{Name: "flights", Value: float64(t.Flights)},
			{Name: "idle_s", Value: t.Idle.Seconds()},
			{Name: "first_flight_bytes", Value: float64(t.FirstFlight)},
			{Name: "earlier_flight_bytes", Value: float64(t.EarlierMax)},
			{Name: "rtt_ms", Value: rules.Millis(t.RTT)},
		},
		Cost: int64(cost),
	})
}
