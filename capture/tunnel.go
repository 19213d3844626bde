package capture

import (
	"encoding/binary"

	"github.com/connlint/connlint/capture/wire"
)

// Everything beside Ethernet, VLAN tags, cooked and raw captures: link types
// seldom met, and headers that carry a packet inside a packet. gopacket knows
// most of these too and serves as the measure in the tests. It decodes none
// here: its PPPoE, GRE and GTP decoders panic on cut packets, its Dot11 takes
// four bytes off every frame, its GTP writes to standard output, and its tables
// would take 7 MB and 3 ms of every run.

// enter counts an encapsulation and reports whether it is still one we follow.
func (d *Decoder) enter() bool {
	d.depth++
	return d.depth <= maxDepth
}

// UDP ports of tunnels.
const (
	portGTPU       = 2152
	portVXLAN      = 4789
	portVXLANLinux = 8472 // Linux before the port was assigned
	portGeneve     = 6081
)

// tunnel opens what an IP protocol announces, if that is a tunnel.
func (d *Decoder) tunnel(p wire.Proto, b []byte, cut int, s *Segment) Reason {
	switch p {
	case wire.ProtoIPv4, wire.ProtoIPv6, wire.ProtoGRE, wire.ProtoMPLS, wire.ProtoUDP:
	default:
		return NotTCP
	}
	if !d.enter() {
		return TunnelTooDeep
	}
	switch p {
	case wire.ProtoIPv4:
		return d.ipv4(b, cut, s)
	case wire.ProtoIPv6:
		return d.ipv6(b, cut, s)
	case wire.ProtoGRE:
		return d.gre(b, cut, s)
	case wire.ProtoMPLS:
		return d.mpls(b, cut, s)
	}
	return d.udp(b, cut, s)
}

func (d *Decoder) gre(b []byte, cut int, s *Segment) Reason {
	h, ok := wire.ParseGRE(b)
	if !ok {
		return short(cut)
	}
	t, b := h.Type(), h.Payload()
	switch t {
	case wire.TypePPP:
		return d.ppp(b, cut, s)
	case wire.TypeERSPAN, wire.TypeERSPAN3:
		n := wire.ERSPANLen(t, h.Sequenced(), b)
		if n < 0 {
			return Malformed
		}
		if n > len(b) {
			return short(cut)
		}
		return d.ethernet(b[n:], cut, s)
	case wire.TypeWCCP:
		// Version 2 puts four bytes before the packet, version 1 none.
		if len(b) >= 4 && b[0]>>4 != 4 {
			b = b[4:]
		}
		return d.ip(b, cut, s)
	}
	return d.network(t, b, cut, s)
}

// mpls passes over a label stack. Labels do not say what they carry: IP shows
// its version, a pseudowire with control word a zero there (RFC 4385 §3).
func (d *Decoder) mpls(b []byte, cut int, s *Segment) Reason {
	b, ok := wire.MPLSPayload(b)
	if !ok {
		return short(cut)
	}
	if b[0]>>4 == 0 && len(b) >= 4 {
		return d.ethernet(b[4:], cut, s)
	}
	return d.ip(b, cut, s)
}

func (d *Decoder) udp(b []byte, cut int, s *Segment) Reason {
	h, ok := wire.ParseUDP(b)
	if !ok {
		return short(cut)
	}
	p, sp, dp := h.Payload(), h.SrcPort(), h.DstPort()
	either := func(port uint16) bool { return sp == port || dp == port }
	if g, ok := wire.ParseGTP(p); ok && (either(portGTPU) || g.Exact(len(p)+cut)) {
		return d.ip(g.Payload(), cut, s)
	}
	if either(portVXLAN) || either(portVXLANLinux) {
		if v, ok := wire.ParseVXLAN(p); ok {
			return d.ethernet(v.Payload(), cut, s)
		}
	}
	if either(portGeneve) {
		if g, ok := wire.ParseGeneve(p); ok {
			return d.network(g.Type(), g.Payload(), cut, s)
		}
	}
	return NotTCP
}

