package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// flights shows data that came after most of a round trip of nothing: the
// sender had to wait for ACKs.
func flights(atLeast int) Evidence {
	return Evidence{
		Says:    "data that followed an ACK or a pause by most of a round trip: flights",
		Filter:  "tcp.len > 1000 && tcp.time_delta > 0.02 || tcp.len == 0 && tcp.time_delta > 0.02",
		AtLeast: atLeast,
	}
}

// quickAcks turns delayed ACKs off for all that host n receives from its first
// network.
func (l *Lab) quickAcks(n *Namespace) {
	l.Run(n, "ip", "route", "change", "10.77.1.0/24", "dev", "eth0", "proto", "kernel", "scope", "link", "src", n.IP4, "quickack", "1")
}

// slowStart pins what the kernels of both hosts do after idleness: "1" starts
// slowly again, as Linux does unless told otherwise.
func (l *Lab) slowStart(afterIdle string) {
	for _, h := range []*Namespace{l.Client, l.Server} {
		l.Sysctl(h, "net.ipv4.tcp_congestion_control", "reno")
		l.Sysctl(h, "net.ipv4.tcp_slow_start_after_idle", afterIdle)
	}
	l.Documents()
	l.File("www/large.bin", strings.Repeat("\x00", 160<<10))
}

// waitingScenarios are about time lost while a connection stands open: slow
// start, the head of the line, Expect, two writes, a closed window.
func waitingScenarios() []*Scenario {
	goServer := func(l *Lab) { l.Serve(l.Server, 8080, l.Go("serve", ":8080")...) }
	far := LinkConfig{Delay: 40 * time.Millisecond}
	cut := []Capture{{At: "client", Snaplen: 400}, {At: "server", Snaplen: 400}}
	py := func(l *Lab, port string, steps ...string) {
		l.Run(l.Client, l.Python("rawpeer.py", append([]string{"connect", l.Server.IP4, port}, steps...)...)...)
	}
	slowGet := `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n`
	expect := `send:POST /up HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`
	bodyAfter := func(seconds string, atLeast int) Evidence {
		return Evidence{Says: "the body, and how long it was held back", Filter: "tcp.dstport == 8080 && tcp.len > 0 && tcp.time_delta > " + seconds,
			Fields: append(append([]string(nil), wire...), "tcp.time_delta"), AtLeast: atLeast}
	}
	zero := func(atLeast int) Evidence {
		return Evidence{Says: "the window is closed, and for how long nothing moved", Filter: "tcp.analysis.zero_window || tcp.analysis.window_update || tcp.analysis.window_full",
			Fields: append(append([]string(nil), wire...), "tcp.window_size", "tcp.time_delta"), AtLeast: atLeast}
	}
	return []*Scenario{
		{
			Name: "lat002-go-apache-cold", Family: Firing, Rules: []string{"LAT002"}, Also: []string{"REU001"}, Offload: true, Link: far,
			Title:    "a Go program without a pool fetches 160 KiB from Apache four times",
			Story:    "Each transfer climbs from ten segments again, three round trips each; the one before had just closed a warm connection.",
			Programs: []string{"go", "apache2"}, Captures: []Capture{{At: "client", Snaplen: 320}, {At: "server", Snaplen: 320}}, Expect: "1 pair, severity info (beside REU001 when it counts the cost)",
			Serve: func(l *Lab) { l.slowStart("1"); l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("get", l.URL(l.Server, 80, "/large.bin"), "4", "fresh", "every:60")...)
			},
			Evidence: []Evidence{handshakes(4), flights(6)},
		},
		{
			Name: "lat002-silent-one-warm-connection", Family: Silent, SilentFor: []string{"LAT002"}, Offload: true, Link: far,
			Title:    "the same four downloads over one connection",
			Story:    "The first is cold, as the first must be: there was no other connection that could have been used.",
			Programs: []string{"curl", "nginx"}, Captures: cut,
			Serve: func(l *Lab) { l.slowStart("1"); l.Nginx(l.Server, 80, "", "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 80, "/large.bin?[1-4]"))
			},
			Evidence: []Evidence{handshakes(1), flights(2)},
		},
		{
			Name: "lat002-silent-application-paced", Family: Silent, SilentFor: []string{"LAT002"}, Also: []string{"REU001"}, Link: far,
			Title:    "a body that comes in growing pieces because the application makes them so",
			Story:    "Three connections in a row; on each the server writes 2, 4 and 8 kB with 130 ms between. The gaps exceed the round trip of 80 ms, but every piece leaves long after the last ACK: the congestion window held nothing back.",
			Programs: []string{"raw-go", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", `send:HTTP/1.1 200 OK\r\nContent-Length: 14000\r\n\r\n`, "fill:2000", "sleep:130", "fill:4000", "sleep:130", "fill:8000", "eof")...)
			},
			Drive: func(l *Lab) { py(l, "8080", "connections:3", "every:100", getA, "message") },
			Evidence: []Evidence{handshakes(3), {Says: "data after a silence longer than the round trip", Filter: "tcp.srcport == 8080 && tcp.len > 0 && tcp.time_delta > 0.04",
				Fields: append(append([]string(nil), wire...), "tcp.time_delta"), AtLeast: 3}},
		},
		{
			Name: "lat003-requests-apache", Family: Firing, Rules: []string{"LAT003"}, Offload: true, Link: far,
			Title:    "python3-requests fetches 160 KiB from Apache, pauses, fetches again",
			Story:    "Three downloads on one connection, 1.5 s apart. The window of each start is ten segments once more, though the download before had ended with far more in flight.",
			Programs: []string{"requests", "apache2"}, Captures: cut, Expect: "1 or 2 on one connection, severity info",
			Serve: func(l *Lab) { l.slowStart("1"); l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/large.bin"), "3", "1500")...)
			},
			Evidence: []Evidence{handshakes(1), flights(6)},
		},
		{
			Name: "lat003-silent-sysctl", Family: Silent, SilentFor: []string{"LAT003"}, Offload: true, Link: far,
			Title:    "the same pauses with tcp_slow_start_after_idle=0",
			Story:    "The sender keeps its congestion window through the pause and sends the next download in one go.",
			Programs: []string{"requests", "apache2"}, Captures: cut,
			Serve: func(l *Lab) { l.slowStart("0"); l.Apache(l.Server, 80, nil, "") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 80, "/large.bin"), "3", "1500")...)
			},
			Evidence: []Evidence{handshakes(1), idle(6)},
		},
		{
			Name: "lat003-silent-no-pause", Family: Silent, SilentFor: []string{"LAT003"}, Offload: true, Link: far,
			Title:    "downloads without a pause stay warm",
			Story:    "Three downloads back to back on one connection, slow start after idle switched on: less than a retransmission time-out passes between them.",
			Programs: []string{"raw-py", "nginx"}, Captures: cut,
			Serve: func(l *Lab) { l.slowStart("1"); l.Nginx(l.Server, 80, "", "") },
			Drive: func(l *Lab) {
				large := `send:GET /large.bin HTTP/1.1\r\nHost: shop.test\r\n\r\n`
				py(l, "80", "repeat:3", large, "message", "done")
			},
			Evidence: []Evidence{handshakes(1), flights(2)},
		},
		{
			Name: "lat004-nginx-slow-backend", Family: Firing, Rules: []string{"LAT004"}, Also: []string{"PIP002"}, Link: LinkConfig{Delay: 10 * time.Millisecond},
			Title:    "two quick GETs pipelined behind one whose backend is slow",
			Story:    "nginx answers a pipeline in order; /slow waits 300 ms for the program behind nginx on the same host, the two static answers wait with it.",
			Programs: []string{"raw-node", "nginx", "go"}, Captures: clientServer, Expect: "2, 300 ms, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 9000, l.Go("serve", "127.0.0.1:9000")...)
				l.Nginx(l.Server, 8080, "", "location = /slow { proxy_pass http://127.0.0.1:9000; } location / { return 200 \"ok\\n\"; }")
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", getA, "message",
					`send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /c HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "head", "bytes:5", "message", "message")...)
			},
			Settle:   600 * time.Millisecond,
			Evidence: []Evidence{order("8080", 5)},
		},
		{
			Name: "lat004-silent-equally-slow", Family: Silent, SilentFor: []string{"LAT004"}, Also: []string{"PIP002"},
			Title:    "two equally slow requests in one pipeline",
			Story:    "Each takes 300 ms itself: the second waited for the first, but its own work is as long as the wait.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				py(l, "8080", getA, "message", `send:GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n`, "message", "message")
			},
			Evidence: []Evidence{order("8080", 4)},
		},
		{
			Name: "lat004-silent-short-wait", Family: Silent, SilentFor: []string{"LAT004", "PIP003"}, Also: []string{"PIP002"}, Link: LinkConfig{Delay: 60 * time.Millisecond},
			Title:    "quick requests pipelined over a long path",
			Story:    "All three answers come 120 ms after the requests; that is the path, not the head of the line.",
			Programs: []string{"raw-node", "nginx"}, Captures: clientServer,
			Serve: func(l *Lab) { l.Nginx(l.Server, 8080, "", "location / { return 200 \"ok\\n\"; }") },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", getA, "message", threeGets, "message", "message", "message")...)
			},
			Evidence: []Evidence{order("8080", 4)},
		},
		{
			Name: "lat004-silent-not-pipelined", Family: Silent, SilentFor: []string{"LAT004"},
			Title:    "a slow request, then quick ones, each after the answer before it",
			Story:    "The quick ones wait for the slow one in the client's pool of one connection, not on the wire.",
			Programs: []string{"go", "requests"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "get", l.URL(l.Server, 8080, "/slow"), "2")...)
			},
			Evidence: []Evidence{order("8080", 4)},
		},
		{
			Name: "lat005-go-expect", Family: Firing, Rules: []string{"LAT005"},
			Title:    "Go's client expects 100 Continue from a server that never says so",
			Story:    "net/http waits ExpectContinueTimeout, one second, before it sends the body; two PUTs on one connection.",
			Programs: []string{"go", "raw-node"}, Captures: clientServer, Expect: "2, 1 s each, severity warning",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Node("rawpeer.js", "listen", "0.0.0.0", "8080", "repeat:2", "message", ok200, "done", "eof")...)
			},
			Drive:    func(l *Lab) { l.Run(l.Client, l.Go("expect", l.URL(l.Server, 8080, "/up"), "2")...) },
			Evidence: []Evidence{order("8080", 6), bodyAfter("0.9", 2)},
		},
		{
			Name: "lat005-silent-answered", Family: Silent, SilentFor: []string{"LAT005"}, Link: LinkConfig{Delay: 15 * time.Millisecond},
			Title:    "100 Continue at once from Apache, and half a second late from another",
			Story:    "curl asks both. The second server takes 500 ms to decide: that is its answer's time, not a client that waits for nothing.",
			Programs: []string{"curl", "apache2", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Apache(l.Server, 80, nil, "")
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "head", "sleep:500", `send:HTTP/1.1 100 Continue\r\n\r\n`, "bytes:14", ok200, "eof")...)
			},
			Drive: func(l *Lab) {
				for _, port := range []int{80, 8080} {
					l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", "-H", "Expect: 100-continue", "-d", "some form data", l.URL(l.Server, port, "/small.txt"))
				}
			},
			Evidence: []Evidence{{Says: "interim answers", Filter: "tcp contains \"100 Continue\"", AtLeast: 2}, order("8080", 4)},
		},
		{
			Name: "lat005-silent-refused-or-impatient", Family: Silent, SilentFor: []string{"LAT005"},
			Title:    "417 at once, and a client that waits a tenth of a second",
			Story:    "The first server refuses the expectation and Go's client gives up; to the second curl sends the body after 100 ms.",
			Programs: []string{"curl", "go", "raw-go"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", `send:HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, "close")...)
				l.Serve(l.Server, 8081, l.Go("raw", "listen", "0.0.0.0", "8081", "message", ok200, "eof")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Go("expect", l.URL(l.Server, 8080, "/up"), "1")...)
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", "--expect100-timeout", "0.1", "-H", "Expect: 100-continue", "-d", "some form data", l.URL(l.Server, 8081, "/form"))
			},
			Evidence: []Evidence{{Says: "the refusal", Filter: "tcp contains \"417 Expectation\"", AtLeast: 1}, order("8081", 3)},
		},
		{
			Name: "lat006-python-two-writes", Family: Firing, Rules: []string{"LAT006"}, Link: LinkConfig{Delay: 30 * time.Millisecond},
			Title:    "two writes, Nagle, and a receiver that acknowledges at once: a round trip per POST",
			Story:    "The server's route says quickack, so no ACK is delayed. The body still waits for the ACK of the head: 60 ms for each of eight POSTs.",
			Programs: []string{"raw-py", "go"}, Captures: clientServer, Expect: "8 times one round trip on one connection, severity info",
			Serve:    func(l *Lab) { l.quickAcks(l.Server); goServer(l) },
			Drive:    func(l *Lab) { py(l, "8080", "repeat:8", postHead, postBody, "message", "done") },
			Evidence: []Evidence{noDelayedAcks("0.08"), ladder(4, 14)},
		},
		{
			Name: "lat006-python-http-server", Family: Firing, Rules: []string{"LAT006"}, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Title:    "http.server writes twice towards a client that acknowledges at once",
			Story:    "The writer at fault is the server here: its body follows one round trip of 40 ms after the head, eight times.",
			Programs: []string{"python", "curl"}, Captures: clientServer, Expect: "8 times one round trip on one connection, severity info",
			Serve: func(l *Lab) {
				l.quickAcks(l.Client)
				l.Serve(l.Server, 8000, l.Python("httpserver.py", "two-writes", "8000")...)
			},
			Drive: func(l *Lab) {
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8000, "/doc/[1-8]"))
			},
			Evidence: []Evidence{noDelayedAcks("0.06"), ladder(4, 14)},
		},
		{
			Name: "lat006-silent-nodelay", Family: Silent, SilentFor: []string{"LAT006", "LAT001"}, Link: LinkConfig{Delay: 30 * time.Millisecond},
			Title:    "two writes with TCP_NODELAY over the same 60 ms",
			Story:    "Head and body leave in two segments one right after the other; python3-requests does that with every POST.",
			Programs: []string{"requests", "go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.quickAcks(l.Server); goServer(l) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("session.py", "post", l.URL(l.Server, 8080, "/orders"), "8")...)
			},
			Evidence: []Evidence{noDelayedAcks("0.08"), ladder(4, 14)},
		},
		{
			Name: "lat006-silent-slow-application", Family: Silent, SilentFor: []string{"LAT006", "LAT001"}, Link: LinkConfig{Delay: 20 * time.Millisecond},
			Title:    "the body comes 90 ms after the head, the ACK after 40",
			Story:    "Between head and body the client thinks. Nagle's algorithm is on but has nothing to hold: the ACK was back long before.",
			Programs: []string{"raw-node", "go"}, Captures: clientServer,
			Serve: func(l *Lab) { l.quickAcks(l.Server); goServer(l) },
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Node("rawpeer.js", "connect", l.Server.IP4, "8080", "repeat:6", postHead, "sleep:90", postBody, "message", "done")...)
			},
			Evidence: []Evidence{noDelayedAcks("0.06"), ladder(4, 14)},
		},
		{
			Name: "lat007-upload-slow-reader", Family: Firing, Rules: []string{"LAT007"},
			Title:    "an upload meets a server that reads nothing for 700 ms",
			Story:    "The server's program has the head and is busy; its receive buffer fills and the window closes in the middle of the body.",
			Programs: []string{"curl", "raw-py"}, Captures: clientServer, Expect: "1, severity info",
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "rcvbuf:6000", "head", "sleep:700", "bytes:40000", ok200, "eof")...)
			},
			Drive: func(l *Lab) {
				l.File("up.bin", strings.Repeat("x", 40000))
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", "-H", "Expect:", "--data-binary", "@up.bin", l.URL(l.Server, 8080, "/up"))
			},
			Evidence: []Evidence{zero(1), {Says: "the window opens after more than half a second", Filter: "tcp.analysis.window_update && tcp.time_delta > 0.3", AtLeast: 1}},
		},
		{
			Name: "lat007-silent-short-stall", Family: Silent, SilentFor: []string{"LAT007"},
			Title:    "the window is closed for some 60 ms",
			Story:    "The same small buffer and a reader that is busy for a moment only.",
			Programs: []string{"curl", "raw-py"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Python("rawpeer.py", "listen", "0.0.0.0", "8080", "rcvbuf:6000", "head", "sleep:150", "bytes:40000", ok200, "eof")...)
			},
			Drive: func(l *Lab) {
				l.File("up.bin", strings.Repeat("x", 40000))
				l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", "-H", "Expect:", "--data-binary", "@up.bin", l.URL(l.Server, 8080, "/up"))
			},
			Evidence: []Evidence{zero(1)},
		},
		{
			Name: "lat007-silent-slow-sender", Family: Silent, SilentFor: []string{"LAT007"},
			Title:    "a download that stalls because its sender does",
			Story:    "The server writes 20 kB, does nothing for 600 ms, writes the rest. The window stands open all the time.",
			Programs: []string{"raw-go", "curl"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Serve(l.Server, 8080, l.Go("raw", "listen", "0.0.0.0", "8080", "head", `send:HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n`, "fill:20000", "sleep:600", "fill:20000", "eof")...)
			},
			Drive: func(l *Lab) { l.Run(l.Client, "curl", "-sS", "-o", "/dev/null", l.URL(l.Server, 8080, "/a")) },
			Evidence: []Evidence{{Says: "no closed window", Filter: "tcp.analysis.zero_window || tcp.window_size == 0 && tcp.flags.reset == 0", AtMost: -1},
				{Says: "the stall", Filter: "tcp.srcport == 8080 && tcp.len > 0 && tcp.time_delta > 0.5", AtLeast: 1}},
		},
		{
			Name: "lat004-silent-two-connections", Family: Silent, SilentFor: []string{"LAT004", "LAT007"},
			Title:    "one slow answer on a connection of its own",
			Story:    "Two connections, one slow and one quick request at the same time: nobody stands in anybody's line.",
			Programs: []string{"raw-go", "go"}, Captures: clientServer, Serve: goServer,
			Drive: func(l *Lab) {
				slow := l.Start(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "repeat:2", slowGet, "message", "done")...)
				l.Run(l.Client, l.Go("raw", "connect", l.Server.IP4, "8080", "repeat:4", getB, "message", "sleep:100", "done")...)
				l.Wait(slow)
			},
			Evidence: []Evidence{handshakes(2), order("8080", 12)},
		},
		{
			Name: "healthy-expect-then-final", Family: Healthy,
			Title:    "an upload refused on its head: the client never sends the body",
			Story:    "curl asks first; the server says 413 and close instead of 100, and curl keeps its body. That is what Expect is for.",
			Programs: []string{"curl", "nginx"}, Captures: clientServer,
			Serve: func(l *Lab) {
				l.Nginx(l.Server, 8080, "client_max_body_size 1k;", "location / { return 200 \"ok\\n\"; }")
			},
			Drive: func(l *Lab) {
				l.File("up.bin", strings.Repeat("x", 20000))
				l.Try(l.Client, "curl", "-sS", "-o", "/dev/null", "-H", "Expect: 100-continue", "--data-binary", "@up.bin", l.URL(l.Server, 8080, "/up"))
			},
			Evidence: []Evidence{order("8080", 2), noResets()},
		},
		{
			Name: "healthy-expect-raw", Family: Healthy, IPVersion: 6,
			Title:    "a hand-written client that expects 100 Continue, answered by Go",
			Story:    "Three POSTs on one IPv6 connection, captured on any interface as well.",
			Programs: []string{"raw-py", "go"}, Captures: []Capture{{At: "client"}, {At: "server", Iface: "any"}}, Serve: goServer,
			Drive: func(l *Lab) {
				l.Run(l.Client, l.Python("rawpeer.py", "connect", l.Server.IP6, "8080", "repeat:3", expect, "head", "send:hello", "message", "done")...)
			},
			Evidence: []Evidence{{Says: "interim answers", Filter: "tcp contains \"100 Continue\"", AtLeast: 3}, order("8080", 9)},
		},
	}
}

// goExpect puts a small body N times with Expect: 100-continue: `expect URL N`.
func goExpect(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: expect URL N")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Second}}
	for range n {
		req, err := http.NewRequest(http.MethodPut, args[0], bufio.NewReader(strings.NewReader("some data to put")))
		if err != nil {
			return err
		}
		req.ContentLength = 16
		req.Header.Set("Expect", "100-continue")
		res, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("put: %w", err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
	}
	client.CloseIdleConnections()
	return nil
}
