package shutdown_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
	"github.com/connlint/connlint/rules/shutdown"
)

func TestRules(t *testing.T) {
	for dir, r := range map[string]*rules.Rule{
		"reset_loses_response": shutdown.ResetLosesResponse,
		"abortive_close":       shutdown.AbortiveClose,
		"client_abort":         shutdown.ClientAbort,
		"undrained_shutdown":   shutdown.UndrainedShutdown,
		"request_unanswered":   shutdown.RequestUnanswered,
	} {
		t.Run(r.Code, func(t *testing.T) { rulestest.Run(t, r, "testdata/"+dir+"/*.pkt") })
	}
}

// TestPrecedence runs all rules of the family at once, by the table of
// precedence.
func TestPrecedence(t *testing.T) {
	precedence(t, "precedence", []*rules.Rule{
		shutdown.RSTOnHalfClose, shutdown.ResetLosesResponse, shutdown.AbortiveClose, shutdown.ClientAbort,
		shutdown.UndrainedShutdown, shutdown.RequestUnanswered,
	})
}

// TestPrecedenceOfAll does the same with the whole catalogue, but for what is
// said about the capture.
func TestPrecedenceOfAll(t *testing.T) {
	precedence(t, "precedence_all", slices.DeleteFunc(catalog.All(), func(r *rules.Rule) bool {
		return r.Off || catalog.FamilyOf(r.Code) == "CAP"
	}))
}

func precedence(t *testing.T, dir string, list []*rules.Rule) {
	t.Helper()
	rulestest.Together(t, "testdata/"+dir+"/*.pkt", runner.Options{Rules: list, Precedence: catalog.Precedence()})
}

func TestDrainLaws(t *testing.T) {
	facts := rapid.Custom(func(t *rapid.T) *rules.UsageFact {
		at := rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "at")
		frame := rapid.Uint64Range(1, 1000).Draw(t, "frame")
		c := &lifecycle.Conn{ID: frame, Server: netip.MustParseAddrPort("10.0.0.2:80"), ClientKnown: true, First: http1.Server}
		if rapid.Bool().Draw(t, "response") {
			tr := &http1.Transaction{}
			tr.Resp.First = http1.Mark{Time: at, Frame: frame}
			return &rules.UsageFact{Transaction: tr, Party: rules.PartyOf(c)}
		}
		if rapid.Bool().Draw(t, "established") {
			c.Established = lifecycle.Mark{Time: at, Frame: frame}
		}
		end := lifecycle.Mark{Time: at + 5, Frame: frame + 5, Ack: 30, HasAck: true}
		switch rapid.IntRange(0, 2).Draw(t, "end") {
		case 0:
			c.End[http1.Server].RST, c.Outcome = end, lifecycle.Refused
		case 1:
			c.End[http1.Server].FIN = end
			c.Lost = []lifecycle.Lost{{Method: http1.POST, First: http1.Mark{Seq: 1}}, {First: http1.Mark{Seq: 10}}}
			c.LostCount = 2
		}
		return &rules.UsageFact{Party: rules.PartyOf(c)}
	})
	rulestest.Laws(t, shutdown.Drain{}, facts)
}
