package keepalive

import (
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
)

// WriteAfterFIN reports requests on connections whose close the client had
// been told of.
var WriteAfterFIN = &rules.Rule{
	Code: "KA002",
	Name: "write-after-fin",
	Doc: rules.Doc{
		Title:    "a client wrote a request on a connection that it knew, or could know, to be closed",
		Severity: rules.Error,
		Wire: "The server closed the idle connection, and the client's kernel acknowledged the FIN. " +
			"At least 10 ms later the client's program writes a request on it. The server answers with a RST.",
		Harm: "The request is lost without need: the socket had been readable, with end of file, all the while. " +
			"Unlike a race (KA001) this happens to each connection that was idle too long, and shorter time-outs make it worse.",
		Fix: "have the pool look for end of file before it lends a connection, or watch idle connections",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It watches idle upstream connections: look at the program that owns the client's address."},
			{Program: "haproxy", Text: "It watches idle server connections; \"http-reuse safe\" keeps a first request off a reused one."},
			{Program: "Apache", Text: "mod_proxy looks before it writes; ping= adds a probe on AJP and for Expect: 100-continue."},
			{Program: "Node", Text: "http.Agent drops closed sockets once the event loop turns: do not block it between requests, and remove hand-made pools."},
			{Program: "Java", Text: "Apache HttpClient: setValidateAfterInactivity below the time between requests (classic: setStaleConnectionCheckEnabled); OkHttp checks by itself."},
			{Program: "Go", Text: "net/http reads idle connections all the time; a hand-made pool over net.Conn needs a zero-byte read with a deadline."},
			{Program: "Python", Text: "urllib3 checks with wait_for_read before it lends; http.client by itself does not: call close() after each idle time, or use urllib3."},
		},
		Confirm: "Filter tcp.stream eq N: after the server's FIN the client's pure ACK covers it, and 10 ms or more later comes client data whose tcp.ack is one above the FIN's tcp.seq.",
		Silent: "The request left less than 10 ms after the client's kernel acknowledged the FIN, or does not acknowledge it: a race, KA001. The server's FIN acknowledges some of the request. " +
			"The client only finishes what it had begun, or closes: a FIN, a close_notify, a RST. The connection was not idle when the server closed it.",
		Refs: []string{"RFC 9112 §9.5", "RFC 9293 §3.6", "RFC 1122 §4.2.2.13"},
	},
	Needs: blind,
	Odd:   rules.NotAnswered,
	Transaction: func(p *rules.Pass, t *http1.Transaction) {
		onTransaction(p, t, ignored)
	},
	TurnOdd: rules.Unreplied,
	Turn:    func(p *rules.Pass, t *timing.Turn) { onTurn(p, t, ignored) },
}

// ignored reports whether the client's program had time to see the close.
func ignored(p *rules.Pass, r *race) bool { return !crossed(p, r) }
