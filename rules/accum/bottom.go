package accum

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
)

// BottomK holds a value for each of the k keys with the smallest hashes: under
// pressure a uniform sample of the keys, each with all that was added to it. A
// key once left out never comes back, since the bound only falls. Use one k for
// all calls, below a half million.
type BottomK[V any] struct {
	// entries are in order until a key comes far out of it; then in none, and
	// up to spare(k) more than k: to put each in its place, and the one beyond
	// away, would move thousands each time.
	entries chunked[Entry[V]]
	mixed   bool     // they are in no order
	index   []uint32 // a hash table of [place]s, 0 for none; nil unless mixed
	k       int
	bound   uint64 // hash of the largest key held; valid with bounded
	bounded bool   // keys with larger hashes were left out
}

// spare is how many keys more than k are held before the largest go.
func spare(k int) int { return max(k/8, 16) }

// Entry is one key's value. Keys with the same hash are one key.
type Entry[V any] struct {
	Hash  uint64
	Value V
}

// At returns the value of the key with that hash, made if need be, or nil if k
// smaller ones are held. The pointer is valid until the next call.
func (b *BottomK[V]) At(hash uint64, k int) *V {
	if !b.Takes(hash) || k <= 0 {
		return nil
	}
	b.k = k
	if !b.mixed {
		i, found := b.search(hash)
		switch {
		case found:
			return &b.entries.at(i).Value
		case b.entries.n-i <= near:
			return b.insert(i, hash)
		}
		b.mixed = true
		b.reindex()
	} else if v := b.Get(hash); v != nil {
		return v
	}
	e := b.entries.push(Entry[V]{Hash: hash})
	if b.entries.n >= k+spare(k) {
		b.trim() // the key itself may be among those that are too much
		return b.Get(hash)
	}
	b.enter(b.entries.n)
	return &e.Value
}

