package wire

import "encoding/binary"

// UDP is a UDP datagram (RFC 768).
type UDP []byte

// UDPLen is the length of a UDP header in bytes.
const UDPLen = 8

// ParseUDP returns b as a datagram if it holds the header.
func ParseUDP(b []byte) (UDP, bool) { return b, len(b) >= UDPLen }

// SrcPort returns the source port.
func (h UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(h) }

// DstPort returns the destination port.
func (h UDP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Payload returns what follows the header.
func (h UDP) Payload() []byte { return h[UDPLen:] }

// PPP is a PPP frame from its protocol field on (RFC 1661 §2).
type PPP []byte

// ParsePPP returns b as a frame if it holds the protocol field. Address and
// control bytes of HDLC framing (RFC 1662 §3.1) are passed over.
func ParsePPP(b []byte) (PPP, bool) {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	return b, len(b) >= 2 || len(b) == 1 && b[0]&1 != 0
}

// headerLen returns 1 where the protocol field is compressed, which its odd
// first byte shows (RFC 1661 §6.5).
func (h PPP) headerLen() int { return 2 - int(h[0]&1) }

// Type returns the EtherType that stands for the protocol, or 0.
func (h PPP) Type() EtherType {
	p := uint16(h[0])
	if h[0]&1 == 0 {
		p = binary.BigEndian.Uint16(h)
	}
	switch p {
	case 0x0021:
		return TypeIPv4
	case 0x0057:
		return TypeIPv6
	case 0x0281:
		return TypeMPLS
	}
	return 0
}

// Payload returns what follows the protocol field.
func (h PPP) Payload() []byte { return h[h.headerLen():] }

// PPPoE is a packet of PPPoE's session stage (RFC 2516 §4).
type PPPoE []byte

// PPPoELen is the length of a PPPoE header in bytes.
const PPPoELen = 6

// ParsePPPoE returns b as a packet if it holds the header, its version and
// type are 1 and its code is session data.
func ParsePPPoE(b []byte) (PPPoE, bool) {
	return b, len(b) >= PPPoELen && b[0] == 0x11 && b[1] == 0
}

// PayloadLen returns the length of the PPP frame inside, in bytes.
func (h PPPoE) PayloadLen() int { return int(binary.BigEndian.Uint16(h[4:])) }

// Payload returns what follows the header.
func (h PPPoE) Payload() []byte { return h[PPPoELen:] }

// MPLSPayload returns what lies behind the label stack at the start of b, if b
// holds all of it and a byte more (RFC 3032 §2.1).
func MPLSPayload(b []byte) (payload []byte, ok bool) {
	for len(b) > 4 {
		bottom := b[2]&1 != 0
		b = b[4:]
		if bottom {
			return b, true
		}
	}
	return nil, false
}

// GRE is a GRE packet, version 0 (RFC 2784, 2890, 1701) or 1 (PPTP, RFC 2637).
type GRE []byte

// ParseGRE returns b as a packet if it holds the header with all the optional
// fields its flags announce.
func ParseGRE(b []byte) (GRE, bool) {
	return b, len(b) >= 4 && b[1]&7 <= 1 && GRE(b).headerLen() <= len(b)
}

const (
	greChecksum = 0x80
	greRouting  = 0x40
	greKey      = 0x20
	greSeq      = 0x10
	greAck      = 0x80 // in the second byte, version 1 only
)

// headerLen returns the header's length, larger than len(h) where h is cut.
func (h GRE) headerLen() int {
	n := 4
	if h[0]&(greChecksum|greRouting) != 0 {
		n += 4
	}
	if h[0]&greKey != 0 {
		n += 4
	}
	if h[0]&greSeq != 0 {
		n += 4
	}
	if h[1]&7 == 1 && h[1]&greAck != 0 {
		n += 4
	}
	if h[0]&greRouting != 0 { // source routes, up to one that is null
		for {
			if n+4 > len(h) {
				return n + 4
			}
			family, size := binary.BigEndian.Uint16(h[n:]), int(h[n+3])
			n += 4 + size
			if family == 0 && size == 0 {
				break
			}
		}
	}
	return n
}

// Type returns the type of what GRE carries.
func (h GRE) Type() EtherType { return be16type(h[2:]) }

// Sequenced reports whether the header has a sequence number.
func (h GRE) Sequenced() bool { return h[0]&greSeq != 0 }

// Payload returns what follows the header.
func (h GRE) Payload() []byte { return h[h.headerLen():] }

// ERSPANLen returns the length of the ERSPAN header at the start of b, which
// GRE announced as t with or without a sequence number: an Ethernet frame
// follows. Type I has no header. The length may exceed len(b) where b is cut;
// it is -1 for an unknown version.
func ERSPANLen(t EtherType, sequenced bool, b []byte) int {
	switch {
	case t == TypeERSPAN && !sequenced:
		return 0
	case len(b) < 12:
		return 12
	case t == TypeERSPAN && b[0]>>4 == 1:
		return 8
	case b[0]>>4 == 2 && b[11]&1 != 0: // a platform header follows
		return 20
	case b[0]>>4 == 2:
		return 12
	}
	return -1
}

// VXLAN is a VXLAN packet (RFC 7348 §5).
type VXLAN []byte

// ParseVXLAN returns b as a packet if it holds the header, the flag that every
// sender sets is set, and the last byte, which every sender clears, is clear.
func ParseVXLAN(b []byte) (VXLAN, bool) {
	return b, len(b) >= 8 && b[0]&0x08 != 0 && b[7] == 0
}

// Payload returns the Ethernet frame inside.
func (h VXLAN) Payload() []byte { return h[8:] }

// Geneve is a Geneve packet (RFC 8926 §3.4).
type Geneve []byte

// ParseGeneve returns b as a packet if it holds the header with its options and
// the version is 0.
func ParseGeneve(b []byte) (Geneve, bool) {
	return b, len(b) >= 8 && b[0]>>6 == 0 && b[7] == 0 && Geneve(b).headerLen() <= len(b)
}

func (h Geneve) headerLen() int { return 8 + int(h[0]&0x3f)*4 }

// Type returns the type of what Geneve carries.
func (h Geneve) Type() EtherType { return be16type(h[2:]) }

// Payload returns what follows the options.
func (h Geneve) Payload() []byte { return h[h.headerLen():] }

// GTP is a GTP-U packet that carries a user's IP packet (3GPP TS 29.281 §5.1).
type GTP []byte

// ParseGTP returns b as a packet if it is a G-PDU of version 1, holds the
// header with all extensions, and an IP version follows.
func ParseGTP(b []byte) (GTP, bool) {
	if len(b) < 9 || b[0]&0xf8 != 0x30 || b[1] != 0xff {
		return nil, false
	}
	n := GTP(b).headerLen()
	return b, n < len(b) && (b[n]>>4 == 4 || b[n]>>4 == 6)
}

// headerLen returns the header's length, or more than len(h) if it is cut or
// malformed.
func (h GTP) headerLen() int {
	if h[0]&7 == 0 {
		return 8
	}
	n := 12
	if h[0]&4 == 0 {
		return n
	}
	for n <= len(h) && h[n-1] != 0 { // the type of the extension that follows
		if n == len(h) || h[n] == 0 {
			return len(h) + 1
		}
		n += int(h[n]) * 4
	}
	return n
}

// Exact reports whether the packet, of which wire bytes were sent, has the
// very length that its own header and the IP header inside both give. A
// datagram that passes is GTP-U whatever its port: chance would have to hit
// more than 40 bits.
func (h GTP) Exact(wire int) bool {
	p := h.Payload()
	if int(binary.BigEndian.Uint16(h[2:])) != wire-8 {
		return false
	}
	size := wire - (len(h) - len(p))
	if ip, ok := ParseIPv4(p); ok {
		return ip.TotalLen() == size
	}
	ip, ok := ParseIPv6(p)
	return ok && IPv6Len+ip.PayloadLen() == size
}

// Payload returns the IP packet inside.
func (h GTP) Payload() []byte { return h[h.headerLen():] }
