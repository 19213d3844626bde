package accum

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Columns are the fields of a value that a [Lowest] holds, in the order of
// their weight: the first says which of two comes first, the second where that
// is the same, and so on.
type Columns [4]int64

func (c *Columns) compare(o *Columns) int {
	if c[0] != o[0] {
		return cmp.Compare(c[0], o[0])
	}
	return slices.Compare(c[1:], o[1:])
}

// Row is a value that can be told by its columns.
type Row[T any] interface {
	Columns() Columns
	// Of returns the value with those columns. What it is called on does not
	// matter.
	Of(Columns) T
}

// Lowest holds the n values added that come first, where n is in the
// thousands: as [SmallestN] does, but packed, and at their best where they come
// nearly in order. n may only fall from call to call.
type Lowest[T Row[T]] struct{ lowest }

type lowest struct {
	parts []lowest // that were merged, each without parts
	first rows
	late  []Columns // those that came last, in order: some find their place here
	mixed bool      // first is in no order
	most  int
	bound Columns // of the last of most; valid with full
	full  bool    // there are most, and what comes later is refused
}

// Slack is how many values more than n are held before the last go: to put
// each in its place as it comes would move thousands.
func Slack(n int) int { return max(n/2, 16) }

// near is how far from the end a value is put in its place at once.
const near = 32

// Add takes in v.
func (l *Lowest[T]) Add(v T, n int) {
	c := v.Columns()
	l.add(&c, n)
}

func (l *lowest) add(c *Columns, n int) {
	if n <= 0 || l.full && c.compare(&l.bound) >= 0 {
		return
	}
	l.most = n
	if len(l.late) == near {
		for i := range l.late[:near/2] {
			l.settle(&l.late[i])
		}
		l.late = l.late[:copy(l.late, l.late[near/2:])]
	}
	i := len(l.late)
	l.late = append(l.late, *c)
	for ; i > 0 && l.late[i-1].compare(c) > 0; i-- {
		l.late[i] = l.late[i-1]
	}
	l.late[i] = *c
	switch held := l.held(); {
	case held < n:
	case len(l.parts) == 0 && l.ordered():
		l.late = l.late[:len(l.late)-(held-n)] // by one at most
		l.full, l.bound = true, l.first.last
		if k := len(l.late); k > 0 {
			l.bound = l.late[k-1]
		}
	case held >= n+Slack(n):
		l.trim()
	}
}

// settle puts a value behind the first ones for good.
func (l *lowest) settle(c *Columns) {
	l.mixed = l.mixed || l.first.n > 0 && c.compare(&l.first.last) < 0
	l.first.push(c)
}

func (l *lowest) held() int {
	n := l.first.n + len(l.late)
	for i := range l.parts {
		n += l.parts[i].first.n + len(l.parts[i].late)
	}
	return n
}

// ordered reports whether all values are held in order, those of parts left
// out.
func (l *lowest) ordered() bool {
	return !l.mixed && (l.first.n == 0 || len(l.late) == 0 || l.late[0].compare(&l.first.last) >= 0)
}

// Trim lets go of all values but the n that come first.
func (l *lowest) Trim(n int) {
	if n < l.most {
		l.most = max(n, 0)
	}
	if l.held() > l.most {
		l.trim()
	}
}

// trim puts the values in order and lets go of those that are too many.
func (l *lowest) trim() {
	all := l.sorted()
	own := lowest{most: l.most, full: len(all) == l.most}
	for i := range all {
		own.first.push(&all[i])
	}
	own.bound = own.first.last
	*l = own
}

// sorted returns the values in order.
func (l *lowest) sorted() []Columns {
	all := l.own()
	for i := range l.parts {
		all = join(all, l.parts[i].own(), l.most)
	}
	return all[:min(len(all), l.most)]
}

// join returns the first n of two lists in order.
func join(a, b []Columns, n int) []Columns {
	out := make([]Columns, 0, min(len(a)+len(b), n))
	for len(out) < cap(out) {
		if len(b) == 0 || len(a) > 0 && a[0].compare(&b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return out
}

// own returns the values in order, those of parts left out.
func (l *lowest) own() []Columns {
	list := make([]Columns, 0, l.first.n+len(l.late))
	l.first.each(func(c Columns) { list = append(list, c) })
	list = append(list, l.late...)
	if !l.ordered() {
		slices.SortFunc(list, func(a, b Columns) int { return a.compare(&b) })
	}
	return list
}

// Len returns how many values are held: n at most.
func (l *lowest) Len() int { return min(l.held(), l.most) }

// Values returns the n values in order.
func (l *Lowest[T]) Values() []T {
	all := l.sorted()
	out := make([]T, len(all))
	var v T
	for i := range all {
		out[i] = v.Of(all[i])
	}
	return out
}

// Merge takes in the values of o, which it does not keep.
func (l *Lowest[T]) Merge(o Lowest[T], n int) { l.merge(&o.lowest, n) }

func (l *lowest) merge(o *lowest, n int) {
	l.most = n
	if o.full && (!l.full || o.bound.compare(&l.bound) < 0) {
		l.full, l.bound = true, o.bound
	}
	// Both are joined when they are read.
	l.parts = append(l.parts, o.parts...)
	if o.first.n+len(o.late) > 0 {
		l.parts = append(l.parts, lowest{first: o.first, late: slices.Clone(o.late), mixed: o.mixed})
	}
	if l.held() >= n+Slack(n) {
		l.trim()
	}
}

// MarshalJSON writes the values in order, so that alike sets read alike.
func (l Lowest[T]) MarshalJSON() ([]byte, error) { return json.Marshal(l.Values()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (l *Lowest[T]) UnmarshalJSON(b []byte) error {
	var list []T
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*l = Lowest[T]{}
	for _, v := range list {
		l.Add(v, len(list))
	}
	l.full = false // n is not known yet
	return nil
}
