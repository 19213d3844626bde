package wire

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
)

// Addr is an IP address in 16 bytes; IPv4 stands there as ::ffff:a.b.c.d.
type Addr [16]byte

// AddrFrom4 returns the IPv4 address in b, which has at least four bytes.
func AddrFrom4(b []byte) (a Addr) {
	a.Set4(b)
	return a
}

// Set4 sets a to the IPv4 address in b, which has at least four bytes. It
// writes two words, as [Flow.Hash] reads them: piecemeal stores would make that
// wait.
func (a *Addr) Set4(b []byte) {
	le := binary.LittleEndian
	le.PutUint64(a[:8], 0)
	le.PutUint64(a[8:], uint64(le.Uint32(b))<<32|0xffff<<16)
}

// Is4 reports whether a is an IPv4 address.
func (a *Addr) Is4() bool {
	le := binary.LittleEndian
	return le.Uint64(a[:8]) == 0 && le.Uint32(a[8:]) == 0xffff<<16
}

// AddrFrom16 returns the IPv6 address in b, which has at least 16 bytes.
func AddrFrom16(b []byte) (a Addr) {
	copy(a[:], b[:16])
	return a
}

// Netip returns the address as the standard library's type, IPv4 unmapped.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// Flow says which way a TCP segment goes.
type Flow struct {
	Src, Dst         Addr
	SrcPort, DstPort uint16
}

// Dir is a direction of a connection whose ends are in canonical order: 0 from
// the lower end to the higher, 1 back.
type Dir uint8

// Flip returns the other direction.
func (d Dir) Flip() Dir { return d ^ 1 }

// Reverse returns the flow of the answers.
func (f *Flow) Reverse() Flow {
	return Flow{Src: f.Dst, Dst: f.Src, SrcPort: f.DstPort, DstPort: f.SrcPort}
}

// Source returns the sender's address and port.
func (f *Flow) Source() netip.AddrPort { return netip.AddrPortFrom(f.Src.Netip(), f.SrcPort) }

// Dest returns the receiver's address and port.
func (f *Flow) Dest() netip.AddrPort { return netip.AddrPortFrom(f.Dst.Netip(), f.DstPort) }

// Canonical returns the flow with its lower end first, and the direction in
// which f runs along it. Both directions of a connection share one canonical
// flow.
func (f *Flow) Canonical() (Flow, Dir) {
	if f.higher() {
		return f.Reverse(), 1
	}
	return *f, 0
}

// higher reports whether the source is the higher end.
func (f *Flow) higher() bool {
	be := binary.BigEndian
	if s, d := be.Uint64(f.Src[8:]), be.Uint64(f.Dst[8:]); s != d {
		return s > d
	}
	if s, d := be.Uint64(f.Src[:8]), be.Uint64(f.Dst[:8]); s != d {
		return s > d
	}
	return f.SrcPort > f.DstPort
}

// hashKey makes a hash unpredictable.
type hashKey [4]uint64

// key is drawn once and never changes: who makes up a capture cannot choose
// flows that share a hash.
var key = hashKey{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()}

// Hash returns a hash that both directions of a connection share. It differs
// from process to process: what is printed must not depend on it, not even by
// an order. See [Flow.Spread] for one that does not differ.
func (f *Flow) Hash() uint64 { return f.hash(&key) }

func (f *Flow) hash(k *hashKey) uint64 {
	le := binary.LittleEndian
	// Each address is hashed alone and the two are added: symmetric without a
	// comparison. The ports go in as a pair of their own, so that no bit of one
	// address can make up for a port; which of them belongs to which address is
	// left out, and at most two connections share a hash for that.
	src := fold(le.Uint64(f.Src[:8])^k[0], le.Uint64(f.Src[8:])^k[1])
	dst := fold(le.Uint64(f.Dst[:8])^k[0], le.Uint64(f.Dst[8:])^k[1])
	ports := uint64(max(f.SrcPort, f.DstPort))<<16 | uint64(min(f.SrcPort, f.DstPort))
	return fold(src+dst^k[2], ports^k[3])
}

// fold multiplies two words and puts the halves of the product together. With
// a random key in both it cannot be aimed at.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Spread returns a number that both directions of a connection share and that
// is the same in every run, its high bits well mixed for ordinary traffic.
// Flows can be chosen to share it: it is for dealing them out, not for tables.
func (f *Flow) Spread() uint32 {
	const a, b, c = 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0xd6e8feb86659fd93
	le := binary.LittleEndian
	x := (le.Uint64(f.Src[:8])+le.Uint64(f.Dst[:8]))*a + (le.Uint64(f.Src[8:])+le.Uint64(f.Dst[8:]))*b +
		(uint64(f.SrcPort)+uint64(f.DstPort))*c
	x ^= x >> 32
	return uint32(x * a >> 32)
}
