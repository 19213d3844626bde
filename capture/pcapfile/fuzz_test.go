package pcapfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/capture"
)

func seed(f *testing.F, want func(b []byte) bool) {
	for _, s := range samples() {
		if len(s.file) < 2000 && want(s.file) {
			f.Add(s.file)
		}
	}
	index, err := os.ReadFile(corpus + "/INDEX.tsv")
	if err != nil {
		return
	}
	for _, line := range bytes.Split(index, []byte("\n"))[1:] {
		if col := bytes.Split(line, []byte("\t")); len(col) > 2 {
			if b, err := os.ReadFile(corpus + "/" + string(col[1])); err == nil && len(b) < 3000 && want(b) {
				f.Add(b)
			}
		}
	}
}

// check reads b in two ways and compares.
func check(t *testing.T, b []byte) []got {
	all, info, err := readBytes(t, b)
	if err == nil && info.Bytes > uint64(len(b)) {
		t.Errorf("%d bytes read of %d", info.Bytes, len(b))
	}
	again, _, err2 := read(t, iotest.HalfReader(bytes.NewReader(b)), Options{Pool: capture.NewBlockPool(100, 2)})
	if !cmp.Equal(all, again) || fmt.Sprint(err) != fmt.Sprint(err2) {
		t.Errorf("in pieces %d packets, %v; else %d, %v", len(again), err2, len(all), err)
	}
	again, _, _, err2 = readAhead(t, b, 64, 32)
	if !cmp.Equal(all, again) || fmt.Sprint(err) != fmt.Sprint(err2) {
		t.Errorf("read ahead %d packets, %v; else %d, %v", len(again), err2, len(all), err)
	}
	return all
}

func FuzzPcap(f *testing.F) {
	seed(f, func(b []byte) bool { return pcapMagic(b).variant != "" })
	f.Fuzz(func(t *testing.T, b []byte) {
		all := check(t, b)
		total := 0
		for _, p := range all {
			total += len(p.Data) + recordHeader
		}
		if pcapMagic(b).variant != "" && total > len(b) {
			t.Errorf("%d bytes lent of %d", total, len(b))
		}
	})
}

func FuzzPcapng(f *testing.F) {
	seed(f, isPcapng)
	f.Fuzz(func(t *testing.T, b []byte) { check(t, b) })
}

// FuzzDecompress feeds compressed streams, whole and broken. However the file
// comes in, the packets and the error are the same; the error says where; and
// what is read is in proportion to the file.
func FuzzDecompress(f *testing.F) {
	small := manyPackets(3)
	skip := newBuild(little).put(uint32(0x184d2a53), 5, make([]byte, 5)).b
	for _, c := range compressions {
		b := pack(f, c, small)
		f.Add(b)
		f.Add(b[:len(b)-3])
		f.Add(slices.Concat(b, b))
		f.Add(slices.Concat(pack(f, c, nil), b))
		f.Add(pack(f, c, b))
		f.Add(slices.Concat(skip, b, skip))
		f.Add(slices.Concat(b, []byte("garbage")))
		f.Add(pack(f, c, []byte("text")))
	}
	f.Add(rle((20-10)<<3, small, 30))
	seed(f, func(b []byte) bool { return compressionOf(b) != plain })
	f.Fuzz(func(t *testing.T, b []byte) {
		if compressionOf(b) == plain {
			return
		}
		const enough = 20_000 // packets
		read := func(r io.Reader) (n int, size int64, info capture.Info, err error) {
			src, err := NewReader(r, "x", -1, Options{Pool: capture.NewBlockPool(4096, 2)})
			if err != nil {
				return 0, 0, info, err
			}
			defer src.Close()
			var p capture.Packet
			for err = src.Next(&p); err == nil && n < enough; err = src.Next(&p) {
				n++
				size += int64(len(p.Data))
			}
			return n, size, src.Info(), err
		}
		n, size, info, err := read(bytes.NewReader(b))
		n2, size2, info2, err2 := read(iotest.OneByteReader(bytes.NewReader(b)))
		if n != n2 || size != size2 || info.Format != info2.Format || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("%d packets, %d bytes, %q, %v; byte by byte %d, %d, %q, %v", n, size, info.Format, err, n2, size2, info2.Format, err2)
		}
		if info.Bytes > uint64(len(b)) {
			t.Errorf("%d bytes read of %d", info.Bytes, len(b))
		}
		if err != nil && err != io.EOF {
			if e := checkReadError(t, err); e != nil && strings.HasPrefix(info.Format, "pcap+") && e.Frame != uint64(n) {
				t.Errorf("%d packets, then %+v", n, e)
			}
		}
	})
}

// FuzzCompressed puts captures into each compression and cuts them short.
func FuzzCompressed(f *testing.F) {
	small := manyPackets(3)
	for _, n := range []uint16{0, 20, 60, 1 << 15} {
		f.Add(small, n)
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		if pcapMagic(b).variant == "" {
			return
		}
		want, _, _ := readBytes(t, b)
		for _, c := range compressions {
			packed := pack(t, c, b)
			all, _, _ := readBytes(t, packed)
			if !cmp.Equal(want, all) {
				t.Fatalf("%v: %d packets, plain %d", c, len(all), len(want))
			}
			if all, _, err := readBytes(t, packed[:min(int(n), len(packed)-1)]); err == nil || len(all) > len(want) {
				t.Fatalf("%v, cut at %d of %d: %d packets, %v", c, n, len(packed), len(all), err)
			}
		}
	})
}
