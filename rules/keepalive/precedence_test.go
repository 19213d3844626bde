package keepalive_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// TestPrecedence runs scripts named WINNER_over_LOSER: the loser fires by
// itself, and is silent where the winner fires too.
func TestPrecedence(t *testing.T) {
	files, err := filepath.Glob("testdata/precedence/*.pkt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts: ", err)
	}
	met := map[string]bool{}
	for _, file := range files {
		pair := strings.TrimSuffix(filepath.Base(file), ".pkt")
		met[pair] = true
		t.Run(pair, func(t *testing.T) {
			w, l, _ := strings.Cut(pair, "_over_")
			winner, ok := catalog.Find(w)
			loser, ok2 := catalog.Find(l)
			if !ok || !ok2 {
				t.Fatalf("no rules %s and %s", w, l)
			}
			if got := fired(t, file, loser); !slices.Contains(got, l) {
				t.Errorf("alone, %s does not fire: %v", l, got)
			}
			got := fired(t, file, loser, winner)
			if !slices.Contains(got, w) {
				t.Errorf("%s does not fire: %v", w, got)
			}
			if slices.Contains(got, l) {
				t.Errorf("%s does not silence %s: %v", w, l, got)
			}
		})
	}
	// Pairs that cannot meet on one connection, since each rule leaves the
	// other's case alone.
	apart := map[string]string{
		"KA002_over_KA001":  "the lag is under 10 ms or not",
		"KA002_over_CLS002": "all of the request had arrived before the idle close",
		"KA001_over_CLS003": "a request is outstanding",
		"KA001_over_CLS006": "the close acknowledges something of the request or nothing",
		"KA007_over_CLS002": "the request after the one that was reset is lost with it",
		"FRM001_over_KA005": "the close ends the response",
		"FRM002_over_KA005": "bytes follow the response, or some are missing",
		"FRM003_over_KA005": "the response is cut",
		"HOP002_over_KA006": "shown beside HOP002, with both sides of its proxy",
		"HOP002_over_KA010": "likewise",
	}
	for w, losers := range catalog.Precedence() {
		for _, l := range losers {
			pair := w + "_over_" + l
			if (strings.HasPrefix(w, "KA") || strings.HasPrefix(l, "KA")) && !met[pair] && apart[pair] == "" {
				t.Errorf("no script shows %s", pair)
			}
		}
	}
}

// fired returns the codes of the rules that fire on a script.
func fired(t *testing.T, file string, list ...*rules.Rule) (codes []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := script.Parse(file, string(text))
	if err != nil {
		t.Fatal(err)
	}
	src := s.Source(0)
	defer src.Close()
	for _, f := range runner.Run(src, runner.Options{Rules: list, Precedence: catalog.Precedence(), Workers: 2}).Findings {
		codes = append(codes, f.Rule.Code)
	}
	return codes
}
