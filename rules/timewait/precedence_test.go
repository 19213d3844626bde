package timewait_test

import (
	"testing"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
	"github.com/connlint/connlint/rules/timewait"
)

// TestPrecedence: where both sides hold TIME_WAIT and the client runs out of
// ports, the server's sockets and the ports that come back are no news.
func TestPrecedence(t *testing.T) {
	rulestest.Together(t, "testdata/precedence/*.pkt", runner.Options{Precedence: catalog.Precedence(),
		Rules: []*rules.Rule{timewait.Buildup, timewait.ServerSide, timewait.TupleReused}})
}
