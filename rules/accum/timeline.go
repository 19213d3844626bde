// Package accum holds the values that aggregates are made of: bounded,
// serializable, and the same whatever the order in which parts are added or
// merged. The zero value of each is the empty one.
package accum

import (
	"slices"
	"time"
)

// Made returns v, or a new value for nil: for aggregates of values too large to
// be copied with each fact, whose zero value is a nil pointer.
func Made[T any](v *T) *T {
	if v == nil {
		return new(T)
	}
	return v
}

// Limits of a [Timeline].
const (
	minShift = 24   // narrowest bin: 2^24 ns, 16.8 ms
	maxBins  = 4096 // between the first and the last
)

// Timeline counts events in bins of equal width. The width is the least power
// of two nanoseconds, 2^24 or more, for which first and last event lie less
// than 4096 bins apart: it follows from the set of events alone.
type Timeline struct {
	Shift       uint8 // a bin is 2^Shift ns wide; valid with N > 0
	Bins        []Bin // by time, none empty
	First, Last int64 // time of the first and last event; valid with N > 0
	N           int64 // events
}

// Bin is the count of events from At×2^Shift nanoseconds on.
type Bin struct{ At, N int64 }

// Width returns how long a bin is.
func (t *Timeline) Width() time.Duration { return time.Duration(1) << max(t.Shift, minShift) }

// Add returns the timeline with n more events at time at. It may reuse t. An n
// below 1 adds nothing.
func (t Timeline) Add(at, n int64) Timeline {
	t.Note(at, n)
	return t
}

// Note adds n events at time at. An n below 1 adds nothing.
func (t *Timeline) Note(at, n int64) {
	if n < 1 {
		return
	}
	if i := len(t.Bins) - 1; i >= 0 && t.Bins[i].At == at>>t.Shift { // most events come in order of time, many to a bin
		t.First, t.Last = min(t.First, at), max(t.Last, at)
		t.Bins[i].N += n
		t.N += n
		return
	}
	t.insert(at, n)
}

// insert is Note for an event that is not in the last bin.
func (t *Timeline) insert(at, n int64) {
	t.span(at, at)
	b := at >> t.Shift
	i := len(t.Bins)
	if i > 0 && t.Bins[i-1].At >= b {
		if at := int(b - t.Bins[0].At); at >= 0 && at < i && t.Bins[at].At == b { // no bin before it is empty: the rule in long captures
			t.Bins[at].N += n
			t.N += n
			return
		}
		i, _ = slices.BinarySearchFunc(t.Bins, b, func(x Bin, b int64) int { return compare(x.At, b) })
	}
	if i < len(t.Bins) && t.Bins[i].At == b {
		t.Bins[i].N += n
	} else {
		t.Bins = slices.Insert(t.Bins, i, Bin{b, n})
	}
	t.N += n
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// span widens the timeline so that it can hold events from first to last.
func (t *Timeline) span(first, last int64) {
	if t.N == 0 {
		t.First, t.Last, t.Shift = first, last, minShift
	} else {
		t.First, t.Last = min(t.First, first), max(t.Last, last)
	}
	shift := t.Shift
	for (t.Last>>shift)-(t.First>>shift) >= maxBins {
		shift++
	}
	t.coarsen(shift)
}

// coarsen joins bins until they are 2^shift ns wide.
func (t *Timeline) coarsen(shift uint8) {
	by := shift - t.Shift
	if by == 0 {
		return
	}
	out := t.Bins[:0]
	for _, b := range t.Bins {
		b.At >>= by
		if k := len(out); k > 0 && out[k-1].At == b.At {
			out[k-1].N += b.N
		} else {
			out = append(out, b)
		}
	}
	t.Bins, t.Shift = out, shift
}

// Merge returns the events of t and o. It may reuse t, and does not keep o.
func (t Timeline) Merge(o Timeline) Timeline {
	if o.N == 0 {
		return t
	}
	if t.N == 0 {
		o.Bins = slices.Clone(o.Bins)
		return o
	}
	t.span(o.First, o.Last)
	if o.Shift > t.Shift { // only by a value that was not made here
		t.coarsen(o.Shift)
	}
	by := t.Shift - o.Shift
	out := make([]Bin, 0, len(t.Bins)+len(o.Bins))
	a, b := t.Bins, o.Bins
	for len(a) > 0 || len(b) > 0 {
		var next Bin
		if len(b) == 0 || len(a) > 0 && a[0].At <= b[0].At>>by {
			next, a = a[0], a[1:]
		} else {
			next, b = Bin{b[0].At >> by, b[0].N}, b[1:]
		}
		if k := len(out); k > 0 && out[k-1].At == next.At {
			out[k-1].N += next.N
		} else {
			out = append(out, next)
		}
	}
	t.Bins = out
	t.N += o.N
	return t
}

// Peak returns the most events within any window of the given length, and when
// the first such window begins, to the width of a bin. The window is rounded
// to whole bins, one at least.
func (t *Timeline) Peak(window time.Duration) (n, at int64) {
	if t.N == 0 {
		return 0, 0
	}
	w := int64(1) << t.Shift
	wide := max(1, (int64(window)+w/2)>>t.Shift)
	var sum int64
	lo := 0
	for _, b := range t.Bins {
		sum += b.N
		for b.At-t.Bins[lo].At >= wide {
			sum -= t.Bins[lo].N
			lo++
		}
		if sum > n {
			n, at = sum, t.Bins[lo].At<<t.Shift
		}
	}
	return n, max(at, t.First)
}

// Before returns how many events lie in bins before that of time at.
func (t *Timeline) Before(at int64) (n int64) {
	for _, b := range t.Bins {
		if b.At >= at>>t.Shift {
			break
		}
		n += b.N
	}
	return n
}

// After returns how many events lie in bins after that of time at.
func (t *Timeline) After(at int64) (n int64) {
	for i := len(t.Bins) - 1; i >= 0 && t.Bins[i].At > at>>t.Shift; i-- {
		n += t.Bins[i].N
	}
	return n
}
