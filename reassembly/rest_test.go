package reassembly

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/connlint/connlint/capture/wire"
)

// TestPackNumbers writes numbers of every length and reads them back.
func TestPackNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 64 {
		for _, v := range []uint64{0, 1<<n - 1, 1 << n, 1<<n + 1, rng.Uint64() >> n, ^uint64(0)} {
			var p Packer
			ref := wire.Seq(n) << 26
			p.Uint(v)
			p.Int(int64(v))
			p.Int(-int64(v))
			p.Seq(wire.Seq(v), ref)
			u := p.Unpacker()
			if a, b, c, d := u.Uint(), u.Int(), u.Int(), u.Seq(ref); a != v || b != int64(v) || c != -int64(v) || d != wire.Seq(v) {
				t.Fatalf("got %#x %#x %#x %#x, want %#x", a, b, c, d, v)
			}
		}
	}
}

// TestConnPackKeepsAll fills connections at random and packs them: a field that
// pack forgets comes back zero.
func TestConnPackKeepsAll(t *testing.T) {
	for seed := range uint64(20_000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var c Conn[struct{}]
		fill(rng, reflect.ValueOf(&c).Elem())
		c.hash, c.ref, c.next, c.prev = 0, 0, 0, 0 // known, or none at rest
		c.Streams[0].pend, c.Streams[1].pend = 0, 0
		if rng.IntN(2) == 0 {
			c.Key.Src.Set4(c.Key.Src[:])
			c.Key.Dst.Set4(c.Key.Dst[:])
		}
		var p Packer
		p.head(c.Last, 7, &c.Key)
		c.pack(&p)
		got := Conn[struct{}]{Last: lastOf(p.buf[:])}
		u := Unpacker{b: keyOf(p.buf[:], &got.Key)}
		got.unpack(&u)
		if got != c {
			t.Fatalf("seed %d: got  %+v\nwant %+v", seed, got, c)
		}
	}
}

// fill gives every field of v, exported or not, a random value. Small numbers
// and large ones are as likely.
func fill(rng *rand.Rand, v reflect.Value) {
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // settable though unexported
	n := rng.Uint64() >> rng.IntN(64)
	if rng.IntN(4) == 0 {
		n = 0
	}
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(rng, v.Field(i))
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case v.CanUint():
		v.SetUint(n & (1<<v.Type().Bits() - 1))
	case v.CanInt():
		shift := 64 - v.Type().Bits()
		v.SetInt(int64(n) << shift >> shift)
	}
}

// TestStore puts, drops and walks at random, beside a map.
func TestStore(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var s store
	have := map[uint32][]byte{}
	var places []uint32
	for i := range 100_000 {
		if len(places) > 0 && rng.IntN(5) < 2 {
			k := rng.IntN(len(places))
			place := places[k]
			places = slices.Delete(places, k, k+1)
			if b := s.at(place); !slices.Equal(b[1:len(have[place])], have[place][1:]) {
				t.Fatalf("step %d: the bytes of place %d have changed", i, place)
			}
			delete(have, place)
			s.drop(place)
			continue
		}
		b := make([]byte, 64+rng.IntN(600))
		b[1] = ipv4
		for j := 2; j < len(b); j++ {
			b[j] = byte(rng.Uint32())
		}
		place := s.put(b)
		if place == 0 || have[place] != nil {
			t.Fatalf("step %d: place %d is taken", i, place)
		}
		have[place] = b
		places = append(places, place)
	}
	if s.n != len(have) || len(s.pages) < 3 {
		t.Fatalf("%d places in %d pages, want %d in some", s.n, len(s.pages), len(have))
	}
	s.hand = 0
	met := map[uint32]bool{}
	for {
		place, ok := s.next()
		if !ok {
			break
		}
		if place != 0 {
			if have[place] == nil || met[place] {
				t.Fatalf("met place %d, which is free or met", place)
			}
			met[place] = true
		}
	}
	if len(met) != len(have) {
		t.Fatalf("met %d places of %d", len(met), len(have))
	}
}

// teller keeps a line for each event, and counts a connection's in its state.
type teller struct{ log, ends []string }

func (h *teller) tell(c *Conn[uint64], d wire.Dir, what ...any) {
	c.State++
	h.log = append(h.log, fmt.Sprint(c.ID, c.State, c.Last, c.Prev, d, c.Streams, what))
}

func (h *teller) Segment(c *Conn[uint64], d wire.Dir, s *Segment, k Kind) { h.tell(c, d, s.Frame, k) }
func (h *teller) Data(c *Conn[uint64], d wire.Dir, s *Span)               { h.tell(c, d, *s) }
func (h *teller) Gap(c *Conn[uint64], d wire.Dir, g *Gap)                 { h.tell(c, d, *g) }
func (h *teller) FIN(c *Conn[uint64], d wire.Dir, s *Span)                { h.tell(c, d, *s) }

func (h *teller) Close(c *Conn[uint64], why CloseReason) uint8 {
	h.ends = append(h.ends, fmt.Sprint(c.ID, c.State, c.Last, why))
	return uint8(c.State)
}

// TestPackIsUnseen follows many connections, packed between their segments, in
// one table, and as they are in another.
func TestPackIsUnseen(t *testing.T) {
	in := make([]byte, 0, fuzzSegment*20_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for range cap(in) / 8 {
		in = binary.LittleEndian.AppendUint64(in, rng.Uint64()&rng.Uint64())
	}
	run := func(pack bool) []string {
		h := &teller{}
		opts := DefaultOptions()
		opts.MaxTombs = 4
		table := NewTable[uint64](h, opts)
		if pack {
			table.PackAtRest(func(c *Conn[uint64], p *Packer) bool { p.Uint(c.State); return true },
				func(c *Conn[uint64], u *Unpacker) { c.State = u.Uint() })
		}
		n := 0
		fuzzSegments(in, func(s *Segment) {
			if pack {
				table.fetch([]Segment{*s}, []uint16{0})
			}
			table.Feed(s)
			if pack {
				table.PackNow()
				packed, _ := table.Packed()
				n += packed
			}
		})
		fed := len(h.log)
		table.Finish() // in no particular order
		slices.Sort(h.log[fed:])
		if pack && n == 0 {
			t.Error("nothing was packed")
		}
		if table.Live() != 0 {
			t.Errorf("%d connections live on", table.Live())
		}
		slices.Sort(h.ends)
		return append(h.log, h.ends...)
	}
	want, got := run(false), run(true)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("event %d packed:\n%s\nelse:\n%s", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events packed, %d else", len(got), len(want))
	}
}

// TestTombRing pushes and drops tombs at random, across the wrap of their
// numbers, beside a slice.
func TestTombRing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	from := ^uint32(0) - 300_000
	r := tombRing{head: from, tail: from}
	var want []uint32
	for i := range 1_000_000 {
		if len(want) > 0 && rng.IntN(9) < 4 {
			want = want[1:]
			r.head++
			continue
		}
		n, b := r.push()
		*b = tomb{hash: uint32(i)}
		if want = append(want, uint32(i)); r.at(n&(isTomb-1)) != b {
			t.Fatalf("tomb %d is not found by its place", n)
		}
		if r.len() != len(want) || r.oldest().hash != want[0] || r.at(r.head+uint32(len(want)/2)).hash != want[len(want)/2] {
			t.Fatalf("step %d: another tomb stands there", i)
		}
	}
	if from < r.tail {
		t.Error("the numbers did not wrap")
	}
}
