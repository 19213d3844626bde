package pcapfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/connlint/connlint/capture"
)

// sample is a hand-built file and what it holds.
type sample struct {
	name string
	file []byte
	want []got
	info capture.Info // Format, LinkTypes, Dropped, SnapLen
	err  string       // part of the error, "" if none
	at   int64        // its offset
	cut  bool
}

const second = int64(1e9)

func samples() []sample {
	all := strangers()
	for _, order := range [...]struct {
		name string
		new  func() *build
	}{
		{"le", func() *build { return newBuild(little) }},
		{"be", func() *build { return newBuild(big) }},
	} {
		for _, s := range append(pcapSamples(order.new), ngSamples(order.new)...) {
			s.name += " " + order.name
			all = append(all, s)
		}
	}
	return all
}

// strangers are no captures; what they are shows late.
func strangers() []sample {
	text := strings.Repeat("some text ", 30)
	return []sample{
		{name: "text", file: []byte(text), err: "text", at: -1},
		{name: "text first", file: []byte(text + "\x00\xff"), err: "neither", at: -1},
		{name: "tar", file: []byte("name" + strings.Repeat("\x00", 253) + "ustar\x0000"), err: "tar archive", at: -1},
	}
}

func pcapSamples(w func() *build) []sample {
	ether := []capture.LinkType{1}
	abc := []got{{"abc", 3, 10*second + 5000, 1}}
	version := func(major, minor uint16, link uint32) *build {
		return w().put(magicMicro, major, minor, 0, 0, 96, link)
	}
	return []sample{
		{name: "micro", file: w().pcap(magicMicro, 65535, 1).record(10, 5, 3, "abc").record(math.MaxUint32, 999999, 99, "d").b,
			want: []got{abc[0], {"d", 99, math.MaxUint32*second + 999999000, 1}},
			info: capture.Info{Format: "pcap", LinkTypes: ether, SnapLen: 65535}},
		{name: "nano", file: w().pcap(magicNano, 0, 113).record(10, 5, 3, "abc").record(9, 0, 0, "").b,
			want: []got{{"abc", 3, 10*second + 5, 113}, {"", 0, 9 * second, 113}},
			info: capture.Info{Format: "pcap-ns", LinkTypes: []capture.LinkType{113}}},
		{name: "huge snaplen", file: w().pcap(magicMicro, math.MaxUint32, 1).record(10, 5, 0, "abc").b,
			want: abc, info: capture.Info{Format: "pcap", LinkTypes: ether}},
		{name: "longer than snaplen", file: w().pcap(magicMicro, 2, 1).record(10, 5, 3, "abc").b,
			want: abc, info: capture.Info{Format: "pcap", LinkTypes: ether, SnapLen: 2}},
		{name: "modified", file: w().pcap(magicModified, 96, 1).
			put(10, 5, 3, 3, 7, uint16(0x800), uint8(0), uint8(0), "abc").
			put(11, 0, 1, 1, 7, uint16(0x800), uint8(4), uint8(0), "x").b,
			want: []got{abc[0], {"x", 1, 11 * second, 1}},
			info: capture.Info{Format: "pcap-modified", LinkTypes: ether, SnapLen: 96}},
		{name: "no packets", file: w().pcap(magicMicro, 96, 1).b,
			info: capture.Info{Format: "pcap", LinkTypes: ether, SnapLen: 96}},
		{name: "frame check sequence", file: w().pcap(magicMicro, 96, 0x24000001).record(10, 5, 3, "abc").b,
			want: abc, info: capture.Info{Format: "pcap", LinkTypes: ether, SnapLen: 96}},
		{name: "reserved bits", file: w().pcap(magicMicro, 96, 0x00200001).record(10, 5, 3, "abc").b, err: "reserved bits"},
		{name: "version 1", file: version(1, 4, 1).b, err: "pcap version 1.4"},
		{name: "version 3", file: version(3, 0, 1).b, err: "pcap version 3.0"},
		{name: "version 2.5", file: version(2, 5, 1).record(10, 5, 3, "abc").b,
			want: abc, info: capture.Info{Format: "pcap", LinkTypes: ether, SnapLen: 96}},
		{name: "version 2.1", file: version(2, 1, 1).put(10, 5, 4, 3, "abc").b,
			want: []got{{"abc", 4, 10*second + 5000, 1}}, info: capture.Info{Format: "pcap", LinkTypes: ether, SnapLen: 96}},
		{name: "version 2.3", file: version(2, 3, 1).put(10, 5, 4, 3, "abc").put(10, 5, 3, 4, "abc").b,
			want: []got{{"abc", 4, 10*second + 5000, 1}, {"abc", 4, 10*second + 5000, 1}}, info: capture.Info{Format: "pcap", LinkTypes: ether, SnapLen: 96}},
		{name: "AIX", file: version(2, 2, 6).record(10, 5000, 3, "abc").b,
			want: abc, info: capture.Info{Format: "pcap-aix", LinkTypes: ether, SnapLen: 96}},
		{name: "Nokia", file: w().pcap(magicMicro, 96, 1).put(int(1e9), 5, 3, 3, 0, "abc").put(int(1e9), 5, 3, 3, 0, "abc").put(int(1e9), 5, 9, 9, 0, "abcdefghi").b,
			want: []got{{"\x00\x00\x00", 3, 1e9*second + 5000, 1}}, err: "Nokia", at: 24 + 19},
		{name: "longer header", file: w().pcap(magicMicro, 96, 1).put(int(1e9), 5, 3, 3, 0, 0, "abc").put(int(1e9), 5, 3, 3, 0, 0, "abc").put(int(1e9), 5, 9, 9, 0, 0, "abcdefghi").b,
			want: []got{{"\x00\x00\x00", 3, 1e9*second + 5000, 1}}, err: "modified", at: 24 + 19},
		{name: "too long", file: w().pcap(magicMicro, 96, 1).record(10, 5, 3, "abc").put(10, 5, mostPacket+1, mostPacket+1).put(make([]byte, mostPacket+1)).b,
			want: abc, err: "damaged: a record of 262145 bytes", at: 24 + 19},
		{name: "long on USB", file: w().pcap(magicMicro, 96, 220).record(10, 0, 0, strings.Repeat("u", 3<<20)).record(10, 0, 0, "v").b,
			want: []got{{strings.Repeat("u", 3<<20), 3 << 20, 10 * second, 220}, {"v", 1, 10 * second, 220}},
			info: capture.Info{Format: "pcap", LinkTypes: []capture.LinkType{220}, SnapLen: 96}},
		{name: "cut", file: w().pcap(magicMicro, 96, 1).record(10, 5, 3, "abc").put(10, 5, 3, 3, "ab").b,
			want: abc, err: "ends inside a record", at: 24 + 19, cut: true},
		{name: "cut header", file: w().pcap(magicMicro, 96, 1).b[:20], err: "ends inside its header", cut: true},
	}
}

