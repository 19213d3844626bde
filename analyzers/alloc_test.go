package analyzers_test

import (
	"testing"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// TestNoAllocation holds a warm connection to no allocation at all, packet for
// packet and transaction for transaction, with every fact subscribed to; packed
// between two transactions and waked by the next as well.
func TestNoAllocation(t *testing.T) {
	for _, pack := range []bool{false, true} {
		tr := analyzers.NewTracker(deaf(), analyzers.Options{})
		table := reassembly.NewTable[analyzers.State](tr, reassembly.DefaultOptions())
		table.PackAtRest(tr.Pack, tr.Unpack)
		request := []byte("POST /v1/items HTTP/1.1\r\nHost: api.example.com\r\nX-Request-Id: 0123456789abcdef\r\nContent-Length: 4\r\n\r\nbody")
		response := []byte("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\nhello")
		var s reassembly.Segment
		flow := wire.Flow{SrcPort: 40000, DstPort: 80, Src: wire.AddrFrom4([]byte{10, 0, 0, 1}), Dst: wire.AddrFrom4([]byte{192, 0, 2, 1})}
		frame, now := uint64(0), int64(1e18)
		c, v := wire.Seq(1000), wire.Seq(2000)
		send := func(d wire.Dir, flags wire.Flags, seq, ack wire.Seq, b []byte) {
			frame++
			now += 1_000_000
			s = reassembly.Segment{Frame: frame, Time: now, Flow: flow, Flags: flags, Window: 1000, Seq: seq, Ack: ack, Payload: b, Len: len(b)}
			if d != 0 {
				s.Flow = flow.Reverse()
			}
			s.Hash = s.Flow.Hash()
			table.Feed(&s)
		}
		send(0, wire.SYN, c, 0, nil)
		send(1, wire.SYN|wire.ACK, v, c+1, nil)
		c, v = c+1, v+1
		send(0, wire.ACK, c, v, nil)
		transaction := func() {
			send(0, wire.ACK|wire.PSH, c, v, request)
			c = c.Add(len(request))
			send(1, wire.ACK, v, c, nil)
			send(1, wire.ACK|wire.PSH, v, c, response)
			v = v.Add(len(response))
			send(0, wire.ACK, c, v, nil)
			if pack {
				table.PackNow()
			}
		}
		transaction()
		if n := testing.AllocsPerRun(100, transaction); n != 0 {
			t.Errorf("packed %v: %v allocations a transaction", pack, n)
		}
		if n := tr.HTTPStats().Responses; n < 100 {
			t.Errorf("only %d responses were met", n)
		}
		if n, _ := table.Packed(); pack != (n == 1) {
			t.Errorf("%d connections are packed", n)
		}
	}
}
