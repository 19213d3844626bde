package runner_test

import (
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// stops is a source that is idle after a number of packets, 0 for all of them,
// so that these are worked on, and then calls at.
type stops struct {
	capture.Source
	after, lent uint64
	at          func()
	idle        bool
}

func (s *stops) Next(p *capture.Packet) error {
	if s.after > 0 && s.lent == s.after && !s.idle {
		s.idle = true
		return capture.ErrIdle
	}
	if s.idle && s.at != nil {
		s.at()
		s.at = nil
	}
	err := s.Source.Next(p)
	if s.lent++; err == io.EOF && s.after == 0 && !s.idle {
		s.idle = true
		return capture.ErrIdle
	}
	return err
}

func watched(t *testing.T, text string, m *runner.Monitor, workers int, after uint64, at func()) *runner.Result {
	t.Helper()
	s, err := script.Parse("watched", text)
	if err != nil {
		t.Fatal(err)
	}
	return runner.Run(&stops{Source: s.Source(0), after: after, at: at}, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(),
		Config: rules.Defaults(), Workers: workers, Monitor: m})
}

const threeConns = `
conn a 10.0.0.1:40000 > 10.0.0.9:80
conn b 10.0.0.1:40001 > 10.0.0.9:80 at=1
conn c 10.0.0.2:40002 > 10.0.0.9:80 at=2
+0 a handshake
+0.1 a > P "GET /1 HTTP/1.1\r\nHost: shop\r\n\r\n"
+0.1 a < P "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
+0.1 a > A
+0.1 a > P "GET /2 HTTP/1.1\r\nHost: shop\r\n\r\n"
@1 b handshake
+0.1 b > P "GET /3 HTTP/1.1\r\nHost: shop\r\n\r\n"
+0.1 b < P "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
@2 c handshake
@3 b < close
@5 c > A
@6 c > A
`

func TestMonitorMidway(t *testing.T) {
	m := runner.NewMonitor(runner.MonitorOptions{})
	if s := m.Snapshot(); s.Now != 0 || len(s.Conns) != 0 || s.Result != nil {
		t.Errorf("before the run: %+v", s)
	}
	var mid *runner.Snapshot
	// After c's handshake: a waits for an answer, b is idle, c is unused.
	res := watched(t, threeConns, m, 1, 15, func() { mid = m.Snapshot() })
	if mid == nil || mid.Result != nil {
		t.Fatal("no snapshot during the run, or one with its result")
	}
	got := mid.Total
	got.Series, got.Last, got.Host = runner.Series{}, 0, ""
	want := runner.PairRow{Conns: 3, Open: 3, Used: 2, Fresh: 2, Idle: 1, Requests: 3, Answered: 2}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); d != "" {
		t.Errorf("total in between (-want +got):\n%s", d)
	}
	if reuse, ok := mid.Total.Reuse(); !ok || reuse < 0.33 || reuse > 0.34 {
		t.Errorf("reuse %v, want 1 of 3", reuse)
	}
	states := map[uint16]int{}
	for _, c := range mid.Conns {
		states[c.Client.Port()] = c.Outstanding
		if c.Closed || !c.Established && c.Client.Port() != 40002 {
			t.Errorf("%+v", c)
		}
	}
	if d := cmp.Diff(map[uint16]int{40000: 1, 40001: 0, 40002: 0}, states); d != "" {
		t.Error(d)
	}
	if len(mid.Pairs) != 2 || mid.Pairs[0].Conns != 2 || mid.Pairs[0].Host != "shop" {
		t.Errorf("pairs %+v", mid.Pairs)
	}

	end := m.Snapshot()
	if end.Result == nil || end.Result.TCPConnections != res.TCPConnections || len(end.Findings) != len(res.Findings) {
		t.Fatal("the result is not handed out")
	}
	if end.Total.Open != 2 || end.Total.ClosedByServer != 1 || end.Total.TimeWait != 1 {
		t.Errorf("at the end %+v", end.Total)
	}
	open := end.Total.Series.Open
	if slices.Max(open) != 3 || open[len(open)-1] != 2 {
		t.Errorf("open over time %v", open)
	}
	for id, n := range map[uint64]int{1: 0, mid.Conns[0].ID: m.Number(mid.Conns[0].ID)} {
		if m.Number(id) != n {
			t.Errorf("connection of frame %d has number %d, want %d", id, m.Number(id), n)
		}
	}
}