func ngSamples(w func() *build) []sample {
	abc := func(t int64) got { return got{"abc", 3, t, 1} }
	ether := []capture.LinkType{1}
	info := capture.Info{Format: "pcapng", LinkTypes: ether, SnapLen: 96}
	o := w() // for options
	resolution := func(v uint8) *build {
		return w().shb().idb(1, 96, o.option(2, "eth0"), o.option(optionResolution, v))
	}
	plain := func() *build { return w().shb().idb(1, 96) }
	header := int64(28)
	other := newBuild(little)
	if o.AppendByteOrder == little {
		other = newBuild(big)
	}
	many := w().shb()
	for i := range 100 {
		many.idb(uint16(i), 0)
	}
	return []sample{
		{name: "ng", file: plain().epb(0, 10e6+5, 3, "abc").epb(0, 1<<40, 9, "").b,
			want: []got{abc(10*second + 5000), {"", 9, 1 << 40 * 1000, 1}}, info: info},
		{name: "ng nano", file: resolution(9).epb(0, 1e10+5, 3, "abc").b, want: []got{abc(1e10 + 5)}, info: info},
		{name: "ng pico", file: resolution(12).epb(0, 1e13+5678, 3, "abc").b, want: []got{abc(1e10 + 5)}, info: info},
		{name: "ng seconds", file: resolution(0).epb(0, 10, 3, "abc").epb(0, 1<<62, 3, "abc").epb(0, 1<<63, 3, "abc").epb(0, math.MaxUint64, 3, "abc").b,
			want: []got{abc(10 * second), abc(math.MaxInt64), abc(math.MaxInt64), abc(-second)}, info: info},
		{name: "ng negative", file: plain().epb(0, math.MaxUint64-4, 3, "abc").b, want: []got{abc(-5000)}, info: info},
		{name: "ng negative before 1970", file: w().shb().idb(1, 96, o.option(optionOffset, uint64(1<<63))).epb(0, ^uint64(9223372036854000), 3, "abc").b,
			want: []got{abc(math.MinInt64)}, info: info},
		{name: "ng 10^-28", file: resolution(28).epb(0, math.MaxUint64, 3, "abc").b, want: []got{abc(1)}, info: info},
		{name: "ng 10^-127", file: resolution(127).epb(0, math.MaxUint64, 3, "abc").b, want: []got{abc(0)}, info: info},
		{name: "ng 2^0", file: resolution(0x80).epb(0, 10, 3, "abc").b, want: []got{abc(10 * second)}, info: info},
		{name: "ng 2^-10", file: resolution(0x8a).epb(0, 1024+512, 3, "abc").b, want: []got{abc(1.5e9)}, info: info},
		{name: "ng 2^-32", file: resolution(0xa0).epb(0, 3<<31, 3, "abc").b, want: []got{abc(1.5e9)}, info: info},
		{name: "ng 2^-64", file: resolution(0xc0).epb(0, 1<<63, 3, "abc").b, want: []got{abc(0.5e9)}, info: info},
		{name: "ng 2^-65", file: resolution(0xc1).epb(0, 1<<63, 3, "abc").b, want: []got{abc(0.25e9)}, info: info},
		{name: "ng 2^-127", file: resolution(0xff).epb(0, 1<<63, 3, "abc").b, want: []got{abc(0)}, info: info},
		{name: "ng offset", file: w().shb().idb(1, 96, o.option(optionOffset, uint64(1000))).epb(0, 5, 3, "abc").b,
			want: []got{abc(1000*second + 5000)}, info: info},
		{name: "ng offset before 1970", file: w().shb().idb(1, 96, o.option(optionOffset, ^uint64(0))).epb(0, 5, 3, "abc").b,
			want: []got{abc(-second + 5000)}, info: info},
		{name: "ng offset beyond", file: w().shb().idb(1, 96, o.option(optionOffset, uint64(math.MaxInt64))).epb(0, 1e15, 3, "abc").b,
			want: []got{abc(math.MaxInt64)}, info: info},
		{name: "ng option after the end", file: w().shb().idb(1, 96, o.option(0, ""), o.option(optionResolution, uint8(9))).epb(0, 5, 3, "abc").b,
			want: []got{abc(5000)}, info: info},
		{name: "ng resolution of 2 bytes", file: w().shb().idb(1, 96, o.option(optionResolution, uint16(9))).b, err: "option 9 has 2 bytes", at: header},
		{name: "ng option past block", file: w().shb().idb(1, 96, uint16(2), uint16(99)).b, err: "options of an interface", at: header},
		{name: "ng simple", file: plain().block(blockSimple, 3, "abc").epb(0, 5, 3, "abc").block(blockSimple, 200, strings.Repeat("x", 96)).b,
			want: []got{abc(0), abc(5000), {strings.Repeat("x", 96), 200, 5000, 1}}, info: info},
		{name: "ng simple unlimited", file: w().shb().idb(1, 0).block(blockSimple, 97, strings.Repeat("x", 97)).b,
			want: []got{{strings.Repeat("x", 97), 97, 0, 1}}, info: capture.Info{Format: "pcapng", LinkTypes: ether}},
		{name: "ng simple too short", file: plain().block(blockSimple, 9, "12345678").b, err: "a packet of 9 bytes", at: header + 20},
		{name: "ng simple without interface", file: w().shb().block(blockSimple, 3, "abc").b, err: "without an interface", at: header},
		{name: "ng old packet", file: plain().block(blockPacket, uint16(0), uint16(2), 0, 5, 3, 3, "abc").block(blockPacket, uint16(0), uint16(0xffff), 0, 5, 3, 3, "abc").b,
			want: []got{abc(5000), abc(5000)}, info: capture.Info{Format: "pcapng", LinkTypes: ether, SnapLen: 96, Dropped: 2}},
		{name: "ng others", file: plain().
			block(4, uint16(1), uint16(8), "\x0a\x00\x00\x01a.b\x00", 0).block(9, "MESSAGE=x\n").block(10, 0x544c534b, 4, "CLNT").
			block(0xbad, 1, "mine").block(0x40000bad, 1, "mine").block(0x80000001, "").block(0x204, make([]byte, 200000)).
			epb(0, 5, 3, "abc").b, want: []got{abc(5000)}, info: info},
		{name: "ng drops", file: plain().idb(1, 96).idb(1, 96).
			epb(0, 5, 3, "abc", o.option(1, "c"), o.option(optionPacketDrops, uint64(2)), o.option(0, "")).
			epb(0, 5, 3, "abc", o.option(optionPacketDrops, uint64(3))).
			epb(1, 5, 3, "abc", o.option(optionPacketDrops, uint64(4))).
			epb(1, 5, 3, "abc", uint16(9), uint16(99)).
			block(blockStatistics, 1, 0, 0, o.option(optionInterfaceDrops, uint64(1))).
			block(blockStatistics, 1, 0, 0, o.option(optionInterfaceDrops, uint64(10)), o.option(optionSystemDrops, uint64(20))).
			block(blockStatistics, 2, 0, 0, o.option(4, uint64(7))).
			block(blockStatistics, 9, 0, 0, o.option(optionSystemDrops, uint64(7))).
			shb().idb(1, 96).epb(0, 5, 3, "abc", o.option(optionPacketDrops, uint64(100))).b,
			want: []got{abc(5000), abc(5000), abc(5000), abc(5000), abc(5000)},
			info: capture.Info{Format: "pcapng", LinkTypes: ether, SnapLen: 96, Dropped: 5 + 30 + 100}},
		{name: "ng interfaces", file: w().shb().idb(1, 96).idb(113, 64, o.option(optionResolution, uint8(9))).epb(1, 5, 3, "abc").epb(0, 5, 3, "abc").idb(276, 200).epb(2, 5, 3, "abc").b,
			want: []got{{"abc", 3, 5, 113}, abc(5000), {"abc", 3, 5000, 276}},
			info: capture.Info{Format: "pcapng", LinkTypes: []capture.LinkType{1, 113, 276}, SnapLen: 200}},
		{name: "ng one unlimited", file: w().shb().idb(1, 0).idb(1, 96).b, info: capture.Info{Format: "pcapng", LinkTypes: ether}},
		{name: "ng sections", file: bytes.Join([][]byte{plain().epb(0, 5, 3, "abc").b, other.shb().idb(101, 96).epb(0, 6, 3, "abc").b}, nil),
			want: []got{abc(5000), {"abc", 3, 6000, 101}},
			info: capture.Info{Format: "pcapng", LinkTypes: []capture.LinkType{1, 101}, SnapLen: 96}},
		{name: "ng interface of another section", file: plain().epb(0, 5, 3, "abc").shb().epb(0, 5, 3, "abc").b,
			want: []got{abc(5000)}, err: "interface 0, but the section has 0", at: header + 20 + 36 + 28},
		{name: "ng section length and options", file: w().block(blockSection, byteOrderMagic, uint16(1), uint16(2), uint64(56), o.option(4, "dumpcap"), o.option(0, "")).idb(1, 96).epb(0, 5, 3, "abc").b,
			want: []got{abc(5000)}, info: info},
		{name: "ng many links", file: many.b, info: capture.Info{Format: "pcapng", LinkTypes: links(maxLinks)}},
		{name: "ng version 1.1", file: w().block(blockSection, byteOrderMagic, uint16(1), uint16(1), ^uint64(0)).b, err: "pcapng version 1.1"},
		{name: "ng version 2.0", file: plain().block(blockSection, byteOrderMagic, uint16(2), uint16(0), ^uint64(0)).b, err: "pcapng version 2.0", at: header + 20},
		{name: "ng no byte order", file: plain().block(blockSection, 0x12345678, uint16(1), uint16(0), ^uint64(0)).b, err: "without byte order", at: header + 20},
		{name: "ng lengths differ", file: plain().put(uint32(blockEnhanced), 36, 0, 0, 5, 3, 3, "abc\x00", 40).b, err: "two lengths differ: 36 and 40", at: header + 20},
		{name: "ng lengths of a skipped block differ", file: plain().put(99, 16, 0, 20).b, err: "two lengths differ: 16 and 20", at: header + 20},
		{name: "ng length not padded", file: plain().put(99, 15, 0, 0).b, err: "no multiple of 4", at: header + 20},
		{name: "ng length zero", file: plain().put(0, 0, 0).b, err: "a block of 0 bytes", at: header + 20},
		{name: "ng length huge", file: plain().put(99, 0x10000000).b, err: "more than", at: header + 20},
		{name: "ng packet beyond its block", file: plain().block(blockEnhanced, 0, 0, 5, 8, 8, "abc\x00").b, err: "a packet of 8 bytes in a block of 36", at: header + 20},
		{name: "ng packet too long", file: plain().epb(0, 5, 0, strings.Repeat("x", mostPacket+1)).b, err: "a packet of 262145 bytes", at: header + 20},
		{name: "ng cut", file: plain().epb(0, 5, 3, "abc").epb(0, 5, 3, "abc").b[:header+20+36+30], want: []got{abc(5000)},
			err: "ends inside a record", at: header + 20 + 36, cut: true},
		{name: "ng cut in a skipped block", file: plain().put(99, 100, 0).b, err: "ends inside a record", at: header + 20, cut: true},
	}
}

