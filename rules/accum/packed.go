package accum

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Packed is a list of records in bytes. It grows by chunks: to double a slice
// copies all of it, and leaves as much to collect.
type Packed struct {
	full [][]byte
	tail []byte
}

const packedChunk = 1 << 12

// Tail returns what the next record is to be appended to, with room for that
// many bytes, and whether the record is the first of its chunk: it may not
// build on one before. Hand the result to [Packed.Put].
func (p *Packed) Tail(room int) (b []byte, first bool) {
	if len(p.tail)+room > packedChunk && len(p.tail) > 0 {
		p.full = append(p.full, p.tail)
		p.tail = make([]byte, 0, packedChunk)
	}
	return p.tail, len(p.tail) == 0
}

// Put takes back what Tail returned, with a record appended.
func (p *Packed) Put(b []byte) { p.tail = b }

// Chunks calls f with the records of each chunk, in order.
func (p *Packed) Chunks(f func([]byte)) {
	for _, b := range p.full {
		f(b)
	}
	f(p.tail)
}

// Append adds the records of o, whose chunks remain chunks. The next record is
// the first of its own.
func (p *Packed) Append(o *Packed) {
	for _, b := range [...][]byte{p.tail, o.tail} {
		if len(b) > 0 {
			p.full = append(p.full, slices.Clip(b))
		}
	}
	p.full = append(p.full, o.full...)
	p.tail = nil
}

// IntsBytes returns how much room AppendInts needs for n numbers.
func IntsBytes(n int) int { return (n+1)/2 + 8*(n+1) }

// AppendInts appends numbers to b: small ones take few bytes, 0 none. How many
// each takes stands in front of all, which is quicker to read than a mark in
// each byte.
func AppendInts(b []byte, v []int64) []byte {
	head := len(b)
	at := head + (len(v)+1)/2
	b = slices.Grow(b, IntsBytes(len(v)))[:at+8*(len(v)+1)]
	clear(b[head:at])
	for i, n := range v {
		u := uint64(n<<1 ^ n>>63) // small for small negative ones, too
		binary.LittleEndian.PutUint64(b[at:], u)
		size := (bits.Len64(u) + 7) / 8
		b[head+i/2] |= byte(size) << (i % 2 * 4)
		at += size
	}
	return b[:at]
}

// ReadInts reads what AppendInts wrote of as many numbers, and returns what is
// behind them.
func ReadInts(b []byte, v []int64) (rest []byte) {
	at := (len(v) + 1) / 2
	for i := range v {
		size := int(b[i/2] >> (i % 2 * 4) & 15)
		var u uint64
		if at+8 <= len(b) {
			u = binary.LittleEndian.Uint64(b[at:]) & (1<<(8*size) - 1)
		} else {
			var own [8]byte
			copy(own[:], b[at:at+size])
			u = binary.LittleEndian.Uint64(own[:])
		}
		v[i] = int64(u>>1) ^ -int64(u&1)
		at += size
	}
	return b[at:]
}

// rows is a list of rows. Each is written as what it differs by from the one
// before: neighbours are alike, and a third of the bytes do.
type rows struct {
	packed Packed
	last   Columns
	n      int
}

func (r *rows) push(c *Columns) {
	b, first := r.packed.Tail(IntsBytes(len(c)))
	if first {
		r.last = Columns{}
	}
	var diff Columns
	for i, v := range c {
		diff[i] = v - r.last[i]
	}
	r.packed.Put(AppendInts(b, diff[:]))
	r.last = *c
	r.n++
}

// each calls f with each row, in the order in which they were pushed.
func (r *rows) each(f func(Columns)) {
	r.packed.Chunks(func(b []byte) {
		var row, diff Columns
		for len(b) > 0 {
			b = ReadInts(b, diff[:])
			for i, v := range diff {
				row[i] += v
			}
			f(row)
		}
	})
}
