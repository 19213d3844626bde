package main

import (
	"fmt"
	"time"
)

// clientFins counts connections the client closed first: its FIN's ack (1 +
// the response) does not yet cover a FIN of the server.
func finsFrom(side, port string, atLeast int) Evidence {
	dir := map[string]string{"client": "dstport", "server": "srcport"}[side]
	return Evidence{
		Says:    "FINs of the " + side,
		Filter:  fmt.Sprintf("tcp.flags.fin == 1 && tcp.%s == %s", dir, port),
		Fields:  []string{"frame.number", "frame.time_relative", "tcp.stream", "tcp.flags.str", "tcp.seq", "tcp.ack"},
		AtLeast: atLeast,
	}
}

func handshakes(atLeast int) Evidence {
	return Evidence{
		Says:    "connections opened",
		Filter:  "tcp.flags.syn == 1 && tcp.flags.ack == 0",
		Fields:  []string{"frame.number", "frame.time_relative", "tcp.stream", "tcp.srcport", "tcp.dstport"},
		AtLeast: atLeast,
	}
}

// heads keeps a hundred connections small: the rule needs no bodies.
const heads = 200

func timeWaitScenarios() []*Scenario {
	tw001, reuse := []string{"TW001"}, []string{"REU001"}
	// patient answers and waits for the client to close: who closes first
	// holds TIME_WAIT.
	nginx := func(l *Lab) { l.Nginx(l.Server, 80, "", "location / { return 200 \"ok\\n\"; }") }
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	return []*Scenario{
		{
			Name: "tw001-python-fresh-connections", Family: Firing, Rules: tw001, Also: reuse,
			Title:    "a Python loop opens and closes a connection per request",
			Story:    "http.client, one HTTPConnection per request, closed by the client as soon as the body is read: 130 closes in about two seconds towards nginx. At this rate TIME_WAIT would hold well over a tenth of the ephemeral ports.",
			Programs: []string{"python", "nginx"}, Captures: []Capture{{At: "client", Snaplen: heads}, {At: "server", Snaplen: heads}},
			Expect: "1 pair, severity warning", Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "fresh", l.URL(l.Server, 80, "/"), "130", "9")...)
			},
			Evidence: []Evidence{handshakes(130), finsFrom("client", "80", 130)},
		},
		{
			Name: "tw001-go-new-client-each", Family: Firing, Rules: tw001, Also: reuse,
			Title:    "a Go program makes a new http.Client for every request",
			Story:    "Each request gets a Transport of its own, whose idle connection is closed right after. 120 requests against a Go server at a steady pace.",
			Programs: []string{"go"}, Captures: []Capture{{At: "client"}, {At: "middle"}},
			Expect: "1 pair, severity warning", Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("get", l.URL(l.Server, 8080, "/"), "120", "fresh", "every:10")...)
			},
			Evidence: []Evidence{handshakes(120), finsFrom("client", "8080", 120)},
		},
		{
			Name: "tw001-curl-loop", Family: Firing, Rules: tw001, Also: reuse,
			Title:    "a shell loop of curl",
			Story:    "110 curl processes, one after the other, as in many a health check or deployment script; each closes its connection at exit. IPv6.",
			Programs: []string{"curl", "nginx"}, Captures: clientServer, IPVersion: 6,
			Expect: "1 pair, severity warning; the loop's speed depends on the machine, so the rate is checked",
			Serve:  nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, "sh", "-c", "for i in $(seq 110); do curl -gsS -o /dev/null '"+l.URL(l.Server, 80, "/")+"'; done")
			},
			Evidence: []Evidence{handshakes(110), finsFrom("client", "80", 110)},
		},
		{
			Name: "tw001-node-destroy-loopback", Family: Firing, Rules: tw001, Also: reuse,
			Title:    "a Node client destroys its socket after each response, on one host",
			Story:    "Client and server share the host; 150 connections over lo to a Node server.",
			Programs: []string{"node"}, Captures: []Capture{{At: "client", Iface: "lo", Snaplen: heads}},
			Expect: "1 pair, severity warning",
			Serve:  func(l *Lab) { l.Serve(l.Client, 3000, l.Node("server.js", "3000")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "destroy", "http://127.0.0.1:3000/", "150", "8")...)
			},
			Evidence: []Evidence{handshakes(150), finsFrom("client", "3000", 150)},
		},
		{
			Name: "tw001-requests-without-session", Family: Firing, Rules: tw001, Also: reuse,
			Title:    "requests.get() without a Session",
			Story:    "python3-requests' module-level get() makes a session for one request and closes it: 120 connections to Apache, closed by the client although Apache would have kept them.",
			Programs: []string{"requests", "apache2"}, Captures: []Capture{{At: "client", Snaplen: heads}, {At: "server", Iface: "any", Snaplen: heads}},
			Expect: "1 pair, severity warning",
			Serve:  func(l *Lab) { l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "sessionless", l.URL(l.Server, 80, "/small.txt"), "120", "7")...)
			},
			Evidence: []Evidence{handshakes(120), finsFrom("client", "80", 120)},
		},
		{
			Name: "tw001-silent-server-closes", Family: Silent, SilentFor: tw001, Also: append([]string{"TW002"}, reuse...),
			Title:    "urllib says Connection: close, and the server closes first",
			Story:    "TIME_WAIT stays at the server, which has no ports to run out of.",
			Programs: []string{"python", "nginx"}, Captures: []Capture{{At: "client", Snaplen: heads}, {At: "server", Snaplen: heads}}, Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "urllib", l.URL(l.Server, 80, "/"), "120", "8")...)
			},
			Evidence: []Evidence{handshakes(120), finsFrom("server", "80", 120)},
		},
		{
			Name: "tw001-silent-pool-closed-at-exit", Family: Silent, SilentFor: tw001,
			Title:    "a pool of 60 connections is used, and closed at exit",
			Story:    "Sixty parallel clients send six requests each on a connection of their own and close together at the end. Nothing is opened again: a level, not a rate; and sixty connections, were all of them avoidable, are less than a fifth of the requests.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "parallel:60", "repeat:6", getA, "message", "sleep:250", "done", "sleep:300")...)
			},
			Evidence: []Evidence{handshakes(60), finsFrom("client", "8080", 60)},
		},
		{
			Name: "tw001-silent-reset-closes", Family: Silent, SilentFor: tw001, Also: append([]string{"CLS003"}, reuse...),
			Title:    "120 connections closed with SO_LINGER 0",
			Story:    "A reset leaves no TIME_WAIT on either side.",
			Programs: []string{"raw-go", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "connections:120", "every:8", getA, "message", "reset")...)
			},
			Evidence: []Evidence{handshakes(120), {Says: "resets of the client", Filter: "tcp.flags.reset == 1 && tcp.dstport == 8080", AtLeast: 120}, {Says: "no FIN at all", Filter: "tcp.flags.fin == 1", AtMost: -1}},
		},
		{
			Name: "tw001-silent-slow-pace", Family: Silent, SilentFor: tw001, Also: reuse,
			Title:    "a connection per request, but only 25 a second",
			Story:    "75 connections in three seconds settle at about 1500 ports in TIME_WAIT, 5 % of the range.",
			Programs: []string{"python", "nginx"}, Captures: []Capture{{At: "client", Snaplen: heads}, {At: "server", Snaplen: heads}}, Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "fresh", l.URL(l.Server, 80, "/"), "75", "38")...)
			},
			Evidence: []Evidence{handshakes(75), finsFrom("client", "80", 75)},
			Settle:   500 * time.Millisecond,
		},
	}
}
