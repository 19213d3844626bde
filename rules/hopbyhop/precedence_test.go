package hopbyhop_test

import (
	"slices"
	"testing"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
)

// TestPrecedence runs the rules together that compete about one cause: what
// wins is found, and no more.
func TestPrecedence(t *testing.T) {
	list := slices.DeleteFunc(catalog.All(), func(r *rules.Rule) bool {
		return r.Off || !slices.Contains([]string{"FRM", "PIP", "HOP", "KA", "CLS"}, catalog.FamilyOf(r.Code))
	})
	rulestest.Together(t, "testdata/precedence/*.pkt", runner.Options{Rules: list, Precedence: catalog.Precedence()})
}
