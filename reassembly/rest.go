package reassembly

import (
	"github.com/connlint/connlint/capture/wire"
)

// isPacked tells a reference to a packed connection from an index.
const isPacked = 1 << 30

// PackAtRest lets the table pack connections that are at rest: of a million
// open connections most wait for what comes next, and take a quarter of the
// memory so. pack writes what the handler keeps in c.State, and frees what that
// refers to, or returns false and leaves it; unpack restores a zero State. Where
// c.State holds what refers to others it must not be packed. A connection moves
// by that: pointers to it are valid only while its handler is called.
func (t *Table[S]) PackAtRest(pack func(c *Conn[S], p *Packer) bool, unpack func(c *Conn[S], u *Unpacker)) {
	t.pack, t.unpack = pack, unpack
	t.packer = new(Packer)
}

// PackNow packs every connection at rest, however short: for tests and
// benchmarks.
func (t *Table[S]) PackNow() {
	for ref := uint32(1); ref < t.nconns; ref++ {
		if c := t.at(ref); c.flags&inUse != 0 && t.rest(c) {
			t.free = append(t.free, ref)
		}
	}
}

// Packed returns how many connections are packed at present, and the bytes
// that these take, with those free for others.
func (t *Table[S]) Packed() (n, bytes int) {
	return t.store.n, len(t.store.pages) * pageUnits * unit
}

// packTries is how many connections are looked at for one at rest.
const packTries = 8

// makeRest packs a connection that has been silent for a while and returns its
// index, which is free then; 0 if the next few are all at work.
func (t *Table[S]) makeRest() uint32 {
	for range packTries {
		if t.resting++; t.resting >= t.nconns {
			t.resting = 1
		}
		if c := t.at(t.resting); t.last-c.Last >= int64(t.opts.Rest) && t.rest(c) {
			return t.resting
		}
	}
	return 0
}

// rest packs c, if it is at rest, and leaves it zero.
func (t *Table[S]) rest(c *Conn[S]) bool {
	if c.flags&(inUse|lingering) != inUse || c.Holding() {
		return false
	}
	p := t.packer
	p.head(c.Last, c.hash, &c.Key)
	c.pack(p)
	if !t.pack(c, p) {
		return false
	}
	i, _, _ := t.find(&c.Key, c.hash)
	t.slots[i].ref = t.store.put(p.buf[:p.n]) | isPacked
	*c = Conn[S]{}
	return true
}

// wake unpacks the connection that slot i refers to.
func (t *Table[S]) wake(i uint32) *Conn[S] {
	place := t.slots[i].ref &^ isPacked
	ref := t.alloc() // may pack another, and so add a page
	c := t.at(ref)
	t.slots[i].ref = ref
	t.restore(c, place)
	c.hash, c.ref = t.slots[i].hash, ref
	return c
}

// wakeAt unpacks the connection at a place.
func (t *Table[S]) wakeAt(place uint32) *Conn[S] {
	i := hashOf(t.store.at(place)) & t.mask
	for t.slots[i].ref != place|isPacked {
		i = (i + 1) & t.mask
	}
	return t.wake(i)
}

// packedLines is how many cache lines of a packed connection are fetched ahead:
// most are not longer.
const packedLines = 4

// manySlots is how many slots no longer stay in the nearest cache.
const manySlots = 1 << 15

// Ahead fetches what the segments of segs with the indices in next will be
// looked up in: their slots, and then the packed connections that these refer
// to. With many connections neither is in a cache. One after the other each
// would be waited for; here all are under way at the same time. It changes
// nothing.
func (t *Table[S]) Ahead(segs []Segment, next []uint16) {
	if len(t.slots) >= manySlots {
		t.fetch(segs, next)
	}
}

func (t *Table[S]) fetch(segs []Segment, next []uint16) {
	refs := t.ahead[:0]
	for _, n := range next {
		refs = append(refs, t.slots[uint32(segs[n].Hash>>32)&t.mask].ref)
	}
	for _, ref := range refs {
		if ref&(isTomb|isPacked) != isPacked {
			continue
		}
		if b := t.store.at(ref &^ isPacked); len(b) >= packedLines*unit {
			for line := range packedLines {
				t.fetched += b[line*unit]
			}
		}
	}
	t.ahead = refs
}

// restore fills the zero connection c with what is packed at a place, and
// frees that.
func (t *Table[S]) restore(c *Conn[S], place uint32) {
	b := t.store.at(place)
	c.Last = lastOf(b)
	t.unpacker = Unpacker{b: keyOf(b, &c.Key)}
	c.unpack(&t.unpacker)
	t.unpack(c, &t.unpacker)
	t.store.drop(place)
}

