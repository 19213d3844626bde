package main

import (
	"fmt"
	"time"
)

// reuseScenarios are about how many connections there are, what each costs,
// and what TLS adds to it.
func reuseScenarios() []*Scenario {
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	nginx := func(l *Lab) { l.Nginx(l.Server, 80, "", "location / { return 200 \"ok\\n\"; }") }
	far := LinkConfig{Delay: 20 * time.Millisecond}
	tlsNginx := func(version string) func(*Lab) {
		return func(l *Lab) {
			crt, key := l.Certificate("shop.test")
			l.Nginx(l.Server, 80, "", fmt.Sprintf("listen 443 ssl; ssl_protocols %s; ssl_certificate %s; ssl_certificate_key %s; location / { return 200 \"ok\\n\"; }", version, crt, key))
		}
	}
	hellos := func(n int) Evidence {
		return Evidence{Says: "ClientHellos and whether they offer a session", Filter: "tls.handshake.type == 1",
			Fields: []string{"frame.number", "frame.time_relative", "tcp.stream", "tls.handshake.extensions_server_name", "tls.handshake.extension.type"}, AtLeast: n}
	}
	bulk := func(l *Lab) {
		for _, h := range []*Namespace{l.Client, l.Server} {
			l.Sysctl(h, "net.ipv4.tcp_congestion_control", "reno")
			l.Sysctl(h, "net.ipv4.tcp_slow_start_after_idle", "1")
		}
		l.Documents()
		l.File("www/large.bin", string(make([]byte, 160<<10)))
		l.Nginx(l.Server, 80, "", "")
	}
	return []*Scenario{
		{
			Name: "reu001-requests-without-session", Family: Firing, Rules: []string{"REU001"}, Link: far,
			Title:    "requests.get() in a loop over 40 ms: a connection per request",
			Story:    "Twenty requests, twenty handshakes; with a Session one would do.",
			Programs: []string{"requests", "nginx"}, Captures: clientServer, Expect: "1 pair, 19 avoidable, severity warning",
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "sessionless", l.URL(l.Server, 80, "/a"), "20", "10")...)
			},
			Evidence: []Evidence{handshakes(20), startLines(40)},
		},
		{
			Name: "reu001-node-agent-off", Family: Firing, Rules: []string{"REU001"}, Link: far,
			Title:    "Node without keep-alive sends Connection: close",
			Story:    "The cause is in the request: Connection: close.",
			Programs: []string{"node", "go"}, Captures: clientServer, IPVersion: 6, Expect: "1 pair, 14 avoidable, cause: the client's close, severity warning",
			Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "fresh", l.URL(l.Server, 8080, "/a"), "15", "10")...)
			},
			Evidence: []Evidence{handshakes(15), startLinesOn("8080", 30)},
		},
		{
			Name: "reu001-silent-session", Family: Silent, SilentFor: []string{"REU001"}, Link: far,
			Title:    "the same twenty requests with a Session",
			Story:    "The pair of reu001-requests-without-session.",
			Programs: []string{"requests", "nginx"}, Captures: clientServer,
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/a"), "20", "10")...)
			},
			Evidence: []Evidence{handshakes(1), startLines(40)},
		},
		{
			Name: "reu001-silent-parallel", Family: Silent, SilentFor: []string{"REU001"}, Also: []string{"REU002"}, Link: far,
			Title:    "eight requests at once need eight connections",
			Story:    "Eight clients start together, one slow request each.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer,
			Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "parallel:8", `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "message")...)
			},
			Evidence: []Evidence{handshakes(8)},
		},
		{
			Name: "reu002-node-too-many", Family: Firing, Rules: []string{"REU002"},
			Title:    "twelve connections of one client at once",
			Story:    "An agent with maxSockets 12 and twelve slow requests.",
			Programs: []string{"node", "go"}, Captures: clientServer, Expect: "1 pair, peak 12, severity info",
			Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "wide", l.URL(l.Server, 8080, "/slow"), "24")...)
			},
			Evidence: []Evidence{handshakes(12)},
		},
		{
			Name: "reu003-opened-never-used", Family: Firing, Rules: []string{"REU003"},
			Title:    "connections opened ahead and never used",
			Story:    "Three are held for two seconds and closed without a request.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer, Expect: "3, severity info",
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "80", "parallel:3", "sleep:2000")...)
			},
			Evidence: []Evidence{handshakes(3), {Says: "no data", Filter: "tcp.len > 0", AtMost: -1}},
		},
		{
			Name: "reu004-go-body-not-closed", Family: Firing, Rules: []string{"REU004"}, Also: []string{"REU001", "REU002"},
			Title:    "a Go program forgets to close response bodies",
			Story:    "Each of twenty-five requests leaves its connection behind: answered, idle, never used again.",
			Programs: []string{"go"}, Captures: clientServer, Expect: "1 pair, 25 left open, severity warning",
			Serve: goServer,
			Drive: func(l *Lab) {
				l.Start(l.Client, l.Go("leak", l.URL(l.Server, 8080, "/a"), "25")...)
				l.Sleep(5 * time.Second)
			},
			Evidence: []Evidence{handshakes(25), {Says: "no connection was closed", Filter: "tcp.flags.fin == 1 || tcp.flags.reset == 1", AtMost: -1}},
		},
		{
			Name: "reu004-java-client-per-call", Family: Firing, Rules: []string{"REU004"}, Also: []string{"REU001", "REU002"},
			Title:    "a Java program makes an HttpClient per call",
			Story:    "Each client keeps its own pool, whose one connection stays open until the garbage collector comes by.",
			Programs: []string{"java", "nginx"}, Captures: clientServer, Expect: "1 pair, 20 left open, severity warning",
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Start(l.Client, l.Java("JdkClient.java", "leak", l.URL(l.Server, 80, "/a"), "20")...)
				l.Sleep(9 * time.Second)
			},
			Evidence: []Evidence{handshakes(20), {Says: "no connection was closed", Filter: "tcp.flags.fin == 1 || tcp.flags.reset == 1", AtMost: -1}},
		},
		{
			Name: "reu004-silent-pool-in-use", Family: Silent, SilentFor: []string{"REU004"}, Also: []string{"REU002"},
			Title:    "a pool of fifteen connections that are all used again",
			Story:    "Fifteen threads, a request every 250 ms each; idle in between, but not forgotten.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer,
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "80", "parallel:15", "repeat:5", getA, "message", "sleep:250", "done")...)
			},
			Evidence: []Evidence{handshakes(15), startLines(100)},
		},
		{
			Name: "reu005-close-wait", Family: Firing, Rules: []string{"REU005"},
			Title:    "three sockets left in CLOSE_WAIT",
			Story:    "nginx closed after 1 s of idleness; the client's program never closes its side.",
			Programs: []string{"nginx", "raw-py"}, Captures: clientServer, Expect: "3 at once for more than 10 s, severity warning",
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 80, "keepalive_timeout 1s;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "80", "parallel:3", getA, "message", "sleep:13000")...)
			},
			Evidence: []Evidence{serverCloses("80", 3), finsFrom("client", "80", 3)},
		},
		{
			Name: "reu006-low-request-limit", Family: Firing, Rules: []string{"REU006"},
			Title:    "nginx with keepalive_requests 5 and a busy client",
			Story:    "Six connections, each ended by the server after five requests.",
			Programs: []string{"nginx", "requests"}, Captures: clientServer, Expect: "1 server, limit 5, severity info; REU001 where the cost is high",
			Also: []string{"REU001"},
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 80, "keepalive_requests 5;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/a"), "30", "20")...)
			},
			Evidence: []Evidence{handshakes(6), serverCloses("80", 6)},
		},
		{
			Name: "reu007-refused", Family: Firing, Rules: []string{"REU007"},
			Title:    "nobody listens: SYNs refused",
			Story:    "curl --retry tries four times.",
			Programs: []string{"curl", "nginx"}, Captures: clientServer, Expect: "4 attempts, severity warning",
			Serve: nginx,
			Drive: func(l *Lab) {
				for range 4 {
					l.Try(l.Client, "curl", "-sS", l.URL(l.Server, 81, "/a"))
					l.Sleep(150 * time.Millisecond)
				}
			},
			Evidence: []Evidence{handshakes(4), {Says: "refusals", Filter: "tcp.flags.reset == 1 && tcp.flags.ack == 1 && tcp.srcport == 81", AtLeast: 4}},
		},
		{
			Name: "tls001-curl-full-handshakes", Family: Firing, Rules: []string{"TLS001"}, Also: []string{"REU001"}, Link: far,
			Title:    "a loop of curl: a full TLS 1.3 handshake each time",
			Story:    "A new process knows no sessions.",
			Programs: []string{"curl", "nginx"}, Captures: clientServer, Expect: "1 pair, 5 full handshakes after the first, severity warning",
			Serve: tlsNginx("TLSv1.3"),
			Drive: func(l *Lab) {
				for range 6 {
					l.Run(l.Client, "curl", "-sSk", "--http1.1", "--resolve", "shop.test:443:"+l.Server.IP4, "-o", "/dev/null", "https://shop.test/a")
				}
			},
			Evidence: []Evidence{handshakes(6), hellos(6)},
		},
		{
			Name: "tls001-python-tls12", Family: Firing, Rules: []string{"TLS001"}, Also: []string{"REU001", "TLS002"}, Link: far,
			Title:    "Python against a TLS 1.2 server: a certificate each time",
			Story:    "Five connections, no session kept.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer, Expect: "1 pair, 4 full handshakes after the first, severity warning",
			Serve: tlsNginx("TLSv1.2"),
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "443", "connections:5", "every:50", "tls:shop.test", getA, "message")...)
			},
			Evidence: []Evidence{handshakes(5), {Says: "certificates in the clear", Filter: "tls.handshake.type == 11", AtLeast: 5}},
		},
		{
			Name: "tls001-silent-resumed", Family: Silent, SilentFor: []string{"TLS001"}, Link: far,
			Title:    "sessions resumed: Go's client with a session cache",
			Story:    "Five TLS 1.3 connections; all but the first offer and use a pre-shared key.",
			Programs: []string{"go", "nginx"}, Captures: clientServer, Also: []string{"REU001"},
			Serve: tlsNginx("TLSv1.3"),
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("tls-resume", l.HostPort(l.Server, 443), "5")...)
			},
			Evidence: []Evidence{handshakes(5), {Says: "ServerHellos that accept a pre-shared key", Filter: "tls.handshake.type == 2 && tls.handshake.extension.type == 41", AtLeast: 4}},
		},
		{
			Name: "tw003-small-port-range", Family: Firing, Rules: []string{"TW003"}, Also: []string{"REU001", "TW001"},
			Title:    "a range of thirty ports: tuples come back while in TIME_WAIT",
			Story:    "ip_local_port_range is 40000 to 40029 in the client's namespace, and tcp_tw_reuse lets Linux take a port again after a second. Forty-five connections to nginx, closed by the client.",
			Programs: []string{"python", "nginx"}, Captures: clientServer, Expect: "1 or more, severity warning",
			Serve: func(l *Lab) {
				nginx(l)
				l.Sysctl(l.Client, "net.ipv4.ip_local_port_range", "40000 40029")
				l.Sysctl(l.Client, "net.ipv4.tcp_tw_reuse", "1")
			},
			Drive: func(l *Lab) {
				l.Try(l.Client, l.Python("session.py", "fresh", l.URL(l.Server, 80, "/"), "45", "90")...)
			},
			Evidence: []Evidence{{Says: "ports used again", Filter: "tcp.analysis.reused_ports", AtLeast: 3}},
		},
		{
			Name: "tw001-node-says-close", Family: Firing, Rules: []string{"TW001"}, Also: []string{"REU001"},
			Title:    "Node without keep-alive says close, and closes first",
			Story:    "Announcing Connection: close does not leave the closing to the server: Node's client ends its side as soon as the response is in, before Go's server does.",
			Programs: []string{"node", "go"}, Captures: []Capture{{At: "client", Snaplen: heads}, {At: "server", Snaplen: heads}}, Expect: "1 pair, severity warning",
			Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "fresh", l.URL(l.Server, 8080, "/a"), "110", "8")...)
			},
			Evidence: []Evidence{handshakes(110), finsFrom("client", "8080", 110), ladder(1, 10)},
		},
		{
			Name: "tw002-server-holds", Family: Firing, Rules: []string{"TW002"}, Also: []string{"REU001"},
			Title:    "the server closes first, a hundred times",
			Story:    "The client says close and waits until the server has closed: nginx keeps TIME_WAIT.",
			Programs: []string{"raw-py", "nginx"}, Captures: []Capture{{At: "client", Snaplen: heads}, {At: "server", Snaplen: heads}}, Expect: "1 server, severity info",
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "80", "connections:100", "every:8",
					`send:GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n`, "message", "eof")...)
			},
			Evidence: []Evidence{handshakes(100), serverCloses("80", 100), ladder(1, 10)},
		},
		{
			Name: "lat002-cold-connections", Family: Firing, Rules: []string{"LAT002"}, Also: []string{"REU001"}, Offload: true, Link: LinkConfig{Delay: 40 * time.Millisecond},
			Title:    "a download on a cold connection, again and again",
			Story:    "Four curl processes fetch 160 KiB each over 80 ms; each starts with ten segments and doubles from there, though the connection before could have gone on.",
			Programs: []string{"curl", "nginx"}, Captures: []Capture{{At: "client", Snaplen: 400}, {At: "server", Snaplen: 400}}, Expect: "1 pair, severity info",
			Serve: bulk,
			Drive: func(l *Lab) {
				for range 4 {
					l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 80, "/large.bin"))
				}
			},
			Evidence: []Evidence{handshakes(4), {Says: "data that followed an ACK or a pause by most of a round trip: flights", Filter: "tcp.len > 1000 && tcp.time_delta > 0.02 || tcp.len == 0 && tcp.time_delta > 0.02", AtLeast: 4}},
		},
		{
			Name: "lat003-slow-start-after-idle", Family: Firing, Rules: []string{"LAT003"}, Offload: true, Link: LinkConfig{Delay: 40 * time.Millisecond},
			Title:    "a warm connection goes cold after two idle seconds",
			Story:    "The same download twice on one connection with a pause; tcp_slow_start_after_idle makes the second as slow as the first.",
			Programs: []string{"raw-py", "nginx"}, Captures: []Capture{{At: "client", Snaplen: 400}, {At: "server", Snaplen: 400}}, Expect: "1, severity info",
			Serve: bulk,
			Drive: func(l *Lab) {
				large := `send:GET /large.bin HTTP/1.1\r\nHost: shop.test\r\n\r\n`
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "80", large, "message", large, "message", "sleep:2000", large, "message")...)
			},
			Evidence: []Evidence{{Says: "data that followed an ACK or a pause by most of a round trip: flights", Filter: "tcp.len > 1000 && tcp.time_delta > 0.02 || tcp.len == 0 && tcp.time_delta > 0.02", AtLeast: 4}},
		},
		{
			Name: "lat004-head-of-line", Family: Firing, Rules: []string{"LAT004"}, Also: []string{"PIP002"},
			Title:    "a quick GET waits behind a slow one",
			Story:    "Pipelined to a Go server: the first takes 300 ms, the second nothing.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer, Expect: "1, 300 ms, severity warning",
			Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", getA, "message", `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 4)},
		},
		{
			Name: "lat005-curl-expect", Family: Firing, Rules: []string{"LAT005"},
			Title:    "Expect: 100-continue to a server that does not answer it",
			Story:    "curl waits a second for 100 Continue, then sends the body all the same.",
			Programs: []string{"curl", "raw-py"}, Captures: clientServer, Expect: "1, 1 s, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "message", ok200, "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-H", "Expect: 100-continue", "-d", "some form data", l.URL(l.Server, 8080, "/form"))
			},
			Evidence: []Evidence{order("8080", 3), {Says: "the body after a second", Filter: "tcp.dstport == 8080 && tcp.len > 0 && tcp.time_delta > 0.9", AtLeast: 1}},
		},
		{
			Name: "lat007-reader-stalls", Family: Firing, Rules: []string{"LAT007"},
			Title:    "a client that stops reading for 1.5 s",
			Story:    "A small receive buffer fills; the server must wait for the window.",
			Programs: []string{"raw-py", "raw-go"}, Captures: clientServer, Expect: "1, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", `send:HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n`, "fill:40000", "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "rcvbuf:6000", getA, "sleep:1500", "message")...)
			},
			Evidence: []Evidence{{Says: "the window is closed", Filter: "tcp.analysis.zero_window", AtLeast: 1}},
		},
	}
}
