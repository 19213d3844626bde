package capture

import (
	"time"

	"github.com/connlint/connlint/capture/wire"
)

// DecoderOptions bound what a [Decoder] holds. The zero value stands for the
// defaults.
type DecoderOptions struct {
	FragmentBytes   int           // memory for fragments not yet whole, in bytes; default 8 MiB
	FragmentPackets int           // IP packets being put together at once; default 1024
	FragmentAge     time.Duration // how long one may take, in packet time; default 30 s
}

// Decoder finds the TCP segment in a packet. Where IP travels inside IP or
// another tunnel the innermost counts. It keeps no state but IP fragments, and
// serves one goroutine.
//
// Checksums are not looked at: a capture on the sending host sees packets
// before the network card fills them in.
type Decoder struct {
	// Skipped counts packets that yielded no segment. Each packet counts once:
	// a fragment under Fragment, later moved to FragmentLost if its packet
	// never became whole.
	Skipped Skipped

	depth int // encapsulations entered in this packet
	now   int64
	frags fragments
}

// maxDepth is how many headers that encapsulate a packet are followed, one
// inside the other.
const maxDepth = 8

// NewDecoder returns a decoder with the given bounds.
func NewDecoder(opts DecoderOptions) *Decoder {
	d := &Decoder{}
	d.frags.init(opts)
	return d
}

// Decode fills s from p and returns true, or counts p in d.Skipped and returns
// false; s is then undefined. It does not allocate, but for fragments and a few
// rare link types.
//
// Payload and Options are borrowed from p.Data. Where p completed an IP packet
// that came in fragments they are in memory of their own, which nobody reuses.
func (d *Decoder) Decode(p *Packet, s *Segment) bool {
	s.Time, s.Frame = p.Time, p.Frame
	d.now, d.depth = p.Time, 0
	r := d.link(p.Link, p.Data, max(p.OrigLen-len(p.Data), 0), s)
	if r == None {
		return true
	}
	d.Skipped[r]++
	return false
}

// Finish gives up the fragments that still wait for the rest of their packet.
// Call it after the last packet, before Skipped is read.
func (d *Decoder) Finish() { d.frags.clear(&d.Skipped) }

// The functions below take the bytes from their header on, and in cut how many
// more were on the wire behind them. They return None once s is filled.

// short says what a header that is not all there means.
func short(cut int) Reason {
	if cut > 0 {
		return Truncated
	}
	return Malformed
}

// trim applies a length field: n bytes belong to this packet, the rest is
// padding; what is missing was not captured.
func trim(b []byte, n int) (_ []byte, cut int) {
	if n <= len(b) {
		return b[:n], 0
	}
	return b, n - len(b)
}

func (d *Decoder) link(l LinkType, b []byte, cut int, s *Segment) Reason {
	switch l {
	case LinkEthernet:
		return d.ethernet(b, cut, s)
	case LinkRaw, LinkIPv4, LinkIPv6, linkRawBSD, linkRawOpenBSD:
		return d.ip(b, cut, s)
	case LinkNull, LinkLoop:
		h, ok := wire.ParseLoop(b)
		if !ok {
			return short(cut)
		}
		return d.network(h.Type(), h.Payload(), cut, s)
	case LinkSLL:
		h, ok := wire.ParseSLL(b)
		if !ok {
			return short(cut)
		}
		return d.cooked(h.Type(), h.Payload(), cut, s)
	case LinkSLL2:
		h, ok := wire.ParseSLL2(b)
		if !ok {
			return short(cut)
		}
		return d.cooked(h.Type(), h.Payload(), cut, s)
	}
	return d.rareLink(l, b, cut, s)
}

func (d *Decoder) ethernet(b []byte, cut int, s *Segment) Reason {
	h, ok := wire.ParseEthernet(b)
	if !ok {
		return short(cut)
	}
	return d.network(h.Type(), h.Payload(), cut, s)
}

// cooked knows the numbers below the EtherTypes that Linux has of its own.
func (d *Decoder) cooked(t wire.EtherType, b []byte, cut int, s *Segment) Reason {
	if t == 4 { // 802.2, length unknown
		return d.llc(b, cut, s)
	}
	return d.network(t, b, cut, s)
}

