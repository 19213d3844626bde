package shard_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/connlint/connlint/capture"
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
		src := s.Source(4096) // recycled and overwritten: bytes used too late show
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
}

// TestReadError checks that what was read before an error is dealt out.
func TestReadError(t *testing.T) {
	s, err := script.Parse("cut", "conn 10.0.0.1:40000 > 10.0.0.2:80\n+0 handshake\ntruncated\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3} {
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

func BenchmarkRun(b *testing.B) {
	s, err := script.Parse("bench", "conn 10.0.0.1:40000 > 10.0.0.2:80 midstream\n+0 > P len=1400\n+0 < A\n+0 > P len=1400\n+0 > P len=1400\n")
	if err != nil {
		b.Fatal(err)
	}
	var packets []capture.Packet
	src := s.Source(0)
	for p := (capture.Packet{}); src.Next(&p) == nil; {
		packets = append(packets, p)
	}
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
