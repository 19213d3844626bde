package pcapfile

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/connlint/connlint/capture"
)

// benchFile writes about 64 MB of packets of the given size.
func benchFile(b *testing.B, size int, ng bool) (path string, packets int) {
	b.Helper()
	w := newBuild(little)
	if ng {
		w.shb().idb(1, 0)
	} else {
		w.pcap(magicMicro, 262144, 1)
	}
	data := string(bytes.Repeat([]byte{0xa5}, size))
	for len(w.b) < 64<<20 {
		if ng {
			w.epb(0, uint64(packets), size, data)
		} else {
			w.record(uint32(packets), 0, uint32(size), data)
		}
		packets++
	}
	path = filepath.Join(b.TempDir(), "x")
	if err := os.WriteFile(path, w.b, 0o600); err != nil {
		b.Fatal(err)
	}
	return path, packets
}

func BenchmarkNext(b *testing.B) {
	for _, bench := range []struct {
		name string
		size int
		ng   bool
	}{{"pcap/60", 60, false}, {"pcap/900", 900, false}, {"pcapng/60", 60, true}, {"pcapng/900", 900, true}} {
		b.Run(bench.name, func(b *testing.B) {
			path, packets := benchFile(b, bench.size, bench.ng)
			run(b, packets, func(opts Options) (capture.Source, error) { return Open(path, opts) })
		})
	}
}

// BenchmarkJoin merges two files that overlap packet by packet.
func BenchmarkJoin(b *testing.B) {
	path, packets := benchFile(b, 60, false)
	run(b, 2*packets, func(opts Options) (capture.Source, error) { return Join([]string{path, path}, opts), nil })
}

// BenchmarkFile reads the capture that PCAP names.
func BenchmarkFile(b *testing.B) {
	path := os.Getenv("PCAP")
	if path == "" {
		b.Skip("PCAP names no file")
	}
	run(b, 0, func(opts Options) (capture.Source, error) { return Open(path, opts) })
}

func BenchmarkCompressed(b *testing.B) {
	path, packets := benchFile(b, 900, false)
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range compressions {
		packed := pack(b, c, raw)
		b.Run(c.String(), func(b *testing.B) {
			run(b, packets, func(opts Options) (capture.Source, error) {
				return NewReader(bytes.NewReader(packed), "x", -1, opts)
			})
			b.SetBytes(int64(len(raw)))
		})
	}
}

func run(b *testing.B, packets int, open func(Options) (capture.Source, error)) {
	opts := Options{Pool: capture.NewBlockPool(blockSize, 4)}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		src, err := open(opts)
		if err != nil {
			b.Fatal(err)
		}
		var p capture.Packet
		for err == nil {
			if err = src.Next(&p); err == nil {
				n++
			}
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		b.SetBytes(int64(src.Info().Bytes))
		src.Close()
	}
	if packets > 0 && n != packets*b.N {
		b.Fatalf("%d packets, want %d", n, packets*b.N)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
}

// BenchmarkRead is the floor: read(2) into one block.
func BenchmarkRead(b *testing.B) {
	path := os.Getenv("PCAP")
	if path == "" {
		path, _ = benchFile(b, 900, false)
	}
	buf := make([]byte, blockSize)
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		total := int64(0)
		for {
			n, err := f.Read(buf)
			total += int64(n)
			if err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(total)
		f.Close()
	}
}
