package pipelining

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// Retry reports requests that must not be repeated, and were.
var Retry = &rules.Rule{
	Code: "PIP004",
	Name: "non-idempotent-retry",
	Doc: rules.Doc{
		Title:    "a request that must not be repeated was sent again after its connection ended without a response",
		Severity: rules.Error,
		Wire: "A POST, PATCH, LOCK or request of an unknown method went out, and its connection ended, or was given up, without a byte of a final response. " +
			"Within 30 s the same client sent the same again, to this server or another: same method, target, Host, body length and body. " +
			"The finding names what ended the first; that is reported beside it.",
		Harm: "No response does not mean that nothing was done. The order is placed twice, the money paid twice. " +
			"A client must not retry such a request by itself unless it knows that the first was not carried out (RFC 9110 §9.2.2).",
		Fix: "turn automatic retries off for these methods, or send an Idempotency-Key that the server honours; and remove the cause of the lost connection",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "proxy_next_upstream without non_idempotent (the default since 1.9.13); set proxy_next_upstream off where even a failed connect must not be tried twice."},
			{Program: "haproxy", Text: "retry-on conn-failure only; http-request disable-l7-retry if METH_POST with retry-on empty-response or response-timeout."},
			{Program: "Apache", Text: "mod_proxy sends a request again when a kept back-end connection turns out closed: SetEnv proxy-initial-not-pooled 1, or a ttl= below the back end's keep-alive time."},
			{Program: "Node", Text: "undici's RetryHandler: leave POST and PATCH out of methods; got and axios-retry: the same."},
			{Program: "Java", Text: "-Dsun.net.http.retryPost=false for HttpURLConnection; jdk.httpclient.enableAllMethodRetry unset; Apache HttpClient: keep the default retry strategy."},
			{Program: "Go", Text: "net/http repeats a POST only where no byte was written, or with an Idempotency-Key or X-Idempotency-Key: look for a retry loop of the application's."},
			{Program: "Python", Text: "urllib3 Retry(allowed_methods=...) without POST and PATCH (the default); tenacity and backoff decorators around requests.post."},
		},
		Confirm: "Filter http.request.method == \"POST\" and sort by http.file_data or tcp.len: two alike on different streams, the first without \"Response in frame\".",
		Silent: "Any byte of a final response came. The body was cut by the capture, or is longer than is hashed (64 KiB), or was not sent whole. " +
			"It was sent in parallel, before the first had failed. The client sends the same all the time (three times before), and not earlier than it would have anyway. " +
			"It is a note (info) with an Idempotency-Key, or where the server's side proves that no byte of the first was taken.",
		Refs: []string{"RFC 9110 §9.2.2", "RFC 9112 §9.3.1", "RFC 9112 §9.3.2"},
	},
	Needs: lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.Encrypted | lifecycle.BadFraming | lifecycle.Capped,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*rules.TransactionFact, netip.Addr, *Sent](Retries{Keys: 3 << 14, PerKey: 16, Within: c.RetryWindow, Noticed: c.KeepAliveRaceLag})
	},
}

// Retries is the aggregate that holds alike requests of one client against
// each other. Keys bounds how many different requests are kept, of all clients
// together, but for a few of each; PerKey how often each.
type Retries struct {
	Keys, PerKey int
	Within       time.Duration // longest time from the loss to the retry
	// Noticed is how long after its kernel's acknowledgement of a FIN the
	// client itself surely knew of it.
	Noticed time.Duration
}

// Sent is what is known of a client's non-idempotent requests: those alike,
// by a hash of all that makes them alike.
type Sent struct {
	Clients int // at least so many share the memory
	Alike   accum.BottomK[Once]
	// Many are the attempts of those that were sent several times, or lost.
	Many    map[uint64]accum.SmallestN[Attempt]
	Servers []netip.AddrPort
}

// Once is a request that was sent once, and answered. Nearly all are: it is
// small, and holds no pointer.
type Once struct {
	At     int64 // as in Attempt
	Frame  uint64
	Conn   uint64
	Server uint32 // where in Sent.Servers
	Port   uint16
	Keyed  bool
	Many   bool // there is more than that: see Sent.Many
}

// Attempt is one sending of a request.
type Attempt struct {
	At     int64  // capture time of its first byte
	Frame  uint64 // that carried it
	Conn   uint64 // first frame of its connection
	Server netip.AddrPort
	Port   uint16 // the client's
	Keyed  bool   // it carries an Idempotency-Key
	Loss   *Loss  // nil if it was answered, or is not known to be lost
}

// Loss is how an attempt came to nothing.
type Loss struct {
	At                   int64  // capture time from which the client can have known
	Until                int64  // and until when another attempt is taken for its retry
	Frame                uint64 // the FIN or RST, 0 for none
	Cause                string // the rule that the end of the connection is for
	Unreached            bool   // the server took no byte of the request
	Method, Target, Host string // as sent
}

// Key returns the client of a request that must not be repeated and can be
// compared.
func (r Retries) Key(f *rules.TransactionFact) (netip.Addr, bool) { return f.Client.Addr(), r.Takes(f) }

