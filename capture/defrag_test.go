package capture

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/connlint/connlint/capture/wire"
)

// tcpOf returns a TCP segment of n bytes in all whose payload is a pattern.
func tcpOf(n int) []byte {
	payload := make([]byte, n-wire.TCPMinLen)
	for i := range payload {
		payload[i] = byte(i*7 + i>>8)
	}
	return tcpBytes(40000, 80, 1, 2, wire.ACK, nil, payload)
}

// frag4 returns bytes from to end of whole as an IPv4 fragment.
func frag4(id int, whole []byte, from, end int) Packet {
	field := from / 8
	if end < len(whole) {
		field |= 0x2000
	}
	return packet(LinkRaw, ipv4Bytes(6, "10.0.0.1", "10.0.0.2", id, field, whole[from:end]))
}

// frag6 returns bytes from to end of whole as an IPv6 fragment.
func frag6(id int, whole []byte, from, end int) Packet {
	field := from
	if end < len(whole) {
		field |= 1
	}
	return packet(LinkRaw, ipv6Bytes(44, "2001:db8::1", "2001:db8::2", []byte{6, 0}, be16(field), []byte{0, 0}, be16(id), whole[from:end]))
}

// run decodes packets at intervals of a millisecond and returns the segments.
func run(d *Decoder, packets ...Packet) (segments []Segment) {
	for i := range packets {
		p := &packets[i]
		p.Time, p.Frame = 1e18+int64(i)*1e6, uint64(i+1)
		var s Segment
		if d.Decode(p, &s) {
			segments = append(segments, s)
		}
	}
	return segments
}

func TestFragments(t *testing.T) {
	whole := tcpOf(3001)
	cut := []int{0, 1480, 2960, 3001}
	for version, frag := range map[string]func(int, []byte, int, int) Packet{"IPv4": frag4, "IPv6": frag6} {
		a, b, c := frag(7, whole, cut[0], cut[1]), frag(7, whole, cut[1], cut[2]), frag(7, whole, cut[2], cut[3])
		overlap := frag(7, whole, cut[0]+8, cut[1]+8)
		contradict := frag(7, append(bytes.Repeat([]byte{9}, 1488), whole[1488:]...), cut[0]+8, cut[1]+8)
		longer := frag(7, append(slices.Clone(whole), 1), cut[2], cut[3]+1)
		beyond := frag(7, make([]byte, 4000), 3040, 3056)
		tests := []struct {
			name    string
			packets []Packet
			want    int // which packet yields the segment, from 1; 0: none
			skipped Skipped
		}{
			{"in order", []Packet{a, b, c}, 3, Skipped{Fragment: 2}},
			{"backwards", []Packet{c, b, a}, 3, Skipped{Fragment: 2}},
			{"last first", []Packet{c, a, b}, 3, Skipped{Fragment: 2}},
			{"each twice", []Packet{a, a, b, b, c, c}, 5, Skipped{Fragment: 4, Copy: 1}},
			{"all twice", []Packet{a, b, c, a, b, c}, 3, Skipped{Fragment: 2, Copy: 3}},
			{"overlap that agrees", []Packet{a, overlap, b, c}, 4, Skipped{Fragment: 3}},
			{"overlap that contradicts", []Packet{a, contradict, b, c}, 0, Skipped{FragmentLost: 4}},
			{"two ends", []Packet{a, c, longer, b}, 0, Skipped{FragmentLost: 4}},
			{"data behind the end", []Packet{a, c, beyond, b}, 0, Skipped{FragmentLost: 4}},
			{"end before data", []Packet{a, beyond, c, b}, 0, Skipped{FragmentLost: 4}},
			{"one missing", []Packet{a, c}, 0, Skipped{FragmentLost: 2}},
			{"first missing", []Packet{b, c}, 0, Skipped{FragmentLost: 2}},
			{"other number between", []Packet{a, frag(8, whole, cut[1], cut[2]), b, c}, 4, Skipped{Fragment: 2, FragmentLost: 1}},
		}
		for _, tt := range tests {
			t.Run(version+", "+tt.name, func(t *testing.T) {
				d := NewDecoder(DecoderOptions{})
				got := run(d, slices.Clone(tt.packets)...)
				d.Finish()
				if d.Skipped != tt.skipped {
					t.Errorf("skipped %v, want %v", d.Skipped, tt.skipped)
				}
				if d.frags.bytes != 0 || len(d.frags.byKey) != 0 || d.frags.newest != nil {
					t.Errorf("%d bytes of %d packets kept at the end", d.frags.bytes, len(d.frags.byKey))
				}
				if tt.want == 0 {
					if len(got) != 0 {
						t.Errorf("segment %+v", got[0])
					}
					return
				}
				if len(got) != 1 {
					t.Fatalf("%d segments", len(got))
				}
				s := got[0]
				if s.Frame != uint64(tt.want) || s.Time != 1e18+int64(tt.want-1)*1e6 {
					t.Errorf("frame %d at %d", s.Frame, s.Time)
				}
				if !bytes.Equal(s.Payload, whole[20:]) || s.Len != len(whole)-20 || s.Flow.SrcPort != 40000 {
					t.Errorf("%d bytes of payload, %v", len(s.Payload), s.Flow)
				}
			})
		}
	}
}

