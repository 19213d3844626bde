package analyzers_test

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/reassembly/shard"
)

// follow runs a script through the analyzers and returns the records of its
// connections, in the order of their ends, and a line for each other fact.
//
// It does so twice: whatever can be is packed after each segment the second
// time, and nothing may differ by that.
func follow(t *testing.T, text string) (conns []lifecycle.Conn, log []string) {
	t.Helper()
	conns, log = followOnce(t, text, false)
	packed, packedLog := followOnce(t, text, true)
	if !reflect.DeepEqual(byID(packed), byID(conns)) || !slices.Equal(slices.Sorted(slices.Values(packedLog)), slices.Sorted(slices.Values(log))) {
		t.Errorf("packed at rest: %+v\n%q\nelse: %+v\n%q", packed, packedLog, conns, log)
	}
	return conns, log
}

// byID returns the records in the order of their first frames, without what
// they borrowed.
func byID(conns []lifecycle.Conn) []lifecycle.Conn {
	conns = slices.Clone(conns)
	for i := range conns {
		conns[i].Lost = nil
	}
	slices.SortFunc(conns, func(a, b lifecycle.Conn) int { return cmp.Compare(a.ID, b.ID) })
	return conns
}

func followOnce(t *testing.T, text string, pack bool) (conns []lifecycle.Conn, log []string) {
	t.Helper()
	s, err := script.Parse(t.Name(), text)
	if err != nil {
		t.Fatal(err)
	}
	say := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	tr := analyzers.NewTracker(analyzers.Facts{
		Head: func(_ *analyzers.Conn, h *http1.Head, m *http1.Message, _ *http1.Transaction) {
			say("head %d from side %d", m.First.Frame, h.Side)
		},
		Transaction: func(_ *analyzers.Conn, t *http1.Transaction) {
			say("transaction %s %s: %d, outcome %d", t.MethodName, t.Target, t.Resp.Status, t.Outcome)
		},
		Stall: func(_ *analyzers.Conn, s *timing.Stall, _ *http1.Transaction) {
			say("stall of side %d: %d %d %d, ack delay %v, release %v, nagle off %v, disturbed %v", s.Sender,
				s.First.Frame, s.Ack.Frame, s.Next.Frame, s.AckDelay, s.Release, s.NagleOff, s.Disturbed)
		},
		Turn: func(_ *analyzers.Conn, t *timing.Turn) {
			say("turn %d: %d bytes up, %d down, %d flights, growing %v, idle %v", t.Index, t.ReqBytes, t.RespBytes, t.Flights, t.Growing, t.Idle)
		},
		Window: func(_ *analyzers.Conn, w *timing.Closure, inside bool, _ *http1.Transaction) {
			say("window of side %d closed for %v, inside %v, probes %d", w.Receiver, w.Duration, inside, w.Probes)
		},
		Closed: func(c *analyzers.Conn, r *lifecycle.Conn) {
			if !c.State.Twin {
				conns = append(conns, *r)
			}
		},
	}, analyzers.Options{})
	table := reassembly.NewTable[analyzers.State](tr, reassembly.DefaultOptions())
	feed := table.Feed
	if pack {
		table.PackAtRest(tr.Pack, tr.Unpack)
		feed = func(s *capture.Segment) {
			table.Feed(s)
			table.PackNow()
		}
	}
	src := s.Source(4096) // recycled and overwritten: a slice kept too long shows
	defer src.Close()
	if _, err := shard.Run(src, []func(*capture.Segment){feed}, shard.Options{}); err != nil {
		t.Fatal(err)
	}
	table.Finish()
	return conns, log
}

// one is follow for a script of one connection.
func one(t *testing.T, text string) (lifecycle.Conn, string) {
	t.Helper()
	conns, log := follow(t, text)
	if len(conns) != 1 {
		t.Fatalf("%d connections, want 1", len(conns))
	}
	return conns[0], strings.Join(log, "\n")
}

const (
	get = `"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"`
	ok  = `"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"`
)