func links(n int) (all []capture.LinkType) {
	for i := range n {
		all = append(all, capture.LinkType(i))
	}
	return all
}

func TestSamples(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			all, info, err := readBytes(t, s.file)
			if d := cmp.Diff(s.want, all); d != "" {
				t.Errorf("packets (-want +got):\n%.2000s", d)
			}
			if s.err != "" {
				e := checkReadError(t, err)
				if e == nil || !strings.Contains(e.Reason, s.err) || e.Offset != s.at || e.Cut != s.cut {
					t.Errorf("error %+v, want %q at %d, cut %v", e, s.err, s.at, s.cut)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s.info.Name, s.info.Size, s.info.Bytes = "x", -1, uint64(len(s.file))
			if d := cmp.Diff(s.info, info); d != "" {
				t.Errorf("info (-want +got):\n%s", d)
			}
		})
	}
}

// TestPieces reads every sample in pieces and through small blocks: nothing
// may depend on where a read or a block ends.
func TestPieces(t *testing.T) {
	for _, s := range samples() {
		want, wantInfo, wantErr := readBytes(t, s.file)
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"one byte": iotest.OneByteReader,
			"half":     iotest.HalfReader,
			"data err": iotest.DataErrReader,
			"odd":      func(r io.Reader) io.Reader { return &oddReader{r: r} },
			"whole":    func(r io.Reader) io.Reader { return r },
		} {
			for _, size := range []int{24, 37, 64, 1000, blockSize} {
				if len(s.file) > 1<<20 && (name != "whole" || size < 1000) {
					continue
				}
				all, info, err := read(t, wrap(bytes.NewReader(s.file)), Options{Pool: capture.NewBlockPool(size, 2)})
				if !cmp.Equal(want, all) || fmt.Sprint(err) != fmt.Sprint(wantErr) || wantErr == nil && !cmp.Equal(wantInfo, info) {
					t.Fatalf("%s, %s, blocks of %d: %d packets, %v, %v; want %d, %v, %v",
						s.name, name, size, len(all), info, err, len(want), wantInfo, wantErr)
				}
			}
		}
	}
}

