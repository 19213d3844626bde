package wire

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func ip(s string) Addr { return Addr(netip.MustParseAddr(s).As16()) }

func TestAddr(t *testing.T) {
	a := AddrFrom4([]byte{10, 0, 0, 1, 99})
	if a != ip("10.0.0.1") || a.Netip().String() != "10.0.0.1" {
		t.Errorf("AddrFrom4 = %v, %v", a, a.Netip())
	}
	b := ip("2001:db8::1")
	if AddrFrom16(b[:]) != b || b.Netip().String() != "2001:db8::1" {
		t.Errorf("AddrFrom16 = %v", b.Netip())
	}
	b.Set4([]byte{10, 0, 0, 1})
	if b != a {
		t.Errorf("Set4 leaves %v", b)
	}
}

func TestFlowCanonical(t *testing.T) {
	a, b := ip("10.0.0.1"), ip("10.0.0.2")
	six := ip("2001:db8::a00:1")
	tests := []struct {
		name string
		f    Flow
		dir  Dir
	}{
		{"lower address first", Flow{a, b, 9000, 80}, 0},
		{"higher address first", Flow{b, a, 80, 9000}, 1},
		{"one address, lower port", Flow{a, a, 80, 9000}, 0},
		{"one address, higher port", Flow{a, a, 9000, 80}, 1},
		{"both ends equal", Flow{a, a, 80, 80}, 0},
		{"high half decides", Flow{ip("2001::1"), ip("2002::1"), 1, 1}, 0},
		{"both versions", Flow{six, a, 1, 2}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, dir := tt.f.Canonical()
			if tt.name != "both versions" && dir != tt.dir {
				t.Errorf("direction %d, want %d", dir, tt.dir)
			}
			r := tt.f.Reverse()
			c2, dir2 := r.Canonical()
			if c2 != c {
				t.Errorf("reverse is %v, not %v", c2, c)
			}
			if r != tt.f && dir2 != dir.Flip() {
				t.Errorf("direction of reverse is %d, too", dir2)
			}
			if back := r.Reverse(); back != tt.f {
				t.Errorf("reversed twice is %v", back)
			}
		})
	}
}

// Both directions must hash alike, and flows that differ in one port or one
// address bit must spread over any power of two of shards.
func TestFlowHash(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := map[uint64]Flow{}
	var shards [8]int
	const n = 100_000
	for i := range n {
		f := Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: uint16(i), DstPort: 80}
		f.Src[13] = byte(i >> 16)
		if i%2 == 0 {
			for j := range f.Src {
				f.Src[j] = byte(rnd.Uint32())
			}
		}
		h := f.Hash()
		r := f.Reverse()
		if r.Hash() != h {
			t.Fatalf("%v: %x one way, %x the other", f, h, r.Hash())
		}
		if g, ok := seen[h]; ok && g != f {
			t.Fatalf("%v and %v share hash %x", f, g, h)
		}
		seen[h] = f
		shards[h%8]++
	}
	for i, c := range shards {
		if c < n/8*9/10 || c > n/8*11/10 {
			t.Errorf("shard %d has %d of %d flows", i, c, n)
		}
	}
}

// A hash that changed between versions would change nothing users see, but
// make partial results of different runs unmergeable.
func TestFlowHashIsFixed(t *testing.T) {
	f := Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: 40000, DstPort: 80}
	if got := f.Hash(); got != fixedHash {
		t.Errorf("hash is %#x, was %#x", got, uint64(fixedHash))
	}
}

const fixedHash = 0xb88549b236d08d7a

func BenchmarkFlowHash(b *testing.B) {
	f := Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: 40000, DstPort: 80}
	for b.Loop() {
		f.Hash()
	}
}
