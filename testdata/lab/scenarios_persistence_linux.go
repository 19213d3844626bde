package main

import (
	"fmt"
	"syscall"
	"time"
)

// persistenceScenarios are about who believes that a connection goes on: HTTP/1.0
// and its tokens, close and what follows it, time-outs that are nearly met.
func persistenceScenarios() []*Scenario {
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	nginxOK := func(http string) func(*Lab) {
		return func(l *Lab) { l.Nginx(l.Server, 80, http, "location / { return 200 \"ok\\n\"; }") }
	}
	py := func(l *Lab, port string, steps ...string) {
		l.Run(l.Client, l.Python("rawpeer.py", append([]string{"connect", l.Server.IP4, port}, steps...)...)...)
	}
	listen := func(program string, steps ...string) func(*Lab) {
		return func(l *Lab) {
			at := []string{"listen", "0.0.0.0", "8080"}
			switch program {
			case "go":
				l.Serve(l.Server, 8080, l.Go("raw", append(at, steps...)...)...)
			case "node":
				l.Serve(l.Server, 8080, l.Node("rawpeer.js", append(at, steps...)...)...)
			default:
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", append(at, steps...)...)...)
			}
		}
	}
	const (
		kept10  = `send:HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nok\n`
		plain10 = `send:HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n`
		closes  = `send:HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n`
		get10   = `send:GET /a HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n`
	)
	versions := Evidence{Says: "versions and Connection fields", Filter: "http", AtLeast: 4,
		Options: []string{"-d", "tcp.port==8080,http", "-d", "tcp.port==3128,http"},
		Fields:  []string{"frame.number", "frame.time_relative", "tcp.stream", "http.request.method", "http.request.uri", "http.request.version", "http.response.version", "http.response.code", "http.connection"}}
	proxied10 := func(l *Lab) {
		to := l.Server.addrOnWire(2) + ":8080"
		ask := `send:GET http://` + to + `/a HTTP/1.0\r\nHost: ` + to + `\r\nConnection: keep-alive\r\n\r\n`
		l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Proxy.IP4, "3128", "repeat:3", ask, "message", "sleep:50", "done")...)
	}
	return []*Scenario{
		{
			Name: "ka006-node-drops-the-token", Family: Firing, Rules: []string{"KA006"}, Link: LinkConfig{Delay: 8 * time.Millisecond},
			Title:    "an HTTP/1.0 server agrees to persist once, then no more, and the client goes on",
			Story:    "The first answer carries Connection: keep-alive, the second does not; the third request is sent all the same.",
			Programs: []string{"raw-node", "raw-py"}, Captures: clientServer, Expect: "1, severity warning",
			Serve:    listen("node", "head", kept10, "head", plain10, "head", plain10, "eof"),
			Drive:    func(l *Lab) { py(l, "8080", "repeat:3", get10, "message", "sleep:60", "done") },
			Evidence: []Evidence{versions, handshakes(1)},
		},
		{
			Name: "ka006-silent-ab-apache", Family: Silent, SilentFor: []string{"KA006", "KA010"},
			Title:    "HTTP/1.0 keep-alive, asked for and confirmed each time",
			Story:    "ab -k speaks HTTP/1.0; Apache answers each request with Connection: Keep-Alive.",
			Programs: []string{"ab", "apache2"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Apache(l.Server, 8080, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, "ab", "-k", "-q", "-n", "12", "-c", "2", l.URL(l.Server, 8080, "/small.txt"))
			},
			Evidence: []Evidence{versions, handshakes(2)},
		},
		{
			Name: "ka006-silent-curl-http10", Family: Silent, SilentFor: []string{"KA006", "KA007"},
			Title:    "an HTTP/1.0 server that says nothing, and a client that does not presume",
			Story:    "Python's http.server speaks HTTP/1.0 and closes after each answer; curl opens a connection for each of three files.",
			Programs: []string{"curl", "python"}, Captures: clientServer, Also: []string{"FRM001"},
			Serve: func(l *Lab) { l.Serve(l.Server, 8000, l.Python("httpserver.py", "http10", "8000")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-gsS", "--http1.0", "-o", "/dev/null", l.URL(l.Server, 8000, "/a"), "-o", "/dev/null", l.URL(l.Server, 8000, "/b"), "-o", "/dev/null", l.URL(l.Server, 8000, "/c"))
			},
			Evidence: []Evidence{startLines(3), handshakes(3)},
		},
		{
			Name: "ka006-silent-confirmed-to-11", Family: Silent, SilentFor: []string{"KA006"},
			Title:    "an HTTP/1.1 client and an HTTP/1.0 server that confirms",
			Story:    "python3-requests sends Connection: keep-alive with each request, the server answers HTTP/1.0 with the same token: agreed.",
			Programs: []string{"requests", "raw-go"}, Captures: clientServer,
			Serve: listen("go", "repeat:5", "head", kept10, "done", "eof"),
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 8080, "/a"), "4", "30")...)
			},
			Evidence: []Evidence{versions, handshakes(1)},
		},
		{
			Name: "ka007-silent-crossed", Family: Silent, SilentFor: []string{"KA007", "KA001"}, Also: []string{"PIP002", "PIP003"}, Link: LinkConfig{Delay: 30 * time.Millisecond},
			Title:    "the next request had left before the response that says close was known",
			Story:    "The client pipelines a second GET 10 ms after the first; the answer that closes crosses it on the 60 ms path. Only the request's ack tells: it does not cover the response.",
			Programs: []string{"raw-py", "raw-go"}, Captures: []Capture{{At: "client"}, {At: "middle"}, {At: "server"}},
			Serve:    listen("go", "head", "sleep:80", closes, "fin", "eof"),
			Drive:    func(l *Lab) { py(l, "8080", "nodelay", getA, "sleep:10", getB, "message", "eof") },
			Evidence: []Evidence{order("8080", 3)},
		},
		{
			Name: "ka007-silent-new-connection", Family: Silent, SilentFor: []string{"KA007", "KA008"}, Also: []string{"REU001"},
			Title:    "close is said, and the next request takes a new connection",
			Story:    "urllib announces Connection: close with every request; Apache closes after the answer.",
			Programs: []string{"python", "apache2"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "urllib", l.URL(l.Server, 80, "/small.txt"), "4", "40")...)
			},
			Evidence: []Evidence{handshakes(4), startLines(8)},
		},
		{
			Name: "ka008-node-keeps-open", Family: Firing, Rules: []string{"KA008"}, IPVersion: 6,
			Title:    "a Node server says close and forgets to",
			Story:    "The socket stays open for seven seconds after the answer, until the client gives up.",
			Programs: []string{"raw-node", "raw-go"}, Captures: clientServer, Expect: "1, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("rawpeer.js", "listen", "::", "8080", "head", closes, "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP6, "8080", getA, "message", "sleep:7000", "close")...)
			},
			Evidence: []Evidence{idle(3), {Says: "the client's FIN after the silence", Filter: "tcp.dstport == 8080 && tcp.flags.fin == 1 && tcp.time_delta > 5", AtLeast: 1}},
		},
		{
			Name: "ka008-silent-client-first", Family: Silent, SilentFor: []string{"KA008"},
			Title:    "close is said, and the client closes first",
			Story:    "curl takes the hint at once; the server, which would have waited six seconds, has nothing left to honour.",
			Programs: []string{"curl", "raw-py"}, Captures: clientServer,
			Serve: listen("py", "head", closes, "eof", "sleep:100", "close"),
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8080, "/a"))
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8080, "/b"))
			},
			Evidence: []Evidence{handshakes(2), closers(4)},
		},
		{
			Name: "ka009-curl-nginx", Family: Firing, Rules: []string{"KA009"},
			Title:    "curl closes after its last answer without having said so",
			Story:    "As nearly every client does: the rule is off unless it is selected.",
			Programs: []string{"curl", "nginx"}, Captures: clientServer, Expect: "2, severity info, only when the rule is selected",
			Serve: nginxOK(""),
			Drive: func(l *Lab) {
				for range 2 {
					l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 80, "/[1-3]"))
				}
			},
			Evidence: []Evidence{finsFrom("client", "80", 2), startLines(12)},
		},
		{
			Name: "ka009-go-go", Family: Firing, Rules: []string{"KA009"},
			Title:    "Go's client closes its idle connection right after the answer",
			Story:    "CloseIdleConnections when the work is done.",
			Programs: []string{"go"}, Captures: clientServer, Expect: "1, severity info, only when the rule is selected",
			Serve: goServer, Drive: func(l *Lab) { l.Run(l.Client, l.Go("get", l.URL(l.Server, 8080, "/a"), "3")...) },
			Evidence: []Evidence{finsFrom("client", "8080", 1), startLinesOn("8080", 6)},
		},
		{
			Name: "ka009-silent-said-so", Family: Silent, SilentFor: []string{"KA009"},
			Title:    "the last request says close",
			Story:    "A hand-written client sends close with its third request and closes when the answer is in; another is HTTP/1.0 without keep-alive, where nothing needs saying.",
			Programs: []string{"raw-py", "go", "curl"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				py(l, "8080", getA, "message", getB, "message", `send:GET /c HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n`, "message", "close")
				l.Run(l.Client, "curl", "-sS", "--http1.0", "-o", "/dev/null", l.URL(l.Server, 8080, "/d"))
			},
			Evidence: []Evidence{startLinesOn("8080", 8), closers(4)},
		},
		{
			Name: "ka009-silent-kept-a-while", Family: Silent, SilentFor: []string{"KA009"},
			Title:    "the client keeps the connection for a while before it closes",
			Story:    "A second of idleness passes after the last answer: a pool that gave up hope, not a client that knew.",
			Programs: []string{"raw-go", "nginx"}, Captures: clientServer, Serve: nginxOK(""),
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "80", "repeat:2", getA, "message", "sleep:1200", "done")...)
			},
			Evidence: []Evidence{idle(5)},
		},
		{
			Name: "ka010-squid", Family: Firing, Rules: []string{"KA010"}, Proxied: true,
			Title:    "squid persists with an HTTP/1.0 client because it asked for keep-alive",
			Story:    "A proxy cannot know whether the token came from the client or was passed on by an older proxy that did not understand it.",
			Programs: []string{"raw-py", "squid", "go"}, Captures: []Capture{{At: "client"}, {At: "proxy", Iface: "any"}}, Expect: "1, severity warning",
			Serve: func(l *Lab) { goServer(l); l.Squid(l.Proxy, 3128, "") }, Drive: proxied10,
			Evidence: []Evidence{versions},
		},
		{
			Name: "ka010-apache", Family: Firing, Rules: []string{"KA010"}, Proxied: true,
			Title:    "Apache as a forward proxy does the same",
			Story:    "ProxyRequests On; three HTTP/1.0 requests in absolute form on one connection.",
			Programs: []string{"raw-py", "apache2", "go"}, Captures: []Capture{{At: "client"}, {At: "proxy", Iface: "any"}}, Expect: "1, severity warning",
			Serve: func(l *Lab) {
				goServer(l)
				l.Apache(l.Proxy, 3128, []string{"proxy", "proxy_http"}, "ProxyRequests On\n")
			},
			Drive: proxied10, Evidence: []Evidence{versions, {Says: "one connection to the proxy", Filter: "tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.dstport == 3128", AtLeast: 1, AtMost: 1}},
		},
		{
			Name: "ka010-silent-tinyproxy", Family: Silent, SilentFor: []string{"KA010"}, Proxied: true,
			Title:    "tinyproxy closes after each answer",
			Story:    "The same HTTP/1.0 requests, each on a connection of its own since the proxy keeps none.",
			Programs: []string{"curl", "tinyproxy", "go"}, Captures: []Capture{{At: "client"}, {At: "proxy", Iface: "any"}}, Also: []string{"HOP003"},
			Serve: func(l *Lab) { goServer(l); l.Tinyproxy(l.Proxy, 3128) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "--http1.0", "-H", "Connection: keep-alive", "-x", l.URL(l.Proxy, 3128, ""), "http://"+l.Server.addrOnWire(2)+":8080/[1-3]")
			},
			Evidence: []Evidence{versions},
		},
		{
			Name: "ka010-silent-http11-client", Family: Silent, SilentFor: []string{"KA010", "HOP003"}, Proxied: true,
			Title:    "squid persists with an HTTP/1.1 client",
			Story:    "python3-requests through squid: persistence is the default of its version, whatever the token says.",
			Programs: []string{"requests", "squid", "go"}, Captures: []Capture{{At: "client"}, {At: "proxy", Iface: "any"}},
			Serve: func(l *Lab) { goServer(l); l.Squid(l.Proxy, 3128, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "proxied", "http://"+l.Server.addrOnWire(2)+":8080/a", "4", "20", l.URL(l.Proxy, 3128, ""))...)
			},
			Evidence: []Evidence{versions},
		},
		{
			Name: "ka011-nginx-two-seconds", Family: Firing, Rules: []string{"KA011"},
			Title:    "reuse after 1.75 s of the two that nginx advertises",
			Story:    "keepalive_timeout 2s 2s sends Keep-Alive: timeout=2. Five requests from a Go program with a timer.",
			Programs: []string{"nginx", "raw-go"}, Captures: clientServer, Expect: "1 pair, severity info",
			Serve: nginxOK("keepalive_timeout 2s 2s;"),
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "80", "repeat:5", getA, "message", "sleep:1750", "done")...)
			},
			Evidence: []Evidence{handshakes(1), idle(10), {Says: "what is advertised", Filter: "tcp contains \"timeout=2\"", AtLeast: 5}},
		},
		{
			Name: "ka011-silent-half-time", Family: Silent, SilentFor: []string{"KA011", "KA004"},
			Title:    "reuse after half of the advertised time",
			Story:    "Apache says timeout=2, the client comes back every second.",
			Programs: []string{"apache2", "raw-go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Apache(l.Server, 80, nil, "KeepAliveTimeout 2\n") },
			Drive: func(l *Lab) {
				ask := `send:GET /small.txt HTTP/1.1\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n`
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "80", "repeat:5", ask, "message", "sleep:1000", "done")...)
			},
			Evidence: []Evidence{handshakes(1), idle(10), {Says: "what is advertised", Filter: "tcp contains \"timeout=2\"", AtLeast: 5}},
		},
		{
			Name: "ka004-silent-closed-by-client", Family: Silent, SilentFor: []string{"KA004", "KA005"},
			Title:    "the client closes long before the advertised time-out",
			Story:    "Node says timeout=5; Go's client leaves after a tenth of a second. No promise was broken.",
			Programs: []string{"node", "raw-go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "3000", "connections:3", getA, "message", "sleep:100", "close")...)
			},
			Evidence: []Evidence{idle(6), {Says: "what is advertised", Filter: "tcp contains \"timeout=5\"", AtLeast: 3}},
		},
		{
			Name: "ka001-nginx-upstream-node", Family: Firing, Rules: []string{"KA001"}, Also: []string{"KA004"}, Proxied: true, BackLink: LinkConfig{Delay: 60 * time.Millisecond},
			Title:    "nginx's upstream pool keeps connections longer than Node does",
			Story:    "Node closes after two seconds, nginx would keep its upstream connection for sixty. A request goes out while Node's FIN is on its way; nginx repeats the GET on another connection, and the client sees nothing but a slow answer.",
			Programs: []string{"nginx", "node", "requests"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "server"}}, Expect: "1, severity error, GET: safe to retry",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 3000, l.Node("server.js", "3000", "short-idle")...)
				l.Nginx(l.Proxy, 80, "upstream up { server "+l.Server.addrOnWire(2)+":3000; server "+l.Server.addrOnWire(2)+":3000; keepalive 4; }",
					"location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr; }")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Proxy, 80, "/a"), "2", "1940")...)
			},
			Evidence: []Evidence{idle(4), finsFrom("server", "3000", 1), {Says: "the server's answer to the late request", Filter: "tcp.flags.reset == 1 && tcp.srcport == 3000", AtLeast: 1}},
		},
		{
			Name: "ka002-silent-late-ack-of-fin", Family: Silent, SilentFor: []string{"KA001", "KA002"},
			Title:    "the request went out, was answered, and then came the server's FIN",
			Story:    "The time-out falls right behind an answer: nothing was lost, though FIN and last response are close.",
			Programs: []string{"raw-py", "requests"}, Captures: clientServer, Link: LinkConfig{Delay: 30 * time.Millisecond},
			Serve: listen("py", "head", ok200, "head", ok200, "sleep:300", "close"),
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 8080, "/a"), "2", "500")...)
			},
			Evidence: []Evidence{idle(5), noResets()},
		},

		// Endings that look worse than they are.
		{
			Name: "cls002-silent-apache-drains", Family: Silent, SilentFor: []string{"CLS002"}, Offload: true,
			Title:    "Apache refuses an upload and reads it to the end",
			Story:    "405 for a POST to a file; Apache discards the body before the next request on the same connection.",
			Programs: []string{"apache2", "curl"}, Captures: clientServer, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Serve: func(l *Lab) { l.Apache(l.Server, 8080, nil, "LimitRequestBody 1024\n") },
			Drive: func(l *Lab) {
				l.File("big.bin", string(make([]byte, 48<<10)))
				l.Try(l.Client, "curl", "-sS", "-o", "/dev/null", "-H", "Expect:", "--data-binary", "@big.bin", l.URL(l.Server, 8080, "/small.txt"))
			},
			Evidence: []Evidence{{Says: "the refusal", Filter: "tcp contains \"HTTP/1.1 4\"", AtLeast: 1}, {Says: "no reset of the server", Filter: "tcp.flags.reset == 1 && tcp.srcport == 8080", AtMost: -1}},
		},
		{
			Name: "cls003-silent-refused", Family: Silent, SilentFor: []string{"CLS003", "CLS006"}, Also: []string{"REU007"},
			Title:    "resets that answer a SYN",
			Story:    "Nobody listens on the port: these resets end no connection.",
			Programs: []string{"curl", "wget"}, Captures: clientServer,
			Drive: func(l *Lab) {
				l.Try(l.Client, "curl", "-sS", "--retry", "2", "--retry-delay", "1", "--retry-connrefused", l.URL(l.Server, 81, "/a"))
				l.Try(l.Client, "wget", "-q", "-t", "1", "-O", "/dev/null", l.URL(l.Server, 81, "/a"))
			},
			Evidence: []Evidence{resets("server", "81", 3)},
		},
		{
			Name: "cls003-silent-fin-then-reset", Family: Silent, SilentFor: []string{"CLS003", "CLS006", "TLS002"}, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Title:    "curl leaves a TLS 1.2 connection; the server's late close_notify meets a closed socket",
			Story:    "curl sends close_notify and FIN; Go answers with its own close_notify, for which curl's kernel has only a reset. The FIN came first.",
			Programs: []string{"curl", "go"}, Captures: clientServer,
			Serve: func(l *Lab) {
				crt, key := l.Certificate("shop.test")
				l.Serve(l.Server, 443, l.Go("serve-tls", ":443", crt, key)...)
			},
			Drive: func(l *Lab) {
				for range 2 {
					l.Run(l.Client, "curl", "-sSk", "--http1.1", "--tls-max", "1.2", "--resolve", "shop.test:443:"+l.Server.IP4, "-o", "/dev/null", "https://shop.test/a")
				}
			},
			Evidence: []Evidence{{Says: "alerts", Filter: "tls.record.content_type == 21", AtLeast: 2}, finsFrom("client", "443", 2), closers(2)},
		},
		{
			Name: "cls004-silent-half-close", Family: Silent, SilentFor: []string{"CLS004", "CLS001"},
			Title:    "a FIN while the request is outstanding, and the answer still comes",
			Story:    "A Node client half-closes after its request; nginx's slow backend answers 300 ms later and the client reads it.",
			Programs: []string{"raw-node", "nginx", "go"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 9000, l.Go("serve", "127.0.0.1:9000")...)
				l.Nginx(l.Server, 8080, "", "location / { proxy_pass http://127.0.0.1:9000; proxy_ignore_client_abort on; }")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", "connections:2", `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "fin", "eof")...)
			},
			Evidence: []Evidence{order("8080", 4), closers(4)},
		},
		{
			Name: "cls004-silent-reset-when-done", Family: Silent, SilentFor: []string{"CLS004", "CLS006"}, Also: []string{"CLS003"},
			Title:    "a client resets right after the last byte of the answer",
			Story:    "Nothing was outstanding any more; the last chunk had come.",
			Programs: []string{"raw-go", "node"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Serve(l.Server, 8080, l.Node("server.js", "8080", "chunked")...) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "connections:2", getA, "head", "bytes:41", "reset")...)
			},
			Evidence: []Evidence{order("8080", 4), resets("client", "8080", 2)},
		},
		{
			Name: "cls005-silent-drops-and-goes-on", Family: Silent, SilentFor: []string{"CLS005"}, Also: []string{"CLS006", "REU001"},
			Title:    "a server drops three requests at once and goes on serving others",
			Story:    "A faulty handler closes without an answer. Other connections are accepted and answered all the while: a bug in one route, not a shutdown.",
			Programs: []string{"raw-py", "raw-go", "go"}, Captures: clientServer,
			Serve: listen("py", "head", ok200, "head", "sleep:400", "close"),
			Drive: func(l *Lab) {
				faulty := l.Start(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "parallel:3", getA, "message", "sleep:100", getB, "message")...)
				for range 8 {
					l.Run(l.Client, l.Go("get", l.URL(l.Server, 8080, "/c"), "1")...)
					l.Sleep(120 * time.Millisecond)
				}
				l.Wait(faulty)
			},
			Evidence: []Evidence{handshakes(11), serverCloses("8080", 3)},
		},
		{
			Name: "cls005-silent-gunicorn-term", Family: Silent, SilentFor: []string{"CLS005", "CLS006"}, Also: []string{"KA005", "REU007"},
			Title:    "gunicorn gets TERM with three requests in flight and answers them first",
			Story:    "Threads finish their work within the graceful time-out; new connections are refused.",
			Programs: []string{"gunicorn", "raw-go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Gunicorn(l.Server, 8080, "--threads", "6") },
			Drive: func(l *Lab) {
				server := l.procs[len(l.procs)-1]
				clients := l.Start(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "parallel:3", `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "message", "eof")...)
				l.Sleep(250 * time.Millisecond)
				server.Signal(syscall.SIGTERM)
				l.Wait(clients)
				l.Sleep(400 * time.Millisecond)
				l.Try(l.Client, "curl", "-sS", "-m", "2", l.URL(l.Server, 8080, "/after"))
			},
			Evidence: []Evidence{order("8080", 6), closers(3)},
		},
		{
			Name: "cls006-silent-server-shuts-after-answer", Family: Silent, SilentFor: []string{"CLS006", "KA005"},
			Title:    "answers that end with the connection, and say so",
			Story:    "gunicorn's sync workers close after every answer and announce it.",
			Programs: []string{"gunicorn", "requests"}, Captures: clientServer, Also: []string{"REU001"},
			Serve: func(l *Lab) { l.Gunicorn(l.Server, 8080) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 8080, "/a"), "4", "20")...)
			},
			Evidence: []Evidence{startLinesOn("8080", 8), {Says: "announced closes", Filter: "tcp contains \"Connection: close\"", AtLeast: 4}},
		},
	}
}

// Tinyproxy is a small forward proxy on host n.
func (l *Lab) Tinyproxy(n *Namespace, port int) *Process {
	conf := l.File("tinyproxy.conf", fmt.Sprintf("User root\nGroup root\nPort %d\nTimeout 20\nMaxClients 20\nLogFile %q\nPidFile %q\n", port, l.Path("tinyproxy.log"), l.Path("tinyproxy.pid")))
	return l.Serve(n, port, "tinyproxy", "-d", "-c", conf)
}

// Gunicorn serves programs/app.py, a WSGI application, on host n.
func (l *Lab) Gunicorn(n *Namespace, port int, options ...string) *Process {
	argv := append([]string{"gunicorn", "--chdir", l.Path("programs"), "--bind", fmt.Sprintf("0.0.0.0:%d", port), "--worker-tmp-dir", l.dir, "--log-level", "error"}, options...)
	return l.Serve(n, port, append(argv, "app:wsgi")...)
}
