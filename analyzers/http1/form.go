package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// form is how the heads of one side go. Programs send the same field lines in
// the same order again and again: one that came before costs a comparison, one
// of which the name came before the search for its end. A form never changes
// what a head is found to say, only how long that takes.
type form struct {
	lines [formLines]formLine
}

// formLine is a field line without fault.
type formLine struct {
	begin, mask uint64 // its first bytes, up to the value
	b           []byte // the line with its CR LF, or only up to its value
	name        uint16 // length of the name
	value       uint16 // where the value begins
	end         uint16 // and ends
	bits        Bits   // all that the line says, with plain
	id          FieldID
	plain       bool
	trust       uint8 // how many lines of other names to let pass before this one gives way
	other       uint8 // how many lines of the name had another value since one came again
}

const (
	formLines = 24
	formWidth = 512 // the longest line kept whole, in bytes
	formTrust = 3
	formOther = 4 // so many, and only the name is compared for the next 250 lines
)

// begins reports whether a line whose first bytes are w may have the name of l.
func (l *formLine) begins(w uint64) bool { return w&l.mask == l.begin && l.mask != 0 }

// known takes in field lines from pos on that came before, where the form has
// them: in the place at, or in the one after it, as if a line were left out. It
// returns where the first other line begins, its place, and what is known of a
// line of that name, or nil.
func (p *headParse) known(f *form, raw []byte, pos, at int) (int, int, *formLine) {
	for ; at < formLines && len(raw)-pos >= 8; at++ {
		rest := raw[pos:]
		w := binary.LittleEndian.Uint64(rest)
		l := &f.lines[at]
		if !l.begins(w) {
			if at+1 == formLines || !f.lines[at+1].begins(w) {
				break
			}
			at++
			l = &f.lines[at]
		}
		if l.other >= formOther || len(l.b) > len(rest) || string(rest[:len(l.b)]) != string(l.b) {
			if n := int(l.value); n > 8 && (n > len(rest) || string(rest[:n]) != string(l.b[:n])) {
				break
			}
			l.trust = formTrust
			return pos, at, l
		}
		l.trust, l.other = formTrust, 0
		if p.info.bits |= l.bits; !l.plain {
			p.take(l.id, rest[l.value:l.end])
		}
		p.fields++
		p.ends++
		pos += len(l.b)
	}
	return pos, at, nil
}

// like returns what is known of a field line that begins rest: one of its name
// in the place at or in the one after it, with its place, nil if there is none.
// end is where the line ends, -1 if that must be looked for.
func (f *form) like(rest []byte, at int) (l *formLine, place, end int) {
	if f == nil || len(rest) < 8 {
		return nil, 0, -1
	}
	w := binary.LittleEndian.Uint64(rest)
	for place = at; place < formLines && place <= at+1; place++ {
		l = &f.lines[place]
		n := int(l.value)
		if !l.begins(w) || n > 8 && (n > len(rest) || string(rest[:n]) != string(l.b[:n])) {
			continue
		}
		if end = cleanEnd(rest[n:]); end >= 0 {
			end += n
		}
		return l, place, end
	}
	return nil, 0, -1
}

// learn takes in that the line b, with its CR LF, came in the place of l, and
// whether its name is that of l. Its value lies from value to end.
func (l *formLine) learn(b []byte, same bool, id FieldID, name, value, end int) {
	other := uint8(0)
	if same {
		if l.other++; l.other > formOther {
			return
		}
		other = l.other
	} else if l.trust > 0 {
		l.trust--
		return
	}
	if len(b) < 8 || value > formWidth || bytes.IndexByte(b, 0) >= 0 || bytes.Count(b, []byte{'\r'}) > 1 {
		l.other = formOther
		return
	}
	if len(b) > formWidth {
		b, end, other = b[:value], value, formOther
	}
	*l = formLine{b: append(l.b[:0], b...), id: id, name: uint16(name), value: uint16(value), end: uint16(end), trust: formTrust, other: other}
	l.mask = ^uint64(0) >> (64 - 8*min(value, 8))
	l.begin = binary.LittleEndian.Uint64(b) & l.mask
	said := noInfo
	said.field(id, b[value:end])
	bits := said.bits
	said.bits = 0
	if l.plain = said == noInfo && id != FieldTE && id != FieldHost && id != FieldUserAgent; l.plain {
		l.bits = bits
	}
}

// cleanEnd returns where the first control character of b is, if that is a CR
// with an LF behind it, else -1, and likewise if there is none soon.
func cleanEnd(b []byte) int {
	const bytes, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; n < 64 && n+8 < len(b); n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		low := (w - ' '*bytes) &^ w & tops // its lowest bit is at the first character below a space
		if low == 0 {
			continue
		}
		if n += bits.TrailingZeros64(low) / 8; b[n] == '\r' && b[n+1] == '\n' {
			return n
		}
		return -1
	}
	for ; n < 64 && n+1 < len(b); n++ {
		if b[n] >= ' ' {
			continue
		}
		if b[n] == '\r' && b[n+1] == '\n' {
			return n
		}
		break
	}
	return -1
}