// oddReader returns pieces of 1, 2, 3, ... 13, 0, 1, ... bytes.
type oddReader struct {
	r io.Reader
	n int
}

func (o *oddReader) Read(b []byte) (int, error) {
	o.n = (o.n + 1) % 14
	return o.r.Read(b[:min(o.n, len(b))])
}

// TestTruncation cuts every small sample at every byte.
func TestTruncation(t *testing.T) {
	for _, s := range samples() {
		if len(s.file) > 5000 || s.err != "" {
			continue
		}
		for n := range s.file {
			all, _, err := readBytes(t, s.file[:n])
			if len(all) > len(s.want) || !cmp.Equal(all, s.want[:len(all)]) && len(all) > 0 {
				t.Fatalf("%s cut at %d: %v", s.name, n, all)
			}
			if err == nil {
				continue // between two records
			}
			e := checkReadError(t, err)
			if e != nil && e.Cut != (n >= 4) {
				t.Errorf("%s cut at %d: %+v", s.name, n, e)
			}
		}
	}
}

// pack compresses b.
func pack(t testing.TB, c compression, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch c {
	case gzipped:
		w = gzip.NewWriter(&out)
	case zstandard:
		z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		w = z
	case lz4Frame:
		w = lz4.NewWriter(&out)
	default:
		return b
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var compressions = []compression{gzipped, zstandard, lz4Frame}

func manyPackets(n int) []byte {
	w := newBuild(little).pcap(magicMicro, 96, 1)
	for i := range n {
		w.record(uint32(i), 0, 1500, fmt.Sprintf("%0*d", i%90, i))
	}
	return w.b
}

func TestCompression(t *testing.T) {
	raw := manyPackets(5000)
	want, _, _ := readBytes(t, raw)
	for _, c := range compressions {
		t.Run(c.String(), func(t *testing.T) {
			packed := pack(t, c, raw)
			all, info, err := readBytes(t, packed)
			if err != nil || !cmp.Equal(want, all) {
				t.Fatalf("%d packets, %v", len(all), err)
			}
			if info.Format != "pcap+"+c.String() || info.Bytes != uint64(len(packed)) {
				t.Errorf("%+v of %d bytes", info, len(packed))
			}
			if all, _, err := read(t, iotest.OneByteReader(bytes.NewReader(packed)), Options{}); err != nil || !cmp.Equal(want, all) {
				t.Errorf("byte by byte: %d packets, %v", len(all), err)
			}
			// Members one behind the other are one stream.
			two := append(pack(t, c, raw[:777]), pack(t, c, raw[777:])...)
			if all, _, err := readBytes(t, two); err != nil || !cmp.Equal(want, all) {
				t.Errorf("two members: %d packets, %v", len(all), err)
			}
			if _, _, err := readBytes(t, pack(t, c, packed)); err == nil || !strings.Contains(err.Error(), "compressed twice") {
				t.Errorf("compressed twice: %v", err)
			}
			if _, _, err := readBytes(t, pack(t, c, []byte("GET / HTTP/1.1\r\n"))); err == nil || !strings.Contains(err.Error(), "text") {
				t.Errorf("text: %v", err)
			}
			if _, _, err := readBytes(t, pack(t, c, nil)); err == nil || !strings.Contains(err.Error(), "nothing inside") {
				t.Errorf("nothing inside: %v", err)
			}
			for n := 4; n < len(packed); n += 1 + n/64 {
				all, _, err := readBytes(t, packed[:n])
				e := checkReadError(t, err)
				if e == nil || !e.Cut || len(all) > 0 && !cmp.Equal(want[:len(all)], all) {
					t.Fatalf("cut at %d of %d: %d packets, %+v", n, len(packed), len(all), e)
				}
			}
			broken := bytes.Clone(packed)
			for i := range 16 {
				broken[len(broken)/2+i] ^= 0x55
			}
			if _, _, err := readBytes(t, broken); err == nil {
				t.Error("damage not seen")
			}
		})
	}
}

// TestSkippableFrame reads what pzstd and lz4 may put before the data.
func TestSkippableFrame(t *testing.T) {
	raw := manyPackets(50)
	for _, n := range []int{4, 100} {
		skip := newBuild(little).put(uint32(0x184d2a53), n, make([]byte, n)).b
		for _, c := range []compression{zstandard, lz4Frame} {
			file := append(bytes.Clone(skip), pack(t, c, raw)...)
			for _, r := range []io.Reader{bytes.NewReader(file), iotest.OneByteReader(bytes.NewReader(file))} {
				all, info, err := read(t, r, Options{})
				if err != nil || len(all) != 50 || info.Format != "pcap+"+c.String() {
					t.Errorf("%v: %d packets, %+v, %v", c, len(all), info, err)
				}
			}
		}
	}
}

// TestZstdWindow: a frame that asks for more memory than we give is refused.
func TestZstdWindow(t *testing.T) {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, (30 - 10) << 3} // 1 GiB (RFC 8878 §3.1.1.1.2)
	_, _, err := readBytes(t, append(frame, make([]byte, 100)...))
	if !errors.Is(err, zstd.ErrWindowSizeExceeded) && !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		t.Error(err)
	}
}