// rareNetwork decodes what an EtherType other than IP and VLAN announces.
func (d *Decoder) rareNetwork(t wire.EtherType, b []byte, cut int, s *Segment) Reason {
	if t.IsLength() && t != 0 {
		if n := int(t); n <= len(b) {
			b, cut = b[:n], 0
		}
		return d.llc(b, cut, s)
	}
	switch t {
	case wire.TypePPPoE, wire.TypeMPLS, wire.TypeMPLSMulticast, wire.TypeTransEther, wire.TypePBB:
	default:
		return NotIP
	}
	if !d.enter() {
		return TunnelTooDeep
	}
	switch t {
	case wire.TypePPPoE:
		h, ok := wire.ParsePPPoE(b)
		if !ok {
			return short(cut)
		}
		b, cut = trim(h.Payload(), h.PayloadLen())
		return d.ppp(b, cut, s)
	case wire.TypeTransEther:
		return d.ethernet(b, cut, s)
	case wire.TypePBB:
		if len(b) < 4 {
			return short(cut)
		}
		return d.ethernet(b[4:], cut, s)
	}
	return d.mpls(b, cut, s)
}

func (d *Decoder) llc(b []byte, cut int, s *Segment) Reason {
	if len(b) < wire.LLCLen {
		return short(cut)
	}
	h, ok := wire.ParseLLC(b)
	if !ok || h.Type().IsLength() || !d.enter() {
		return NotIP
	}
	return d.network(h.Type(), h.Payload(), cut, s)
}

func (d *Decoder) ppp(b []byte, cut int, s *Segment) Reason {
	h, ok := wire.ParsePPP(b)
	if !ok {
		return short(cut)
	}
	return d.network(h.Type(), h.Payload(), cut, s)
}

// rareLink decodes link types off the fast path.
func (d *Decoder) rareLink(l LinkType, b []byte, cut int, s *Segment) Reason {
	switch l {
	case LinkPPP, LinkPPPHDLC:
		if len(b) >= 4 && (b[0] == 0x0f || b[0] == 0x8f) && b[1] == 0 {
			return d.chdlc(b, cut, s) // Cisco's framing under PPP's number
		}
		return d.ppp(b, cut, s)
	case LinkPPPWithDir:
		if len(b) == 0 {
			return short(cut)
		}
		return d.ppp(b[1:], cut, s)
	case LinkPPPEther:
		return d.network(wire.TypePPPoE, b, cut, s)
	case LinkCHDLC:
		return d.chdlc(b, cut, s)
	case LinkWiFi:
		return d.wifi(b, cut, false, s)
	case LinkRadiotap:
		return d.radiotap(b, cut, s)
	case LinkARCNET:
		return d.arcnet(b, 2, cut, s)
	case LinkARCNETLinux:
		return d.arcnet(b, 4, cut, s)
	case LinkNFLog:
		return d.nflog(b, cut, s)
	case LinkENC: // family, SPI, flags; then the packet IPsec works on
		if len(b) < 12 {
			return short(cut)
		}
		return d.ip(b[12:], cut, s)
	case LinkPPI, LinkPKTAP:
		return d.wrapped(l, b, cut, s)
	case LinkFDDI: // frame control, two addresses; then LLC
		if len(b) < 13 {
			return short(cut)
		}
		if b[0]&0xf8 != 0x50 {
			return NotIP // no LLC frame
		}
		return d.llc(b[13:], cut, s)
	case LinkPFLog:
		return d.pflog(b, cut, s)
	case LinkPrism:
		return d.prism(b, cut, s)
	}
	return UnknownLink
}

// chdlc decodes Cisco HDLC: address, control, EtherType.
func (d *Decoder) chdlc(b []byte, cut int, s *Segment) Reason {
	if len(b) < 4 {
		return short(cut)
	}
	return d.network(wire.EtherType(binary.BigEndian.Uint16(b[2:])), b[4:], cut, s)
}

// wrapped decodes link types that name another in their own header.
func (d *Decoder) wrapped(l LinkType, b []byte, cut int, s *Segment) Reason {
	if len(b) < 12 {
		return short(cut)
	}
	le := binary.LittleEndian
	n, inner := int(le.Uint16(b[2:])), LinkType(le.Uint32(b[4:])) // PPI: version, flags, length, type
	if l == LinkPKTAP {                                           // length, type of this header, link type
		n, inner = int(min(le.Uint32(b), 1<<16)), LinkType(le.Uint32(b[8:]))
	}
	if n > len(b) {
		return short(cut)
	}
	if !d.enter() {
		return TunnelTooDeep
	}
	return d.link(inner, b[n:], cut, s)
}

// arcnet decodes ARCNET; at is where the system byte, the protocol, stands:
// Linux has two bytes of offset before it.
func (d *Decoder) arcnet(b []byte, at, cut int, s *Segment) Reason {
	if len(b) < at+4 {
		return short(cut)
	}
	t, b := b[at], b[at+1:]
	switch t {
	case 240: // IP as in RFC 1051, without fragmentation
		return d.ipv4(b, cut, s)
	case 212, 196: // IPv4 and IPv6 (RFC 1201, 2497): split flag and sequence number
		if len(b) < 3 {
			return short(cut)
		}
		if b[0] != 0 {
			return NotIP // part of a packet
		}
		return d.ip(b[3:], cut, s)
	}
	return NotIP
}