// Takes implements rules.Taker.
func (Retries) Takes(f *rules.TransactionFact) bool {
	return !f.Method.Idempotent() && f.Req.HeadEnd.Frame != 0 && f.Method != http1.CONNECT && f.BodyHashOK && f.TargetLen == len(f.Target)
}

// fewest is how many different requests of a client are kept, however many
// clients there are.
const fewest = 64

// keys returns how many of the client's different requests are kept.
func (r Retries) keys(s *Sent) int {
	n := max(s.Clients, 1)
	return max(r.Keys/n, min(r.Keys, fewest))
}

// Ration implements rules.Rationed.
func (r Retries) Ration(s *Sent, clients int) *Sent {
	s = accum.Made(s)
	s.Clients = clients
	s.Alike.Trim(r.keys(s))
	s.forget()
	return s
}

// forget lets go of attempts whose request is not kept any more.
func (s *Sent) forget() {
	for alike := range s.Many {
		if s.Alike.Get(alike) == nil {
			delete(s.Many, alike)
		}
	}
}

// Add notes an attempt.
func (r Retries) Add(s *Sent, f *rules.TransactionFact) *Sent {
	s = accum.Made(s)
	alike := digest(f.BodyHash^uint64(f.Req.Body)<<1, f.MethodName, f.Target, f.Host, f.UserAgent)
	o := s.Alike.At(alike, r.keys(s))
	if o == nil {
		return s
	}
	a := Attempt{At: f.Req.First.Time, Frame: f.Req.First.Frame, Conn: f.ID, Server: f.Server, Port: f.Client.Port(),
		Keyed: f.Req.Bits.Has(http1.HasIdempotencyKey)}
	list := s.attempts(alike, o)
	if !list.Takes(a, r.PerKey, compareAttempts) {
		return s
	}
	if a.Loss = r.loss(f); a.Loss != nil {
		a.Loss.Until = a.Loss.At + int64(r.Within)
	}
	if list == nil && a.Loss == nil {
		*o = Once{At: a.At, Frame: a.Frame, Conn: a.Conn, Server: s.server(a.Server), Port: a.Port, Keyed: a.Keyed}
		return s
	}
	s.keep(alike, o, list.Add(a, r.PerKey, compareAttempts))
	if len(s.Many) > 2*r.keys(s) {
		s.forget()
	}
	return s
}

// server returns where in Servers one stands.
func (s *Sent) server(a netip.AddrPort) uint32 {
	// A client sends most of such requests to one server, or a few.
	i := slices.Index(s.Servers, a)
	if i < 0 {
		i = len(s.Servers)
		s.Servers = append(s.Servers, a)
	}
	return uint32(i)
}

// keep notes that there is more to a request than that it was sent once.
func (s *Sent) keep(alike uint64, o *Once, list accum.SmallestN[Attempt]) {
	if s.Many == nil {
		s.Many = map[uint64]accum.SmallestN[Attempt]{}
	}
	s.Many[alike] = list
	*o = Once{Many: true}
}

// attempts returns those of a request, in order.
func (s *Sent) attempts(alike uint64, o *Once) accum.SmallestN[Attempt] {
	switch {
	case o.Many:
		return s.Many[alike]
	case o.Frame != 0:
		return accum.SmallestN[Attempt]{{At: o.At, Frame: o.Frame, Conn: o.Conn, Server: s.Servers[o.Server], Port: o.Port, Keyed: o.Keyed}}
	}
	return nil
}

// MarshalJSON writes what belongs to requests that are kept, the servers in
// order, so that alike sets read alike.
func (s Sent) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(s.Alike)
	if err != nil {
		return nil, err
	}
	var own accum.BottomK[Once]
	if err := json.Unmarshal(text, &own); err != nil {
		return nil, err
	}
	var servers []netip.AddrPort
	many := map[uint64]accum.SmallestN[Attempt]{}
	own.Each(func(alike uint64, o *Once) {
		if o.Many {
			many[alike] = s.Many[alike]
		} else {
			servers = append(servers, s.Servers[o.Server])
		}
	})
	slices.SortFunc(servers, netip.AddrPort.Compare)
	servers = slices.Compact(servers)
	own.Each(func(_ uint64, o *Once) {
		if !o.Many {
			o.Server = uint32(slices.Index(servers, s.Servers[o.Server]))
		}
	})
	type plain Sent
	return json.Marshal(plain{s.Clients, own, many, servers})
}

func compareAttempts(a, b Attempt) int {
	if a.At != b.At {
		return cmp.Compare(a.At, b.At)
	}
	return cmp.Or(cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Conn, b.Conn))
}

// Merge returns the attempts of both.
func (r Retries) Merge(a, b *Sent) *Sent {
	if b == nil {
		return a
	}
	a = accum.Made(a)
	a.Clients = max(a.Clients, b.Clients)
	a.Alike.Merge(&b.Alike, r.keys(a), func(alike uint64, x, y *Once) {
		if x.Frame == 0 && !x.Many && !y.Many {
			*x = *y
			x.Server = a.server(b.Servers[y.Server])
			return
		}
		a.keep(alike, x, a.attempts(alike, x).Merge(b.attempts(alike, y), r.PerKey, compareAttempts))
	})
	a.forget()
	return a
}

