package capture

import (
	"encoding/binary"

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
// Its memory is fixed, and holds about the last 32768 segments. The zero value
// is ready. It depends on nothing but the order of the segments and their
// times.
type Copies struct {
	sets [copySets][copyWays]sighting
}

const (
	copySets = 1 << 13 // of one cache line each
	copyWays = 4
)

type sighting struct {
	hash uint64 // 0: empty
	time int64
}

// Seen reports whether s is a copy of a segment seen before, and remembers it
// if not.
func (c *Copies) Seen(s *Segment) bool {
	h := identity(s)
	set := &c.sets[h>>(64-13)]
	oldest := &set[0]
	for i := range set {
		e := &set[i]
		if e.hash == 0 {
			oldest = e // so are all behind it
			break
		}
		if e.hash == h {
			if age := s.Time - e.time; -copyWindow <= age && age <= copyWindow {
				return true
			}
			oldest = e // it happened again, later
			break
		}
		if e.time < oldest.time {
			oldest = e
		}
	}
	*oldest = sighting{hash: h, time: s.Time}
	return false
}

// identity hashes what makes s the packet it is. Never 0.
func identity(s *Segment) uint64 {
	le := binary.LittleEndian
	// The flow's hash is the same both ways: the source tells which.
	h := mul(s.Hash ^ le.Uint64(s.Flow.Src[8:]) ^ uint64(s.Flow.SrcPort)<<48)
	h = mul(h ^ uint64(s.Seq)<<32 ^ uint64(s.Ack))
	h = mul(h ^ uint64(s.ID)<<48 ^ uint64(s.Window)<<32 ^ uint64(s.Flags)<<24 ^ uint64(uint32(s.Len)))
	o := s.Options
	if s.Flags&wire.SYN != 0 {
		// Routers rewrite the MSS: of a SYN's options only TSval counts.
		for it := wire.Options(o); it.Next(); {
			if val, _, ok := it.Timestamps(); ok {
				return mul(h^uint64(val)) | 1
			}
		}
		return h | 1
	}
	for ; len(o) >= 8; o = o[8:] {
		h = mul(h ^ le.Uint64(o))
	}
	if len(o) >= 4 {
		h = mul(h ^ uint64(le.Uint32(o)))
	}
	return h | 1
}

// mul is one round of mixing.
func mul(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>32
}
