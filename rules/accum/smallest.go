package accum

import (
	"cmp"
	"slices"
)

// SmallestN holds the n smallest of the values added, by a total order, in
// that order. Values that compare equal must be alike in all that matters.
type SmallestN[T any] []T

// Add returns the n smallest of s and v. It may reuse s.
func (s SmallestN[T]) Add(v T, n int, order func(a, b T) int) SmallestN[T] {
	if !s.Takes(v, n, order) {
		return s
	}
	i := len(s)
	if i > 0 && order(s[i-1], v) > 0 { // most come in order
		i, _ = slices.BinarySearchFunc(s, v, func(e, v T) int {
			if order(e, v) <= 0 {
				return -1 // behind its equals
			}
			return 1
		})
	}
	if len(s) >= n {
		s = s[:n-1]
	}
	return slices.Insert(s, i, v)
}

// Takes reports whether Add would keep v: ask before making a copy of it.
func (s SmallestN[T]) Takes(v T, n int, order func(a, b T) int) bool {
	return n > 0 && (len(s) < n || order(v, s[len(s)-1]) < 0)
}

// Merge returns the n smallest of s and o. It may reuse s, and does not keep o.
func (s SmallestN[T]) Merge(o SmallestN[T], n int, order func(a, b T) int) SmallestN[T] {
	for _, v := range o {
		s = s.Add(v, n, order)
	}
	return s
}

// TopK holds the k largest of the values added, the largest first.
type TopK[T any] SmallestN[T]

// Add returns the k largest of t and v. It may reuse t.
func (t TopK[T]) Add(v T, k int, order func(a, b T) int) TopK[T] {
	return TopK[T](SmallestN[T](t).Add(v, k, reverse(order)))
}

// Merge returns the k largest of t and o. It may reuse t, and does not keep o.
func (t TopK[T]) Merge(o TopK[T], k int, order func(a, b T) int) TopK[T] {
	return TopK[T](SmallestN[T](t).Merge(SmallestN[T](o), k, reverse(order)))
}

func reverse[T any](order func(a, b T) int) func(a, b T) int {
	return func(a, b T) int { return order(b, a) }
}

// MinMax holds the least and the greatest of the values added.
type MinMax[T cmp.Ordered] struct {
	Min, Max T // valid with Seen
	Seen     bool
}

// Add returns m with v.
func (m MinMax[T]) Add(v T) MinMax[T] { return m.Merge(MinMax[T]{v, v, true}) }

// Merge returns the least and the greatest of both.
func (m MinMax[T]) Merge(o MinMax[T]) MinMax[T] {
	if !m.Seen {
		return o
	}
	if o.Seen {
		m.Min, m.Max = min(m.Min, o.Min), max(m.Max, o.Max)
	}
	return m
}

// Sum counts values and adds them up. Integers only: floating-point addition
// depends on the order.
type Sum struct{ N, Total int64 }

// Add returns s with v.
func (s Sum) Add(v int64) Sum { return Sum{s.N + 1, s.Total + v} }

// Merge returns both added up.
func (s Sum) Merge(o Sum) Sum { return Sum{s.N + o.N, s.Total + o.Total} }

// Mean returns the mean, 0 of none.
func (s Sum) Mean() float64 {
	if s.N == 0 {
		return 0
	}
	return float64(s.Total) / float64(s.N)
}
