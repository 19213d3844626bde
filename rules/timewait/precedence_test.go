package timewait_test

import (
	"os"
	"testing"

	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
	"github.com/connlint/connlint/rules/timewait"
)

// TestPrecedence: where both sides hold TIME_WAIT and the client runs out of
// ports, the server's sockets and the ports that come back are no news.
func TestPrecedence(t *testing.T) {
	const file = "testdata/precedence/tw001_over_tw002_tw003.pkt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := script.Parse(file, string(text))
	if err != nil {
		t.Fatal(err)
	}
	rulestest.Script(t, s, runner.Options{Precedence: catalog.Precedence(),
		Rules: []*rules.Rule{timewait.Buildup, timewait.ServerSide, timewait.TupleReused}})
}
