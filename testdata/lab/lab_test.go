package main

import (
	"encoding/binary"
	"testing"
)

// ackSegment is a minimal Ethernet frame with an ACK from port 1000 to 80.
func ackSegment(v6 bool) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, 1000)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	binary.BigEndian.PutUint32(tcp[4:], 7)
	binary.BigEndian.PutUint32(tcp[8:], 4711)
	tcp[12], tcp[13] = 5<<4, tcpACK
	eth := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
	if v6 {
		ip := make([]byte, 40)
		ip[0], ip[5], ip[6] = 0x60, 20, 6
		ip[23], ip[39] = 1, 2
		return append(append(append(eth, 0x86, 0xdd), ip...), tcp...)
	}
	ip := make([]byte, 20)
	ip[0], ip[3], ip[9] = 0x45, 40, 6
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	return append(append(append(eth, 8, 0), ip...), tcp...)
}

func TestParseFrame(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		s, ok := parseFrame(ackSegment(v6))
		if !ok || s.sport != 1000 || s.dport != 80 || s.ack != 4711 || s.payload != 0 || s.v6 != v6 {
			t.Errorf("v6=%v: got %+v, %v", v6, s, ok)
		}
		full := ackSegment(v6)
		for n := range full {
			if _, ok := parseFrame(full[:n]); ok {
				t.Errorf("v6=%v: accepted a frame cut to %d bytes", v6, n)
			}
		}
	}
}

// The RST a middlebox sends must look as if the peer had sent it, belong to
// the same flow, and carry right checksums: hosts ignore it otherwise.
func TestReset(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		s, _ := parseFrame(ackSegment(v6))
		frame := s.reset()[10:]
		r, ok := parseFrame(frame)
		if !ok || r.flow != s.flow || r.sport != 80 || r.dport != 1000 || r.seq != 4711 || r.flags != tcpRST {
			t.Fatalf("v6=%v: got %+v, %v", v6, r, ok)
		}
		tcp := frame[len(frame)-20:]
		pseudo := append(append([]byte(nil), r.src...), r.dst...)
		pseudo = append(pseudo, 0, 6, 0, 20)
		if sum := internetChecksum(append(pseudo, tcp...)); sum != 0 {
			t.Errorf("v6=%v: TCP checksum leaves %#x", v6, sum)
		}
		if !v6 {
			if sum := internetChecksum(frame[14:34]); sum != 0 {
				t.Errorf("IPv4 checksum leaves %#x", sum)
			}
		}
	}
}
