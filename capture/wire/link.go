package wire

import "encoding/binary"

// EtherType names what an Ethernet frame, a VLAN tag, a cooked header or a GRE
// header carries (IEEE 802.3 §3.2.6). Values up to 1500 are lengths.
type EtherType uint16

// EtherTypes that lead on to IP.
const (
	TypeIPv4          EtherType = 0x0800
	TypeTransEther    EtherType = 0x6558 // Ethernet in GRE or Geneve (RFC 1701)
	TypeVLAN          EtherType = 0x8100 // 802.1Q
	TypeIPv6          EtherType = 0x86dd
	TypePPP           EtherType = 0x880b // PPP in GRE (RFC 2637)
	TypeWCCP          EtherType = 0x883e // IPv4 behind a WCCP redirect header
	TypeMPLS          EtherType = 0x8847 // RFC 3032
	TypeMPLSMulticast EtherType = 0x8848
	TypePPPoE         EtherType = 0x8864 // the session stage (RFC 2516)
	TypeQinQ          EtherType = 0x88a8 // 802.1ad
	TypeERSPAN        EtherType = 0x88be // types I and II
	TypePBB           EtherType = 0x88e7 // 802.1ah
	TypeERSPAN3       EtherType = 0x22eb
	TypeQinQOld       EtherType = 0x9100 // QinQ before 802.1ad
)

// IsLength reports whether an Ethernet type field is an 802.3 length: an LLC
// header follows.
func (t EtherType) IsLength() bool { return t <= 1500 }

// Ethernet is an Ethernet II or 802.3 frame without preamble.
type Ethernet []byte

// EthernetLen is the length of an Ethernet header in bytes.
const EthernetLen = 14

// ParseEthernet returns b as a frame if it holds the header.
func ParseEthernet(b []byte) (Ethernet, bool) { return b, len(b) >= EthernetLen }

// Type returns the type or length field.
func (e Ethernet) Type() EtherType { return be16type(e[12:]) }

// Payload returns what follows the header, padding included.
func (e Ethernet) Payload() []byte { return e[EthernetLen:] }

// VLAN is an 802.1Q or 802.1ad tag after its own EtherType.
type VLAN []byte

// VLANLen is the length of a tag in bytes.
const VLANLen = 4

// ParseVLAN returns b as a tag if it holds one.
func ParseVLAN(b []byte) (VLAN, bool) { return b, len(b) >= VLANLen }

// Type returns the type of what is tagged.
func (v VLAN) Type() EtherType { return be16type(v[2:]) }

// Payload returns what follows the tag.
func (v VLAN) Payload() []byte { return v[VLANLen:] }

// SLL is a Linux cooked capture (LINKTYPE_LINUX_SLL).
type SLL []byte

// SLLLen is the length of the header in bytes.
const SLLLen = 16

// ParseSLL returns b as a cooked packet if it holds the header.
func ParseSLL(b []byte) (SLL, bool) { return b, len(b) >= SLLLen }

// Type returns the protocol. Linux puts numbers of its own below 1536: 1 is
// 802.3 without LLC, 4 is 802.2 LLC.
func (h SLL) Type() EtherType { return be16type(h[14:]) }

// Payload returns what follows the header.
func (h SLL) Payload() []byte { return h[SLLLen:] }

// SLL2 is a Linux cooked capture, version 2 (LINKTYPE_LINUX_SLL2).
type SLL2 []byte

// SLL2Len is the length of the header in bytes.
const SLL2Len = 20

// ParseSLL2 returns b as a cooked packet if it holds the header.
func ParseSLL2(b []byte) (SLL2, bool) { return b, len(b) >= SLL2Len }

// Type returns the protocol, as [SLL.Type].
func (h SLL2) Type() EtherType { return be16type(h) }

// Payload returns what follows the header.
func (h SLL2) Payload() []byte { return h[SLL2Len:] }

// Loop is a BSD loopback packet (LINKTYPE_NULL, LINKTYPE_LOOP).
type Loop []byte

// LoopLen is the length of the header in bytes.
const LoopLen = 4

// ParseLoop returns b as a loopback packet if it holds the header.
func ParseLoop(b []byte) (Loop, bool) { return b, len(b) >= LoopLen }

// Family returns the address family. NULL has it in the byte order of the
// machine that captured, LOOP in network order; as all families are below
// 65536 the zero bytes tell which.
func (h Loop) Family() uint32 {
	n := binary.LittleEndian.Uint32(h)
	if n&0xffff == 0 {
		return binary.BigEndian.Uint32(h)
	}
	return n
}

// Type returns the EtherType that stands for the family, or 0. AF_INET is 2
// everywhere; AF_INET6 is 10 on Linux, 23 on Windows, 24 on NetBSD and
// OpenBSD, 28 on FreeBSD, 30 on macOS.
func (h Loop) Type() EtherType {
	switch h.Family() {
	case 2:
		return TypeIPv4
	case 10, 23, 24, 28, 30:
		return TypeIPv6
	}
	return 0
}

// Payload returns what follows the header.
func (h Loop) Payload() []byte { return h[LoopLen:] }

// LLC is an 802.2 header with the SNAP extension (IEEE 802 §9.2).
type LLC []byte

// LLCLen is the length of LLC and SNAP in bytes.
const LLCLen = 8

// ParseLLC returns b as an LLC/SNAP packet if it is one whose type is an
// EtherType: OUI zero (RFC 1042) or that of bridge tunnels (802.1H).
func ParseLLC(b []byte) (LLC, bool) {
	ok := len(b) >= LLCLen && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 &&
		b[3] == 0 && b[4] == 0 && (b[5] == 0 || b[5] == 0xf8)
	return b, ok
}

// Type returns the type behind the SNAP header.
func (h LLC) Type() EtherType { return be16type(h[6:]) }

// Payload returns what follows LLC and SNAP.
func (h LLC) Payload() []byte { return h[LLCLen:] }

func be16type(b []byte) EtherType { return EtherType(binary.BigEndian.Uint16(b)) }
