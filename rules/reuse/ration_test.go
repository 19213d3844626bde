package reuse

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// TestRation: with many pairs each keeps less. What a pair keeps does not depend
// on the shards, nor on which of them met the pairs first.
func TestRation(t *testing.T) {
	const pairs, each, shards = 20, 9000, 3
	var facts []*rules.UsageFact
	for i := range pairs * each {
		id := uint64(i + 1)
		at := int64(i) * 1000
		c := &lifecycle.Conn{ID: id, Protocol: http1.HTTP1, ClientKnown: true,
			Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i % pairs >> 8), byte(i % pairs)}), 40000), Server: netip.MustParseAddrPort("10.9.0.1:80")}
		tr := &http1.Transaction{}
		tr.Req.First = http1.Mark{Time: at, Frame: id}
		tr.Resp.First, tr.Resp.Last = tr.Req.First, http1.Mark{Time: at + 500, Frame: id}
		facts = append(facts, &rules.UsageFact{Transaction: tr, Party: rules.PartyOf(c)})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range facts { // nearly in order
		k := min(i+rng.IntN(50), len(facts)-1)
		facts[i], facts[k] = facts[k], facts[i]
	}
	values := func(shard func(i int) int, n int) map[rules.Pair]*Record {
		g := make([]rules.Grouper, n)
		for i := range g {
			g[i] = Grouping().New(nil)
		}
		for i, f := range facts {
			g[shard(i)].Add(f, 0)
		}
		for _, o := range g[1:] {
			g[0].Merge(o)
		}
		return rules.ValuesOf[*rules.UsageFact, rules.Pair, *Record](g[0])
	}
	one := values(func(int) int { return 0 }, 1)
	spread := values(func(i int) int { return i % shards }, shards)
	// The second shard meets a few pairs only, late.
	apart := values(func(i int) int {
		if i > len(facts)/2 && i%pairs < 5 {
			return 1
		}
		return 0
	}, 2)
	uses, links := 0, 0
	for k, r := range one {
		if r.Transactions != each {
			t.Fatalf("%v: %d transactions", k, r.Transactions)
		}
		uses += r.Uses.Len()
		links += r.Links.Len()
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []*Record{spread[k], apart[k]} {
			if got, err := json.Marshal(o); err != nil || string(got) != string(want) {
				t.Fatalf("%v: %v\n%.300s\n%.300s", k, err, got, want)
			}
		}
	}
	if len(one) != pairs || uses != pairs*usesOf(16) || links != pairs*linksOf(16) || usesOf(16) == maxUses {
		t.Errorf("%d pairs keep %d uses and %d connections", len(one), uses, links)
	}
}
