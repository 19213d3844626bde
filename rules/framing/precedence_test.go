package framing_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/connlint/connlint/capture/script"
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
	files, _ := filepath.Glob("testdata/precedence/*.pkt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := script.Parse(file, string(text))
			if err != nil {
				t.Fatal(err)
			}
			rulestest.Script(t, s, runner.Options{Rules: list, Precedence: catalog.Precedence()})
		})
	}
}
