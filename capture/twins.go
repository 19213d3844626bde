package capture

import (
	"iter"

	"github.com/connlint/connlint/capture/wire"
)

// Twins recognises a connection that the capture holds twice under different
// addresses, because it was taken on both sides of an address translator. The
// translator leaves the sequence numbers alone: two connections whose SYNs
// carry the same number within 3 s, and whose SYN-ACKs do too, are one. A proxy
// opens a connection of its own and so never makes twins.
//
// Programs that make packets up use the same numbers again and again, so the
// handshakes must also lie one inside the other, as translation makes them: the
// second SYN before the first connection's SYN-ACK, and that one last. Where a
// SYN was not captured the two SYN-ACKs must be at most 50 ms apart instead.
//
// The connection whose SYN came first is kept: it is the client's side. Where
// no SYN was captured it is the one whose SYN-ACK came last. The other is
// reported on its first segment after both SYN-ACKs were seen.
//
// Its memory is fixed, 1.5 MiB, for the last 16,384 handshakes, of which it
// touches what it has seen. The zero value is ready. It depends on nothing but
// the order of the segments and their times.
type Twins struct {
	// The openings in their order, one after another: few connections touch few
	// pages, where places by hash would touch them all.
	ring   [twinRing]opening
	seen   uint32           // openings so far
	newest [twinRing]uint32 // number of the last opening, from 1, by hash of its sequence number

	// Twins known, not yet reported. mask has a bit for each, by hash, and is 0
	// nearly always.
	mask    uint64
	pending [32]mark
	npend   int
}

const (
	twinBits = 14
	twinRing = 1 << twinBits
	// twinDepth is how many openings with the same hash are looked at.
	twinDepth = 8
	// twinWindow is how far apart the two sightings of a SYN or SYN-ACK may
	// be, in nanoseconds.
	twinWindow = int64(3e9)
	// twinSlack is how far packets of two interfaces may stand in the wrong
	// order, in nanoseconds.
	twinSlack = int64(1e6)
	// markLife is how long a mark waits for its connection's next segment.
	markLife = int64(10e9)
)

// opening is a connection's handshake as far as it was seen.
type opening struct {
	flow     wire.Flow // client to server
	hash     uint64    // of flow
	seq      uint32    // order of appearance, from 1
	before   uint32    // the last one before with the same hash of isn, 0 for none
	synTime  int64     // valid with syn
	ackTime  int64     // valid with synAck
	isn      wire.Seq  // the client's
	srv      wire.Seq  // the server's, valid with synAck
	syn      bool
	synAck   bool
	reported bool // known to be the twin to drop
}

type mark struct {
	hash uint64
	time int64
}

// Observe takes every segment in order. It returns true once for a connection
// that is a twin of another, on one of its segments: drop that connection, what
// came of it before too.
func (t *Twins) Observe(s *Segment) (twin bool) {
	if s.Flags&wire.SYN == 0 && t.mask>>(s.Hash&63)&1 == 0 {
		return false
	}
	return t.observe(s)
}

func (t *Twins) observe(s *Segment) bool {
	if t.mask>>(s.Hash&63)&1 != 0 && t.take(s) {
		return true
	}
	switch s.Flags & (wire.SYN | wire.ACK | wire.RST | wire.FIN) {
	case wire.SYN:
		t.syn(s)
	case wire.SYN | wire.ACK:
		return t.synAck(s)
	}
	return false
}

func (t *Twins) syn(s *Segment) {
	o := t.open(s.Flow, s.Hash, s.Seq)
	if !o.syn {
		o.syn, o.synTime = true, s.Time
	}
}

func (t *Twins) synAck(s *Segment) bool {
	o := t.open(s.Flow.Reverse(), s.Hash, s.Ack-1)
	if o.synAck && o.srv == s.Seq {
		return false // sent again
	}
	o.synAck, o.srv, o.ackTime = true, s.Seq, s.Time
	twin := false
	for p := range t.alike(o.isn) {
		if p == o || !p.twinOf(o) {
			continue
		}
		keep, lose := sides(o, p)
		if lose.reported || !keep.encloses(lose) {
			continue
		}
		lose.reported = true
		if lose == o {
			twin = true
		} else {
			t.mark(p.hash, s.Time)
		}
	}
	return twin
}

