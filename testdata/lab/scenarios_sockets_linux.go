package main

import (
	"fmt"
	"time"
)

// socketScenarios count sockets: more than needed, never used, left half
// closed, refused, held in TIME_WAIT; and the handshakes of TLS.
func socketScenarios() []*Scenario {
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	nginx := func(l *Lab) { l.Nginx(l.Server, 80, "", "location / { return 200 \"ok\\n\"; }") }
	far := LinkConfig{Delay: 20 * time.Millisecond}
	short := []Capture{{At: "client", Snaplen: heads}, {At: "server", Snaplen: heads}}
	tlsNginx := func(version string) func(*Lab) {
		return func(l *Lab) {
			crt, key := l.Certificate("shop.test")
			l.Nginx(l.Server, 80, "", fmt.Sprintf("listen 443 ssl; ssl_protocols %s; ssl_session_cache shared:lab:1m; ssl_certificate %s; ssl_certificate_key %s; location / { return 200 \"ok\\n\"; }", version, crt, key))
		}
	}
	tlsRecords := func(says, filter string, atLeast int) Evidence {
		return Evidence{Says: says, Filter: filter, AtLeast: atLeast,
			Fields: []string{"frame.number", "frame.time_relative", "tcp.stream", "tcp.srcport", "tcp.dstport", "tls.record.content_type", "tls.handshake.type", "tcp.flags.str"}}
	}
	py := func(l *Lab, port string, steps ...string) {
		l.Run(l.Client, l.Python("rawpeer.py", append([]string{"connect", l.Server.IP4, port}, steps...)...)...)
	}
	goRaw := func(l *Lab, port string, steps ...string) {
		l.Run(l.Client, l.Go("raw", append([]string{"connect", l.Server.IP4, port}, steps...)...)...)
	}
	noData := Evidence{Says: "no data", Filter: "tcp.len > 0", AtMost: -1}
	slow := `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n`
	saysClose := `send:GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n`
	reusedPorts := func(n int) Evidence {
		return Evidence{Says: "ports used again", Filter: "tcp.analysis.reused_ports", AtLeast: n}
	}
	return []*Scenario{
		{
			Name: "reu002-ab-ten", Family: Firing, Rules: []string{"REU002"}, Link: far,
			Title:    "ab -c 10: ten connections of one client at once",
			Story:    "A load generator stands in for a service whose pool has no limit.",
			Programs: []string{"ab", "nginx"}, Captures: clientServer, Expect: "1 pair, peak 10, severity info",
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, "ab", "-k", "-q", "-n", "60", "-c", "10", l.URL(l.Server, 80, "/a"))
			},
			Evidence: []Evidence{handshakes(10), startLines(60)},
		},
		{
			Name: "reu002-silent-chromium-six", Family: Silent, SilentFor: []string{"REU002", "REU001", "REU004"}, Link: LinkConfig{Delay: 40 * time.Millisecond},
			Title:    "a browser opens six connections and no more",
			Story:    "chromium loads a page with ten parts over 80 ms.",
			Programs: []string{"chromium", "nginx"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Nginx(l.Server, 80, "", "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--disable-background-networking",
					"--no-first-run", "--virtual-time-budget=3000", "--user-data-dir="+l.Path("profile"), "--dump-dom", l.URL(l.Server, 80, "/index.html"))
			},
			Evidence: []Evidence{{Says: "connections opened", Filter: "tcp.flags.syn == 1 && tcp.flags.ack == 0", AtLeast: 3, AtMost: 6}, startLines(20)},
		},
		{
			Name: "reu002-silent-proxy", Family: Silent, SilentFor: []string{"REU002"}, Proxied: true,
			Title:    "ten connections to the backend, all haproxy's",
			Story:    "The client here is a proxy: it adds X-Forwarded-For and carries ten clients' requests.",
			Programs: []string{"haproxy", "go", "raw-py"}, Captures: []Capture{{At: "server"}},
			Serve: func(l *Lab) {
				goServer(l)
				l.HAProxy(l.Proxy, 80, "frontend f\n  bind :80\n  option forwardfor\n  default_backend b\nbackend b\n  server s "+l.Server.addrOnWire(2)+":8080\n")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Proxy.IP4, "80", "parallel:10", slow, "message", slow, "message")...)
			},
			Evidence: []Evidence{handshakes(8), {Says: "forwarded", Filter: "tcp contains \"orwarded-\"", AtLeast: 10}},
		},
		{
			Name: "reu003-go-held-open", Family: Firing, Rules: []string{"REU003"},
			Title:    "a pool warmed up with connections that nobody asks for",
			Story:    "Two connections stand without a request for eleven seconds and are still open when the capture ends; a third is used.",
			Programs: []string{"raw-go", "nginx", "curl"}, Captures: clientServer, Expect: "2, severity info",
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Start(l.Client, l.Go("raw", "connect", l.Server.IP4, "80", "parallel:2", "sleep:60000")...)
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 80, "/a"))
				l.Sleep(11 * time.Second)
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 80, "/b"))
			},
			Evidence: []Evidence{handshakes(4), startLines(4)},
		},
		{
			Name: "reu003-silent-haproxy-checks", Family: Silent, SilentFor: []string{"REU003", "REU007"}, Also: []string{"CLS003"}, Proxied: true,
			Title:    "haproxy's TCP health checks",
			Story:    "A handshake every 300 ms, reset at once without data: a probe, not a wasted connection.",
			Programs: []string{"haproxy", "nginx", "curl"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "server"}},
			Serve: func(l *Lab) {
				nginx(l)
				l.HAProxy(l.Proxy, 80, "frontend f\n  bind :80\n  default_backend b\nbackend b\n  server s "+l.Server.addrOnWire(2)+":80 check inter 300ms\n")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Proxy, 80, "/a"))
				l.Sleep(2500 * time.Millisecond)
			},
			Evidence: []Evidence{handshakes(7), closers(7)},
		},
		{
			Name: "reu003-silent-late-request", Family: Silent, SilentFor: []string{"REU003"},
			Title:    "the first request comes three seconds after the handshake",
			Story:    "Opened ahead, and used: that is what opening ahead is for. nc -z probes the port once besides.",
			Programs: []string{"raw-py", "nginx", "nc"}, Captures: clientServer,
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Try(l.Client, "nc", "-z", "-w", "1", l.Server.IP4, "80")
				py(l, "80", "parallel:2", "sleep:3000", getA, "message")
			},
			Evidence: []Evidence{handshakes(3), startLines(4)},
		},
		{
			Name: "reu004-silent-burst", Family: Silent, SilentFor: []string{"REU004"}, Also: []string{"REU002"},
			Title:    "a burst opens fourteen connections, and the pool closes them later",
			Story:    "All were opened while all were busy; they stand idle for two and a half seconds and are closed.",
			Programs: []string{"raw-go", "go"}, Captures: clientServer,
			Serve:    goServer,
			Drive:    func(l *Lab) { goRaw(l, "8080", "parallel:14", slow, "message", "sleep:2500", "close") },
			Evidence: []Evidence{handshakes(14), finsFrom("client", "8080", 14)},
		},
		{
			Name: "reu005-go-server", Family: Firing, Rules: []string{"REU005"},
			Title:    "a Go server that never closes what its clients have closed",
			Story:    "Four curl processes come and go; the server's handler goes on waiting, its sockets stay in CLOSE_WAIT.",
			Programs: []string{"curl", "raw-go"}, Captures: clientServer, Expect: "4 at once for more than 10 s at the server, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", ok200, "eof", "sleep:60000")...)
			},
			Drive: func(l *Lab) {
				for range 4 {
					l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8080, "/a"))
				}
				l.Sleep(12 * time.Second)
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8080, "/b"))
			},
			Evidence: []Evidence{finsFrom("client", "8080", 5), {Says: "no FIN of the server", Filter: "tcp.srcport == 8080 && tcp.flags.fin == 1", AtMost: -1}},
		},
		{
			Name: "reu005-silent-long-poll", Family: Silent, SilentFor: []string{"REU005"},
			Title:    "a half-closed connection whose answer takes eleven seconds",
			Story:    "The client has nothing more to say and waits; the server is at work, not leaking.",
			Programs: []string{"raw-py", "raw-go"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", "eof", "sleep:11000", ok200, "close")...)
			},
			Drive:    func(l *Lab) { py(l, "8080", "parallel:3", getA, "fin", "eof") },
			Evidence: []Evidence{order("8080", 6), closers(6)},
		},
		{
			Name: "reu005-silent-closes-soon", Family: Silent, SilentFor: []string{"REU005"},
			Title:    "the client takes three seconds to notice that the server has closed",
			Story:    "nginx closed after 1 s of idleness; the pool cleans up on its next round.",
			Programs: []string{"nginx", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 80, "keepalive_timeout 1s;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive:    func(l *Lab) { py(l, "80", "parallel:4", getA, "message", "sleep:4000", "close") },
			Evidence: []Evidence{finsFrom("server", "80", 4), finsFrom("client", "80", 4)},
		},
		{
			Name: "reu006-apache-node", Family: Firing, Rules: []string{"REU006"}, Also: []string{"REU001"},
			Title:    "Apache with MaxKeepAliveRequests 8 and Node's agent",
			Story:    "Thirty-six requests, a new connection after every ninth: Apache does not count the first.",
			Programs: []string{"apache2", "node"}, Captures: clientServer, Expect: "1 server, limit 9, severity info",
			Serve: func(l *Lab) { l.Apache(l.Server, 80, nil, "MaxKeepAliveRequests 8\n") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "keepalive", l.URL(l.Server, 80, "/small.txt"), "36", "5")...)
			},
			Evidence: []Evidence{handshakes(4), finsFrom("server", "80", 4)},
		},
		{
			Name: "reu006-silent-client-closes", Family: Silent, SilentFor: []string{"REU006"}, Also: []string{"REU001"},
			Title:    "five connections of five requests each, ended by the client",
			Story:    "The limit is the client's own.",
			Programs: []string{"raw-go", "nginx"}, Captures: clientServer,
			Serve:    nginx,
			Drive:    func(l *Lab) { goRaw(l, "80", "connections:5", "every:20", "repeat:5", getA, "message", "done") },
			Evidence: []Evidence{handshakes(5), finsFrom("client", "80", 5)},
		},
		{
			Name: "reu006-silent-idle-time-out", Family: Silent, SilentFor: []string{"REU006"},
			Title:    "three clients ask twice each and fall idle; the server's time-out ends them",
			Story:    "Each connection carried two requests, but nothing counted them: nginx closes after a second of idleness, without having said close.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 80, "keepalive_timeout 1s;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive:    func(l *Lab) { py(l, "80", "parallel:3", getA, "message", "sleep:100", getB, "message", "eof") },
			Evidence: []Evidence{handshakes(3), idle(12), finsFrom("server", "80", 3)},
		},
		{
			Name: "reu007-syn-lost", Family: Firing, Rules: []string{"REU007"}, IPVersion: 6, SilentFor: []string{"TW003"},
			Title:    "a SYN is lost and sent again after a second",
			Story:    "The link is down for 1.3 s while curl connects: the first request takes a second longer for one packet. The same SYN on the same ports is no port used again.",
			Programs: []string{"curl", "nginx"}, Captures: []Capture{{At: "client"}}, Expect: "1, about 1 s lost, severity warning",
			Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-gsS", "-o", "/dev/null", l.URL(l.Server, 80, "/a"))
				l.links[0].down.Store(true)
				c := l.Start(l.Client, "curl", "-gsS", "-o", "/dev/null", l.URL(l.Server, 80, "/b"))
				l.Sleep(700 * time.Millisecond)
				l.links[0].down.Store(false)
				l.Wait(c)
			},
			Evidence: []Evidence{handshakes(3), {Says: "the repeated SYN", Filter: "tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.analysis.retransmission", AtLeast: 1}},
		},
		{
			Name: "reu007-silent-far-away", Family: Silent, SilentFor: []string{"REU007", "LAT001"}, Link: LinkConfig{Delay: 200 * time.Millisecond},
			Title:    "a handshake over 400 ms",
			Story:    "Slow, but answered the first time.",
			Programs: []string{"curl", "nginx"}, Captures: clientServer,
			Serve:    nginx,
			Drive:    func(l *Lab) { l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 80, "/[1-2]")) },
			Evidence: []Evidence{{Says: "one SYN", Filter: "tcp.flags.syn == 1 && tcp.flags.ack == 0", AtLeast: 1, AtMost: 1}, startLines(4)},
		},
		{
			Name: "reu007-silent-accepted-then-reset", Family: Silent, SilentFor: []string{"REU007", "CLS006"}, Also: []string{"CLS003", "REU003"},
			Title:    "accepted, then reset at once",
			Story:    "The handshake succeeds: the kernel answered, the program threw the connection away. Loopback any shows each SYN twice besides.",
			Programs: []string{"raw-py", "nc"}, Captures: []Capture{{At: "client"}, {At: "server", Iface: "any"}},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "reset")...)
			},
			Drive: func(l *Lab) {
				for range 3 {
					l.Try(l.Client, "nc", "-w", "1", l.Server.IP4, "8080")
				}
			},
			Evidence: []Evidence{handshakes(3), resets("server", "8080", 3), noData},
		},
		{
			Name: "tw002-ab-apache", Family: Firing, Rules: []string{"TW002"}, Also: []string{"REU001"},
			Title:    "ab without -k: Apache closes seventy connections",
			Story:    "HTTP/1.0 without keep-alive; the server ends each connection and keeps its TIME_WAIT.",
			Programs: []string{"ab", "apache2"}, Captures: short, Expect: "1 server, severity info",
			Serve:    func(l *Lab) { l.Apache(l.Server, 80, nil, "") },
			Drive:    func(l *Lab) { l.Run(l.Client, "ab", "-q", "-n", "70", "-c", "1", l.URL(l.Server, 80, "/small.txt")) },
			Evidence: []Evidence{handshakes(70), finsFrom("server", "80", 70), ladder(1, 10)},
		},
		{
			Name: "tw002-silent-few", Family: Silent, SilentFor: []string{"TW002"}, Also: []string{"REU001"},
			Title:    "thirty connections closed by the server",
			Story:    "A pause of 60 ms between them: too few and too slow to fill anything.",
			Programs: []string{"raw-py", "nginx"}, Captures: short,
			Serve:    nginx,
			Drive:    func(l *Lab) { py(l, "80", "connections:30", "every:60", saysClose, "message", "eof") },
			Evidence: []Evidence{handshakes(30), finsFrom("server", "80", 30)},
		},
		{
			Name: "tw002-silent-server-resets", Family: Silent, SilentFor: []string{"TW002", "TW001"}, Also: []string{"REU001", "CLS003"},
			Title:    "seventy connections that the server ends with a reset",
			Story:    "SO_LINGER 0 after each answer: nobody holds TIME_WAIT.",
			Programs: []string{"raw-go", "raw-py"}, Captures: short,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 80, l.Go("raw", "listen", "0.0.0.0", "80", "head", `send:HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n`, "sleep:3", "reset")...)
			},
			Drive:    func(l *Lab) { py(l, "80", "connections:70", "every:5", getA, "message", "eof") },
			Evidence: []Evidence{handshakes(70), resets("server", "80", 70)},
		},
		{
			Name: "tw003-server-holds", Family: Firing, Rules: []string{"TW003"}, Also: []string{"REU001"},
			Title:    "ten ports for a client whose server holds TIME_WAIT",
			Story:    "The client says close and lets nginx close first; its own ports are free at once and come back while nginx still remembers them. Linux accepts the SYN since its sequence number is higher.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer, Expect: "10 or more, held by the server, severity warning",
			Serve: func(l *Lab) {
				nginx(l)
				l.Sysctl(l.Client, "net.ipv4.ip_local_port_range", "40000 40009")
			},
			Drive:    func(l *Lab) { py(l, "80", "connections:24", "every:30", saysClose, "message", "eof", "close") },
			Evidence: []Evidence{reusedPorts(5), finsFrom("server", "80", 24)},
		},
		{
			Name: "tw003-silent-reset-before", Family: Silent, SilentFor: []string{"TW003", "TW001"}, Also: []string{"REU001", "CLS003"},
			Title:    "the same ports come back after resets",
			Story:    "Connections that ended by RST leave no TIME_WAIT behind.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer,
			Serve: func(l *Lab) {
				nginx(l)
				l.Sysctl(l.Client, "net.ipv4.ip_local_port_range", "40000 40009")
			},
			Drive:    func(l *Lab) { py(l, "80", "connections:24", "every:20", getA, "message", "reset") },
			Evidence: []Evidence{reusedPorts(5), resets("client", "80", 24)},
		},
		{
			Name: "tw003-silent-a-minute-later", Family: Silent, SilentFor: []string{"TW003"},
			Title:    "the port comes back when TIME_WAIT is over",
			Story:    "Two ports, two connections closed by the client, and two more 62 s later.",
			Programs: []string{"raw-go", "nginx"}, Captures: clientServer,
			Serve: func(l *Lab) {
				nginx(l)
				l.Sysctl(l.Client, "net.ipv4.ip_local_port_range", "40000 40001")
			},
			Drive: func(l *Lab) {
				goRaw(l, "80", "connections:2", getA, "message", "sleep:50")
				l.Sleep(62 * time.Second)
				goRaw(l, "80", "connections:2", getA, "message", "sleep:50")
			},
			Evidence: []Evidence{handshakes(4), reusedPorts(1)},
		},
		{
			Name: "tls001-silent-parallel", Family: Silent, SilentFor: []string{"TLS001"}, Link: far,
			Title:    "six connections at once: none could have known of another's session",
			Story:    "All ClientHellos leave before any handshake is done.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer, Also: []string{"TLS002"},
			Serve:    tlsNginx("TLSv1.3"),
			Drive:    func(l *Lab) { py(l, "443", "parallel:6", "tls:shop.test", getA, "message", "sleep:200") },
			Evidence: []Evidence{handshakes(6), tlsRecords("ClientHellos", "tls.handshake.type == 1", 6)},
		},
		{
			Name: "tls001-silent-openssl-reconnect", Family: Silent, SilentFor: []string{"TLS001"}, Link: far,
			Title:    "openssl s_client -reconnect resumes its TLS 1.2 session five times",
			Story:    "One full handshake, five abbreviated ones: no certificate in those.",
			Programs: []string{"openssl", "nginx"}, Captures: clientServer, Also: []string{"REU003", "TLS002"},
			Serve: tlsNginx("TLSv1.2"),
			Drive: func(l *Lab) {
				l.Try(l.Client, "sh", "-c", "openssl s_client -connect "+l.HostPort(l.Server, 443)+" -servername shop.test -tls1_2 -reconnect </dev/null")
			},
			Evidence: []Evidence{handshakes(5), {Says: "certificates in the clear", Filter: "tls.handshake.type == 11", AtLeast: 1, AtMost: 1}, tlsRecords("ServerHellos", "tls.handshake.type == 2", 5)},
		},
		{
			Name: "tls002-python-client", Family: Firing, Rules: []string{"TLS002"}, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Title:    "a Python client closes the socket under its TLS 1.2 session",
			Story:    "close() without unwrap(): the server sees FIN with no close_notify before it and cannot tell the end from a cut.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer, Expect: "2, severity info",
			Serve:    tlsNginx("TLSv1.2"),
			Drive:    func(l *Lab) { py(l, "443", "connections:2", "every:50", "tls:shop.test", getA, "message", "sleep:50") },
			Evidence: []Evidence{finsFrom("client", "443", 2), {Says: "no alert of the client", Filter: "tls.record.content_type == 21 && tcp.dstport == 443", AtMost: -1}},
		},
		{
			Name: "tls002-python-server", Family: Firing, Rules: []string{"TLS002"}, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Title:    "a Python server does the same to curl",
			Story:    "Its answer says close, the socket closes, and no close_notify was sent.",
			Programs: []string{"raw-py", "curl"}, Captures: clientServer, Expect: "2, severity info",
			Serve: func(l *Lab) {
				crt, _ := l.Certificate("shop.test")
				l.Serve(l.Server, 443, l.Python("rawpeer.py", "listen", "0.0.0.0", "443", "tls:"+crt[:len(crt)-4], "head", `send:HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n`, "close")...)
			},
			Drive: func(l *Lab) {
				for range 2 {
					l.Try(l.Client, "curl", "-sSk", "--http1.1", "--tls-max", "1.2", "--resolve", "shop.test:443:"+l.Server.IP4, "-o", "/dev/null", "https://shop.test/a")
				}
			},
			Evidence: []Evidence{finsFrom("server", "443", 2), {Says: "no alert of the server", Filter: "tls.record.content_type == 21 && tcp.srcport == 443", AtMost: -1}},
		},
		{
			Name: "tls002-silent-curl", Family: Silent, SilentFor: []string{"TLS002", "TLS001"},
			Title:    "curl ends its TLS 1.2 connection as it should",
			Story:    "An alert, then FIN; two connections to nginx.",
			Programs: []string{"curl", "nginx"}, Captures: clientServer,
			Serve: tlsNginx("TLSv1.2"),
			Drive: func(l *Lab) {
				for range 2 {
					l.Run(l.Client, "curl", "-sSk", "--http1.1", "--resolve", "shop.test:443:"+l.Server.IP4, "-o", "/dev/null", "https://shop.test/a", "-o", "/dev/null", "https://shop.test/b")
				}
			},
			Evidence: []Evidence{{Says: "alerts of the client", Filter: "tls.record.content_type == 21 && tcp.dstport == 443", AtLeast: 2}, finsFrom("client", "443", 2)},
		},
		{
			Name: "tls002-silent-nginx-times-out", Family: Silent, SilentFor: []string{"TLS002", "KA005"}, IPVersion: 6,
			Title:    "nginx closes an idle TLS 1.2 connection with close_notify",
			Story:    "Go's client with a session waits; the server's time-out ends the connection with an alert and FIN, and Go answers with its own.",
			Programs: []string{"nginx", "go"}, Captures: clientServer,
			Serve: func(l *Lab) {
				crt, key := l.Certificate("shop.test")
				l.Nginx(l.Server, 80, "keepalive_timeout 1s;", fmt.Sprintf("listen [::]:443 ssl; ssl_protocols TLSv1.2; ssl_certificate %s; ssl_certificate_key %s; location / { return 200 \"ok\\n\"; }", crt, key))
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("tls-get", "https://"+l.HostPort(l.Server, 443)+"/a", "2", "1400")...)
			},
			Evidence: []Evidence{{Says: "alerts of the server", Filter: "tls.record.content_type == 21 && tcp.srcport == 443", AtLeast: 1}, closers(2)},
		},
	}
}
