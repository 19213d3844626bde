package keepalive_test

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/keepalive"
	"github.com/connlint/connlint/rules/rulestest"
)

// drawConn draws connections between two hosts whose one transaction is over:
// closed by either side, soon or late, or stalled.
func drawConn(t *rapid.T) *lifecycle.Conn {
	at := rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "at")
	frame := rapid.Uint64Range(1, 1000).Draw(t, "frame")
	c := &lifecycle.Conn{ID: frame, Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:80"),
		ClientKnown: true, Protocol: http1.HTTP1, Requests: 1}
	c.Established = lifecycle.Mark{Time: at, Frame: frame}
	c.LastExchange = lifecycle.Exchange{ReqVersion: 11, Version: 11, Framing: http1.Length, KeepAliveTimeout: -1, KeepAliveMax: -1,
		ReqEnd: http1.Mark{Time: at, Frame: frame, Seq: 100}, RespEnd: http1.Mark{Time: at + 1000, Frame: frame + 2, Seq: 200}}
	c.LastResponse = c.LastExchange.RespEnd
	wait := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 5 * time.Second}).Draw(t, "wait")
	end := lifecycle.Mark{Time: at + 1000 + int64(wait), Frame: frame + 4, Seq: 200, Ack: 100, HasAck: true}
	switch rapid.IntRange(0, 3).Draw(t, "end") {
	case 0:
		c.End[http1.Server].FIN = end
	case 1:
		c.End[http1.Server].RST = end
	case 2:
		c.AfterIdle = lifecycle.AfterIdle{Idle: time.Second, Data: end, Retransmits: 3,
			LastSent: lifecycle.Mark{Time: end.Time + int64(2*time.Second), Frame: frame + 9}}
	case 3:
		c.Resent = lifecycle.Resent{From: end.Time, To: end.Time + int64(2*time.Second), Times: 2}
	}
	return c
}

func TestOutageLaws(t *testing.T) {
	rulestest.Laws(t, keepalive.Outage{Shortest: time.Second}, rapid.Custom(drawConn))
}

func TestMassCloseLaws(t *testing.T) {
	rulestest.Laws(t, keepalive.MassClose{RightAfter: 100 * time.Millisecond, Within: time.Second}, rapid.Custom(drawConn))
}

func TestMarginsLaws(t *testing.T) {
	rulestest.Laws(t, keepalive.Margins{Part: 0.8, RightAfter: 100 * time.Millisecond}, rapid.Custom(func(t *rapid.T) *rules.UsageFact {
		u := &rules.UsageFact{Party: rules.PartyOf(drawConn(t))}
		if rapid.Bool().Draw(t, "reuse") {
			x := u.Last
			x.KeepAliveTimeout = rapid.Int32Range(-1, 5).Draw(t, "timeout")
			idle := rapid.Int64Range(0, 6).Draw(t, "idle")
			tr := &http1.Transaction{Index: 1}
			tr.Req.First = http1.Mark{Time: x.RespEnd.Time + idle*int64(time.Second), Frame: x.RespEnd.Frame + 1, Seq: wire.Seq(100), Ack: 200}
			u.Transaction = tr
		}
		return u
	}))
}
