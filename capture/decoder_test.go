package capture

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/connlint/connlint/capture/wire"
)

// unhex reads hexadecimal digits; white space is for the reader.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

func ip(s string) wire.Addr { return wire.Addr(netip.MustParseAddr(s).As16()) }

// Pieces of packets, as bytes on the wire.
const (
	ethV4 = "020000000001 020000000002 0800"
	ethV6 = "020000000001 020000000002 86dd"
	// 10.0.0.1 > 10.0.0.2, id 0x1234, DF, 43 bytes in all
	ip4 = "45 00 002b  1234 4000  40 06 0000  0a000001 0a000002"
	// 2001:db8::1 > 2001:db8::2, 23 bytes behind the header
	ip6 = "60000000 0017 06 40  20010db8000000000000000000000001 20010db8000000000000000000000002"
	// 40000 > 80, seq 1, ack 2, PSH ACK, window 512, "GET"
	tcp = "9c40 0050 00000001 00000002 50 18 0200 dead 0000  474554"
)

func get4() Segment {
	return Segment{
		Flow: wire.Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: 40000, DstPort: 80},
		Seq:  1, Ack: 2, Len: 3, Window: 512, ID: 0x1234, Flags: wire.PSH | wire.ACK, Payload: []byte("GET"),
	}
}

func get6() Segment {
	s := get4()
	s.Flow.Src, s.Flow.Dst, s.ID = ip("2001:db8::1"), ip("2001:db8::2"), 0
	return s
}

func with(s Segment, change func(*Segment)) Segment {
	change(&s)
	return s
}

