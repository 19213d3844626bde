package tlsuse

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/tlsinfo"
	"github.com/connlint/connlint/rules"
)

// CloseWithoutNotify reports TLS connections ended without a close_notify.
var CloseWithoutNotify = &rules.Rule{
	Code: "TLS002",
	Name: "close-without-notify",
	Doc: rules.Doc{
		Title:    "a TLS connection was closed without close_notify",
		Severity: rules.Info,
		Wire: "TLS has an end of its own: the alert close_notify, which each side sends before it closes. " +
			"A FIN or RST is not protected: anyone on the path can forge one. Here the side that closed first sent no alert.",
		Harm: "A response that only the end of the connection delimits may have been cut short, and the other side cannot tell. " +
			"Strict peers report an error (\"unexpected eof while reading\") and some drop the session, so that it cannot be resumed.",
		Fix: "shut TLS down before the socket: SSL_shutdown, SSLEngine.closeOutbound, tls.Conn.Close",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It sends close_notify, unless reset_timedout_connection is on or a worker is killed."},
			{Program: "Apache", Text: "No ssl-unclean-shutdown for the client, an old remedy for an old browser."},
			{Program: "Node", Text: "socket.end() in place of socket.destroy()."},
			{Program: "Java", Text: "SSLSocket.close(), not the close of the socket under it."},
			{Program: "Go", Text: "tls.Conn.Close, or CloseWrite; not the Close of the connection under it."},
			{Program: "Python", Text: "SSLSocket.unwrap() before close(): close() alone sends no alert."},
		},
		Confirm: "Filter tcp.stream == N && (tls.record.content_type == 21 || tcp.flags.fin == 1 || tcp.flags.reset == 1): a FIN without an alert before it. From TLS 1.3 on an alert looks like a data record of 19 bytes.",
		Silent: "The handshake was not seen to its end. The side sent an alert, or its last record may be a hidden one: from TLS 1.3 on, one of 19 bytes or the shortest it sent. " +
			"The other side had announced its end before. Bytes before the end are missing.",
		Refs: []string{"RFC 8446 §6.1", "RFC 5246 §7.2.1"},
	},
	Needs:  lifecycle.OneDirection | lifecycle.MidStream | lifecycle.Gap,
	TLS:    true,
	Closed: closeWithoutNotify,
}

func closeWithoutNotify(p *rules.Pass, c *lifecycle.Conn) {
	x := c.First
	unnotified(p, c, x)
	// Of two FINs that crossed neither came first for its sender.
	if o := &c.End[1-x]; o.FIN.Seen() && c.End[x].FIN.Seen() && o.FIN.Ack.LessEq(c.End[x].FIN.Seq) && !c.End[x].RST.Seen() {
		unnotified(p, c, 1-x)
	}
}

// unnotified reports a side that closed without an announcement, and without
// one of the other side that it answers.
func unnotified(p *rules.Pass, c *lifecycle.Conn, x http1.Side) {
	e := &c.End[x]
	m := &e.FIN
	if !m.Seen() || e.RST.Seen() && e.RST.Frame < m.Frame {
		m = &e.RST
	}
	t := &c.TLS
	if c.Protocol != http1.TLS || !m.Seen() || t.Notify[x] != tlsinfo.NotNotified || t.Next[x] != m.Seq {
		return
	}
	o, heard := 1-x, &c.End[1-x].LastData
	switch {
	case t.Notify[o] == tlsinfo.Notified && (m.HasAck && heard.Seq.Less(m.Ack) || !m.HasAck && heard.Frame < m.Frame):
		return // it answers the other side's announcement
	case m.HasAck && t.Next[o].Less(m.Ack):
		return // it may: the capture lacks what the other side said last
	}
	subj := p.Subject(nil)
	f := rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(m.Frame, e.LastData.Frame),
		Time:     m.Time,
		Subject:  subj,
		Side:     "client",
		Cause:    m.Frame,
		Once:     true,
	}
	where, how := subj.Where(), "FIN"
	if x == http1.Server {
		f.Side, where = "server", subj.WhereServer()
	}
	if m == &e.RST {
		how = "RST"
	}
	f.Message = fmt.Sprintf("%s: closed by %s without a close_notify alert", where, how)
	p.Report(f)
}
