package main

import "fmt"

// onProxy sees both sides of the proxy in one file.
var onProxy = []Capture{{At: "proxy", Iface: "any"}}

// fields shows the request fields that belong to one hop, on every hop.
func hopFields(atLeast int) Evidence {
	return Evidence{
		Says:    "requests with their hop-by-hop fields; the same request appears once on each side of the proxy",
		Filter:  "http.request",
		Fields:  []string{"frame.number", "tcp.stream", "ip.src", "ip.dst", "http.request.method", "http.request.uri", "http.request.line"},
		Options: []string{"-d", "tcp.port==8080,http", "-d", "tcp.port==3128,http"},
		AtLeast: atLeast,
	}
}

// leaked counts segments towards the origin that still carry text.
func leaked(text string, atLeast int) Evidence {
	return Evidence{
		Says:    "segments to the origin server (port 8080) that still carry " + text,
		Filter:  fmt.Sprintf("tcp.dstport == 8080 && tcp.payload && tcp matches \"(?i)%s\"", text),
		AtLeast: atLeast,
	}
}

// notLeaked is its opposite.
func notLeaked(text string) Evidence {
	e := leaked(text, 0)
	e.Says, e.AtMost = "no segment to the origin server (port 8080) carries "+text, -1
	return e
}

// nominated is a request whose Connection field names X-Trace: that field ends
// at the next hop, whoever that is.
func nominated(n string) string {
	return `send:GET /item/` + n + ` HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: lab-client/1\r\nAccept: text/plain\r\nX-Trace: hop-secret-` + n + `\r\nConnection: keep-alive, X-Trace\r\nKeep-Alive: timeout=7, max=93\r\n\r\n`
}