// twinOf reports whether p and o are one connection.
func (p *opening) twinOf(o *opening) bool {
	if !p.synAck || p.isn != o.isn || p.srv != o.srv || p.hash == o.hash {
		return false
	}
	if p.isn == 0 && p.srv == 0 {
		return false // made up, or rewritten to relative numbers
	}
	// Translators change an address. Connections that differ in the client's
	// port alone are made by a program without random numbers.
	if p.flow.Src == o.flow.Src && p.flow.Dst == o.flow.Dst && p.flow.SrcPort != o.flow.SrcPort {
		return false
	}
	return true
}

// sides tells which of two twins is the client's side and which the server's.
func sides(o, p *opening) (client, server *opening) {
	switch {
	case o.syn != p.syn:
		if p.syn {
			return p, o
		}
		return o, p
	case o.syn == (o.seq < p.seq):
		return o, p
	}
	return p, o
}

// encloses reports whether the handshake of the twin in lies inside that of p.
func (p *opening) encloses(in *opening) bool {
	if p.syn && in.syn {
		return in.synTime-p.synTime <= twinWindow &&
			in.synTime <= p.ackTime+twinSlack && in.ackTime <= p.ackTime+twinSlack && p.ackTime-in.ackTime <= twinWindow
	}
	apart := p.ackTime - in.ackTime
	return -copyWindow <= apart && apart <= copyWindow
}

func slot(isn wire.Seq) uint32 { return uint32(isn) * 0x9e3779b1 >> (32 - twinBits) }

// alike yields the last openings with the hash of isn, the newest first.
func (t *Twins) alike(isn wire.Seq) iter.Seq[*opening] {
	return func(yield func(*opening) bool) {
		o := t.at(t.newest[slot(isn)])
		for depth := 0; o != nil && depth < twinDepth && yield(o); depth++ {
			o = t.at(o.before)
		}
	}
}

// at returns the n-th opening, nil if it is none or too long ago.
func (t *Twins) at(n uint32) *opening {
	if n == 0 || t.seen-n >= twinRing {
		return nil
	}
	return &t.ring[n%twinRing]
}

// open returns the opening of a connection, a new one in place of the oldest of
// all if there is none.
func (t *Twins) open(f wire.Flow, hash uint64, isn wire.Seq) *opening {
	for o := range t.alike(isn) {
		if o.hash == hash && o.isn == isn && o.flow == f {
			return o
		}
	}
	t.seen++
	o := &t.ring[t.seen%twinRing]
	newest := &t.newest[slot(isn)]
	*o = opening{flow: f, hash: hash, seq: t.seen, before: *newest, isn: isn}
	*newest = t.seen
	return o
}

// mark remembers a twin to report on its next segment.
func (t *Twins) mark(hash uint64, now int64) {
	t.expire(now)
	if t.npend == len(t.pending) {
		copy(t.pending[:], t.pending[1:])
		t.npend--
	}
	t.pending[t.npend] = mark{hash: hash, time: now}
	t.npend++
	t.mask |= 1 << (hash & 63)
}

// take reports whether s belongs to a marked twin, and removes the mark.
func (t *Twins) take(s *Segment) bool {
	t.expire(s.Time)
	for i, m := range t.pending[:t.npend] {
		if m.hash == s.Hash {
			copy(t.pending[i:], t.pending[i+1:t.npend])
			t.npend--
			t.remask()
			return true
		}
	}
	return false
}

// expire drops marks whose connection went silent.
func (t *Twins) expire(now int64) {
	n := 0
	for _, m := range t.pending[:t.npend] {
		if now-m.time <= markLife {
			t.pending[n] = m
			n++
		}
	}
	if n != t.npend {
		t.npend = n
		t.remask()
	}
}

func (t *Twins) remask() {
	t.mask = 0
	for _, m := range t.pending[:t.npend] {
		t.mask |= 1 << (m.hash & 63)
	}
}