func TestOutcomes(t *testing.T) {
	const conn = "conn 10.0.0.1:40000 > 10.0.0.2:80\n"
	for _, c := range []struct {
		name, script string
		outcome      lifecycle.Outcome
		first        http1.Side
		waits        [2]bool // holds TIME_WAIT, client and server
		missing      lifecycle.Evidence
	}{
		{name: "open", script: "+0 handshake\n+0 > P " + get, outcome: lifecycle.StillOpen},
		{name: "client closes", script: "+0 handshake\n+0 > P " + get + "\n+0.01 < P " + ok + "\n+0.01 > close",
			outcome: lifecycle.Finished, waits: [2]bool{true, false}},
		{name: "server closes", script: "+0 handshake\n+0 > P " + get + "\n+0.01 < P " + ok + "\n+0.01 < close",
			outcome: lifecycle.Finished, first: http1.Server, waits: [2]bool{false, true}},
		{name: "both at once", script: "+0 handshake\n+0.01 > F.\n+0 < F. ack=1\n+0.01 > A ack=+0\n+0 < A ack=+0",
			outcome: lifecycle.Finished, waits: [2]bool{true, true}},
		{name: "half closed", script: "+0 handshake\n+0.01 > F.\n+0 < A", outcome: lifecycle.HalfClosed},
		{name: "client resets", script: "+0 handshake\n+0.01 > R.", outcome: lifecycle.Reset},
		{name: "server resets after the client's FIN", script: "+0 handshake\n+0.01 > F.\n+0.01 < R.", outcome: lifecycle.Reset},
		{name: "refused", script: "+0 > S\n+0.01 < R. seq=0 ack=1", outcome: lifecycle.Refused, first: http1.Server},
		{name: "never answered", script: "+0 > S\n+1 > S retransmit\n+2 > S retransmit", outcome: lifecycle.NoAnswer},
		{name: "one direction", script: "+0 > S\n+0 < S. drop\n+0.01 > A\n+0 > P " + get, outcome: lifecycle.StillOpen,
			missing: lifecycle.OneDirection},
		{name: "bytes lost by the capture", script: "+0 handshake\n+0 > P " + get + " drop\n+0.01 < A\n+0 < P " + ok + "\n+1 > A\n+1 > close",
			outcome: lifecycle.Finished, waits: [2]bool{true, false}, missing: lifecycle.Gap},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, log := one(t, conn+c.script)
			if got.Outcome != c.outcome || got.First != c.first {
				t.Errorf("outcome %d, first %d; want %d, %d\n%s", got.Outcome, got.First, c.outcome, c.first, log)
			}
			if w := [2]bool{got.HoldsTimeWait(http1.Client), got.HoldsTimeWait(http1.Server)}; w != c.waits {
				t.Errorf("TIME_WAIT at client and server %v, want %v", w, c.waits)
			}
			if got.Missing != c.missing {
				t.Errorf("missing %b, want %b", got.Missing, c.missing)
			}
			if !got.ClientKnown || got.Client.Port() != 40000 {
				t.Errorf("the client is %v, known %v", got.Client, got.ClientKnown)
			}
		})
	}
}

func TestRolesByContent(t *testing.T) {
	// The server speaks first in the capture, from the lower address.
	got, _ := one(t, "conn 10.0.0.9:40000 > 10.0.0.2:80 midstream\n+0 < P "+ok+"\n+0.01 > P "+get+"\n+0.01 < P "+ok)
	if !got.ClientKnown || got.Client.Port() != 40000 || got.Missing != lifecycle.MidStream {
		t.Errorf("client %v, known %v, missing %b", got.Client, got.ClientKnown, got.Missing)
	}
	if got.Requests != 1 || got.Responses != 2 || got.Answered != 1 {
		t.Errorf("%d requests, %d responses, %d answered", got.Requests, got.Responses, got.Answered)
	}
}

func TestTwins(t *testing.T) {
	text := `
conn in 10.0.0.1:40000 > 10.0.0.2:8080 isn=1000/2000
conn out 10.0.3.1:50000 > 10.0.0.2:8081 isn=1000/2000
+0     in > S
+50us  out > S
+1ms   out < S.
+50us  in < S.
+1ms   in > A
+50us  out > A
+1ms   in > P ` + get + `
+50us  out > P ` + get + `
+1ms   out < P ` + ok + `
+50us  in < P ` + ok + `
`
	conns, log := follow(t, text)
	if len(conns) != 1 || conns[0].Client.Addr().String() != "10.0.0.1" {
		t.Errorf("want the connection on the client's side alone, got %v", conns)
	}
	if n := strings.Count(strings.Join(log, "\n"), "transaction"); n != 1 {
		t.Errorf("%d transactions, want 1:\n%s", n, strings.Join(log, "\n"))
	}
}