// search returns where among entries in order a hash is, or would be.
func (b *BottomK[V]) search(hash uint64) (i int, found bool) {
	const few = 8 // connections that are under way stand near the end
	for i = b.entries.n; i > 0 && i > b.entries.n-few; i-- {
		switch h := b.entries.at(i - 1).Hash; {
		case h == hash:
			return i - 1, true
		case h < hash:
			return i, false
		}
	}
	lo, hi := 0, i
	for lo < hi {
		if m := (lo + hi) / 2; b.entries.at(m).Hash < hash {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < b.entries.n && b.entries.at(lo).Hash == hash
}

// insert puts a key in its place among entries in order, and returns its value,
// nil if it is one too much.
func (b *BottomK[V]) insert(i int, hash uint64) *V {
	full := b.entries.n >= b.k
	switch {
	case !full:
		b.entries.push(Entry[V]{})
	case i >= b.k:
		b.bounded, b.bound = true, b.entries.at(b.k-1).Hash
		return nil
	}
	for n := b.entries.n - 1; n > i; n-- {
		*b.entries.at(n) = *b.entries.at(n - 1)
	}
	e := b.entries.at(i)
	*e = Entry[V]{Hash: hash}
	if full { // the last one had to go
		b.bounded, b.bound = true, b.entries.at(b.entries.n-1).Hash
	}
	return &e.Value
}

// Takes reports whether a key with that hash may be held, now or later: no
// lookup, and false of most keys once k are held. What it has refused, it
// refuses from then on.
func (b *BottomK[V]) Takes(hash uint64) bool { return !b.bounded || hash <= b.bound }

// Limit returns the largest hash that Takes does not refuse.
func (b *BottomK[V]) Limit() uint64 {
	if b.bounded {
		return b.bound
	}
	return math.MaxUint64
}

// Get returns the value of the key with that hash, nil if it is not held.
func (b *BottomK[V]) Get(hash uint64) *V {
	if !b.mixed {
		if i, found := b.search(hash); found {
			return &b.entries.at(i).Value
		}
		return nil
	}
	mask := uint64(len(b.index) - 1)
	for at := slot(hash) & mask; b.index[at] != 0; at = (at + 1) & mask {
		if p := b.index[at]; (p^tag(hash))>>placeBits == 0 {
			if e := b.entries.at(int(p&maxPlace) - 1); e.Hash == hash {
				return &e.Value
			}
		}
	}
	return nil
}

// A place in the index is where an entry is, from 1, with some bits of its
// hash above: most others' entries need not be looked at.
const (
	placeBits = 20
	maxPlace  = 1<<placeBits - 1 // k + spare(k) may be no more
)

func tag(hash uint64) uint32 {
	return uint32(hash*0x9e3779b97f4a7c15>>(32+placeBits)) << placeBits
}

// slot spreads hashes that are not random, such as frame numbers, over a
// table, but leaves neighbours near each other: the connections under way then
// share few cache lines.
func slot(h uint64) uint64 { return h + 7*(h>>12) + 13*(h>>24) }

// enter puts the n-th entry, the last one, into the index.
func (b *BottomK[V]) enter(n int) {
	if len(b.index) < 2*n {
		b.reindex()
		return
	}
	b.put(n, b.entries.at(n-1).Hash)
}

// put enters a hash, which is that of the n-th entry.
func (b *BottomK[V]) put(n int, hash uint64) {
	mask := uint64(len(b.index) - 1)
	at := slot(hash) & mask
	for b.index[at] != 0 {
		at = (at + 1) & mask
	}
	b.index[at] = tag(hash) | uint32(n)
}

// reindex makes the index of mixed entries anew, with room for as many again.
func (b *BottomK[V]) reindex() {
	if !b.mixed {
		b.index = nil
		return
	}
	size := 32
	for size < 3*b.entries.n {
		size *= 2
	}
	if size == len(b.index) {
		clear(b.index)
	} else {
		b.index = make([]uint32, size)
	}
	n := 0
	b.entries.parts(func(s []Entry[V]) {
		for i := range s {
			n++
			b.put(n, s[i].Hash)
		}
	})
}

// trim lets go of the entries beyond k.
func (b *BottomK[V]) trim() {
	if b.entries.n <= b.k {
		return
	}
	b.bounded, b.bound = true, 0
	if b.k > 0 && !b.mixed {
		b.bound = b.entries.at(b.k - 1).Hash
	} else if b.k > 0 {
		hashes := make([]uint64, 0, b.entries.n)
		b.entries.parts(func(s []Entry[V]) {
			for i := range s {
				hashes = append(hashes, s[i].Hash)
			}
		})
		b.bound = kth(hashes, b.k)
	}
	b.Keep(func(hash uint64, _ *V) bool { return hash <= b.bound && b.k > 0 })
}

// Trim lets go of all keys but the k with the smallest hashes. k is that of all
// calls to come, or more.
func (b *BottomK[V]) Trim(k int) {
	if k < b.k {
		b.k = k
		b.trim()
	}
}

// Keep lets go of the keys for which f is false. They may come back.
func (b *BottomK[V]) Keep(f func(hash uint64, v *V) bool) {
	n := 0
	for i := range b.entries.n {
		if e := b.entries.at(i); f(e.Hash, &e.Value) {
			if i > n {
				*b.entries.at(n) = *e
			}
			n++
		}
	}
	if n < b.entries.n {
		b.entries.shorten(n)
		b.reindex()
	}
}

// kth returns the k-th smallest of list, k from 1, and puts list out of order.
func kth(list []uint64, k int) uint64 {
	k--
	for len(list) > 1 {
		a, m, z := list[0], list[len(list)/2], list[len(list)-1]
		pivot := max(min(a, m), min(max(a, m), z))
		i, j := 0, len(list)-1
		for i <= j {
			for list[i] < pivot {
				i++
			}
			for list[j] > pivot {
				j--
			}
			if i <= j {
				list[i], list[j] = list[j], list[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			list = list[:j+1]
		case k >= i:
			list, k = list[i:], k-i
		default:
			return pivot
		}
	}
	return list[0]
}

func byHash[V any](a, b Entry[V]) int { return cmp.Compare(a.Hash, b.Hash) }

// Len returns how many keys are held.
func (b *BottomK[V]) Len() int {
	b.trim()
	return b.entries.n
}

// Each calls f with each of the k keys and its value, in no order.
func (b *BottomK[V]) Each(f func(hash uint64, v *V)) {
	b.trim()
	b.entries.parts(func(s []Entry[V]) {
		for i := range s {
			f(s[i].Hash, &s[i].Value)
		}
	})
}

// All returns the k keys and their values, by hash. They are b's own, and what
// At and Get returned before is no longer valid; nor is a copy of b.
func (b *BottomK[V]) All() []Entry[V] {
	b.trim()
	all := b.entries.flat()
	if b.mixed {
		slices.SortFunc(all, byHash[V])
		b.mixed, b.index = false, nil
	}
	return all
}

// Full reports whether keys were left out.
func (b *BottomK[V]) Full() bool { return b.bounded || b.entries.n > b.k }

// Merge takes in the keys of o. merge adds the second value of a key to
// the first, a zero one for a new key; whether it keeps what is in the second is
// its choice.
func (b *BottomK[V]) Merge(o *BottomK[V], k int, merge func(hash uint64, a, b *V)) {
	if o.bounded && (!b.bounded || o.bound < b.bound) {
		// What o left out b may hold in part: none of it is among the k
		// smallest.
		b.bounded, b.bound, b.k = true, o.bound, k
		b.Keep(func(hash uint64, _ *V) bool { return b.Takes(hash) })
	}
	if !b.mixed && !o.mixed {
		b.join(o, k, merge)
		return
	}
	o.entries.parts(func(s []Entry[V]) {
		for i := range s {
			if v := b.At(s[i].Hash, k); v != nil {
				merge(s[i].Hash, v, &s[i].Value)
			}
		}
	})
}

// join is Merge of two in order.
func (b *BottomK[V]) join(o *BottomK[V], k int, merge func(hash uint64, a, b *V)) {
	var both chunked[Entry[V]]
	i, j := 0, 0
	for i < b.entries.n || j < o.entries.n {
		var next Entry[V]
		own := j == o.entries.n || i < b.entries.n && b.entries.at(i).Hash <= o.entries.at(j).Hash
		if own {
			next = *b.entries.at(i)
			i++
		} else {
			next.Hash = o.entries.at(j).Hash
		}
		if !b.Takes(next.Hash) {
			break
		}
		if both.n == k {
			b.bounded, b.bound = true, both.at(k-1).Hash
			break
		}
		e := both.push(next)
		if j < o.entries.n && o.entries.at(j).Hash == e.Hash {
			merge(e.Hash, &e.Value, &o.entries.at(j).Value)
			j++
		}
	}
	b.entries, b.k = both, k
}

// bottomK is a BottomK as JSON.
type bottomK[V any] struct {
	Entries []Entry[V]
	Full    bool
}

// MarshalJSON writes the keys in order, so that alike sets read alike.
func (b BottomK[V]) MarshalJSON() ([]byte, error) {
	own := BottomK[V]{k: b.k, bounded: b.bounded, bound: b.bound, mixed: b.mixed}
	b.entries.parts(func(s []Entry[V]) { own.entries.list = append(own.entries.list, s...) })
	own.entries.n = len(own.entries.list)
	full := own.Full()
	return json.Marshal(bottomK[V]{own.All(), full})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *BottomK[V]) UnmarshalJSON(text []byte) error {
	var read bottomK[V]
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	n := len(read.Entries)
	*b = BottomK[V]{entries: chunked[Entry[V]]{list: read.Entries, n: n}, k: n, bounded: read.Full,
		mixed: !slices.IsSortedFunc(read.Entries, byHash[V])}
	if n > 0 {
		b.bound = read.Entries[n-1].Hash
	}
	b.reindex()
	return nil
}
