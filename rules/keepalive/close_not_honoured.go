package keepalive

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// CloseNotHonoured reports servers that say close and do not.
var CloseNotHonoured = &rules.Rule{
	Code: "KA008",
	Name: "close-not-honoured",
	Doc: rules.Doc{
		Title:    "the server announced to close the connection and did not",
		Severity: rules.Warning,
		Wire: "A final response with a length says Connection: close, its last byte is acknowledged, and five seconds later the server has sent neither FIN nor RST. " +
			"The client, which leaves the first close to the server, waits.",
		Harm: "Both sides hold a socket that nobody may use any more. Clients that read to end of file hang until somebody's time-out ends it, " +
			"and a server that waits for its clients runs out of descriptors.",
		Fix: "close the sending side right after the last response (FIN), and linger only in reading",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It sends its FIN before it lingers (lingering_close): look at a module, or at the back end, that keeps the request open after its last byte."},
			{Program: "haproxy", Text: "It closes by itself after \"option httpclose\" and http-server-close; where a server behind announces the close, that server is the one to look at."},
			{Program: "Apache", Text: "It sends its FIN before it lingers; a module or CGI program that is still at work after the response holds the FIN back."},
			{Program: "Node", Text: "Call res.end(); for hand-set Connection: close on a raw socket, socket.end() as well."},
			{Program: "Java", Text: "Hand-written servers: Socket.shutdownOutput() after the response; a stream that is wrapped and never closed keeps the socket open."},
			{Program: "Go", Text: "Hijacked connections: conn.Close(); a handler that does not return holds the close back."},
			{Program: "Python", Text: "socketserver: shutdown_request runs after the handler returns; a forked child that inherited the socket holds the FIN back."},
		},
		Confirm: "Filter tcp.stream eq N: after the response with http.connection == \"close\" no tcp.flags.fin of the server for five seconds (View, Time Display Format, Seconds Since Previous Displayed Packet).",
		Silent: "Only the close ends the response. The client closed within the five seconds. The last byte was not acknowledged, or the connection has no segment later than five seconds after it: the capture may have ended. " +
			"The response was a 101 or answered CONNECT.",
		Refs: []string{"RFC 9112 §9.6", "RFC 9112 §9.5"},
	},
	Absence: true,
	Needs:   blind,
	Closed:  notHonoured,
}

func notHonoured(p *rules.Pass, c *lifecycle.Conn) {
	x := &c.LastExchange
	cl, sv := &c.End[http1.Client], &c.End[http1.Server]
	switch {
	case x.RespEnd.Frame == 0 || !x.RespBits.Has(http1.ConnClose) || x.Framing == http1.UntilClose || x.Framing == http1.Switched,
		c.Protocol != http1.HTTP1, c.Missing&lifecycle.OneDirection != 0, sv.Acked.Less(x.RespEnd.Seq),
		sv.Nxt.Less(sv.Acked), cl.Nxt.Less(cl.Acked): // a FIN that was not captured
		return
	}
	limit := p.Config.CloseHonouredWithin
	until := c.Until
	at := c.LastFrame
	for _, m := range [...]*lifecycle.Mark{&sv.FIN, &sv.RST, &cl.FIN, &cl.RST} {
		if m.Seen() && m.Frame <= at {
			until, at = m.Time, m.Frame
		}
	}
	open := time.Duration(until - x.RespEnd.Time)
	if open < limit+max(cl.LegRTT, 0) {
		return
	}
	subj := subject(c)
	end := "it is still open"
	switch at {
	case sv.FIN.Frame, sv.RST.Frame:
		end = "it closed then"
	case cl.FIN.Frame, cl.RST.Frame:
		end = "the client closed then"
	}
	p.Report(rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(at, x.RespStart.Frame, x.RespEnd.Frame),
		Time:     until,
		Subject:  subj,
		Message:  fmt.Sprintf("%s: said Connection: close and kept the connection for %s after response %d; %s", fromServer(&subj), rules.Span(open), x.Status, end),
		Side:     "server",
		Cause:    firstEnd(sv),
		Cost:     int64(open),
		Once:     true,
		Measured: []rules.Measure{{Name: "open_after_response_ms", Value: rules.Millis(open), Sum: true}},
	})
}
