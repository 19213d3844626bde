package main

import (
	"fmt"
	"time"
)

// Steps shared by hand-written peers.
const (
	postHead = `send:POST /orders HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n`
	postBody = `send:{"sku":"A-1","quantity":3}`
	postOne  = `send:POST /orders HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{"sku":"A-1","quantity":3}`
	getRoot  = `send:GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n`
	ok200    = `send:HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n`
)

// clientServer captures on both hosts' own interfaces.
var clientServer = []Capture{{At: "client"}, {At: "server"}}

// delayedAcks lists pure ACKs that came late after the segment they cover;
// seconds must lie between the path's round trip and the 40 ms of delay.
func delayedAcks(seconds string, atLeast int) Evidence {
	return Evidence{
		Says:    "pure ACKs that left the writer waiting; the next bytes of the message follow each of them at once",
		Filter:  "tcp.len == 0 && tcp.flags.fin == 0 && tcp.analysis.ack_rtt > " + seconds,
		Fields:  append(append([]string(nil), wire...), "tcp.analysis.acks_frame", "tcp.analysis.ack_rtt"),
		AtLeast: atLeast,
	}
}

// noDelayedAcks is the opposite: nobody waited for an ACK.
func noDelayedAcks(seconds string) Evidence {
	e := delayedAcks(seconds, 0)
	e.Says, e.AtMost = "no pure ACK came late", -1
	return e
}

// ladder shows the first segments of stream 0.
func ladder(first, last int) Evidence {
	return Evidence{
		Says:    "the segments of one exchange",
		Filter:  fmt.Sprintf("tcp.stream == 0 && frame.number >= %d && frame.number <= %d", first, last),
		AtLeast: 1,
	}
}