func TestNotCaptures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for want, path := range map[string]string{
		"the file is empty":                    write("empty.pcap", ""),
		"too short":                            write("short.pcap", "\xd4"),
		"text, not a capture":                  write("text.pcap", "12:00:01 IP 10.0.0.1 > 10.0.0.2: Flags [S]\nüber"),
		"neither pcap nor pcapng":              write("noise", "\x00\x01\x02\x03\xff\xfe\xfd\x0c0123456789"),
		"snoop capture (Solaris), which is":    write("x.snoop", "snoop\x00\x00\x00\x00\x00\x00\x02"),
		"Network Monitor 2":                    write("x.cap", "GMBU\x00\x02"),
		"unpack it first (xz -d)":              write("x.xz", "\xfd7zXZ\x00\x00\x04"),
		"tar archive":                          write("x.tar", "name"+strings.Repeat("\x00", 253)+"ustar\x0000"),
		"probably an ERF":                      write("x.erf", "\x00\x00\x00\x00\x00\x00\x00\x5f\x02\x04\x00\x50\x00\x00\x00\x40abcd"),
		"cannot open: is a directory":          dir,
		"cannot open: no such file or":         filepath.Join(dir, "absent"),
		"a pcapng section without byte order":  write("x.pcapng", "\x0a\x0d\x0d\x0a\x1c\x00\x00\x00abcd\x01\x00\x00\x00"),
		"the gzip data end early":              write("x.gz", "\x1f\x8b\x08\x00\x00"),
		"the zstd data are damaged: ":          write("x.zst", "\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		"editcap -F pcap":                      write("y.cap", "RTSS\x00\x02"),
		"modified pcap capture (Mesquita), wh": write("z.cap", "\xcd\x34\xb2\xa1\x02\x00"),
	} {
		src, err := Open(path, Options{})
		if err == nil {
			src.Close()
			t.Errorf("%s: opened", path)
			continue
		}
		if e := checkReadError(t, err); e == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v\nwant %q", err, want)
		}
	}
	if _, err := Open(filepath.Join(dir, "absent"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	if os.Getuid() != 0 {
		path := write("secret.pcap", "")
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v is not fs.ErrPermission", err)
		}
	}
}

