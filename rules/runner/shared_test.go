package runner_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

// An aggregate that a rule has too is filled once for both, and neither the
// rule nor who asked for it can tell.
func TestGroupsSharedWithRules(t *testing.T) {
	run := func(o runner.Options) *runner.Result {
		src, err := pcapfile.Open(filepath.Join("..", "..", "testdata", "recorded", "tw001-requests-without-session-at-client-snap200.pcap"), pcapfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		o.Config = rules.Defaults()
		return runner.Run(src, o)
	}
	for _, workers := range []int{1, 3} {
		groups := []rules.Grouping{reuse.Grouping()}
		alone := run(runner.Options{Groups: groups, Workers: workers})
		without := run(runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Workers: workers})
		both := run(runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Groups: groups, Workers: workers})
		hold := rules.Defaults().PoolIdle
		want, got := reuse.All(alone.Groups[0], hold), reuse.All(both.Groups[0], hold)
		if len(want) != 1 || want[0].Avoidable != 119 {
			t.Errorf("%d pairs, %v", len(want), want)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b rules.Pair) bool { return a == b })); d != "" {
			t.Errorf("%d workers: the group differs:\n%s", workers, d)
		}
		fingerprints := func(r *runner.Result) (out []string) {
			for _, f := range r.Findings {
				out = append(out, f.Fingerprint+f.Message)
			}
			return out
		}
		if d := cmp.Diff(fingerprints(without), fingerprints(both)); d != "" {
			t.Errorf("%d workers: the findings differ:\n%s", workers, d)
		}
	}
}

// Rules that judge what another one adds up find what they find alone.
func TestRulesThatShare(t *testing.T) {
	for _, file := range []string{"tw001-requests-without-session-at-client-snap200.pcap", "reu004-*.pcap", "tw003-*.pcap"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", "recorded", file))
		if err != nil || len(paths) == 0 {
			t.Fatal(file, err)
		}
		for _, path := range paths[:1] {
			told := func(list []*rules.Rule, workers int, code string) (out []string) {
				src, err := pcapfile.Open(path, pcapfile.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer src.Close()
				for _, f := range runner.Run(src, runner.Options{Rules: list, Workers: workers}).Findings {
					if f.Rule.Code == code {
						out = append(out, f.Fingerprint+f.Message)
					}
				}
				return out
			}
			for _, code := range []string{"REU002", "REU004", "TW001", "TW003"} {
				r, _ := catalog.Find(code)
				alone := told([]*rules.Rule{r}, 1, code)
				for _, workers := range []int{1, 3} {
					if d := cmp.Diff(alone, told(catalog.All(), workers, code)); d != "" {
						t.Errorf("%s: %s, %d workers:\n%s", filepath.Base(path), code, workers, d)
					}
				}
			}
		}
	}
}
