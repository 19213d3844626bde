package shard_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly/shard"
)

// traffic is many connections interleaved, with a packet seen twice, one that
// is no TCP to the decoder, and a clock that runs back once.
func traffic(t *testing.T) *script.Script {
	t.Helper()
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "conn c%d 10.0.0.%d:40000 > 10.0.1.1:80 at=%g\n+0 handshake\n", i, i+1, float64(i)/1000)
		for j := range 20 {
			fmt.Fprintf(&b, "+0.005 > P \"request %d of %d\"\n+0.005 < P \"response %d\" len=3000\n", j, i, j)
		}
	}
	b.WriteString("conn twice 10.0.2.1:40000 > 10.0.1.1:80 at=1\n+0 > S dup\n+0.01 < S. skew=-500ms\n")
	s, err := script.Parse("traffic", b.String())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOrder checks that each connection's segments reach one worker, in
// capture order, with their bytes intact, for any number of workers.
func TestOrder(t *testing.T) {
	s := traffic(t)
	for _, n := range []int{1, 2, 3, 7} {
		order(t, s, s.Source(4096), n) // recycled and overwritten: bytes used too late show
	}
	for _, every := range []uint64{1, 7, 600, 1 << 20} {
		src := &pieced{Source: s.Source(4096), every: every}
		order(t, s, src, 2)
		// Nobody waits for a piece: each was read before it was gone on to.
		if p := src.packets / every; src.late != 0 || src.piece != p {
			t.Errorf("pieces of %d: at piece %d of %d, %d read late", every, src.piece, p, src.late)
		}
	}
}

func order(t *testing.T, s *script.Script, src capture.Source, n int) {
	t.Helper()
	var mu sync.Mutex
	owner, last := map[wire.Flow]int{}, map[wire.Flow]uint64{}
	text := map[wire.Flow]*bytes.Buffer{}
	told := make([][]uint64, n) // frames that a worker was told of ahead
	var workers []func(*capture.Segment)
	for w := range n {
		workers = append(workers, func(seg *capture.Segment) {
			mu.Lock()
			defer mu.Unlock()
			key, _ := seg.Flow.Canonical()
			if o, ok := owner[key]; ok && o != w {
				t.Errorf("%d workers: frame %d went to worker %d, the connection's first to %d", n, seg.Frame, w, o)
			}
			owner[key] = w
			if len(told[w]) == 0 || told[w][0] != seg.Frame {
				t.Errorf("%d workers: frame %d, told ahead were %d", n, seg.Frame, told[w])
			} else {
				told[w] = told[w][1:]
			}
			if seg.Frame <= last[key] {
				t.Errorf("%d workers: frame %d after %d", n, seg.Frame, last[key])
			}
			last[key] = seg.Frame
			if seg.Now < seg.Time {
				t.Errorf("frame %d: the clock shows %d before its time %d", seg.Frame, seg.Now, seg.Time)
			}
			if text[seg.Flow] == nil {
				text[seg.Flow] = new(bytes.Buffer)
			}
			text[seg.Flow].Write(seg.Payload)
		})
	}
	totals, err := shard.Run(src, workers, shard.Options{Ahead: func(w int, segs []capture.Segment, next []uint16) {
		mu.Lock()
		defer mu.Unlock()
		for _, i := range next {
			told[w] = append(told[w], segs[i].Frame)
		}
	}})
	if err != nil || src.Close() != nil {
		t.Fatal(err)
	}
	if totals.Packets != uint64(s.Packets()) || totals.Skipped[capture.Copy] != 1 || totals.Segments != totals.Packets-1 {
		t.Errorf("%d workers: %+v", n, totals)
	}
	if totals.ClockBack != 1 || totals.ClockBackMax != 490_050_000 || totals.ClockBackFrame != totals.Packets {
		t.Errorf("clock: %d packets back, by %d at most, first %d", totals.ClockBack, totals.ClockBackMax, totals.ClockBackFrame)
	}
	if len(owner) != 51 {
		t.Errorf("%d connections", len(owner))
	}
	for flow, b := range text {
		if i := bytes.IndexByte(b.Bytes(), 0xDB); i >= 0 {
			t.Errorf("%d workers: bytes of %v were overwritten at %d", n, flow, i)
		}
	}
}

// pieced is a source in pieces of so many packets.
type pieced struct {
	capture.Source
	every, packets, piece uint64
	paused                bool
	mu                    sync.Mutex
	read                  uint64 // pieces
	late                  int    // pieces that were not read when gone on to
}

func (p *pieced) Next(to *capture.Packet) error {
	if p.packets%p.every == 0 && p.packets > 0 {
		if p.paused = !p.paused; p.paused {
			return capture.ErrPause
		}
		p.mu.Lock()
		if p.read <= p.piece {
			p.late++
		}
		p.mu.Unlock()
		p.piece++
	}
	err := p.Source.Next(to)
	if err == nil {
		p.packets++
	}
	return err
}

func (p *pieced) Pieces() bool  { return true }
func (p *pieced) Piece() uint64 { return p.piece }

