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
	chunked[T]
	sorted int  // those from the beginning that are in order
	two    bool // and so are the others, behind them
	most   int
	full   bool // the last of most, in order, bounds what is taken
}

// slack is how many values more than n are held before the largest go: to put
// each in its place as it comes would move thousands.
func slack(n int) int { return max(n/2, 16) }

// Add takes in v.
func (l *Lowest[T]) Add(v T, n int) {
	if n <= 0 || l.full && v.Compare(*l.at(n - 1)) >= 0 {
		return
	}
	l.most = n
	if l.n == l.sorted && l.insert(v, n) {
		return
	}
	l.two = false
	l.push(v)
	if l.n >= n+slack(n) {
		l.trim()
	}
}

// near is how far from the end a value is put in its place at once.
const near = 32

// insert puts v in its place among values in order, if that is near the end,
// and reports whether it is: what is added at the end of things is nearly in
// the order of their beginnings, and needs no sorting then.
func (l *Lowest[T]) insert(v T, n int) bool {
	i := l.n
	for ; i > 0 && (*l.at(i - 1)).Compare(v) > 0; i-- {
		if l.n-i == near {
			return false
		}
	}
	if l.n < n {
		l.push(v)
		l.sorted++
	} else if l.full = true; i == n {
		return true
	}
	for k := l.n - 1; k > i; k-- {
		*l.at(k) = *l.at(k - 1)
	}
	*l.at(i) = v
	return true
}

// trim puts the values in order and lets go of the largest.
func (l *Lowest[T]) trim() {
	switch {
	case l.sorted == l.n:
	case l.two: // to sort two runs costs more than to join them
		l.list, l.more = l.join(), nil
		l.n = len(l.list)
	default:
		slices.SortFunc(l.flat(), T.Compare)
	}
	if l.n >= l.most {
		if l.n > l.most {
			l.list, l.n = l.flat()[:l.most], l.most
		}
		l.full = l.most > 0
	}
	l.sorted, l.two = l.n, false
}

// join returns the smallest of two runs in order.
func (l *Lowest[T]) join() []T {
	out := make([]T, 0, min(l.n, l.most))
	for i, k := 0, l.sorted; len(out) < cap(out); {
		if k == l.n || i < l.sorted && (*l.at(i)).Compare(*l.at(k)) <= 0 {
			out = append(out, *l.at(i))
			i++
		} else {
			out = append(out, *l.at(k))
			k++
		}
	}
	return out
}

// Len returns how many values are held: n at most.
func (l *Lowest[T]) Len() int { return min(l.n, l.most) }

// Values returns the n smallest in order. The slice is l's own.
func (l *Lowest[T]) Values() []T {
	l.trim()
	return l.flat()
}

// Merge takes in the values of o, which it does not keep.
func (l *Lowest[T]) Merge(o Lowest[T], n int) {
	runs := l.n > 0 && l.sorted == l.n && o.sorted == o.n
	o.parts(func(s []T) {
		for _, v := range s {
			if runs {
				l.push(v)
			} else {
				l.Add(v, n)
			}
		}
	})
	if !runs {
		return
	}
	l.two, l.most = true, n
	if l.n >= n+slack(n) {
		l.trim()
	}
}

// MarshalJSON writes the values in order, so that alike sets read alike.
func (l Lowest[T]) MarshalJSON() ([]byte, error) {
	c := Lowest[T]{most: l.most}
	l.parts(func(s []T) { c.list = append(c.list, s...) })
	c.n = len(c.list)
	return json.Marshal(c.Values())
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (l *Lowest[T]) UnmarshalJSON(b []byte) error {
	*l = Lowest[T]{}
	err := json.Unmarshal(b, &l.list)
	l.n, l.most = len(l.list), len(l.list)
	return err
}
