package reassembly

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/connlint/connlint/capture/wire"
)

// A model is a conversation as it was, to be compared with what a table makes
// of a capture of it.
type model struct {
	isn  [2]wire.Seq
	data [2][]byte // what each direction sent
}

// byteAt is what a direction sent at seq, if it is within what it sent.
func (m *model) byteAt(d wire.Dir, seq wire.Seq) (byte, bool) {
	i := seq.Sub(m.isn[d].Add(1))
	if i < 0 || i >= len(m.data[d]) {
		return 0, false
	}
	return m.data[d][i], true
}

// witness checks a table's events against the conversation.
type witness struct {
	t       *rapid.T
	m       *model
	nxt     [2]wire.Seq
	begun   [2]bool
	fin     [2]bool
	gaps    int
	open    int
	closed  int
	bytes   [2]int
	noGaps  bool // gaps are an error
	ordered bool // delivery must be causal
}

func (w *witness) Segment(c *Conn[uint8], d wire.Dir, s *Segment, k Kind) {
	if k.Has(First) {
		w.open++
		w.begun, w.fin = [2]bool{}, [2]bool{}
	}
	if k.Has(OutOfWindow) && w.noGaps {
		w.t.Fatalf("frame %d is out of window", s.Frame)
	}
}

func (w *witness) move(d wire.Dir, seq wire.Seq, n int) {
	if w.begun[d] && w.nxt[d] != seq {
		w.t.Fatalf("direction %d goes on at %d, not at %d", d, seq.Sub(w.m.isn[d]), w.nxt[d].Sub(w.m.isn[d]))
	}
	if w.fin[d] {
		w.t.Fatalf("direction %d goes on after its FIN", d)
	}
	w.begun[d], w.nxt[d] = true, seq.Add(n)
}

// causal checks that what came with ack was delivered after all that ack
// covers.
func (w *witness) causal(d wire.Dir, ack wire.Seq) {
	o := d.Flip()
	if !w.ordered || ack.LessEq(w.m.isn[o].Add(1)) {
		return
	}
	if !w.begun[o] || w.nxt[o].Less(ack) {
		w.t.Fatalf("direction %d delivers what acknowledges %d, the other is only at %d",
			d, ack.Sub(w.m.isn[o]), w.nxt[o].Sub(w.m.isn[o]))
	}
}

func (w *witness) Data(c *Conn[uint8], d wire.Dir, s *Span) {
	if len(s.Bytes) == 0 {
		w.t.Fatal("empty span")
	}
	w.causal(d, s.Ack)
	w.move(d, s.Seq, len(s.Bytes))
	w.bytes[d] += len(s.Bytes)
	for i, b := range s.Bytes {
		if want, ok := w.m.byteAt(d, s.Seq.Add(i)); !ok || b != want {
			w.t.Fatalf("byte %d of direction %d is %d, sent was %d (%t)", s.Seq.Add(i).Sub(w.m.isn[d]), d, b, want, ok)
		}
	}
}

func (w *witness) Gap(c *Conn[uint8], d wire.Dir, g *Gap) {
	if g.Len <= 0 {
		w.t.Fatalf("gap of %d", g.Len)
	}
	if w.noGaps && !g.Cut {
		w.t.Fatalf("gap of %d at %d of direction %d, nothing was lost", g.Len, g.Seq.Sub(w.m.isn[d]), d)
	}
	w.gaps++
	w.move(d, g.Seq, g.Len)
}

func (w *witness) FIN(c *Conn[uint8], d wire.Dir, s *Span) {
	w.causal(d, s.Ack)
	w.move(d, s.Seq, 1)
	w.fin[d] = true
	if want := w.m.isn[d].Add(1 + len(w.m.data[d])); s.Seq != want {
		w.t.Fatalf("FIN of direction %d at %d, want %d", d, s.Seq.Sub(w.m.isn[d]), want.Sub(w.m.isn[d]))
	}
}

func (w *witness) Close(c *Conn[uint8], why CloseReason) uint8 {
	w.closed++
	return 0
}