// Which of a connection's rarer parts are packed.
const (
	hasPrev = 1 << iota
	hasLinger
)

// pack writes what unpack reads: all but Key, Last, hash, ref and State.
func (c *Conn[S]) pack(p *Packer) {
	has := uint64(0)
	if c.Prev != (Prev{}) {
		has |= hasPrev
	}
	if c.endAt != 0 {
		has |= hasLinger
	}
	p.Uint(uint64(c.flags) | has<<8)
	p.Int(c.Last - c.Start)
	p.Uint(c.ID)
	p.Int(int64(c.LastFrame - c.ID))
	if has&hasPrev != 0 {
		p.Uint(c.Prev.ID)
		p.Int(c.Prev.Last)
		p.Uint(uint64(c.Prev.Memo))
	}
	if has&hasLinger != 0 {
		p.Int(c.endAt)
	}
	for d := range c.Streams {
		c.Streams[d].pack(p)
	}
}

func (c *Conn[S]) unpack(u *Unpacker) {
	v := u.Uint()
	c.flags = connFlags(v)
	has := v >> 8
	c.Start = c.Last - u.Int()
	c.ID = u.Uint()
	c.LastFrame = c.ID + uint64(u.Int())
	if has&hasPrev != 0 {
		c.Prev.ID, c.Prev.Last, c.Prev.Memo = u.Uint(), u.Int(), uint8(u.Uint())
	}
	if has&hasLinger != 0 {
		c.endAt = u.Int()
	}
	for d := range c.Streams {
		c.Streams[d].unpack(u)
	}
}

// Which of a stream's rarer parts are packed.
const (
	hasProbe = 1 << iota
	hasHole
	hasFIN
	hasOpen // some of its bytes are not delivered or not acknowledged
)

func (s *Stream) pack(p *Packer) {
	has := uint64(0)
	if s.probeTime != 0 || s.probeEnd != s.Max {
		has |= hasProbe
	}
	if s.holeSince != 0 || s.holeEnd != 0 || s.holeSegs != 0 || s.pendLast != 0 || s.pendCost != 0 {
		has |= hasHole
	}
	if s.finSeq != 0 {
		has |= hasFIN
	}
	if s.Max != s.Nxt || s.Acked != s.Max {
		has |= hasOpen
	}
	p.Uint(uint64(s.flags) | has<<8 | uint64(s.MSS)<<12 | uint64(s.OptionLen)<<28 | uint64(uint8(s.wscale+1))<<36)
	p.Uint(uint64(s.ISN))
	p.Seq(s.Nxt, s.ISN)
	if has&hasOpen != 0 {
		p.Seq(s.Max, s.Nxt)
		p.Seq(s.Acked, s.Max)
	}
	p.Uint(uint64(s.Window))
	p.Int(s.MinRTT)
	if has&hasProbe != 0 {
		p.Int(s.probeTime)
		p.Seq(s.probeEnd, s.Max)
	}
	if has&hasHole != 0 {
		p.Int(s.holeSince)
		p.Seq(s.holeEnd, s.Nxt)
		p.Uint(uint64(s.holeSegs))
		p.Uint(uint64(s.pendLast))
		p.Uint(uint64(s.pendCost))
	}
	if has&hasFIN != 0 {
		p.Seq(s.finSeq, s.Max)
	}
}

func (s *Stream) unpack(u *Unpacker) {
	v := u.Uint()
	has := v >> 8
	s.flags, s.MSS, s.OptionLen, s.wscale = streamFlags(v), uint16(v>>12), uint8(v>>28), int8(v>>36)-1
	s.ISN = wire.Seq(u.Uint())
	s.Nxt = u.Seq(s.ISN)
	s.Max, s.Acked = s.Nxt, s.Nxt
	if has&hasOpen != 0 {
		s.Max = u.Seq(s.Nxt)
		s.Acked = u.Seq(s.Max)
	}
	s.Window = uint32(u.Uint())
	s.MinRTT = u.Int()
	s.probeEnd = s.Max
	if has&hasProbe != 0 {
		s.probeTime, s.probeEnd = u.Int(), u.Seq(s.Max)
	}
	if has&hasHole != 0 {
		s.holeSince, s.holeEnd, s.holeSegs = u.Int(), u.Seq(s.Nxt), uint16(u.Uint())
		s.pendLast, s.pendCost = uint32(u.Uint()), uint32(u.Uint())
	}
	if has&hasFIN != 0 {
		s.finSeq = u.Seq(s.Max)
	}
}
