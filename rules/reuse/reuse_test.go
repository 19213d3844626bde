package reuse

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/analyzers/tlsinfo"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
)

func TestRules(t *testing.T) {
	for dir, r := range map[string]*rules.Rule{
		"connection_per_request": ConnectionPerRequest,
		"parallel_excess":        ParallelExcess,
		"unused_connection":      UnusedConnection,
		"connection_leak":        ConnectionLeak,
		"close_wait":             CloseWait,
		"low_request_limit":      LowRequestLimit,
		"connect_failed":         ConnectFailed,
	} {
		t.Run(r.Code, func(t *testing.T) { rulestest.Run(t, r, "testdata/"+dir+"/*.pkt") })
	}
}

// TestPrecedence: the request limit is the cause where connections could have
// been saved.
func TestPrecedence(t *testing.T) {
	files, err := filepath.Glob("testdata/precedence/*.pkt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts: ", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := script.Parse(file, string(text))
		if err != nil {
			t.Fatal(err)
		}
		rulestest.Script(t, s, runner.Options{Rules: []*rules.Rule{ConnectionPerRequest, LowRequestLimit},
			Precedence: map[string][]string{"REU001": {"REU006"}}})
	}
}

// conns draws connections of one pair in all their ends.
func conns() *rapid.Generator[*lifecycle.Conn] {
	return rapid.Custom(func(t *rapid.T) *lifecycle.Conn {
		at := rapid.Int64Range(1, int64(5*time.Minute)).Draw(t, "at")
		frame := rapid.Uint64Range(1, 1000).Draw(t, "frame")
		c := &lifecycle.Conn{ID: frame, Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:80"),
			ClientKnown: true, Start: at, Last: at + 5000, Protocol: rapid.SampledFrom([]http1.Protocol{http1.HTTP1, http1.TLS, http1.Undecided}).Draw(t, "protocol"),
			Outcome:  rapid.SampledFrom([]lifecycle.Outcome{lifecycle.StillOpen, lifecycle.Finished, lifecycle.Reset, lifecycle.Refused, lifecycle.NoAnswer}).Draw(t, "outcome"),
			Answered: uint32(rapid.IntRange(0, 4).Draw(t, "answered")), First: http1.Side(frame % 2)}
		mark := func(d int64) lifecycle.Mark {
			return lifecycle.Mark{Time: at + d, Frame: frame + uint64(d), Seq: 1, Ack: 1, HasAck: true}
		}
		cl, sv := &c.End[http1.Client], &c.End[http1.Server]
		if rapid.Bool().Draw(t, "syn") {
			cl.SYN, cl.SYNs, c.Established = mark(0), rapid.IntRange(1, 3).Draw(t, "syns"), mark(20)
		}
		if rapid.Bool().Draw(t, "data") {
			cl.FirstData, sv.LastData = mark(30), mark(40)
		}
		if rapid.Bool().Draw(t, "fin") {
			e := &c.End[c.First]
			e.FIN, e.FINAcked = mark(50), mark(60)
		}
		if c.Answered > 0 {
			c.LastExchange = lifecycle.Exchange{RespEnd: http1.Mark{Time: at + 40, Frame: frame + 40}, Version: 11, ReqVersion: 11,
				RespBits: rapid.SampledFrom([]http1.Bits{0, http1.ConnClose}).Draw(t, "bits"), KeepAliveTimeout: int32(frame % 7)}
			c.LastResponse = c.LastExchange.RespEnd
		}
		c.TLS = tlsinfo.Summary{SNI: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "sni")}
		return c
	})
}

func TestLaws(t *testing.T) {
	rulestest.Laws(t, parallelism{}, conns())
	rulestest.Laws(t, leaking{}, conns())
	rulestest.Laws(t, idling{After: 10, Probe: 5}, conns())
	rulestest.Laws(t, sleeping{After: 10}, conns())
	rulestest.Laws(t, limiting{}, conns())
	rulestest.Laws(t, failing{}, conns())
	rulestest.Laws(t, Usage{}, rapid.Custom(func(t *rapid.T) *rules.UsageFact {
		c := conns().Draw(t, "conn")
		c.Protocol = rapid.SampledFrom([]http1.Protocol{http1.HTTP1, http1.TLS, http1.WebSocket}).Draw(t, "as")
		c.Requests = 1
		f := &rules.UsageFact{Party: rules.PartyOf(c)}
		mark := func(d int64) http1.Mark { return http1.Mark{Time: c.Start + d, Frame: c.ID + uint64(d)} }
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			f.Transaction = &http1.Transaction{Host: []byte(rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "host"))}
			f.Transaction.Req.First, f.Transaction.Resp.First, f.Transaction.Resp.Last = mark(30), mark(35), mark(40)
		case 1:
			f.Turn = &timing.Turn{ReqFirst: mark(30), ReqLast: mark(31), RespFirst: mark(35), RespLast: mark(45), First: true,
				Flights: rapid.IntRange(1, 3).Draw(t, "flights"), RTT: 5, FirstFlight: 10, RespBytes: 100}
			if c.Protocol == http1.TLS {
				c.Missing = lifecycle.Encrypted
			}
		}
		return f
	}))
}

