// Package latency reports time lost to how TCP was used, not to the network.
package latency

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
)

// NagleDelayedACK reports a message in small writes whose later part waited
// for a delayed acknowledgement of the earlier.
var NagleDelayedACK = &rules.Rule{
	Code: "LAT001",
	Name: "nagle-delayed-ack",
	Doc: rules.Doc{
		Title:    "a small write waited for the delayed acknowledgement of the one before",
		Severity: rules.Warning,
		Wire: "A sender writes one message in two or more small pieces, most often the head and then the body. " +
			"Nagle's algorithm lets one small segment be on its way at a time: the second piece is held until the first is acknowledged. " +
			"The receiver has nothing to answer yet, so it delays that acknowledgement, in the hope of sending it along with data: " +
			"40 ms on Linux, up to 200 ms elsewhere, 500 ms at most. The pause ends with a bare ACK, and the held piece follows at once.",
		Harm: "Each such message takes 40 to 200 ms longer, whatever the speed of network and server. " +
			"It shows as latency at a suspiciously round figure, and only on connections that are reused: many kernels acknowledge the first segments of a new one at once.",
		Fix: "write head and body in one call (a buffer, writev, MSG_MORE), or set TCP_NODELAY on the sender",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "tcp_nodelay on (the default) for clients; towards upstreams nginx sets it on kept connections itself. Look at the application behind it first."},
			{Program: "haproxy", Text: "It sets TCP_NODELAY, but joins what it can; \"option http-no-delay\" where small interactive pieces must leave at once."},
			{Program: "Apache", Text: "httpd sets TCP_NODELAY on accepted connections; a module that flushes the head alone still costs a segment."},
			{Program: "Node", Text: "socket.setNoDelay(true), which http does by default since 18; end(body) in place of write(body) joins head and body."},
			{Program: "Java", Text: "Socket.setTcpNoDelay(true), and a BufferedOutputStream around the stream, flushed once a message."},
			{Program: "Go", Text: "net sets TCP_NODELAY by default: look for SetNoDelay(false), and wrap the connection in a bufio.Writer."},
			{Program: "Python", Text: "sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1); http.client does so since 3.6. Pass the body to request(), not to a later send()."},
		},
		Confirm: "Filter tcp.analysis.ack_rtt > 0.02 && tcp.len == 0: the ACK stands alone, tens of milliseconds after a small segment, and the same side's next bytes follow it at once.",
		Silent: "The next bytes were a full segment (Nagle does not hold those), left before the ACK arrived, or came clearly later (the application was slow). " +
			"The receiver's window was closed, or a retransmission lies between. The sender has sent a small segment while an earlier one was unacknowledged: Nagle is off there. " +
			"Without a SYN, when no round trip below 20 ms to the receiver, or 3 ms to the sender, was ever seen: the network may have a part in it.",
		Refs: []string{"RFC 896", "RFC 1122 §4.2.3.2", "RFC 1122 §4.2.3.4", "RFC 9293 §3.7.4", "RFC 9293 §3.8.6.3"},
	},
	Needs: lifecycle.OneDirection,
	Stall: nagle,
}

// Without a SYN the segment size is unknown. What is smaller than the payload
// of IPv6's smallest MTU (RFC 8200 §5) is small on any path, except for the
// default of IPv4 (RFC 9293 §3.7.1).
const (
	surelySmall = 1280 - 60
	defaultMSS  = 536
)

func nagle(p *rules.Pass, s *timing.Stall, t *http1.Transaction) {
	c := p.Config
	switch {
	case s.Disturbed || s.NagleOff:
		return
	case s.MSS > 0 && (s.FirstLen%s.MSS == 0 || s.NextLen >= s.MSS):
		return
	case s.MSS <= 0 && (s.FirstLen >= surelySmall || s.FirstLen == defaultMSS || s.NextLen >= surelySmall):
		return
	case s.LegY < 0 || s.NoSYN && (s.LegY >= c.NagleMinDelay || s.LegX >= c.NagleMinRelease):
		return // the network's part of the wait, or of the answer, is unknown
	case s.AckDelay < c.NagleMinDelay || s.AckDelay > c.NagleMaxDelay:
		return
	}
	// The sender's answer to the ACK. It is negative when the bytes left
	// before the ACK got there; legs stray a little.
	slack := max(c.NagleMinRelease, time.Duration(float64(s.AckDelay)*c.NagleReleasePart))
	if s.Release > slack || s.Release < -max(c.NagleMinRelease, s.LegX/10) {
		return
	}

	// A head whose end is still to come has no transaction yet: t is the one
	// before.
	if t != nil {
		if m := message(s, t); m.First.Frame == 0 || m.Complete && m.Last.Seq.LessEq(s.First.Seq) {
			t = nil
		}
	}
	subj := p.Subject(t)
	f := rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(s.First.Frame, s.Ack.Frame, s.Next.Frame),
		Time:     s.First.Time,
		Cost:     int64(s.AckDelay),
		Cause:    s.First.Frame,
		Side:     "client",
		Measured: []rules.Measure{
			{Name: "ack_delay_ms", Value: rules.Millis(s.AckDelay), Sum: true},
			{Name: "release_ms", Value: rules.Millis(s.Release)},
			{Name: "first_bytes", Value: float64(s.FirstLen)},
			{Name: "next_bytes", Value: float64(s.NextLen)},
		},
	}
	where, what := subj.Where(), held(s, t)
	if s.Sender == http1.Server {
		f.Side, where = "server", subj.WhereServer()
		if inBody(s, t) {
			what = "response " + what
		}
	}
	f.Message = fmt.Sprintf("%s: %s held %s behind %s", where, what, rules.Span(s.AckDelay), behind(s, t))
	if s.Encrypted {
		f.Shape = "tls"
	}
	f.Subject = subj
	p.Report(f)
}

// held names the bytes that waited.
func held(s *timing.Stall, t *http1.Transaction) string {
	switch {
	case s.Encrypted:
		return "next TLS record"
	case inBody(s, t):
		return "body"
	}
	return "rest of the head"
}

// behind names the bytes that were not acknowledged.
func behind(s *timing.Stall, t *http1.Transaction) string {
	switch {
	case s.Encrypted:
		return "an unacknowledged small one"
	case !inBody(s, t):
		return "its unacknowledged beginning"
	case s.First.Seq.Less(message(s, t).HeadEnd.Seq):
		return "an unacknowledged head"
	}
	return "an unacknowledged small write"
}

// inBody reports whether the bytes that waited belong to the body.
func inBody(s *timing.Stall, t *http1.Transaction) bool {
	if t == nil || s.Encrypted {
		return false
	}
	m := message(s, t)
	return m.HeadEnd.Frame != 0 && m.HeadEnd.Seq.LessEq(s.Next.Seq)
}

func message(s *timing.Stall, t *http1.Transaction) *http1.Message {
	if s.Sender == http1.Server {
		return &t.Resp
	}
	return &t.Req
}