// network decodes what an EtherType announces.
func (d *Decoder) network(t wire.EtherType, b []byte, cut int, s *Segment) Reason {
	for {
		switch t {
		case wire.TypeIPv4:
			return d.ipv4(b, cut, s)
		case wire.TypeIPv6:
			return d.ipv6(b, cut, s)
		case wire.TypeVLAN, wire.TypeQinQ, wire.TypeQinQOld:
			h, ok := wire.ParseVLAN(b)
			if !ok {
				return short(cut)
			}
			t, b = h.Type(), h.Payload()
		default:
			return d.rareNetwork(t, b, cut, s)
		}
	}
}

// ip decodes IP whose version only the packet itself tells.
func (d *Decoder) ip(b []byte, cut int, s *Segment) Reason {
	if len(b) == 0 {
		return short(cut)
	}
	switch b[0] >> 4 {
	case 4:
		return d.ipv4(b, cut, s)
	case 6:
		return d.ipv6(b, cut, s)
	}
	return NotIP
}

func (d *Decoder) ipv4(b []byte, cut int, s *Segment) Reason {
	h, ok := wire.ParseIPv4(b)
	if !ok {
		return short(cut)
	}
	n := h.HeaderLen()
	if total := h.TotalLen(); total >= n {
		b, cut = trim(b, total)
	} else if total != 0 { // zero: segmented by the network card, all of it is ours
		return Malformed
	}
	s.Flow.Src.Set4(h.Src())
	s.Flow.Dst.Set4(h.Dst())
	s.ID = h.ID()
	p := h.Protocol()
	if h.Fragmented() {
		return d.fragment(fragment{
			id: uint32(h.ID()), proto: p, offset: h.FragmentOffset(), more: h.MoreFragments(), data: b[n:],
		}, cut, s)
	}
	if p == wire.ProtoTCP {
		return d.tcp(b[n:], cut, s)
	}
	return d.transport(p, b[n:], cut, s)
}

func (d *Decoder) ipv6(b []byte, cut int, s *Segment) Reason {
	h, ok := wire.ParseIPv6(b)
	if !ok {
		return short(cut)
	}
	s.Flow.Src, s.Flow.Dst, s.ID = h.Src(), h.Dst(), 0
	p, b := h.NextHeader(), h.Payload()
	if n := h.PayloadLen(); n != 0 {
		b, cut = trim(b, n)
	} else if p == wire.ProtoHopByHop {
		if x, ok := wire.ParseExt(p, b); ok {
			if n, ok := x.Jumbo(); ok {
				if n < len(x) {
					return Malformed
				}
				b, cut = trim(b, n)
			}
		}
	}
	if p == wire.ProtoTCP {
		return d.tcp(b, cut, s)
	}
	return d.transport(p, b, cut, s)
}

// tcp decodes the segment itself. The caller has set the addresses and ID.
func (d *Decoder) tcp(b []byte, cut int, s *Segment) Reason {
	h, ok := wire.ParseTCP(b)
	if !ok {
		return short(cut)
	}
	n := h.HeaderLen()
	if n > len(b)+cut {
		return Malformed
	}
	s.Flow.SrcPort, s.Flow.DstPort = h.SrcPort(), h.DstPort()
	s.Hash = s.Flow.Hash()
	s.Seq, s.Ack = h.Seq(), h.Ack()
	s.Flags, s.Window = h.Flags(), h.Window()
	s.Len = len(b) + cut - n
	end := min(n, len(b))
	s.Options, s.Payload = b[wire.TCPMinLen:end:end], b[end:]
	return None
}

// transport decodes what an IP protocol number announces, other than TCP.
// Extension headers of IPv6 are passed over here, and tunnels opened.
func (d *Decoder) transport(p wire.Proto, b []byte, cut int, s *Segment) Reason {
	for {
		switch p {
		case wire.ProtoTCP:
			return d.tcp(b, cut, s)
		case wire.ProtoHopByHop, wire.ProtoRouting, wire.ProtoDestOpts, wire.ProtoAH, wire.ProtoFragment:
			x, ok := wire.ParseExt(p, b)
			if !ok {
				return short(cut)
			}
			b = b[len(x):]
			if p == wire.ProtoRouting {
				if a, ok := x.FinalDst(); ok {
					s.Flow.Dst = a
				}
			}
			whole := x.FragmentOffset() == 0 && !x.MoreFragments() // "atomic", RFC 6946
			if p == wire.ProtoFragment && !whole {
				return d.fragment(fragment{
					v6: true, id: x.FragmentID(), proto: x.NextHeader(), offset: x.FragmentOffset(), more: x.MoreFragments(), data: b,
				}, cut, s)
			}
			p = x.NextHeader()
		default:
			return d.tunnel(p, b, cut, s)
		}
	}
}
