package reassembly

import (
	"testing"
	"unsafe"

	"github.com/connlint/connlint/capture/wire"
)

// nothing is a handler that looks at nothing.
type nothing[S any] struct{}

func (nothing[S]) Segment(*Conn[S], wire.Dir, *Segment, Kind) {}
func (nothing[S]) Data(*Conn[S], wire.Dir, *Span)             {}
func (nothing[S]) Gap(*Conn[S], wire.Dir, *Gap)               {}
func (nothing[S]) FIN(*Conn[S], wire.Dir, *Span)              {}
func (nothing[S]) Close(*Conn[S], CloseReason) uint8          { return 0 }

type state = [256]byte // about what the analyzers keep of a connection

var payload [1460]byte

// flows returns n connections of many clients to one server.
func flows(n int) []Segment {
	out := make([]Segment, n)
	for i := range out {
		s := &out[i]
		s.Flow = wire.Flow{SrcPort: uint16(32768 + i%28000), DstPort: 80}
		s.Flow.Src, s.Flow.Dst = wire.AddrFrom4([]byte{10, 0, byte(i / 28000), 1}), wire.AddrFrom4([]byte{10, 9, 9, 9})
		s.Hash = s.Flow.Hash()
		s.Flags, s.Window, s.Seq, s.Ack = wire.ACK, 1000, wire.Seq(i), 1
		s.Payload, s.Len = payload[:], len(payload)
	}
	return out
}

func benchmarkInOrder(b *testing.B, conns int) {
	t := NewTable[state](nothing[state]{}, DefaultOptions())
	segs := flows(conns)
	frame := uint64(0)
	feed := func() {
		s := &segs[frame%uint64(conns)]
		frame++
		s.Frame, s.Time = frame, 1e18+int64(frame)*1000
		t.Feed(s)
		s.Seq = s.Seq.Add(s.Len)
	}
	for range conns {
		feed()
	}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		feed()
	}
}

func BenchmarkInOrder1(b *testing.B)       { benchmarkInOrder(b, 1) }
func BenchmarkInOrder1000(b *testing.B)    { benchmarkInOrder(b, 1000) }
func BenchmarkInOrder1000000(b *testing.B) { benchmarkInOrder(b, 1_000_000) }

// BenchmarkChurn is a connection that opens, carries a request and a response
// and closes: ten segments.
func BenchmarkChurn(b *testing.B) {
	t := NewTable[state](nothing[state]{}, DefaultOptions())
	open := flows(100_000)
	var fwd, rev Segment
	frame := uint64(0)
	b.ReportAllocs()
	for i := range b.N {
		fwd = open[i%len(open)]
		rev = fwd
		rev.Flow = fwd.Flow.Reverse()
		c, v := wire.Seq(i*7919), wire.Seq(i*104729)
		send := func(s *Segment, flags wire.Flags, seq, ack wire.Seq, n int) {
			frame++
			s.Frame, s.Time = frame, 1e18+int64(frame)*10_000
			s.Flags, s.Seq, s.Ack, s.Payload, s.Len = flags, seq, ack, payload[:n], n
			t.Feed(s)
		}
		send(&fwd, wire.SYN, c, 0, 0)
		send(&rev, wire.SYN|wire.ACK, v, c+1, 0)
		send(&fwd, wire.ACK, c+1, v+1, 0)
		send(&fwd, wire.ACK, c+1, v+1, 200)
		send(&rev, wire.ACK, v+1, c+201, 0)
		send(&rev, wire.ACK, v+1, c+201, 500)
		send(&fwd, wire.ACK, c+201, v+501, 0)
		send(&fwd, wire.FIN|wire.ACK, c+201, v+501, 0)
		send(&rev, wire.FIN|wire.ACK, v+501, c+202, 0)
		send(&fwd, wire.ACK, c+202, v+502, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frame), "ns/segment")
}

// BenchmarkDisorder is a stream of which every eighth segment comes eight
// places late, and every hundredth is lost to the capture.
func BenchmarkDisorder(b *testing.B) {
	t := NewTable[state](nothing[state]{}, DefaultOptions())
	s := flows(1)[0]
	ack := s
	ack.Flow, ack.Seq, ack.Payload, ack.Len = s.Flow.Reverse(), 1, nil, 0
	frame := uint64(0)
	feed := func(s *Segment) {
		frame++
		s.Frame, s.Time = frame, 1e18+int64(frame)*10_000
		t.Feed(s)
	}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for i := range b.N {
		place := i
		switch i % 8 {
		case 0:
			place += 7
		case 7:
			place -= 7
		}
		if place%100 != 99 {
			s.Seq = wire.Seq(1).Add(place * s.Len)
			feed(&s)
		}
		if i%16 == 15 {
			ack.Ack = wire.Seq(1).Add((i + 1) * s.Len)
			feed(&ack)
		}
	}
	if b.N > 1000 && t.Stats.Gaps == 0 {
		b.Fatal("no gap was given up")
	}
}

