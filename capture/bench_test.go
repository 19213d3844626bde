package capture

import (
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

func benchPackets() map[string]Packet {
	seg := tcpBytes(40000, 80, 1, 2, wire.ACK, []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, make([]byte, 512))
	v4 := ipv4Bytes(6, "10.0.0.1", "10.0.0.2", 7, 0, seg)
	v6 := ipv6Bytes(6, "2001:db8::1", "2001:db8::2", seg)
	return map[string]Packet{
		"ethernet-ipv4": packet(LinkEthernet, etherBytes(0x0800, v4)),
		"ethernet-ipv6": packet(LinkEthernet, etherBytes(0x86dd, v6)),
		"qinq-ipv4":     packet(LinkEthernet, etherBytes(0x88a8, []byte{0, 1, 0x81, 0, 0, 2, 8, 0}, v4)),
		"sll-ipv4":      packet(LinkSLL, append(append(make([]byte, 14), 8, 0), v4...)),
		"sll2-ipv6":     packet(LinkSLL2, append(append([]byte{0x86, 0xdd}, make([]byte, 18)...), v6...)),
		"null-ipv4":     packet(LinkNull, append([]byte{2, 0, 0, 0}, v4...)),
		"raw-ipv6":      packet(LinkRaw, v6),
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, p := range benchPackets() {
		b.Run(name, func(b *testing.B) {
			d := NewDecoder(DecoderOptions{})
			var s Segment
			b.ReportAllocs()
			for b.Loop() {
				if !d.Decode(&p, &s) {
					b.Fatal(d.Skipped)
				}
			}
		})
	}
}

func BenchmarkCopies(b *testing.B) {
	p := benchPackets()["ethernet-ipv4"]
	d, c := NewDecoder(DecoderOptions{}), new(Copies)
	var s Segment
	if !d.Decode(&p, &s) {
		b.Fatal(d.Skipped)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Seq += 512
		s.Time += 1000
		c.Seen(&s)
	}
}

func BenchmarkTwins(b *testing.B) {
	p := benchPackets()["ethernet-ipv4"]
	d, t := NewDecoder(DecoderOptions{}), new(Twins)
	var s Segment
	if !d.Decode(&p, &s) {
		b.Fatal(d.Skipped)
	}
	b.Run("data", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.Observe(&s)
		}
	})
	b.Run("syn", func(b *testing.B) {
		s.Flags = wire.SYN
		b.ReportAllocs()
		for b.Loop() {
			s.Seq += 64001
			t.Observe(&s)
		}
	})
}