// TestMonitorShards holds that the account is the same for any number of
// shards, and that looking on changes nothing.
func TestMonitorShards(t *testing.T) {
	var want *runner.Snapshot
	for _, workers := range []int{1, 3} {
		m := runner.NewMonitor(runner.MonitorOptions{Conns: 10000, Findings: 10000})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					m.Snapshot()
				}
			}
		})
		res := watched(t, loads["churn"], m, workers, 0, func() {})
		close(stop)
		wg.Wait()
		s := m.Snapshot()
		if uint64(s.Total.Conns) != res.TCPConnections || uint64(s.Total.Requests) != res.Requests || len(s.Conns) != int(res.TCPConnections) {
			t.Errorf("%d workers: %d connections, %d rows, %d requests; want %d, %d", workers, s.Total.Conns, len(s.Conns), s.Total.Requests, res.TCPConnections, res.Requests)
		}
		if s.Total.TimeWait != s.Total.Conns || s.Total.Open != 0 || s.Total.Idle != 0 {
			t.Errorf("%d workers: %+v", workers, s.Total)
		}
		s.Result = nil
		s.Now = 0
		for i := range s.Findings {
			s.Findings[i].Rule = nil
		}
		if want == nil {
			want = s
		} else if d := cmp.Diff(want, s, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); d != "" {
			t.Errorf("%d workers (-want +got):\n%.2000s", workers, d)
		}
	}
}

// TestMonitorMidStream holds that a request on a connection that was open
// before the capture counts as one that found it open.
func TestMonitorMidStream(t *testing.T) {
	m := runner.NewMonitor(runner.MonitorOptions{})
	watched(t, `
conn a 10.0.0.1:40000 > 10.0.0.9:80 midstream
+0 a > P "GET /1 HTTP/1.1\r\nHost: shop\r\n\r\n"
+0.1 a < P "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
conn b 10.0.0.1:40001 > 10.0.0.9:80
+0 b handshake
+0.1 b > P "GET /2 HTTP/1.1\r\nHost: shop\r\n\r\n"
+0.1 b < P "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
`, m, 1, 0, func() {})
	total := m.Snapshot().Total
	if reuse, ok := total.Reuse(); !ok || reuse != 0.5 || total.Used != 2 {
		t.Errorf("reuse %v on %d connections, want 0.5 on 2", reuse, total.Used)
	}
}

// TestMonitorManyPairs holds that pairs all of whose connections stay open are
// bounded, and that the others' sockets in TIME_WAIT are counted without
// series too.
func TestMonitorManyPairs(t *testing.T) {
	m := runner.NewMonitor(runner.MonitorOptions{Pairs: 300})
	watched(t, `
repeat 400
conn c{i} 10.0.0.1:{20000+i} > 10.9.0.9:{1000+i}
@0.{1000+i} c{i} handshake
end
repeat 250
@1.{1000+i} c{i} < close
end
`, m, 1, 0, func() {})
	s := m.Snapshot()
	if len(s.Pairs) != 300 || s.MorePairs == 0 && s.Total.Conns != 400 {
		t.Errorf("%d pairs and %d more, %d connections", len(s.Pairs), s.MorePairs, s.Total.Conns)
	}
	waiting, charted := int64(0), 0
	for _, p := range s.Pairs {
		waiting += p.TimeWait
		if len(p.Series.Open) > 0 {
			charted++
		}
	}
	if charted == 0 || charted == len(s.Pairs) || waiting != 250 || s.Total.TimeWait != 250 {
		t.Errorf("%d pairs have series; %d sockets wait, %d in all, want 250", charted, waiting, s.Total.TimeWait)
	}
}

