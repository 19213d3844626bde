package shutdown

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// AbortiveClose reports an idle connection that is ended by RST.
var AbortiveClose = &rules.Rule{
	Code: "CLS003",
	Name: "abortive-close",
	Doc: rules.Doc{
		Title:    "an idle connection was ended by RST instead of FIN",
		Severity: rules.Info,
		Wire: "One side sends RST, without a FIN before, while no request is outstanding. " +
			"A program does so by closing with SO_LINGER set to 0 seconds, or by closing with unread bytes in its buffer.",
		Harm: "Bytes of the last response that the other side has not read yet are thrown away, and the other side logs an error where there is none. " +
			"It is sometimes done on purpose to avoid TIME_WAIT, which reuse avoids better.",
		Fix: "close without SO_LINGER 0, and read what was sent before closing",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "reset_timedout_connection off (the default)."},
			{Program: "haproxy", Text: "Remove \"option nolinger\"; health checks that reset are harmless."},
			{Program: "Apache", Text: "httpd lingers by itself; look at balancers before it and modules that abort connections."},
			{Program: "Node", Text: "socket.end() in place of socket.resetAndDestroy(); read responses to their end before destroy()."},
			{Program: "Java", Text: "Do not call setSoLinger(true, 0); read the InputStream to its end before close()."},
			{Program: "Go", Text: "No TCPConn.SetLinger(0); read the response's Body to io.EOF before Close."},
			{Program: "Python", Text: "No SO_LINGER of (1, 0); read responses to their end; shutdown(SHUT_RDWR) before close()."},
		},
		Confirm: "Filter tcp.flags.reset == 1 && tcp.flags.ack == 1 and follow the connection: no tcp.flags.fin == 1 of the same side comes before, and the last response is complete.",
		Silent: "The side had sent a FIN before. The RST has no ACK flag: its host knows the connection no more. The connection went on after it. A request was outstanding. " +
			"No request was made at all. A closer finding has the same cause.",
		Refs: []string{"RFC 9293 §3.10.5", "RFC 1122 §4.2.2.13", "RFC 9112 §9.6"},
	},
	Needs:  unsure,
	Closed: abortiveClose,
}

func abortiveClose(p *rules.Pass, c *lifecycle.Conn) {
	if c.Missing&unsure != 0 || c.Protocol != http1.HTTP1 || c.Answered == 0 || c.LostCount > 0 {
		return
	}
	side := http1.Client
	if !before(&c.End[http1.Client].RST, &c.End[http1.Server].RST) {
		side = http1.Server
	}
	e, o := &c.End[side], &c.End[1-side]
	rst := &e.RST
	if !rst.Seen() || !rst.HasAck || before(&e.FIN, rst) || rst.Frame < c.LastResponse.Frame {
		return
	}
	s := p.Subject(nil)
	where, by := s.Where(), "client"
	if side == http1.Server {
		where, by = s.WhereServer(), "server"
	}
	idle := rst.Time - max(c.LastResponse.Time, 0)
	after := fmt.Sprintf("%s after the last response", rules.Span(idle))
	if before(&o.FIN, rst) {
		after = "in answer to a FIN"
	}
	p.Report(rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(rst.Frame, c.LastResponse.Frame),
		Time:     rst.Time,
		Subject:  s,
		Message:  fmt.Sprintf("%s: RST %s, with nothing outstanding and no FIN before", where, after),
		Side:     by,
		Cause:    rst.Frame,
		Once:     true,
		Measured: []rules.Measure{{Name: "idle_ms", Value: rules.Millis(idle)}},
	})
}
