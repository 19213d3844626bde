package pcapfile

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/connlint/connlint/capture"
)

// rle is a zstd frame (RFC 8878 §3.1.1) of head and then n blocks of 128 KiB of
// zeros, four bytes each.
func rle(window byte, head []byte, n int) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, window}
	block := func(size, kind, last int) {
		v := size<<3 | kind<<1 | last
		b = append(b, byte(v), byte(v>>8), byte(v>>16))
	}
	block(len(head), 0, 0)
	b = append(b, head...)
	for i := range n {
		last := 0
		if i == n-1 {
			last = 1
		}
		block(128<<10, 1, last)
		b = append(b, 0)
	}
	return b
}

// zeros gives n zero bytes.
type zeros struct{ n int64 }

func (z *zeros) Read(b []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(z.n, int64(len(b))))
	clear(b[:n])
	z.n -= int64(n)
	return n, nil
}

// Compressed bombs are read in memory that does not grow with what they expand
// to, and for no longer than their own size warrants. All zeros are packets of
// no bytes to pcap.
func TestBombs(t *testing.T) {
	header := newBuild(little).pcap(magicMicro, 96, 1).b
	gz := func(r io.Reader) []byte {
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if _, err := w.Write(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, r); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	const (
		window8M   = (23 - 10) << 3
		window128M = (27 - 10) << 3
	)
	for _, tt := range []struct {
		name    string
		file    []byte
		packets uint64 // at least
		most    uint64 // at most
		reason  string // "" to its end
		memory  uint64
	}{
		{"gzip of 24 MiB", gz(&zeros{24 << 20}), 3 << 19, 3 << 19, "", 8 << 20},
		{"10 KB of zstd, of 300 MiB, with the largest window", rle(window128M, header, 2400), freeExpansion / 16, freeExpansion/16 + 12<<20/16, "expand to more than 1100 times their size", 192 << 20},
		{"zstd that is small", rle(window8M, header, 50), 50 << 17 / 16, 50 << 17 / 16, "", 32 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Logf("%d bytes", len(tt.file))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			src, err := NewReader(bytes.NewReader(tt.file), "x", int64(len(tt.file)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			var p capture.Packet
			for err == nil {
				err = src.Next(&p)
			}
			runtime.ReadMemStats(&after)
			if tt.reason == "" && err != io.EOF {
				t.Error(err)
			} else if tt.reason != "" {
				e := checkReadError(t, err)
				if e == nil || !strings.Contains(e.Reason, tt.reason) || e.Frame != p.Frame || e.Offset < freeExpansion {
					t.Errorf("%+v", e)
				}
			}
			if p.Frame < tt.packets || p.Frame > tt.most {
				t.Errorf("%d packets, want %d to %d", p.Frame, tt.packets, tt.most)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > tt.memory {
				t.Errorf("%d bytes allocated", n)
			}
		})
	}
	t.Run("gzip inside gzip", func(t *testing.T) {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write(gz(&zeros{4 << 20})); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		_, _, err := readBytes(t, out.Bytes())
		if err == nil || !strings.Contains(err.Error(), "compressed twice") {
			t.Errorf("%d bytes: %v", out.Len(), err)
		}
	})
	t.Run("a million empty members", func(t *testing.T) {
		var one bytes.Buffer
		if err := gzip.NewWriter(&one).Close(); err != nil {
			t.Fatal(err)
		}
		file := append(gz(&zeros{16}), bytes.Repeat(one.Bytes(), 100_000)...)
		if all, _, err := readBytes(t, file); err != nil || len(all) != 1 {
			t.Errorf("%d packets, %v", len(all), err)
		}
	})
}
