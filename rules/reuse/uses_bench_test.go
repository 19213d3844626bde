package reuse

import (
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
