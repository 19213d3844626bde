package reuse

import (
	"bytes"
	"cmp"
	"hash/fnv"
	"math/bits"
	"slices"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/analyzers/tlsinfo"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// What is kept of one pair, where there are few; of all pairs together, where
// there are many; and of each, however many there are. Beyond it, sums go on and
// the model looks at the first part of the traffic.
const (
	maxLinks, allLinks, fewLinks = 1 << 13, 1 << 19, 1 << 9  // connections
	maxUses, allUses, fewUses    = 1 << 14, 1 << 17, 1 << 13 // transactions or turns
	maxHosts                     = 2
)

// linksOf returns how many connections of a pair are kept, one of so many.
func linksOf(pairs int) int { return share(maxLinks, allLinks, fewLinks, pairs) }

// usesOf is the same of transactions or turns.
func usesOf(pairs int) int { return share(maxUses, allUses, fewUses, pairs) }

func share(most, all, few, pairs int) int { return max(min(most, all/max(pairs, 1)), few) }

// Usage is the aggregate that the reuse model is made of: how the connections
// of a pair were used.
type Usage struct{}

// Record is what is known of one pair.
type Record struct {
	Pairs int // at least so many share the memory
	Links Links
	Uses  accum.Lowest[Use]       // those that began first
	Hosts accum.SmallestN[string] // that were asked for

	Transactions int64
	// Of all connections that carried HTTP/1 or TLS and have ended, or were
	// open at the end of the capture.
	Connections, Encrypted int64
	ClosedBy               [numEnders]int64
	Setup, Slow            int64 // nanoseconds
	Busy, Life             int64 // nanoseconds; Life from ready to closed or last segment
	// IdleLimit is the shortest time after which the server closed, or says it
	// will close, an idle connection, nanoseconds.
	IdleLimit accum.MinMax[int64]

	// The User-Agent that was looked at last, its hash, and whether it is a
	// probe: most requests of a pair have the same.
	words []byte
	agent uint64
	probe bool
}

// Ender is who ended a connection.
type Ender uint8

// The ways a connection ends.
const (
	StillOpen Ender = iota
	ByClient
	ByServer
	ByReset
	numEnders = iota
)

// Cause says why a connection was not used again.
type Cause uint8

// The causes, the more telling ones last.
const (
	NoCause      Cause = iota
	LeftOpen           // it was there, and the client opened another
	ClientCloses       // the client just closed it
	ServerCloses       // the server just closed it
	RequestLimit       // the server closed it after several requests
	ServerClose        // the response said Connection: close
	ClientClose        // the request said Connection: close
	MissingLength
	HTTP10 // HTTP/1.0 without keep-alive
	numCauses
)

// String returns the cause as the JSON output names it.
func (c Cause) String() string {
	return [numCauses]string{"none", "left_open", "client_closes", "server_closes", "request_limit",
		"server_connection_close", "client_connection_close", "missing_length", "http10"}[c]
}

// Text says the cause in words.
func (c Cause) Text() string {
	return [numCauses]string{"none", "the client opens another though it is idle", "the client just closes", "the server just closes",
		"the server's request limit", "the server's Connection: close", "the client's Connection: close",
		"responses without length", "HTTP/1.0 without keep-alive"}[c]
}

// Link is one connection.
type Link struct {
	Opened int64 // SYN, or first segment
	Ready  int64 // handshakes done
	Slow   int64 // what slow start added to the first response, nanoseconds
	Closed int64 // 0 while open
	Shut   int64 // the client's FIN or RST, if it was the first to end it
	Over   int64 // the last segment, 0 while open
	Busy   int64 // nanoseconds
	Agent  uint64
	N      uint32 // uses
	Cause  Cause
	By     Ender
	Began  bool // its SYN was seen
	Probe  bool // a health check
	Left   bool // it does not carry HTTP/1 any more
	Ended  bool // its end, or that of the capture, was told
	Blind  bool // when TLS was ready is not known
	met    bool // by the model
}

// Setup returns how long the handshakes of TCP and TLS took, in nanoseconds, 0
// if they were not seen.
func (l *Link) Setup() int64 {
	if !l.Began {
		return 0
	}
	return max(0, l.Ready-l.Opened)
}

// Use is one transaction or turn.
type Use struct {
	Start, End int64
	Conn       uint64
	Frame      uint64
}

// Columns implements accum.Row: uses are in the order of their beginnings.
func (u Use) Columns() accum.Columns {
	return accum.Columns{u.Start, int64(u.Frame), int64(u.Conn), u.End}
}

// Of implements accum.Row.
func (Use) Of(c accum.Columns) Use {
	return Use{Start: c[0], Frame: uint64(c[1]), Conn: uint64(c[2]), End: c[3]}
}

// Compare orders uses by when they began.
func (u Use) Compare(o Use) int {
	a, b := u.Columns(), o.Columns()
	return slices.Compare(a[:], b[:])
}

// Key returns the pair of a connection that carries HTTP/1 or TLS, or did.
func (u Usage) Key(f *rules.UsageFact) (rules.Pair, bool) { return f.Pair(), u.Takes(f) }

// Takes implements rules.Taker.
func (Usage) Takes(f *rules.UsageFact) bool {
	if t := f.Transaction; t != nil && t.Req.First.Frame != 0 {
		return f.ClientKnown
	}
	c := f.Conn()
	return c.ClientKnown && (web(c) || c.Requests > 0 || c.Protocol == http1.TLS)
}

// Add notes a use of a connection, or its end.
func (u Usage) Add(r *Record, f *rules.UsageFact) *Record {
	r = accum.Made(r)
	switch {
	case f.Transaction != nil:
		u.transaction(r, f.Transaction, f)
	case f.Turn != nil:
		u.turn(r, f.Turn, f.Conn())
	default:
		u.end(r, f.Conn())
	}
	return r
}

func (u Usage) transaction(r *Record, t *http1.Transaction, f *rules.UsageFact) {
	if t.Resp.First.Frame != 0 && t.Resp.Framing == http1.Switched {
		if l := r.Links.at(f.ID, r.links()); l != nil {
			l.Left = true
		}
		return
	}
	if t.Outcome != http1.Answered || f.SnapCut {
		return
	}
	if host := t.Host; len(host) > 0 && !slices.ContainsFunc(r.Hosts, func(h string) bool { return h == string(host) }) {
		r.Hosts = addHost(r.Hosts, string(host))
	}
	l := u.use(r, Use{Start: t.Req.First.Time, End: t.Resp.Last.Time, Conn: f.ID, Frame: t.Req.First.Frame})
	if l == nil {
		return
	}
	if !bytes.Equal(t.UserAgent, r.words) {
		r.words = append(r.words[:0], t.UserAgent...)
		r.agent, r.probe = agent(t.UserAgent), probe(t.UserAgent)
	}
	l.Agent = max(l.Agent, r.agent)
	l.Probe = l.Probe || r.probe
}

func (u Usage) turn(r *Record, t *timing.Turn, c *lifecycle.Conn) {
	if t.Handshake || t.ReqFirst.Frame == 0 || t.RespFirst.Frame == 0 {
		return
	}
	if t.First && t.Flights > 1 && t.RTT > 0 {
		slow := slowStart(t)
		r.Slow += slow
		if l := r.Links.at(c.ID, r.links()); l != nil {
			l.Slow += slow
		}
	}
	if c.Missing&(lifecycle.Encrypted|lifecycle.SnapCut) == 0 {
		return
	}
	if c.Protocol == http1.TLS && shaking(t, c) {
		return
	}
	u.use(r, Use{Start: asked(t, c), End: t.RespLast.Time, Conn: c.ID, Frame: t.ReqFirst.Frame})
}

// asked returns when a turn's request began. The end of a TLS handshake may
// stand before it in the same turn: if the request is short, it is the last
// segment.
func asked(t *timing.Turn, c *lifecycle.Conn) int64 {
	done := &c.TLS.Done
	switch {
	case done.Frame == 0 || done.Frame < t.ReqFirst.Frame:
		return t.ReqFirst.Time
	case t.ReqBytes <= shortRequest:
		return t.ReqLast.Time
	}
	return max(t.ReqFirst.Time, done.Time)
}

// Bounds on the end of a TLS handshake, in bytes: what a client's
// ChangeCipherSpec and Finished take from TLS 1.3 on, and what a last flight
// takes where the version is unknown.
const (
	finished13   = 6 + 5 + 64 + 1 + 16
	finishedAny  = 160
	ticketsBytes = 700
	shortRequest = 1400
)

// shaking reports whether a turn is the end of a TLS handshake and the
// server's session tickets, without a request. Where the hellos are cut by the
// snapshot length, only place and size tell.
func shaking(t *timing.Turn, c *lifecycle.Conn) bool {
	if done := c.TLS.Done.Frame; done != 0 {
		return t.ReqFirst.Frame <= done && t.ReqLast.Frame <= done && t.ReqBytes <= finished13
	}
	return c.End[http1.Client].SYN.Seen() &&
		(t.Index == 0 || t.Index == 1 && t.ReqBytes <= finishedAny && t.RespBytes <= ticketsBytes)
}

// slowStart returns what a response's slow start cost beyond a warm
// connection: a round trip for each doubling of the first flight that it took
// to send it all, but no more than the response took to arrive.
func slowStart(t *timing.Turn) int64 {
	rounds := t.Flights
	if t.FirstFlight > 0 {
		rounds = max(rounds, bits.Len64(uint64(t.RespBytes/t.FirstFlight)))
	}
	return min(int64(rounds-1)*int64(t.RTT), t.RespLast.Time-t.RespFirst.Time)
}

// use notes a use and returns its connection, nil if that is not kept.
func (Usage) use(r *Record, v Use) *Link {
	r.Transactions++
	busy := max(0, v.End-v.Start)
	r.Busy += busy
	r.Uses.Add(v, r.uses())
	l := r.Links.at(v.Conn, r.links())
	if l == nil {
		return nil
	}
	l.N++
	l.Busy += busy
	return l
}

func (Usage) end(r *Record, c *lifecycle.Conn) {
	if !web(c) {
		if l := r.Links.at(c.ID, r.links()); l != nil {
			l.Left, l.Ended = true, true
			r.Links.ended()
		}
		return
	}
	if c.Protocol == http1.TLS {
		r.Encrypted++
		if c.TLS.SNI != "" {
			r.Hosts = addHost(r.Hosts, c.TLS.SNI)
		}
	}
	e := Link{Opened: c.Start, Ready: c.Start, Closed: closed(c), Cause: causeOf(c), By: endedBy(c), Ended: true}
	if e.Closed != 0 {
		e.Over = c.Last
	}
	if syn := &c.End[http1.Client].SYN; syn.Seen() {
		e.Opened, e.Ready, e.Began = syn.Time, syn.Time, true
		if c.Established.Seen() {
			e.Ready = c.Established.Time
		}
		if c.Protocol == http1.TLS {
			if e.Blind = c.TLS.Done.Frame == 0; !e.Blind {
				e.Ready = c.TLS.Done.Time
			}
		}
	}
	if shut := ending(&c.End[http1.Client]); shut.Seen() && c.First == http1.Client {
		e.Shut = shut.Time
	}
	r.Connections++
	r.ClosedBy[e.By]++
	r.Setup += e.Setup()
	over := c.Last
	if e.Closed != 0 {
		over = e.Closed
	}
	r.Life += max(0, over-e.Ready)
	if t := c.LastExchange.KeepAliveTimeout; c.LastExchange.RespEnd.Frame != 0 && t > 0 {
		r.IdleLimit = r.IdleLimit.Add(int64(t) * int64(time.Second))
	}
	if s := ending(&c.End[http1.Server]); s.Seen() && c.First == http1.Server && c.LastResponse.Frame != 0 && c.LostCount == 0 &&
		s.Time-c.LastResponse.Time >= int64(time.Second) && !announced(c) {
		r.IdleLimit = r.IdleLimit.Add(s.Time - c.LastResponse.Time)
	}
	if l := r.Links.at(c.ID, r.links()); l != nil {
		l.merge(&e)
		r.Links.ended()
	}
}

// merge adds what o knows of the same connection.
func (l *Link) merge(o *Link) {
	if l.Opened == 0 || o.Opened != 0 && o.Opened < l.Opened {
		l.Opened = o.Opened
	}
	l.Ready, l.Closed, l.Shut = max(l.Ready, o.Ready), max(l.Closed, o.Closed), max(l.Shut, o.Shut)
	l.Over, l.By = max(l.Over, o.Over), max(l.By, o.By)
	l.Slow += o.Slow
	l.Busy += o.Busy
	l.N += o.N
	l.Agent, l.Cause = max(l.Agent, o.Agent), max(l.Cause, o.Cause)
	l.Began, l.Probe, l.Left = l.Began || o.Began, l.Probe || o.Probe, l.Left || o.Left
	l.Ended, l.Blind = l.Ended || o.Ended, l.Blind || o.Blind
}

// Merge returns what is known from both.
func (Usage) Merge(a, b *Record) *Record {
	if b == nil {
		return a
	}
	a = accum.Made(a)
	a.Pairs = max(a.Pairs, b.Pairs)
	a.Links.merge(&b.Links, a.links())
	a.Uses.Merge(b.Uses, a.uses())
	for _, h := range b.Hosts {
		a.Hosts = addHost(a.Hosts, h)
	}
	a.Transactions += b.Transactions
	a.Connections += b.Connections
	a.Encrypted += b.Encrypted
	for i, n := range b.ClosedBy {
		a.ClosedBy[i] += n
	}
	a.Setup += b.Setup
	a.Slow += b.Slow
	a.Busy += b.Busy
	a.Life += b.Life
	a.IdleLimit = a.IdleLimit.Merge(b.IdleLimit)
	return a
}

// Ration implements rules.Rationed.
func (Usage) Ration(r *Record, pairs int) *Record {
	r = accum.Made(r)
	r.Pairs = pairs
	r.Links.limit(r.links())
	r.Uses.Trim(r.uses())
	return r
}

func (r *Record) links() int { return linksOf(r.Pairs) }
func (r *Record) uses() int  { return usesOf(r.Pairs) }

// Judge does nothing: Usage is what others judge.
func (Usage) Judge(*rules.Pass, rules.Pair, *Record) {}

func addHost(s accum.SmallestN[string], h string) accum.SmallestN[string] {
	if slices.Contains(s, h) {
		return s
	}
	return s.Add(h, maxHosts, cmp.Compare[string])
}

// least returns no more than the uses that the model would look at, without
// looking at each.
func (r *Record) least(links []accum.Entry[Link], more bool) int {
	if more {
		return 0
	}
	n := r.Uses.Len()
	for i := range links {
		if l := &links[i].Value; l.Left || l.Probe {
			n -= int(l.N)
		}
	}
	return n
}

// endedBy says who ended a connection.
func endedBy(c *lifecycle.Conn) Ender {
	switch {
	case closed(c) == 0 && !c.End[0].FIN.Seen() && !c.End[1].FIN.Seen():
		return StillOpen
	case c.Outcome == lifecycle.Reset && ending(&c.End[c.First]).Frame == c.End[c.First].RST.Frame:
		return ByReset
	case c.First == http1.Server:
		return ByServer
	}
	return ByClient
}

// causeOf says why a connection carried no more.
func causeOf(c *lifecycle.Conn) Cause {
	x := &c.LastExchange
	told := x.RespEnd.Frame != 0
	switch {
	case told && (x.Version == 10 || x.ReqVersion == 10) && !(x.ReqBits.Has(http1.ConnKeepAlive) && x.RespBits.Has(http1.ConnKeepAlive)):
		return HTTP10
	case told && x.ReqBits.Has(http1.ConnClose):
		return ClientClose
	case told && x.Framing == http1.UntilClose:
		return MissingLength
	case told && x.RespBits.Has(http1.ConnClose) && c.Answered > 1:
		return RequestLimit
	case told && x.RespBits.Has(http1.ConnClose):
		return ServerClose
	}
	switch endedBy(c) {
	case StillOpen:
		return LeftOpen
	case ByServer:
		if announced(c) {
			return ClientCloses
		}
		return ServerCloses
	}
	if c.First == http1.Server {
		return ServerCloses
	}
	return ClientCloses
}

// announced reports whether the client said by TLS's close_notify that it
// closes, before the server's FIN, which only answers it: which side's FIN is
// out first after that is chance.
func announced(c *lifecycle.Conn) bool {
	last, fin := &c.End[http1.Client].LastData, &c.End[http1.Server].FIN
	return c.Protocol == http1.TLS && c.TLS.Notify[http1.Client] == tlsinfo.Notified &&
		last.Seen() && fin.Seen() && last.Seq.Less(fin.Ack)
}

// agent hashes a User-Agent: several may stand behind one address.
func agent(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// probe reports whether a User-Agent is that of a health check: those open
// connections on purpose.
func probe(agent []byte) bool {
	lower := bytes.ToLower(agent)
	for _, word := range []string{"health", "kube-probe", "googlehc", "check_http", "load balancer agent", "edge health probe",
		"envoy/hc", "httpchk", "blackbox-exporter", "uptime"} {
		if bytes.Contains(lower, []byte(word)) {
			return true
		}
	}
	return false
}

// single returns the one host of a pair, "" if there are several or none.
func (r *Record) single() string {
	if len(r.Hosts) == 1 {
		return r.Hosts[0]
	}
	return ""
}

var _ rules.Aggregate[*rules.UsageFact, rules.Pair, *Record] = Usage{}

// CauseNamed returns the cause that String calls so, NoCause for none.
func CauseNamed(name string) Cause {
	for c := NoCause; c < numCauses; c++ {
		if c.String() == name {
			return c
		}
	}
	return NoCause
}
