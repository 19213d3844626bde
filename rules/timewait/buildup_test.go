package timewait_test

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/timewait"
)

func TestBuildup(t *testing.T) {
	rulestest.Run(t, timewait.Buildup, "testdata/buildup/*.pkt")
}

func TestServerSide(t *testing.T) {
	rulestest.Run(t, timewait.ServerSide, "testdata/server_side/*.pkt")
}

func TestTupleReused(t *testing.T) {
	rulestest.Run(t, timewait.TupleReused, "testdata/tuple_reused/*.pkt")
}

func TestPileupLaws(t *testing.T) {
	conns := rapid.Custom(func(t *rapid.T) *lifecycle.Conn {
		c := &lifecycle.Conn{Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:80"), ClientKnown: true}
		at := rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "at")
		frame := rapid.Uint64Range(1, 1000).Draw(t, "frame")
		cl, sv := &c.End[http1.Client], &c.End[http1.Server]
		if rapid.Bool().Draw(t, "syn") {
			cl.SYN = lifecycle.Mark{Time: at, Frame: frame}
		}
		if rapid.Bool().Draw(t, "fins") {
			cl.FIN = lifecycle.Mark{Time: at + 1000, Frame: frame + 5, Seq: 10, Ack: 20, HasAck: true}
			sv.FIN = lifecycle.Mark{Time: at + 2000, Frame: frame + 6, Seq: 20, Ack: 11, HasAck: true}
		}
		if rapid.Bool().Draw(t, "rst") {
			sv.RST = lifecycle.Mark{Time: at + 1500, Frame: frame + 7}
		}
		if rapid.Bool().Draw(t, "before") {
			c.Before = lifecycle.Before{ID: 1, Last: at - 1000, Finished: true, TimeWait: [2]bool{at%2 == 0, at%3 == 0}}
		}
		if rapid.Bool().Draw(t, "refused") {
			cl.SYNs, c.Outcome = int(at%3), lifecycle.Refused
		}
		return c
	})
	rulestest.Laws(t, timewait.Pileup{Hold: time.Minute}, conns)
	rulestest.Laws(t, timewait.Pileup{Hold: time.Minute, Side: http1.Server}, conns)
	rulestest.Laws(t, timewait.Comebacks{Hold: time.Minute}, conns)
}
