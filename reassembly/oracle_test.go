package reassembly

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

// oracle is told of the segments as a handler is, keeps every byte that has a
// claim to be delivered, and holds what is delivered against it: the first copy
// captured of each byte, and all of them. It is a map, slow and without bounds.
type oracle struct {
	t interface {
		Fatalf(string, ...any)
		Helper()
	}
	conns map[uint64]*[2]sent
}

// sent is what one side sent and the table has not passed yet.
type sent struct {
	first map[wire.Seq]int // first copy of each byte, or notCaptured
	fin   wire.Seq         // valid with ended
	ended bool
}

const notCaptured = -1

func newOracle(t interface {
	Fatalf(string, ...any)
	Helper()
}) *oracle {
	return &oracle{t: t, conns: map[uint64]*[2]sent{}}
}

func (o *oracle) Segment(c *Conn[int], d wire.Dir, s *Segment, k Kind) {
	if k.Has(First) {
		o.conns[c.ID] = &[2]sent{{first: map[wire.Seq]int{}}, {first: map[wire.Seq]int{}}}
	}
	if s.Flags&wire.RST != 0 || k.Has(OutOfWindow) {
		return
	}
	x, nxt := &o.conns[c.ID][d], c.Streams[d].Nxt
	seq := s.Seq
	if s.Flags&wire.SYN != 0 {
		seq = seq.Add(1)
	}
	differs := false
	for i := range s.Len {
		at := seq.Add(i)
		if at.Less(nxt) {
			continue
		}
		b := notCaptured
		if i < len(s.Payload) {
			b = int(s.Payload[i])
		}
		old, known := x.first[at]
		if !known {
			x.first[at] = b
		} else if old != b && old != notCaptured && b != notCaptured {
			differs = true
		}
	}
	if k.Has(NewFIN) {
		x.ended, x.fin = true, seq.Add(s.Len)
		for at := range x.first {
			if !at.Less(x.fin) {
				delete(x.first, at)
			}
		}
	}
	odd := s.Flags&wire.URG != 0 && s.Len > 0 || s.Flags&(wire.SYN|wire.ACK) == wire.SYN|wire.ACK && k.Has(Ambiguous)
	if want := differs || odd; want != k.Has(Ambiguous) && s.Flags&(wire.SYN|wire.ACK) != wire.SYN|wire.ACK {
		o.t.Fatalf("frame %d: ambiguous %v, want %v", s.Frame, k.Has(Ambiguous), want)
	}
}

func (o *oracle) Data(c *Conn[int], d wire.Dir, s *Span) {
	x := &o.conns[c.ID][d]
	for i, b := range s.Bytes {
		want, known := x.first[s.Seq.Add(i)]
		if !known || want != int(b) {
			o.t.Fatalf("connection %d direction %d: byte %d is %d, the first copy was %d (%v)", c.ID, d, s.Seq.Add(i), b, want, known)
		}
		delete(x.first, s.Seq.Add(i))
	}
}

func (o *oracle) Gap(c *Conn[int], d wire.Dir, g *Gap) {
	x := &o.conns[c.ID][d]
	if g.Cut {
		for i := range g.Len {
			if b, known := x.first[g.Seq.Add(i)]; !known || b != notCaptured {
				o.t.Fatalf("connection %d direction %d: byte %d is said to be cut, it is %d (%v)", c.ID, d, g.Seq.Add(i), b, known)
			}
			delete(x.first, g.Seq.Add(i))
		}
		return
	}
	for at := range x.first {
		if n := at.Sub(g.Seq); n >= 0 && n < g.Len {
			o.t.Fatalf("connection %d direction %d: byte %d is said to be missing", c.ID, d, at)
		}
	}
}

func (o *oracle) FIN(c *Conn[int], d wire.Dir, s *Span) {
	if x := &o.conns[c.ID][d]; !x.ended || x.fin != s.Seq || len(x.first) > 0 {
		o.t.Fatalf("connection %d direction %d: FIN at %d, was sent %v at %d, %d bytes before it are left", c.ID, d, s.Seq, x.ended, x.fin, len(x.first))
	}
}

func (o *oracle) Close(c *Conn[int], _ CloseReason) uint8 {
	for d := range o.conns[c.ID] {
		if n := len(o.conns[c.ID][d].first); n > 0 {
			o.t.Fatalf("connection %d direction %d: %d bytes were captured and not delivered", c.ID, d, n)
		}
	}
	delete(o.conns, c.ID)
	return 0
}

// FuzzOracle feeds segments made of any bytes, whose payloads agree or not: each
// byte that is delivered is the first copy captured, none is left out but those
// the table had passed, and a segment is ambiguous just if it contradicts what
// is held back.
func FuzzOracle(f *testing.F) {
	seg := func(flow, flags byte, seq, ack uint16, n, dt byte) []byte {
		b := []byte{flow, flags}
		b = binary.BigEndian.AppendUint16(b, seq)
		b = binary.BigEndian.AppendUint16(b, ack)
		return append(b, n, 0, dt, 99)
	}
	var all []byte
	for _, s := range [][]byte{
		seg(0, 2, 0, 0, 0, 1), seg(1, 0x12, 500, 1, 0, 1), seg(0, 0x10, 1, 501, 0, 1),
		seg(0, 0x18, 101, 501, 100, 1), seg(0, 0x18, 51, 501, 100, 1), seg(0, 0x18, 101, 501, 100, 1),
		seg(1, 0x18, 501, 101, 200, 1), seg(0, 0x18, 1, 501, 250, 1), seg(0, 0x38, 300, 501, 10, 1),
		seg(0, 0x11, 320, 701, 9, 1), seg(1, 0x11, 701, 330, 0, 1), seg(0, 0x10, 330, 702, 0, 1),
	} {
		all = append(all, s...)
		f.Add(all, uint64(1))
		f.Add(all, uint64(2))
	}
	// Holes filled backwards, and across everything.
	var holes []byte
	for i := range uint16(40) {
		holes = append(holes, seg(0, 0x18, 2000-50*i, 1, 30, 1)...)
	}
	f.Add(append(holes, seg(0, 0x18, 1, 1, 255, 1)...), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		if len(in) > 100*fuzzSegment { // the oracle is slow
			return
		}
		opts := Options{MaxConns: 3, MaxHeld: 1 << 20, MaxHeldByConn: 1 << 18, MaxTombs: 2}
		if seed&1 != 0 {
			opts.MaxHeld, opts.MaxHeldByConn = 20000, 9000
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		o := newOracle(t)
		table := NewTable[int](o, opts)
		var b [4096]byte
		fuzzSegments(in, func(s *Segment) {
			for i := range s.Payload {
				b[i] = byte(uint32(s.Seq) + uint32(i)) // copies agree
			}
			if rnd.IntN(4) == 0 && len(s.Payload) > 0 {
				b[rnd.IntN(len(s.Payload))] ^= 1 // and sometimes do not
			}
			s.Payload = b[:len(s.Payload)]
			table.Feed(s)
		})
		table.Finish()
		if len(o.conns) > 0 {
			t.Fatalf("%d connections were not closed", len(o.conns))
		}
		checkEmpty(t, table)
	})
}