// nflog decodes Linux netfilter logs: attributes, among them the packet. They
// are in the byte order of the machine that captured.
func (d *Decoder) nflog(b []byte, cut int, s *Segment) Reason {
	const payload = 9 // NFULA_PAYLOAD
	if len(b) < 8 {
		return short(cut)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if n := order.Uint16(b[4:]); n < 4 || int(n) > len(b)-4 && n&0xff == 0 {
		order = binary.BigEndian
	}
	for b = b[4:]; len(b) >= 4; {
		n, t := int(order.Uint16(b)), order.Uint16(b[2:])&0x7fff
		if n < 4 {
			return Malformed
		}
		if t == payload {
			b, cut := trim(b[4:], n-4)
			return d.ip(b, cut, s)
		}
		n = (n + 3) &^ 3
		if n > len(b) {
			return short(cut)
		}
		b = b[n:]
	}
	return NotIP
}

// radiotap passes over a radiotap header, keeping of it whether the driver
// padded the 802.11 header to a multiple of four bytes.
func (d *Decoder) radiotap(b []byte, cut int, s *Segment) Reason {
	le := binary.LittleEndian
	if len(b) < 8 {
		return short(cut)
	}
	n := int(le.Uint16(b[2:]))
	if n < 8 {
		return Malformed
	}
	if n > len(b) {
		return short(cut)
	}
	const tsft, flags, more = 1 << 0, 1 << 1, 1 << 31
	present := le.Uint32(b[4:])
	at := 8
	for w := present; w&more != 0 && at+4 <= n; at += 4 {
		w = le.Uint32(b[at:])
	}
	if present&tsft != 0 {
		at = (at+7)&^7 + 8
	}
	padded := present&flags != 0 && at < n && b[at]&0x20 != 0
	return d.wifi(b[n:], cut, padded, s)
}

// pflog decodes what OpenBSD's packet filter logged. The length that the header
// begins with leaves out its padding to four bytes.
func (d *Decoder) pflog(b []byte, cut int, s *Segment) Reason {
	if len(b) == 0 {
		return short(cut)
	}
	n := (int(b[0]) + 3) &^ 3
	if n < 4 {
		return Malformed
	}
	if n > len(b) {
		return short(cut)
	}
	return d.ip(b[n:], cut, s)
}

// prism decodes the header of Prism chips: message code, length, device name,
// values; then 802.11.
func (d *Decoder) prism(b []byte, cut int, s *Segment) Reason {
	le := binary.LittleEndian
	if len(b) < 8 {
		return short(cut)
	}
	if code := le.Uint32(b); code != 0x41 && code != 0x44 {
		return NotIP
	}
	n := int64(le.Uint32(b[4:]))
	if n < 24 {
		return Malformed
	}
	if n > int64(len(b)) {
		return short(cut)
	}
	return d.wifi(b[n:], cut, false, s)
}

// wifi decodes an 802.11 data frame that is neither encrypted nor part of a
// larger one (IEEE 802.11 §9.3.2). The frame check sequence, if captured, is
// behind the IP packet's end.
func (d *Decoder) wifi(b []byte, cut int, padded bool, s *Segment) Reason {
	const (
		data          = 0x08 // type, in the low four bits
		null, qos     = 0x40, 0x80
		toDS, fromDS  = 0x01, 0x02
		moreFragments = 0x04
		protected     = 0x40
		order         = 0x80
	)
	if len(b) < 2 {
		return short(cut)
	}
	control, flags := b[0], b[1]
	if control&0x0f != data || control&null != 0 || flags&(protected|moreFragments) != 0 {
		return NotIP
	}
	if len(b) < 24 {
		return short(cut)
	}
	if b[22]&0x0f != 0 {
		return NotIP // a later fragment
	}
	n := 24
	if flags&(toDS|fromDS) == toDS|fromDS {
		n += 6 // the fourth address
	}
	if control&qos != 0 {
		if len(b) < n+2 {
			return short(cut)
		}
		if b[n]&0x80 != 0 {
			return NotIP // several packets in one frame
		}
		n += 2
		if flags&order != 0 {
			n += 4 // HT control
		}
	}
	if padded {
		n = (n + 3) &^ 3
	}
	if n > len(b) {
		return short(cut)
	}
	return d.llc(b[n:], cut, s)
}
