package reuse

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func anyLink(t *rapid.T) Link {
	when := rapid.SampledFrom([]int64{0, 1, 1_700_000_000_000_000_000, 1_700_000_000_000_000_000 + 1e6, -5})
	return Link{
		Opened: when.Draw(t, "opened"), Ready: when.Draw(t, "ready"), Slow: rapid.Int64().Draw(t, "slow"), Closed: when.Draw(t, "closed"),
		Shut: when.Draw(t, "shut"), Over: when.Draw(t, "over"), Busy: rapid.Int64Range(0, 1e9).Draw(t, "busy"),
		Agent: rapid.SampledFrom([]uint64{0, 7, 1 << 63}).Draw(t, "agent"), N: rapid.Uint32().Draw(t, "n"),
		Cause: Cause(rapid.IntRange(0, int(numCauses)-1).Draw(t, "cause")), By: Ender(rapid.IntRange(0, int(numEnders)-1).Draw(t, "by")),
		Began: rapid.Bool().Draw(t, "began"), Probe: rapid.Bool().Draw(t, "probe"), Left: rapid.Bool().Draw(t, "left"),
		Ended: rapid.Bool().Draw(t, "ended"), Blind: rapid.Bool().Draw(t, "blind"),
	}
}

// TestLinks compares with a map, however many are over when, packed, joined
// and read back.
func TestLinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 300).Draw(t, "k")
		parts := make([]Links, rapid.IntRange(1, 3).Draw(t, "parts"))
		want := map[uint64]*Link{}
		for id := range uint64(rapid.IntRange(0, 1000).Draw(t, "connections")) {
			l := anyLink(t)
			for range rapid.IntRange(1, 2).Draw(t, "facts") {
				id := id ^ rapid.Uint64Range(0, 7).Draw(t, "disorder")
				p := &parts[rapid.IntRange(0, len(parts)-1).Draw(t, "part")]
				if have := p.at(id, k); have != nil {
					have.merge(&l)
					if l.Ended {
						p.ended()
					}
				}
				if want[id] == nil {
					want[id] = &Link{}
				}
				want[id].merge(&l)
			}
		}
		all := &parts[0]
		for i := range parts[1:] {
			all.merge(&parts[i+1], k)
		}
		if rapid.Bool().Draw(t, "read back") {
			text, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			all = new(Links)
			if err := json.Unmarshal(text, all); err != nil {
				t.Fatal(err)
			}
		}
		if less := rapid.IntRange(1, k).Draw(t, "less"); less < k {
			k = less
			all.limit(k)
		}
		ids := slices.Sorted(maps.Keys(want))
		got, more := all.All()
		if kept := min(k, len(ids)); len(got) != kept || more != (len(ids) > kept) {
			t.Fatalf("%d connections, more %v; want %d of %d", len(got), more, kept, len(ids))
		}
		for i, e := range got {
			if d := cmp.Diff(*want[ids[i]], e.Value, cmp.AllowUnexported(Link{})); e.Hash != ids[i] || d != "" {
				t.Fatalf("connection %d is %d, want %d: %s", i, e.Hash, ids[i], d)
			}
		}
	})
}

// BenchmarkLinks is connections with one transaction each, eight at once.
func BenchmarkLinks(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var s Links
		for i := range uint64(4096) {
			s.at(i*9+1, maxLinks).N++
			if i < 8 {
				continue
			}
			at := 1_700_000_000_000_000_000 + int64(i)*50_000
			s.at((i-8)*9+1, maxLinks).merge(&Link{Opened: at, Ready: at + 30_000, Closed: at + 90_000, Over: at + 100_000, Busy: 50_000, Agent: 77, Ended: true, Began: true})
			s.ended()
		}
		if list, _ := s.All(); len(list) != 4096 {
			b.Fatal(len(list))
		}
	}
}
