package latency

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// WriteWriteRTT reports messages in small writes whose later part waited one
// round trip for a prompt acknowledgement.
var WriteWriteRTT = &rules.Rule{
	Code: "LAT006",
	Name: "write-write-rtt",
	Doc: rules.Doc{
		Title:    "a small write waited one round trip for the acknowledgement of the one before",
		Severity: rules.Info,
		Wire: "As in LAT001 a message is written in small pieces and Nagle's algorithm holds the second until the first is acknowledged. " +
			"Here the receiver acknowledges at once, so that only the path's round trip is lost: once for each such message.",
		Harm: "On a path of 80 ms each message takes 80 ms longer than its one write would. It goes unnoticed in a test on one machine or in one data centre.",
		Fix:  "write head and body in one call (a buffer, writev, MSG_MORE), or set TCP_NODELAY on the sender",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "tcp_nodelay on (the default); a module or application behind it that flushes the head alone still sends two segments, but at once."},
			{Program: "Node", Text: "socket.setNoDelay(true), which http does by default since 18; end(body) in place of write(body) joins head and body."},
			{Program: "Java", Text: "Socket.setTcpNoDelay(true), and a BufferedOutputStream around the stream, flushed once a message."},
			{Program: "Go", Text: "net sets TCP_NODELAY by default: look for SetNoDelay(false), and wrap the connection in a bufio.Writer."},
			{Program: "Python", Text: "sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1), and one sendall for head and body."},
		},
		Confirm: "Filter tcp.stream == N && tcp.len > 0: two small segments of one side, one round trip apart, with nothing but a bare ACK of the other between them.",
		Silent: "It happened fewer than three times between the same hosts, or cost less than 20 ms. The acknowledgement was late by 20 ms or more: that is LAT001. " +
			"All that keeps LAT001 quiet: a full-sized second piece, bytes that left before the acknowledgement or clearly after it, a closed window, a retransmission, Nagle's algorithm seen off. No SYN was seen.",
		Refs: []string{"RFC 896", "RFC 9293 §3.7.4"},
	},
	Needs: lifecycle.OneDirection | lifecycle.MidStream,
	Group: func(c *rules.Config) rules.Grouping {
		return rules.GroupBy[*rules.StallFact, Writer, Waits](RoundTrips{
			MaxDelay: c.NagleMinDelay, MinCost: c.RoundTripMinCost, MinRelease: c.NagleMinRelease, ReleasePart: c.NagleReleasePart})
	},
}

// Writer is who writes in small pieces, and to whom.
type Writer struct {
	Client netip.Addr
	Server netip.AddrPort
	Side   http1.Side
}

// RoundTrips is the aggregate: stalls that a prompt acknowledgement ended.
type RoundTrips struct {
	MaxDelay    time.Duration // from which on the acknowledgement was delayed
	MinCost     time.Duration // shortest round trip that counts
	MinRelease  time.Duration // slack of the sender's answer to it
	ReleasePart float64       // or this part of the round trip
}

// Waits is what one writer waited.
type Waits struct {
	Lost  accum.Sum // nanoseconds
	First accum.SmallestN[Wait]
}

// Wait is one stall as evidence.
type Wait struct {
	Time, Lost           int64
	First, Ack, Next     uint64 // frames
	Host, Method, Target string // as sent; redacted when reported
}

const waits = 3

func earlierWait(a, b Wait) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.First, b.First), cmp.Compare(a.Lost, b.Lost))
}

// Key returns the writer of a stall that cost a round trip and no more.
func (r RoundTrips) Key(f *rules.StallFact) (Writer, bool) {
	s := f.Stall
	w := Writer{f.Client.Addr(), f.Server, s.Sender}
	switch {
	case s.Disturbed || s.NagleOff || s.NoSYN || s.MSS <= 0 || s.LegX < 0 || s.LegY < 0:
		return w, false
	case s.FirstLen%s.MSS == 0 || s.NextLen >= s.MSS:
		return w, false
	case s.AckDelay >= r.MaxDelay || s.LegX+s.LegY < r.MinCost:
		return w, false
	}
	slack := max(r.MinRelease, time.Duration(float64(s.LegX+s.LegY)*r.ReleasePart))
	return w, s.Release <= slack && s.Release >= -max(r.MinRelease, s.LegX/10) && s.AckDelay <= slack
}

// Add counts the stall.
func (RoundTrips) Add(a Waits, f *rules.StallFact) Waits {
	lost := f.Next.Time - f.First.Time
	a.Lost = a.Lost.Add(lost)
	w := Wait{Time: f.First.Time, Lost: lost, First: f.First.Frame, Ack: f.Ack.Frame, Next: f.Next.Frame}
	if a.First.Takes(w, waits, earlierWait) {
		w.Host = f.Conn().TLS.SNI
		if t := stalled(f.Stall, f.Transaction); t != nil {
			w.Host, w.Method, w.Target = string(t.Host), string(t.MethodName), string(t.Target)
		}
		a.First = a.First.Add(w, waits, earlierWait)
	}
	return a
}

// Merge returns the stalls of both.
func (RoundTrips) Merge(a, b Waits) Waits {
	a.Lost = a.Lost.Merge(b.Lost)
	a.First = a.First.Merge(b.First, waits, earlierWait)
	return a
}

// Judge reports a writer that lost a round trip several times.
func (RoundTrips) Judge(p *rules.Pass, k Writer, a Waits) {
	if a.Lost.N < int64(p.Config.RoundTripMin) {
		return
	}
	w := a.First[0]
	subj := rules.Subject{Client: netip.AddrPortFrom(k.Client, 0), Server: k.Server, Host: p.Config.Redact.Host(w.Host), Method: w.Method}
	if w.Method != "" {
		subj.Target = p.Config.Redact.Target(w.Target)
	}
	f := rules.Finding{
		Severity: rules.Info,
		Time:     w.Time,
		Subject:  subj,
		Side:     "client",
		Measured: []rules.Measure{
			{Name: "messages", Value: float64(a.Lost.N)},
			{Name: "lost_ms", Value: rules.Millis(a.Lost.Total)},
			{Name: "round_trip_ms", Value: a.Lost.Mean() / 1e6},
		},
		Cost: a.Lost.Total,
	}
	where := subj.Where()
	if k.Side == http1.Server {
		f.Side, where = "server", subj.WhereServer()
	}
	f.Message = fmt.Sprintf("%s: %s messages in small writes, each held one round trip of %s for a prompt acknowledgement",
		where, rules.Count(a.Lost.N), rules.Span(int64(a.Lost.Mean())))
	for _, w := range a.First {
		f.Frames = append(f.Frames, w.First)
	}
	f.Frames = rules.Frames(append(f.Frames, w.Ack, w.Next)...)
	p.Report(f)
}

// stalled returns the transaction of the message that s lies in: a head whose
// end is still to come has none yet, and t is the one before.
func stalled(s *timing.Stall, t *http1.Transaction) *http1.Transaction {
	if t == nil || s.Encrypted {
		return nil
	}
	if m := message(s, t); m.First.Frame == 0 || m.Complete && m.Last.Seq.LessEq(s.First.Seq) {
		return nil
	}
	return t
}