func TestNoAllocation(t *testing.T) {
	table := NewTable[state](nothing[state]{}, DefaultOptions())
	segs := flows(100)
	frame := uint64(0)
	var s, a Segment
	round := func() {
		for i := range segs {
			s = segs[i]
			frame++
			s.Frame, s.Time = frame, 1e18+int64(frame)*1000
			table.Feed(&s)
			// An ACK, and a segment out of order that is held and released.
			a = s
			a.Flow, a.Seq, a.Ack, a.Payload, a.Len = s.Flow.Reverse(), 1, s.Seq.Add(s.Len), nil, 0
			table.Feed(&a)
			s.Seq = s.Seq.Add(2 * s.Len)
			table.Feed(&s)
			s.Seq = s.Seq.Add(-s.Len)
			table.Feed(&s)
			segs[i].Seq = segs[i].Seq.Add(3 * s.Len)
		}
	}
	round()
	if n := testing.AllocsPerRun(20, round); n != 0 {
		t.Errorf("%v allocations for %d segments", n, 4*len(segs))
	}
	if table.Stats.Gaps != 0 || table.Live() != len(segs) {
		t.Errorf("%d connections, %+v", table.Live(), table.Stats)
	}
}

// A million open connections must fit in 1 GiB with all that is known of them.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn[struct{}]{}); n > 320 {
		t.Errorf("a connection takes %d bytes without the analyzers' state", n)
	}
	t.Logf("Conn[struct{}] %d, Stream %d, tomb %d, piece %d bytes", unsafe.Sizeof(Conn[struct{}]{}),
		unsafe.Sizeof(Stream{}), unsafe.Sizeof(tomb{}), unsafe.Sizeof(piece{}))
}

func TestCaps(t *testing.T) {
	opts := Options{MaxConns: 10, MaxHeld: 50_000, MaxHeldByConn: 20_000, MaxTombs: 5}
	table := NewTable[state](nothing[state]{}, opts)
	segs := flows(100)
	for round := range 20 {
		for i := range segs {
			s := segs[i]
			s.Frame, s.Time = uint64(round*100+i+1), 1e18+int64(round*100+i)
			s.Seq = s.Seq.Add(2000 * (round % 5))
			table.Feed(&s)
			if table.Live() > opts.MaxConns {
				t.Fatalf("%d connections", table.Live())
			}
		}
	}
	if table.Stats.Evicted != 2000-10 {
		t.Errorf("%d evicted", table.Stats.Evicted)
	}
	// The one that is idle longest makes room.
	for i := range 11 {
		s := segs[i]
		s.Frame, s.Time = uint64(10_000+i), 2e18+int64(i)
		table.Feed(&s)
	}
	for i := range 11 {
		if _, _, ok := table.find(&segs[i].Flow, uint32(segs[i].Hash>>32)); ok != (i > 0) {
			t.Errorf("connection %d is there: %t", i, ok)
		}
	}
	// What is held longest is given up first.
	table.Stats = Stats{}
	for i := 1; i < 11; i++ {
		for n := range 3 {
			s := segs[i]
			s.Frame, s.Time = uint64(20_000+3*i+n), 3e18+int64(i)
			s.Seq = s.Seq.Add(2000 * (n + 2))
			table.Feed(&s)
			if table.pieces.held > opts.MaxHeld {
				t.Fatalf("%d held", table.pieces.held)
			}
		}
	}
	if table.Stats.HeldTooMuch != 4 {
		t.Errorf("%d times too much held", table.Stats.HeldTooMuch)
	}
	if table.Stats.FirstGap != 20_003 {
		t.Errorf("first gap in frame %d", table.Stats.FirstGap)
	}
	for i := 1; i < 11; i++ {
		s := segs[i]
		s.Flags, s.Seq, s.Frame, s.Time = wire.RST|wire.ACK, s.Seq.Add(8000+1460), 30_000, 4e18
		table.Feed(&s)
	}
	for i := range 3 {
		s := segs[50]
		s.Time = 5e18 + int64(i)
		table.Feed(&s)
	}
	if table.Stats.TombsDropped != 4 || table.Live() != 1 {
		t.Errorf("%d tombs dropped, %d connections", table.Stats.TombsDropped, table.Live())
	}
	table.Finish()
	checkEmpty(t, table)
}
