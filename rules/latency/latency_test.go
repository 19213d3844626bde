package latency_test

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/latency"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestSlowStartCold(t *testing.T) {
	rulestest.Run(t, latency.SlowStartCold, "testdata/slow_start_cold/*.pkt")
}

func TestSlowStartAfterIdle(t *testing.T) {
	rulestest.Run(t, latency.SlowStartAfterIdle, "testdata/slow_start_after_idle/*.pkt")
}

func TestHeadOfLineBlocking(t *testing.T) {
	rulestest.Run(t, latency.HeadOfLineBlocking, "testdata/head_of_line_blocking/*.pkt")
}

func TestExpectContinueStall(t *testing.T) {
	rulestest.Run(t, latency.ExpectContinueStall, "testdata/expect_continue_stall/*.pkt")
}

func TestWriteWriteRTT(t *testing.T) {
	rulestest.Run(t, latency.WriteWriteRTT, "testdata/write_write_rtt/*.pkt")
}

func TestZeroWindowStall(t *testing.T) {
	rulestest.Run(t, latency.ZeroWindowStall, "testdata/zero_window_stall/*.pkt")
}

func conn(t *rapid.T) *lifecycle.Conn {
	id := rapid.Uint64Range(1, 50).Draw(t, "id")
	c := &lifecycle.Conn{ID: id, Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:80"), ClientKnown: true}
	c.End[http1.Client].MSS, c.End[http1.Server].MSS = 1460, 1460
	c.End[http1.Client].SYN = lifecycle.Mark{Frame: id, Time: int64(id) * int64(time.Millisecond)}
	c.Last = int64(time.Hour)
	return c
}

func TestColdStartsLaws(t *testing.T) {
	turns := rapid.Custom(func(t *rapid.T) *rules.TurnFact {
		c := conn(t)
		at := rapid.Int64Range(1, int64(time.Minute)).Draw(t, "at")
		f := &timing.Turn{ReqFirst: http1.Mark{Time: at, Frame: c.ID + 5}, ReqLast: http1.Mark{Time: at, Frame: c.ID + 5},
			RespFirst: http1.Mark{Time: at + 1000, Frame: c.ID + 6}, RespLast: http1.Mark{Time: at + 2000, Frame: c.ID + 7},
			RTT: time.Millisecond, Flights: rapid.IntRange(1, 4).Draw(t, "flights"), Growing: true, AckClocked: true, FirstFlight: 14600,
			First: rapid.Bool().Draw(t, "first"), Idle: time.Duration(rapid.Int64Range(0, at).Draw(t, "idle"))}
		if rapid.Bool().Draw(t, "closed") {
			c.End[http1.Client].FIN = lifecycle.Mark{Time: at + 5000, Frame: c.ID + 9}
		}
		return &rules.TurnFact{Turn: f, Party: rules.PartyOf(c)}
	})
	rulestest.Laws(t, latency.ColdStarts{Within: 10 * time.Second}, turns)
}

func TestRoundTripsLaws(t *testing.T) {
	stalls := rapid.Custom(func(t *rapid.T) *rules.StallFact {
		c := conn(t)
		at := rapid.Int64Range(0, int64(time.Minute)).Draw(t, "at")
		s := &timing.Stall{First: http1.Mark{Time: at, Frame: c.ID + 3}, Ack: http1.Mark{Time: at + 1, Frame: c.ID + 4},
			Next: http1.Mark{Time: at + rapid.Int64Range(2, 1e8).Draw(t, "lost"), Frame: c.ID + 5}, FirstLen: 100, NextLen: 10, MSS: 1460,
			LegX: 30 * time.Millisecond, LegY: time.Millisecond}
		return &rules.StallFact{Stall: s, Party: rules.PartyOf(c)}
	})
	rulestest.Laws(t, latency.RoundTrips{MaxDelay: 20 * time.Millisecond, MinCost: 20 * time.Millisecond, MinRelease: 3 * time.Millisecond, ReleasePart: 0.1}, stalls)
}
