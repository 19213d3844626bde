package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// predictionScenarios are pairs of recordings: what connlint stats estimates
// from the one without reuse is held against the one with it.
func predictionScenarios() []*Scenario {
	programs := map[string]func(l *Lab, what, url, n string) []string{
		"requests": func(l *Lab, what, url, n string) []string { return l.Python("workload.py", what, url, n) },
		"node":     func(l *Lab, what, url, n string) []string { return l.Node("workload.js", what, url, n) },
		"java":     func(l *Lab, what, url, n string) []string { return l.Java("Workload.java", what, url, n) },
		"go":       func(l *Lab, what, url, n string) []string { return l.Go("workload", what, url, n) },
	}
	var all []*Scenario
	add := func(client string, rtt time.Duration, secure bool, n int, path string) {
		for _, what := range []string{"without", "with"} {
			all = append(all, prediction(client, rtt, secure, n, path, what, programs[client]))
		}
	}
	for _, rtt := range []time.Duration{20, 80, 200} {
		add("requests", rtt*time.Millisecond, false, 50, "/a")
		add("requests", rtt*time.Millisecond, true, 50, "/a")
	}
	for _, client := range []string{"node", "go", "java"} {
		add(client, 80*time.Millisecond, false, 50, "/a")
		add(client, 20*time.Millisecond, true, 50, "/a")
	}
	add("requests", 80*time.Millisecond, false, 20, "/large.bin")
	return all
}

func prediction(client string, rtt time.Duration, secure bool, n int, path, what string, program func(l *Lab, what, url, n string) []string) *Scenario {
	kind, port, snaplen := "plain", 80, 256
	if secure {
		kind, port, snaplen = "tls", 443, 800 // hellos in whole
	}
	large := path != "/a"
	if large {
		kind = "large"
	}
	s := &Scenario{
		Name:     fmt.Sprintf("reuse-%s-%dms-%s-%s", client, rtt.Milliseconds(), kind, what),
		Programs: []string{client, "nginx"}, Link: LinkConfig{Delay: rtt / 2}, Offload: large,
		Captures: []Capture{{At: "client", Snaplen: snaplen}},
		Title:    fmt.Sprintf("%d requests over %v, %s, %s reuse", n, rtt, kind, what),
		Story:    "One of a pair: the total of the other one, estimated from the recording without reuse, is held against what was measured with it.",
		Serve: func(l *Lab) {
			crt, key := l.Certificate("shop.test")
			l.Documents()
			l.File("www/large.bin", strings.Repeat("0123456789abcdef", 60<<10/16))
			l.Nginx(l.Server, 80, "keepalive_requests 1000;", fmt.Sprintf("listen 443 ssl; ssl_certificate %s; ssl_certificate_key %s; location = /a { return 200 \"ok\\n\"; }", crt, key))
		},
		Drive: func(l *Lab) {
			url := l.URL(l.Server, port, path)
			if secure {
				url = "https" + strings.TrimPrefix(url, "http")
			}
			l.Run(l.Client, program(l, what, url, strconv.Itoa(n))...)
		},
	}
	if what == "with" {
		s.Family, s.Evidence = Healthy, []Evidence{handshakes(1)}
	} else {
		s.Family, s.Rules, s.Also = Firing, []string{"REU001"}, []string{"TLS001", "TLS002", "LAT002"}
		s.Expect, s.Evidence = fmt.Sprintf("1 pair, %d avoidable, severity warning", n-1), []Evidence{handshakes(n)}
	}
	return s
}

// goWorkload is programs/workload.py in Go.
func goWorkload(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: workload with|without URL N")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: args[0] == "without",
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the lab's certificate is signed by nobody
	}}
	for range n {
		res, err := client.Get(args[1])
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
	}
	client.CloseIdleConnections()
	return nil
}
