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
		return c
	})
	rulestest.Laws(t, timewait.Pileup{Hold: time.Minute}, conns)
}