// Fragments so small that the TCP header is spread over them, which filters
// that look at the first fragment only do not see through; and one that would
// change its flags (RFC 1858, RFC 3128).
func TestTinyFragments(t *testing.T) {
	whole := tcpOf(100)
	for version, frag := range map[string]func(int, []byte, int, int) Packet{"IPv4": frag4, "IPv6": frag6} {
		t.Run(version, func(t *testing.T) {
			var tiny []Packet
			for at := 0; at < len(whole); at += 8 {
				tiny = append(tiny, frag(7, whole, at, min(at+8, len(whole))))
			}
			d := NewDecoder(DecoderOptions{})
			got := run(d, tiny...)
			if len(got) != 1 || got[0].Flags != wire.ACK || !bytes.Equal(got[0].Payload, whole[20:]) {
				t.Errorf("%+v, skipped %v", got, d.Skipped)
			}
			syn := slices.Clone(whole)
			syn[13] = byte(wire.SYN)
			again := frag(7, syn, 8, 16)
			d = NewDecoder(DecoderOptions{})
			if got := run(d, slices.Insert(slices.Clone(tiny), 2, again)...); len(got) != 0 {
				t.Errorf("%+v of fragments that contradict each other", got)
			}
			if want := (Skipped{FragmentLost: uint64(len(tiny) + 1)}); d.Skipped != want {
				t.Errorf("skipped %v, want %v", d.Skipped, want)
			}
		})
	}
}

// A number may be used again for another packet once the first is done.
func TestFragmentNumberUsedAgain(t *testing.T) {
	whole := tcpOf(2000)
	d := NewDecoder(DecoderOptions{})
	for round := range 3 {
		for i, p := range []Packet{frag4(7, whole, 0, 1480), frag4(7, whole, 1480, 2000)} {
			p.Time = int64(round) * 60e6 // beyond the window in which it would be a copy
			var s Segment
			if ok := d.Decode(&p, &s); ok != (i == 1) {
				t.Errorf("round %d, fragment %d: %v, skipped %v", round, i, ok, d.Skipped)
			}
		}
	}
}