func TestStalls(t *testing.T) {
	const conn = "conn 10.0.0.1:40000 > 10.0.0.2:80\n+0 handshake\n"
	const head = `"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"`
	for _, c := range []struct{ name, script, want string }{
		{"delayed ACK inside a request", "+1ms > P " + head + "\n+40ms < A\n+100us > P \"hello\"",
			"stall of side 0: 4 5 6, ack delay 39.9ms, release 0s, nagle off false, disturbed false"},
		{"between messages", "+1ms > P " + get + "\n+40ms < A\n+100us > P " + get, ""},
		{"answered with data", "+1ms > P " + head + "\n+40ms < P \"HTTP/1.1 100 Continue\\r\\n\\r\\n\"\n+100us > P \"hello\"", ""},
		{"sent again between", "+1ms > P " + head + "\n+20ms > P retransmit\n+20ms < A\n+100us > P \"hello\"", "disturbed true"},
		{"no wait", "+1ms > P " + head + "\n+100us > P \"hello\"\n+40ms < A", ""},
		{"Nagle was off before", "+1ms > P " + head + "\n+0 > P \"he\"\n+1ms < A\n+1ms > P \"l\"\n+40ms < A\n+100us > P \"lo\"", "nagle off true"},
		{"in the server's response", "+1ms > P " + get + "\n+1ms < P \"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\n\"\n+40ms > A\n+100us < P \"hello\"",
			"stall of side 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, log := one(t, conn+c.script)
			if got := strings.Contains(log, "stall"); got != (c.want != "") || !strings.Contains(log, c.want) {
				t.Errorf("want %q in:\n%s", c.want, log)
			}
		})
	}
}

func TestTurns(t *testing.T) {
	_, log := one(t, `
conn 10.0.0.1:40000 > 10.0.0.2:80 legs=100us/20ms
+0 handshake
+1ms > P `+get+`
+20ms < P "HTTP/1.1 200 OK\r\nContent-Length: 14600\r\n\r\n"
+0 < . len=4000
+20ms < . len=10600
+2s > P `+get+`
+20ms < P `+ok+`
`)
	for _, want := range []string{
		"turn 0: 28 bytes up, 14642 down, 2 flights, growing true",
		"turn 1: 28 bytes up, 40 down, 1 flights, growing true, idle 2s",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in:\n%s", want, log)
		}
	}
}

func TestWindows(t *testing.T) {
	_, log := one(t, `
conn 10.0.0.1:40000 > 10.0.0.2:80
+0 handshake
+1ms > P `+get+`
+1ms < P "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" len=1000
+1ms > A win=0
+300ms > A win=8000
+1ms < P len=4000
`)
	if want := "window of side 0 closed for 300ms, inside true"; !strings.Contains(log, want) {
		t.Errorf("no %q in:\n%s", want, log)
	}
}

func TestAfterIdle(t *testing.T) {
	const start = "conn 10.0.0.1:40000 > 10.0.0.2:80\n+0 handshake\n+0 > P " + get + "\n+1ms < P " + ok + "\n+1ms > A\n+30s > P " + get
	lost, _ := one(t, start+" lost\n+0.2 > P retransmit\n+0.4 > P retransmit\n+0.8 > P retransmit")
	a := lost.AfterIdle
	if a.Data.Frame != 7 || a.Retransmits != 3 || a.Side != http1.Client || a.Idle != 30*time.Second || a.Spoke {
		t.Errorf("lost after idle: %+v", a)
	}
	if got, _ := one(t, start+"\n+1ms < P "+ok); got.AfterIdle.Data.Seen() || got.LongestIdle != 30*time.Second {
		t.Errorf("answered after idle: %+v, longest %v", got.AfterIdle, got.LongestIdle)
	}
}

func TestBefore(t *testing.T) {
	conns, _ := follow(t, `
conn a 10.0.0.1:40000 > 10.0.0.2:80
+0 handshake
+0 > P `+get+`
+1ms < P `+ok+`
+1ms > close
conn b 10.0.0.1:40000 > 10.0.0.2:80 isn=77777
+10s handshake
`)
	if len(conns) != 2 {
		t.Fatalf("%d connections", len(conns))
	}
	b := conns[1].Before
	if b.ID != conns[0].ID || !b.Finished || b.TimeWait != [2]bool{true, false} {
		t.Errorf("before: %+v", b)
	}
}
