package main

import "time"

// messageScenarios break HTTP messages themselves, pipelines, and the fields
// that belong to one hop.
func messageScenarios() []*Scenario {
	py := func(l *Lab, steps ...string) {
		l.Run(l.Client, l.Python("rawpeer.py", append([]string{"connect", l.Server.Addr(l.V), "8080"}, steps...)...)...)
	}
	pyServer := func(steps ...string) func(*Lab) {
		return func(l *Lab) {
			l.Serve(l.Server, 8080, l.Python("rawpeer.py", append([]string{"listen", "0.0.0.0", "8080"}, steps...)...)...)
		}
	}
	goRaw := func(steps ...string) func(*Lab) {
		return func(l *Lab) {
			l.Serve(l.Server, 8080, l.Go("raw", append([]string{"listen", "0.0.0.0", "8080"}, steps...)...)...)
		}
	}
	nodeRaw := func(steps ...string) func(*Lab) {
		return func(l *Lab) {
			l.Serve(l.Server, 8080, l.Node("rawpeer.js", append([]string{"listen", "0.0.0.0", "8080"}, steps...)...)...)
		}
	}
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	curl := func(args ...string) func(*Lab) {
		return func(l *Lab) {
			l.Try(l.Client, append(append([]string{"curl", "-sS", "-o", "/dev/null", "-m", "5"}, args...), l.URL(l.Server, 8080, "/a"))...)
		}
	}
	all := order("8080", 2)
	all.Says = "data in both directions"
	fire := func(code, slug, title, story, expect string, programs []string, serve, drive func(*Lab), evidence ...Evidence) *Scenario {
		return &Scenario{Name: slug, Family: Firing, Rules: []string{code}, Title: title, Story: story, Expect: expect,
			Programs: programs, Captures: clientServer, Serve: serve, Drive: drive, Evidence: append([]Evidence{all}, evidence...)}
	}
	quiet := func(codes []string, slug, title, story string, programs []string, serve, drive func(*Lab), evidence ...Evidence) *Scenario {
		return &Scenario{Name: slug, Family: Silent, SilentFor: codes, Title: title, Story: story,
			Programs: programs, Captures: clientServer, Serve: serve, Drive: drive, Evidence: append([]Evidence{all}, evidence...)}
	}
	// refused marks a request Go answers with 400, close, and no length.
	refused := func(s *Scenario) *Scenario {
		s.Also = []string{"FRM001"}
		return s
	}
	return []*Scenario{
		fire("FRM002", "frm002-short-body", "the body ends 400 bytes before its Content-Length",
			"A Go server promises 1000 bytes, sends 600 and closes; curl reports the transfer closed with bytes outstanding.", "1, 400 bytes missing, severity error",
			[]string{"raw-go", "curl"}, goRaw("head", `send:HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n`, "fill:600", "fin", "eof"), curl(), closers(2)),
		fire("FRM002", "frm002-extra-bytes", "bytes follow a body that was complete",
			"The Content-Length was counted in characters, the body sent in bytes: two bytes too many. The next response would start with them.", "1, severity error",
			[]string{"raw-py", "curl"}, pyServer("head", `send:HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nna\xc3\xafve!`, "eof"), curl()),
		fire("FRM003", "frm003-no-last-chunk", "a chunked body without its last chunk",
			"Node writes two chunks and destroys nothing, it just ends the connection.", "1, severity error",
			[]string{"raw-node", "curl"}, nodeRaw("head", `send:HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n`, "fin", "eof"), curl(), closers(2)),
		fire("FRM003", "frm003-cut-chunk", "the connection ends inside a chunk",
			"A chunk of 0x40 bytes was announced, 16 came.", "1, severity error",
			[]string{"raw-py", "curl"}, pyServer("head", `send:HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nsixteen bytes ok`, "close"), curl(), closers(2)),
		quiet([]string{"FRM002", "FRM003"}, "frm002-silent-client-leaves", "the client left in the middle of the body",
			"curl gives up after 300 ms while the server is still sending; the body is short because of the client.",
			[]string{"raw-go", "curl"}, goRaw("head", `send:HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n`, "repeat:20", "fill:1000", "sleep:50", "done"), curl("-m", "0.3"), closers(1)),
		quiet([]string{"FRM002", "FRM003"}, "frm003-silent-trailers", "chunk extensions and trailers",
			"A chunked body with an extension on each chunk and two trailer fields, then another response on the same connection.",
			[]string{"raw-py", "curl"}, pyServer("repeat:2", "head", `send:HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5;a=b\r\nhello\r\n0;last\r\nX-Sum: 1\r\nX-Time: 2\r\n\r\n`, "done", "eof"),
			func(l *Lab) {
				u := l.URL(l.Server, 8080, "/a")
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", u, "-o", "/dev/null", u)
			}),
		fire("FRM004", "frm004-te-and-cl", "Transfer-Encoding and Content-Length in one response",
			"Two answers to the question where the body ends: a proxy that believes the other one can be made to misread.", "1, severity error",
			[]string{"raw-go", "curl"}, goRaw("head", `send:HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`, "eof"), curl()),
		refused(fire("FRM004", "frm004-two-lengths", "two Content-Lengths that differ, in a request",
			"A hand-written client sends both 5 and 6; the Go server refuses with 400.", "1, severity error",
			[]string{"raw-py", "go"}, goServer,
			func(l *Lab) {
				py(l, `send:POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`, "message", "eof")
			})),
		quiet([]string{"FRM004"}, "frm004-silent-repeated-length", "the same Content-Length twice",
			"Repeated but equal: odd, and without a conflict.",
			[]string{"raw-py"}, pyServer("repeat:2", "head", `send:HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nok\n`, "done", "eof"),
			func(l *Lab) { py(l, getA, "head", "bytes:3", getB, "head", "bytes:3") }),
		refused(fire("FRM005", "frm005-space-before-colon", "white space between field name and colon",
			"nginx and Go refuse such a request; a lenient server in front of a strict one is an opening.", "1, severity error",
			[]string{"raw-py", "go"}, goServer,
			func(l *Lab) {
				py(l, `send:GET /a HTTP/1.1\r\nHost: shop.test\r\nX-Note : odd\r\n\r\n`, "message", "eof")
			})),
		fire("FRM005", "frm005-bare-lf", "lines that end in a bare LF",
			"Read by everyone, written by nobody who knows better.", "1, severity warning",
			[]string{"raw-node", "curl"}, nodeRaw("head", `send:HTTP/1.1 200 OK\nContent-Length: 3\n\nok\n`, "eof"), curl()),
		quiet([]string{"FRM005"}, "frm005-silent-empty-line", "an empty line before the second request",
			"Old clients send CRLF after a POST body; servers skip it.",
			[]string{"raw-py", "go"}, goServer,
			func(l *Lab) { py(l, "nodelay", postOne, `send:\r\n`, "message", getB, "message") }),
		fire("FRM006", "frm006-body-after-204", "a 204 with a body",
			"The body's bytes stand where the next status line should.", "1, severity error",
			[]string{"raw-py", "curl"}, pyServer("head", `send:HTTP/1.1 204 No Content\r\n\r\nbut here is some\n`, "eof"), curl()),
		fire("FRM006", "frm006-body-after-head", "a response to HEAD with its body",
			"The server treats HEAD as GET.", "1, severity error",
			[]string{"raw-go", "curl"}, goRaw("head", `send:HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n`, "sleep:200", "close"), curl("-I")),
		fire("FRM007", "frm007-post-without-length", "a POST with neither length nor chunks",
			"The server must take the body for empty.", "2, severity info",
			[]string{"raw-py", "go"}, goServer,
			func(l *Lab) {
				py(l, "repeat:2", `send:POST /a HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "message", "done")
			}),
		fire("FRM008", "frm008-answer-nobody-asked-for", "a second response to one request",
			"The server answers twice: the client would take the second for the answer to its next request.", "1, severity error",
			[]string{"raw-node", "raw-py"}, nodeRaw("head", ok200, "sleep:50", ok200, "eof"),
			func(l *Lab) { py(l, getA, "message", "sleep:300") }),
		fire("FRM008", "frm008-408-on-idle", "408 on an idle connection that then closes",
			"Some servers and load balancers say 408 when an idle connection times out.", "1, severity info",
			[]string{"raw-go", "raw-py"}, goRaw("head", ok200, "sleep:800", `send:HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, "close"),
			func(l *Lab) { py(l, getA, "message", "eof") }),

		{
			Name: "pip003-nginx-limit-aborts-pipeline", Family: Firing, Rules: []string{"PIP003"}, Also: []string{"PIP002", "REU006"},
			Title:    "nginx ends the connection after two requests, four were pipelined",
			Story:    "keepalive_requests 2: the answers to the third and fourth GET never come.",
			Programs: []string{"nginx", "raw-py"}, Captures: clientServer, Expect: "2 requests unanswered, severity error",
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 8080, "keepalive_requests 2;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive:    func(l *Lab) { py(l, threeGets+getA[len("send:"):], "message", "message", "eof") },
			Evidence: []Evidence{order("8080", 2), closers(1)},
		},
		{
			Name: "pip003-go-server-aborts", Family: Firing, Rules: []string{"PIP003"}, Also: []string{"PIP002", "KA005"},
			Title:    "a server that answers one request a connection, and three in the pipeline",
			Story:    "Over 40 ms; the client pipelines again on the next connection.",
			Programs: []string{"raw-go", "raw-node"}, Captures: clientServer, Link: LinkConfig{Delay: 20 * time.Millisecond}, Expect: "2 requests unanswered twice, severity error",
			Serve: goRaw("head", "head", "head", ok200, "close"),
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", "connections:2", threeGets, "message", "eof")...)
			},
			Evidence: []Evidence{order("8080", 4), closers(2)},
		},
		{
			Name: "pip004-post-sent-again", Family: Firing, Rules: []string{"PIP004"}, Also: []string{"CLS006"},
			Title:    "a POST is sent again after its connection ended without an answer",
			Story:    "The server took the order and died before it answered; the client's retry orders twice.",
			Programs: []string{"raw-go", "raw-py"}, Captures: clientServer, Expect: "1 or more, severity error",
			Serve:    goRaw("message", "sleep:50", "close"),
			Drive:    func(l *Lab) { py(l, "connections:2", "every:200", postOne, "message") },
			Evidence: []Evidence{order("8080", 2), closers(2)},
		},
		{
			Name: "pip004-requests-retry", Family: Firing, Rules: []string{"PIP004"}, Also: []string{"CLS006"},
			Title:    "python3-requests with Retry for every method",
			Story:    "An adapter with Retry(total=2, allowed_methods=None) repeats POSTs; the server resets each after reading it.",
			Programs: []string{"raw-node", "requests"}, Captures: clientServer, Expect: "2 retries, severity error",
			Serve: nodeRaw("message", "sleep:40", "reset"),
			Drive: func(l *Lab) {
				l.Try(l.Client, l.Python("session.py", "retry", l.URL(l.Server, 8080, "/orders"), "1")...)
			},
			Evidence: []Evidence{order("8080", 3), closers(3)},
		},
		{
			Name: "pip004-silent-get-retried", Family: Silent, SilentFor: []string{"PIP004"}, Also: []string{"CLS006"},
			Title:    "a GET may be sent again",
			Story:    "Go's client repeats an idempotent request on its own when a reused connection dies under it.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer,
			Serve:    pyServer("head", ok200, "head", "close"),
			Drive:    func(l *Lab) { l.Run(l.Client, l.Go("get", l.URL(l.Server, 8080, "/a"), "4", "every:50")...) },
			Evidence: []Evidence{order("8080", 6), closers(2)},
		},

		{
			Name: "hop002-blind-relay", Family: Firing, Rules: []string{"HOP002"}, Proxied: true,
			Title:    "a blind relay passes Connection: keep-alive both ways, and leaves the next request unanswered",
			Story:    "RFC 2068's old story: the relay forwards bytes of one exchange and waits for the server's close; client and server each believe the other agreed to persist.",
			Programs: []string{"raw-py", "raw-relay", "go"}, Captures: onProxy, Expect: "1, severity error",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "repeat:9", "head",
					`send:HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=15, max=50\r\nContent-Length: 3\r\n\r\nok\n`, "done")...)
				l.Serve(l.Proxy, 80, l.Go("relay", ":80", l.Server.addrOnWire(2)+":8080", "once")...)
			},
			Drive: func(l *Lab) {
				again := `send:GET /item HTTP/1.0\r\nHost: shop.test\r\nUser-Agent: lab-client/1\r\nConnection: keep-alive\r\nKeep-Alive: timeout=15, max=50\r\n\r\n`
				l.Start(l.Client, l.Python("rawpeer.py", "connect", l.Proxy.IP4, "80", again, "message", "sleep:100", again, "message")...)
				l.Sleep(6 * time.Second)
			},
			Evidence: []Evidence{hopFields(3)},
		},
		{
			Name: "hop003-curl-proxy-connection", Family: Firing, Rules: []string{"HOP003"}, Proxied: true,
			Title:    "curl sends Proxy-Connection to squid",
			Story:    "The field was never standard; curl sends it to every HTTP proxy.",
			Programs: []string{"curl", "squid", "go"}, Captures: []Capture{{At: "client"}, {At: "proxy", Iface: "any"}}, Expect: "3, severity warning",
			Serve: func(l *Lab) { goServer(l); l.Squid(l.Proxy, 3128, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-x", l.URL(l.Proxy, 3128, ""), "http://"+l.Server.addrOnWire(2)+":8080/[1-3]")
			},
			Evidence: []Evidence{{Says: "the field", Filter: "tcp contains \"Proxy-Connection\"", AtLeast: 3}, notLeaked("Proxy-Connection")},
		},
		fire("HOP004", "hop004-connection-nominates-cache-control", "Connection names Cache-Control",
			"A proxy will take the field out on the way.", "2, severity warning",
			[]string{"curl", "go"}, goServer,
			func(l *Lab) {
				u := l.URL(l.Server, 8080, "/a")
				l.Run(l.Client, "curl", "-sS", "-H", "Connection: keep-alive, Cache-Control", "-H", "Cache-Control: no-store", u, u)
			}),
		fire("HOP004", "hop004-python-nominates-authorization", "Connection names Authorization",
			"The credentials would not reach the server behind a proxy.", "1, severity warning",
			[]string{"raw-py", "go"}, goServer,
			func(l *Lab) {
				py(l, `send:GET /a HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Basic bGFiOnB3\r\nConnection: authorization\r\n\r\n`, "message")
			}),
		fire("HOP005", "hop005-te-not-nominated", "TE without the option in Connection",
			"A proxy would pass the field on, and the next server would take it for the proxy's.", "2, severity warning",
			[]string{"curl", "go"}, goServer,
			func(l *Lab) {
				u := l.URL(l.Server, 8080, "/a")
				l.Run(l.Client, "curl", "-sS", "-H", "TE: trailers", u, u)
			}),
		quiet([]string{"HOP004", "HOP005"}, "hop005-silent-te-nominated", "TE and Keep-Alive as they should be",
			"Connection names the hop's own fields and nothing else.",
			[]string{"curl", "go"}, goServer,
			func(l *Lab) {
				u := l.URL(l.Server, 8080, "/a")
				l.Run(l.Client, "curl", "-sS", "-H", "TE: trailers", "-H", "Keep-Alive: timeout=5", "-H", "Connection: TE, Keep-Alive", u, u)
			}),
	}
}
