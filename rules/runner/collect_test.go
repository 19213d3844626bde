package runner

import (
	"net/netip"
	"testing"

	"github.com/connlint/connlint/rules"
)

// newFound returns the group of one occurrence.
func newFound(rule int, key string, suppressed int, f *rules.Finding) *found {
	g := &found{first: *f}
	g.begin(rule, key, suppressed)
	return g
}

// TestAcrossInAnyOrder silences by client, though findings of several clients
// become one: which comes first must not matter.
func TestAcrossInAnyOrder(t *testing.T) {
	opts := &Options{
		Rules:      []*rules.Rule{{Code: "A001"}, {Code: "A002"}},
		Precedence: map[string][]string{"A001": {"A002"}},
	}
	server := netip.MustParseAddrPort("10.0.0.9:80")
	about := func(rule int, client string, frame uint64) *found {
		f := rules.Finding{Frames: []uint64{frame}, Subject: rules.Subject{Client: netip.AddrPortFrom(netip.MustParseAddr(client), 0), Server: server}}
		return newFound(rule, opts.Rules[rule].Code, 0, &f)
	}
	for _, order := range [][4]int{{0, 1, 2, 3}, {1, 0, 2, 3}, {2, 3, 1, 0}, {3, 1, 2, 0}} {
		all := [4]*found{about(0, "10.0.0.1", 1), about(0, "10.0.0.2", 2), about(1, "10.0.0.1", 3), about(1, "10.0.0.2", 4)}
		var list []*found
		for _, i := range order {
			list = append(list, all[i])
		}
		var c collection
		c.across(list, &held{}, opts)
		if got := c.list(opts.Rules); len(got) != 1 || got[0].Rule.Code != "A001" || got[0].Occurrences != 2 {
			t.Errorf("order %v: %d findings, the first %s ×%d", order, len(got), got[0].Rule.Code, got[0].Occurrences)
		}
	}
}