// TestMonitorAtRest looks at connections so many that those at rest are packed
// away: before, while some are at work again, and after some were closed.
func TestMonitorAtRest(t *testing.T) {
	const get, ok = `P "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"`, `P "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"`
	text := `
repeat 3000
conn c{i} 10.0.0.1:{10000+i} > 10.0.0.9:80
@0.{1000+i} c{i} handshake
+1us > ` + get + `
+1us < ` + ok + `
end
repeat 1000
@2.{1000+i} c{i*3} > ` + get + `
end
repeat 1000
@4.{1000+i} c{i*3+1} < close
end
repeat 1000
@6.{1000+i} c{i*3} < ` + ok + `
end
`
	m := runner.NewMonitor(runner.MonitorOptions{Conns: 3000, Pairs: 10})
	check := func(when string, s *runner.Snapshot, waiting, closed bool) {
		t.Helper()
		if len(s.Conns) != 3000 {
			t.Errorf("%s: %d connections", when, len(s.Conns))
		}
		for _, c := range s.Conns {
			i := int(c.Client.Port()) - 10000
			want := runner.ConnRow{Requests: 1, Responses: 1, Closed: closed && i%3 == 1 || s.Result != nil}
			switch {
			case i%3 == 0 && waiting:
				want.Requests, want.Outstanding = 2, 1
			case i%3 == 0 && s.Result != nil:
				want.Requests, want.Responses = 2, 2
			}
			if c.Requests != want.Requests || c.Responses != want.Responses || c.Outstanding != want.Outstanding || c.Closed != want.Closed || !c.Established {
				t.Fatalf("%s: connection %d is %+v, want %+v", when, i, c, want)
			}
		}
	}
	snaps := 0
	for after, look := range map[uint64]func(){
		3000 * 5:             func() { check("all idle", m.Snapshot(), false, false) },
		3000*5 + 1000:        func() { check("some ask", m.Snapshot(), true, false) },
		3000*5 + 1000 + 3000: func() { check("some closed", m.Snapshot(), true, true) },
	} {
		m = runner.NewMonitor(runner.MonitorOptions{Conns: 3000, Pairs: 10})
		res := watched(t, text, m, 1, after, func() { snaps++; look() })
		end := m.Snapshot()
		check("at the end", end, false, true)
		if res.TCPConnections != 3000 || res.Requests != 4000 || end.Total.Requests != 4000 || end.Total.Open != 2000 || end.Total.Idle != 2000 {
			t.Errorf("at the end: %+v", end.Total)
		}
	}
	if snaps != 3 {
		t.Errorf("looked %d times in between, want 3", snaps)
	}
}

func TestMonitorBounds(t *testing.T) {
	m := runner.NewMonitor(runner.MonitorOptions{Conns: 20, Pairs: 5, Findings: 16, Live: true})
	res := watched(t, loads["churn"], m, 2, 0, func() {})
	s := m.Snapshot()
	if len(s.Conns) > 32 || len(s.Pairs) > 5 {
		t.Errorf("%d connections and %d pairs: the bounds do not hold", len(s.Conns), len(s.Pairs))
	}
	if uint64(s.Total.Conns) != res.TCPConnections {
		t.Errorf("%d connections counted of %d", s.Total.Conns, res.TCPConnections)
	}
}

func TestTraceOnly(t *testing.T) {
	s, err := script.Parse("watched", threeConns)
	if err != nil {
		t.Fatal(err)
	}
	opts := runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults()}
	want, err := runner.TraceConn(s.Source(0), 1, opts)
	if err != nil {
		t.Fatal(err)
	}
	c := runner.Connection{ID: want.Conn.ID, A: want.Conn.Server, B: want.Conn.Client}
	got, err := runner.TraceOnly(s.Source(0), c, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range [][]runner.Row{want.Rows, got.Rows} {
		for i := range rows {
			rows[i].Findings = nil // those of all connections are not looked for
		}
	}
	if d := cmp.Diff(want.Rows, got.Rows); d != "" {
		t.Errorf("(-all +only)\n%s", d)
	}
	c.ID = 1 << 40
	if _, err := runner.TraceOnly(s.Source(0), c, opts); err == nil {
		t.Error("no error for a connection that is not there")
	}
}

// TestMonitorStream holds that an onlooker sees what a stream has reported, no
// more and no less.
func TestMonitorStream(t *testing.T) {
	s, err := script.Parse("churn", loads["churn"])
	if err != nil {
		t.Fatal(err)
	}
	m := runner.NewMonitor(runner.MonitorOptions{Live: true})
	var mu sync.Mutex
	reported := map[string]int{}
	compare := func() {
		seen := map[string]int{}
		for _, f := range m.Snapshot().Findings {
			seen[f.Fingerprint] += f.Occurrences
		}
		mu.Lock()
		defer mu.Unlock()
		if d := cmp.Diff(reported, seen); d != "" {
			t.Errorf("(-reported +seen)\n%s", d)
		}
	}
	middle := false
	src := &stops{Source: s.Source(0), after: 15000, at: func() { middle = true; compare() }}
	runner.Run(src, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: 1, Monitor: m,
		Stream: &runner.Stream{Window: 100e6, Finding: func(f *runner.Finding) {
			mu.Lock()
			defer mu.Unlock()
			reported[f.Fingerprint] += f.Occurrences
		}}})
	if !middle || len(reported) == 0 {
		t.Fatalf("looked in between: %v; %d findings reported", middle, len(reported))
	}
}
