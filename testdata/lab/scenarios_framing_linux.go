package main

import "time"

// startLines shows every request and response head.
func startLines(atLeast int) Evidence {
	return Evidence{Says: "start lines, lengths and Connection fields", Filter: "http", Fields: httpFields, AtLeast: atLeast}
}

// startLinesOn is startLines for a port tshark does not take for HTTP.
func startLinesOn(port string, atLeast int) Evidence {
	e := startLines(atLeast)
	e.Options = []string{"-d", "tcp.port==" + port + ",http"}
	return e
}

// closers shows FINs and RSTs: who ended the connections.
func closers(atLeast int) Evidence {
	return Evidence{Says: "who ended the connections", Filter: "tcp.flags.fin == 1 || tcp.flags.reset == 1", AtLeast: atLeast}
}

// noLength shows responses that could have a body and say nothing of its end.
func noLength(atLeast int) Evidence {
	return Evidence{
		Says:    "responses with neither Content-Length nor Transfer-Encoding",
		Filter:  "http.response && !http.content_length_header && !http.transfer_encoding",
		Fields:  []string{"frame.number", "tcp.stream", "http.response.version", "http.response.code", "http.connection", "tcp.reassembled.length"},
		AtLeast: atLeast,
	}
}

func framingScenarios() []*Scenario {
	frm001 := []string{"FRM001"}
	reuse := []string{"REU001"}
	return []*Scenario{
		{
			Name: "frm001-python-http-server", Family: Firing, Rules: frm001, Also: reuse,
			Title:    "Python's http.server answers HTTP/1.1 without a length and closes",
			Story:    "A handler forgot Content-Length. The end of the body is the end of the connection, so curl, which would have kept it, connects anew for each of five documents.",
			Programs: []string{"python", "curl"}, Captures: clientServer,
			Expect: "5 responses, severity warning",
			Serve:  func(l *Lab) { l.Serve(l.Server, 8000, l.Python("httpserver.py", "no-length", "8000")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8000, "/doc/[1-5]"))
			},
			Evidence: []Evidence{noLength(5), startLines(10), closers(10)},
		},
		{
			Name: "frm001-http10-keep-alive-agreed", Family: Firing, Rules: frm001, Also: reuse,
			Title:    "HTTP/1.0 keep-alive agreed on both sides, then a body that ends with the connection",
			Story:    "curl speaks HTTP/1.0, asks for keep-alive, and the hand-written server confirms it, but gives no length: the promise cannot be kept.",
			Programs: []string{"raw-py", "curl"}, Captures: []Capture{{At: "client"}, {At: "middle"}}, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Expect: "4 responses, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8000, l.Python("rawpeer.py", "listen", "0.0.0.0", "8000", "head",
					`send:HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Type: text/plain\r\n\r\nno length here\n`, "close")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "--http1.0", "-H", "Connection: keep-alive", "-o", "/dev/null", l.URL(l.Server, 8000, "/[1-4]"))
			},
			Evidence: []Evidence{noLength(4), startLines(8)},
		},
		{
			Name: "frm001-node-removed-headers", Family: Firing, Rules: frm001, Also: reuse,
			Title:    "a Node server whose framing fields were taken away",
			Story:    "A handler removes Transfer-Encoding and Connection, as some do to please an old client. Node then ends the body by ending the connection, and says so nowhere. The client is Node with a keep-alive agent.",
			Programs: []string{"node"}, Captures: clientServer, IPVersion: 6,
			Expect: "4 responses, severity warning",
			Serve:  func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000", "no-length")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "keepalive", l.URL(l.Server, 3000, "/a"), "4")...)
			},
			Evidence: []Evidence{noLength(4), startLines(8)},
		},
		{
			Name: "frm001-cut-by-reset", Family: Firing, Rules: frm001,
			Title:    "no length, and the connection ends in a reset: cut or complete, nobody can tell",
			Story:    "A Go server sends a head without length and part of a body, then closes with SO_LINGER 0. curl receives the bytes it got and an error.",
			Programs: []string{"raw-go", "curl"}, Captures: clientServer,
			Expect: "3 responses, severity error", Also: []string{"CLS006"},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head",
					`send:HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n`, "fill:3000", "sleep:100", "reset")...)
			},
			Drive: func(l *Lab) {
				for range 3 {
					l.Try(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8080, "/report"))
				}
			},
			Evidence: []Evidence{
				{Says: "heads", Filter: "tcp contains \"HTTP/1.1 200 OK\" && !(tcp contains \"Content-Length\")", AtLeast: 3},
				{Says: "resets by the server", Filter: "tcp.flags.reset == 1 && tcp.srcport == 8080", AtLeast: 3},
			},
		},
		{
			Name: "frm001-java-client-node-raw", Family: Firing, Rules: frm001, Also: reuse,
			Title:    "a hand-written Node server without lengths, Java's HttpClient, -i any at the server",
			Story:    "Java's client keeps a pool, but each of five responses ends by the server's close.",
			Programs: []string{"raw-node", "java"}, Captures: []Capture{{At: "server", Iface: "any", SLL1: true}},
			Expect: "5 responses, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("rawpeer.js", "listen", "0.0.0.0", "8080", "head",
					`send:HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nlength unsaid\n`, "fin", "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Java("JdkClient.java", "httpclient", l.URL(l.Server, 8080, "/x"), "5")...)
			},
			Evidence: []Evidence{noLength(5), startLines(10)},
		},
		{
			Name: "frm001-info-wsgiref", Family: Firing, Rules: frm001, Also: reuse,
			Title:    "plain HTTP/1.0 without length: worth knowing, no more",
			Story:    "Python's http.server in its default HTTP/1.0 never offered to persist; the missing length changes nothing for this connection.",
			Programs: []string{"python", "curl"}, Captures: []Capture{{At: "client"}},
			Expect: "3 responses, severity info only",
			Serve:  func(l *Lab) { l.Serve(l.Server, 8000, l.Python("httpserver.py", "http10", "8000")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8000, "/doc/[1-3]"))
			},
			Evidence: []Evidence{noLength(3), startLines(6)},
		},
		{
			Name: "frm001-silent-head-nginx", Family: Silent, SilentFor: []string{"FRM001", "FRM002", "FRM006"},
			Title:    "HEAD: lengths without bodies",
			Story:    "curl -I asks nginx for four files with HEAD on one connection, then for a location that answers HEAD without any length.",
			Programs: []string{"nginx", "curl"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 80, "", "location /proxied { proxy_pass http://127.0.0.1:3000; }")
				l.Serve(l.Server, 3000, l.Node("server.js", "3000", "chunked")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sSI", l.URL(l.Server, 80, "/small.txt"), l.URL(l.Server, 80, "/medium.txt"), l.URL(l.Server, 80, "/index.html"), l.URL(l.Server, 80, "/proxied"), l.URL(l.Server, 80, "/small.txt"))
			},
			Evidence: []Evidence{startLines(8), {Says: "one connection carried them", Filter: "tcp.flags.syn == 1 && tcp.flags.ack == 0", AtLeast: 1, AtMost: 1}},
		},
		{
			Name: "frm001-silent-204-304", Family: Silent, SilentFor: []string{"FRM001"},
			Title:    "204 and 304 have no body and need no length",
			Story:    "A Go server answers 204 and 304 without Content-Length; the connection goes on. nginx-style conditional requests come from the client by hand.",
			Programs: []string{"go", "curl"}, Captures: clientServer, IPVersion: 6,
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-gsS", "-o", "/dev/null", l.URL(l.Server, 8080, "/status/204"), "-o", "/dev/null", l.URL(l.Server, 8080, "/status/304"), "-o", "/dev/null", l.URL(l.Server, 8080, "/status/204"), "-o", "/dev/null", l.URL(l.Server, 8080, "/a"))
			},
			Evidence: []Evidence{startLines(8), noLength(3)},
		},
		{
			Name: "frm001-silent-connect-squid", Family: Silent, SilentFor: []string{"FRM001", "FRM002"}, Proxied: true,
			Title:    "CONNECT through squid: the 200 opens a tunnel and has no body",
			Story:    "curl tunnels through squid to a Go server and sends two requests inside. What follows the 200 is a tunnel.",
			Programs: []string{"squid", "curl", "go"}, Captures: []Capture{{At: "client"}, {At: "proxy", Iface: "any"}},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("serve", ":8080")...)
				l.Squid(l.Proxy, 3128, "")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-p", "-x", l.URL(l.Proxy, 3128, ""), l.URL(l.Server, 8080, "/a"), l.URL(l.Server, 8080, "/b"))
			},
			Evidence: []Evidence{{Says: "CONNECT and its answer", Filter: "tcp contains \"CONNECT \" || tcp contains \"200 Connection established\"", AtLeast: 2}},
		},
		{
			Name: "frm001-silent-chunked-node", Family: Silent, SilentFor: []string{"FRM001"},
			Title:    "chunked bodies from Node, the last chunk says where they end",
			Story:    "A Node server writes three chunks 20 ms apart; curl reads four responses on one connection.",
			Programs: []string{"node", "curl"}, Captures: clientServer, Link: LinkConfig{Delay: 8 * time.Millisecond},
			Serve: func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000", "chunked")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 3000, "/[1-4]"))
			},
			Evidence: []Evidence{{Says: "chunked responses", Filter: "http.transfer_encoding", Fields: append(append([]string(nil), httpFields...), "http.transfer_encoding"), AtLeast: 4}},
		},
		{
			Name: "frm001-silent-websocket", Family: Silent, SilentFor: []string{"FRM001", "FRM002", "FRM008"},
			Title:    "101 Switching Protocols: WebSocket frames are no body",
			Story:    "A hand-written client upgrades to WebSocket on a Node server, sends one masked frame, reads the echo, and both sides close.",
			Programs: []string{"node", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000", "websocket")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "3000",
					`send:GET /chat HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGFiLWxhYi1sYWItbGFiIQ==\r\n\r\n`,
					"head", `send:\x81\x85\x01\x02\x03\x04igomn`, "bytes:7", "sleep:50", `send:\x81\x85\x01\x02\x03\x04igomn`, "bytes:7", "fin", "eof")...)
			},
			Evidence: []Evidence{{Says: "the upgrade", Filter: "http.response.code == 101", Fields: httpFields, AtLeast: 1}, {Says: "WebSocket frames", Filter: "websocket", AtLeast: 2}},
		},
	}
}
