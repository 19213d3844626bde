package wire

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// unhex reads hexadecimal digits; white space is for the reader.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestIPv4(t *testing.T) {
	b := unhex(`46 00 00 1d  12 34 20 02   40 06 0000  0a000001 0a000002
		94 04 00 00  01 02 03 04 05`) // router alert
	h, ok := ParseIPv4(b)
	if !ok {
		t.Fatal("refused")
	}
	if h.HeaderLen() != 24 || h.TotalLen() != 29 || h.ID() != 0x1234 || h.Protocol() != ProtoTCP {
		t.Errorf("header %d, total %d, id %#x, protocol %d", h.HeaderLen(), h.TotalLen(), h.ID(), h.Protocol())
	}
	if !h.Fragmented() || !h.MoreFragments() || h.FragmentOffset() != 16 {
		t.Errorf("fragment %v, more %v, offset %d", h.Fragmented(), h.MoreFragments(), h.FragmentOffset())
	}
	if AddrFrom4(h.Src()) != ip("10.0.0.1") || AddrFrom4(h.Dst()) != ip("10.0.0.2") {
		t.Errorf("%v > %v", h.Src(), h.Dst())
	}
	b[6], b[7] = 0x40, 0 // "don't fragment" makes no fragment
	if h.Fragmented() {
		t.Error("DF taken for a fragment")
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": b[:19], "options cut": b[:23], "version 6": append([]byte{0x66}, b[1:]...),
		"header of 16 bytes": append([]byte{0x44}, b[1:]...), "version 5": append([]byte{0x55}, b[1:]...), "version 3": append([]byte{0x35}, b[1:]...),
	} {
		if _, ok := ParseIPv4(bad); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIPv6(t *testing.T) {
	b := unhex(`60000000 0004 06 40  20010db8000000000000000000000001 20010db8000000000000000000000002  01020304`)
	h, ok := ParseIPv6(b)
	if !ok || h.PayloadLen() != 4 || h.NextHeader() != ProtoTCP || h.Src() != ip("2001:db8::1") || h.Dst() != ip("2001:db8::2") || !bytes.Equal(h.Payload(), b[40:]) {
		t.Errorf("ok %v: %d bytes of %d, %v > %v", ok, h.PayloadLen(), h.NextHeader(), h.Src().Netip(), h.Dst().Netip())
	}
	if _, ok := ParseIPv6(b[:39]); ok {
		t.Error("short: accepted")
	}
	b[0] = 0x45
	if _, ok := ParseIPv6(b); ok {
		t.Error("version 4: accepted")
	}
}

func TestExt(t *testing.T) {
	tests := []struct {
		name  string
		proto Proto
		bytes string
		len   int // 0: refused
		next  Proto
	}{
		{"hop-by-hop", ProtoHopByHop, "06 00 01 04 00000000 ff", 8, ProtoTCP},
		{"destination options of 16 bytes", ProtoDestOpts, "06 01 01 0c 000000000000000000000000", 16, ProtoTCP},
		{"cut", ProtoDestOpts, "06 01 01 0c 0000000000000000", 0, 0},
		{"fragment", ProtoFragment, "3c ff 0009 00000007 ff", 8, ProtoDestOpts},
		{"authentication counts words", ProtoAH, "06 04 0000 00000001 00000002 000102030405060708090a0b", 24, ProtoTCP},
		{"short", ProtoHopByHop, "06 00 01 04 000000", 0, 0},
		{"no extension", ProtoUDP, "0600000000000000", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, ok := ParseExt(tt.proto, unhex(tt.bytes))
			if ok != (tt.len > 0) || len(h) != tt.len {
				t.Fatalf("ok %v, %d bytes", ok, len(h))
			}
			if ok && h.NextHeader() != tt.next {
				t.Errorf("next header %d", h.NextHeader())
			}
		})
	}
	f, _ := ParseExt(ProtoFragment, unhex("06 00 05a9 01020304"))
	if f.FragmentOffset() != 0x5a8 || !f.MoreFragments() || f.FragmentID() != 0x01020304 {
		t.Errorf("offset %#x, more %v, id %#x", f.FragmentOffset(), f.MoreFragments(), f.FragmentID())
	}
}