func hopByHopScenarios() []*Scenario {
	hop001 := []string{"HOP001"}
	origin := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	sendNominated := func(l *Lab) {
		l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Proxy.IP4, "80", nominated("1"), "message", nominated("2"), "message", nominated("3"), "message")...)
	}
	nginxProxy := func(l *Lab) {
		l.Nginx(l.Proxy, 80, "upstream up { server "+l.Server.addrOnWire(2)+":8080; keepalive 4; }",
			"location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr; }")
	}
	haproxyFront := func(options string) func(*Lab) {
		return func(l *Lab) {
			l.HAProxy(l.Proxy, 80, "frontend f\n  bind :80\n"+options+"  default_backend b\nbackend b\n  server s "+l.Server.addrOnWire(2)+":8080\n")
		}
	}
	apacheProxy := func(l *Lab) {
		l.Apache(l.Proxy, 80, []string{"proxy", "proxy_http"}, "ProxyPass / http://"+l.Server.addrOnWire(2)+":8080/\nProxyPreserveHost On\n")
	}
	return []*Scenario{
		{
			Name: "hop001-go-relay-nominated", Family: Firing, Rules: hop001, Also: []string{"HOP002"}, Proxied: true,
			Title:    "a careless Go relay passes nominated fields on",
			Story:    "The client's Connection names X-Trace; the relay copies every field, Connection and Keep-Alive included, to the origin server.",
			Programs: []string{"raw-py", "raw-relay", "go"}, Captures: onProxy, Expect: "3 requests, severity error for X-Trace, warning for Keep-Alive",
			Serve: func(l *Lab) {
				origin(l)
				l.Serve(l.Proxy, 80, l.Go("relay", ":80", l.Server.addrOnWire(2)+":8080")...)
			},
			Drive:    sendNominated,
			Evidence: []Evidence{leaked("X-Trace: hop-secret", 3), hopFields(6)},
		},
		{
			Name: "hop001-node-relay-headers", Family: Firing, Rules: hop001, Proxied: true,
			Title:    "a Node reverse proxy that hands req.headers to http.request",
			Story:    "The usual first reverse proxy in Node: headers: req.headers. Fields nominated by the client's Connection reach the origin server.",
			Programs: []string{"raw-py", "node", "go"}, Captures: onProxy, Expect: "3 requests, severity error",
			Serve: func(l *Lab) {
				origin(l)
				l.Serve(l.Proxy, 80, l.Node("relay.js", "80", l.Server.addrOnWire(2), "8080")...)
			},
			Drive:    sendNominated,
			Evidence: []Evidence{leaked("X-Trace: hop-secret", 3), hopFields(6)},
		},
		{
			Name: "hop001-python-forward-proxy-credentials", Family: Firing, Rules: hop001, Also: []string{"HOP003", "REU001"}, Proxied: true,
			Title:    "a forward proxy that asked for credentials and hands them to the origin server",
			Story:    "A Python proxy answers 407, then forwards curl's Proxy-Authorization and Proxy-Connection with its own Via. At the server, one side alone proves it: proxy credentials in an origin-form request that carries Via.",
			Programs: []string{"curl", "python", "go"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "server"}}, Expect: "severity warning",
			Serve: func(l *Lab) {
				origin(l)
				l.Serve(l.Proxy, 3128, l.Python("relay.py", "3128")...)
			},
			Drive: func(l *Lab) {
				to := "http://" + l.Server.addrOnWire(2) + ":8080"
				l.Run(l.Client, "curl", "-sS", "--proxy-anyauth", "-U", "lab:pw-lab", "-x", l.URL(l.Proxy, 3128, ""), to+"/a", to+"/b", to+"/c")
			},
			Evidence: []Evidence{leaked("Proxy-Authorization", 3), hopFields(3)},
		},
		{
			Name: "hop001-haproxy-proxy-fields", Family: Firing, Rules: hop001, Also: []string{"HOP003"}, Proxied: true,
			Title:    "haproxy forwards Proxy-Connection, Keep-Alive and Proxy-Authorization as they came",
			Story:    "haproxy 2.6 writes Connection anew but leaves the other fields of the hop to its configuration: they reach the origin server unchanged, their names in lower case. With option forwardfor it shows itself a proxy to the origin server.",
			Programs: []string{"raw-py", "haproxy", "go"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "server"}}, Expect: "severity warning",
			Serve: func(l *Lab) { origin(l); haproxyFront("  option forwardfor\n")(l) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Proxy.IP4, "80", "repeat:3",
					`send:GET /item HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: lab-client/1\r\nProxy-Connection: keep-alive\r\nKeep-Alive: timeout=11\r\nProxy-Authorization: Basic bGFiOnB3\r\nConnection: keep-alive\r\n\r\n`, "message", "done")...)
			},
			Evidence: []Evidence{leaked("Proxy-Connection", 3), hopFields(3)},
		},
		{
			Name: "hop001-nginx-nominated", Family: Firing, Rules: hop001, Proxied: true,
			Title:    "nginx does not read the options of Connection: a nominated field passes",
			Story:    "nginx drops Connection and Keep-Alive of its own accord, but never looks at which fields Connection names; X-Trace reaches the origin server.",
			Programs: []string{"raw-py", "nginx", "go"}, Captures: onProxy, Expect: "3 requests, severity error",
			Serve: func(l *Lab) { origin(l); nginxProxy(l) }, Drive: sendNominated,
			Evidence: []Evidence{leaked("X-Trace: hop-secret", 3), notLeaked("timeout=7"), hopFields(6)},
		},
		{
			Name: "hop001-silent-apache", Family: Silent, SilentFor: hop001, Proxied: true,
			Title:    "Apache's mod_proxy removes what Connection names",
			Story:    "The same requests as in hop001-nginx-nominated through Apache: X-Trace and Keep-Alive stop there.",
			Programs: []string{"raw-py", "apache2", "go"}, Captures: onProxy,
			Serve: func(l *Lab) { origin(l); apacheProxy(l) }, Drive: sendNominated,
			Evidence: []Evidence{notLeaked("X-Trace"), notLeaked("timeout=7"), hopFields(6)},
		},
		{
			Name: "hop001-silent-squid", Family: Silent, SilentFor: hop001, Proxied: true, Also: []string{"HOP003"},
			Title:    "squid strips proxy fields and what Connection names",
			Story:    "A forward proxy does it right: the client sends Proxy-Connection, Keep-Alive and a nominated X-Trace in absolute form.",
			Programs: []string{"raw-py", "squid", "go"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "client"}},
			Serve: func(l *Lab) { origin(l); l.Squid(l.Proxy, 3128, "") },
			Drive: func(l *Lab) {
				to := l.Server.addrOnWire(2) + ":8080"
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Proxy.IP4, "3128", "repeat:3",
					`send:GET http://`+to+`/item HTTP/1.1\r\nHost: `+to+`\r\nUser-Agent: lab-client/1\r\nX-Trace: hop-secret\r\nProxy-Connection: keep-alive\r\nKeep-Alive: timeout=7\r\nConnection: X-Trace\r\n\r\n`, "message", "done")...)
			},
			Evidence: []Evidence{notLeaked("X-Trace"), notLeaked("Proxy-Connection"), notLeaked("timeout=7")},
		},
		{
			Name: "hop001-silent-haproxy-curl", Family: Silent, SilentFor: hop001, Proxied: true,
			Title:    "haproxy with ordinary clients",
			Story:    "curl and Node's keep-alive agent behind haproxy; haproxy's own Connection handling on the far side is its own, not the client's passed on. Upgrade and TE: trailers are allowed to pass.",
			Programs: []string{"curl", "node", "haproxy", "go"}, Captures: onProxy,
			Serve: func(l *Lab) { origin(l); haproxyFront("  option forwardfor\n")(l) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-H", "TE: trailers", "-H", "Connection: TE", l.URL(l.Proxy, 80, "/[1-4]"))
				l.Run(l.Client, l.Node("client.js", "keepalive", l.URL(l.Proxy, 80, "/n"), "4")...)
			},
			Evidence: []Evidence{hopFields(16)},
		},
		{
			Name: "hop001-silent-nginx-curl", Family: Silent, SilentFor: hop001, Proxied: true,
			Title:    "nginx with an upstream keep-alive pool, captured on the near side and on both",
			Story:    "curl sends Keep-Alive and Proxy-Connection never; nginx opens its own connections upstream. On one side alone nothing can be told, and nothing is.",
			Programs: []string{"curl", "nginx", "go"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "client"}, {At: "server"}},
			Serve: func(l *Lab) { origin(l); nginxProxy(l) },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", l.URL(l.Proxy, 80, "/[1-6]"))
			},
			Evidence: []Evidence{hopFields(6)},
		},
		{
			Name: "hop001-silent-varnish", Family: Silent, SilentFor: hop001, Proxied: true,
			Title:    "varnish passes requests on without the client's hop-by-hop fields",
			Story:    "curl asks varnish, which passes every request on; Keep-Alive and Connection end there, X-Forwarded-For and X-Varnish are added.",
			Programs: []string{"curl", "varnish", "go"}, Captures: onProxy,
			Serve: func(l *Lab) {
				origin(l)
				l.Varnish(l.Proxy, 80, l.Server.addrOnWire(2), 8080, "sub vcl_recv { return (pass); }\n")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-H", "Keep-Alive: timeout=7", "-H", "Connection: keep-alive", l.URL(l.Proxy, 80, "/[1-4]"))
			},
			Evidence: []Evidence{notLeaked("timeout=7"), hopFields(8)},
		},
	}
}
