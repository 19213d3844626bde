package main

import (
	"fmt"
	"time"
)

// healthyScenarios are sessions of stock software in stock settings. Whatever
// a rule reports as error or warning here is the rule's mistake.
func healthyScenarios() []*Scenario {
	nginx := func(l *Lab) { l.Nginx(l.Server, 80, "", "") }
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	nodeServer := func(l *Lab) { l.Serve(l.Server, 3000, l.Node("server.js", "3000")...) }
	tlsNginx := func(l *Lab) {
		crt, key := l.Certificate("shop.test")
		l.Nginx(l.Server, 80, "", fmt.Sprintf("listen 443 ssl; listen [::]:443 ssl; ssl_certificate %s; ssl_certificate_key %s;", crt, key))
	}
	site := func(l *Lab, port int) []string {
		var urls []string
		for _, f := range []string{"/index.html", "/style.css", "/app.js", "/img1.png", "/img2.png", "/small.txt", "/medium.txt", "/small.txt"} {
			urls = append(urls, "-o", "/dev/null", l.URL(l.Server, port, f))
		}
		return append([]string{"curl", "-gsS"}, urls...)
	}
	kept := startLines(6)
	tlsData := Evidence{Says: "TLS application data in both directions", Filter: "tls.record.content_type == 23", AtLeast: 8,
		Fields: []string{"frame.number", "frame.time_relative", "tcp.stream", "tcp.srcport", "tcp.dstport", "tls.record.length"}}
	return []*Scenario{
		{
			Name: "healthy-nginx-curl", Family: Healthy, SilentFor: []string{"CAP001", "CAP002", "CAP003", "CAP004"},
			Title:    "curl fetches eight files from nginx over one connection",
			Story:    "Plain keep-alive. Segmentation and checksum offload are on: segments are larger than the MSS and transmit checksums are not filled in.",
			Programs: []string{"nginx", "curl"}, Offload: true, Captures: clientServer, Serve: nginx,
			Drive:    func(l *Lab) { l.Run(l.Client, site(l, 80)...) },
			Evidence: []Evidence{kept, noResets(), {Says: "segments beyond the MSS", Filter: "tcp.len > 1460", AtLeast: 1}},
		},
		{
			Name: "healthy-nginx-curl-ipv6-everything", Family: Healthy, IPVersion: 6,
			Title:    "the same over IPv6, captured with all that is not TCP",
			Story:    "No filter: neighbour discovery is in the file.",
			Programs: []string{"nginx", "curl"}, Captures: []Capture{{At: "client", Filter: "-", Format: "pcapng"}, {At: "server", Filter: "-", Format: "pcap-ns"}}, Serve: nginx,
			Drive:    func(l *Lab) { l.Run(l.Client, site(l, 80)...) },
			Evidence: []Evidence{kept, noResets(), {Says: "frames that are not TCP", Filter: "icmpv6", AtLeast: 1, Fields: []string{"frame.number", "icmpv6.type"}}},
		},
		{
			Name: "healthy-nginx-wrk", Family: Healthy, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Title:    "wrk with two connections against nginx over 40 ms",
			Story:    "A load generator for one second; wrk closes at its end, with requests still under way on neither side's fault.",
			Programs: []string{"nginx", "wrk"}, Captures: []Capture{{At: "client"}, {At: "middle"}}, Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, "wrk", "-c", "2", "-t", "1", "-d", "1", l.URL(l.Server, 80, "/small.txt"))
			},
			Evidence: []Evidence{kept, handshakes(2)},
		},
		{
			Name: "healthy-haproxy-nginx", Family: Healthy, Proxied: true,
			Title:    "curl and python3-requests through haproxy to nginx, both sides",
			Story:    "haproxy reuses its connections to nginx.",
			Programs: []string{"haproxy", "nginx", "curl", "requests"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "client"}, {At: "server"}},
			Serve: func(l *Lab) {
				nginx(l)
				l.HAProxy(l.Proxy, 80, "frontend f\n  bind :80\n  option forwardfor\n  default_backend b\nbackend b\n  http-reuse always\n  server s "+l.Server.addrOnWire(2)+":80\n")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Proxy, 80, "/img[1-6].png"))
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Proxy, 80, "/small.txt"), "5")...)
			},
			Evidence: []Evidence{startLines(20), noResets()},
		},
		{
			Name: "healthy-apache-curl", Family: Healthy, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Title:    "curl fetches eight files from Apache over 20 ms",
			Story:    "Apache announces Keep-Alive: timeout=5, max=100.",
			Programs: []string{"apache2", "curl"}, Captures: clientServer,
			Serve:    func(l *Lab) { l.Apache(l.Server, 80, nil, "") },
			Drive:    func(l *Lab) { l.Run(l.Client, site(l, 80)...) },
			Evidence: []Evidence{kept, noResets()},
		},
		{
			Name: "healthy-squid-curl", Family: Healthy, Proxied: true,
			Title:    "squid as a forward proxy, HTTP in the clear",
			Story:    "curl asks squid for five files of nginx; squid keeps both sides' connections.",
			Programs: []string{"squid", "nginx", "curl"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "server"}},
			Also:  []string{"HOP003"},
			Serve: func(l *Lab) { nginx(l); l.Squid(l.Proxy, 3128, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "--proxy-header", "Proxy-Connection:", "-x", l.URL(l.Proxy, 3128, ""), "-o", "/dev/null", "http://"+l.Server.addrOnWire(2)+"/img[1-5].png")
			},
			Evidence: []Evidence{startLines(10), noResets()},
		},
		{
			Name: "healthy-squid-connect-tls", Family: Healthy, Proxied: true, Link: LinkConfig{Delay: 5 * time.Millisecond},
			Title:    "squid as a forward proxy, CONNECT and TLS inside",
			Story:    "One tunnel carries four requests to nginx.",
			Programs: []string{"squid", "nginx", "curl"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "client"}},
			Serve: func(l *Lab) { tlsNginx(l); l.Squid(l.Proxy, 3128, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sSk", "--http1.1", "-x", l.URL(l.Proxy, 3128, ""), "-o", "/dev/null", "https://"+l.Server.addrOnWire(2)+"/img[1-4].png")
			},
			Evidence: []Evidence{{Says: "CONNECT and its answer", Filter: "tcp contains \"CONNECT \" || tcp contains \"200 Connection established\"", AtLeast: 2}},
		},
		{
			Name: "healthy-node-agent", Family: Healthy,
			Title:    "Node's keep-alive agent against Node's server",
			Story:    "Twelve requests on one connection, then ten more four at a time.",
			Programs: []string{"node"}, Captures: clientServer, Serve: nodeServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "keepalive", l.URL(l.Server, 3000, "/a"), "12", "5")...)
				l.Run(l.Client, l.Node("client.js", "parallel", l.URL(l.Server, 3000, "/b"), "10")...)
			},
			Evidence: []Evidence{startLines(40), noResets()},
		},
		{
			Name: "healthy-java-httpclient", Family: Healthy, IPVersion: 6, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Title:    "Java's HttpClient against nginx",
			Story:    "Fifteen requests over one IPv6 connection.",
			Programs: []string{"java", "nginx"}, Captures: clientServer, Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Java("JdkClient.java", "httpclient", l.URL(l.Server, 80, "/small.txt"), "15")...)
			},
			Evidence: []Evidence{startLines(30), noResets()},
		},
		{
			Name: "healthy-java-urlconnection", Family: Healthy,
			Title:    "Java's HttpURLConnection posts to a Go server",
			Story:    "Ten POSTs; the JDK keeps the connection and sends head and body with TCP_NODELAY.",
			Programs: []string{"java", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Java("JdkClient.java", "urlconnection", l.URL(l.Server, 8080, "/orders"), "10")...)
			},
			Evidence: []Evidence{startLines(20), noDelayedAcks("0.03")},
		},
		{
			Name: "healthy-requests-session-apache", Family: Healthy, Link: LinkConfig{Delay: 40 * time.Millisecond},
			Title:    "python3-requests with a Session against Apache over 80 ms",
			Story:    "Ten requests, one connection.",
			Programs: []string{"requests", "apache2"}, Captures: []Capture{{At: "client"}, {At: "middle"}, {At: "server"}},
			Serve: func(l *Lab) { l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/small.txt"), "10")...)
			},
			Evidence: []Evidence{startLines(20), noResets()},
		},
		{
			Name: "healthy-go-go", Family: Healthy, SilentFor: []string{"CAP002", "CAP003", "CAP004"}, Offload: true,
			Title:    "Go's http.Client against Go's http.Server",
			Story:    "Twenty requests on one connection with 20 ms between them.",
			Programs: []string{"go"}, Captures: []Capture{{At: "client", Format: "pcap-ns"}, {At: "server", Iface: "any", SLL1: true}}, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("get", l.URL(l.Server, 8080, "/item"), "20", "every:20")...)
			},
			Evidence: []Evidence{startLines(40), noResets()},
		},
		{
			Name: "healthy-chromium-nginx", Family: Healthy, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Title:    "chromium loads a page with style, script and eight images",
			Story:    "A browser opens up to six connections at once, uses some for one image only, and closes them when it ends.",
			Programs: []string{"chromium", "nginx"}, Captures: clientServer, Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--disable-background-networking",
					"--no-first-run", "--virtual-time-budget=3000", "--user-data-dir="+l.Path("profile"), "--dump-dom", l.URL(l.Server, 80, "/index.html"))
			},
			Evidence: []Evidence{startLines(20), handshakes(1)},
		},
		{
			Name: "healthy-ab-keep-alive", Family: Healthy,
			Title:    "ab -k against nginx",
			Story:    "HTTP/1.0 with keep-alive asked for and confirmed; four connections, sixty requests.",
			Programs: []string{"ab", "nginx"}, Captures: clientServer, Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, "ab", "-k", "-q", "-n", "60", "-c", "4", l.URL(l.Server, 80, "/small.txt"))
			},
			Evidence: []Evidence{startLines(60)},
		},
		{
			Name: "healthy-tls-nginx-curl", Family: Healthy, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Title:    "curl over TLS 1.3 to nginx",
			Story:    "One connection, eight files, HTTP/1.1 inside TLS.",
			Programs: []string{"nginx", "curl"}, Captures: clientServer, Serve: tlsNginx,
			Drive: func(l *Lab) {
				argv := []string{"curl", "-sSk", "--http1.1", "--resolve", "shop.test:443:" + l.Server.IP4}
				for i := 1; i <= 8; i++ {
					argv = append(argv, "-o", "/dev/null", fmt.Sprintf("https://shop.test/img%d.png", i))
				}
				l.Run(l.Client, argv...)
			},
			Evidence: []Evidence{tlsData, noResets()},
		},
		{
			Name: "healthy-loopback-ab-apache", Family: Healthy,
			Title:    "everything on one host: ab -k and Apache over lo",
			Story:    "Loopback has an MTU of 65536 and no other link to cross; -i any sees the same packets.",
			Programs: []string{"ab", "apache2"}, Captures: []Capture{{At: "client", Iface: "lo"}, {At: "client", Iface: "any"}},
			Serve: func(l *Lab) { l.Apache(l.Client, 8080, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, "ab", "-k", "-q", "-n", "40", "-c", "3", "http://127.0.0.1:8080/small.txt")
			},
			Evidence: []Evidence{startLinesOn("8080", 40)},
		},
		{
			Name: "healthy-varnish-curl", Family: Healthy, Proxied: true,
			Title:    "varnish in front of nginx, most answers from its cache",
			Story:    "curl asks for four files twice; varnish fetches each once.",
			Programs: []string{"varnish", "nginx", "curl"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "client"}},
			Serve: func(l *Lab) { nginx(l); l.Varnish(l.Proxy, 80, l.Server.addrOnWire(2), 80, "") },
			Drive: func(l *Lab) {
				u := l.URL(l.Proxy, 80, "/img[1-4].png")
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", u, "-o", "/dev/null", u)
			},
			Evidence: []Evidence{startLines(16), noResets()},
		},
		{
			Name: "healthy-lossy-nginx-curl", Family: Healthy, SilentFor: []string{"CAP001"}, Link: LinkConfig{Delay: 20 * time.Millisecond, Loss: 0.02, Reorder: 0.03, ReorderBy: 6 * time.Millisecond},
			Title:    "2 % loss and some reordering on a 40 ms path",
			Story:    "Retransmissions, duplicate ACKs and frames out of order, and nothing that HTTP did wrong.",
			Programs: []string{"nginx", "curl"}, Captures: clientServer, Serve: nginx,
			Drive: func(l *Lab) {
				l.Run(l.Client, append(site(l, 80), "-o", "/dev/null", l.URL(l.Server, 80, "/medium.txt"), "-o", "/dev/null", l.URL(l.Server, 80, "/medium.txt"))...)
			},
			Evidence: []Evidence{kept, {Says: "loss and reordering", Filter: "tcp.analysis.retransmission || tcp.analysis.out_of_order || tcp.analysis.duplicate_ack || tcp.analysis.lost_segment", AtLeast: 1}},
		},
		{
			Name: "healthy-nginx-proxy-node", Family: Healthy, Proxied: true,
			Title:    "nginx with an upstream pool in front of Node, four clients at once",
			Story:    "Requests of several connections are under way at the same time on both sides of nginx.",
			Programs: []string{"nginx", "node"}, Captures: []Capture{{At: "proxy", Iface: "any"}, {At: "client"}},
			Serve: func(l *Lab) {
				nodeServer(l)
				l.Nginx(l.Proxy, 80, "upstream up { server "+l.Server.addrOnWire(2)+":3000; keepalive 8; }",
					"location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr; }")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "parallel", l.URL(l.Proxy, 80, "/q"), "16")...)
			},
			Evidence: []Evidence{startLines(32), noResets()},
		},
		{
			Name: "healthy-expect-continue", Family: Healthy, Link: LinkConfig{Delay: 15 * time.Millisecond},
			Title:    "Expect: 100-continue, honoured",
			Story:    "Node sends the head, Go's server answers 100, the body follows: three POSTs on one connection. A round trip each, as asked for.",
			Programs: []string{"node", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("client.js", "expect", l.URL(l.Server, 8080, "/up"), "3")...)
			},
			Evidence: []Evidence{{Says: "interim answers", Filter: "http.response.code == 100", Fields: httpFields, AtLeast: 3}, startLines(9)},
		},
		{
			Name: "healthy-curl-chunked-upload", Family: Healthy,
			Title:    "chunked uploads from curl to Go",
			Story:    "curl -T - does not know the length and sends chunks; three uploads on one connection.",
			Programs: []string{"curl", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				l.File("up.txt", "some bytes to upload\n")
				u := l.URL(l.Server, 8080, "/up")
				l.Run(l.Client, "sh", "-c", "cat up.txt | curl -sS -H Expect: -H 'Transfer-Encoding: chunked' --data-binary @- "+u+" "+u+" "+u)
			},
			Evidence: []Evidence{{Says: "chunked requests", Filter: "http.request && http.transfer_encoding", Fields: httpFields, AtLeast: 3}},
		},
		{
			Name: "healthy-download-snaplen", Family: Healthy, Link: LinkConfig{Delay: 10 * time.Millisecond}, Offload: true,
			Title:    "a larger download, only the first 128 bytes of each frame kept",
			Story:    "Bodies of a megabyte in all, cut by the snaplen: what the rules cannot see they must not judge. Wireshark's length of the segments tells the truth still.",
			Programs: []string{"nginx", "curl"}, Captures: []Capture{{At: "client", Snaplen: 128}, {At: "server", Snaplen: 128}},
			Serve: func(l *Lab) {
				l.Documents()
				l.File("www/large.bin", string(make([]byte, 512<<10)))
				nginx(l)
			},
			Drive: func(l *Lab) {
				u := l.URL(l.Server, 80, "/large.bin")
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", u, "-o", "/dev/null", u)
			},
			Evidence: []Evidence{{Says: "frames longer than what was kept", Filter: "frame.cap_len < frame.len", Fields: []string{"frame.number", "frame.len", "frame.cap_len", "tcp.len"}, AtLeast: 10}},
		},
	}
}
