package rules

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
)

// Subject is what a finding is about. Empty parts are unknown.
type Subject struct {
	Client, Server netip.AddrPort
	Host           string
	Method         string
	Target         string // redacted as configured
	Status         int
}

// Pass is one rule's view of the fact at hand, and where it reports to.
type Pass struct {
	Config *Config
	// Conn returns the record of the connection the fact belongs to, as far as
	// it is known now. It is borrowed: valid until the rule returns. Nil in
	// Capture and Judge.
	Conn func() *lifecycle.Conn
	// Last returns what Conn's LastExchange is, without the rest. Nil in Capture
	// and Judge.
	Last func() *lifecycle.Exchange
	// Report takes a finding. Conn, Client and Server are filled in from the
	// connection where they are zero.
	Report func(Finding)
	// Totals are those of the capture. Nil but in Capture and Judge.
	Totals *CaptureFacts
	// Withdraw takes back the rule's provisional findings on the connection
	// with that first frame. Nil but in Judge.
	Withdraw func(conn uint64)
}

// Subject describes the transaction t, nil for none, redacted as configured.
func (p *Pass) Subject(t *http1.Transaction) Subject {
	var s Subject
	if p.Conn != nil {
		if c := p.Conn(); c != nil {
			s.Client, s.Server = c.Client, c.Server
			s.Host = p.Config.Redact.Host(c.TLS.SNI)
		}
	}
	if t != nil && t.Req.First.Frame != 0 {
		s.Method = string(t.MethodName)
		s.Target = p.Config.Redact.Target(string(t.Target))
		s.Host = p.Config.Redact.Host(string(t.Host))
		if t.Resp.First.Frame != 0 {
			s.Status = int(t.Resp.Status)
		}
	} else if t != nil {
		s.Status = int(t.Resp.Status)
	}
	return s
}

// Label names the request of s as in a message: "POST /orders", or "a
// request" when nothing of it is known.
func (s *Subject) Label() string {
	if s.Method == "" {
		return "a request"
	}
	return s.Method + " " + s.Target
}

// Where names the client, the server and the request of s, as messages begin:
// "client 10.0.0.5 → 10.0.0.9:8080 POST /orders". The client's port is left
// out: it is another one on each connection.
func (s *Subject) Where() string {
	w := "client " + addr(s.Client) + " → " + s.Server.String()
	if s.Method != "" {
		w += " " + s.Label()
	}
	return w
}

// WhereServer is the same seen from the server, for what it did.
func (s *Subject) WhereServer() string {
	w := "server " + s.Server.String() + " → " + addr(s.Client)
	if s.Method != "" {
		w += " " + s.Label()
	}
	return w
}

func addr(a netip.AddrPort) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.Addr().String()
}

// Millis returns nanoseconds as milliseconds, for [Measure].
func Millis[T ~int64](ns T) float64 { return float64(ns) / 1e6 }

// Span spells nanoseconds as messages do, in the unit that fits: "250 µs",
// "40.1 ms", "1.94 s", "48.2 s", "3 min 20 s", "2 h 5 min".
func Span[T ~int64](ns T) string {
	d := time.Duration(ns)
	switch {
	case d < 0:
		return "-" + Span(-max(d, -math.MaxInt64))
	case d < 999500*time.Nanosecond:
		return fmt.Sprintf("%.0f µs", d.Seconds()*1e6)
	case d < 999950*time.Microsecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < 9995*time.Millisecond:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	if s := d.Round(time.Second); s < time.Hour {
		return fmt.Sprintf("%d min %d s", s/time.Minute, s%time.Minute/time.Second)
	}
	m := d.Round(time.Minute)
	return fmt.Sprintf("%d h %d min", m/time.Hour, m%time.Hour/time.Minute)
}

// Count spells n with commas between its thousands.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Frames returns the numbers of the marks that were seen, without repeats.
func Frames(marks ...uint64) []uint64 {
	out := make([]uint64, 0, len(marks))
	for _, f := range marks {
		if f != 0 && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}
