// Package keepalive reports connections that one side kept and the other did
// not: races with an idle time-out, and promises to keep or to close that were
// not held.
package keepalive

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// blind is the evidence without which no transaction can be judged.
const blind = lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.BadFraming | lifecycle.Capped

// ending returns the server's segment that ended its side and shows what it
// had read by then: its FIN, or a RST with the ACK flag. Nil if there is none:
// a bare RST only answers a segment.
func ending(c *lifecycle.Conn) *lifecycle.Mark {
	s := &c.End[http1.Server]
	rst := s.RST.Seen() && s.RST.HasAck
	switch {
	case s.FIN.Seen() && !(rst && s.RST.Frame < s.FIN.Frame):
		return &s.FIN
	case rst:
		return &s.RST
	}
	return nil
}

// firstEnd returns the frame of a side's first FIN or RST, 0 for none. It is
// the cause that findings about a connection's end share.
func firstEnd(e *lifecycle.End) uint64 {
	if e.FIN.Seen() && (!e.RST.Seen() || e.FIN.Frame <= e.RST.Frame) {
		return e.FIN.Frame
	}
	return e.RST.Frame
}

// follows reports whether prev is the answered transaction right before t.
func follows(prev *lifecycle.Exchange, t *http1.Transaction) bool {
	return prev.RespEnd.Frame != 0 && prev.Index+1 == t.Index
}

// agreed reports whether after the exchange both sides may take the
// connection for a persistent one (RFC 9112 §9.3).
func agreed(x *lifecycle.Exchange) bool {
	if x.ReqBits.Has(http1.ConnClose) || x.RespBits.Has(http1.ConnClose) || x.Framing == http1.UntilClose || x.Framing == http1.Switched ||
		x.Framing == http1.Unframed || x.Method == http1.CONNECT && x.Status < 300 {
		return false
	}
	if x.ReqVersion < 11 && !x.ReqBits.Has(http1.ConnKeepAlive) {
		return false
	}
	return x.ReqVersion >= 11 && x.Version >= 11 || x.RespBits.Has(http1.ConnKeepAlive)
}

// idleAtEnd reports whether the server, when it sent end, had nothing left to
// do: all it had read was answered, and its last bytes were those of the last
// response.
func idleAtEnd(c *lifecycle.Conn, end *lifecycle.Mark) bool {
	x := &c.LastExchange
	return x.RespEnd.Frame != 0 && end.Seq == x.RespEnd.Seq && end.HasAck && end.Ack.LessEq(x.ReqEnd.Seq)
}

// unprompted reports whether the server, when it sent end, knew of no end of
// the client's: it closed of its own accord, even if both closed at once.
func unprompted(c *lifecycle.Conn, end *lifecycle.Mark) bool {
	cl := &c.End[http1.Client]
	if cl.FIN.Seen() && end.HasAck && cl.FIN.Seq.Less(end.Ack) {
		return false
	}
	return !cl.RST.Seen() || end.Frame < cl.RST.Frame
}

// subject describes a finding about a connection's last exchange.
func subject(c *lifecycle.Conn) rules.Subject {
	s := rules.Subject{Client: c.Client, Server: c.Server}
	if x := &c.LastExchange; x.RespEnd.Frame != 0 {
		s.Method, s.Status = x.Method.String(), int(x.Status)
	}
	return s
}

// fromClient and fromServer begin a message as Subject.Where and WhereServer
// do, without a request.
func fromClient(s *rules.Subject) string {
	return (&rules.Subject{Client: s.Client, Server: s.Server}).Where()
}

func fromServer(s *rules.Subject) string {
	return (&rules.Subject{Client: s.Client, Server: s.Server}).WhereServer()
}

// advertised spells what the server said it would wait, "" if nothing.
func advertised(seconds int32) string {
	if seconds < 0 {
		return ""
	}
	return fmt.Sprintf(" (advertised: %d s)", seconds)
}

// retry says whether the method may be sent again on its own
// (RFC 9110 §9.2.2).
func retry(t *http1.Transaction) string {
	switch {
	case t.Method.Idempotent():
		return string(t.MethodName) + " is safe to retry"
	case t.Req.Bits.Has(http1.HasIdempotencyKey):
		return string(t.MethodName) + " is safe to retry by its Idempotency-Key"
	}
	return string(t.MethodName) + " is not safe to retry"
}
