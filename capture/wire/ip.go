package wire

import "encoding/binary"

// Proto is an IP protocol or IPv6 next header number.
type Proto uint8

// Protocols that lead on to TCP.
const (
	ProtoHopByHop Proto = 0
	ProtoIPv4     Proto = 4 // RFC 2003
	ProtoTCP      Proto = 6
	ProtoUDP      Proto = 17
	ProtoIPv6     Proto = 41 // RFC 4213
	ProtoRouting  Proto = 43
	ProtoFragment Proto = 44
	ProtoGRE      Proto = 47
	ProtoAH       Proto = 51
	ProtoDestOpts Proto = 60
	ProtoMPLS     Proto = 137 // RFC 4023
)

// IPv4 is an IPv4 packet (RFC 791 §3.1).
type IPv4 []byte

// IPv4MinLen is the length of an IPv4 header without options, in bytes.
const IPv4MinLen = 20

// ParseIPv4 returns b as a packet if it holds the header with its options and
// version and header length are valid. The total length is not looked at: a
// sending host that leaves segmentation to its network card shows zero there,
// and a capture may hold less than it says.
func ParseIPv4(b []byte) (IPv4, bool) {
	if len(b) < IPv4MinLen {
		return nil, false
	}
	n := int(b[0]) - 0x40
	return b, n >= 5 && n <= 15 && n*4 <= len(b)
}

// HeaderLen returns the length of the header with options, in bytes.
func (h IPv4) HeaderLen() int { return int(h[0]&0x0f) * 4 }

// TotalLen returns the total length field.
func (h IPv4) TotalLen() int { return int(binary.BigEndian.Uint16(h[2:])) }

// ID returns the identification.
func (h IPv4) ID() uint16 { return binary.BigEndian.Uint16(h[4:]) }

// Fragmented reports whether the packet is a fragment of a larger one.
func (h IPv4) Fragmented() bool { return binary.BigEndian.Uint16(h[6:])&0x3fff != 0 }

// FragmentOffset returns where in the whole packet's data this packet's data
// belongs, in bytes.
func (h IPv4) FragmentOffset() int { return int(binary.BigEndian.Uint16(h[6:])&0x1fff) * 8 }

// MoreFragments reports whether data follows in another fragment.
func (h IPv4) MoreFragments() bool { return h[6]&0x20 != 0 }

// Protocol returns the protocol of the data.
func (h IPv4) Protocol() Proto { return Proto(h[9]) }

// Src returns the four bytes of the source address.
func (h IPv4) Src() []byte { return h[12:16] }

// Dst returns the four bytes of the destination address.
func (h IPv4) Dst() []byte { return h[16:20] }

// IPv6 is an IPv6 packet (RFC 8200 §3).
type IPv6 []byte

// IPv6Len is the length of an IPv6 header without extensions, in bytes.
const IPv6Len = 40

// ParseIPv6 returns b as a packet if it holds the fixed header and the version
// is valid.
func ParseIPv6(b []byte) (IPv6, bool) {
	return b, len(b) >= IPv6Len && b[0]>>4 == 6
}

// PayloadLen returns the payload length field, extension headers included. It
// is 0 for a jumbogram.
func (h IPv6) PayloadLen() int { return int(binary.BigEndian.Uint16(h[4:])) }

// NextHeader returns the type of the first header behind the fixed one.
func (h IPv6) NextHeader() Proto { return Proto(h[6]) }

// Src returns the source address.
func (h IPv6) Src() Addr { return Addr(h[8:24]) }

// Dst returns the destination address.
func (h IPv6) Dst() Addr { return Addr(h[24:40]) }

// Payload returns what follows the fixed header.
func (h IPv6) Payload() []byte { return h[IPv6Len:] }

// Ext is an IPv6 extension header: hop-by-hop options, routing, destination
// options, fragment, or authentication, which IPv4 knows as well.
type Ext []byte

// ParseExt returns b as the extension header that proto says it is, if it
// holds all of it. A header of another type is not ok.
func ParseExt(proto Proto, b []byte) (Ext, bool) {
	if len(b) < 8 {
		return nil, false
	}
	n := 8
	switch proto {
	case ProtoHopByHop, ProtoRouting, ProtoDestOpts:
		n = 8 + int(b[1])*8
	case ProtoAH: // counts four-byte words, less two (RFC 4302 §2.2)
		n = 8 + int(b[1])*4
	case ProtoFragment:
	default:
		return nil, false
	}
	if n > len(b) {
		return nil, false
	}
	return b[:n], true
}

// NextHeader returns the type of the next header.
func (h Ext) NextHeader() Proto { return Proto(h[0]) }

// Jumbo returns the payload length in bytes that a hop-by-hop header's jumbo
// option gives (RFC 2675 §2). It counts from the end of the fixed header.
func (h Ext) Jumbo() (n int, ok bool) {
	for o := h[2:]; len(o) >= 2; {
		if o[0] == 0 { // Pad1 has no length
			o = o[1:]
			continue
		}
		end := 2 + int(o[1])
		if end > len(o) {
			break
		}
		if o[0] == 0xc2 && end == 6 {
			return int(binary.BigEndian.Uint32(o[2:])), true
		}
		o = o[end:]
	}
	return 0, false
}

// FinalDst returns the address a routing header still leads to: TCP's end is
// there, not at the header's destination (RFC 8200 §8.1). Known are source
// routes (type 0), home addresses (2, RFC 6275 §6.4) and segments (4, RFC 8754
// §2).
func (h Ext) FinalDst() (a Addr, ok bool) {
	if h[3] == 0 || len(h) < 24 { // no segments left: the packet is there
		return a, false
	}
	switch h[2] {
	case 0:
		return AddrFrom16(h[8+(len(h)-8)/16*16-16:]), true
	case 2, 4: // the segment list runs backwards
		return AddrFrom16(h[8:]), true
	}
	return a, false
}

// FragmentOffset returns a fragment header's offset in bytes.
func (h Ext) FragmentOffset() int { return int(binary.BigEndian.Uint16(h[2:]) &^ 7) }

// MoreFragments returns a fragment header's M flag.
func (h Ext) MoreFragments() bool { return h[3]&1 != 0 }

// FragmentID returns a fragment header's identification.
func (h Ext) FragmentID() uint32 { return binary.BigEndian.Uint32(h[4:]) }
