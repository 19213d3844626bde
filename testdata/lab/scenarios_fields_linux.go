package main

import (
	"strings"
	"time"
)

// fieldScenarios are near-misses in messages, pipelines and proxies: what looks
// wrong and is right, and faults of programs that were not written to show them.
func fieldScenarios() []*Scenario {
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	py := func(l *Lab, port string, steps ...string) {
		l.Run(l.Client, l.Python("rawpeer.py", append([]string{"connect", l.Server.IP4, port}, steps...)...)...)
	}
	listenPy := func(steps ...string) func(*Lab) {
		return func(l *Lab) {
			l.Serve(l.Server, 8080, l.Python("rawpeer.py", append([]string{"listen", "0.0.0.0", "8080"}, steps...)...)...)
		}
	}
	listenNode := func(steps ...string) func(*Lab) {
		return func(l *Lab) {
			l.Serve(l.Server, 8080, l.Node("rawpeer.js", append([]string{"listen", "0.0.0.0", "8080"}, steps...)...)...)
		}
	}
	sees := func(text string, atLeast int) Evidence {
		return Evidence{Says: "segments that carry " + text, Filter: "tcp contains \"" + text + "\"", AtLeast: atLeast}
	}
	twice := func(l *Lab, args ...string) {
		u := l.URL(l.Server, 8080, "/a")
		l.Run(l.Client, append(append([]string{"curl", "-sS", "-o", "/dev/null", "-o", "/dev/null"}, args...), u, u)...)
	}
	behind := func(n *Namespace) string { return n.addrOnWire(2) + ":8080" }
	return []*Scenario{
		{
			Name: "frm004-silent-coded-and-chunked", Family: Silent, SilentFor: []string{"FRM004", "FRM005"},
			Title:    "two codings, the last one chunked; and a length in a list of equal ones",
			Story:    "Transfer-Encoding: gzip, chunked ends where its last chunk says; Content-Length: 3, 3 is one length said twice, which a recipient may accept.",
			Programs: []string{"raw-py"}, Captures: clientServer,
			Serve: listenPy("head", `send:HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n14\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\r\n0\r\n\r\n`,
				"head", `send:HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nok\n`, "eof"),
			Drive:    func(l *Lab) { py(l, "8080", getA, "head", "bytes:31", getB, "head", "bytes:3") },
			Evidence: []Evidence{order("8080", 4), sees("gzip, chunked", 1), sees("3, 3", 1)},
		},
		{
			Name: "frm005-silent-odd-but-legal", Family: Silent, SilentFor: []string{"FRM005"},
			Title:    "empty values, tabs, obs-text, no reason phrase, OPTIONS *",
			Story:    "All of it is in the grammar.",
			Programs: []string{"raw-py", "raw-node"}, Captures: clientServer,
			Serve: listenNode("repeat:3", "head", `send:HTTP/1.1 200 \r\nX-Empty:\r\nx-lower:\t tab \r\nX!#$%&'*+.^_|~-: token\r\nContent-Length: 3\r\n\r\nok\n`, "done", "eof"),
			Drive: func(l *Lab) {
				py(l, "8080", `send:OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n`, "message", `send:GET http://shop.test/a?x=%20 HTTP/1.1\r\nhost: shop.test\r\nX-Name: Ren\xe9\r\n\r\n`, "message",
					`send:GET /%E2%82%AC;v=1?q=a&b=[] HTTP/1.1\r\nHOST:shop.test\r\nAccept: \r\n\r\n`, "message")
			},
			Evidence: []Evidence{order("8080", 6)},
		},
		{
			Name: "frm006-silent-304-with-length", Family: Silent, SilentFor: []string{"FRM006", "FRM001", "FRM002"},
			Title:    "304 and HEAD may say how long the body would have been",
			Story:    "Node answers HEAD with Transfer-Encoding: chunked and no chunk; Apache's 304 and another with a Content-Length have no body.",
			Programs: []string{"curl", "apache2", "node", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Apache(l.Server, 80, nil, "")
				l.Serve(l.Server, 3000, l.Node("server.js", "3000", "chunked")...)
				listenPy("repeat:2", "head", `send:HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 220\r\n\r\n`, "done", "eof")(l)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sSI", l.URL(l.Server, 3000, "/a"), l.URL(l.Server, 3000, "/b"))
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", "-z", l.Path("www/medium.txt"), l.URL(l.Server, 80, "/small.txt"), "-o", "/dev/null", l.URL(l.Server, 80, "/medium.txt"))
				twice(l, "-H", `If-None-Match: "1"`)
			},
			Evidence: []Evidence{{Says: "answers without a body", Filter: "http.response.code == 304 || tcp contains \"304 Not Modified\"", AtLeast: 3}, startLinesOn("8080", 10)},
		},
		{
			Name: "frm007-curl-post-without-data", Family: Firing, Rules: []string{"FRM007"},
			Title:    "curl -X POST without data sends no length",
			Story:    "-X changes the word and nothing else: a POST goes out like a GET.",
			Programs: []string{"curl", "nginx"}, Captures: clientServer, Expect: "2, severity info",
			Serve:    func(l *Lab) { l.Nginx(l.Server, 8080, "", "location / { return 200 \"ok\\n\"; }") },
			Drive:    func(l *Lab) { twice(l, "-X", "POST") },
			Evidence: []Evidence{order("8080", 4)},
		},
		{
			Name: "frm007-silent-lengths", Family: Silent, SilentFor: []string{"FRM007"},
			Title:    "Content-Length: 0, chunks, and methods that need no body",
			Story:    "curl -d '' says 0, curl -T - sends chunks, DELETE and GET have no body to speak of.",
			Programs: []string{"curl", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				twice(l, "-d", "")
				l.File("up.txt", "some bytes\n")
				l.Run(l.Client, "sh", "-c", "cat up.txt | curl -sS -H Expect: -T - "+l.URL(l.Server, 8080, "/up"))
				twice(l, "-X", "DELETE")
			},
			Evidence: []Evidence{startLinesOn("8080", 10)},
		},
		{
			Name: "frm007-silent-node-put", Family: Silent, SilentFor: []string{"FRM007", "FRM008"},
			Title:    "Node chunks a PUT of unknown length; interim responses come before the answers",
			Story:    "102 and 103 before the 200: three status lines for each request, one of them final.",
			Programs: []string{"raw-node", "curl"}, Captures: clientServer,
			Serve: listenNode("repeat:2", "message", `send:HTTP/1.1 102 Processing\r\n\r\n`, "sleep:30", `send:HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n`, "sleep:30", ok200, "done", "eof"),
			Drive: func(l *Lab) {
				l.File("put.txt", "known length\n")
				twice(l, "-X", "PUT", "-H", "Expect:", "--data-binary", "@put.txt")
			},
			Evidence: []Evidence{sees("103 Early Hints", 2), sees("102 Processing", 2), order("8080", 8)},
		},
		{
			Name: "pip002-go-at-once", Family: Firing, Rules: []string{"PIP002"},
			Title:    "three GETs in the first segment of a connection",
			Story:    "Nothing yet says that Apache will persist; it does.",
			Programs: []string{"raw-go", "apache2"}, Captures: clientServer, Expect: "1, severity info",
			Serve: func(l *Lab) { l.Apache(l.Server, 8080, nil, "") },
			Drive: func(l *Lab) {
				three := strings.Repeat(`GET /small.txt HTTP/1.1\r\nHost: shop.test\r\n\r\n`, 3)
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "send:"+three, "message", "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 4)},
		},
		{
			Name: "pip002-node-not-persistent", Family: Firing, Rules: []string{"PIP002"}, Also: []string{"PIP003"}, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Title:    "two GETs pipelined to a server that does not persist",
			Story:    "The answer is HTTP/1.1 with Connection: close; the second request was for nothing.",
			Programs: []string{"raw-node", "raw-py"}, Captures: clientServer, Expect: "1, severity warning",
			Serve: listenPy("head", "head", `send:HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n`, "close"),
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", `send:GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "message", "eof")...)
			},
			Evidence: []Evidence{order("8080", 2), closers(2)},
		},
		{
			Name: "pip002-silent-confirmed", Family: Silent, SilentFor: []string{"PIP002", "PIP001", "PIP003"}, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Title:    "a pipeline after the first answer showed that the server persists",
			Story:    "One GET, its answer, then three at once; from Go to Apache and from Node to nginx.",
			Programs: []string{"raw-go", "apache2", "raw-node", "nginx"}, Captures: []Capture{{At: "client"}, {At: "middle"}, {At: "server"}},
			Serve: func(l *Lab) {
				l.Apache(l.Server, 8080, nil, "")
				l.Nginx(l.Server, 80, "", "location / { return 200 \"ok\\n\"; }")
			},
			Drive: func(l *Lab) {
				one := `send:GET /small.txt HTTP/1.1\r\nHost: shop.test\r\n\r\n`
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", one, "message", one+strings.TrimPrefix(one, "send:"), "message", "message")...)
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "80", getA, "message", threeGets, "message", "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 4), order("80", 4)},
		},
		{
			Name: "pip002-silent-back-to-back", Family: Silent, SilentFor: []string{"PIP002", "PIP001"}, IPVersion: 6, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Title:    "each GET leaves the moment the answer before it is in",
			Story:    "At the server the second request arrives 40 ms after the first answer left, so early that only its ack tells that the client had it.",
			Programs: []string{"raw-go", "nginx"}, Captures: []Capture{{At: "client"}, {At: "middle"}, {At: "server"}},
			Serve: func(l *Lab) { l.Nginx(l.Server, 8080, "", "location / { return 200 \"ok\\n\"; }") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP6, "8080", "repeat:5", getA, "message", "done")...)
			},
			Evidence: []Evidence{order("8080", 10)},
		},
		{
			Name: "pip004-java-retries-post", Family: Firing, Rules: []string{"PIP004"}, Also: []string{"CLS006", "KA005"},
			Title:    "HttpURLConnection sends a POST again on its own",
			Story:    "A reused connection ends without an answer. The JDK takes it for an idle connection that had timed out and repeats the POST on a new one; nobody asked it to (sun.net.http.retryPost).",
			Programs: []string{"java", "raw-py"}, Captures: clientServer, Expect: "1, severity error",
			Serve: listenPy("message", ok200, "message", "sleep:40", "close"),
			Drive: func(l *Lab) {
				l.Try(l.Client, l.Java("JdkClient.java", "urlconnection", l.URL(l.Server, 8080, "/orders"), "2")...)
			},
			Evidence: []Evidence{{Says: "POSTs: the second order was sent twice", Filter: "tcp contains \"POST /orders\"", AtLeast: 3}, handshakes(2), order("8080", 5)},
		},
		{
			Name: "pip003-silent-all-answered", Family: Silent, SilentFor: []string{"PIP003", "KA005"}, Also: []string{"REU006"},
			Title:    "the server closes after the last request of the pipeline",
			Story:    "nginx ends the connection with its fourth request, which is the last that was sent, and says close in that answer.",
			Programs: []string{"nginx", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 8080, "keepalive_requests 4;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive:    func(l *Lab) { py(l, "8080", getA, "message", threeGets, "message", "message", "message", "eof") },
			Evidence: []Evidence{order("8080", 4), sees("Connection: close", 1), finsFrom("server", "8080", 1)},
		},
		{
			Name: "pip003-silent-client-leaves", Family: Silent, SilentFor: []string{"PIP003"}, Also: []string{"PIP002", "CLS004"},
			Title:    "the client resets with half of its pipeline unanswered",
			Story:    "The server would have answered.",
			Programs: []string{"raw-go", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", `send:GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "message", "sleep:50", "reset")...)
			},
			Evidence: []Evidence{order("8080", 2), resets("client", "8080", 1)},
		},
		{
			Name: "pip004-silent-two-orders", Family: Silent, SilentFor: []string{"PIP004"},
			Title:    "the same POST twice, each answered",
			Story:    "Two identical orders one after the other on connections of their own: a customer who wants two.",
			Programs: []string{"raw-go", "go", "requests"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "connections:2", "every:100", postOne, "message")...)
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", "-d", "one", l.URL(l.Server, 8080, "/a"), "-o", "/dev/null", l.URL(l.Server, 8080, "/a"))
			},
			Evidence: []Evidence{order("8080", 8)},
		},
		{
			Name: "hop002-node-relay", Family: Firing, Rules: []string{"HOP002"}, Also: []string{"HOP001"}, Proxied: true,
			Title:    "a relay passes Connection and Keep-Alive on in both directions",
			Story:    "A Node program adds Via and forwards every field as it came. It does not hang, since it keeps connections of its own; the next relay might.",
			Programs: []string{"raw-py", "node"}, Captures: onProxy, Expect: "1, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "repeat:9", "head",
					`send:HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=17, max=41\r\nContent-Length: 3\r\n\r\nok\n`, "done")...)
				l.Serve(l.Proxy, 80, l.Node("relay.js", "80", l.Server.addrOnWire(2), "8080", "via")...)
			},
			Drive: func(l *Lab) {
				ask := func(id string) string {
					return `send:GET /item/` + id + ` HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: lab-client/1\r\nX-Request-Id: 7d3a41c2-5e1f-4b6e-9f0a-00000000000` + id + `\r\nConnection: keep-alive\r\nKeep-Alive: timeout=23, max=43\r\n\r\n`
				}
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Proxy.IP4, "80", ask("1"), "message", "sleep:60", ask("2"), "message", "sleep:60", ask("3"), "message")...)
			},
			Evidence: []Evidence{hopFields(6), leaked("timeout=23", 3), sees("timeout=17", 6)},
		},
		{
			Name: "hop002-silent-squid", Family: Silent, SilentFor: []string{"HOP002", "HOP001"}, Proxied: true,
			Title:    "squid persists on both sides with fields of its own",
			Story:    "The client says keep-alive, squid says keep-alive to the server, the server to squid, squid to the client: four decisions that happen to agree.",
			Programs: []string{"requests", "squid", "node"}, Captures: onProxy,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("server.js", "8080")...)
				l.Squid(l.Proxy, 3128, "")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "proxied", "http://"+behind(l.Server)+"/a", "4", "20", l.URL(l.Proxy, 3128, ""))...)
			},
			Evidence: []Evidence{hopFields(8), sees("eep-alive", 12)},
		},
		{
			Name: "hop002-silent-nginx", Family: Silent, SilentFor: []string{"HOP002", "HOP001"}, Proxied: true,
			Title:    "nginx told to send Connection: keep-alive upstream",
			Story:    "proxy_set_header Connection keep-alive: the same text as the client's, and nginx's own all the same. Keep-Alive of Node's answer ends at nginx.",
			Programs: []string{"requests", "nginx", "node"}, Captures: onProxy,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("server.js", "8080")...)
				l.Nginx(l.Proxy, 80, "upstream up { server "+behind(l.Server)+"; keepalive 4; }",
					"location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection keep-alive; proxy_set_header X-Forwarded-For $remote_addr; }")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Proxy, 80, "/a"), "4", "20")...)
			},
			Evidence: []Evidence{hopFields(8), leaked("Connection: keep-alive", 4)},
		},
		{
			Name: "hop003-wget-java", Family: Firing, Rules: []string{"HOP003"}, Proxied: true,
			Title:    "wget and Java send Proxy-Connection",
			Story:    "HttpURLConnection and wget both send it to any HTTP proxy, here squid.",
			Programs: []string{"wget", "java", "squid", "go"}, Captures: []Capture{{At: "client"}, {At: "proxy", Iface: "any"}}, Expect: "3 or more, severity warning",
			Serve: func(l *Lab) { goServer(l); l.Squid(l.Proxy, 3128, "") },
			Drive: func(l *Lab) {
				u := "http://" + behind(l.Server) + "/"
				l.Run(l.Client, "wget", "-q", "-O", "/dev/null", "-e", "use_proxy=on", "-e", "http_proxy="+l.URL(l.Proxy, 3128, ""), u+"a", u+"b")
				l.Run(l.Client, append([]string{"java", "-Dhttp.proxyHost=" + l.Proxy.IP4, "-Dhttp.proxyPort=3128"}, l.Java("JdkClient.java", "urlconnection", u+"c", "2")[1:]...)...)
			},
			Evidence: []Evidence{sees("Proxy-Connection", 3), notLeaked("Proxy-Connection")},
		},
		{
			Name: "hop003-silent-lwp-tinyproxy", Family: Silent, SilentFor: []string{"HOP003", "HOP005", "KA010"}, Proxied: true,
			Title:    "Perl's LWP through a proxy, without Proxy-Connection",
			Story:    "tinyproxy forwards three requests of LWP, which names TE in Connection.",
			Programs: []string{"lwp", "tinyproxy", "go"}, Captures: []Capture{{At: "client"}, {At: "proxy", Iface: "any"}},
			Serve: func(l *Lab) { goServer(l); l.Tinyproxy(l.Proxy, 3128) },
			Drive: func(l *Lab) {
				for _, p := range []string{"/a", "/b", "/c"} {
					l.Run(l.Client, "lwp-request", "-p", l.URL(l.Proxy, 3128, ""), "http://"+behind(l.Server)+p)
				}
			},
			Evidence: []Evidence{hopFields(3), {Says: "no Proxy-Connection", Filter: "tcp contains \"Proxy-Connection\"", AtMost: -1}},
		},
		{
			Name: "hop004-silent-upgrades", Family: Silent, SilentFor: []string{"HOP004", "HOP005", "KA008"},
			Title:    "Connection names Upgrade, HTTP2-Settings and TE",
			Story:    "curl --http2 asks Apache, which does not know h2c here, to upgrade; LWP names TE and close. All of them belong to the hop.",
			Programs: []string{"curl", "lwp", "apache2"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "--http2", "-o", "/dev/null", l.URL(l.Server, 80, "/small.txt"), "-o", "/dev/null", l.URL(l.Server, 80, "/medium.txt"))
				l.Run(l.Client, "lwp-request", l.URL(l.Server, 80, "/small.txt"))
			},
			Evidence: []Evidence{startLines(6), sees("HTTP2-Settings", 1), sees("TE, close", 1)},
		},
		{
			Name: "hop005-node-upgrade", Family: Firing, Rules: []string{"HOP005"},
			Title:    "Upgrade and Keep-Alive without the options in Connection",
			Story:    "A hand-written client forgets Connection: Upgrade; the server answers as if nothing had been asked. Its own Keep-Alive field stands alone, too.",
			Programs: []string{"raw-node", "raw-py"}, Captures: clientServer, Expect: "1 or more, severity warning",
			Serve: listenPy("repeat:2", "head", `send:HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 3\r\n\r\nok\n`, "done", "eof"),
			Drive: func(l *Lab) {
				ask := `send:GET /chat HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGFiLWxhYi1sYWItbGFiIQ==\r\n\r\n`
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", ask, "message", "sleep:50", ask, "message")...)
			},
			Evidence: []Evidence{order("8080", 4)},
		},
		{
			Name: "hop004-silent-firefox-websocket", Family: Silent, SilentFor: []string{"HOP004", "HOP005", "FRM008"}, Proxied: true,
			Title:    "Connection: keep-alive, Upgrade through nginx to a WebSocket server",
			Story:    "As browsers write it; nginx passes the upgrade on with fields of its own.",
			Programs: []string{"raw-py", "nginx", "node"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "client"}},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("server.js", "8080", "websocket")...)
				l.Nginx(l.Proxy, 80, "", "location / { proxy_pass http://"+behind(l.Server)+"; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; }")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Proxy.IP4, "80",
					`send:GET /chat HTTP/1.1\r\nHost: chat.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGFiLWxhYi1sYWItbGFiIQ==\r\n\r\n`,
					"head", `send:\x81\x85\x01\x02\x03\x04igomn`, "bytes:7", "sleep:50", "fin", "eof")...)
			},
			Evidence: []Evidence{sees("101 Switching", 1), {Says: "WebSocket frames", Filter: "websocket", AtLeast: 2}},
		},

		// What a capture itself lacks.
		{
			Name: "cap003-one-direction", Family: Firing, Rules: []string{"CAP003"},
			Title:    "only the server's side was captured",
			Story:    "A mirror port that sees one direction: nothing about requests can be judged.",
			Programs: []string{"curl", "nginx"}, Captures: []Capture{{At: "client", Filter: "tcp src port 80"}, {At: "server", Filter: "tcp dst port 80"}}, Expect: "severity info, nothing above",
			Serve:    func(l *Lab) { l.Nginx(l.Server, 80, "", "") },
			Drive:    func(l *Lab) { l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 80, "/img[1-6].png")) },
			Evidence: []Evidence{ladder(1, 20)},
		},
		{
			Name: "cap004-mid-stream", Family: Firing, Rules: []string{"CAP004"}, SilentFor: []string{"PIP001", "FRM008", "LAT001"},
			Title:    "the capture begins in the middle of connections",
			Story:    "Two connections were open and in the middle of responses when the capture began.",
			Programs: []string{"raw-py", "raw-go"}, Captures: clientServer, Expect: "severity info, nothing above",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "repeat:12", "head", `send:HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n`, "repeat:6", "fill:1000", "sleep:60", "done", "done", "eof")...)
				l.Start(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "parallel:2", "repeat:8", getA, "message", "sleep:35", "done")...)
				l.Sleep(700 * time.Millisecond)
			},
			Drive:    func(l *Lab) { l.Sleep(2800 * time.Millisecond) },
			Evidence: []Evidence{{Says: "no handshake", Filter: "tcp.flags.syn == 1", AtMost: -1}, order("8080", 20)},
		},
		{
			Name: "cap003-go-node", Family: Firing, Rules: []string{"CAP003"}, IPVersion: 6,
			Title:    "only the client's side was captured",
			Story:    "Requests without answers, over IPv6: they were answered all the same.",
			Programs: []string{"go", "node"}, Captures: []Capture{{At: "client", Filter: "tcp dst port 3000"}, {At: "server", Iface: "any", Filter: "tcp dst port 3000"}}, Expect: "severity info, nothing above",
			Serve:    func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000")...) },
			Drive:    func(l *Lab) { l.Run(l.Client, l.Go("get", l.URL(l.Server, 3000, "/a"), "6", "every:20")...) },
			Evidence: []Evidence{ladder(1, 12), {Says: "nothing of the server", Filter: "tcp.srcport == 3000", AtMost: -1}},
		},
		{
			Name: "cap004-node-pool", Family: Firing, Rules: []string{"CAP004"}, SilentFor: []string{"REU004", "KA001", "PIP001"},
			Title:    "a pool was open before the capture began",
			Story:    "Node's agent has asked a few times already; the capture shows the rest of its connection and then its end.",
			Programs: []string{"node", "nginx"}, Captures: clientServer, Expect: "severity info, nothing above",
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 80, "", "")
				l.Start(l.Client, l.Node("client.js", "keepalive", l.URL(l.Server, 80, "/small.txt"), "16", "200")...)
				l.Sleep(900 * time.Millisecond)
			},
			Drive:    func(l *Lab) { l.Sleep(3500 * time.Millisecond) },
			Evidence: []Evidence{{Says: "no handshake", Filter: "tcp.flags.syn == 1", AtMost: -1}, startLines(12)},
		},
		{
			Name: "cap001-go-chunks", Family: Firing, Rules: []string{"CAP001"}, SilentFor: []string{"FRM003", "FRM005", "FRM008"},
			Title:    "segments of a chunked body are missing from the capture",
			Story:    "As cap001-gap, with chunks: where the next one begins cannot be known.",
			Programs: []string{"raw-go", "raw-py"}, Captures: []Capture{{At: "client", Filter: "tcp and less 1000"}}, Expect: "severity info, nothing above",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "repeat:3", "head", `send:HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5dc\r\n`, "fill:1500", `send:\r\n0\r\n\r\n`, "done", "eof")...)
			},
			Drive:    func(l *Lab) { py(l, "8080", "repeat:3", getA, "head", "bytes:1512", "sleep:50", "done") },
			Evidence: []Evidence{{Says: "ACKs for what was not captured", Filter: "tcp.analysis.ack_lost_segment || tcp.analysis.lost_segment", AtLeast: 1}},
		},
		{
			Name: "cap001-gap", Family: Firing, Rules: []string{"CAP001"}, SilentFor: []string{"FRM002", "FRM005", "FRM008", "CLS006"},
			Title:    "segments that the capture missed and the receiver had",
			Story:    "The filter leaves out full-sized frames, as a capture host under load would now and then: the receiver's ACKs cover bytes nobody saw.",
			Programs: []string{"curl", "nginx"}, Captures: []Capture{{At: "client", Filter: "tcp and less 1200"}, {At: "server", Filter: "tcp and less 1200"}}, Expect: "severity info, nothing above",
			Serve: func(l *Lab) { l.Nginx(l.Server, 80, "", "") },
			Drive: func(l *Lab) {
				u := l.URL(l.Server, 80, "/medium.txt")
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", u, "-o", "/dev/null", l.URL(l.Server, 80, "/small.txt"), "-o", "/dev/null", u)
			},
			Evidence: []Evidence{{Says: "ACKs for what was not captured", Filter: "tcp.analysis.ack_lost_segment || tcp.analysis.lost_segment", AtLeast: 1}},
		},
		{
			Name: "cap002-snaplen", Family: Firing, Rules: []string{"CAP002"}, SilentFor: []string{"FRM002", "FRM005", "HOP001"},
			Title:    "96 bytes of each frame",
			Story:    "tcpdump of old kept 96 bytes: start lines survive, fields and bodies do not.",
			Programs: []string{"requests", "apache2"}, Captures: []Capture{{At: "client", Snaplen: 96}, {At: "server", Snaplen: 96}}, Expect: "severity info, nothing above",
			Serve: func(l *Lab) { l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/medium.txt"), "4", "10")...)
			},
			Evidence: []Evidence{{Says: "frames longer than what was kept", Filter: "frame.cap_len < frame.len", Fields: []string{"frame.number", "frame.len", "frame.cap_len", "tcp.len"}, AtLeast: 8}},
		},
	}
}
