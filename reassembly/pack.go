package reassembly

import (
	"encoding/binary"
	"math/bits"

	"github.com/connlint/connlint/capture/wire"
)

// maxPacked is the longest packed connection, in bytes.
const maxPacked = 2048

// Packer writes numbers in few bytes: small ones in one.
type Packer struct {
	n   int
	buf [maxPacked + 16]byte
}

// Uint writes v. A number of up to 7n bits, n ≤ 8, takes n bytes: the lowest
// bit set of the first byte says how many, so that one store and one load do.
func (p *Packer) Uint(v uint64) {
	n := (bits.Len64(v|1) + 6) / 7
	b := p.buf[p.n : p.n+16]
	if n > 8 {
		b[0] = 0
		binary.LittleEndian.PutUint64(b[1:], v)
		p.n += 9
		return
	}
	binary.LittleEndian.PutUint64(b, v<<n|1<<(n-1))
	p.n += n
}

// Int writes v; it is short for numbers near 0.
func (p *Packer) Int(v int64) { p.Uint(uint64(v<<1) ^ uint64(v>>63)) }

// Seq writes v; it is short for numbers near ref.
func (p *Packer) Seq(v, ref wire.Seq) { p.Int(int64(int32(v - ref))) }

// Unpacker returns a reader of what was written so far. It is valid until the
// next write.
func (p *Packer) Unpacker() Unpacker { return Unpacker{b: p.buf[:]} }

// Reset forgets what was written so far.
func (p *Packer) Reset() { p.n = 0 }

// Unpacker reads what a Packer wrote, in the same order.
type Unpacker struct {
	b  []byte
	at int // of the next number in b: kept as a slice it takes three stores, which the next load waits for
}

// Uint reads a number.
func (u *Unpacker) Uint() uint64 {
	b := u.b[u.at : u.at+16]
	v := binary.LittleEndian.Uint64(b)
	n := bits.TrailingZeros64(v|1<<8) + 1
	if n > 8 {
		u.at += 9
		return binary.LittleEndian.Uint64(b[1:])
	}
	u.at += n
	return v << (64 - 8*n) >> (64 - 7*n)
}

// Int reads a number.
func (u *Unpacker) Int() int64 {
	v := u.Uint()
	return int64(v>>1) ^ -int64(v&1)
}

// Seq reads a sequence number near ref.
func (u *Unpacker) Seq(ref wire.Seq) wire.Seq { return ref + wire.Seq(uint32(u.Int())) }

// store holds packed connections in pages without pointers, which the garbage
// collector does not look into and nothing ever moves. A place is a number of
// units since the first page; its first byte is its length in units.
type store struct {
	pages [][]byte
	used  uint32                     // units handed out of the last page
	free  [maxPacked/unit + 1]uint32 // first free place by length, 0 for none; its first four bytes behind the length name the next
	n     int                        // places in use
	hand  uint32                     // of the walk over all places
}

const (
	unit      = 64 // a cache line: of lengths that differ little most are the same, and a place freed fits the next
	pageUnits = 1 << 14
	pageSlack = 16 // what an Unpacker may load beyond the last byte
)

// The head of a packed connection: its length in units, what kind it is, its
// Last, its hash and its key.
const (
	freed = iota
	ipv4
	ipv6
)

const headLen = 2 + 8 + 4

func (s *store) at(place uint32) []byte {
	return s.pages[place/pageUnits][place%pageUnits*unit:]
}

// head writes the head of a packed connection.
func (p *Packer) head(last int64, hash uint32, key *wire.Flow) {
	le := binary.LittleEndian
	b := p.buf[:]
	le.PutUint64(b[2:], uint64(last))
	le.PutUint32(b[10:], hash)
	le.PutUint16(b[headLen:], key.SrcPort)
	le.PutUint16(b[headLen+2:], key.DstPort)
	if key.Src.Is4() && key.Dst.Is4() {
		b[1] = ipv4
		copy(b[headLen+4:], key.Src[12:])
		copy(b[headLen+8:], key.Dst[12:])
		p.n = headLen + 12
		return
	}
	b[1] = ipv6
	copy(b[headLen+4:], key.Src[:])
	copy(b[headLen+20:], key.Dst[:])
	p.n = headLen + 36
}

// lastOf returns a packed connection's Last.
func lastOf(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b[2:])) }

func hashOf(b []byte) uint32 { return binary.LittleEndian.Uint32(b[10:]) }

// keyOf returns a packed connection's key, and what follows its head.
func keyOf(b []byte, key *wire.Flow) []byte {
	le := binary.LittleEndian
	key.SrcPort, key.DstPort = le.Uint16(b[headLen:]), le.Uint16(b[headLen+2:])
	if b[1] == ipv4 {
		key.Src.Set4(b[headLen+4:])
		key.Dst.Set4(b[headLen+8:])
		return b[headLen+12:]
	}
	copy(key.Src[:], b[headLen+4:])
	copy(key.Dst[:], b[headLen+20:])
	return b[headLen+36:]
}

// put takes a packed connection in.
func (s *store) put(b []byte) uint32 {
	units := uint32(len(b)+unit-1) / unit
	place := s.free[units]
	if place != 0 {
		s.free[units] = binary.LittleEndian.Uint32(s.at(place)[2:])
	} else {
		if len(s.pages) == 0 || s.used+units > pageUnits {
			s.pages = append(s.pages, make([]byte, pageUnits*unit+pageSlack))
			if s.used = 0; len(s.pages) == 1 {
				s.used = 1 // place 0 is none
			}
		}
		place = uint32(len(s.pages)-1)*pageUnits + s.used
		s.used += units
	}
	to := s.at(place)
	copy(to, b)
	to[0] = byte(units)
	s.n++
	return place
}

// drop gives a place back.
func (s *store) drop(place uint32) {
	b := s.at(place)
	units := b[0]
	b[1] = freed
	binary.LittleEndian.PutUint32(b[2:], s.free[units])
	s.free[units] = place
	s.n--
}

// next moves the store's hand on and returns a place in use, or 0 after a
// number of free ones. At the end of a round it returns false.
func (s *store) next() (place uint32, ok bool) {
	for range 64 {
		s.hand = max(s.hand, 1)
		page := s.hand / pageUnits
		if int(page) >= len(s.pages) {
			s.hand = 0
			return 0, false
		}
		b := s.at(s.hand)
		if b[0] == 0 { // nothing follows in this page
			s.hand = (page + 1) * pageUnits
			continue
		}
		place = s.hand
		if s.hand += uint32(b[0]); b[1] != freed {
			return place, true
		}
	}
	return 0, true
}
