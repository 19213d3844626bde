package runner

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

var occurrences = flag.Int("occurrences", 200_000, "findings that TestOccurrences feeds of each kind; the bound is the same for ten million")

// TestOccurrences feeds findings through a judge: what it holds of them depends
// on how many differ, and not on how many there are.
func TestOccurrences(t *testing.T) {
	listens := func(*rules.Pass, *http1.Transaction) {}
	opts := Options{
		Rules: []*rules.Rule{
			{Code: "A001", Transaction: listens},
			{Code: "A002", Transaction: listens}, // its causes compete
			{Code: "A003", Transaction: listens},
			{Code: "A004", Transaction: listens}, // an aggregate may explain them
			{Code: "A005", Group: func(*rules.Config) rules.Grouping { return rules.GroupBy[*lifecycle.Conn, netip.AddrPort, int](none{}) }},
		},
		Precedence: map[string][]string{"A002": {"A003"}, "A005": {"A004"}},
		Config:     rules.Defaults(),
	}
	for _, kind := range []struct {
		name  string
		each  int // findings of a connection
		open  int // connections at a time
		rules []int
		most  int64 // bytes held of any number
	}{
		{"one a connection", 1, 1, []int{0}, 1 << 20},
		{"all on one connection", *occurrences, 1, []int{0}, 1 << 20},
		{"many on each of many open", 1000, 64, []int{0}, 2 << 20},
		{"competing, many on each of many open", 1000, 64, []int{1, 2}, 24 << 20},
		{"to be explained", 1, 1, []int{3}, 24 << 20},
		{"to be withdrawn", 300, 1, []int{1, 2, -1}, 64 << 20},
	} {
		t.Run(kind.name, func(t *testing.T) {
			j := newJudge(&opts, 1)
			at := func(c *analyzers.Conn, i, rule int) {
				j.at(c)
				f := rules.Finding{Severity: rules.Warning, Frames: []uint64{uint64(i + 1)}, Cause: uint64(i + 1), Cost: 1,
					Say: func() string { return "a fault" }, Measured: []rules.Measure{{Name: "bytes", Value: 2, Sum: true}},
					Subject: rules.Subject{Client: netip.MustParseAddrPort("10.0.0.1:40000"), Server: netip.MustParseAddrPort("10.0.0.9:80")}}
				if rule < 0 {
					rule, f.Provisional = 0, true
				}
				j.report(rule, f)
			}
			n := *occurrences
			conns := make([]*analyzers.Conn, kind.open)
			ended := 0
			before := inUse()
			feed := func(from, to int) {
				for i := from; i < to; i++ {
					k := i % kind.open
					if conns[k] == nil {
						conns[k] = &analyzers.Conn{ID: uint64(i + 1)}
					}
					at(conns[k], i, kind.rules[i%len(kind.rules)])
					if i/kind.open%kind.each == kind.each-1 || i == n-1 && kind.open == 1 {
						j.onClosed(conns[k], &lifecycle.Conn{ID: conns[k].ID})
						conns[k] = nil
						ended++
					}
				}
			}
			var half, all int64 // most that was held of them
			for part := range 16 {
				feed(part*n/16, (part+1)*n/16)
				all = max(all, inUse()-before)
				if part < 8 {
					half = all
				}
			}
			t.Logf("%d KiB of %d, %d KiB of %d findings on %d connections that ended", half>>10, n/2, all>>10, n, ended)
			if all > kind.most {
				t.Errorf("%d bytes are held of %d findings, at most %d should be", all, n, kind.most)
			}
			if all > half+1<<20 {
				t.Errorf("%d bytes are held of %d findings, %d of half of them", all, n, half)
			}
			for _, c := range conns {
				if c != nil {
					j.onClosed(c, &lifecycle.Conn{ID: c.ID})
				}
			}
			j.judgeAcross(&rules.CaptureFacts{}, true)
			total := 0
			for _, f := range j.found.list(opts.Rules) {
				total += f.Occurrences
			}
			if total != n {
				t.Errorf("%d occurrences are told, want %d", total, n)
			}
		})
	}
}

// none is an aggregate that finds nothing.
type none struct{}

func (none) Key(c *lifecycle.Conn) (netip.AddrPort, bool) { return c.Server, true }
func (none) Add(n int, _ *lifecycle.Conn) int             { return n + 1 }
func (none) Merge(a, b int) int                           { return a + b }
func (none) Judge(*rules.Pass, netip.AddrPort, int)       {}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestUndecided: which connections wait does not hang on how they came.
func TestUndecided(t *testing.T) {
	opts := &Options{Rules: []*rules.Rule{{Code: "A001"}}, Config: rules.Defaults()}
	rng := rand.New(rand.NewPCG(1, 2))
	var all []undecided
	for conn := range uint64(300) {
		u := undecided{conn: conn + 1}
		for range 1 + rng.IntN(900) {
			u.list = append(u.list, newFound(0, "", 0, &rules.Finding{}))
		}
		all = append(all, u)
	}
	var want []uint64
	for n, i := 0, 0; n+len(all[i].list) <= maxUndecidedFound; i++ {
		n += len(all[i].list)
		want = append(want, all[i].conn)
	}
	for range 20 {
		judges := [3]*judge{newJudge(opts, 1), newJudge(opts, 1), newJudge(opts, 1)}
		for _, i := range rng.Perm(len(all)) {
			u := all[i]
			u.list = slices.Clone(u.list)
			j := judges[rng.IntN(len(judges))]
			j.undecided.add(u, j)
		}
		judges[0].merge(judges[1])
		judges[0].merge(judges[2])
		var got []uint64
		for _, u := range judges[0].undecided.list {
			got = append(got, u.conn)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d connections wait, want %d", len(got), len(want))
		}
	}
}