var decodeTests = []struct {
	name  string
	link  LinkType
	bytes string
	orig  int     // 0: as many as there are
	skip  Reason  // None: a segment
	want  Segment // Time, Frame and Hash are filled in
}{
	// The fast path.
	{"ethernet, IPv4", LinkEthernet, ethV4 + ip4 + tcp, 0, None, get4()},
	{"ethernet, IPv6", LinkEthernet, ethV6 + ip6 + tcp, 0, None, get6()},
	{"802.1Q", LinkEthernet, "020000000001 020000000002 8100 0005 0800" + ip4 + tcp, 0, None, get4()},
	{"802.1ad", LinkEthernet, "020000000001 020000000002 88a8 0005 8100 0006 86dd" + ip6 + tcp, 0, None, get6()},
	{"QinQ before 802.1ad", LinkEthernet, "020000000001 020000000002 9100 0005 8100 0006 0800" + ip4 + tcp, 0, None, get4()},
	{"NULL, little-endian", LinkNull, "02000000" + ip4 + tcp, 0, None, get4()},
	{"NULL, big-endian, macOS IPv6", LinkNull, "0000001e" + ip6 + tcp, 0, None, get6()},
	{"NULL, FreeBSD IPv6", LinkNull, "1c000000" + ip6 + tcp, 0, None, get6()},
	{"NULL, other family", LinkNull, "07000000" + ip4 + tcp, 0, NotIP, Segment{}},
	{"LOOP, OpenBSD IPv6", LinkLoop, "00000018" + ip6 + tcp, 0, None, get6()},
	{"RAW, IPv4", LinkRaw, ip4 + tcp, 0, None, get4()},
	{"RAW, IPv6", LinkRaw, ip6 + tcp, 0, None, get6()},
	{"RAW as DLT 12", 12, ip4 + tcp, 0, None, get4()},
	{"RAW as DLT 14", 14, ip6 + tcp, 0, None, get6()},
	{"IPV4", LinkIPv4, ip4 + tcp, 0, None, get4()},
	{"IPV6", LinkIPv6, ip6 + tcp, 0, None, get6()},
	{"RAW, neither", LinkRaw, "00" + ip4, 0, NotIP, Segment{}},
	{"SLL", LinkSLL, "0000 0001 0006 020000000001 0000 0800" + ip4 + tcp, 0, None, get4()},
	{"SLL, VLAN", LinkSLL, "0000 0001 0006 020000000001 0000 8100 0005 0800" + ip4 + tcp, 0, None, get4()},
	{"SLL, LLC", LinkSLL, "0000 0001 0006 020000000001 0000 0004 aaaa03 000000 0800" + ip4 + tcp, 0, None, get4()},
	{"SLL2", LinkSLL2, "86dd 0000 00000003 0001 00 06 0200000000010000" + ip6 + tcp, 0, None, get6()},

	// Lengths.
	{"ethernet padding is no payload", LinkEthernet, ethV4 + "450000280001 0000 40060000 0a0000010a000002" +
		"9c40 0050 00000001 00000002 50 10 0200 0000 0000" + "000000000000", 0, None,
		with(get4(), func(s *Segment) { s.ID, s.Len, s.Payload, s.Flags = 1, 0, nil, wire.ACK })},
	{"total length 0: left to the network card", LinkEthernet, ethV4 + "45000000 1234 4000 40060000 0a0000010a000002" + tcp, 0, None, get4()},
	{"total length 0, cut", LinkEthernet, ethV4 + "45000000 1234 4000 40060000 0a0000010a000002" + tcp, 14 + 43 + 60000, None,
		with(get4(), func(s *Segment) { s.Len = 60003 })},
	{"total length below header's", LinkEthernet, ethV4 + "45000013 1234 4000 40060000 0a0000010a000002" + tcp, 0, Malformed, Segment{}},
	{"IPv4 options", LinkEthernet, ethV4 + "46 00 002f 1234 4000 40060000 0a0000010a000002 94040000" + tcp, 0, None, get4()},
	{"TCP options", LinkRaw, "45 00 0034 1234 4000 40060000 0a0000010a000002" +
		"9c40 0050 00000001 00000000 80 02 0200 0000 0000  0204 05b4 0101 0402 0103 0307", 0, None,
		with(get4(), func(s *Segment) {
			s.Ack, s.Flags, s.Len, s.Payload, s.Options = 0, wire.SYN, 0, nil, unhex("0204 05b4 0101 0402 0103 0307")
		})},
	{"payload cut", LinkRaw, "450003f3 1234 4000 40060000 0a0000010a000002" + tcp, 1011, None,
		with(get4(), func(s *Segment) { s.Len = 971 })},
	{"payload cut, by a program that hides it", LinkRaw, "450003f3 1234 4000 40060000 0a0000010a000002" + tcp, 0, None,
		with(get4(), func(s *Segment) { s.Len = 971 })},
	{"options cut", LinkRaw, "4500003c 1234 4000 40060000 0a0000010a000002" +
		"9c40 0050 00000001 00000002 a0 12 0200 0000 0000  0204", 60, None,
		with(get4(), func(s *Segment) {
			s.Flags, s.Len, s.Payload, s.Options = wire.SYN|wire.ACK, 0, nil, unhex("0204")
		})},
	{"TCP header cut", LinkRaw, "4500003c 1234 4000 40060000 0a0000010a000002 9c400050000000010000000250", 60, Truncated, Segment{}},
	{"TCP header not there", LinkRaw, "45000021 1234 4000 40060000 0a0000010a000002 9c400050000000010000000250", 0, Malformed, Segment{}},
	{"data offset too small", LinkRaw, ip4 + "9c40 0050 00000001 00000002 40 18 0200 0000 0000 474554", 0, Malformed, Segment{}},
	{"data offset past the end", LinkRaw, ip4 + "9c40 0050 00000001 00000002 f0 18 0200 0000 0000 474554", 0, Malformed, Segment{}},
	{"IP header cut", LinkEthernet, ethV4 + "450000", 60, Truncated, Segment{}},
	{"ethernet header cut", LinkEthernet, "0200", 60, Truncated, Segment{}},
	{"nothing", LinkEthernet, "", 0, Malformed, Segment{}},

	// IPv6 extension headers.
	{"hop-by-hop and destination options", LinkRaw, "60000000 0027 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002" +
		"3c00010400000000 0600010400000000" + tcp, 0, None, get6()},
	{"jumbogram", LinkRaw, "60000000 0000 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002" +
		"0600c20400011170" + tcp, 70040, None, with(get6(), func(s *Segment) { s.Len = 70000 - 8 - 20 })},
	{"jumbogram's padding", LinkRaw, "60000000 0000 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002" +
		"0600c2040000001f" + tcp + "0000", 0, None, get6()},
	{"jumbogram shorter than its header", LinkRaw, "60000000 0000 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002" +
		"0600c20400000007" + tcp, 0, Malformed, Segment{}},
	{"payload length 0: left to the network card", LinkRaw, "60000000 0000 06 40 20010db8000000000000000000000001 20010db8000000000000000000000002" +
		tcp, 0, None, get6()},
	{"source route", LinkRaw, "60000000 002f 2b 40 20010db8000000000000000000000001 20010db80000000000000000000000ff" +
		"0602000100000000 20010db8000000000000000000000002" + tcp, 0, None, get6()},
	{"authentication header", LinkRaw, "60000000 002f 33 40 20010db8000000000000000000000001 20010db8000000000000000000000002" +
		"06040000 00000001 00000002 000102030405060708090a0b" + tcp, 0, None, get6()},
	{"atomic fragment", LinkRaw, "60000000 001f 2c 40 20010db8000000000000000000000001 20010db8000000000000000000000002" +
		"0600000000000007" + tcp, 0, None, get6()},
	{"extension cut", LinkRaw, "60000000 0027 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002 3c00", 79, Truncated, Segment{}},
	{"no next header", LinkRaw, "60000000 0000 3b 40 20010db8000000000000000000000001 20010db8000000000000000000000002", 0, NotTCP, Segment{}},
	{"ESP", LinkRaw, "60000000 0008 32 40 20010db8000000000000000000000001 20010db8000000000000000000000002 0000000000000000", 0, NotTCP, Segment{}},

	// Not ours.
	{"ARP", LinkEthernet, "ffffffffffff 020000000002 0806 0001080006040001", 0, NotIP, Segment{}},
	{"spanning tree", LinkEthernet, "0180c2000000 020000000002 0026 424203 0000000000000000", 0, NotIP, Segment{}},
	{"ICMP", LinkRaw, "4500001c 0001 0000 4001 0000 0a000001 0a000002 0800000000010001", 0, NotTCP, Segment{}},
	{"DNS", LinkRaw, "4500001c 0001 0000 4011 0000 0a000001 0a000002 d431003500080000", 0, NotTCP, Segment{}},
	{"unknown link type", 9999, ip4 + tcp, 0, UnknownLink, Segment{}},

	// Encapsulations.
	{"802.3 with SNAP, padded", LinkEthernet, "020000000001 020000000002 0033 aaaa03 000000 0800" + ip4 + tcp + "0000", 0, None, get4()},
	{"PPPoE, padded", LinkEthernet, "020000000001 020000000002 8864 1100 0007 002d 0021" + ip4 + tcp + "0000", 0, None, get4()},
	{"PPPoE discovery", LinkEthernet, "020000000001 020000000002 8863 1109 0000 0000", 0, NotIP, Segment{}},
	{"PPP", LinkPPP, "ff03 0057" + ip6 + tcp, 0, None, get6()},
	{"PPP_HDLC holding Cisco's", LinkPPPHDLC, "0f00 0800" + ip4 + tcp, 0, None, get4()},
	{"PPP_WITH_DIR", LinkPPPWithDir, "01 ff03 0021" + ip4 + tcp, 0, None, get4()},
	{"PPP_ETHER", LinkPPPEther, "1100 0007 002d 0021" + ip4 + tcp, 0, None, get4()},
	{"C_HDLC", LinkCHDLC, "0f00 0800" + ip4 + tcp, 0, None, get4()},
	{"MPLS, two labels", LinkEthernet, "020000000001 020000000002 8847 00010040 00011140" + ip4 + tcp, 0, None, get4()},
	{"MPLS pseudowire", LinkEthernet, "020000000001 020000000002 8847 00011140 00000000" + ethV6 + ip6 + tcp, 0, None, get6()},
	{"MPLS without bottom", LinkEthernet, "020000000001 020000000002 8847 00010040", 0, Malformed, Segment{}},
	{"802.1ah", LinkEthernet, "020000000001 020000000002 88e7 00000001" + ethV4 + ip4 + tcp, 0, None, get4()},
	{"4in4", LinkRaw, "4500003f 0001 0000 4004 0000 01010101 02020202" + ip4 + tcp, 0, None, get4()},
	{"6in4", LinkRaw, "45000053 0001 0000 4029 0000 01010101 02020202" + ip6 + tcp, 0, None, get6()},
	{"4in6", LinkRaw, "60000000 002b 04 40 20010db8000000000000000000000011 20010db8000000000000000000000012" + ip4 + tcp, 0, None, get4()},
	{"GRE with key", LinkRaw, "45000047 0001 0000 402f 0000 01010101 02020202  2000 0800 00000007" + ip4 + tcp, 0, None, get4()},
	{"GRE, Ethernet", LinkRaw, "45000051 0001 0000 402f 0000 01010101 02020202  0000 6558" + ethV4 + ip4 + tcp, 0, None, get4()},
	{"GRE, PPTP", LinkRaw, "4500004d 0001 0000 402f 0000 01010101 02020202  3001 880b 002d0001 00000001 0021" + ip4 + tcp, 0, None, get4()},
	{"ERSPAN I", LinkRaw, "45000051 0001 0000 402f 0000 01010101 02020202  0000 88be" + ethV4 + ip4 + tcp, 0, None, get4()},
	{"ERSPAN II", LinkRaw, "4500005d 0001 0000 402f 0000 01010101 02020202  1000 88be 00000001 1001000000000000" + ethV4 + ip4 + tcp, 0, None, get4()},
	{"ERSPAN III with subheader", LinkRaw, "45000069 0001 0000 402f 0000 01010101 02020202  1000 22eb 00000001 200100000000000000000001 0000000000000000" + ethV4 + ip4 + tcp, 0, None, get4()},
	{"VXLAN", LinkRaw, "4500005d 0001 0000 4011 0000 01010101 02020202  d431 12b5 0049 0000  08000000 00000100" + ethV4 + ip4 + tcp, 0, None, get4()},
	{"VXLAN's port, not VXLAN", LinkRaw, "4500005d 0001 0000 4011 0000 01010101 02020202  d431 12b5 0049 0000  00000000 00000100" + ethV4 + ip4 + tcp, 0, NotTCP, Segment{}},
	{"VXLAN, cut", LinkRaw, "45000455 0001 0000 4011 0000 01010101 02020202  d431 2118 0441 0000  08000000 00000100" + ethV4 +
		"4500042b 1234 4000 40060000 0a0000010a000002" + tcp, 1109, None, with(get4(), func(s *Segment) { s.Len = 1027 })},
	{"Geneve with option", LinkRaw, "45000057 0001 0000 4011 0000 01010101 02020202  d431 17c1 0043 0000  02000800 00000100 0000000000000000" + ip4 + tcp, 0, None, get4()},
	{"GTP-U", LinkRaw, "4500004f 0001 0000 4011 0000 01010101 02020202  0868 0868 003b 0000  30ff002b 00000001" + ip4 + tcp, 0, None, get4()},
	{"GTP-U on another port", LinkRaw, "4500004f 0001 0000 4011 0000 01010101 02020202  1000 2000 003b 0000  30ff002b 00000001" + ip4 + tcp, 0, None, get4()},
	{"not quite GTP-U on another port", LinkRaw, "4500004f 0001 0000 4011 0000 01010101 02020202  1000 2000 003b 0000  30ff002c 00000001" + ip4 + tcp, 0, NotTCP, Segment{}},
	{"TCP is no tunnel", LinkRaw, ip4 + "9c40 06d0 00000001 00000002 50 18 0200 dead 0000 450000", 0, None,
		with(get4(), func(s *Segment) { s.Flow.DstPort, s.Payload = 0x6d0, unhex("450000") })},
	{"eight tunnels", LinkRaw, nested(8), 0, None, get4()},
	{"nine tunnels", LinkRaw, nested(9), 0, TunnelTooDeep, Segment{}},

	// Rare link types.
	{"802.11", LinkWiFi, "0801 0000 020000000001 020000000002 020000000003 1000  aaaa03 000000 0800" + ip4 + tcp + "deadbeef", 0, None, get4()},
	{"802.11, QoS, four addresses", LinkWiFi, "8803 0000 020000000001 020000000002 020000000003 1000 020000000004 0000 aaaa03 000000 86dd" + ip6 + tcp, 0, None, get6()},
	{"802.11, encrypted", LinkWiFi, "0841 0000 020000000001 020000000002 020000000003 1000  aaaa03 000000 0800" + ip4 + tcp, 0, NotIP, Segment{}},
	{"802.11, acknowledgment", LinkWiFi, "d400 0000 020000000001", 0, NotIP, Segment{}},
	{"802.11, beacon", LinkWiFi, "8000 0000 ffffffffffff 020000000002 020000000003 1000 0000000000000000", 0, NotIP, Segment{}},
	{"radiotap", LinkRadiotap, "00 00 0900 02000000 10  0801 0000 020000000001 020000000002 020000000003 1000  aaaa03 000000 0800" + ip4 + tcp, 0, None, get4()},
	{"radiotap, padded header, two bitmaps", LinkRadiotap, "00 00 1900 030000a0 00000020 00000000 0000000000000000 20" +
		"8801 0000 020000000001 020000000002 020000000003 1000 0000 0000 aaaa03 000000 0800" + ip4 + tcp, 0, None, get4()},
	{"ARCNET, RFC 1051", LinkARCNETLinux, "0102 0000 f0" + ip4 + tcp, 0, None, get4()},
	{"ARCNET, RFC 1201", LinkARCNET, "0102 d4 00 0001" + ip4 + tcp, 0, None, get4()},
	{"ARCNET, split", LinkARCNET, "0102 d4 01 0001" + ip4 + tcp, 0, NotIP, Segment{}},
	{"NFLOG", LinkNFLog, "02 00 0000  0800 0100 0800 0300  0500 0a00 00 000000  2f00 0900" + ip4 + tcp + "00", 0, None, get4()},
	{"NFLOG, big-endian", LinkNFLog, "0a 00 0000  0008 0001 86dd 0300  0043 0009" + ip6 + tcp + "00", 0, None, get6()},
	{"NFLOG, attribute of length 0", LinkNFLog, "02 00 0000  0800 0100 0800 0300  0000 0900" + ip4 + tcp, 0, Malformed, Segment{}},
	{"ENC", LinkENC, "02000000 00000001 00000000" + ip4 + tcp, 0, None, get4()},
	{"PPI", LinkPPI, "00 00 0800 01000000" + ethV4 + ip4 + tcp, 0, None, get4()},
	{"PPI in PPI without end", LinkPPI, strings.Repeat("00 00 0800 c0000000", 12), 0, TunnelTooDeep, Segment{}},
	{"PKTAP", LinkPKTAP, "10000000 01000000 65000000 00000000" + ip4 + tcp, 0, None, get4()},
	{"PFLOG", LinkPFLog, "3d 02 00 00 656d3000000000000000000000000000" + strings.Repeat("00", 44) + ip4 + tcp, 0, None, get4()},
	{"PFLOG, no IP", LinkPFLog, "3d 12 00 00 656d3000000000000000000000000000" + strings.Repeat("00", 44) + "1234", 0, NotIP, Segment{}},
	{"Prism", LinkPrism, "44000000 90000000" + strings.Repeat("00", 136) + "0801 0000 020000000001 020000000002 020000000003 1000  aaaa03 000000 0800" + ip4 + tcp + "deadbeef", 0, None, get4()},
	{"Prism, another message", LinkPrism, "45000000 90000000" + strings.Repeat("00", 136), 0, NotIP, Segment{}},
	{"FDDI, no LLC", LinkFDDI, "40 020000000001 020000000002 aaaa03 000000 0800" + ip4 + tcp, 0, NotIP, Segment{}},
	{"FDDI", LinkFDDI, "50 020000000001 020000000002 aaaa03 000000 0800" + ip4 + tcp, 0, None, get4()},
}