func (p *pieced) ReadAhead(n uint64) {
	p.mu.Lock()
	p.read = max(p.read, n+1)
	p.mu.Unlock()
}

// TestTicks checks that all workers pass the same ticks, each at the same place
// among the segments, whoever reads.
func TestTicks(t *testing.T) {
	const packets = 100_000
	var first []string
	for _, n := range []int{1, 2, 3} {
		for _, every := range []uint64{0, 100, 5000} {
			var src capture.Source = &endless{scripted(t), packets}
			if every > 0 {
				src = &pieced{Source: src, every: every}
				if n != 2 {
					continue
				}
			}
			frames := make([]uint64, n) // worked last, by each worker
			ticks := make([][]string, n)
			workers := make([]func(*capture.Segment), n)
			for i := range workers {
				workers[i] = func(s *capture.Segment) {
					if s.Frame <= frames[i] {
						t.Errorf("%d workers: frame %d after %d", n, s.Frame, frames[i])
					}
					frames[i] = s.Frame
				}
			}
			tick := func(i int, tick *shard.Tick) {
				if frames[i] >= tick.Packets {
					t.Errorf("%d workers: frame %d before the tick of %d", n, frames[i], tick.Packets)
				}
				ticks[i] = append(ticks[i], fmt.Sprint(tick.Packets, tick.First, tick.Now))
			}
			if _, err := shard.Run(src, workers, shard.Options{Tick: tick}); err != nil {
				t.Fatal(err)
			}
			for _, ticks := range ticks {
				if first == nil {
					first = ticks
				}
				if len(ticks) != packets>>14 || !slices.Equal(ticks, first) {
					t.Errorf("%d workers, pieces of %d: ticks %v; want %v", n, every, ticks, first)
				}
			}
		}
	}
}

// TestReadError checks that what was read before an error is dealt out.
func TestReadError(t *testing.T) {
	s, err := script.Parse("cut", "conn 10.0.0.1:40000 > 10.0.0.2:80\n+0 handshake\ntruncated\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3} {
		var mu sync.Mutex
		got := 0
		workers := make([]func(*capture.Segment), n)
		for i := range workers {
			workers[i] = func(*capture.Segment) { mu.Lock(); got++; mu.Unlock() }
		}
		if _, err := shard.Run(s.Source(0), workers, shard.Options{}); err == nil || got != 3 {
			t.Errorf("%d workers: %d segments, error %v", n, got, err)
		}
	}
}

// endless repeats the packets of a script.
type endless struct {
	packets []capture.Packet
	left    int
}

func (e *endless) Next(p *capture.Packet) error {
	if e.left == 0 {
		return io.EOF
	}
	e.left--
	frame := p.Frame + 1
	*p = e.packets[e.left%len(e.packets)]
	p.Frame, p.Time = frame, int64(frame)*1e6 // far enough apart to be no copies
	return nil
}

func (*endless) Info() capture.Info { return capture.Info{} }
func (*endless) Close() error       { return nil }

func scripted(t testing.TB) []capture.Packet {
	t.Helper()
	s, err := script.Parse("bench", "conn 10.0.0.1:40000 > 10.0.0.2:80 midstream\n+0 > P len=1400\n+0 < A\n+0 > P len=1400\n+0 > P len=1400\n")
	if err != nil {
		t.Fatal(err)
	}
	var packets []capture.Packet
	src := s.Source(0)
	for p := (capture.Packet{}); src.Next(&p) == nil; {
		packets = append(packets, p)
	}
	return packets
}

func BenchmarkRun(b *testing.B) {
	packets := scripted(b)
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			workers := make([]func(*capture.Segment), n)
			for i := range workers {
				workers[i] = func(*capture.Segment) {}
			}
			b.ReportAllocs()
			if _, err := shard.Run(&endless{packets, b.N}, workers, shard.Options{}); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkFile reads 64 MB of a file and does nothing with it: two workers
// that take turns take half the time, and little more of their cores.
func BenchmarkFile(b *testing.B) {
	le := binary.LittleEndian
	file := slices.Concat(le.AppendUint32(nil, 0xa1b2c3d4), []byte{2, 0, 4, 0}, make([]byte, 8), []byte{0, 0, 4, 0, 1, 0, 0, 0})
	packets := scripted(b)
	for i := 0; len(file) < 64<<20; i++ {
		data := packets[i%len(packets)].Data
		for _, word := range []int{i / 1000, i % 1000, len(data), len(data)} {
			file = le.AppendUint32(file, uint32(word))
		}
		file = append(file, data...)
	}
	path := filepath.Join(b.TempDir(), "x")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				src, err := pcapfile.Open(path, pcapfile.Options{})
				if err != nil {
					b.Fatal(err)
				}
				workers := slices.Repeat([]func(*capture.Segment){func(*capture.Segment) {}}, n)
				if _, err := shard.Run(src, workers, shard.Options{}); err != nil {
					b.Fatal(err)
				}
				src.Close()
			}
		})
	}
}
