package reassembly

import "github.com/connlint/connlint/capture/wire"

// tomb is what is remembered of an ended connection, so that its late
// segments begin no new one.
type tomb struct {
	key   wire.Flow
	isn   [2]wire.Seq
	end   [2]wire.Seq // after the last byte of each direction
	hash  uint32
	known [2]bool // isn and end are valid
	slotd bool    // a slot refers to it
	memo  uint8   // as in Prev, with id and last
	id    uint64
	last  int64
}

// until returns the capture time after which it is forgotten.
func (b *tomb) until() int64 { return b.last + int64(tombTime) }

// tombRing is a growing queue of tombs whose places do not move: a place is
// its number since the start, modulo 2³¹. It stands in chunks, so that growing
// copies no tomb and leaves no memory behind.
type tombRing struct {
	chunks     []*[tombChunk]tomb // length is a power of two; nil where none is
	spare      *[tombChunk]tomb   // one that is not in use, or nil
	head, tail uint32             // oldest, and one past the newest
}

const (
	tombBits  = 10
	tombChunk = 1 << tombBits
)

func (r *tombRing) len() int { return int(r.tail - r.head) }

func (r *tombRing) chunk(i uint32) **[tombChunk]tomb {
	return &r.chunks[i>>tombBits&uint32(len(r.chunks)-1)]
}

func (r *tombRing) at(i uint32) *tomb { return &(*r.chunk(i))[i%tombChunk] }

func (r *tombRing) oldest() *tomb { return r.at(r.head) }

func (r *tombRing) push() (uint32, *tomb) {
	i, mask := r.tail, uint32(tombChunk-1)
	if spanned := (i - r.head&^mask) >> tombBits; int(spanned) >= len(r.chunks) {
		old := tombRing{chunks: r.chunks}
		r.chunks = make([]*[tombChunk]tomb, max(4, 2*len(old.chunks)))
		for n := range spanned {
			place := r.head + n<<tombBits
			*r.chunk(place) = *old.chunk(place)
		}
	}
	c := r.chunk(i)
	if *c == nil {
		*c, r.spare = r.spare, nil
	}
	if *c == nil {
		*c = new([tombChunk]tomb)
	}
	r.tail++
	return i, r.at(i)
}

// pop lets go of the oldest tomb.
func (r *tombRing) pop() {
	if c := r.chunk(r.head); r.head%tombChunk == tombChunk-1 {
		*c, r.spare = nil, *c
	}
	r.head++
}

// bury leaves a tomb for c, which will be prev to the next, in its slot i.
func (t *Table[S]) bury(i uint32, c *Conn[S], prev Prev) {
	if t.tombs.len() >= t.opts.MaxTombs {
		t.Stats.TombsDropped++
		t.dropTomb()
		i, _, _ = t.find(&c.Key, c.hash) // slots have moved
	}
	n, b := t.tombs.push()
	*b = tomb{key: c.Key, hash: c.hash, slotd: true, id: prev.ID, last: prev.Last, memo: prev.Memo}
	for d := range c.Streams {
		s := &c.Streams[d]
		b.isn[d], b.end[d], b.known[d] = s.ISN, s.Max, s.flags&started != 0
	}
	t.slots[i] = slot{c.hash, n&(isTomb-1) | isTomb}
}

// dropTomb forgets the oldest tomb.
func (t *Table[S]) dropTomb() {
	b := t.tombs.oldest()
	if b.slotd {
		if i, _, ok := t.find(&b.key, b.hash); ok {
			t.remove(i)
		}
	}
	t.tombs.pop()
}
