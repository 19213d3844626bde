package main

import "time"

// Requests for hand-written pipelines.
const (
	getA     = `send:GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n`
	getB     = `send:GET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n`
	twoPosts = `send:POST /one HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\none` +
		`POST /two HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\ntwo`
	threeGets = `send:GET /1 HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /3 HTTP/1.1\r\nHost: shop.test\r\n\r\n`
)

// order shows data segments of both directions, so that one sees which
// requests left before which answers were known.
func order(port string, atLeast int) Evidence {
	return Evidence{
		Says:    "data in the order it passed; a pipelined request's ack does not cover the answer before it",
		Filter:  "tcp.len > 0 && tcp.port == " + port,
		Fields:  append(append([]string(nil), wire...), "http.request.method", "http.request.uri", "http.response.code"),
		Options: []string{"-d", "tcp.port==" + port + ",http"},
		AtLeast: atLeast,
	}
}

func pipeliningScenarios() []*Scenario {
	pip001 := []string{"PIP001"}
	unconfirmed := []string{"PIP002"}
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	return []*Scenario{
		{
			Name: "pip001-python-two-posts", Family: Firing, Rules: pip001, Also: unconfirmed,
			Title:    "two POSTs in one segment",
			Story:    "A client writes two POSTs at once to a Go server. If the connection broke after the first, the client could not know whether to send the second again.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer, Expect: "1, severity error", Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", twoPosts, "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 3)},
		},
		{
			Name: "pip001-get-behind-post", Family: Firing, Rules: pip001, Also: []string{"PIP002", "LAT004"},
			Title:    "a GET sent 40 ms after a POST that nobody has answered yet",
			Story:    "The POST's answer takes 300 ms; the client sends a GET behind it in a segment of its own. Recorded over a 40 ms path at three points: at the server the GET arrives long after the POST, yet still before the answer.",
			Programs: []string{"raw-go", "go"}, Captures: []Capture{{At: "client"}, {At: "middle"}, {At: "server"}}, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Expect: "1, severity error", Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", getA, "message",
					`send:POST /slow HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi`, "sleep:40", getB, "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 6)},
		},
		{
			Name: "pip001-node-post-behind-gets", Family: Firing, Rules: pip001, Also: unconfirmed,
			Title:    "a POST pipelined behind two GETs, to nginx",
			Story:    "Only the POST is not idempotent, and nothing stands behind it.",
			Programs: []string{"raw-node", "nginx"}, Captures: clientServer, IPVersion: 6, Expect: "1, severity warning",
			Serve: func(l *Lab) { l.Nginx(l.Server, 80, "", "location / { return 200 \"ok\\n\"; }") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP6, "80",
					`send:GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.test\r\n\r\nPOST /c HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nfour`,
					"message", "message", "message")...)
			},
			Evidence: []Evidence{order("80", 2)},
		},
		{
			Name: "pip001-nc-patch-haproxy", Family: Firing, Rules: pip001, Also: unconfirmed, Proxied: true,
			Title:    "nc sends PATCH and DELETE in one go through haproxy",
			Story:    "haproxy takes the pipeline apart: behind it the requests go one at a time, so only the connection between client and proxy is at fault.",
			Programs: []string{"nc", "haproxy", "go"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "client"}}, Expect: "1 on the client's side, severity error",
			Serve: func(l *Lab) {
				goServer(l)
				l.HAProxy(l.Proxy, 80, "frontend f\n  bind :80\n  default_backend b\nbackend b\n  server s "+l.Server.addrOnWire(2)+":8080\n")
			},
			Drive: func(l *Lab) {
				l.File("pipeline.txt", "PATCH /cart HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhiDELETE /cart HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
				l.Try(l.Client, "sh", "-c", "nc -w 2 "+l.Proxy.IP4+" 80 < pipeline.txt")
			},
			Evidence: []Evidence{order("80", 3)},
		},
		{
			Name: "pip001-unknown-method", Family: Firing, Rules: pip001, Also: unconfirmed,
			Title:    "a method no registry knows counts as not idempotent",
			Story:    "The client pipelines a GET behind a request with the method RESERVE; the server answers both.",
			Programs: []string{"raw-py", "go"}, Captures: []Capture{{At: "server"}}, Expect: "1, severity error", Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "nodelay",
					`send:RESERVE /seat/7 HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n`, getA, "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 3)},
		},
		{
			Name: "pip001-silent-gets", Family: Silent, SilentFor: pip001, Also: unconfirmed,
			Title:    "pipelining that is allowed: GETs only",
			Story:    "Two batches of three pipelined GETs on one connection to nginx.",
			Programs: []string{"raw-py", "nginx"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Nginx(l.Server, 80, "", "location / { return 200 \"ok\\n\"; }") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "80", threeGets, "message", "message", "message", threeGets, "message", "message", "message")...)
			},
			Evidence: []Evidence{order("80", 3)},
		},
		{
			Name: "pip001-silent-idempotent-writes", Family: Silent, SilentFor: pip001, Also: unconfirmed,
			Title:    "PUT and DELETE are idempotent and may be pipelined",
			Story:    "PUT, DELETE and GET in one segment to a Go server, IPv6.",
			Programs: []string{"raw-go", "go"}, Captures: clientServer, IPVersion: 6, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP6, "8080",
					`send:PUT /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhiDELETE /b HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /c HTTP/1.1\r\nHost: shop.test\r\n\r\n`,
					"message", "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 2)},
		},
		{
			Name: "pip001-silent-back-to-back", Family: Silent, SilentFor: pip001,
			Title:    "POST after POST, each as soon as the answer is in",
			Story:    "Over a 40 ms path the next POST leaves microseconds after the response arrived; seen at the server or in the middle, only the POST's ack number shows that the client had the response.",
			Programs: []string{"raw-py", "go"}, Captures: []Capture{{At: "client"}, {At: "middle"}, {At: "server"}}, Link: LinkConfig{Delay: 20 * time.Millisecond}, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080", "nodelay", "repeat:6", postOne, "message", "done")...)
			},
			Evidence: []Evidence{order("8080", 12)},
		},
		{
			Name: "pip001-silent-early-answer", Family: Silent, SilentFor: pip001,
			Title:    "the answer came before the upload was complete, then the next request",
			Story:    "A Node server answers 403 as soon as it has the head, reads the rest of the body and keeps the connection. The client finishes the upload as promised and sends a GET. The GET follows a request already answered: no pipelining.",
			Programs: []string{"raw-node", "raw-py"}, Captures: clientServer, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("rawpeer.js", "listen", "0.0.0.0", "8080", "head",
					`send:HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n`, "bytes:6000", "head", ok200, "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP4, "8080",
					`send:POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 6000\r\n\r\n`, "fill:3000", "sleep:100", "fill:3000", getA, "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 4)},
		},
		{
			Name: "pip001-silent-ab-keep-alive", Family: Silent, SilentFor: pip001,
			Title:    "ab -k posts one after the other on four connections",
			Story:    "Four connections carry ten POSTs each towards a Go server. Each waits for its answer.",
			Programs: []string{"ab", "go"}, Captures: []Capture{{At: "server"}}, Serve: goServer,
			Drive: func(l *Lab) {
				body := l.File("body.json", `{"sku":"A-1"}`)
				l.Run(l.Client, "ab", "-k", "-q", "-n", "40", "-c", "4", "-T", "application/json", "-p", body, l.URL(l.Server, 8080, "/orders"))
			},
			Evidence: []Evidence{order("8080", 40)},
		},
	}
}
