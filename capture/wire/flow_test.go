package wire

import (
	"encoding/binary"
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
// address bit must spread over any power of two of slots, and over workers.
func TestFlowHash(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := map[uint64]Flow{}
	var slots, workers [8]int
	const n = 100_000
	for i := range n {
		f := Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: uint16(i), DstPort: 80}
		f.Src[13] = byte(i >> 16)
		if i%2 == 0 {
			for j := range f.Src {
				f.Src[j] = byte(rnd.Uint32())
			}
		}
		h, to := f.Hash(), f.Spread()
		r := f.Reverse()
		if r.Hash() != h || r.Spread() != to {
			t.Fatalf("%v: %x and %x one way, %x and %x the other", f, h, to, r.Hash(), r.Spread())
		}
		if g, ok := seen[h]; ok && g != f {
			t.Fatalf("%v and %v share hash %x", f, g, h)
		}
		seen[h] = f
		slots[h>>32%8]++
		workers[to>>29]++
	}
	for i := range slots {
		for what, c := range map[string]int{"slot": slots[i], "worker": workers[i]} {
			if c < n/8*9/10 || c > n/8*11/10 {
				t.Errorf("%s %d has %d of %d flows", what, i, c, n)
			}
		}
	}
}

// Ordinary traffic, which varies in little, must keep all workers busy.
func TestFlowSpread(t *testing.T) {
	for _, tt := range []struct {
		name string
		flow func(i int) Flow
	}{
		{"a client's ports", func(i int) Flow {
			return Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: uint16(32768 + i), DstPort: 80}
		}},
		{"every other port", func(i int) Flow {
			return Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: uint16(32768 + 2*i), DstPort: 80}
		}},
		{"clients", func(i int) Flow {
			return Flow{Src: AddrFrom4([]byte{10, 0, byte(i >> 8), byte(i)}), Dst: ip("10.1.0.2"), SrcPort: 40000, DstPort: 80}
		}},
		{"clients of IPv6", func(i int) Flow {
			f := Flow{Src: ip("2001:db8::1"), Dst: ip("2001:db8::2"), SrcPort: 40000, DstPort: 443}
			f.Src[14], f.Src[15] = byte(i>>8), byte(i)
			return f
		}},
		{"prefixes of IPv6", func(i int) Flow {
			f := Flow{Src: ip("2001:db8::1"), Dst: ip("2001:db8::2"), SrcPort: 40000, DstPort: 443}
			f.Src[6], f.Src[7] = byte(i>>8), byte(i)
			return f
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var workers [16]int
			const n = 10_000
			for i := range n {
				f := tt.flow(i)
				workers[f.Spread()>>28]++
			}
			for i, c := range workers {
				if c < n/16*8/10 || c > n/16*12/10 {
					t.Errorf("worker %d of 16 has %d of %d connections", i, c, n)
				}
			}
		})
	}
}

// aimed returns flows that share a hash under k: an address whose upper half
// is a word of the key hashes to 0, whatever the lower half.
func aimed(k *hashKey, n int) []Flow {
	list := make([]Flow, n)
	for i := range list {
		f := &list[i]
		f.Dst, f.SrcPort, f.DstPort = ip("10.0.0.2"), 40000, 80
		binary.LittleEndian.PutUint64(f.Src[:8], k[0])
		binary.LittleEndian.PutUint64(f.Src[8:], uint64(i))
	}
	return list
}

// Flows that were aimed at one slot under a key that is known hit as many as
// any others under the one that is not.
func TestFlowHashIsKeyed(t *testing.T) {
	const n = 1 << 14
	known := hashKey{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93}
	count := func(k *hashKey) int {
		slots := map[uint64]bool{}
		for _, f := range aimed(&known, n) {
			slots[f.hash(k)>>32%n] = true
		}
		return len(slots)
	}
	if got := count(&known); got != 1 {
		t.Fatalf("aimed at 1 slot, hit %d", got)
	}
	if key == known {
		t.Fatal("the key is not random")
	}
	// n balls into n bins leave 1 in e empty.
	if got := count(&key); got < n/2 {
		t.Errorf("%d connections share %d slots", n, got)
	}
}

// What is printed beyond a cap depends on which connections share a worker.
func TestFlowSpreadIsFixed(t *testing.T) {
	f := Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: 40000, DstPort: 80}
	if got := f.Spread(); got != fixedSpread {
		t.Errorf("%#x, was %#x", got, fixedSpread)
	}
}

const fixedSpread = 0xdc90dc73

func BenchmarkFlowHash(b *testing.B) {
	f := Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: 40000, DstPort: 80}
	for b.Loop() {
		f.Hash()
	}
}
