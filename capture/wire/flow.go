package wire

import (
	"encoding/binary"
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

// Hash returns a hash that both directions of a connection share. It is the
// same in every run.
func (f *Flow) Hash() uint64 {
	le := binary.LittleEndian
	// Each end is hashed alone and the two are added: symmetric without a
	// comparison.
	return mix(endHash(le.Uint64(f.Src[:8]), le.Uint64(f.Src[8:]), f.SrcPort) +
		endHash(le.Uint64(f.Dst[:8]), le.Uint64(f.Dst[8:]), f.DstPort))
}

func endHash(hi, lo uint64, port uint16) uint64 {
	return mix(hi*0x9e3779b97f4a7c15 ^ lo ^ uint64(port)*0xd6e8feb86659fd93)
}

// mix is the finalizer of splitmix64: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return x
}