func TestFragmentsBounds(t *testing.T) {
	whole := tcpOf(3000)
	t.Run("age", func(t *testing.T) {
		d := NewDecoder(DecoderOptions{FragmentAge: 30 * time.Second})
		a, b := frag4(1, whole, 0, 1480), frag4(1, whole, 1480, 3000)
		a.Time, b.Time = 0, 31e9
		var s Segment
		if d.Decode(&a, &s) || d.Decode(&b, &s) {
			t.Error("put together after 31 s")
		}
		if want := (Skipped{Fragment: 1, FragmentLost: 1}); d.Skipped != want {
			t.Errorf("skipped %v, want %v", d.Skipped, want)
		}
	})
	t.Run("packets", func(t *testing.T) {
		d := NewDecoder(DecoderOptions{FragmentPackets: 10})
		for i := range 100 {
			p := frag4(i, whole, 0, 1480)
			var s Segment
			d.Decode(&p, &s)
		}
		if want := (Skipped{Fragment: 10, FragmentLost: 90}); d.Skipped != want || len(d.frags.byKey) != 10 {
			t.Errorf("skipped %v, want %v; %d kept", d.Skipped, want, len(d.frags.byKey))
		}
	})
	t.Run("bytes", func(t *testing.T) {
		const most = 1 << 20
		d := NewDecoder(DecoderOptions{FragmentBytes: most})
		big := tcpOf(65000)
		for i := range 1000 {
			p := frag4(i, big, 64000, 64008) // little sent, much to keep
			var s Segment
			d.Decode(&p, &s)
			if d.frags.bytes > most {
				t.Fatalf("%d bytes kept", d.frags.bytes)
			}
		}
		n := 0
		for p := d.frags.oldest; p != nil; p = p.next {
			n += cap(p.buf)
		}
		if n != d.frags.bytes || n < most/2 {
			t.Errorf("%d bytes kept, counted as %d", n, d.frags.bytes)
		}
	})
}

func TestFragmentsOdd(t *testing.T) {
	whole := tcpOf(3000)
	cutShort := frag4(1, whole, 0, 1480)
	cutShort.Data = cutShort.Data[:100]
	udp := frag4(1, whole, 0, 1480)
	udp.Data[9] = 1 // ICMP
	odd := packet(LinkRaw, ipv4Bytes(6, "10.0.0.1", "10.0.0.2", 1, 0x2000, whole[:1481]))
	over := packet(LinkRaw, ipv4Bytes(6, "10.0.0.1", "10.0.0.2", 1, 0x1fff, whole[:1480]))
	empty := packet(LinkRaw, ipv4Bytes(6, "10.0.0.1", "10.0.0.2", 1, 0x2001))
	for name, tt := range map[string]struct {
		p    Packet
		want Reason
	}{
		"cut by the snapshot length": {cutShort, Truncated},
		"of no protocol we open":     {udp, NotTCP},
		"length no multiple of 8":    {odd, Malformed},
		"beyond 65535 bytes":         {over, Malformed},
		"empty":                      {empty, Malformed},
	} {
		d := NewDecoder(DecoderOptions{})
		var s Segment
		if d.Decode(&tt.p, &s) || d.Skipped[tt.want] != 1 {
			t.Errorf("%s: skipped %v", name, d.Skipped)
		}
	}
}

// A tunnel's packet that came in fragments, its inner packet whole.
func TestFragmentedTunnel(t *testing.T) {
	inner := ipv4Bytes(6, "10.0.0.1", "10.0.0.2", 9, 0x4000, tcpOf(1480))
	gtp := append([]byte{0x30, 0xff}, be16(len(inner))...)
	outer := udpBytes(2152, 2152, gtp, []byte{0, 0, 0, 1}, inner)
	a := packet(LinkRaw, ipv4Bytes(17, "1.1.1.1", "2.2.2.2", 5, 0x2000, outer[:1480]))
	b := packet(LinkRaw, ipv4Bytes(17, "1.1.1.1", "2.2.2.2", 5, 1480/8, outer[1480:]))
	got := run(NewDecoder(DecoderOptions{}), a, b)
	if len(got) != 1 || got[0].Len != 1460 || got[0].ID != 9 || got[0].Flow.Src != ip("10.0.0.1") || got[0].Frame != 2 {
		t.Errorf("%+v", got)
	}
}

