package runner_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// BenchmarkModel measures what a packet costs where the work on it is divided,
// each part by itself on one core, and says what follows for machines with
// more: how many times as quick as one core n of them are, which is all that
// such a machine could show.
//
//	read  reading the file, record by record
//	sift  decoding, leaving out copies and twins, and dealing out
//	work  all the rest, in as many workers as there are cores
//
// Up to two workers the reader sifts. The slowest sets the pace: the reader,
// the sieve, the worker with the largest share of the segments, or all cores at
// work all the time. From "wall" cores on it is one of the first two, and more
// of them are of no use. CONNLINT_BENCH_FILE names a capture to take instead of
// those made up.
func BenchmarkModel(b *testing.B) {
	if path := os.Getenv("CONNLINT_BENCH_FILE"); path != "" {
		benchmarkModel(b, path)
		return
	}
	many := map[string]string{"churn": loads["churn"]}
	for i := range 100 {
		many["api"] += fmt.Sprintf(`
conn c%d 10.0.1.%d:40000 > 10.0.0.2:80 ts at=%d
+0 handshake
repeat 200
+1ms > P "GET /v1/items/{1000+i} HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1\r\nX-Request-Id: {i}\r\n\r\n"
+1ms < P "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n" len=400
end
`, i, i, i)
	}
	for _, name := range []string{"api", "churn"} {
		b.Run(name, func(b *testing.B) {
			s, err := script.Parse(name, many[name])
			if err != nil {
				b.Fatal(err)
			}
			path := filepath.Join(b.TempDir(), "x.pcap")
			if err := os.WriteFile(path, pcapOf(s), 0o600); err != nil {
				b.Fatal(err)
			}
			benchmarkModel(b, path)
		})
	}
}

func benchmarkModel(b *testing.B, path string) {
	open := func() capture.Source {
		src, err := pcapfile.Open(path, pcapfile.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return src
	}
	cores := []int{1, 2, 4, 8, 16}
	dealt := map[int][]float64{} // segments of each worker, by number of cores
	for _, n := range cores {
		dealt[n] = make([]float64, n)
	}
	passOver(b, open(), true, func(s *capture.Segment) {
		for _, n := range cores {
			dealt[n][uint64(s.Flow.Spread())*uint64(n)>>32]++
		}
	})
	var read, sift, all []float64 // ns for a packet up to there, by round
	for b.Loop() {
		start := time.Now()
		packets := passOver(b, open(), false, nil)
		each := func() float64 {
			t := float64(time.Since(start).Nanoseconds()) / float64(packets)
			start = time.Now()
			return t
		}
		read = append(read, each())
		copies, twins := new(capture.Copies), new(capture.Twins)
		passOver(b, open(), true, func(s *capture.Segment) {
			if !copies.Seen(s) {
				s.Twin = twins.Observe(s)
			}
		})
		sift = append(sift, each())
		src := open()
		res := runner.Run(src, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: 1})
		if err := src.Close(); err != nil || res.Err != nil {
			b.Fatal(err, res.Err)
		}
		all = append(all, each())
	}
	// The quickest round had the machine to itself.
	r, t := slices.Min(read), slices.Min(all)
	s := slices.Min(sift) - r
	w := t - r - s
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(r, "read-ns/packet")
	b.ReportMetric(s, "sift-ns/packet")
	b.ReportMetric(w, "work-ns/packet")
	b.ReportMetric(t/max(r, s), "wall-cores")
	for _, n := range cores[1:] {
		pace := max(r, s)
		if n <= 2 {
			pace = r + s
		}
		share := slices.Max(dealt[n]) / dealt[1][0]
		b.ReportMetric(t/max(pace, w*share, t/float64(n)), fmt.Sprintf("x%d", n))
	}
}

// passOver reads what src holds, decodes it if with is set, and returns the
// number of packets.
func passOver(b *testing.B, src capture.Source, decode bool, with func(*capture.Segment)) (n int) {
	d := capture.NewDecoder(capture.DecoderOptions{})
	var p capture.Packet
	segs := make([]capture.Segment, 512) // as in a batch
	for {
		if err := src.Next(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			b.Fatal(err)
		}
		s := &segs[n%len(segs)]
		if n++; decode && d.Decode(&p, s) {
			with(s)
		}
	}
	if err := src.Close(); err != nil {
		b.Fatal(err)
	}
	return n
}

// pcapOf writes a script's packets as a capture file.
func pcapOf(s *script.Script) []byte {
	le := binary.LittleEndian
	var out []byte
	out = le.AppendUint32(out, 0xa1b23c4d) // nanoseconds
	out = le.AppendUint16(out, 2)
	out = le.AppendUint16(out, 4)
	out = append(out, make([]byte, 12)...)
	out = le.AppendUint32(out, uint32(capture.LinkEthernet))
	src := s.Source(0)
	for p := (capture.Packet{}); src.Next(&p) == nil; {
		out = le.AppendUint32(out, uint32(p.Time/1e9))
		out = le.AppendUint32(out, uint32(p.Time%1e9))
		out = le.AppendUint32(out, uint32(len(p.Data)))
		out = le.AppendUint32(out, uint32(p.OrigLen))
		out = append(out, p.Data...)
	}
	return out
}
