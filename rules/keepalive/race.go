package keepalive

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
)

// race is a request that met a server which had closed the idle connection.
type race struct {
	end  *lifecycle.Mark // the server's FIN or RST
	rst  bool            // it is a RST
	knew bool            // the request acknowledges the FIN
	// lag is how long after the client's kernel had the FIN the request left.
	lag     time.Duration
	idle    time.Duration // from the last response to the request
	timeout time.Duration // from the last response to the close
	first   bool          // no response came before: idle since the handshake
}

// meets judges a request whose first byte is at req against the server's end
// of the connection. since is when the connection fell idle.
//
// What counts are sequence numbers: an end that acknowledges nothing of the
// request was sent before the server had any of it, wherever the capture point
// stands, and cannot be followed by a response.
func meets(c *lifecycle.Conn, req *http1.Mark, since int64) (r race, ok bool) {
	r.end = ending(c)
	if r.end == nil || req.Seq.Less(r.end.Ack) {
		return r, false
	}
	if rst := &c.End[http1.Client].RST; rst.Seen() && rst.Frame < r.end.Frame {
		return r, false // the client had given up
	}
	s := &c.End[http1.Server]
	r.rst = r.end == &s.RST
	if r.knew = !r.rst && r.end.Seq.Less(req.Ack); r.knew && s.FINAcked.Seen() {
		r.lag = time.Duration(max(0, req.Time-s.FINAcked.Time))
	}
	r.idle, r.timeout = time.Duration(max(0, req.Time-since)), time.Duration(max(0, r.end.Time-since))
	return r, true
}

// raced judges a transaction that ended without a response.
func raced(c *lifecycle.Conn, t *http1.Transaction) (r race, ok bool) {
	switch {
	case t.Outcome != http1.Unanswered && t.Outcome != http1.Open, // Open: the capture ended soon after
		t.Req.First.Frame == 0, t.Resp.First.Frame != 0, t.Interim > 0:
		return r, false
	}
	prev, since := &c.LastExchange, c.Established.Time
	first := prev.RespEnd.Frame == 0
	switch {
	case first && (t.Index != 0 || c.Missing&lifecycle.MidStream != 0 || !c.Established.Seen()):
		return r, false // requests before it may be outstanding
	case !first && (!follows(prev, t) || prev.Framing == http1.UntilClose):
		return r, false
	case !first:
		since = prev.RespEnd.Time
	}
	r, ok = meets(c, &t.Req.First, since)
	if !ok {
		return r, false
	}
	r.first = first
	if !first && (r.end.Seq.Less(prev.RespEnd.Seq) || r.end.Ack.Less(prev.ReqEnd.Seq)) {
		return r, false // not idle when it ended
	}
	return r, true
}

// Met reports whether t, a transaction of c that is over, is a request that met
// a server which had closed the idle connection, and for how long that had been
// idle: what KA001 and KA002 are about.
func Met(c *lifecycle.Conn, t *http1.Transaction) (idle time.Duration, ok bool) {
	r, ok := raced(c, t)
	return r.idle, ok
}

// minRecord is how many bytes of TLS application data are taken for a request.
// Fewer are a close_notify, a key update or a frame of HTTP/2's that asks for
// nothing.
const minRecord = 64

// racedTLS judges a turn of encrypted data: what a client sends after idleness
// is a request.
func racedTLS(p *rules.Pass, c *lifecycle.Conn, t *timing.Turn) (r race, ok bool) {
	switch {
	case c.Protocol != http1.TLS, c.TLS.HTTP2(), t.Index == 0, t.ReqFirst.Frame == 0, t.RespFirst.Frame != 0,
		t.ReqBytes < minRecord, t.Idle < p.Config.KeepAliveTLSIdle, c.Missing&(lifecycle.Gap|lifecycle.OneDirection) != 0:
		return r, false
	}
	return meets(c, &t.ReqFirst, t.ReqFirst.Time-int64(t.Idle))
}

// finding makes r's finding.
func (r *race) finding(subj rules.Subject, what, end string, c *lifecycle.Conn, req *http1.Mark) rules.Finding {
	timeout := int32(-1)
	if !r.first && c.LastExchange.RespEnd.Frame != 0 {
		timeout = c.LastExchange.KeepAliveTimeout
	}
	segment := "FIN"
	if r.rst {
		segment = "RST"
	}
	since := "after"
	if r.first {
		since = "after the handshake and"
	}
	f := rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(req.Frame, r.end.Frame, c.End[http1.Server].FINAcked.Frame),
		Time:     req.Time,
		Subject:  subj,
		Side:     "client",
		Cause:    firstEnd(&c.End[http1.Server]),
		Once:     true,
		Measured: []rules.Measure{
			{Name: "idle_ms", Value: rules.Millis(r.idle)},
			{Name: "server_timeout_ms", Value: rules.Millis(r.timeout)},
			{Name: "lag_ms", Value: rules.Millis(r.lag)},
		},
	}
	if timeout >= 0 {
		f.Measured = append(f.Measured, rules.Measure{Name: "advertised_timeout_s", Value: float64(timeout)})
	}
	f.Message = fmt.Sprintf("%s: %s after %s idle, %s; the server's %s came %s %s%s", subj.Where(), what, rules.Span(r.idle), r.known(), segment,
		since, rules.Span(r.timeout), advertised(timeout))
	if end != "" {
		f.Message += "; " + end
	}
	return f
}

// known says what the client's kernel knew.
func (r *race) known() string {
	switch {
	case !r.knew:
		return "before it could know that the connection was closed"
	case r.lag < time.Millisecond:
		return "as it learned that the connection was closed"
	}
	return fmt.Sprintf("%s after it had acknowledged the close", rules.Span(r.lag))
}

// onTransaction reports t if it is the request of a race that wants takes.
func onTransaction(p *rules.Pass, t *http1.Transaction, wants func(*rules.Pass, *race) bool) {
	if t.Outcome == http1.Answered {
		return
	}
	c := p.Conn()
	if c == nil {
		return
	}
	r, ok := raced(c, t)
	if !ok || !wants(p, &r) {
		return
	}
	p.Report(r.finding(p.Subject(t), "sent", retry(t), c, &t.Req.First))
}

// onTurn is the same for encrypted data.
func onTurn(p *rules.Pass, t *timing.Turn, wants func(*rules.Pass, *race) bool) {
	if t.RespFirst.Frame != 0 || t.ReqBytes < minRecord || t.Index == 0 {
		return
	}
	c := p.Conn()
	if c == nil {
		return
	}
	r, ok := racedTLS(p, c, t)
	if !ok || !wants(p, &r) {
		return
	}
	subj := rules.Subject{Client: c.Client, Server: c.Server}
	p.Report(r.finding(subj, fmt.Sprintf("%s encrypted bytes sent", rules.Count(t.ReqBytes)), "", c, &t.ReqFirst))
}
