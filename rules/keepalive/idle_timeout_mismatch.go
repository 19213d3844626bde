package keepalive

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// IdleTimeoutMismatch reports idle connections that somebody on the path, or
// the other host, had forgotten.
//
// It has two stages. Each connection is judged by itself. A reset proves the
// loss of state at once; data that vanishes may also be an outage of the path,
// so that finding is provisional, and withdrawn if the host pair's other
// connections stalled too.
var IdleTimeoutMismatch = &rules.Rule{
	Code: "KA003",
	Name: "idle-timeout-mismatch",
	Doc: rules.Doc{
		Title:    "an idle connection was forgotten on the way: what was sent on it vanished or was reset",
		Severity: rules.Error,
		Wire: "After at least a second in which neither side sent any segment, the first data of one side is sent again and again and never acknowledged, " +
			"or is answered by a RST without the ACK flag, made from the data's own acknowledgement number. Neither side had closed. " +
			"A NAT, firewall or load balancer had dropped its entry for the connection, or the peer had restarted.",
		Harm: "The request is lost. Where a reset comes back the client knows at once; where the segments are dropped it waits for its own time-out, " +
			"or for 15 minutes of retransmissions. All pooled connections that were idle as long share the fate.",
		Fix: "keep idle connections shorter than the shortest time-out on the path, or have TCP keep-alive probes sent more often than that",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "proxy_socket_keepalive on towards upstreams, so_keepalive=60s:10:5 on listen towards clients; keepalive_timeout below the time-out of the path."},
			{Program: "haproxy", Text: "option clitcpka and srvtcpka with clitcpka-idle and srvtcpka-idle 60s; pool-purge-delay for idle server connections."},
			{Program: "Apache", Text: "ProxyPass ... keepalive=On and ttl= below the time-out of the path; net.ipv4.tcp_keepalive_time on the host."},
			{Program: "Node", Text: "http.Agent({keepAlive: true, keepAliveMsecs: 60000}) sets the probes' first delay; agentkeepalive's freeSocketTimeout closes idle sockets."},
			{Program: "Java", Text: "StandardSocketOptions.SO_KEEPALIVE with ExtendedSocketOptions.TCP_KEEPIDLE; connection pools: maximum idle time."},
			{Program: "Go", Text: "net.Dialer.KeepAliveConfig (15 s by default) sends probes; Transport.IdleConnTimeout below the time-out of the path."},
			{Program: "Python", Text: "urllib3: HTTPConnection.default_socket_options with SO_KEEPALIVE and TCP_KEEPIDLE; httpx: keepalive_expiry."},
			{Program: "Load balancers and NAT", Text: "AWS NAT gateways and network load balancers forget after 350 s, Azure's after 4 minutes, many firewalls after 5 to 60: probe or close before that."},
		},
		Confirm: "Filter tcp.stream eq N && (tcp.time_delta > 1 || tcp.analysis.retransmission || tcp.flags.reset == 1): data after the silence, then only its repeats, or a RST with tcp.flags.ack == 0 whose tcp.seq is the data's tcp.ack.",
		Silent: "Either side had sent FIN or RST before. Any segment, keep-alive probes included, was sent within the second before. The data was acknowledged in the end, or the other side still speaks on this connection. " +
			"Other connections between the two hosts stalled at the same time and none got anything across: the path was down. One direction only was captured.",
		Refs: []string{"RFC 9293 §3.8.4", "RFC 1122 §4.2.3.6", "RFC 5382 §5", "RFC 9112 §9.5"},
	},
	Absence: true,
	Needs:   lifecycle.OneDirection,
	Odd:     rules.NotAnswered,
	Transaction: func(p *rules.Pass, t *http1.Transaction) {
		if t.Outcome == http1.Answered {
			return
		}
		if c := p.Conn(); c != nil && c.AfterIdle.Side == http1.Client && c.AfterIdle.Data.Frame != 0 && c.AfterIdle.Data.Frame == t.Req.First.Frame {
			forgotten(p, c, p.Subject(t))
		}
	},
	Closed: func(p *rules.Pass, c *lifecycle.Conn) {
		forgotten(p, c, rules.Subject{Client: c.Client, Server: c.Server})
	},
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, Hosts, Flows](Outage{Shortest: c.ForgottenMinStall})
	},
}

// stalled reports whether the data that c's AfterIdle holds vanished.
func stalled(c *lifecycle.Conn, shortest time.Duration) bool {
	a := &c.AfterIdle
	return a.Data.Seen() && a.Retransmits >= 2 && time.Duration(a.LastSent.Time-a.Data.Time) >= shortest
}

