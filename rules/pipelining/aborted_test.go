package pipelining_test

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/pipelining"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestAborted(t *testing.T) {
	rulestest.Run(t, pipelining.Aborted, "testdata/aborted/*.pkt")
}

// sent draws transactions of few connections, times and targets, many of them
// lost, so that bounds are met.
func sent() *rapid.Generator[*rules.TransactionFact] {
	frame := uint64(0) // no two begin in one place
	return rapid.Custom(func(t *rapid.T) *rules.TransactionFact {
		frame++
		tr := &http1.Transaction{Method: http1.POST, MethodName: []byte("POST"), BodyHashOK: true,
			Target:  []byte(rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "target")),
			Outcome: rapid.SampledFrom([]http1.Outcome{http1.Answered, http1.Unanswered, http1.Open}).Draw(t, "outcome")}
		tr.TargetLen = len(tr.Target)
		tr.Req.First = http1.Mark{Time: rapid.Int64Range(0, 50).Draw(t, "time") * int64(time.Second/10), Frame: frame, Seq: 1, Ack: 1}
		tr.Req.HeadEnd = tr.Req.First
		tr.Req.Bits = rapid.SampledFrom([]http1.Bits{0, http1.Pipelined}).Draw(t, "bits")
		c := &lifecycle.Conn{ID: rapid.Uint64Range(1, 8).Draw(t, "conn"), First: http1.Server,
			Client: netip.MustParseAddrPort("10.0.0.1:40000"), Server: netip.MustParseAddrPort("10.0.0.2:80")}
		if tr.Outcome != http1.Answered {
			c.End[http1.Server].RST = lifecycle.Mark{Time: tr.Req.First.Time + 1, Frame: frame, Ack: 1, HasAck: true}
		}
		c.End[http1.Server].SYN.Frame = c.ID
		return &rules.TransactionFact{Transaction: tr, Party: rules.PartyOf(c)}
	})
}

func TestRepeatsLaws(t *testing.T) {
	rulestest.Laws(t, pipelining.Repeats{Keep: 4, Within: time.Second}, sent())
}
