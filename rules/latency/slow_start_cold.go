package latency

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// SlowStartCold reports fresh connections whose first response went through
// slow start while a warm one could have carried it.
var SlowStartCold = &rules.Rule{
	Code: "LAT002",
	Name: "slow-start-cold",
	Doc: rules.Doc{
		Title:    "responses went through slow start on new connections though warm ones were there",
		Severity: rules.Info,
		Wire: "A new connection may send about ten segments, then waits for acknowledgements, and doubles the amount each round trip (slow start). " +
			"A response of more than some 14 KB so takes two or more round trips on a new connection. A connection that carried such responses before sends it in one.",
		Harm: "Each new connection costs these round trips beside those of its handshakes.",
		Fix:  "keep connections and reuse them for large responses too",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "keepalive in the upstream block, with proxy_http_version 1.1 and proxy_set_header Connection \"\"; keepalive_timeout for clients."},
			{Program: "haproxy", Text: "http-reuse safe or always; timeout http-keep-alive above the time between requests."},
			{Program: "Node", Text: "One http.Agent({keepAlive: true}) for all requests (the default agent has it since 19)."},
			{Program: "Java", Text: "One HttpClient for all requests; read bodies to their end."},
			{Program: "Go", Text: "One http.Client; read the body to io.EOF and close it; Transport.MaxIdleConnsPerHost above its default of 2."},
			{Program: "Python", Text: "requests.Session or httpx.Client held across requests."},
		},
		Confirm: "Statistics, TCP Stream Graphs, Time Sequence (Stevens) of a new connection: the first response rises in steps a round trip apart, each taller than the one before.",
		Silent: "No other connection of the same client to the server stood idle and reusable when the new one opened, nor had the client closed one in the ten seconds before. " +
			"The flights do not follow acknowledgements at once, do not grow, or bytes were sent again. In all it cost less than 100 ms or a tenth of the pair's transaction time. HTTP/2.",
		Refs: []string{"RFC 5681 §3.1", "RFC 6928", "RFC 9112 §9.3"},
	},
	Needs: lifecycle.OneDirection | lifecycle.MidStream | lifecycle.Gap,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*rules.TurnFact, rules.Pair, *Starts](ColdStarts{Within: c.ColdWithin})
	},
}

// ColdStarts is the aggregate: first responses in slow start, and when the
// pair had connections to spare.
type ColdStarts struct {
	Within time.Duration // how long after a client closed a connection it could still have had it
}

// Starts is what is known of one pair.
type Starts struct {
	Busy  accum.Sum              // nanoseconds of its turns
	Cold  accum.SmallestN[Start] // the first of them
	Spare accum.SmallestN[Spare] // likewise
}

// Start is one connection whose first response went through slow start.
type Start struct {
	SYN                int64 // capture time
	Conn               uint64
	SYNFrame, Response uint64 // frames
	Flights            int
	RTT                time.Duration
	Host               string
}

// Spare is a time in which a connection could have carried another request.
type Spare struct {
	From, To int64
	Conn     uint64
}

// maxStarts bounds what is kept of one pair: beyond the first of its cold
// starts and spare times the rest is not judged.
const maxStarts = 512

func earlierStart(a, b Start) int {
	return cmp.Or(cmp.Compare(a.SYN, b.SYN), cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.Flights, b.Flights))
}

func earlierSpare(a, b Spare) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.To, b.To))
}

// Key returns the turn's pair.
func (s ColdStarts) Key(f *rules.TurnFact) (rules.Pair, bool) { return f.Pair(), s.Takes(f) }

// Takes implements rules.Taker.
func (ColdStarts) Takes(f *rules.TurnFact) bool {
	return f.ClientKnown && !f.Handshake && f.ReqFirst.Frame != 0 && f.RespFirst.Frame != 0 &&
		(f.Protocol != http1.TLS || !f.Conn().TLS.MayBeHTTP2())
}