// TestBounds: memory of a pair stays bounded, and what is kept does not depend
// on the order.
func TestBounds(t *testing.T) {
	one := func(i int) *rules.UsageFact {
		tr := &http1.Transaction{}
		at := int64(i) * int64(time.Millisecond)
		tr.Req.First = http1.Mark{Time: at, Frame: uint64(i + 1)}
		tr.Resp.First, tr.Resp.Last = tr.Req.First, http1.Mark{Time: at + 1000, Frame: uint64(i + 1)}
		return &rules.UsageFact{Transaction: tr, Party: rules.PartyOf(&lifecycle.Conn{ID: uint64(i + 1), Protocol: http1.HTTP1, ClientKnown: true})}
	}
	const n = 3 * maxUses
	var up, down *Record
	for i := range n {
		up = Usage{}.Add(up, one(i))
	}
	parts := make([]*Record, 7)
	for i := range n {
		parts[i%7] = Usage{}.Add(parts[i%7], one(i))
	}
	for i := range parts {
		down = Usage{}.Merge(down, parts[i])
	}
	for _, r := range []*Record{up, down} {
		uses := r.Uses.Values()
		links, more := r.Links.All()
		if len(uses) != maxUses || len(links) != maxLinks || !more || r.Transactions != n {
			t.Errorf("%d uses, %d links, %d transactions", len(uses), len(links), r.Transactions)
		}
		if last := uses[maxUses-1]; last.Frame != maxUses {
			t.Errorf("the last use kept is of frame %d", last.Frame)
		}
	}
	if s := up.stats(rules.Pair{}, time.Second); s.Transactions != n {
		t.Errorf("%+v", s)
	}
}

// TestModel replays small traffics by hand.
func TestModel(t *testing.T) {
	ms := int64(time.Millisecond)
	type use struct{ conn, start, end int64 }
	for name, tt := range map[string]struct {
		opened, setup      int64
		uses               []use
		needed, avoidable  int
		observed, estimate int64
	}{
		"sequential":                   {40, 40, []use{{1, 100, 200}, {2, 300, 400}, {3, 500, 600}}, 1, 2, 540, 460},
		"parallel":                     {40, 40, []use{{1, 100, 900}, {2, 101, 901}, {3, 102, 902}}, 3, 0, 842, 842},
		"long pauses":                  {40, 40, []use{{1, 100, 200}, {2, 20_000, 20_100}, {3, 40_000, 40_100}}, 3, 0, 40_040, 40_040},
		"overlap of two":               {10, 10, []use{{1, 100, 200}, {2, 150, 250}, {3, 300, 400}}, 2, 1, 310, 300},
		"already one":                  {40, 40, []use{{1, 100, 200}, {1, 300, 400}, {1, 500, 600}}, 1, 0, 540, 540},
		"two, then both are used more": {40, 40, []use{{1, 100, 200}, {2, 110, 210}, {1, 300, 400}, {2, 310, 400}}, 2, 0, 340, 340},
	} {
		t.Run(name, func(t *testing.T) {
			var r Record
			for i, u := range tt.uses {
				v := Use{Start: u.start * ms, End: u.end * ms, Conn: uint64(u.conn), Frame: uint64(i + 1)}
				l := Usage{}.use(&r, v)
				if l.Opened == 0 {
					l.Opened, l.Ready, l.Began = v.Start-tt.opened*ms, v.Start-tt.opened*ms+tt.setup*ms, true
				}
			}
			m := r.Model(10 * time.Second)
			if m.Needed != tt.needed || m.Avoidable != tt.avoidable || int64(m.Observed) != tt.observed*ms || int64(m.Estimated) != tt.estimate*ms {
				t.Errorf("needed %d, avoidable %d, %v → %v", m.Needed, m.Avoidable, m.Observed, m.Estimated)
			}
		})
	}
	t.Run("two programs behind one address", func(t *testing.T) {
		var r Record
		for i := range int64(10) {
			l := Usage{}.use(&r, Use{Start: i * 100 * ms, End: (i*100 + 10) * ms, Conn: uint64(i%2 + 1), Frame: uint64(i + 1)})
			l.Agent, l.Began, l.Opened, l.Ready = uint64(i%2), true, 1, 1
		}
		if m := r.Model(10 * time.Second); m.Avoidable != 0 {
			t.Errorf("%d avoidable", m.Avoidable)
		}
	})
	t.Run("the server closes sooner than the pool would", func(t *testing.T) {
		r := Record{IdleLimit: accum.MinMax[int64]{}.Add(50 * ms)}
		for i := range int64(10) {
			l := Usage{}.use(&r, Use{Start: (i + 1) * 100 * ms, End: ((i+1)*100 + 10) * ms, Conn: uint64(i + 1), Frame: uint64(i + 1)})
			l.Began, l.Opened, l.Ready = true, (i+1)*100*ms, (i+1)*100*ms
		}
		if m := r.Model(10 * time.Second); m.Avoidable != 0 {
			t.Errorf("%d avoidable", m.Avoidable)
		}
	})
}

func BenchmarkModel(b *testing.B) {
	var r Record
	for i := range int64(maxLinks) {
		l := Usage{}.use(&r, Use{Start: i * 1e6, End: i*1e6 + 500_000, Conn: uint64(i + 1), Frame: uint64(i + 1)})
		l.Began, l.Opened, l.Ready = true, i*1e6, i*1e6+100_000
	}
	for b.Loop() {
		r.Model(10 * time.Second)
	}
}
