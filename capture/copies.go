package capture

import (
	"encoding/binary"
	"math/bits"

	"github.com/connlint/connlint/capture/wire"
)

// Copies recognises a packet that the capture holds twice: taken on two
// interfaces, on both sides of a bridge, or as sent and as received on a
// loopback. Two segments are copies if they have the same flow, IP
// identification, sequence and acknowledgment numbers, flags, length, window
// and options and lie at most 50 ms apart. VLAN tags, tunnels and the hop limit
// do not count, as they change on the way.
//
// A retransmission by IPv4 has another identification. By IPv6, or with
// identification 0, only the TCP timestamp tells it from a copy: without that,
// one sent again within 50 ms is taken for a copy.
//
// Its memory is fixed, 256 KiB, and holds about the last 28,000 segments. The
// zero value is ready. It depends on nothing but the order of the segments and
// their times: where a sighting is kept does not depend on the process's hash
// key, by which segments are compared. So segments can be chosen to push each
// other out, and then a copy counts as a retransmission; none can be chosen to
// pass for a copy of another.
type Copies struct {
	sets [1 << copySetBits]copySet
}

const copySetBits = 12

// copySet is a cache line. A sighting is a hash, its low bits replaced by the
// time in units of about a quarter of a millisecond; 0 means none. The time
// wraps after 18 minutes: only then would the same packet be taken for a copy
// of one that long ago.
type copySet struct {
	ring [7]uint64
	next uint64 // where the next sighting goes: over the oldest
}

const (
	copyTimeBits = 22
	copyTimeMask = 1<<copyTimeBits - 1
	copyTimeUnit = 18 // as a power of two of nanoseconds
)

// Seen reports whether s is a copy of a segment seen before, and remembers it
// if not.
func (c *Copies) Seen(s *Segment) bool {
	set := &c.sets[place(s)]
	h := identity(s)
	now := uint64(s.Time) >> copyTimeUnit & copyTimeMask
	h &^= copyTimeMask
	for _, e := range &set.ring {
		if e^h <= copyTimeMask && e != 0 { // all but the time is equal
			const window = uint64(copyWindow) >> copyTimeUnit
			if age := (now - e) & copyTimeMask; age <= window || age >= copyTimeMask+1-window {
				return true
			}
		}
	}
	set.ring[set.next%7] = h | now
	set.next++
	return false
}

// place returns the set for s, the same in every run: which sightings are
// pushed out must be.
func place(s *Segment) uint64 {
	x := uint64(s.Seq)<<32 | uint64(s.Ack)
	x ^= uint64(s.Flow.SrcPort)<<16 ^ uint64(s.Flow.DstPort)<<40 ^ uint64(s.ID) ^ uint64(uint32(s.Len))<<32
	x ^= x >> 29
	return x * 0x9e3779b97f4a7c15 >> (64 - copySetBits)
}

// identity hashes what makes s the packet it is, under a key of its flow that
// nobody can know beforehand.
func identity(s *Segment) uint64 {
	le := binary.LittleEndian
	k, l := s.Hash, bits.RotateLeft64(s.Hash, 32)^0xd6e8feb86659fd93
	// The flow's hash is the same both ways: the source tells which.
	h := fold(le.Uint64(s.Flow.Src[8:])^k, uint64(s.Flow.SrcPort)^l)
	seqs := uint64(s.Seq)<<32 | uint64(s.Ack)
	rest := uint64(s.ID)<<48 | uint64(s.Window)<<32 | uint64(s.Flags)<<24 ^ uint64(uint32(s.Len))
	h += fold(seqs^l, rest^k)
	o := s.Options
	if s.Flags&wire.SYN != 0 {
		// Routers rewrite the MSS: of a SYN's options only TSval counts.
		it := wire.Options(o) // as the loop's own it would be copied for each turn
		for it.Next() {
			if val, _, ok := it.Timestamps(); ok {
				return fold(h^uint64(val), l)
			}
		}
		return fold(h, l)
	}
	for ; len(o) >= 8; o = o[8:] {
		h = fold(h^le.Uint64(o), l)
	}
	if len(o) >= 4 {
		h ^= uint64(le.Uint32(o))
	}
	return fold(h, l)
}

// fold multiplies two words and puts the halves of the product together.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
