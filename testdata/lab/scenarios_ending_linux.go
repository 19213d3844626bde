package main

import (
	"syscall"
	"time"
)

// endingScenarios are connections that end badly, and their look-alikes.
func endingScenarios() []*Scenario {
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	py := func(l *Lab, steps ...string) {
		l.Run(l.Client, l.Python("rawpeer.py", append([]string{"connect", l.Server.Addr(l.V), "8080"}, steps...)...)...)
	}
	upload := func(l *Lab) {
		l.File("big.bin", string(make([]byte, 96<<10)))
		l.Try(l.Client, "curl", "-sS", "-o", "/dev/null", "-H", "Expect:", "--data-binary", "@big.bin", l.URL(l.Server, 8080, "/upload"))
	}
	// inFlight keeps four clients waiting for slow answers while the server is
	// told to end.
	inFlight := func(how syscall.Signal) func(l *Lab) {
		return func(l *Lab) {
			server := l.procs[len(l.procs)-1]
			var clients []*Process
			for range 4 {
				clients = append(clients, l.Start(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", getA, "message", "sleep:100",
					`send:POST /slow HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi`, "message", "eof")...))
			}
			l.Sleep(time.Second)
			server.Signal(how)
			for _, c := range clients {
				l.Wait(c)
			}
			l.Sleep(300 * time.Millisecond)
			l.Try(l.Client, "curl", "-sS", "-m", "2", l.URL(l.Server, 8080, "/after"))
		}
	}
	slowNginx := func(l *Lab) {
		// The slow part stands behind nginx on the same host, out of sight.
		l.Serve(l.Server, 9000, l.Python("rawpeer.py", "listen", "127.0.0.1", "9000", "message", "sleep:2500", ok200, "close")...)
		l.Nginx(l.Server, 8080, "", "location = /slow { proxy_pass http://127.0.0.1:9000; } location / { return 200 \"ok\\n\"; }")
	}
	return []*Scenario{
		{
			Name: "cls002-node-413-no-linger", Family: Firing, Rules: []string{"CLS002"},
			Title:    "a server answers 413 and closes without reading the rest: a reset chases the answer",
			Story:    "The client writes its body in pieces and reads only at the end; what arrives after the close is answered by a reset, which may destroy the 413 before the client's program has read it.",
			Programs: []string{"raw-node", "raw-py"}, Captures: clientServer, Link: LinkConfig{Delay: 20 * time.Millisecond}, Expect: "1, severity error",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("rawpeer.js", "listen", "0.0.0.0", "8080", "head", `send:HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbig\n`, "close")...)
			},
			Drive: func(l *Lab) {
				py(l, `send:POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 80000\r\n\r\n`, "repeat:10", "fill:8000", "sleep:15", "done", "message")
			},
			Evidence: []Evidence{{Says: "the answer", Filter: "tcp contains \"413 Request Entity Too Large\"", AtLeast: 1}, resets("server", "8080", 1)},
		},
		{
			Name: "cls002-go-raw-401", Family: Firing, Rules: []string{"CLS002"},
			Title:    "a server answers 401 on the head and closes with the body unread",
			Story:    "Closing a socket with unread bytes makes Linux send a reset at once.",
			Programs: []string{"raw-go", "curl"}, Captures: clientServer, Link: LinkConfig{Delay: 20 * time.Millisecond}, Expect: "1, severity error",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", `send:HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno\n`, "close")...)
			},
			Drive:    upload,
			Evidence: []Evidence{{Says: "the answer", Filter: "tcp contains \"401 Unauthorized\"", AtLeast: 1}, resets("server", "8080", 1)},
		},
		{
			Name: "cls002-silent-nginx-lingers", Family: Silent, SilentFor: []string{"CLS002"}, Offload: true,
			Title:    "the same 413 with lingering close",
			Story:    "nginx in its default settings reads and discards the rest before it closes.",
			Programs: []string{"nginx", "curl"}, Captures: clientServer, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 8080, "client_max_body_size 1k;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive:    upload,
			Evidence: []Evidence{{Says: "the answer", Filter: "tcp contains \"413 Request Entity Too Large\"", AtLeast: 1}, {Says: "no reset of the server", Filter: "tcp.flags.reset == 1 && tcp.srcport == 8080", AtMost: -1}},
		},
		{
			Name: "cls003-client-linger-zero", Family: Firing, Rules: []string{"CLS003"},
			Title:    "a client that closes with SO_LINGER 0 after its answers",
			Story:    "Nothing was lost; the server logs a reset.",
			Programs: []string{"raw-node", "go"}, Captures: clientServer, Expect: "3, severity info",
			Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", "connections:3", getA, "message", "sleep:50", "reset")...)
			},
			Evidence: []Evidence{resets("client", "8080", 3)},
		},
		{
			Name: "cls003-server-linger-zero", Family: Firing, Rules: []string{"CLS003"},
			Title:    "a server that closes idle connections with a reset",
			Story:    "Complete answers, a second of nothing, then RST instead of FIN.",
			Programs: []string{"raw-py", "raw-go"}, Captures: clientServer, Expect: "2, severity info",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "head", ok200, "sleep:700", "reset")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "connections:2", getA, "message", "eof")...)
			},
			Evidence: []Evidence{resets("server", "8080", 2)},
		},
		{
			Name: "cls004-curl-gives-up", Family: Firing, Rules: []string{"CLS004"},
			Title:    "curl -m 0.2 against answers that take longer",
			Story:    "The client ends the connection with the request outstanding; its reset follows when the answer arrives.",
			Programs: []string{"curl", "go"}, Captures: clientServer, Expect: "3 of one pair, severity info",
			Serve: goServer,
			Drive: func(l *Lab) {
				for range 3 {
					l.Try(l.Client, "curl", "-sS", "-m", "0.15", l.URL(l.Server, 8080, "/slow"))
				}
			},
			Settle:   700 * time.Millisecond,
			Evidence: []Evidence{resets("client", "8080", 3)},
		},
		{
			Name: "cls004-node-destroys-download", Family: Firing, Rules: []string{"CLS004"},
			Title:    "a client resets in the middle of a body",
			Story:    "The client has seen enough after the first bytes and resets.",
			Programs: []string{"raw-go", "raw-py"}, Captures: clientServer, Expect: "2 of one pair, severity info",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", `send:HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n`, "repeat:10", "fill:1000", "sleep:40", "done")...)
			},
			Drive:    func(l *Lab) { py(l, "connections:2", getA, "head", "bytes:1500", "reset") },
			Evidence: []Evidence{resets("client", "8080", 2)},
		},
		{
			Name: "cls005-nginx-term", Family: Firing, Rules: []string{"CLS005"},
			Title:    "nginx gets TERM with four requests in flight",
			Story:    "A fast shutdown drops every request under way; new connections are refused at once. The requests are POSTs.",
			Programs: []string{"nginx", "raw-py"}, Captures: clientServer, Expect: "4 requests lost, all not idempotent, severity error", Also: []string{"REU007"},
			Serve: slowNginx, Drive: inFlight(syscall.SIGTERM),
			Evidence: []Evidence{serverCloses("8080", 4), {Says: "refused afterwards", Filter: "tcp.flags.reset == 1 && tcp.flags.ack == 1 && tcp.srcport == 8080 && tcp.seq == 1 && tcp.len == 0", AtLeast: 1}},
		},
		{
			Name: "cls005-python-killed", Family: Firing, Rules: []string{"CLS005"}, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Title:    "a Python server is killed with four requests in flight",
			Story:    "SIGKILL: the kernel closes its sockets, here with FIN since everything had been read.",
			Programs: []string{"raw-py"}, Captures: clientServer, Expect: "4 requests lost, severity error", Also: []string{"REU007"},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "head", ok200, "message", "sleep:3000", ok200, "eof")...)
			},
			Drive:    inFlight(syscall.SIGKILL),
			Evidence: []Evidence{closers(5)},
		},
		{
			Name: "cls005-silent-nginx-quit", Family: Silent, SilentFor: []string{"CLS005", "CLS006", "KA005"}, Also: []string{"REU007"},
			Title:    "nginx gets QUIT with four requests in flight",
			Story:    "A graceful shutdown: no new connections, but every request under way is answered first.",
			Programs: []string{"nginx", "raw-py"}, Captures: clientServer,
			Serve: slowNginx, Drive: inFlight(syscall.SIGQUIT),
			Evidence: []Evidence{{Says: "the slow answers still came", Filter: "http.response && tcp.srcport == 8080 && frame.time_relative > 2", Options: []string{"-d", "tcp.port==8080,http"}, Fields: httpFields, AtLeast: 4}, closers(8)},
		},
		{
			Name: "cls006-python-drops-request", Family: Firing, Rules: []string{"CLS006"},
			Title:    "the server reads a request and closes without an answer",
			Story:    "\"Upstream prematurely closed connection\" in a proxy's log; curl says empty reply from server.",
			Programs: []string{"raw-py", "curl"}, Captures: clientServer, Expect: "2, severity error",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "head", "sleep:50", "close")...)
			},
			Drive: func(l *Lab) {
				l.Try(l.Client, "curl", "-sS", l.URL(l.Server, 8080, "/a"))
				l.Sleep(100 * time.Millisecond)
				l.Try(l.Client, "curl", "-sS", l.URL(l.Server, 8080, "/b"))
			},
			Evidence: []Evidence{closers(4), order("8080", 2)},
		},
		{
			Name: "cls006-node-drops-second", Family: Firing, Rules: []string{"CLS006"}, Proxied: true,
			Title:    "a Node backend drops every second request behind haproxy",
			Story:    "The request was not the first on its connection, so haproxy passes the close on instead of answering 502; curl connects anew and repeats the GET.",
			Programs: []string{"raw-node", "haproxy", "curl"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "server"}}, Expect: "2, once on each side of haproxy, severity error",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("rawpeer.js", "listen", "0.0.0.0", "8080", "head", ok200, "head", "sleep:40", "close")...)
				l.HAProxy(l.Proxy, 80, "frontend f\n  bind :80\n  default_backend b\nbackend b\n  http-reuse always\n  retries 0\n  server s "+l.Server.addrOnWire(2)+":8080\n")
			},
			Drive: func(l *Lab) {
				l.Try(l.Client, "curl", "-sS", l.URL(l.Proxy, 80, "/a"), l.URL(l.Proxy, 80, "/b"))
			},
			Evidence: []Evidence{order("8080", 3), closers(1)},
		},
	}
}
