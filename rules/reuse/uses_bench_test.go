package reuse

import (
	"cmp"
	"math/rand/v2"
	"testing"

	"github.com/connlint/connlint/rules/accum"
)

// BenchmarkUses notes the transactions of 16 connections under way at once.
func BenchmarkUses(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var l accum.Lowest[Use]
		for i := range int64(8192) {
			at := 1_700_000_000_000_000_000 + i*80_000 + (i*7919%13)*50_000
			l.Add(Use{Start: at, End: at + 1_000_000 + (i*104729%997)*1000, Conn: uint64(i * 5 % 16 * 31), Frame: uint64(i*9 + i%5)}, maxUses)
		}
		if l.Len() != 8192 {
			b.Fatal(l.Len())
		}
	}
}

// BenchmarkOrder is transactions by their origins: 8 at once, and in no order.
func BenchmarkOrder(b *testing.B) {
	for name, apart := range map[string]uint64{"nearly": 8, "any": 4096} {
		b.Run(name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			list := make([]need, 4096)
			for i := range list {
				list[i].origin = int64(i) + int64(rng.Uint64N(apart))
			}
			own := make([]need, len(list))
			for b.Loop() {
				copy(own, list)
				order(own, func(a, b need) int { return cmp.Compare(a.origin, b.origin) })
			}
		})
	}
}
