package reuse

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/connlint/connlint/rules/accum"
)

// Links are the connections of a pair that began first, by first frame. Those
// that are over stand packed: of a million connections few are under way at
// once.
type Links struct {
	warm accum.BottomK[Link] // under way, and some that are over
	over int                 // about how many of warm are over
	cold accum.Packed        // the others that are over
	n    int                 // of them
	last entry               // packed last

	k       int
	bound   uint64 // first frame of the last connection held; valid with bounded
	bounded bool   // later ones were left out
}

// entry is a connection with its first frame.
type entry = accum.Entry[Link]

// coolAt is how many connections that are over stand unpacked: to pack each at
// its end would move those behind it.
const coolAt = 64

// at returns a connection that is one of the k that began first, made if need
// be, nil for another. k may only fall from call to call. The pointer is valid
// until the next call.
func (s *Links) at(id uint64, k int) *Link {
	if s.bounded && id > s.bound {
		return nil
	}
	s.k = k
	if s.n+s.warm.Len() >= k+accum.Slack(k) {
		s.trim()
		if s.bounded && id > s.bound {
			return nil
		}
	}
	return s.warm.At(id, k)
}

// ended notes that a connection that at returned is over.
func (s *Links) ended() {
	s.over++
	if s.over < max(coolAt, s.warm.Len()/2) {
		return
	}
	s.over = 0
	s.warm.Keep(func(id uint64, l *Link) bool {
		if l.Ended {
			s.pack(&entry{Hash: id, Value: *l})
		}
		return !l.Ended
	})
}

// trim lets go of the connections beyond the first k.
func (s *Links) trim() {
	all, more := s.All()
	own := Links{k: s.k, bounded: more}
	if more && len(all) > 0 {
		own.bound = all[len(all)-1].Hash
	}
	for i := range all {
		if e := &all[i]; e.Value.Ended {
			own.pack(e)
		} else {
			*own.warm.At(e.Hash, s.k) = e.Value
		}
	}
	*s = own
}

// limit lets go of the connections beyond the first k.
func (s *Links) limit(k int) {
	if k < s.k {
		s.k = k
		s.trim()
	}
}

// All returns the connections by first frame, and whether there were more. The
// slice is the caller's.
func (s *Links) All() (list []accum.Entry[Link], more bool) {
	all := make([]entry, 0, s.n+s.warm.Len())
	s.unpack(func(e *entry) { all = append(all, *e) })
	s.warm.Each(func(id uint64, l *Link) { all = append(all, entry{Hash: id, Value: *l}) })
	byFrame(all)
	n := 0
	for i := range all {
		switch e := &all[i]; {
		case s.bounded && e.Hash > s.bound: // what one side left out another may hold in part
		case n > 0 && all[n-1].Hash == e.Hash:
			all[n-1].Value.merge(&e.Value)
		default:
			all[n] = *e
			n++
		}
	}
	return all[:min(n, s.k)], n > s.k || s.bounded || s.warm.Full()
}

// byFrame puts connections in the order of their first frames. It moves each
// once: they are large.
func byFrame(list []entry) {
	type place struct {
		id uint64
		at int
	}
	places := make([]place, len(list))
	for i := range list {
		places[i] = place{list[i].Hash, i}
	}
	order := func(a, b place) int { return cmp.Compare(a.id, b.id) }
	if slices.IsSortedFunc(places, order) {
		return
	}
	slices.SortFunc(places, order)
	for i := range places {
		if places[i].at == i {
			continue
		}
		// Each of a ring goes where the next one was.
		first, to := list[i], i
		for places[to].at != i {
			from := places[to].at
			list[to], places[to].at = list[from], to
			to = from
		}
		list[to], places[to].at = first, to
	}
}

// Len returns how many connections are held, or more if some stand in several
// places.
func (s *Links) Len() int { return min(s.n+s.warm.Len(), s.k) }

// merge takes in the connections of o, which it does not keep.
func (s *Links) merge(o *Links, k int) {
	s.k = k
	s.cold.Append(&o.cold)
	s.n += o.n
	s.over += o.over
	s.warm.Merge(&o.warm, k, func(_ uint64, a, b *Link) { a.merge(b) })
	if o.bounded && (!s.bounded || o.bound < s.bound) {
		s.bounded, s.bound = true, o.bound
	}
	if s.n+s.warm.Len() > k {
		s.trim()
	}
}

// Bits of a packed connection. Behind them stand By and Cause, and N above all.
const (
	began = 1 << iota
	isProbe
	left
	ended
	blind
	hasClosed
	hasShut
	hasOver
	flagBits = iota
)

// linkInts is how many numbers a packed connection is.
const linkInts = 10

// pack appends a connection to those that stand packed: as what it differs by
// from the one before, and its times from each other.
func (s *Links) pack(e *entry) {
	b, first := s.cold.Tail(accum.IntsBytes(linkInts))
	if first {
		s.last = entry{}
	}
	l, last := &e.Value, &s.last.Value
	flags := int64(l.N)<<16 | int64(l.Cause)<<(flagBits+2) | int64(l.By)<<flagBits
	for i, set := range [flagBits]bool{l.Began, l.Probe, l.Left, l.Ended, l.Blind, l.Closed != 0, l.Shut != 0, l.Over != 0} {
		if set {
			flags |= 1 << i
		}
	}
	v := [linkInts]int64{int64(e.Hash - s.last.Hash), flags, l.Opened - last.Opened, l.Ready - l.Opened, l.Slow, l.Busy, 0, 0, 0, int64(l.Agent ^ last.Agent)}
	if l.Closed != 0 {
		v[6] = l.Closed - l.Opened
	}
	if l.Shut != 0 {
		v[7] = l.Shut - l.Closed
	}
	if l.Over != 0 {
		v[8] = l.Over - l.Closed
	}
	s.cold.Put(accum.AppendInts(b, v[:]))
	s.last = *e
	s.n++
}

// unpack calls f with each connection that stands packed, in the order in which
// they were packed. f may not keep it.
func (s *Links) unpack(f func(*entry)) {
	s.cold.Chunks(func(b []byte) {
		var e entry
		var v [linkInts]int64
		for len(b) > 0 {
			b = accum.ReadInts(b, v[:])
			flags := v[1]
			e.Hash += uint64(v[0])
			l := Link{Opened: e.Value.Opened + v[2], Slow: v[4], Busy: v[5], Agent: e.Value.Agent ^ uint64(v[9]),
				N: uint32(flags >> 16), Cause: Cause(flags >> (flagBits + 2) & 63), By: Ender(flags >> flagBits & 3),
				Began: flags&began != 0, Probe: flags&isProbe != 0, Left: flags&left != 0, Ended: flags&ended != 0, Blind: flags&blind != 0}
			l.Ready = l.Opened + v[3]
			if flags&hasClosed != 0 {
				l.Closed = l.Opened + v[6]
			}
			if flags&hasShut != 0 {
				l.Shut = l.Closed + v[7]
			}
			if flags&hasOver != 0 {
				l.Over = l.Closed + v[8]
			}
			e.Value = l
			f(&e)
		}
	})
}

// links is Links as JSON.
type links struct {
	All  []accum.Entry[Link]
	Full bool
}

// MarshalJSON writes the connections by first frame, so that alike sets read
// alike.
func (s Links) MarshalJSON() ([]byte, error) {
	all, full := s.All()
	return json.Marshal(links{all, full})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Links) UnmarshalJSON(text []byte) error {
	var read links
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	*s = Links{k: len(read.All), bounded: read.Full}
	for i := range read.All {
		s.pack(&read.All[i])
		s.bound = read.All[i].Hash
	}
	return nil
}