// unacknowledged is how long a request must have gone unacknowledged before
// its client can have given it up, the connection still open.
const unacknowledged = time.Second

// loss tells how a request was lost, nil if it was not for all that is known.
func (r Retries) loss(f *rules.TransactionFact) *Loss {
	t := f.Transaction
	if t.Resp.First.Frame != 0 || t.Outcome != http1.Unanswered && t.Outcome != http1.Open {
		return nil
	}
	c := f.Conn()
	if c.Missing&lossy != 0 {
		return nil
	}
	l := &Loss{Method: string(t.MethodName), Target: string(t.Target), Host: string(t.Host)}
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	start := t.Req.First.Seq
	end := firstEnd(c, c.First)
	taken := start.Less(cl.Acked)
	for _, m := range [...]*lifecycle.Mark{&sv.FIN, &sv.RST} {
		taken = taken || m.Seen() && m.HasAck && start.Less(m.Ack)
	}
	if end == nil {
		if taken || cl.Retransmits == 0 {
			return nil
		}
		l.At, l.Cause = t.Req.First.Time+int64(unacknowledged), "KA003 idle-timeout-mismatch"
		return l
	}
	l.At, l.Frame = max(end.Time, t.Req.Last.Time), end.Frame // sent on a closed connection, it was lost then
	l.Unreached = !taken && sv.RST.Seen()
	switch {
	case sv.RST.Seen() && !sv.FIN.Seen() && cl.FIN.Seen() && sv.RST.HasAck && cl.FIN.Seq.Less(sv.RST.Ack):
		l.Cause = "CLS001 rst-on-half-close"
	case c.First == http1.Client:
		l.Cause = "CLS004 client-abort"
	case t.Req.Bits.Has(http1.Pipelined):
		l.Cause = "PIP003 pipeline-aborted"
	case taken || c.LastExchange.RespEnd.Frame == 0:
		l.Cause = "CLS006 request-unanswered"
	case !sv.FIN.Seen() && !sv.RST.HasAck:
		l.Cause = "KA003 idle-timeout-mismatch"
	case sv.FIN.Seen() && sv.FIN.Seq.Less(t.Req.First.Ack) && sv.FINAcked.Seen() && t.Req.First.Time-sv.FINAcked.Time >= int64(r.Noticed):
		l.Cause = "KA002 write-after-fin"
	default:
		l.Cause = "KA001 keep-alive-race"
	}
	return l
}

// Judge reports each loss that was followed by another attempt.
func (r Retries) Judge(p *rules.Pass, client netip.Addr, s *Sent) {
	s.Alike.Each(func(alike uint64, o *Once) {
		if o.Many {
			r.judge(p, client, s.Many[alike])
		}
	})
}

func (r Retries) judge(p *rules.Pass, client netip.Addr, list accum.SmallestN[Attempt]) {
	next := 0 // attempts before it are taken for a retry already
	for i := range list {
		a := &list[i]
		if a.Loss == nil {
			continue
		}
		j := max(i+1, next)
		for j < len(list) && (list[j].At < a.Loss.At || list[j].Conn == a.Conn) {
			j++
		}
		if j == len(list) || list[j].At > a.Loss.Until || habit(list[:i], list[j].At-a.At) {
			continue
		}
		next = j + 1
		report(p, client, a, &list[j])
	}
}

// habit reports whether a client that has sent the same before would have done
// so again by then.
func habit(before []Attempt, gap int64) bool {
	if len(before) < 3 {
		return false
	}
	usual := before[len(before)-1].At - before[len(before)-2].At
	for i := 1; i < len(before); i++ {
		usual = min(usual, before[i].At-before[i-1].At)
	}
	return gap >= usual/2
}

func report(p *rules.Pass, client netip.Addr, first, again *Attempt) {
	l := first.Loss
	subj := rules.Subject{Client: netip.AddrPortFrom(client, again.Port), Server: again.Server, Host: p.Config.Redact.Host(l.Host),
		Method: l.Method, Target: p.Config.Redact.Target(l.Target)}
	where := "the same server"
	if first.Server != again.Server {
		where = first.Server.String()
	}
	f := rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(again.Frame, first.Frame, l.Frame),
		Time:     again.At,
		Conn:     again.Conn,
		Conns:    2,
		Subject:  subj,
		Message: fmt.Sprintf("%s: sent again %s after the first, to %s, was lost without a response (%s)",
			subj.Where(), rules.Span(again.At-l.At), where, l.Cause),
		Side:  "client",
		Cause: again.Frame,
		Measured: []rules.Measure{
			{Name: "retry_after_loss_ms", Value: rules.Millis(again.At - l.At)},
			{Name: "retry_after_first_ms", Value: rules.Millis(again.At - first.At)},
		},
	}
	switch {
	case first.Keyed && again.Keyed:
		f.Severity = rules.Info
		f.Message += "; it carries an Idempotency-Key"
	case l.Unreached:
		f.Severity = rules.Info
		f.Message += "; no byte of the first had reached the server"
	}
	p.Report(f)
}