func TestJumbo(t *testing.T) {
	for b, want := range map[string]int{
		"0600 c204 00011170":                    70000, // RFC 2675 §2
		"0601 01020000 00 c204 00011170 0000ff": 70000, // behind PadN and Pad1
		"0600 0104 00000000":                    0,
		"0600 c203 00011170":                    0, // wrong length
		"0600 01ff 00000000":                    0, // runs over the end
		"0600 0000 000000c2":                    0,
	} {
		h := Ext(unhex(b))
		if n, ok := h.Jumbo(); n != want || ok != (want > 0) {
			t.Errorf("%s: %d, %v", b, n, ok)
		}
	}
}

func TestFinalDst(t *testing.T) {
	a, b := "20010db8000000000000000000000001", "20010db8000000000000000000000002"
	tests := []struct {
		name, bytes, want string
	}{
		{"source route, last address", "06 04 00 02 00000000" + a + b, "2001:db8::2"},
		{"home address", "06 02 02 01 00000000" + a, "2001:db8::1"},
		{"segments run backwards", "06 04 04 01 01000000" + a + b, "2001:db8::1"},
		{"arrived", "06 02 04 00 00000000" + a, ""},
		{"unknown type", "06 02 09 01 00000000" + a, ""},
		{"no address", "06 00 00 01 00000000", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, ok := ParseExt(ProtoRouting, unhex(tt.bytes))
			if !ok {
				t.Fatal("refused")
			}
			a, ok := h.FinalDst()
			if ok != (tt.want != "") || ok && a != ip(tt.want) {
				t.Errorf("%v, %v", a.Netip(), ok)
			}
		})
	}
}

func TestLoopFamily(t *testing.T) {
	for b, want := range map[string]EtherType{
		"02000000": TypeIPv4, "00000002": TypeIPv4,
		"0a000000": TypeIPv6, "00000017": TypeIPv6, "18000000": TypeIPv6, "1c000000": TypeIPv6, "0000001e": TypeIPv6,
		"00000000": 0, "07000000": 0, "02000002": 0, "ffffffff": 0,
	} {
		h, ok := ParseLoop(unhex(b))
		if !ok || h.Type() != want {
			t.Errorf("%s: family %#x, type %#x, want %#x", b, h.Family(), h.Type(), want)
		}
	}
}