// Add notes the turn: its time, whether it was a cold start, and the spare
// time before and after it.
func (s ColdStarts) Add(a *Starts, f *rules.TurnFact) *Starts {
	a = accum.Made(a)
	t := f.Turn
	a.Busy = a.Busy.Add(t.RespLast.Time - t.ReqFirst.Time)
	if t.First && t.Flights > 1 {
		c := f.Conn()
		if syn := &c.End[http1.Client].SYN; syn.Seen() && slowStarted(t, segmentSize(c)) {
			v := Start{SYN: syn.Time, Conn: c.ID, SYNFrame: syn.Frame, Response: t.RespFirst.Frame, Flights: t.Flights, RTT: t.RTT, Host: c.TLS.SNI}
			a.Cold = a.Cold.Add(v, maxStarts, earlierStart)
		}
	}
	if !t.First && t.Idle > 0 {
		a.spare(t.ReqFirst.Time-int64(t.Idle), t.ReqFirst.Time, f.ID)
	}
	if f.Asked > f.ReqLast.Frame || a.late(t.RespLast.Time) {
		return a // another request follows: the next turn tells; or it would not be kept
	}
	if end := s.spareAfter(f.Conn()); end > t.RespLast.Time {
		a.spare(t.RespLast.Time, end, f.ID)
	}
	return a
}

// spare notes a time in which a connection could have carried another request.
func (a *Starts) spare(from, to int64, conn uint64) {
	if !a.late(from) {
		a.Spare = a.Spare.Add(Spare{from, to, conn}, maxStarts, earlierSpare)
	}
}

// late reports whether a spare time that begins then is not among the first.
func (a *Starts) late(from int64) bool {
	n := len(a.Spare)
	return n == maxStarts && from > a.Spare[n-1].From
}

// spareAfter returns until when the connection could have carried another
// request after its last turn; 0 if it could not.
func (s ColdStarts) spareAfter(c *lifecycle.Conn) int64 {
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	if c.Requests > 0 {
		x := &c.LastExchange
		if x.RespEnd.Frame == 0 || c.Answered < c.Requests || x.Framing == http1.UntilClose || x.RespBits.Any(http1.ConnClose) ||
			(x.Version < 11 || x.ReqVersion < 11) && !x.RespBits.Any(http1.ConnKeepAlive) {
			return 0
		}
	}
	end := int64(math.MaxInt64) // it never ended
	for _, m := range [...]*lifecycle.Mark{&sv.FIN, &sv.RST} {
		if m.Seen() {
			end = min(end, m.Time)
		}
	}
	for _, m := range [...]*lifecycle.Mark{&cl.FIN, &cl.RST} {
		if m.Seen() && m.Time <= end {
			// It was the client's choice to do without.
			return m.Time + int64(s.Within)
		}
	}
	return end
}

// Merge returns the turns of both.
func (ColdStarts) Merge(a, b *Starts) *Starts {
	if b == nil {
		return a
	}
	a = accum.Made(a)
	a.Busy = a.Busy.Merge(b.Busy)
	a.Cold = a.Cold.Merge(b.Cold, maxStarts, earlierStart)
	a.Spare = a.Spare.Merge(b.Spare, maxStarts, earlierSpare)
	return a
}

// Judge reports a pair whose needless cold starts cost enough.
func (ColdStarts) Judge(p *rules.Pass, k rules.Pair, a *Starts) {
	var cost time.Duration
	var first *Start
	var frames []uint64
	n, flights := 0, 0
	var until int64 // to which the spare times that began so far reach
	spare := a.Spare
	for i := range a.Cold {
		c := &a.Cold[i]
		for len(spare) > 0 && spare[0].From < c.SYN {
			// Its own come after its SYN.
			until = max(until, spare[0].To)
			spare = spare[1:]
		}
		if until < c.SYN {
			continue
		}
		n++
		flights = max(flights, c.Flights)
		cost += time.Duration(c.Flights-1) * c.RTT
		if first == nil {
			first = c
		}
		if n <= 3 {
			frames = append(frames, c.SYNFrame, c.Response)
		}
	}
	if n == 0 || cost < p.Config.ColdMinCost || float64(cost) < p.Config.ColdPart*float64(a.Busy.Total) {
		return
	}
	subj := rules.Subject{Client: netip.AddrPortFrom(k.Client, 0), Server: k.Server, Host: p.Config.Redact.Host(first.Host)}
	p.Report(rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(frames...),
		Time:     first.SYN,
		Subject:  subj,
		Side:     "client",
		Conns:    n,
		Message: fmt.Sprintf("%s: %s responses went through slow start on new connections, in up to %d flights, while others were there to use: %s",
			subj.Where(), rules.Count(int64(n)), flights, rules.Span(cost)),
		Measured: []rules.Measure{
			{Name: "cold_starts", Value: float64(n)},
			{Name: "lost_ms", Value: rules.Millis(cost)},
			{Name: "max_flights", Value: float64(flights)},
			{Name: "busy_ms", Value: rules.Millis(a.Busy.Total)},
		},
		Cost: int64(cost),
	})
}
