package capture

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/connlint/connlint/capture/wire"
)

// Builders of headers for tests. Checksums stay zero: nobody looks at them.

func packet(l LinkType, b []byte) Packet {
	return Packet{Data: b, OrigLen: len(b), Time: 1e18, Frame: 1, Link: l}
}

func be16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func etherBytes(t int, parts ...[]byte) []byte {
	h := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	return slices.Concat(h, be16(t), slices.Concat(parts...))
}

func addr(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

// ipv4Bytes builds a packet; frag is the field of flags and offset.
func ipv4Bytes(proto int, src, dst string, id, frag int, payload ...[]byte) []byte {
	b := slices.Concat(payload...)
	return slices.Concat([]byte{0x45, 0}, be16(20+len(b)), be16(id), be16(frag), []byte{64, byte(proto), 0, 0}, addr(src), addr(dst), b)
}

func ipv6Bytes(next int, src, dst string, payload ...[]byte) []byte {
	b := slices.Concat(payload...)
	return slices.Concat([]byte{0x60, 0, 0, 0}, be16(len(b)), []byte{byte(next), 64}, addr(src), addr(dst), b)
}

func udpBytes(src, dst int, payload ...[]byte) []byte {
	b := slices.Concat(payload...)
	return slices.Concat(be16(src), be16(dst), be16(8+len(b)), []byte{0, 0}, b)
}

// tcpBytes builds a segment; the length of options is a multiple of four.
func tcpBytes(src, dst int, seq, ack uint32, flags wire.Flags, options, payload []byte) []byte {
	b := slices.Concat(be16(src), be16(dst))
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, byte(5+len(options)/4)<<4, byte(flags), 0x20, 0, 0, 0, 0, 0)
	return slices.Concat(b, options, payload)
}
