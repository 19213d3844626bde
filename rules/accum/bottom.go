package accum

import (
	"cmp"
	"encoding/json"
	"slices"
)

// BottomK holds a value for each of the k keys with the smallest hashes: under
// pressure a uniform sample of the keys, each with all that was added to it. A
// key once left out never comes back, since the bound only falls. Use one k for
// all calls.
type BottomK[V any] struct {
	// entries are in no order, and up to slack(k) more than k: to put each in
	// its place, and the one beyond away, would move thousands each time.
	entries []Entry[V]
	index   []uint32 // a hash table of where entries are, from 1; nil for few of them
	k       int
	bound   uint64 // hash of the largest key held; valid with bounded
	bounded bool   // keys with larger hashes were left out
}

// Entry is one key's value. Keys with the same hash are one key.
type Entry[V any] struct {
	Hash  uint64
	Value V
}

// fewEntries are found by looking at each.
const fewEntries = 8

// At returns the value of the key with that hash, made if need be, or nil if k
// smaller ones are held. The pointer is valid until the next call.
func (b *BottomK[V]) At(hash uint64, k int) *V {
	if !b.Takes(hash) {
		return nil
	}
	if v := b.Get(hash); v != nil {
		return v
	}
	b.k = k
	b.entries = append(roomier(b.entries, k+slack(k)), Entry[V]{Hash: hash})
	if len(b.entries) >= k+slack(k) {
		b.trim()
		return b.Get(hash)
	}
	b.enter(len(b.entries))
	return &b.entries[len(b.entries)-1].Value
}

// Takes reports whether a key with that hash may be held, now or later: no
// lookup, and false of most keys once k are held. What it has refused, it
// refuses from then on.
func (b *BottomK[V]) Takes(hash uint64) bool { return !b.bounded || hash <= b.bound }

// Get returns the value of the key with that hash, nil if it is not held.
func (b *BottomK[V]) Get(hash uint64) *V {
	if b.index == nil {
		for i := range b.entries {
			if b.entries[i].Hash == hash {
				return &b.entries[i].Value
			}
		}
		return nil
	}
	mask := uint64(len(b.index) - 1)
	for at := scatter(hash) & mask; b.index[at] != 0; at = (at + 1) & mask {
		if e := &b.entries[b.index[at]-1]; e.Hash == hash {
			return &e.Value
		}
	}
	return nil
}

// scatter spreads hashes that are not random, such as frame numbers.
func scatter(h uint64) uint64 {
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>32
}

// enter puts the n-th entry, the last one, into the index.
func (b *BottomK[V]) enter(n int) {
	switch {
	case n <= fewEntries:
		return
	case len(b.index) < 2*n:
		b.reindex()
		return
	}
	mask := uint64(len(b.index) - 1)
	at := scatter(b.entries[n-1].Hash) & mask
	for b.index[at] != 0 {
		at = (at + 1) & mask
	}
	b.index[at] = uint32(n)
}

// reindex makes the index anew, with room for as many entries again.
func (b *BottomK[V]) reindex() {
	size := 4 * fewEntries
	for size < 3*len(b.entries) {
		size *= 2
	}
	b.index = nil
	if len(b.entries) <= fewEntries {
		return
	}
	b.index = make([]uint32, size)
	mask := uint64(size - 1)
	for i := range b.entries {
		at := scatter(b.entries[i].Hash) & mask
		for b.index[at] != 0 {
			at = (at + 1) & mask
		}
		b.index[at] = uint32(i + 1)
	}
}

// trim puts the entries in order and lets go of those beyond k.
func (b *BottomK[V]) trim() {
	if slices.IsSortedFunc(b.entries, byHash[V]) && len(b.entries) <= b.k {
		return
	}
	slices.SortFunc(b.entries, byHash[V])
	if len(b.entries) > b.k {
		clear(b.entries[b.k:])
		b.entries = b.entries[:b.k]
		b.bounded, b.bound = true, 0
		if b.k > 0 {
			b.bound = b.entries[b.k-1].Hash
		}
	}
	b.reindex()
}

func byHash[V any](a, b Entry[V]) int { return cmp.Compare(a.Hash, b.Hash) }

// All returns the k keys and their values, by hash. They are b's own, and what
// At and Get returned before is no longer valid; nor is a copy of b.
func (b *BottomK[V]) All() []Entry[V] {
	b.trim()
	return b.entries
}

// Full reports whether keys were left out.
func (b *BottomK[V]) Full() bool { return b.bounded || len(b.entries) > b.k }

// Merge takes in the keys of o. Whether it keeps values of o is merge's choice,
// which gets a zero V for a new key.
func (b *BottomK[V]) Merge(o BottomK[V], k int, merge func(a, b V) V) {
	if o.bounded && (!b.bounded || o.bound < b.bound) {
		// What o left out b may hold in part: none of it is among the k
		// smallest.
		b.bounded, b.bound, b.k = true, o.bound, k
		kept := slices.DeleteFunc(b.entries, func(e Entry[V]) bool { return e.Hash > o.bound })
		if len(kept) < len(b.entries) {
			b.entries = kept
			b.reindex()
		}
	}
	for i := range o.entries {
		if v := b.At(o.entries[i].Hash, k); v != nil {
			*v = merge(*v, o.entries[i].Value)
		}
	}
}

// bottomK is a BottomK as JSON.
type bottomK[V any] struct {
	Entries []Entry[V]
	Full    bool
}

// MarshalJSON writes the keys in order, so that alike sets read alike.
func (b BottomK[V]) MarshalJSON() ([]byte, error) {
	own := BottomK[V]{entries: slices.Clone(b.entries), k: b.k, bounded: b.bounded, bound: b.bound}
	full := own.Full()
	return json.Marshal(bottomK[V]{own.All(), full})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *BottomK[V]) UnmarshalJSON(text []byte) error {
	var read bottomK[V]
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	*b = BottomK[V]{entries: read.Entries, k: len(read.Entries), bounded: read.Full}
	if n := len(read.Entries); n > 0 {
		b.bound = read.Entries[n-1].Hash
	}
	b.reindex()
	return nil
}
