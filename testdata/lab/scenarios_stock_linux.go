package main

import (
	"fmt"
	"strings"
	"time"
)

// stockScenarios are further programs as they come, on HTTP and beside it:
// healthy, whatever they look like.
func stockScenarios() []*Scenario {
	nginx := func(l *Lab) { l.Nginx(l.Server, 80, "", "") }
	data := func(port string, atLeast int) Evidence {
		return Evidence{Says: "data in both directions", Filter: "tcp.len > 0 && tcp.port == " + port, AtLeast: atLeast}
	}
	secret := Evidence{Says: "TLS handshakes with ALPN", Filter: "tls.handshake.type == 1 || tls.handshake.type == 2", AtLeast: 2,
		Fields: []string{"frame.number", "tcp.stream", "tls.handshake.type", "tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str"}}
	docs := func(l *Lab, port int) (urls []string) {
		for _, f := range []string{"/index.html", "/style.css", "/img1.png", "/img2.png", "/small.txt", "/medium.txt"} {
			urls = append(urls, l.URL(l.Server, port, f))
		}
		return urls
	}
	healthy := func(name, title, story string, programs []string, serve, drive func(*Lab), evidence ...Evidence) *Scenario {
		return &Scenario{Name: name, Family: Healthy, Title: title, Story: story, Programs: programs,
			Captures: clientServer, Serve: serve, Drive: drive, Evidence: evidence}
	}
	with := func(s *Scenario, change func(*Scenario)) *Scenario {
		change(s)
		return s
	}
	pySteps := func(l *Lab, port string, steps ...string) {
		l.Run(l.Client, l.Python("rawpeer.py", append([]string{"connect", l.Server.IP4, port}, steps...)...)...)
	}
	h2nginx := func(l *Lab) {
		crt, key := l.Certificate("shop.test")
		l.Nginx(l.Server, 80, "", fmt.Sprintf("listen 443 ssl http2; ssl_certificate %s; ssl_certificate_key %s;", crt, key))
	}
	fetcher := func(l *Lab, library, url, n string) {
		l.Run(l.Client, l.Python("fetch.py", library, url, n)...)
	}
	return []*Scenario{
		healthy("healthy-lighttpd-wget", "wget fetches six files from lighttpd", "One connection; wget sends Connection: Keep-Alive.",
			[]string{"wget", "lighttpd"}, func(l *Lab) { l.Lighttpd(l.Server, 80) },
			func(l *Lab) { l.Run(l.Client, append([]string{"wget", "-q", "-O", "/dev/null"}, docs(l, 80)...)...) }, startLines(12), noResets()),
		with(healthy("healthy-lighttpd-lwp-ipv6", "Perl's LWP with a connection cache against lighttpd, IPv6", "keep_alive => 2; TE is named in Connection.",
			[]string{"lwp", "lighttpd"}, func(l *Lab) { l.Lighttpd(l.Server, 80) },
			func(l *Lab) {
				l.Run(l.Client, "perl", "-MLWP::UserAgent", "-e", `my $ua = LWP::UserAgent->new(keep_alive => 2); for (1..6) { my $r = $ua->get($ARGV[0]); die $r->status_line unless $r->is_success }`, l.URL(l.Server, 80, "/small.txt"))
			}, startLines(12), noResets()), func(s *Scenario) { s.IPVersion = 6 }),
		with(healthy("healthy-webrick-busybox", "busybox wget against WEBrick", "A connection for each of three files: busybox says close, and three are too few to complain about.",
			[]string{"busybox", "webrick"}, func(l *Lab) {
				l.Serve(l.Server, 8000, "ruby", "-r", "webrick", "-e", `WEBrick::HTTPServer.new(Port: 8000, DocumentRoot: ARGV[0], AccessLog: [], Logger: WEBrick::Log.new(nil, 0)).start`, l.Documents())
			},
			func(l *Lab) {
				for _, f := range []string{"/small.txt", "/style.css", "/medium.txt"} {
					l.Run(l.Client, "busybox", "wget", "-q", "-O", "/dev/null", l.URL(l.Server, 8000, f))
				}
			}, startLinesOn("8000", 6)), func(s *Scenario) { s.Link = LinkConfig{Delay: 10 * time.Millisecond} }),
		with(healthy("lat001-webrick-requests", "Ruby's WEBrick writes head and body apart", "The stock server leaves Nagle on: each answer but the first waits 40 ms for the client's delayed ACK.",
			[]string{"requests", "webrick"}, func(l *Lab) {
				l.Serve(l.Server, 8000, "ruby", "-r", "webrick", "-e", `WEBrick::HTTPServer.new(Port: 8000, DocumentRoot: ARGV[0], AccessLog: [], Logger: WEBrick::Log.new(nil, 0)).start`, l.Documents())
			},
			func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 8000, "/small.txt"), "8", "10")...)
			}, startLinesOn("8000", 16), handshakes(1), delayedAcks("0.02", 5)), func(s *Scenario) {
			s.Family, s.Rules, s.Expect = Firing, []string{"LAT001"}, "about 7 times 40 ms on one connection, writer: server"
		}),
		with(healthy("healthy-aria2c-nginx", "aria2c fetches one file in ranges over two connections", "It asks for all, learns the size, asks for the second half on another connection, and leaves the first when it meets it.",
			[]string{"aria2c", "nginx"}, func(l *Lab) {
				l.Documents()
				l.File("www/large.bin", strings.Repeat("\x00", 2200<<10))
				nginx(l)
			},
			func(l *Lab) {
				l.Run(l.Client, "aria2c", "-q", "--no-conf", "-s", "2", "-x", "2", "-k", "1M", "-d", l.dir, "-o", "got.bin", l.URL(l.Server, 80, "/large.bin"))
			}, Evidence{Says: "an answer with the whole file, and one with a range", Filter: "tcp contains \"206 Partial\" || tcp contains \"HTTP/1.1 200\"", AtLeast: 2}, handshakes(2)), func(s *Scenario) {
			s.Offload = true
			s.Captures = []Capture{{At: "client", Snaplen: 400}, {At: "server", Snaplen: 400}}
			s.Also = []string{"CLS004"}
		}),
		healthy("healthy-nginx-curl-ranges", "curl asks nginx for ranges of one file", "Four 206 answers, one of them with two parts, on one connection.",
			[]string{"curl", "nginx"}, nginx,
			func(l *Lab) {
				u := l.URL(l.Server, 80, "/medium.txt")
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", "-r", "0-99", u, "--next", "-sS", "-o", "/dev/null", "-r", "100-4999", u, "--next", "-sS", "-o", "/dev/null", "-r", "0-9,50-59", u, "--next", "-sS", "-o", "/dev/null", "-r", "-500", u)
			}, startLines(8), handshakes(1)),
		healthy("healthy-php-curl", "PHP's built-in server", "It closes after each answer and says so: three connections for three files.",
			[]string{"php", "curl"}, func(l *Lab) {
				l.Serve(l.Server, 8000, "php", "-S", "0.0.0.0:8000", "-t", l.Documents())
			},
			func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8000, "/img[1-3].png"))
			}, startLinesOn("8000", 6)),
		healthy("healthy-gunicorn-aiohttp", "aiohttp's client against gunicorn with threads", "Keep-alive between two Python programs, three requests at a time.",
			[]string{"gunicorn", "aiohttp"}, func(l *Lab) { l.Gunicorn(l.Server, 8080, "--threads", "4") },
			func(l *Lab) { fetcher(l, "aiohttp", l.URL(l.Server, 8080, "/a"), "12") }, startLinesOn("8080", 24)),
		with(healthy("healthy-uvicorn-httpx", "httpx against uvicorn over 30 ms", "Ten requests of one client.",
			[]string{"uvicorn", "httpx"}, func(l *Lab) { l.Uvicorn(l.Server, 8080) },
			func(l *Lab) { fetcher(l, "httpx", l.URL(l.Server, 8080, "/a"), "10") }, startLinesOn("8080", 20), handshakes(1)), func(s *Scenario) { s.Link = LinkConfig{Delay: 15 * time.Millisecond} }),
		healthy("healthy-uvicorn-events", "server-sent events from uvicorn", "A chunked event stream of 0.8 s, then a request on the same connection.",
			[]string{"uvicorn", "curl"}, func(l *Lab) { l.Uvicorn(l.Server, 8080) },
			func(l *Lab) {
				l.Run(l.Client, "curl", "-sSN", "-o", "/dev/null", l.URL(l.Server, 8080, "/events"), "-o", "/dev/null", l.URL(l.Server, 8080, "/a"))
			}, Evidence{Says: "events", Filter: "tcp contains \"data: \"", AtLeast: 8}, handshakes(1)),
		with(healthy("healthy-aiohttp-server-any", "aiohttp's server behind nginx, captured on any interface", "nginx keeps two connections to it.",
			[]string{"aiohttp", "nginx", "curl"}, func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("fetch.py", "serve-aiohttp", "8080", "0")...)
				l.Nginx(l.Proxy, 80, "upstream up { server "+l.Server.addrOnWire(2)+":8080; keepalive 2; }",
					"location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; }")
			},
			func(l *Lab) { l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Proxy, 80, "/[1-8]")) }, data("8080", 16)), func(s *Scenario) {
			s.Proxied = true
			s.Captures = []Capture{{At: "proxy", Iface: "any"}, {At: "server", Iface: "any"}}
		}),
		with(healthy("healthy-caddy-curl", "caddy and curl, plain HTTP over IPv6", "caddy's file server, six files on one connection.",
			[]string{"caddy", "curl"}, func(l *Lab) { l.Caddy(l.Server, 80) },
			func(l *Lab) {
				l.Run(l.Client, append([]string{"curl", "-gsS"}, docs(l, 80)...)...)
			}, data("80", 6)), func(s *Scenario) { s.IPVersion = 6 }),
		with(healthy("healthy-h2-nginx-curl", "HTTP/2 over TLS: curl and nginx", "ALPN h2; ten requests as streams of one connection.",
			[]string{"nginx", "curl"}, h2nginx,
			func(l *Lab) {
				l.Run(l.Client, "curl", "-sSk", "--http2", "--resolve", "shop.test:443:"+l.Server.IP4, "-Z", "-o", "/dev/null", "https://shop.test/img[1-8].png")
			}, secret, handshakes(1)), func(s *Scenario) {
			s.Link = LinkConfig{Delay: 10 * time.Millisecond}
			s.Captures = []Capture{{At: "client"}, {At: "server", Iface: "any"}}
		}),
		healthy("healthy-h2c-prior-nginx-curl", "HTTP/2 in the clear from the first byte", "curl --http2-prior-knowledge: a preface, then frames, on three connections.",
			[]string{"nginx", "curl"}, func(l *Lab) { l.Nginx(l.Server, 80, "", "listen 8080 http2;") },
			func(l *Lab) {
				for _, f := range []string{"/index.html", "/img1.png", "/img2.png"} {
					l.Run(l.Client, "curl", "-sS", "--http2-prior-knowledge", "-o", "/dev/null", l.URL(l.Server, 8080, f))
				}
			}, Evidence{Says: "the preface", Filter: "tcp contains \"PRI * HTTP/2.0\"", AtLeast: 1}, data("8080", 6)),
		healthy("healthy-h2c-upgrade-apache-curl", "Upgrade: h2c, accepted by Apache", "The request is HTTP/1.1, its answer is 101 and HTTP/2 frames; twice.",
			[]string{"apache2", "curl"}, func(l *Lab) { l.Apache(l.Server, 80, []string{"http2"}, "Protocols h2c http/1.1\n") },
			func(l *Lab) {
				for _, f := range []string{"/index.html", "/img1.png"} {
					l.Run(l.Client, "curl", "-sS", "--http2", "-o", "/dev/null", l.URL(l.Server, 80, f))
				}
			}, Evidence{Says: "the upgrade", Filter: "tcp contains \"101 Switching Protocols\"", AtLeast: 1}, data("80", 4)),
		with(healthy("healthy-upload-offload", "a large upload with segmentation offload", "One POST of 600 kB from curl to Go; segments far beyond the MSS, checksums not filled in, 200 bytes of each kept.",
			[]string{"curl", "go"}, func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			func(l *Lab) {
				l.File("up.bin", strings.Repeat("x", 600000))
				u := l.URL(l.Server, 8080, "/up")
				l.Run(l.Client, "curl", "-sS", "-H", "Expect:", "--data-binary", "@up.bin", u, u)
			}, Evidence{Says: "segments beyond the MSS", Filter: "tcp.len > 3000", AtLeast: 5}), func(s *Scenario) {
			s.Offload, s.Link = true, LinkConfig{Delay: 5 * time.Millisecond}
			s.Captures = []Capture{{At: "client", Snaplen: 200}, {At: "server", Iface: "any", Snaplen: 200}}
		}),
		with(healthy("healthy-privoxy-curl", "privoxy as a forward proxy", "It persists with curl and keeps its connection to nginx.",
			[]string{"privoxy", "nginx", "curl"}, func(l *Lab) { nginx(l); l.Privoxy(l.Proxy, 8118) },
			func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "--proxy-header", "Proxy-Connection:", "-x", l.URL(l.Proxy, 8118, ""), "-o", "/dev/null", "http://"+l.Server.addrOnWire(2)+"/img[1-4].png")
			}, startLinesOn("8118", 8)), func(s *Scenario) {
			s.Proxied = true
			s.Captures = []Capture{{At: "proxy", Iface: "any"}, {At: "client"}}
		}),
		healthy("healthy-curl-go-mixed", "keep-alive between requests of very different length", "Small answers, a slow one of 300 ms, a medium one, on one connection of curl.",
			[]string{"curl", "go"}, func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) },
			func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8080, "/a"), "-o", "/dev/null", l.URL(l.Server, 8080, "/slow"), "-o", "/dev/null", l.URL(l.Server, 8080, "/b"))
			}, startLinesOn("8080", 6)),
		healthy("healthy-redis", "redis is no HTTP", "Commands, a pipeline of them, and a connection closed by QUIT.",
			[]string{"redis", "raw-py"}, func(l *Lab) {
				l.Serve(l.Server, 6379, "redis-server", "--port", "6379", "--protected-mode", "no", "--save", "", "--dir", l.dir)
			},
			func(l *Lab) {
				pySteps(l, "6379", "parallel:3", "repeat:4", `send:SET a 1\r\nGET a\r\nINCR a\r\n`, "bytes:15", "sleep:20", "done", `send:QUIT\r\n`, "eof")
			}, data("6379", 20)),
		healthy("healthy-memcached", "memcached is no HTTP", "Text commands whose answers end in CRLF and begin with words.",
			[]string{"memcached", "raw-go"}, func(l *Lab) { l.Serve(l.Server, 11211, "memcached", "-u", "root", "-l", "0.0.0.0") },
			func(l *Lab) {
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "11211", "connections:2", "repeat:5", `send:set a 0 0 5\r\nhello\r\n`, "bytes:8", `send:get a\r\n`, "bytes:25", "done", `send:quit\r\n`, "eof")...)
			}, data("11211", 30)),
		with(healthy("healthy-dns-and-http", "DNS over UDP and TCP beside HTTP", "dig asks dnsmasq, curl asks nginx; the capture has no filter.",
			[]string{"dnsmasq", "nginx", "curl"}, func(l *Lab) {
				nginx(l)
				l.Serve(l.Server, 53, "dnsmasq", "-k", "-u", "root", "--no-resolv", "--no-hosts", "--pid-file="+l.Path("dns.pid"), "--address=/shop.test/10.77.1.2", "-C", "/dev/null")
			},
			func(l *Lab) {
				for _, how := range []string{"+notcp", "+tcp"} {
					l.Run(l.Client, "dig", "+short", how, "@"+l.Server.IP4, "www.shop.test")
				}
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 80, "/img[1-3].png"))
			}, Evidence{Says: "DNS", Filter: "dns", Fields: []string{"frame.number", "ip.proto", "dns.qry.name"}, AtLeast: 4}, startLines(6)), func(s *Scenario) {
			s.Captures = []Capture{{At: "client", Filter: "-"}, {At: "server", Iface: "any", Filter: "-"}}
		}),
		healthy("healthy-banner-first", "a server that speaks first", "An SSH-like banner, then binary data in both directions: neither side says anything HTTP knows.",
			[]string{"raw-py", "raw-node"}, func(l *Lab) {
				l.Serve(l.Server, 2222, l.Node("rawpeer.js", "listen", "0.0.0.0", "2222", `send:SSH-2.0-lab_1.0\r\n`, "head", "fill:900", "bytes:400", "fill:90", "eof")...)
			},
			func(l *Lab) {
				pySteps(l, "2222", "bytes:17", `send:SSH-2.0-client_2\r\n\r\n`, "bytes:900", "fill:400", "bytes:90", "sleep:200")
			}, data("2222", 5)),
	}
}

