package capture

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/connlint/connlint/capture/wire"
)

// oracle decodes p with gopacket and returns its innermost TCP segment, and
// false where gopacket finds none or is known to be no measure: cut packets,
// fragments, lengths it does not understand.
func oracle(p *Packet) (s Segment, ok bool) {
	first := map[LinkType]gopacket.Decoder{
		LinkEthernet: layers.LinkTypeEthernet, LinkNull: layers.LinkTypeNull, LinkLoop: layers.LinkTypeLoop,
		LinkSLL: layers.LinkTypeLinuxSLL, LinkPPP: layers.LinkTypePPP, LinkRaw: layers.LinkTypeRaw,
		LinkIPv4: layers.LayerTypeIPv4, LinkIPv6: layers.LayerTypeIPv6,
	}[p.Link]
	if first == nil || p.OrigLen > len(p.Data) {
		return s, false
	}
	g := gopacket.NewPacket(p.Data, first, gopacket.DecodeOptions{NoCopy: true})
	if g.Metadata().Truncated {
		return s, false
	}
	var tcp *layers.TCP
	for _, l := range g.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			if l.Version != 4 || l.Length == 0 || l.Flags&layers.IPv4MoreFragments != 0 || l.FragOffset != 0 {
				return s, false
			}
			s.Flow.Src, s.Flow.Dst, s.ID = wire.AddrFrom4(l.SrcIP), wire.AddrFrom4(l.DstIP), l.Id
			tcp = nil
		case *layers.IPv6:
			s.Flow.Src, s.Flow.Dst, s.ID = wire.AddrFrom16(l.SrcIP), wire.AddrFrom16(l.DstIP), 0
			if l.Version != 6 || l.Length == 0 {
				return s, false
			}
			tcp = nil
		case *layers.IPv6Fragment, *layers.IPv6Routing, *layers.IPv6HopByHop: // behind the last the length is not applied
			return s, false
		case *layers.TCP:
			tcp = l
		}
	}
	if tcp == nil || len(tcp.Contents) < 20 { // the latter with an error
		return s, false
	}
	s.Time, s.Frame = p.Time, p.Frame
	s.Flow.SrcPort, s.Flow.DstPort = uint16(tcp.SrcPort), uint16(tcp.DstPort)
	s.Seq, s.Ack, s.Window = wire.Seq(tcp.Seq), wire.Seq(tcp.Ack), tcp.Window
	for i, set := range []bool{tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR} {
		if set {
			s.Flags |= 1 << i
		}
	}
	s.Payload, s.Len = tcp.Payload, len(tcp.Payload)
	s.Options = tcp.Contents[20:]
	return s, true
}

// compare decodes p both ways and reports whether gopacket had an answer. With
// lax, d need not find a segment where gopacket does.
func compare(t testing.TB, d *Decoder, p *Packet, lax bool) bool {
	t.Helper()
	want, ok := oracle(p)
	if !ok {
		return false
	}
	before := d.Skipped
	var s Segment
	if !d.Decode(p, &s) {
		if lax { // gopacket takes bytes for headers that no host would
			return false
		}
		t.Errorf("frame %d: %v skipped as %v; gopacket finds %v > %v", p.Frame, p.Link, reason(&before, &d.Skipped), want.Flow.Source(), want.Flow.Dest())
		return true
	}
	if s.Flow != want.Flow || s.Seq != want.Seq || s.Ack != want.Ack || s.Flags != want.Flags || s.Window != want.Window || s.ID != want.ID ||
		!bytes.Equal(s.Payload, want.Payload) || s.Len != want.Len || !bytes.Equal(s.Options, want.Options) {
		t.Errorf("frame %d of %v:\n got %+v\nwant %+v", p.Frame, p.Link, s, want)
	}
	return true
}

func reason(before, after *Skipped) Reason {
	for r := range after {
		if after[r] != before[r] {
			return Reason(r)
		}
	}
	return None
}

func TestGopacketAgrees(t *testing.T) {
	compared := 0
	for _, f := range corpus(t) {
		t.Run(f.file, func(t *testing.T) {
			d := NewDecoder(DecoderOptions{})
			packets := readCapture(t, filepath.Join(corpusDir, f.file))
			for i := range packets {
				if compare(t, d, &packets[i], false) {
					compared++
				}
			}
		})
	}
	t.Logf("compared %d packets", compared)
	if compared < 1000 {
		t.Errorf("gopacket had an answer for only %d packets", compared)
	}
}

// What gopacket decodes of our own table it must decode as we do.
func TestGopacketAgreesOnTable(t *testing.T) {
	compared := 0
	for _, tt := range decodeTests {
		b := unhex(tt.bytes)
		if tt.skip == None && compare(t, NewDecoder(DecoderOptions{}), &Packet{Data: b, OrigLen: max(tt.orig, len(b)), Link: tt.link}, false) {
			compared++
		}
	}
	t.Logf("compared %d packets", compared)
	if compared < 20 {
		t.Errorf("gopacket had an answer for only %d packets", compared)
	}
}
