package html

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/rulestest"
)

func drawConn(t *rapid.T) *lifecycle.Conn {
	return &lifecycle.Conn{ID: rapid.Uint64Range(1, 100).Draw(t, "conn"), ClientKnown: true, Protocol: http1.HTTP1,
		Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:80")}
}

func TestMarksLaws(t *testing.T) {
	rulestest.Laws(t, stalling{Min: time.Millisecond}, rapid.Custom(func(t *rapid.T) *rules.StallFact {
		s := &timing.Stall{AckDelay: time.Duration(rapid.Int64Range(0, 1e8).Draw(t, "delay"))}
		s.Next = http1.Mark{Time: rapid.Int64Range(0, 10).Draw(t, "time"), Frame: rapid.Uint64Range(1, 20).Draw(t, "frame")}
		return &rules.StallFact{Stall: s, Party: rules.PartyOf(drawConn(t))}
	}))
	// The server's FIN acknowledges nothing of the request.
	rulestest.Laws(t, racing{}, rapid.Custom(func(t *rapid.T) *rules.UsageFact {
		c := drawConn(t)
		at := rapid.Int64Range(0, 1e10).Draw(t, "at")
		c.Established = lifecycle.Mark{Time: 0, Frame: 1}
		c.LastExchange = lifecycle.Exchange{ReqVersion: 11, Version: 11, Framing: http1.Length, KeepAliveTimeout: -1, KeepAliveMax: -1,
			ReqEnd: http1.Mark{Time: at, Frame: 2, Seq: 100}, RespEnd: http1.Mark{Time: at + 1, Frame: 3, Seq: 200}}
		c.LastResponse = c.LastExchange.RespEnd
		c.End[http1.Server].FIN = lifecycle.Mark{Time: at + 1e9, Frame: 5, Seq: 200, Ack: 100, HasAck: true}
		tr := &http1.Transaction{Index: 1, Outcome: http1.Unanswered}
		tr.Req.First = http1.Mark{Time: at + 1e9 + rapid.Int64Range(-1e6, 1e6).Draw(t, "race"), Frame: rapid.Uint64Range(4, 20).Draw(t, "frame"), Seq: 100, Ack: 200}
		tr.Req.Last = tr.Req.First
		return &rules.UsageFact{Transaction: tr, Party: rules.PartyOf(c)}
	}))
}
