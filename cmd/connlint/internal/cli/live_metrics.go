package cli

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/connlint/connlint/rules/runner"
)

// metrics are the figures of a live capture for Prometheus. Labels are the
// catalogue's codes, and the servers with most requests: their number is
// bounded.
type metrics struct {
	s   *session
	top int

	mu       sync.Mutex
	findings map[string]uint64 // by code

	packets, dropped, conns, requests, byRule, open, idle, timeWait, reuse *prometheus.Desc
	srvRequests, srvConns, srvOpen, srvReuse                               *prometheus.Desc
}

func newMetrics(s *session, top int) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("connlint_"+name, help, labels, nil)
	}
	m := &metrics{s: s, top: top, findings: map[string]uint64{},
		packets:  desc("packets_total", "Packets captured."),
		dropped:  desc("dropped_packets_total", "Packets that the kernel dropped before they could be read."),
		conns:    desc("connections_total", "TCP connections seen."),
		requests: desc("requests_total", "HTTP requests seen."),
		byRule:   desc("findings_total", "Occurrences found, by rule.", "rule"),
		open:     desc("connections_open", "Connections open now."),
		idle:     desc("connections_idle", "Open connections between two requests."),
		timeWait: desc("time_wait", "Sockets in TIME_WAIT now, by what the capture shows."),
		reuse:    desc("reuse_ratio", "Part of the requests that found their connection open."),

		srvRequests: desc("server_requests", "HTTP requests to a server, of those with most.", "server"),
		srvConns:    desc("server_connections", "Connections to a server, of those with most requests.", "server"),
		srvOpen:     desc("server_connections_open", "Open connections to a server, of those with most requests.", "server"),
		srvReuse:    desc("server_reuse_ratio", "Part of the requests to a server that found their connection open.", "server"),
	}
	for _, r := range s.opts.Rules {
		m.findings[r.Code] = 0
	}
	return m
}

func (m *metrics) found(f *runner.Finding) {
	m.mu.Lock()
	m.findings[f.Rule.Code] += uint64(f.Occurrences)
	m.mu.Unlock()
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter(m.packets, m.s.tap.packets.Load())
	counter(m.dropped, m.s.tap.dropped.Load())
	m.mu.Lock()
	for code, n := range m.findings {
		counter(m.byRule, n, code)
	}
	m.mu.Unlock()
	snap := m.s.opts.Monitor.Snapshot()
	counter(m.conns, uint64(snap.Total.Conns))
	counter(m.requests, uint64(snap.Total.Requests))
	gauge(m.open, float64(snap.Total.Open))
	gauge(m.idle, float64(snap.Total.Idle))
	gauge(m.timeWait, float64(snap.Total.TimeWait))
	if ratio, ok := snap.Total.Reuse(); ok {
		gauge(m.reuse, ratio)
	}
	for _, row := range topServers(snap.Pairs, m.top) {
		server := row.Server.String()
		gauge(m.srvRequests, float64(row.Requests), server)
		gauge(m.srvConns, float64(row.Conns), server)
		gauge(m.srvOpen, float64(row.Open), server)
		if ratio, ok := row.Reuse(); ok {
			gauge(m.srvReuse, ratio, server)
		}
	}
}

// topServers adds up the clients of each server and returns the n servers with
// most requests.
func topServers(pairs []runner.PairRow, n int) []runner.PairRow {
	var rows []runner.PairRow
	at := map[string]int{}
	for _, p := range pairs {
		key := p.Server.String()
		i, ok := at[key]
		if !ok {
			i = len(rows)
			at[key] = i
			rows = append(rows, runner.PairRow{Server: p.Server})
		}
		r := &rows[i]
		r.Conns += p.Conns
		r.Open += p.Open
		r.Used += p.Used
		r.Requests += p.Requests
	}
	slices.SortFunc(rows, func(a, b runner.PairRow) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), a.Server.Compare(b.Server))
	})
	return rows[:min(n, len(rows))]
}

// serve answers at addr until stop is called.
func (m *metrics) serve(addr string) (stop func(), err error) {
	reg := prometheus.NewRegistry()
	if err := reg.Register(m); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // it ends when it is shut down
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			srv.Close()
		}
		<-done
	}, nil
}
