package main

import (
	"bytes"
	"encoding/binary"
)

const (
	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// flowKey names a TCP flow regardless of direction: the smaller end first.
type flowKey [36]byte

// segment is what the link must know of a TCP frame. Its slices borrow the
// frame.
type segment struct {
	flow       flowKey
	flags      byte
	seq, ack   uint32
	payload    int
	eth        []byte // destination and source MAC, EtherType
	v6         bool
	src, dst   []byte
	sport      uint16
	dport      uint16
	headerSize int
}

// parseFrame reads an Ethernet frame; ok is false unless it holds an
// unfragmented TCP segment without IPv6 extension headers, which is all that
// the lab's hosts send.
func parseFrame(b []byte) (s segment, ok bool) {
	if len(b) < 14 {
		return s, false
	}
	s.eth = b[:14]
	var tcp []byte
	switch binary.BigEndian.Uint16(b[12:]) {
	case 0x0800:
		p := b[14:]
		if len(p) < 20 || p[9] != 6 {
			return s, false
		}
		ihl := int(p[0]&15) * 4
		total := int(binary.BigEndian.Uint16(p[2:]))
		if ihl < 20 || total < ihl || len(p) < total {
			return s, false
		}
		s.src, s.dst, tcp = p[12:16], p[16:20], p[ihl:total]
	case 0x86dd:
		p := b[14:]
		if len(p) < 40 || p[6] != 6 {
			return s, false
		}
		total := 40 + int(binary.BigEndian.Uint16(p[4:]))
		if len(p) < total {
			return s, false
		}
		s.v6, s.src, s.dst, tcp = true, p[8:24], p[24:40], p[40:total]
	default:
		return s, false
	}
	if len(tcp) < 20 {
		return s, false
	}
	s.sport, s.dport = binary.BigEndian.Uint16(tcp), binary.BigEndian.Uint16(tcp[2:])
	s.seq, s.ack = binary.BigEndian.Uint32(tcp[4:]), binary.BigEndian.Uint32(tcp[8:])
	s.headerSize, s.flags = int(tcp[12]>>4)*4, tcp[13]
	if s.headerSize < 20 || s.headerSize > len(tcp) {
		return s, false
	}
	s.payload = len(tcp) - s.headerSize
	one, two := endpoint(s.src, tcp[0:2]), endpoint(s.dst, tcp[2:4])
	if bytes.Compare(one[:], two[:]) > 0 {
		one, two = two, one
	}
	copy(s.flow[:18], one[:])
	copy(s.flow[18:], two[:])
	return s, true
}

func endpoint(addr, port []byte) (e [18]byte) {
	copy(e[:16], addr)
	copy(e[16:], port)
	return e
}

// reset builds the RST a stateful middlebox sends to the segment's sender in
// its peer's name: bare, its sequence number taken from the segment's ack. The
// result starts with an empty virtio header.
func (s segment) reset() []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, s.dport)
	binary.BigEndian.PutUint16(tcp[2:], s.sport)
	binary.BigEndian.PutUint32(tcp[4:], s.ack)
	tcp[12], tcp[13] = 5<<4, tcpRST
	pseudo := append(append([]byte(nil), s.dst...), s.src...)
	if s.v6 {
		pseudo = append(pseudo, 0, 0, 0, 20, 0, 0, 0, 6)
	} else {
		pseudo = append(pseudo, 0, 6, 0, 20)
	}
	binary.BigEndian.PutUint16(tcp[16:], internetChecksum(append(pseudo, tcp...)))

	out := make([]byte, 10, 10+14+40+20)
	out = append(append(append(out, s.eth[6:12]...), s.eth[0:6]...), s.eth[12:14]...)
	if s.v6 {
		out = append(out, 0x60, 0, 0, 0, 0, 20, 6, 64)
		out = append(append(out, s.dst...), s.src...)
	} else {
		hdr := make([]byte, 20)
		hdr[0], hdr[3], hdr[8], hdr[9] = 0x45, 40, 64, 6
		copy(hdr[12:], s.dst)
		copy(hdr[16:], s.src)
		binary.BigEndian.PutUint16(hdr[10:], internetChecksum(hdr))
		out = append(out, hdr...)
	}
	return append(out, tcp...)
}

func internetChecksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