// TestFrameNumbers: blocks that Wireshark numbers leave holes.
func TestFrameNumbers(t *testing.T) {
	w := newBuild(little).shb().idb(1, 0).epb(0, 5, 3, "abc")
	w.block(blockJournal, "x").epb(0, 5, 3, "abc").block(blockCustom, 1).block(blockCustomKept, 1).block(4, 0).block(10, 0).block(99, "").epb(0, 5, 3, "abc").put("cut")
	src, err := NewReader(bytes.NewReader(w.b), "x", -1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var frames []uint64
	for {
		var p capture.Packet
		if err = src.Next(&p); err != nil {
			break
		}
		frames = append(frames, p.Frame)
	}
	if d := cmp.Diff([]uint64{1, 3, 6}, frames); d != "" {
		t.Error(d)
	}
	if e := checkReadError(t, err); e == nil || e.Frame != 6 {
		t.Errorf("%+v", e)
	}
}

func TestReadFails(t *testing.T) {
	boom := errors.New("boom")
	raw := manyPackets(50)
	for _, file := range [][]byte{raw, pack(t, gzipped, raw), pack(t, zstandard, raw), pack(t, lz4Frame, raw)} {
		for _, n := range []int{0, 3, 30, len(file) - 3} {
			_, _, err := read(t, io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(boom)), Options{})
			if e := checkReadError(t, err); e == nil || !errors.Is(err, boom) || e.Reason != "cannot read" || e.Cut {
				t.Errorf("after %d bytes: %+v", n, e)
			}
		}
	}
	if _, _, err := read(t, idle{}, Options{}); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestStdin(t *testing.T) {
	src, err := Open("-", Options{Stdin: bytes.NewReader(manyPackets(3))})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := drain(t, src); len(all) != 3 || err != nil {
		t.Errorf("%d packets, %v", len(all), err)
	}
	if i := src.Info(); i.Name != "-" || i.Size != -1 {
		t.Errorf("%+v", i)
	}
}

// TestPipe: a packet is lent as soon as it is there, not when a block is full.
func TestPipe(t *testing.T) {
	r, w := io.Pipe()
	want := make(chan string)
	go func() {
		b := newBuild(little).pcap(magicMicro, 96, 1)
		w.Write(b.b)
		for s := range want {
			w.Write(newBuild(little).record(1, 2, 3, s).b)
		}
		w.Close()
	}()
	src, err := NewReader(r, "-", -1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var p capture.Packet
	for _, s := range []string{"a", "bc", "def"} {
		want <- s
		if err := src.Next(&p); err != nil || string(p.Data) != s {
			t.Fatalf("%q, %v", p.Data, err)
		}
	}
	close(want)
	if err := src.Next(&p); err != io.EOF {
		t.Error(err)
	}
}

// TestHeld: packets whose block is held stay as they are while the source goes on.
func TestHeld(t *testing.T) {
	raw := manyPackets(300)
	want, _, _ := readBytes(t, raw)
	src, err := NewReader(bytes.NewReader(raw), "x", -1, Options{Pool: capture.NewBlockPool(500, 4)})
	if err != nil {
		t.Fatal(err)
	}
	var held []capture.Packet
	for {
		var p capture.Packet
		if err := src.Next(&p); err != nil {
			break
		}
		p.Block.Retain()
		held = append(held, p)
	}
	src.Close()
	for i, p := range held {
		if string(p.Data) != want[i].Data {
			t.Fatalf("frame %d changed", i+1)
		}
		p.Block.Release()
	}
	if len(held) != len(want) {
		t.Errorf("%d packets", len(held))
	}
}

func TestClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, manyPackets(3), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var p capture.Packet
	if err := src.Next(&p); err != nil {
		t.Fatal(err)
	}
	if i := src.Info(); i.Size != int64(len(manyPackets(3))) {
		t.Errorf("%+v", i)
	}
	for range 2 {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := src.Next(&p); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestNoAllocation(t *testing.T) {
	ng := newBuild(big).shb().idb(1, 0)
	for i := range 50000 {
		ng.epb(0, uint64(i), 100, strings.Repeat("x", i%90), ng.option(optionPacketDrops, uint64(1)))
		ng.block(99, "skipped")
	}
	for name, raw := range map[string][]byte{"pcap": manyPackets(100000), "pcapng": ng.b} {
		src, err := NewReader(bytes.NewReader(raw), "x", -1, Options{Pool: capture.NewBlockPool(64<<10, 4)})
		if err != nil {
			t.Fatal(err)
		}
		var p capture.Packet
		next := func() {
			if err := src.Next(&p); err != nil {
				t.Fatal(name, err)
			}
		}
		for range 3000 { // until both blocks are there
			next()
		}
		if n := testing.AllocsPerRun(40000, next); n != 0 {
			t.Errorf("%s: %v allocations per packet", name, n)
		}
	}
}
