package rules

import (
	"net/netip"

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
	// Report takes a finding. Conn, Client and Server are filled in from the
	// connection where they are zero.
	Report func(Finding)
}

// Subject describes the transaction t, nil for none, redacted as configured.
func (p *Pass) Subject(t *http1.Transaction) Subject {
	var s Subject
	if p.Conn != nil {
		c := p.Conn()
		s.Client, s.Server = c.Client, c.Server
	}
	if t != nil && t.Req.First.Frame != 0 {
		s.Method = string(t.MethodName)
		s.Target = p.Config.Redact.Target(string(t.Target))
		s.Host = string(t.Host)
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