// The payload must survive the packets it came in.
func TestFragmentsAreCopied(t *testing.T) {
	whole := tcpOf(3000)
	a, b := frag4(1, whole, 0, 1480), frag4(1, whole, 1480, 3000)
	got := run(NewDecoder(DecoderOptions{}), a, b)
	clear(a.Data)
	clear(b.Data)
	if !bytes.Equal(got[0].Payload, whole[20:]) {
		t.Error("payload is borrowed")
	}
}

func FuzzFragments(f *testing.F) {
	f.Add([]byte("in order"), uint16(3000), uint64(1))
	f.Add([]byte{0, 0, 60, 1, 0, 60, 60, 0, 0, 120, 60, 2}, uint16(1400), uint64(2))
	f.Add([]byte{9, 0, 200, 255, 9, 1, 200, 255, 9, 255, 255, 255}, uint16(65000), uint64(3))
	f.Fuzz(func(t *testing.T, script []byte, size uint16, seed uint64) {
		// First: pieces of one packet, cut and shuffled by seed, some twice. It
		// must come out whole.
		whole := tcpOf(min(max(int(size), 64), 65000))
		rnd := rand.New(rand.NewPCG(seed, 0))
		var packets []Packet
		frag := frag4
		if seed&1 != 0 {
			frag = frag6
		}
		for at := 0; at < len(whole); {
			end := min(at+8*(1+rnd.IntN(300)), len(whole))
			if at == 0 && end == len(whole) {
				end = 32 // in one piece it is no fragment
			}
			packets = append(packets, frag(7, whole, at, end))
			at = end
		}
		for range rnd.IntN(3) {
			packets = append(packets, packets[rnd.IntN(len(packets))])
		}
		rnd.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
		d := NewDecoder(DecoderOptions{})
		// All within the window of copies.
		var got []Segment
		for i := range packets {
			var s Segment
			if d.Decode(&packets[i], &s) {
				got = append(got, s)
			}
		}
		if len(got) != 1 || !bytes.Equal(got[0].Payload, whole[20:]) {
			t.Fatalf("%d segments of %d fragments; skipped %v", len(got), len(packets), d.Skipped)
		}

		// Second: whatever the script says. Every packet counts once, memory
		// stays in its bounds.
		d = NewDecoder(DecoderOptions{FragmentBytes: 1 << 18, FragmentPackets: 8})
		n, segments := uint64(0), uint64(0)
		for ; len(script) >= 4; script = script[4:] {
			id, at, size, how := int(script[0]%16), int(script[1])*8*(1+int(script[3]>>6)*16), int(script[2]), script[3]
			data := bytes.Repeat([]byte{how >> 5 & 1}, size)
			field := at / 8 & 0x1fff
			if how&1 != 0 {
				field |= 0x2000
			}
			p := packet(LinkRaw, ipv4Bytes(6, "10.0.0.1", "10.0.0.2", id, field, data))
			if how&2 != 0 {
				p = packet(LinkRaw, ipv6Bytes(44, "2001:db8::1", "2001:db8::2", []byte{6, 0}, be16(field<<3|int(how&1)), []byte{0, 0}, be16(id), data))
			}
			p.Time += int64(n) * int64(how) * 1e7
			var s Segment
			if d.Decode(&p, &s) {
				segments++
			}
			n++
			if d.frags.bytes > 1<<18+1<<17 || len(d.frags.byKey) > 8 {
				t.Fatalf("%d bytes of %d packets kept", d.frags.bytes, len(d.frags.byKey))
			}
			if total(&d.Skipped)+segments != n {
				t.Fatalf("skipped %v and %d segments of %d packets", d.Skipped, segments, n)
			}
		}
		d.Finish()
		if d.frags.bytes != 0 || total(&d.Skipped)+segments != n {
			t.Errorf("%d bytes kept; skipped %v and %d segments of %d packets", d.frags.bytes, d.Skipped, segments, n)
		}
	})
}