func latencyScenarios() []*Scenario {
	lat001 := []string{"LAT001"}
	return []*Scenario{
		{
			Name: "lat001-python-two-writes", Family: Firing, Rules: lat001,
			Title:    "a Python client writes head and body apart: each POST waits for a delayed ACK",
			Story:    "A hand-written client sends eight POSTs over one connection, the head in one send() and the body in the next, with Nagle's algorithm on. Once the Go server has answered the first request its kernel treats the connection as interactive and delays ACKs by 40 ms; the body waits that long in the client's kernel.",
			Programs: []string{"raw-py", "go"}, Captures: []Capture{{At: "client"}, {At: "server"}, {At: "middle", Format: "pcapng"}},
			Expect: "about 7 times 40 ms on one connection",
			Serve:  func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "repeat:8", postHead, postBody, "message", "done")...)
			},
			Evidence: []Evidence{delayedAcks("0.02", 5), ladder(8, 16)},
		},
		{
			Name: "lat001-go-nagle-nginx", Family: Firing, Rules: lat001,
			Title:    "a Go client with Nagle switched on posts to nginx over a 30 ms path",
			Story:    "Go sets TCP_NODELAY on every connection; this client undoes that with SetNoDelay(false) and writes head and body apart. nginx hands requests to a Go program on its own host, once it has their bodies. The ACK delay comes on top of the round trip, so a rule must take the path's share out: at the client the ACK arrives about 70 ms after the head, at the server it leaves after 40 ms.",
			Programs: []string{"go", "nginx"}, Captures: []Capture{{At: "client"}, {At: "middle"}, {At: "server", Format: "pcap-ns"}},
			Link:   LinkConfig{Delay: 15 * time.Millisecond},
			Expect: "about 6 times 40 ms on one connection",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 9000, l.Go("serve", "127.0.0.1:9000")...)
				l.Nginx(l.Server, 80, "", "location / { proxy_pass http://127.0.0.1:9000; }")
			},
			Drive:    func(l *Lab) { l.Run(l.Client, l.Go("upload", l.HostPort(l.Server, 80), "8")...) },
			Evidence: []Evidence{delayedAcks("0.035", 4), ladder(8, 16)},
		},
		{
			Name: "lat001-python-http-server", Family: Firing, Rules: lat001,
			Title:    "Python's http.server writes head and body apart: curl's kernel delays the ACK between them",
			Story:    "BaseHTTPRequestHandler flushes the header block, then the handler writes the body; the socket has Nagle on. curl fetches eight documents over one connection. Here the server is the writer at fault and the client's kernel delays the ACK.",
			Programs: []string{"python", "curl"}, Captures: clientServer,
			Expect: "about 6 times 40 ms on one connection, writer: server",
			Serve:  func(l *Lab) { l.Serve(l.Server, 8000, l.Python("httpserver.py", "two-writes", "8000")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8000, "/doc/[1-8]"))
			},
			Evidence: []Evidence{delayedAcks("0.02", 4), ladder(8, 16)},
		},
		{
			Name: "lat001-java-httpserver", Family: Firing, Rules: lat001,
			Title:    "the JDK's HttpServer writes head and body apart, Java's HttpClient waits",
			Story:    "com.sun.net.httpserver leaves Nagle on (its property sun.net.httpserver.nodelay is off by default) and sends the header block before the body stream. java.net.http.HttpClient fetches ten documents one after the other over one connection.",
			Programs: []string{"java"}, Captures: clientServer, IPVersion: 6,
			Expect: "several times 40 ms on one connection, writer: server",
			Serve:  func(l *Lab) { l.Serve(l.Server, 8001, l.Java("JdkServer.java", "8001")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Java("JdkClient.java", "httpclient", l.URL(l.Server, 8001, "/doc"), "10")...)
			},
			Evidence: []Evidence{delayedAcks("0.02", 3)},
		},
		{
			Name: "lat001-java-socket", Family: Firing, Rules: lat001,
			Title:    "a Java client on a plain Socket writes head and body apart",
			Story:    "java.net.Socket leaves TCP_NODELAY off. The client writes the request head, flushes, writes the body, flushes; a Node server answers.",
			Programs: []string{"java", "node"}, Captures: []Capture{{At: "client"}, {At: "server", Iface: "any"}},
			Expect: "about 7 times 40 ms on one connection",
			Serve:  func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Java("JdkClient.java", "socket", l.URL(l.Server, 3000, "/orders"), "8")...)
			},
			Evidence: []Evidence{delayedAcks("0.02", 4)},
		},
		{
			Name: "lat001-node-raw-loopback", Family: Firing, Rules: lat001,
			Title:    "on one machine, over loopback: a Node net.Socket client against Python's http.server",
			Story:    "Both programs run on one host and talk over lo. Node's net.Socket leaves Nagle on unless told otherwise, and the client writes head and body apart.",
			Programs: []string{"raw-node", "python"}, Captures: []Capture{{At: "client", Iface: "lo"}, {At: "client", Iface: "any"}},
			Expect: "about 7 times 40 ms on one connection",
			Serve:  func(l *Lab) { l.Serve(l.Client, 8000, l.Python("httpserver.py", "one-write", "8000")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", "127.0.0.1", "8000", "repeat:8", postHead, "sleep:1", postBody, "message", "done")...)
			},
			Evidence: []Evidence{delayedAcks("0.02", 4)},
		},
		{
			Name: "lat001-tls-python", Family: Firing, Rules: lat001,
			Title:    "the same over TLS: two records for one request, the second waits for a delayed ACK",
			Story:    "Client and server are Python on TLS. Each write becomes a TLS record of its own; the second record of each request leaves only when the first was acknowledged. Heads are encrypted: the evidence is two records of one side with no data of the other between them.",
			Programs: []string{"raw-py"}, Captures: clientServer, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Expect: "about 7 times 40 ms on one connection, TLS",
			Serve: func(l *Lab) {
				crt, _ := l.Certificate("shop.test")
				l.Serve(l.Server, 443, l.Python("rawpeer.py", "listen", "0.0.0.0", "443", "tls:"+crt[:len(crt)-4], "repeat:9", "message", ok200, "done", "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "443", "tls:shop.test", "repeat:8", postHead, postBody, "message", "done")...)
			},
			Evidence: []Evidence{delayedAcks("0.025", 4)},
		},
		{
			Name: "lat001-silent-python-requests", Family: Silent, SilentFor: lat001,
			Title:    "python3-requests writes head and body apart, but with TCP_NODELAY",
			Story:    "http.client, under requests, sends the request's head and body in two calls and sets TCP_NODELAY. Both segments leave at once, so the receiver's delayed ACK costs nothing.",
			Programs: []string{"requests", "go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "post", l.URL(l.Server, 8080, "/orders"), "8")...)
			},
			Evidence: []Evidence{ladder(4, 14)},
		},
		{
			Name: "lat001-silent-slow-application", Family: Silent, SilentFor: lat001,
			Title:    "the second write comes 100 ms later because the application was slow",
			Story:    "The client writes the head, thinks for 100 ms, and writes the body. The server's kernel delays its ACK of the head by 40 ms, but the body leaves some 60 ms after that ACK: Nagle held nothing back.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "repeat:6", postHead, "sleep:100", postBody, "message", "done")...)
			},
			Evidence: []Evidence{{
				Says:    "late ACKs, but the body left long after them",
				Filter:  "tcp.len == 26 && tcp.time_delta > 0.05",
				Fields:  append(append([]string(nil), wire...), "tcp.time_delta"),
				AtLeast: 4,
			}, ladder(8, 16)},
		},
		{
			Name: "lat001-silent-full-sized-body", Family: Silent, SilentFor: lat001,
			Title:    "the second write fills segments, so Nagle lets it go",
			Story:    "The client writes the head, then a body of exactly two full segments; a full-sized segment never waits. The receiver acknowledges every second segment at once.",
			Programs: []string{"raw-go", "go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "nagle", "repeat:8",
					`send:POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2896\r\n\r\n`, "fill:2896", "message", "done")...)
			},
			Evidence: []Evidence{noDelayedAcks("0.02"), ladder(4, 14)},
		},
		{
			Name: "lat001-silent-one-write", Family: Silent, SilentFor: lat001,
			Title:    "head and body in one write",
			Story:    "The same requests as in lat001-python-two-writes, each written by one call, from a Node client to nginx at 20 ms round trip.",
			Programs: []string{"raw-node", "nginx"}, Captures: clientServer, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Serve: func(l *Lab) { l.Nginx(l.Server, 80, "", "location / { return 201 \"made\\n\"; }") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "80", "repeat:8", postOne, "message", "done")...)
			},
			Evidence: []Evidence{noDelayedAcks("0.035"), ladder(4, 12)},
		},
		{
			Name: "lat001-silent-window-closed", Family: Silent, SilentFor: lat001, Also: []string{"LAT007"},
			Title:    "the rest of the body waits for the receiver's window, not for an ACK",
			Story:    "The server has a small receive buffer and reads nothing for 300 ms. The client's body fills the window; its small remainder leaves when the window opens. The stall is the reader's.",
			Programs: []string{"raw-py", "raw-go"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "rcvbuf:4096", "repeat:3", "head", "sleep:300", "bytes:9000", ok200, "done", "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "nagle", "repeat:3",
					`send:POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 9000\r\n\r\n`, "fill:8900", "fill:100", "message", "done")...)
			},
			Evidence: []Evidence{{Says: "the receiver closed its window", Filter: "tcp.analysis.zero_window || tcp.analysis.window_full", AtLeast: 1}},
		},
		{
			Name: "lat001-silent-quick-acks", Family: Silent, SilentFor: lat001, Also: []string{"LAT006"},
			Title:    "two writes over a 60 ms path whose receiver acknowledges at once",
			Story:    "Each request has a connection of its own. On a fresh connection Linux acknowledges the first segments at once, so the body waits one round trip and no longer: the ACK is late by distance, not by delay.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer, Link: LinkConfig{Delay: 30 * time.Millisecond},
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "connections:5", "every:300", postHead, postBody, "message")...)
			},
			Evidence: []Evidence{noDelayedAcks("0.08"), ladder(1, 10)},
		},
	}
}