// Lighttpd serves the documents on host n.
func (l *Lab) Lighttpd(n *Namespace, port int) *Process {
	conf := l.File("lighttpd.conf", fmt.Sprintf("server.document-root = %q\nserver.port = %d\n$SERVER[\"socket\"] == \"[::]:%d\" {}\nmimetype.assign = (\".html\" => \"text/html\", \".txt\" => \"text/plain\", \".png\" => \"image/png\", \".css\" => \"text/css\")\n", l.Documents(), port, port))
	return l.Serve(n, port, "lighttpd", "-D", "-f", conf)
}

// Caddy serves the documents on host n, without TLS.
func (l *Lab) Caddy(n *Namespace, port int) *Process {
	conf := l.File("Caddyfile", fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\n:%d {\n\troot * %s\n\tfile_server\n}\n", port, l.Documents()))
	return l.Serve(n, port, "caddy", "run", "--adapter", "caddyfile", "--config", conf)
}

// Privoxy is a filtering forward proxy on host n.
func (l *Lab) Privoxy(n *Namespace, port int) *Process {
	conf := l.File("privoxy.conf", fmt.Sprintf("listen-address 0.0.0.0:%d\nkeep-alive-timeout 5\nconnection-sharing 1\ntolerate-pipelining 1\nlogdir %s\nconfdir /etc/privoxy\n", port, l.dir))
	return l.Serve(n, port, "privoxy", "--no-daemon", conf)
}

// Uvicorn serves programs/app.py, an ASGI application, on host n.
func (l *Lab) Uvicorn(n *Namespace, port int) *Process {
	return l.Serve(n, port, "uvicorn", "--app-dir", l.Path("programs"), "--host", "0.0.0.0", "--port", fmt.Sprint(port), "--log-level", "error", "app:asgi")
}
