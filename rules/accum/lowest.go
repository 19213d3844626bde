package accum

import (
	"encoding/json"
	"slices"
)

// Ordered is a value with a total order. Values that compare equal must be
// alike in all that matters.
type Ordered[T any] interface{ Compare(T) int }

// Lowest holds the n smallest of the values added, as [SmallestN] does, where
// n is in the thousands. Use one n for all calls.
type Lowest[T Ordered[T]] struct {
	list   []T
	sorted int // of list, those from its beginning that are in order
	n      int
	full   bool // list[n-1], in order, bounds what is taken
}

// slack is how many values more than n are held before the largest go: to put
// each in its place as it comes would move thousands.
func slack(n int) int { return max(n/2, 16) }

// roomier returns s with room for one more value, of most in all. It doubles
// the room: append adds a quarter at a time, which leaves three times as much
// to collect.
func roomier[T any](s []T, most int) []T {
	if n := len(s); n == cap(s) && n >= 256 {
		return slices.Grow(s, max(min(2*n, most)-n, 1))
	}
	return s
}

// Add takes in v.
func (l *Lowest[T]) Add(v T, n int) {
	if l.full && v.Compare(l.list[n-1]) >= 0 {
		return
	}
	l.n = n
	if k := len(l.list); k == l.sorted && (k == 0 || l.list[k-1].Compare(v) <= 0) {
		l.sorted++ // most come in order
	}
	l.list = append(roomier(l.list, n+slack(n)), v)
	if len(l.list) >= n+slack(n) {
		l.trim()
	}
}

// trim puts the values in order and lets go of the largest.
func (l *Lowest[T]) trim() {
	if l.sorted < len(l.list) {
		slices.SortFunc(l.list, T.Compare)
	}
	if len(l.list) >= l.n {
		l.list = l.list[:l.n]
		l.full = l.n > 0
	}
	l.sorted = len(l.list)
}

// Len returns how many values are held: n at most.
func (l *Lowest[T]) Len() int { return min(len(l.list), l.n) }

// Values returns the n smallest in order. The slice is l's own.
func (l *Lowest[T]) Values() []T {
	l.trim()
	return l.list
}

// Merge takes in the values of o, which it does not keep.
func (l *Lowest[T]) Merge(o Lowest[T], n int) {
	for _, v := range o.list {
		l.Add(v, n)
	}
}

// MarshalJSON writes the values in order, so that alike sets read alike.
func (l Lowest[T]) MarshalJSON() ([]byte, error) {
	c := Lowest[T]{list: slices.Clone(l.list), n: l.n}
	return json.Marshal(c.Values())
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (l *Lowest[T]) UnmarshalJSON(b []byte) error {
	*l = Lowest[T]{}
	err := json.Unmarshal(b, &l.list)
	l.n = len(l.list)
	return err
}