func TestTCP(t *testing.T) {
	b := unhex(`9c40 0050 01020304 05060708  6 012 2000 0000 0000  020405b4  474554`)
	h, ok := ParseTCP(b)
	if !ok {
		t.Fatal("refused")
	}
	if h.SrcPort() != 40000 || h.DstPort() != 80 || h.Seq() != 0x01020304 || h.Ack() != 0x05060708 ||
		h.HeaderLen() != 24 || h.Flags() != SYN|ACK || h.Window() != 0x2000 {
		t.Errorf("%d > %d seq %#x ack %#x header %d flags %v window %#x",
			h.SrcPort(), h.DstPort(), h.Seq(), h.Ack(), h.HeaderLen(), h.Flags(), h.Window())
	}
	if _, ok := ParseTCP(b[:19]); ok {
		t.Error("short: accepted")
	}
	b[12] = 0x4f
	if _, ok := ParseTCP(b); ok {
		t.Error("header of 16 bytes: accepted")
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name, bytes string
		want        string
	}{
		{"none", "", ""},
		{"Linux SYN", "020405b4 0402 080a 00000001 00000000 01 030307", "mss 1460, sack permitted, ts 1 0, scale 7"},
		{"timestamps", "0101 080a 00000002 00000003", "ts 2 3"},
		{"two SACK blocks", "0101 0512 00000001 00000002 fffffff0 00000010", "sack 1-2 4294967280-16"},
		{"scale beyond 14", "0303ff", "scale 14"},
		{"unknown kind passed over", "fd04abcd 0402", "kind 253, sack permitted"},
		{"end of list", "00 0402", ""},
		{"wrong lengths", "0203ff 0402 030401ff 0503ff 08040000", "kind 2, sack permitted, kind 3, kind 5, kind 8"},
		{"length 0", "0200 0402", ""},
		{"length 1", "0201 0402", ""},
		{"length past the end", "0402 0204ff", "sack permitted"},
		{"kind at the end", "0402 02", "sack permitted"},
		{"cut timestamps", "0101080a000000", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := describe(unhex(tt.bytes)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPPP(t *testing.T) {
	tests := []struct {
		name, bytes string
		t           EtherType
		payload     int
	}{
		{"IPv4", "0021 45", TypeIPv4, 1},
		{"compressed", "21 45", TypeIPv4, 1},
		{"with address and control", "ff03 0057 60", TypeIPv6, 1},
		{"address, control, compressed", "ff03 57 60", TypeIPv6, 1},
		{"LCP", "c021 01", 0, 1},
		{"MPLS", "0281", TypeMPLS, 0},
		{"cut", "00", 0, -1},
		{"cut behind control", "ff03", 0, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, ok := ParsePPP(unhex(tt.bytes))
			if ok != (tt.payload >= 0) {
				t.Fatalf("ok %v", ok)
			}
			if ok && (h.Type() != tt.t || len(h.Payload()) != tt.payload) {
				t.Errorf("type %#x, %d bytes", h.Type(), len(h.Payload()))
			}
		})
	}
}

func TestGRE(t *testing.T) {
	tests := []struct {
		name, bytes string
		payload     int // -1: refused
	}{
		{"plain", "00000800 45", 1},
		{"checksum, key, sequence", "b0000800 00000000 00000001 00000002 45", 1},
		{"source route", "40000800 00000000 0002 0004 00000001 0000 0000 45", 1},
		{"source route without end", "40000800 00000000 0002 0004 00000001", -1},
		{"PPTP", "3081880b 00000000 00000001 00000002 21", 1},
		{"PPTP without acknowledgment", "3001880b 00000000 00000001 21", 1},
		{"key cut", "20000800 0000", -1},
		{"version 2", "00020800 45", -1},
		{"cut", "0000", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, ok := ParseGRE(unhex(tt.bytes))
			if ok != (tt.payload >= 0) {
				t.Fatalf("ok %v", ok)
			}
			if ok && len(h.Payload()) != tt.payload {
				t.Errorf("%d bytes of payload", len(h.Payload()))
			}
		})
	}
}

func TestGTP(t *testing.T) {
	ip := "45000014 00000000 40060000 0a000001 0a000002"
	tests := []struct {
		name, bytes string
		ok, exact   bool
	}{
		{"plain", "30ff0014 00000001" + ip, true, true},
		{"sequence number", "32ff0018 00000001 00010000" + ip, true, true},
		{"extension header", "34ff001c 00000001 00000085 01100900" + ip, true, true},
		{"two extension headers", "34ff0020 00000001 00000085 01100985 01100900" + ip, true, true},
		{"extension of length 0", "34ff001c 00000001 00000085 00100900" + ip, false, false},
		{"extension cut", "34ff001c 00000001 00000085 01", false, false},
		{"echo request", "32010004 00000000 00010000", false, false},
		{"version 2", "48200014 00000001" + ip, false, false},
		{"GTP prime", "20ff0014 00000001" + ip, false, false},
		{"length off", "30ff0015 00000001" + ip, true, false},
		{"inner length off", "30ff0018 00000001" + ip + "00000000", true, false},
		{"no IP", "30ff0014 00000001" + strings.Repeat("00", 20), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(tt.bytes)
			h, ok := ParseGTP(b)
			if ok != tt.ok {
				t.Fatalf("ok %v", ok)
			}
			if ok && h.Exact(len(b)) != tt.exact {
				t.Errorf("exact %v", !tt.exact)
			}
		})
	}
}
