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

// CloseNotSignalled reports servers that close right after a response that did
// not say so.
//
// It has two stages: what one connection shows is provisional, and withdrawn
// where the server's other connections show that it was shutting down.
var CloseNotSignalled = &rules.Rule{
	Code: "KA005",
	Name: "close-not-signalled",
	Doc: rules.Doc{
		Title:    "the server closed right after a complete response that did not say Connection: close",
		Severity: rules.Warning,
		Wire: "An HTTP/1.1 response with a length, complete and without Connection: close, is followed within 100 ms by the server's FIN. " +
			"Nobody had asked for it, and the client had not closed.",
		Harm: "The client may take the connection for a persistent one and send the next request into the close, where it is lost. " +
			"A server must send the close option in its last response if it knows it is the last (RFC 9112 §9.6).",
		Fix: "send Connection: close in the last response, or keep the connection",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It announces by itself (keepalive_requests, keepalive_timeout 0): look at the back end, or at a module that ends requests by hand."},
			{Program: "haproxy", Text: "It announces its own closes, and passes on those of the server behind without a word: look there."},
			{Program: "Apache", Text: "SetEnv nokeepalive announces; CGI and mod_proxy back ends that die do not: look there."},
			{Program: "Node", Text: "res.shouldKeepAlive = false, or res.setHeader('Connection', 'close'), instead of socket.end() or destroy() after the response."},
			{Program: "Java", Text: "Servlet containers announce; a hand-written server must send the field before it closes the socket. Tomcat: maxKeepAliveRequests=1 announces."},
			{Program: "Go", Text: "w.Header().Set(\"Connection\", \"close\"), or Server.SetKeepAlivesEnabled(false); not conn.Close() of a hijacked connection."},
			{Program: "Python", Text: "http.server with protocol_version HTTP/1.1: send_header('Connection', 'close') where close_connection is set."},
		},
		Confirm: "Filter http.response || tcp.flags.fin == 1: in one tcp.stream the server's FIN follows a response without Connection: close by less than 0.1 s.",
		Silent: "Either side had said close, or HTTP/1.0 is spoken. Only the close ends the response (FRM001), or it is a 101 or an answer to CONNECT. The client closed first, or the FIN came later: an idle time-out. It acknowledges a request that its client sent after that response (CLS006). " +
			"Two or more connections of the server were closed within a second, one of which had been idle for longer than 100 ms: it was shutting down.",
		Refs: []string{"RFC 9112 §9.6", "RFC 9112 §9.3"},
	},
	Needs:  blind,
	Closed: unsignalled,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, netip.AddrPort, Closes](MassClose{RightAfter: c.KeepAliveRightAfter, Within: c.KeepAliveMassClose})
	},
}

// rightAfter reports whether the server's FIN followed a framed HTTP/1.1
// response within limit, without a word of either side.
func rightAfter(c *lifecycle.Conn, limit time.Duration) bool {
	x, fin := &c.LastExchange, &c.End[http1.Server].FIN
	switch {
	case c.Protocol != http1.HTTP1 || !fin.Seen() || x.RespEnd.Frame == 0 || !unprompted(c, fin),
		x.ReqVersion < 11 || x.Version < 11 || !agreed(x), fin.Seq != x.RespEnd.Seq,
		time.Duration(fin.Time-x.RespEnd.Time) > limit:
		return false
	}
	// A request that came after the response, and was read: the close is that
	// request's.
	if len(c.Lost) > 0 && x.RespEnd.Seq.LessEq(c.Lost[0].First.Ack) && c.Lost[0].First.Seq.Less(fin.Ack) {
		return false
	}
	rst := &c.End[http1.Server].RST
	return !rst.Seen() || rst.Frame > fin.Frame
}

func unsignalled(p *rules.Pass, c *lifecycle.Conn) {
	if c.Missing&(lifecycle.OneDirection|lifecycle.Gap) != 0 || !rightAfter(c, p.Config.KeepAliveRightAfter) {
		return
	}
	x, fin := &c.LastExchange, &c.End[http1.Server].FIN
	after := time.Duration(fin.Time - x.RespEnd.Time)
	subj := subject(c)
	p.Report(rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(fin.Frame, x.RespEnd.Frame, x.RespStart.Frame),
		Time:     fin.Time,
		Subject:  subj,
		Say: func() string {
			return fmt.Sprintf("%s: FIN %s after a complete response %d to %s, which did not say Connection: close",
				fromServer(&subj), rules.Span(after), x.Status, x.Method.String())
		},
		Side:        "server",
		Cause:       firstEnd(&c.End[http1.Server]),
		Once:        true,
		Provisional: true,
		Measured:    []rules.Measure{{Name: "fin_after_response_ms", Value: rules.Millis(after)}},
	})
}

// MassClose is the aggregate that finds servers that were shutting down.
type MassClose struct {
	RightAfter time.Duration // a close this soon belongs to the response before
	Within     time.Duration // closes this near each other are one shutdown
}

// Closes is what is known of one server's closes.
type Closes struct {
	// Suspect are the connections it closed right after a response.
	Suspect accum.SmallestN[Close]
	// Idle counts those it closed after they had been idle.
	Idle accum.Timeline
}

// Close is one close.
type Close struct {
	Conn uint64
	Time int64
}

// maxSuspects bounds the closes kept of a server. It is the number of
// connections for which findings are held back.
const maxSuspects = 1 << 14

// Key returns the connection's server.
func (m MassClose) Key(c *lifecycle.Conn) (netip.AddrPort, bool) { return c.Server, m.Takes(c) }

// Takes implements rules.Taker.
func (MassClose) Takes(c *lifecycle.Conn) bool {
	end := ending(c)
	return c.Missing&lifecycle.OneDirection == 0 && end != nil && unprompted(c, end)
}

// Add notes the server's close.
func (m MassClose) Add(a Closes, c *lifecycle.Conn) Closes {
	if rightAfter(c, m.RightAfter) {
		a.Suspect = a.Suspect.Add(Close{c.ID, c.End[http1.Server].FIN.Time}, maxSuspects, byID)
		return a
	}
	end, since := ending(c), c.Established.Time
	switch x := &c.LastExchange; {
	case x.RespEnd.Frame != 0 && (!idleAtEnd(c, end) || !agreed(x)):
		return a
	case x.RespEnd.Frame != 0:
		since = x.RespEnd.Time
	case c.Requests > 0 || !c.Established.Seen():
		return a
	case c.Protocol != http1.Undecided:
		since = max(c.End[http1.Client].LastData.Time, c.End[http1.Server].LastData.Time)
	}
	if time.Duration(end.Time-since) > m.RightAfter {
		a.Idle.Note(end.Time, 1)
	}
	return a
}

func byID(a, b Close) int {
	return cmp.Or(cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.Time, b.Time))
}

// Merge returns the closes of both.
func (MassClose) Merge(a, b Closes) Closes {
	a.Suspect = a.Suspect.Merge(b.Suspect, maxSuspects, byID)
	a.Idle = a.Idle.Merge(b.Idle)
	return a
}

// Judge withdraws what was found on connections that were closed together with
// idle ones.
func (m MassClose) Judge(p *rules.Pass, _ netip.AddrPort, a Closes) {
	if a.Idle.N == 0 {
		return
	}
	for _, s := range a.Suspect {
		near := a.Idle.N - a.Idle.Before(s.Time-int64(m.Within)) - a.Idle.After(s.Time+int64(m.Within))
		if near > 0 {
			p.Withdraw(s.Conn)
		}
	}
}
