package reassembly

import (
	"encoding/binary"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

// A fuzzed segment is ten bytes: flow and direction, flags, sequence number
// and acknowledgement (each relative to the flow's, see fuzzSeq), length,
// what of it was captured, time, window.
const fuzzSegment = 10

// fuzzSeq spreads 16 bits over the whole sequence space, with most of them
// near the start of the stream.
func fuzzSeq(v uint16) wire.Seq {
	n := int(v & 0x3fff)
	switch v >> 14 {
	case 0, 1:
		return wire.Seq(0xffffff00).Add(n % 2048)
	case 2:
		return wire.Seq(0xffffff00).Add(n << 13)
	}
	return wire.Seq(n << 18)
}

func fuzzSegments(in []byte, f func(*Segment)) {
	now, frame := int64(1e18), uint64(0)
	var bytes [4096]byte
	for i := range bytes {
		bytes[i] = byte(i)
	}
	for ; len(in) >= fuzzSegment; in = in[fuzzSegment:] {
		frame++
		dt := int64(int8(in[8]))
		now += dt * dt * dt * 10_000 // up to 20 s, back too
		s := Segment{Time: now, Frame: frame, Window: uint16(in[9]) << 8 >> 4,
			Flags: wire.Flags(in[1]), Seq: fuzzSeq(binary.BigEndian.Uint16(in[2:])), Ack: fuzzSeq(binary.BigEndian.Uint16(in[4:]))}
		s.Flow = wire.Flow{SrcPort: 1, DstPort: 2 + uint16(in[0]>>1&7)}
		if in[0]&1 != 0 {
			s.Flow = s.Flow.Reverse()
		}
		s.Hash = uint64(in[0]>>1&3) << 32 // slots collide, the same in every run
		s.Len = int(in[6])
		if in[0]&0x80 != 0 {
			s.Len <<= 4
		}
		s.Payload = bytes[:s.Len]
		if in[0]&0x40 != 0 {
			s.Payload = s.Payload[:min(s.Len, int(in[7]))]
		}
		if s.Flags&wire.SYN != 0 {
			s.Options = []byte{3, 3, in[7], 0}
		}
		f(&s)
	}
}

type fuzzHandler struct {
	t    *testing.T
	open map[uint64]*fuzzConn
	n    int
}

type fuzzConn struct {
	nxt   [2]wire.Seq
	begun [2]bool
	fin   [2]bool
}

func (h *fuzzHandler) conn(c *Conn[int]) *fuzzConn {
	f := h.open[c.ID]
	if f == nil {
		h.t.Fatalf("event on connection %d, which is not open", c.ID)
	}
	c.State++
	return f
}

func (h *fuzzHandler) Segment(c *Conn[int], d wire.Dir, s *Segment, k Kind) {
	if k.Has(First) {
		if h.open[c.ID] != nil || c.ID != s.Frame || c.State != 0 {
			h.t.Fatalf("connection %d begins in frame %d with state %d", c.ID, s.Frame, c.State)
		}
		h.open[c.ID] = &fuzzConn{}
	}
	h.conn(c)
	h.n++
}

func (h *fuzzHandler) move(c *Conn[int], d wire.Dir, seq wire.Seq, n int) {
	f := h.conn(c)
	if f.begun[d] && f.nxt[d] != seq || f.fin[d] {
		h.t.Fatalf("connection %d direction %d: at %d, want %d, FIN %t", c.ID, d, seq, f.nxt[d], f.fin[d])
	}
	if n <= 0 {
		h.t.Fatalf("%d bytes", n)
	}
	f.begun[d], f.nxt[d] = true, seq.Add(n)
	if c.Streams[d].Nxt.Less(f.nxt[d]) {
		h.t.Fatalf("Nxt is %d after delivery to %d", c.Streams[d].Nxt, f.nxt[d])
	}
}

func (h *fuzzHandler) Data(c *Conn[int], d wire.Dir, s *Span) { h.move(c, d, s.Seq, len(s.Bytes)) }
func (h *fuzzHandler) Gap(c *Conn[int], d wire.Dir, g *Gap)   { h.move(c, d, g.Seq, g.Len) }
func (h *fuzzHandler) FIN(c *Conn[int], d wire.Dir, s *Span) {
	h.move(c, d, s.Seq, 1)
	h.conn(c).fin[d] = true
}

func (h *fuzzHandler) Close(c *Conn[int], why CloseReason) uint8 {
	h.conn(c)
	if c.Holding() {
		h.t.Fatal("closed with bytes held back")
	}
	delete(h.open, c.ID)
	return 1
}

// FuzzTable feeds segments made of any bytes: whatever they claim, streams
// stay in sequence, every connection is closed once, and the caps hold.
func FuzzTable(f *testing.F) {
	seg := func(flow, flags byte, seq, ack uint16, n, dt byte) []byte {
		b := []byte{flow, flags}
		b = binary.BigEndian.AppendUint16(b, seq)
		b = binary.BigEndian.AppendUint16(b, ack)
		return append(b, n, 0, dt, 99)
	}
	join := func(segs ...[]byte) (out []byte) {
		for _, s := range segs {
			out = append(out, s...)
		}
		return out
	}
	open := join(seg(0, 2, 0, 0, 0, 1), seg(1, 0x12, 500, 1, 0, 1), seg(0, 0x10, 1, 501, 0, 1))
	f.Add(open)
	f.Add(join(open, seg(0, 0x18, 1, 501, 100, 1), seg(1, 0x18, 501, 101, 200, 1), seg(0, 0x11, 101, 701, 0, 1),
		seg(1, 0x11, 701, 102, 0, 1), seg(0, 0x10, 102, 702, 0, 1), seg(1, 0x10, 702, 102, 0, 1), seg(0, 2, 900, 0, 0, 1)))
	f.Add(join(open, seg(0, 0x18, 101, 501, 100, 1), seg(0, 0x18, 301, 501, 100, 1), seg(0, 0x18, 50, 501, 255, 1),
		seg(1, 0x10, 501, 401, 0, 40), seg(1, 0x10, 501, 401, 0, 40)))
	f.Add(join(open, seg(0, 0x18, 1, 600, 50, 1), seg(1, 0x18, 501, 60, 50, 1), seg(1, 0x14, 551, 51, 0, 1), seg(0, 0x18, 51, 551, 9, 127)))
	f.Add(join(open, seg(0, 0x11, 101, 501, 0, 1), seg(1, 0x11, 501, 102, 0, 1), seg(0, 0x10, 102, 502, 0, 1), seg(2, 0x10, 1, 1, 5, 127), seg(4, 0x10, 1, 1, 5, 127)))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1000*fuzzSegment {
			return
		}
		opts := Options{MaxConns: 3, MaxHeld: 20000, MaxHeldByConn: 9000, MaxTombs: 2}
		if len(in) > 0 && in[0]&0x20 != 0 {
			opts.IdleTimeout = 5e9
		}
		h := &fuzzHandler{t: t, open: map[uint64]*fuzzConn{}}
		table := NewTable[int](h, opts)
		n := 0
		fuzzSegments(in, func(s *Segment) {
			n++
			table.Feed(s)
			switch {
			case table.Live() > opts.MaxConns || table.Live() != len(h.open):
				t.Fatalf("%d connections, %d known", table.Live(), len(h.open))
			case table.pieces.held > opts.MaxHeld:
				t.Fatalf("%d bytes held", table.pieces.held)
			case table.tombs.len() > opts.MaxTombs:
				t.Fatalf("%d tombs", table.tombs.len())
			}
		})
		table.Finish()
		if len(h.open) != 0 || h.n+int(table.Stats.Late) != n {
			t.Fatalf("%d still open; %d segments, %d told of, %d late", len(h.open), n, h.n, table.Stats.Late)
		}
		checkEmpty(t, table)
	})
}
