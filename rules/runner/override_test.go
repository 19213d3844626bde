package runner_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// times returns the thresholds of the catalogue, each multiplied.
func times(factor float64) *rules.Config {
	c := rules.Defaults()
	for _, t := range rules.Thresholds() {
		switch v := t.Get(c).(type) {
		case time.Duration:
			t.Set(c, time.Duration(float64(v)*factor))
		case int:
			t.Set(c, int(float64(v)*factor))
		case float64:
			t.Set(c, v*factor)
		}
	}
	c.PortMin, c.PortMax = 32768, 60999
	return c
}

// TestOverrides runs recordings with other thresholds for one of their
// servers: what is found about that server is what a run with them for all
// finds, and the rest is what a run without them finds.
func TestOverrides(t *testing.T) {
	files, err := filepath.Glob("../../testdata/recorded/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	run := func(file string, opts runner.Options) []runner.Finding {
		src, err := pcapfile.Open(file, pcapfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		opts.Rules, opts.Precedence = catalog.All(), catalog.Precedence()
		return runner.Run(src, opts).Findings
	}
	of := func(list []runner.Finding, server netip.AddrPort, is bool) (out []runner.Finding) {
		for _, f := range list {
			if (f.Server == server) == is {
				out = append(out, f)
			}
		}
		return out
	}
	alike := gocmp.Options{cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty(),
		gocmp.Comparer(func(a, b *rules.Rule) bool { return a == b })}
	none, strict, lax := times(0), times(0.2), times(8)
	seen, differ := map[string]bool{}, 0
	for _, file := range files {
		scenario, _, _ := strings.Cut(filepath.Base(file), "-at-")
		if seen[scenario] {
			continue // one vantage point will do
		}
		seen[scenario] = true
		general := run(file, runner.Options{Workers: 1, All: true})
		servers := map[netip.AddrPort]bool{}
		for _, f := range general {
			if f.Server.IsValid() {
				servers[f.Server] = true
			}
		}
		for _, c := range []*rules.Config{none, strict, lax} {
			all := run(file, runner.Options{Workers: 1, All: true, Config: c})
			for server := range servers {
				mine := runner.Options{Workers: 3, All: true, Overrides: []rules.Override{
					{Servers: rules.Endpoints{Port: server.Port() ^ 1}, Config: rules.Defaults()}, // of none
					{Servers: rules.Endpoints{Net: netip.PrefixFrom(server.Addr(), server.Addr().BitLen()), Port: server.Port()}, Config: c},
					{Servers: rules.Endpoints{Port: server.Port()}, Config: rules.Defaults()}}}
				got := run(file, mine)
				want := of(all, server, true)
				if d := gocmp.Diff(want, of(got, server, true), alike); d != "" {
					t.Errorf("%s: about %v (-thresholds for all +for it):\n%s", file, server, d)
				}
				if d := gocmp.Diff(of(general, server, false), of(got, server, false), alike); d != "" {
					t.Errorf("%s: about others than %v (-without +with thresholds for it):\n%s", file, server, d)
				}
				if c == strict {
					mine.All = false
					got = run(file, mine)
					mine.Stream = &runner.Stream{Window: 24 * time.Hour}
					if d := gocmp.Diff(got, run(file, mine), alike); d != "" {
						t.Errorf("%s: %v (-file +stream):\n%s", file, server, d)
					}
				}
				if len(want) != len(of(general, server, true)) {
					differ++
				}
			}
		}
	}
	t.Logf("%d times other findings about a server", differ)
	if differ < 50 {
		t.Errorf("thresholds made a difference %d times only", differ)
	}
}
