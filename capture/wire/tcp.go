package wire

import "encoding/binary"

// TCP is a TCP segment (RFC 9293 §3.1).
type TCP []byte

// TCPMinLen is the length of a TCP header without options, in bytes.
const TCPMinLen = 20

// ParseTCP returns b as a segment if it holds the fixed header and the data
// offset is at least that. The options may be cut by the end of b.
func ParseTCP(b []byte) (TCP, bool) {
	return b, len(b) >= TCPMinLen && b[12] >= 5<<4
}

// SrcPort returns the source port.
func (h TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(h) }

// DstPort returns the destination port.
func (h TCP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Seq returns the sequence number.
func (h TCP) Seq() Seq { return Seq(binary.BigEndian.Uint32(h[4:])) }

// Ack returns the acknowledgment number, valid with the ACK flag.
func (h TCP) Ack() Seq { return Seq(binary.BigEndian.Uint32(h[8:])) }

// HeaderLen returns the length of the header with options, in bytes.
func (h TCP) HeaderLen() int { return int(h[12]>>4) * 4 }

// Flags returns the control bits.
func (h TCP) Flags() Flags { return Flags(h[13]) }

// Window returns the window as sent, unscaled.
func (h TCP) Window() uint16 { return binary.BigEndian.Uint16(h[14:]) }

// OptionKind is the kind of a TCP option.
type OptionKind uint8

// Kinds of options with accessors here.
const (
	OptEnd           OptionKind = 0
	OptNop           OptionKind = 1
	OptMSS           OptionKind = 2
	OptWindowScale   OptionKind = 3
	OptSACKPermitted OptionKind = 4
	OptSACK          OptionKind = 5
	OptTimestamps    OptionKind = 8
)

// OptionIter iterates over the bytes of a TCP header's options, which may be
// hostile or cut:
//
//	for o := wire.Options(s.Options); o.Next(); {
//		if n, ok := o.MSS(); ok { ... }
//	}
type OptionIter struct {
	rest []byte
	opt  []byte // the current option, kind and length included
}

// Options returns an iterator over b, which it borrows.
func Options(b []byte) OptionIter { return OptionIter{rest: b} }

// Next moves to the next option and reports whether there is one. Padding is
// passed over. An option whose length is impossible ends the list.
func (it *OptionIter) Next() bool {
	for len(it.rest) > 0 {
		switch OptionKind(it.rest[0]) {
		case OptEnd:
			it.rest = nil
			return false
		case OptNop:
			it.rest = it.rest[1:]
			continue
		}
		if len(it.rest) < 2 || it.rest[1] < 2 || int(it.rest[1]) > len(it.rest) {
			break
		}
		n := it.rest[1]
		it.opt, it.rest = it.rest[:n:n], it.rest[n:]
		return true
	}
	it.rest = nil
	return false
}

// Kind returns the current option's kind. Valid after Next returned true, as
// are the methods below.
func (it *OptionIter) Kind() OptionKind { return OptionKind(it.opt[0]) }

// Value returns the current option's bytes behind kind and length.
func (it *OptionIter) Value() []byte { return it.opt[2:] }

func (it *OptionIter) is(k OptionKind, n int) bool {
	return it.Kind() == k && len(it.opt) == n
}

// MSS returns the maximum segment size in bytes (RFC 9293 §3.7.1).
func (it *OptionIter) MSS() (n int, ok bool) {
	if !it.is(OptMSS, 4) {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(it.opt[2:])), true
}

// WindowScale returns the shift count, at most 14 (RFC 7323 §2.3).
func (it *OptionIter) WindowScale() (shift uint8, ok bool) {
	if !it.is(OptWindowScale, 3) {
		return 0, false
	}
	return min(it.opt[2], 14), true
}

// SACKPermitted reports whether the option is that (RFC 2018 §2).
func (it *OptionIter) SACKPermitted() bool { return it.is(OptSACKPermitted, 2) }

// SACKBlocks returns how many blocks the option holds: 0 if it is no SACK
// option (RFC 2018 §3).
func (it *OptionIter) SACKBlocks() int {
	if it.Kind() != OptSACK || len(it.opt)%8 != 2 {
		return 0
	}
	return len(it.opt) / 8
}

// SACKBlock returns block i of [OptionIter.SACKBlocks]: its first sequence
// number, and the one after its last.
func (it *OptionIter) SACKBlock(i int) (left, right Seq) {
	b := it.opt[2+8*i:]
	return Seq(binary.BigEndian.Uint32(b)), Seq(binary.BigEndian.Uint32(b[4:]))
}

// Timestamps returns TSval and TSecr (RFC 7323 §3.2).
func (it *OptionIter) Timestamps() (val, ecr uint32, ok bool) {
	if !it.is(OptTimestamps, 10) {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(it.opt[2:]), binary.BigEndian.Uint32(it.opt[6:]), true
}