// forgotten judges a connection by its last data after silence.
func forgotten(p *rules.Pass, c *lifecycle.Conn, subj rules.Subject) {
	a := &c.AfterIdle
	if !a.Data.Seen() || c.Missing&lifecycle.OneDirection != 0 || c.Protocol == http1.Undecided || c.Protocol == http1.OtherProtocol {
		return
	}
	for side := range c.End {
		if end := firstEnd(&c.End[side]); end != 0 && end < a.Data.Frame {
			return
		}
	}
	peer := &c.End[1-a.Side]
	rst := &peer.RST
	reset := rst.Seen() && !rst.HasAck && rst.Seq == a.Data.Ack && rst.Frame > a.Data.Frame && !(peer.FIN.Seen() && peer.FIN.Frame < rst.Frame)
	if !reset && (!stalled(c, p.Config.ForgottenMinStall) || a.Spoke && !peer.FIN.Seen() && !rst.Seen()) {
		return
	}
	f := rules.Finding{
		Severity:    rules.Error,
		Time:        a.Data.Time,
		Subject:     subj,
		Side:        "network",
		Cause:       firstEnd(peer),
		Once:        true,
		Provisional: !reset,
		Measured:    []rules.Measure{{Name: "idle_ms", Value: rules.Millis(a.Idle)}, {Name: "retransmissions", Value: float64(a.Retransmits)}},
	}
	if f.Cause == 0 {
		f.Cause = a.Data.Frame
	}
	where := subj.Where()
	if a.Side == http1.Server {
		where = subj.WhereServer()
	}
	wait := time.Duration(a.LastSent.Time - a.Data.Time)
	if reset {
		wait = time.Duration(rst.Time - a.Data.Time)
		f.Frames = rules.Frames(a.Data.Frame, rst.Frame, a.LastSent.Frame)
		f.Message = fmt.Sprintf("%s: %d bytes after %s of silence met a bare RST %s later, though neither side had closed",
			where, a.Len, rules.Span(a.Idle), rules.Span(wait))
	} else {
		f.Frames = rules.Frames(a.Data.Frame, a.LastSent.Frame)
		f.Message = fmt.Sprintf("%s: %d bytes after %s of silence were sent %d times more within %s and never acknowledged, though neither side had closed",
			where, a.Len, rules.Span(a.Idle), a.Retransmits, rules.Span(wait))
	}
	f.Cost = int64(wait)
	f.Measured = append(f.Measured, rules.Measure{Name: "lost_ms", Value: rules.Millis(wait), Sum: true})
	p.Report(f)
}

// Hosts are two hosts, the client first.
type Hosts struct{ Client, Server netip.Addr }

// Outage is the aggregate that tells a path that was down from connections
// that were forgotten.
type Outage struct {
	Shortest time.Duration // stall that counts
}

// Flows is what is known of the connections between two hosts.
type Flows struct {
	// Stalls are those of the connections whose last data vanished.
	Stalls accum.SmallestN[Stall]
	// Across counts when anything got across: handshakes done, responses
	// complete, data acknowledged.
	Across accum.Timeline
}

// across reports whether anything got across between two times, at least the
// width of a bin from both.
func (f *Flows) across(from, to int64) bool {
	w := int64(f.Across.Width())
	return f.Across.N-f.Across.Before(from+w)-f.Across.After(to-w) > 0
}

// Stall is a time in which data was sent and sent again in vain.
type Stall struct {
	Conn     uint64
	From, To int64 // capture time
	Idle     bool  // after silence: it may have been forgotten
}

// maxStalls bounds the stalls that are kept of a host pair.
const maxStalls = 1024

// Key returns the connection's hosts.
func (o Outage) Key(c *lifecycle.Conn) (Hosts, bool) {
	return Hosts{c.Client.Addr(), c.Server.Addr()}, o.Takes(c)
}

// Takes implements rules.Taker.
func (Outage) Takes(c *lifecycle.Conn) bool { return c.Missing&lifecycle.OneDirection == 0 }

// Add notes the connection's stall, and when something got across on it.
func (o Outage) Add(f Flows, c *lifecycle.Conn) Flows {
	if stalled(c, o.Shortest) {
		a := &c.AfterIdle
		f.Stalls = f.Stalls.Add(Stall{c.ID, a.Data.Time, a.LastSent.Time, true}, maxStalls, byConn)
	}
	if u := &c.Resent; u.Times >= 2 && time.Duration(u.To-u.From) >= o.Shortest && !(stalled(c, o.Shortest) && u.From >= c.AfterIdle.Data.Time) {
		f.Stalls = f.Stalls.Add(Stall{c.ID, u.From, u.To, false}, maxStalls, byConn)
	}
	for _, at := range [...]int64{c.Established.Time, c.LastResponse.Time, c.End[http1.Client].FINAcked.Time} {
		if at != 0 {
			f.Across.Note(at, 1)
		}
	}
	return f
}

func byConn(a, b Stall) int {
	idle := func(s Stall) int {
		if s.Idle {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Conn, b.Conn), cmp.Compare(idle(a), idle(b)), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}

// Merge returns the flows of both.
func (Outage) Merge(a, b Flows) Flows {
	a.Stalls = a.Stalls.Merge(b.Stalls, maxStalls, byConn)
	a.Across = a.Across.Merge(b.Across)
	return a
}

// Judge withdraws what was found on connections that stalled together with
// others while nothing got across.
func (Outage) Judge(p *rules.Pass, _ Hosts, f Flows) {
	for _, s := range f.Stalls {
		if !s.Idle {
			continue
		}
		idle, busy := 0, 0
		for _, o := range f.Stalls {
			switch {
			case o.Conn == s.Conn || o.To < s.From || s.To < o.From:
			case o.Idle:
				idle++
			default:
				busy++
			}
		}
		// A connection in use has no entry to lose: if it stalls, the path
		// does. Of idle ones several may have been forgotten, if only others
		// got something across.
		if busy > 0 || idle > 0 && !f.across(s.From, s.To) {
			p.Withdraw(s.Conn)
		}
	}
}