// nested returns the segment behind n headers of 4in4.
func nested(n int) string {
	b := unhex(ip4 + tcp)
	for range n {
		b = ipv4Bytes(4, "1.1.1.1", "2.2.2.2", 1, 0, b)
	}
	return hex.EncodeToString(b)
}

func TestDecode(t *testing.T) {
	for _, tt := range decodeTests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(tt.bytes)
			p := Packet{Data: b, OrigLen: max(tt.orig, len(b)), Time: 12345, Frame: 67, Link: tt.link}
			d := NewDecoder(DecoderOptions{})
			var s Segment
			ok := d.Decode(&p, &s)
			if tt.skip != None {
				if ok || d.Skipped[tt.skip] != 1 || total(&d.Skipped) != 1 {
					t.Errorf("ok %v, skipped %v; want 1 %v", ok, d.Skipped, tt.skip)
				}
				return
			}
			if !ok {
				t.Fatalf("skipped %v", d.Skipped)
			}
			want := tt.want
			want.Time, want.Frame, want.Hash = 12345, 67, want.Flow.Hash()
			if diff := cmp.Diff(want, s, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("segment (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever is cut off the end, the decoder answers, and what it then yields is
// still the same segment with less payload. Nothing may be read past the cut.
func TestDecodeCut(t *testing.T) {
	for _, tt := range decodeTests {
		b := unhex(tt.bytes)
		for n := range b {
			p := Packet{Data: slices.Clone(b[:n])[:n:n], OrigLen: max(tt.orig, len(b)), Link: tt.link}
			d := NewDecoder(DecoderOptions{})
			var s Segment
			if !d.Decode(&p, &s) {
				continue
			}
			if tt.skip != None {
				continue // the fault was cut off
			}
			w := tt.want
			if s.Flow != w.Flow || s.Seq != w.Seq || s.Flags != w.Flags || !bytes.HasPrefix(w.Payload, s.Payload) || !bytes.HasPrefix(w.Options, s.Options) {
				t.Errorf("%s, cut to %d bytes: %+v", tt.name, n, s)
			}
		}
	}
}

func TestDecodeAllocates(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	for _, tt := range decodeTests {
		b := unhex(tt.bytes)
		p := Packet{Data: b, OrigLen: max(tt.orig, len(b)), Link: tt.link}
		var s Segment
		if n := testing.AllocsPerRun(10, func() { d.Decode(&p, &s) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func TestLinkTypeString(t *testing.T) {
	for l, want := range map[LinkType]string{
		LinkEthernet: "ETHERNET", LinkSLL: "LINUX_SLL", LinkSLL2: "LINUX_SLL2", LinkNull: "NULL", LinkLoop: "LOOP",
		LinkRaw: "RAW", 12: "RAW", LinkIPv4: "IPV4", LinkIPv6: "IPV6", LinkPPP: "PPP", 9999: "LINKTYPE_9999",
	} {
		if got := l.String(); got != want {
			t.Errorf("%d: %s, want %s", uint32(l), got, want)
		}
	}
}

func TestReasons(t *testing.T) {
	names := map[string]bool{}
	for r := range numReasons {
		if s := r.String(); s == "" || names[s] {
			t.Errorf("reason %d is named %q", r, s)
		} else {
			names[s] = true
		}
	}
	s := Skipped{None: 9, NotIP: 1, Copy: 2}
	var got []Reason
	s.Reasons(func(r Reason, n uint64) { got = append(got, r) })
	if !slices.Equal(got, []Reason{NotIP, Copy}) {
		t.Errorf("reasons %v", got)
	}
}
