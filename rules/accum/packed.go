package accum

import "encoding/binary"

// Packed is a list of bytes that grows by chunks: to double a slice copies all
// of it, and leaves as much to collect.
type Packed struct {
	full [][]byte
	tail []byte
}

const packedChunk = 1 << 10

// Tail returns what the next record is to be appended to, with room for that
// many bytes. Hand the result to [Packed.Put].
func (p *Packed) Tail(room int) []byte {
	if len(p.tail)+room > packedChunk && len(p.tail) > 0 {
		p.full = append(p.full, p.tail)
		p.tail = make([]byte, 0, packedChunk)
	}
	return p.tail
}

// Put takes back what Tail returned, with a record appended.
func (p *Packed) Put(b []byte) { p.tail = b }

// Parts calls f with the bytes, in order, no record cut in two.
func (p *Packed) Parts(f func([]byte)) {
	for _, b := range p.full {
		f(b)
	}
	f(p.tail)
}

// rows is a list of rows. Each is written as what it differs by from the one
// before: neighbours are alike, and a third of the bytes do.
type rows struct {
	packed Packed
	last   Columns
	n      int
}

func (r *rows) push(c *Columns) {
	b := r.packed.Tail(len(c) * binary.MaxVarintLen64)
	for i, v := range c {
		b = binary.AppendVarint(b, v-r.last[i])
	}
	r.packed.Put(b)
	r.last = *c
	r.n++
}

// reader reads rows.
type reader struct {
	of   *rows
	at   int // chunks begun
	rest []byte
	row  Columns
}

func (r *rows) read() reader { return reader{of: r} }

// next goes to the next row, and reports whether there is one.
func (r *reader) next() bool {
	for len(r.rest) == 0 {
		switch p := &r.of.packed; {
		case r.at < len(p.full):
			r.rest = p.full[r.at]
		case r.at == len(p.full):
			r.rest = p.tail
		default:
			return false
		}
		r.at++
	}
	for i := range r.row {
		v, n := binary.Varint(r.rest)
		r.row[i] += v
		r.rest = r.rest[n:]
	}
	return true
}
