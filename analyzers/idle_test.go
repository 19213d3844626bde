package analyzers_test

import (
	"runtime"
	"testing"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// budget is what an open connection may take in memory, in bytes, once it is
// idle: a million of them, with all else, must fit into 1 GiB.
const budget = 512

// idle returns a table with n open connections that are idle.
func idle(n int) *reassembly.Table[analyzers.State] {
	tr := newTracker()
	t := reassembly.NewTable[analyzers.State](tr, reassembly.DefaultOptions())
	t.PackAtRest(tr.Pack, tr.Unpack)
	exchange(t, n)
	return t
}

func newTracker() *analyzers.Tracker {
	return analyzers.NewTracker(analyzers.Facts{
		Transaction: func(*analyzers.Conn, *http1.Transaction) {},
		Stall:       func(*analyzers.Conn, *timing.Stall, *http1.Transaction) {},
		Turn:        func(*analyzers.Conn, *timing.Turn) {},
		Closed:      func(*analyzers.Conn, *lifecycle.Conn) {},
	}, analyzers.Options{})
}

// exchange opens n connections, carries a request and its response over each
// and leaves them open.
func exchange(t *reassembly.Table[analyzers.State], n int) {
	request := []byte("GET /v1/items/1234 HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	response := []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	frame, now := uint64(0), int64(1e18)
	for i := range n {
		flow := flowOf(i)
		c, v := wire.Seq(i*7919), wire.Seq(i*104729)
		send := func(d wire.Dir, flags wire.Flags, seq, ack wire.Seq, b []byte) {
			frame++
			now += 10_000
			s := reassembly.Segment{Frame: frame, Time: now, Flow: flow, Flags: flags, Window: 1000, Seq: seq, Ack: ack, Payload: b, Len: len(b)}
			if d != 0 {
				s.Flow = flow.Reverse()
			}
			s.Hash = s.Flow.Hash()
			t.Feed(&s)
		}
		send(0, wire.SYN, c, 0, nil)
		send(1, wire.SYN|wire.ACK, v, c+1, nil)
		send(0, wire.ACK, c+1, v+1, nil)
		send(0, wire.ACK|wire.PSH, c+1, v+1, request)
		send(1, wire.ACK|wire.PSH, v+1, c.Add(1+len(request)), response)
		send(0, wire.ACK, c.Add(1+len(request)), v.Add(1+len(response)), nil)
	}
}

// flowOf is that of exchange's connection i.
func flowOf(i int) wire.Flow {
	return wire.Flow{SrcPort: uint16(1024 + i%60000), DstPort: 80,
		Src: wire.AddrFrom4([]byte{10, 0, byte(i / 60000), 1}), Dst: wire.AddrFrom4([]byte{192, 0, 2, 1})}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestIdleConnections(t *testing.T) {
	const n = 100_000
	before := inUse()
	table := idle(n)
	if each := (int64(inUse()) - int64(before)) / n; each > budget {
		t.Errorf("an idle connection takes %d bytes, want at most %d", each, budget)
	}
	if packed, _ := table.Packed(); table.Live() != n || packed < n*9/10 {
		t.Errorf("%d live, %d packed", table.Live(), packed)
	}
	table.Finish()
}

// BenchmarkPack packs and unpacks a connection that had a request.
func BenchmarkPack(b *testing.B) {
	tr := newTracker()
	t := reassembly.NewTable[analyzers.State](tr, reassembly.DefaultOptions())
	t.PackAtRest(func(c *analyzers.Conn, _ *reassembly.Packer) bool {
		var p reassembly.Packer
		for b.Loop() {
			p.Reset()
			if !tr.Pack(c, &p) {
				b.Fatal("not at rest")
			}
			c.State = analyzers.State{}
			u := p.Unpacker()
			tr.Unpack(c, &u)
		}
		return false
	}, tr.Unpack)
	exchange(t, 1)
	t.PackNow()
}

// BenchmarkIdleConnections is a million open connections. What they take is
// reported as B/conn.
func BenchmarkIdleConnections(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		before := inUse()
		table := idle(n)
		b.ReportMetric(float64(int64(inUse())-int64(before))/n, "B/conn")
		packed, bytes := table.Packed()
		b.ReportMetric(float64(bytes)/float64(packed), "packedB/conn")
		table.Finish()
	}
}

// BenchmarkWake unpacks one of very many idle connections, each time another:
// what they are looked up in is fetched ahead, or not.
func BenchmarkWake(b *testing.B) {
	const n, batch = 600_000, 32
	for name, ahead := range map[string]bool{"ahead": true, "plain": false} {
		b.Run(name, func(b *testing.B) {
			table := idle(n)
			segs, next, frame := make([]reassembly.Segment, batch), make([]uint16, batch), uint64(10*n)
			for i := range next {
				next[i] = uint16(i)
			}
			for b.Loop() {
				for i := range segs {
					frame++
					segs[i] = reassembly.Segment{Frame: frame, Time: 2e18 + int64(frame)*1e5, Flow: flowOf(int(frame * 2654435761 % n)), Flags: wire.ACK, Window: 999}
					segs[i].Hash = segs[i].Flow.Hash()
				}
				if ahead {
					table.Ahead(segs, next)
				}
				for i := range segs {
					table.Feed(&segs[i])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/segment")
			table.Finish()
		})
	}
}
