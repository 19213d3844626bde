package pcapfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
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

// FuzzCompressed feeds streams as they are, and what they hold put into each
// compression and cut short.
func FuzzCompressed(f *testing.F) {
	small := manyPackets(3)
	for _, c := range compressions {
		b := pack(f, c, small)
		f.Add(b, uint16(len(b)-2))
	}
	f.Add(small, uint16(20))
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		if compressionOf(b) != plain {
			src, err := NewReader(bytes.NewReader(b), "x", -1, Options{})
			if err != nil {
				return
			}
			defer src.Close()
			var p capture.Packet
			for i := 0; err == nil && i < 1e5; i++ {
				err = src.Next(&p)
			}
			if err != nil && err != io.EOF {
				checkReadError(t, err)
			}
			return
		}
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
