package shutdown

import (
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
)

// unsure is the evidence without which nobody can tell what was outstanding
// when a connection ended.
const unsure = lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.Encrypted | lifecycle.BadFraming | lifecycle.Capped

// ending returns a side's first FIN or RST: the cause of what followed.
func ending(e *lifecycle.End) *lifecycle.Mark {
	if e.FIN.Seen() && (!e.RST.Seen() || e.FIN.Frame <= e.RST.Frame) {
		return &e.FIN
	}
	return &e.RST
}

// before reports whether a was seen, and earlier than b if b was.
func before(a, b *lifecycle.Mark) bool {
	return a.Seen() && (!b.Seen() || a.Frame < b.Frame)
}

// hidden reports whether the server acknowledged more than the capture has of
// the client: perhaps its FIN.
func hidden(c *lifecycle.Conn) bool {
	cl, end := &c.End[http1.Client], ending(&c.End[http1.Server])
	return cl.Nxt.Less(cl.Acked) || end.Seen() && end.HasAck && cl.Nxt.Less(end.Ack)
}

// switched reports whether the final response hands the connection to another
// protocol: what follows owes nobody a response.
func switched(t *http1.Transaction) bool {
	return t.Resp.First.Frame != 0 && t.Resp.Framing == http1.Switched
}