// converse plays a conversation and returns its segments as they pass the
// capture point: each side sends bytes of its own when it likes, in segments
// of any size; segments are lost before the capture point or after it, sent
// again with other boundaries, acknowledged, doubled.
func converse(t *rapid.T) (*model, []Segment) {
	m := &model{}
	near := rapid.SampledFrom([]wire.Seq{1000, 0xffffffff, 0xffffff00, 0x7fffff80, 0})
	flow := wire.Flow{SrcPort: 1, DstPort: 2}
	var nxt, una, rcv [2]int // relative to the first byte; rcv: what d's receiver has in order
	var got [2][]bool
	for d := range 2 {
		m.isn[d] = near.Draw(t, "isn")
		n := rapid.IntRange(0, 400).Draw(t, "bytes")
		m.data[d] = make([]byte, n)
		for i := range m.data[d] {
			m.data[d][i] = byte(i*7 + i/256 + 100*d)
		}
		got[d] = make([]bool, n+1) // and the FIN
	}
	loss := 0
	var out []Segment
	now := int64(1e18)
	emit := func(d int, flags wire.Flags, from, to int) {
		now += int64(rapid.IntRange(1, 3000).Draw(t, "µs")) * 1000
		s := Segment{Time: now, Frame: uint64(len(out) + 1), Flow: flow, Window: 65535, Flags: flags,
			Seq: m.isn[d].Add(1 + from)}
		if d == 1 {
			s.Flow = flow.Reverse()
		}
		s.Hash = s.Flow.Hash()
		if flags&wire.SYN != 0 {
			s.Seq = m.isn[d]
		}
		if flags&wire.ACK != 0 {
			s.Ack = m.isn[1-d].Add(1 + rcv[1-d])
		}
		data := min(to, len(m.data[d]))
		s.Payload = m.data[d][min(from, data):data]
		s.Len = len(s.Payload)
		if from < to && to > len(m.data[d]) {
			s.Flags |= wire.FIN
		}
		p := rapid.IntRange(0, 99).Draw(t, "fate")
		if p < loss/2 {
			return // lost before the capture point
		}
		out = append(out, s)
		if rapid.IntRange(0, 19).Draw(t, "double") == 0 {
			out = append(out, s)
		}
		if p < loss {
			return // lost after it
		}
		for i := from; i < to; i++ {
			got[d][i] = true
		}
		for rcv[d] < len(got[d]) && got[d][rcv[d]] {
			rcv[d]++
		}
		if flags&wire.ACK != 0 {
			una[1-d] = max(una[1-d], s.Ack.Sub(m.isn[1-d].Add(1)))
		}
	}
	emit(0, wire.SYN, 0, 0)
	emit(1, wire.SYN|wire.ACK, 0, 0)
	emit(0, wire.ACK, 0, 0)
	loss = rapid.SampledFrom([]int{0, 0, 5, 30}).Draw(t, "loss %")
	for range rapid.IntRange(0, 200).Draw(t, "steps") {
		d := rapid.IntRange(0, 1).Draw(t, "side")
		end := len(got[d])
		switch rapid.IntRange(0, 5).Draw(t, "act") {
		case 0, 1, 2: // new bytes, the FIN last
			if n := min(end-nxt[d], rapid.IntRange(1, 60).Draw(t, "len")); n > 0 {
				from := nxt[d]
				nxt[d] += n
				emit(d, wire.ACK, from, nxt[d])
			}
		case 3:
			emit(d, wire.ACK, nxt[d], nxt[d])
		case 4, 5: // bytes not acknowledged, again
			if una[d] < nxt[d] {
				from := rapid.IntRange(una[d], nxt[d]-1).Draw(t, "from")
				emit(d, wire.ACK, from, min(nxt[d], from+rapid.IntRange(1, 80).Draw(t, "len")))
			}
		}
	}
	// Every byte arrives in the end.
	loss = 0
	for d := range 2 {
		for i := rcv[d]; i < len(got[d]); i = rcv[d] {
			emit(d, wire.ACK, i, min(len(got[d]), i+50))
		}
	}
	emit(0, wire.ACK, len(got[0]), len(got[0]))
	emit(1, wire.ACK, len(got[1]), len(got[1]))
	return m, out
}

// shuffle moves segments behind the SYNs by a few places, as multi-queue cards
// do. Times stay those of the places.
func shuffle(t *rapid.T, segs []Segment) []Segment {
	type placed struct {
		s   Segment
		key int
	}
	var p []placed
	opened := 0
	for i, s := range segs {
		key := 4 * i
		if s.Flags&wire.SYN != 0 {
			opened = key
		} else if rapid.IntRange(0, 3).Draw(t, "moves") == 0 {
			key = max(opened, key+rapid.IntRange(-24, 24).Draw(t, "by quarters"))
		}
		p = append(p, placed{s, key})
	}
	slices.SortStableFunc(p, func(a, b placed) int { return a.key - b.key })
	out := make([]Segment, len(p))
	for i := range p {
		out[i] = p[i].s
		out[i].Time, out[i].Frame = segs[i].Time, uint64(i+1)
	}
	return out
}

func feedAll(t *rapid.T, w *witness, segs []Segment, opts Options) *Table[uint8] {
	table := NewTable[uint8](w, opts)
	for i := range segs {
		s := &segs[i]
		t.Logf("%d: from port %d %s seq %d ack %d len %d", s.Frame, s.Flow.SrcPort, s.Flags, s.Seq, s.Ack, s.Len)
		table.Feed(s)
	}
	table.Finish()
	if w.open != w.closed || table.Live() != 0 {
		t.Fatalf("%d connections opened, %d closed", w.open, w.closed)
	}
	return table
}

func TestModelWholeCapture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, segs := converse(t)
		if rapid.Bool().Draw(t, "shuffle") {
			segs = shuffle(t, segs)
		}
		w := &witness{t: t, m: m, noGaps: true, ordered: true}
		table := feedAll(t, w, segs, DefaultOptions())
		if w.open != 1 {
			t.Fatalf("%d connections", w.open)
		}
		for d := range 2 {
			if w.bytes[d] != len(m.data[d]) || !w.fin[d] {
				t.Fatalf("direction %d: %d of %d bytes, FIN %t", d, w.bytes[d], len(m.data[d]), w.fin[d])
			}
		}
		if table.Stats.Gaps != 0 || table.Stats.HeldTooMuch != 0 {
			t.Fatalf("%+v", table.Stats)
		}
	})
}

