package main

import "time"

// idle shows data segments and closes with the time since the stream's last
// segment: who spoke after a silence, and who had closed before.
func idle(atLeast int) Evidence {
	return Evidence{
		Says:    "data, FIN and RST with the silence before each",
		Filter:  "tcp.len > 0 || tcp.flags.fin == 1 || tcp.flags.reset == 1",
		Fields:  append(append([]string(nil), wire...), "tcp.time_delta"),
		AtLeast: atLeast,
	}
}

// serverCloses and requestMeetsReset are the two halves of a lost request.
func serverCloses(port string, atLeast int) Evidence { return finsFrom("server", port, atLeast) }

// forgottenFor is how long the middlebox of these scenarios remembers a flow.
const forgottenFor = 1200 * time.Millisecond

func keepAliveScenarios() []*Scenario {
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	shortNode := func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000", "short-idle")...) }
	shortNginx := func(l *Lab) {
		l.Nginx(l.Server, 80, "keepalive_timeout 1s;", "location / { return 200 \"ok\\n\"; }")
	}
	py := func(l *Lab, port string, steps ...string) {
		l.Run(l.Client, l.Python("rawpeer.py", append([]string{"connect", l.Server.Addr(l.V), port}, steps...)...)...)
	}
	listenPy := func(l *Lab, steps ...string) {
		l.Serve(l.Server, 8080, l.Python("rawpeer.py", append([]string{"listen", "0.0.0.0", "8080"}, steps...)...)...)
	}
	listenGo := func(l *Lab, steps ...string) {
		l.Serve(l.Server, 8080, l.Go("raw", append([]string{"listen", "0.0.0.0", "8080"}, steps...)...)...)
	}
	listenNode := func(l *Lab, steps ...string) {
		l.Serve(l.Server, 8080, l.Node("rawpeer.js", append([]string{"listen", "0.0.0.0", "8080"}, steps...)...)...)
	}
	far := LinkConfig{Delay: 60 * time.Millisecond}
	promise := `send:HTTP/1.1 200 OK\r\nContent-Length: 3\r\nKeep-Alive: timeout=30, max=100\r\nConnection: keep-alive\r\n\r\nok\n`
	everywhere := []Capture{{At: "client"}, {At: "middle"}, {At: "server"}}
	return []*Scenario{
		{
			Name: "ka001-node-timeout-race", Family: Firing, Rules: []string{"KA001"}, Also: []string{"KA004"},
			Title:    "Node's keepAliveTimeout runs out while a request is on its way",
			Story:    "keepAliveTimeout is 1 s here (5 s by default), and Node 20 waits another second before it closes. A Node agent that does not look at the advertised time-out sends the next request just then, 60 ms of path away: FIN and request cross. The client sees ECONNRESET.",
			Programs: []string{"node"}, Captures: everywhere, Link: far, Expect: "1, severity error, GET: safe to retry",
			Serve: shortNode,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "keepalive-blind", l.URL(l.Server, 3000, "/a"), "2", "1940")...)
			},
			Evidence: []Evidence{idle(4), serverCloses("3000", 1), {Says: "the server's answer to the late request", Filter: "tcp.flags.reset == 1 && tcp.srcport == 3000", AtLeast: 1}},
		},
		{
			Name: "ka001-nginx-timeout-race-post", Family: Firing, Rules: []string{"KA001"},
			Title:    "nginx's keepalive_timeout against a POST from python3-requests",
			Story:    "The same race with a method that must not be repeated blindly. The POST leaves before the FIN has arrived.",
			Programs: []string{"nginx", "requests"}, Captures: clientServer, Link: far, Expect: "1, severity error, POST: not safe to retry",
			Serve: shortNginx,
			Drive: func(l *Lab) {
				l.Try(l.Client, l.Python("session.py", "post", l.URL(l.Server, 80, "/orders"), "2", "940")...)
			},
			Evidence: []Evidence{idle(4), serverCloses("80", 1), {Says: "the server's answer to the late request", Filter: "tcp.flags.reset == 1 && tcp.srcport == 80", AtLeast: 1}},
		},
		{
			Name: "ka001-silent-client-notices", Family: Silent, SilentFor: []string{"KA001", "KA002"},
			Title:    "the server closes an idle connection, and the client opens another",
			Story:    "python3-requests and Node's agent wait 1.5 s, find the pooled connection closed by nginx, and connect anew. This is how it should be.",
			Programs: []string{"nginx", "requests", "node"}, Captures: clientServer, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Serve: shortNginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/a"), "3", "1500")...)
				l.Run(l.Client, l.Node("client.js", "keepalive", l.URL(l.Server, 80, "/b"), "2", "1500")...)
			},
			Evidence: []Evidence{handshakes(5), startLines(10), noResets()},
		},
		{
			Name: "ka001-silent-in-time", Family: Silent, SilentFor: []string{"KA001", "KA002", "KA003", "KA011"},
			Title:    "reuse well within the server's time-out",
			Story:    "Five requests 500 ms apart on a connection nginx keeps for 1 s, over a path of 120 ms.",
			Programs: []string{"nginx", "requests"}, Captures: clientServer, Link: far, Serve: shortNginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/a"), "5", "400")...)
			},
			Evidence: []Evidence{handshakes(1), startLines(10)},
		},
		{
			Name: "ka002-pool-ignores-fin", Family: Firing, Rules: []string{"KA002"},
			Title:    "a client that reuses a connection closed 500 ms ago",
			Story:    "nginx closed the idle connection after 1 s; the client's kernel acknowledged the FIN, its program did not look, and writes the next request 500 ms later.",
			Programs: []string{"nginx", "raw-py"}, Captures: everywhere, Link: LinkConfig{Delay: 10 * time.Millisecond}, Expect: "1, severity error",
			Serve:    shortNginx,
			Drive:    func(l *Lab) { py(l, "80", getA, "message", "sleep:1500", postOne, "message") },
			Evidence: []Evidence{idle(4), {Says: "the server resets", Filter: "tcp.flags.reset == 1 && tcp.srcport == 80", AtLeast: 1}},
		},
		{
			Name: "ka002-go-raw-node", Family: Firing, Rules: []string{"KA002"},
			Title:    "the same from a Go program towards Node",
			Story:    "A hand-made pool in Go keeps the connection through Node's close.",
			Programs: []string{"node", "raw-go"}, Captures: clientServer, IPVersion: 6, Expect: "1, severity error",
			Serve: shortNode,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP6, "3000", getA, "message", "sleep:2500", getB, "message")...)
			},
			Evidence: []Evidence{idle(4), {Says: "the server resets", Filter: "tcp.flags.reset == 1 && tcp.srcport == 3000", AtLeast: 1}},
		},
		{
			Name: "ka003-forgotten-dropped", Family: Firing, Rules: []string{"KA003"},
			Title:    "a middlebox forgot the idle flow and drops what follows",
			Story:    "After 1.5 s of silence the request is retransmitted into the void; neither side had closed.",
			Programs: []string{"raw-py", "go"}, Captures: []Capture{{At: "client"}, {At: "middle"}}, Link: LinkConfig{Delay: 5 * time.Millisecond, ForgetAfter: forgottenFor}, Expect: "1, severity error; the server, not recorded, sees nothing of it",
			Serve: goServer,
			Drive: func(l *Lab) {
				l.Start(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", getA, "message", "sleep:1500", getB, "message")...)
				l.Sleep(7 * time.Second)
			},
			Evidence: []Evidence{idle(2)},
		},
		{
			Name: "ka003-forgotten-reset", Family: Firing, Rules: []string{"KA003"},
			Title:    "a middlebox forgot the idle flow and answers with a bare reset",
			Story:    "The reset's sequence number is the request's ack, and it has no ACK flag: the server never saw the request. python3-requests reports a connection reset by its peer.",
			Programs: []string{"requests", "nginx"}, Captures: []Capture{{At: "client"}, {At: "middle"}}, Link: LinkConfig{Delay: 5 * time.Millisecond, ForgetAfter: forgottenFor, ForgetWithReset: true}, Expect: "1, severity error",
			Serve: func(l *Lab) { l.Nginx(l.Server, 80, "", "") },
			Drive: func(l *Lab) {
				l.Try(l.Client, l.Python("session.py", "post", l.URL(l.Server, 80, "/small.txt"), "2", "1600")...)
			},
			Evidence: []Evidence{idle(3), {Says: "bare resets", Filter: "tcp.flags.reset == 1 && tcp.flags.ack == 0 && tcp.srcport == 80", AtLeast: 1}},
		},
		{
			Name: "ka003-silent-keep-alive-probes", Family: Silent, SilentFor: []string{"KA003"},
			Title:    "the same middlebox, and TCP keep-alive probes that keep the flow known",
			Story:    "Node's agent has the kernel probe an idle connection every second; the middlebox forgets after 1.2 s of silence and so never does.",
			Programs: []string{"node", "nginx"}, Captures: clientServer, Link: LinkConfig{Delay: 5 * time.Millisecond, ForgetAfter: forgottenFor, ForgetWithReset: true},
			Serve: func(l *Lab) { l.Nginx(l.Server, 80, "", "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "keepalive", l.URL(l.Server, 80, "/small.txt"), "3", "1600")...)
			},
			Evidence: []Evidence{idle(3), {Says: "probes", Filter: "tcp.analysis.keep_alive", AtLeast: 1}, noResets()},
		},
		{
			Name: "ka003-silent-long-idle", Family: Silent, SilentFor: []string{"KA003"},
			Title:    "two seconds of silence, and the connection still works",
			Story:    "No middlebox in the way.",
			Programs: []string{"requests", "apache2"}, Captures: clientServer, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Serve: func(l *Lab) { l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/small.txt"), "3", "2000")...)
			},
			Evidence: []Evidence{handshakes(1), startLines(6)},
		},
		{
			Name: "ka003-silent-outage", Family: Silent, SilentFor: []string{"KA003"},
			Title:    "the whole path is down for two seconds",
			Story:    "Two connections have been idle for 1.2 s when the link loses everything for 2 s; both retransmit and recover. An outage, not a forgotten flow.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer, Link: LinkConfig{Delay: 5 * time.Millisecond}, Serve: goServer,
			Drive: func(l *Lab) {
				var clients []*Process
				for range 2 {
					clients = append(clients, l.Start(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", getA, "message", "sleep:1500", getB, "message")...))
				}
				l.Sleep(1200 * time.Millisecond)
				l.links[0].down.Store(true)
				l.Sleep(2 * time.Second)
				l.links[0].down.Store(false)
				for _, c := range clients {
					l.Wait(c)
				}
			},
			Evidence: []Evidence{{Says: "retransmissions", Filter: "tcp.analysis.retransmission", AtLeast: 0}, startLinesOn("8080", 6)},
		},
		{
			Name: "ka004-python-breaks-promise", Family: Firing, Rules: []string{"KA004"},
			Title:    "Keep-Alive: timeout=30, and the server closes after one second",
			Story:    "The advertised time-out is written by hand; the real one is shorter.",
			Programs: []string{"raw-py", "raw-go"}, Captures: clientServer, Expect: "1 or more, severity warning",
			Serve: func(l *Lab) { listenPy(l, "head", promise, "head", promise, "sleep:1000", "close") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "connections:2", getA, "message", getB, "message", "eof")...)
			},
			Evidence: []Evidence{idle(6), {Says: "promises", Filter: "tcp contains \"timeout=30\"", AtLeast: 2}},
		},
		{
			Name: "ka004-node-breaks-promise", Family: Firing, Rules: []string{"KA004"},
			Title:    "Node's Keep-Alive field overridden, its time-out not",
			Story:    "A handler sets Keep-Alive: timeout=60 by hand; keepAliveTimeout is 1 s. curl waits and sees the close.",
			Programs: []string{"node", "raw-py"}, Captures: clientServer, Expect: "1, severity warning",
			Serve:    func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000", "broken-promise")...) },
			Drive:    func(l *Lab) { py(l, "3000", getA, "message", "eof") },
			Evidence: []Evidence{idle(3), serverCloses("3000", 1), {Says: "the promise", Filter: "tcp contains \"timeout=60\"", AtLeast: 1}},
		},
		{
			Name: "ka004-silent-promise-kept", Family: Silent, SilentFor: []string{"KA004"},
			Title:    "Node and Apache keep what they advertise",
			Story:    "Node says timeout=1 and closes a second later than that; Apache says timeout=2 and closes after two.",
			Programs: []string{"node", "apache2", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) {
				shortNode(l)
				l.Apache(l.Server, 80, nil, "KeepAliveTimeout 2\n")
			},
			Drive: func(l *Lab) {
				py(l, "3000", getA, "message", "eof")
				py(l, "80", `send:GET /small.txt HTTP/1.1\r\nHost: shop.test\r\nConnection: Keep-Alive\r\n\r\n`, "message", "eof")
			},
			Evidence: []Evidence{idle(6), {Says: "promises", Filter: "tcp contains \"timeout=\"", AtLeast: 2}},
		},
		{
			Name: "ka005-python-closes-unannounced", Family: Firing, Rules: []string{"KA005"}, Also: []string{"REU001"},
			Title:    "framed HTTP/1.1 responses, no close option, and the server closes right after",
			Story:    "A client with a pool believes it may reuse the connection. Python's requests with a Session opens six.",
			Programs: []string{"raw-py", "requests"}, Captures: clientServer, Expect: "6, severity warning",
			Serve: func(l *Lab) { listenPy(l, "head", ok200, "close") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 8080, "/a"), "6", "50")...)
			},
			Evidence: []Evidence{startLinesOn("8080", 12), serverCloses("8080", 6)},
		},
		{
			Name: "ka005-node-closes-unannounced", Family: Firing, Rules: []string{"KA005"},
			Title:    "the same from a hand-written Node server, to curl over 20 ms",
			Story:    "Three requests, three connections.",
			Programs: []string{"raw-node", "curl"}, Captures: clientServer, Link: LinkConfig{Delay: 10 * time.Millisecond}, Expect: "3, severity warning",
			Serve: func(l *Lab) { listenNode(l, "head", ok200, "fin", "eof") },
			Drive: func(l *Lab) {
				for range 3 {
					l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8080, "/a"))
					l.Sleep(150 * time.Millisecond)
				}
			},
			Evidence: []Evidence{startLinesOn("8080", 6), serverCloses("8080", 3)},
		},
		{
			Name: "ka005-silent-announced", Family: Silent, SilentFor: []string{"KA005", "KA001", "CLS006"}, Also: []string{"REU006", "REU001"},
			Title:    "nginx's keepalive_requests: the last response says close",
			Story:    "nginx ends each connection after five requests and announces it; Go's client takes the hint and opens the next.",
			Programs: []string{"nginx", "go"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 80, "keepalive_requests 5;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive:    func(l *Lab) { l.Run(l.Client, l.Go("get", l.URL(l.Server, 80, "/a"), "20", "every:10")...) },
			Evidence: []Evidence{handshakes(4), {Says: "announced closes", Filter: "http.response && http.connection == \"close\"", Fields: httpFields, AtLeast: 4}},
		},
		{
			Name: "ka006-python-http10-reused", Family: Firing, Rules: []string{"KA006"},
			Title:    "a client reuses a connection after an HTTP/1.0 response that agreed to nothing",
			Story:    "The server answers HTTP/1.0 with a length and no Connection field, and happens to stay open.",
			Programs: []string{"raw-py", "raw-go"}, Captures: clientServer, Expect: "1 or more, severity warning",
			Serve: func(l *Lab) {
				listenGo(l, "repeat:4", "head", `send:HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n`, "done", "eof")
			},
			Drive:    func(l *Lab) { py(l, "8080", "repeat:3", getA, "message", "sleep:100", "done") },
			Evidence: []Evidence{startLinesOn("8080", 6), handshakes(1)},
		},
		{
			Name: "ka007-request-after-own-close", Family: Firing, Rules: []string{"KA007"},
			Title:    "a request after the client's own Connection: close",
			Story:    "The client says close, reads the answer, and writes another request; nginx has closed.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer, Expect: "1, severity error",
			Serve: func(l *Lab) { l.Nginx(l.Server, 80, "", "location / { return 200 \"ok\\n\"; }") },
			Drive: func(l *Lab) {
				py(l, "80", `send:GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n`, "message", getB, "message")
			},
			Evidence: []Evidence{idle(4), {Says: "two requests", Filter: "http.request", Fields: httpFields, AtLeast: 2}},
		},
		{
			Name: "ka007-request-after-servers-close", Family: Firing, Rules: []string{"KA007"},
			Title:    "a request after a response that said close",
			Story:    "The Node client does not read the Connection field of the answer. Over 40 ms the FIN follows the response closely; the request's ack covers the response.",
			Programs: []string{"raw-node", "raw-py"}, Captures: clientServer, Link: LinkConfig{Delay: 20 * time.Millisecond}, Expect: "1, severity error",
			Serve: func(l *Lab) {
				listenPy(l, "head", `send:HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n`, "sleep:300", "close")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", getA, "message", "sleep:50", getB, "eof")...)
			},
			Evidence: []Evidence{idle(4)},
		},
		{
			Name: "ka008-close-not-honoured", Family: Firing, Rules: []string{"KA008"},
			Title:    "the response says close, and the server does not",
			Story:    "Seven seconds after its last byte was acknowledged the server has still not closed.",
			Programs: []string{"raw-go", "raw-py"}, Captures: clientServer, Expect: "1, severity warning",
			Serve: func(l *Lab) {
				listenGo(l, "head", `send:HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n`, "sleep:7000", "close")
			},
			Drive:    func(l *Lab) { py(l, "8080", getA, "message", "eof") },
			Evidence: []Evidence{idle(3), {Says: "the server's FIN after the silence", Filter: "tcp.srcport == 8080 && tcp.flags.fin == 1 && tcp.time_delta > 5", AtLeast: 1}},
		},
		{
			Name: "ka008-silent-close-soon", Family: Silent, SilentFor: []string{"KA008"},
			Title:    "the response says close, and the server closes a second later",
			Story:    "Lingering, but within reason.",
			Programs: []string{"raw-go", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) {
				listenGo(l, "head", `send:HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n`, "sleep:1000", "close")
			},
			Drive:    func(l *Lab) { py(l, "8080", getA, "message", "eof") },
			Evidence: []Evidence{idle(3)},
		},
		{
			Name: "ka011-thin-margin", Family: Firing, Rules: []string{"KA011"},
			Title:    "reuse after 85 % of the advertised time-out, five times",
			Story:    "Node says Keep-Alive: timeout=1; the client comes back after 850 ms each time. It has worked so far.",
			Programs: []string{"node", "raw-py"}, Captures: clientServer, Expect: "1 pair, severity info",
			Serve:    shortNode,
			Drive:    func(l *Lab) { py(l, "3000", "repeat:6", getA, "message", "sleep:870", "done") },
			Evidence: []Evidence{handshakes(1), startLines(12)},
		},
	}
}
