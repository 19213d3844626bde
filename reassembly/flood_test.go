package reassembly

import (
	"encoding/binary"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

// Connections chosen to share a slot under a hash without a key are found in
// as few steps as any others.
func TestFlood(t *testing.T) {
	const n = 50_000
	table := NewTable[int](&logger{m: map[uint64][]string{}}, DefaultOptions())
	for i := range uint64(n) {
		// Each of these addresses and ports gives the same word to a hash
		// that adds up multiples of its inputs.
		f := wire.Flow{SrcPort: 40000, DstPort: 80}
		binary.LittleEndian.PutUint64(f.Src[:8], i)
		binary.LittleEndian.PutUint64(f.Src[8:], 12345^i*0x9e3779b97f4a7c15)
		f.Dst[15] = 1
		table.Feed(&Segment{Time: 1e18, Frame: i + 1, Flow: f, Hash: f.Hash(), Flags: wire.SYN})
	}
	if table.Live() != n {
		t.Fatalf("%d connections of %d", table.Live(), n)
	}
	steps := 0
	for i, s := range table.slots {
		if s.ref != 0 {
			steps += 1 + int((uint32(i)-s.hash)&table.mask)
		}
	}
	if mean := float64(steps) / n; mean > 8 {
		t.Errorf("a connection is found in %.1f steps", mean)
	} else {
		t.Logf("a connection is found in %.1f steps", mean)
	}
	table.Finish()
}