func TestModelLossyCapture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, segs := converse(t)
		segs = shuffle(t, segs)
		segs = segs[rapid.IntRange(0, len(segs)-1).Draw(t, "start"):]
		drop := rapid.IntRange(0, 50).Draw(t, "drop %")
		kept := segs[:0]
		for _, s := range segs {
			if rapid.IntRange(0, 99).Draw(t, "dropped") < drop {
				continue
			}
			if rapid.IntRange(0, 9).Draw(t, "cut") == 0 && s.Len > 0 {
				s.Payload = s.Payload[:rapid.IntRange(0, s.Len).Draw(t, "to")]
			}
			kept = append(kept, s)
		}
		if rapid.IntRange(0, 4).Draw(t, "one way") == 0 {
			kept = slices.DeleteFunc(kept, func(s Segment) bool { return s.Flow.SrcPort == 2 })
		}
		opts := DefaultOptions()
		opts.MaxHeldByConn = rapid.SampledFrom([]int{0, 5000, 4 << 20}).Draw(t, "by conn")
		opts.MaxHeld = rapid.SampledFrom([]int{0, 9000, 64 << 20}).Draw(t, "held")
		w := &witness{t: t, m: m}
		checkEmpty(t, feedAll(t, w, kept, opts))
	})
}

// A connection's events do not depend on what else is in the table.
func TestModelSharded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Segment
		again := rapid.Bool().Draw(t, "on the addresses of the one before")
		for i := range rapid.IntRange(1, 5).Draw(t, "connections") {
			_, segs := converse(t)
			if again {
				for j := range segs {
					segs[j].Time += int64(i) * 30e9
				}
				i /= 2
			}
			for _, s := range shuffle(t, segs) {
				if rapid.IntRange(0, 9).Draw(t, "dropped") == 0 {
					continue
				}
				if s.Flow.SrcPort == 1 {
					s.Flow.SrcPort += uint16(10 * i)
				} else {
					s.Flow.DstPort += uint16(10 * i)
				}
				s.Hash = s.Flow.Hash()
				all = append(all, s)
			}
		}
		slices.SortStableFunc(all, func(a, b Segment) int { return int(a.Time - b.Time) })
		for i := range all {
			all[i].Frame = uint64(i + 1)
		}
		if rapid.Bool().Draw(t, "a clock that fails once") {
			all[len(all)/2].Time += 1e15
		}
		for range rapid.IntRange(0, 4).Draw(t, "times that the clock is set") {
			at := rapid.IntRange(0, len(all)-1).Draw(t, "at")
			step := rapid.SampledFrom([]int64{-3600e9, -601e9, -3e9, 3e9, 601e9, 3600e9}).Draw(t, "by")
			for i := range all[at:] {
				all[at+i].Time += step
			}
		}
		for i := 1; i < len(all); i++ {
			all[i].Came = max(all[i-1].Came, min(all[i-1].Time, all[i].Time))
		}
		one := logged(all, 1)
		for _, n := range []uint64{2, 7} {
			if many := logged(all, n); fmt.Sprint(one) != fmt.Sprint(many) {
				t.Fatalf("-one table, +%d tables:\n%s", n, cmp.Diff(one, many))
			}
		}
	})
}

// logged feeds segments to n tables by hash and returns the events of each
// connection by its id.
func logged(segs []Segment, n uint64) map[uint64][]string {
	l := &logger{m: map[uint64][]string{}}
	var tables []*Table[int]
	for range n {
		tables = append(tables, NewTable[int](l, DefaultOptions()))
	}
	for i := range segs {
		tables[segs[i].Hash%n].Feed(&segs[i])
	}
	for _, t := range tables {
		t.Finish()
	}
	return l.m
}

type logger struct{ m map[uint64][]string }

func (l *logger) add(c *Conn[int], f string, a ...any) {
	l.m[c.ID] = append(l.m[c.ID], fmt.Sprintf(f, a...))
}

func (l *logger) Segment(c *Conn[int], d wire.Dir, s *Segment, k Kind) {
	l.add(c, "%d segment %d kind %x after %v", d, s.Frame, k, c.Prev)
}
func (l *logger) Data(c *Conn[int], d wire.Dir, s *Span) { l.add(c, "%d data %+v", d, *s) }
func (l *logger) Gap(c *Conn[int], d wire.Dir, g *Gap)   { l.add(c, "%d gap %+v", d, *g) }
func (l *logger) FIN(c *Conn[int], d wire.Dir, s *Span)  { l.add(c, "%d FIN %+v", d, *s) }
func (l *logger) Close(c *Conn[int], why CloseReason) uint8 {
	l.add(c, "close %d %d", why, c.Last)
	return uint8(c.Last)
}
