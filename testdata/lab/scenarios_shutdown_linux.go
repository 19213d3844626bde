package main

import "time"

// resets shows RSTs with what they acknowledge.
func resets(from, port string, atLeast int) Evidence {
	dir := map[string]string{"client": "dstport", "server": "srcport"}[from]
	return Evidence{
		Says:    "resets of the " + from + "; with the ACK flag, tcp.ack says whether the peer's FIN had been taken in",
		Filter:  "tcp.flags.reset == 1 && tcp." + dir + " == " + port,
		AtLeast: atLeast,
	}
}

// noResets: nobody reset anything.
func noResets() Evidence {
	return Evidence{Says: "no reset", Filter: "tcp.flags.reset == 1", AtMost: -1}
}

// firstStream shows the whole first connection.
func firstStream(atLeast int) Evidence {
	return Evidence{Says: "the first connection", Filter: "tcp.stream == 0", AtLeast: atLeast}
}

func shutdownScenarios() []*Scenario {
	cls001 := []string{"CLS001"}
	halfClose := []string{`send:GET /report HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "fin", "eof"}
	connect := func(l *Lab, n *Namespace, port string, steps ...string) []string {
		return l.Python("rawpeer.py", append([]string{"connect", n.Addr(l.V), port}, steps...)...)
	}
	return []*Scenario{
		{
			Name: "cls001-go-server-resets", Family: Firing, Rules: cls001,
			Title:    "the server takes the client's FIN for an abort and resets",
			Story:    "The client sends a request and half-closes: it has nothing more to say and waits for the answer. The Go server sees end-of-file while it works and closes with SO_LINGER 0.",
			Programs: []string{"raw-py", "raw-go"}, Captures: []Capture{{At: "client"}, {At: "server"}, {At: "middle"}}, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Expect: "3, severity error",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", "eof", "sleep:20", "reset")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, connect(l, l.Server, "8080", append([]string{"connections:3"}, halfClose...)...)...)
			},
			Evidence: []Evidence{resets("server", "8080", 3), firstStream(6)},
		},
		{
			Name: "cls001-node-server-resets", Family: Firing, Rules: cls001,
			Title:    "a Node server destroys the socket on 'end', half of the answer sent",
			Story:    "The server starts its answer of 200 bytes, learns of the client's FIN, and resets. What was sent so far arrives; the rest never does.",
			Programs: []string{"raw-py", "raw-node"}, Captures: clientServer, IPVersion: 6, Expect: "2, severity error", Also: []string{"FRM002"},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 3000, l.Node("rawpeer.js", "listen", "::", "3000", "head",
					`send:HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nfirst part\n`, "eof", "sleep:30", "reset")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, connect(l, l.Server, "3000", append([]string{"connections:2"}, halfClose...)...)...)
			},
			Evidence: []Evidence{resets("server", "3000", 2), firstStream(6)},
		},
		{
			Name: "cls001-python-unread-data", Family: Firing, Rules: cls001,
			Title:    "a Python server closes with unread bytes in its buffer",
			Story:    "No option is set: the server reads the head of a POST, not its body, and closes; Linux then resets instead of sending FIN. The client had half-closed after its complete request.",
			Programs: []string{"raw-go", "raw-py"}, Captures: clientServer, Also: []string{"PIP004"}, Expect: "2, severity error",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "sleep:80", "close")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "connections:2", postOne, "fin", "eof")...)
			},
			Evidence: []Evidence{resets("server", "8080", 2), firstStream(6)},
		},
		{
			Name: "cls001-java-server-resets", Family: Firing, Rules: cls001,
			Title:    "a Java server with setSoLinger(true, 0) closes when it reads end-of-file",
			Story:    "nc -N half-closes after sending the request from a file; the server answers with a reset. Captured on any interface at the server.",
			Programs: []string{"nc", "java"}, Captures: []Capture{{At: "server", Iface: "any"}}, Expect: "1, severity error",
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Java("ResettingServer.java", "8080")...) },
			Drive: func(l *Lab) {
				l.File("request.txt", "GET /report HTTP/1.1\r\nHost: shop.test\r\n\r\n")
				l.Try(l.Client, "sh", "-c", "nc -N -w 2 "+l.Server.IP4+" 8080 < request.txt")
			},
			Evidence: []Evidence{resets("server", "8080", 1), firstStream(6)},
		},
		{
			Name: "cls001-silent-half-close-go", Family: Silent, SilentFor: cls001,
			Title:    "half-close, and the Go server answers all the same",
			Story:    "net/http answers a request whose sender has half-closed, then closes with FIN. 300 ms pass between FIN and answer.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, connect(l, l.Server, "8080", "connections:2", `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "fin", "eof")...)
			},
			Evidence: []Evidence{startLines(4), noResets(), closers(4)},
		},
		{
			Name: "cls001-silent-half-close-nginx", Family: Silent, SilentFor: cls001,
			Title:    "nc -N against nginx and Apache: request, FIN, answer, FIN",
			Story:    "Both servers answer the half-closed connection and close.",
			Programs: []string{"nc", "nginx", "apache2"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 80, "", "")
				l.Apache(l.Server, 8080, nil, "")
			},
			Drive: func(l *Lab) {
				l.File("request.txt", "GET /small.txt HTTP/1.1\r\nHost: shop.test\r\n\r\n")
				for _, port := range []string{"80", "8080"} {
					l.Try(l.Client, "sh", "-c", "nc -N -w 2 "+l.Server.IP4+" "+port+" < request.txt")
				}
			},
			Evidence: []Evidence{startLines(4), noResets(), closers(4)},
		},
		{
			Name: "cls001-silent-reset-after-answer", Family: Silent, SilentFor: cls001, Also: []string{"CLS003"},
			Title:    "the reset comes when the answer is complete",
			Story:    "The client half-closes, the server answers in full and then closes with SO_LINGER 0. Rude, but nothing was owed any more.",
			Programs: []string{"raw-py", "raw-go"}, Captures: clientServer, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", ok200, "eof", "sleep:60", "reset")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, connect(l, l.Server, "8080", append([]string{"connections:2"}, halfClose...)...)...)
			},
			Evidence: []Evidence{resets("server", "8080", 2), firstStream(6)},
		},
		{
			Name: "cls001-silent-client-resets", Family: Silent, SilentFor: cls001, Also: []string{"CLS004"},
			Title:    "the client closes, and its own kernel resets when the answer comes",
			Story:    "The client did not half-close, it left: the server's answer meets a closed socket. The resets are the client's.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, connect(l, l.Server, "8080", "connections:2", `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "sleep:50", "close")...)
			},
			Settle:   time.Second,
			Evidence: []Evidence{resets("client", "8080", 2), {Says: "no reset of the server", Filter: "tcp.flags.reset == 1 && tcp.srcport == 8080", AtMost: -1}, firstStream(6)},
		},
		{
			Name: "cls001-silent-bare-reset", Family: Silent, SilentFor: cls001, Also: []string{"CLS006"},
			Title:    "a middlebox resets the half-closed connection: a RST without ACK proves nothing about the server",
			Story:    "The link forgets the flow after 400 ms of silence and answers the client's late keep-alive probe with a bare RST in the server's name.",
			Programs: []string{"raw-keepalive", "raw-go"}, Captures: []Capture{{At: "client"}}, Link: LinkConfig{ForgetAfter: 400 * time.Millisecond, ForgetWithReset: true},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", "sleep:5000", ok200, "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("halfclose_keepalive.py", l.Server.IP4, "8080")...)
			},
			Evidence: []Evidence{{Says: "bare resets", Filter: "tcp.flags.reset == 1 && tcp.flags.ack == 0 && tcp.srcport == 8080", AtLeast: 1}, firstStream(6)},
		},
	}
}
