package accum_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/rules/accum"
	"github.com/connlint/connlint/rules/rulestest"
)

// times draws times near each other and far apart, so that widths differ.
func times() *rapid.Generator[int64] {
	base := int64(1_700_000_000_000_000_000)
	return rapid.OneOf(
		rapid.Int64Range(base, base+int64(time.Second)),
		rapid.Int64Range(base, base+int64(time.Hour)),
		rapid.Int64Range(-base, base+int64(1e17)),
	)
}

func TestTimelineLaws(t *testing.T) {
	rulestest.Values(t, times(),
		func(t accum.Timeline, at int64) accum.Timeline { return t.Add(at, 1+at&3) },
		accum.Timeline.Merge)
}

// TestTimeline compares with a plain list of times.
func TestTimeline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ats := rapid.SliceOfN(times(), 1, 200).Draw(t, "times")
		var tl accum.Timeline
		for _, at := range ats {
			tl = tl.Add(at, 1)
		}
		slices.Sort(ats)
		if tl.First != ats[0] || tl.Last != ats[len(ats)-1] || tl.N != int64(len(ats)) {
			t.Fatalf("first %d, last %d, n %d", tl.First, tl.Last, tl.N)
		}
		if len(tl.Bins) > 4096 {
			t.Fatalf("%d bins", len(tl.Bins))
		}
		w := int64(tl.Width())
		window := rapid.Int64Range(1, int64(10*time.Minute)).Draw(t, "window")
		got, at := tl.Peak(time.Duration(window))
		// Counting in bins can stray by a bin at each end.
		if lo, hi := most(ats, window-2*w), most(ats, max(window, w)+2*w); got < lo || got > hi {
			t.Fatalf("peak %d, want %d to %d", got, lo, hi)
		}
		if at < tl.First || at > tl.Last {
			t.Fatalf("peak at %d", at)
		}
		cut := rapid.SampledFrom(ats).Draw(t, "cut")
		same := int64(0)
		for _, b := range tl.Bins {
			if b.At == cut>>tl.Shift {
				same = b.N
			}
		}
		if b, a := tl.Before(cut), tl.After(cut); b+a+same != tl.N || b > index(ats, cut) {
			t.Fatalf("before %d, same %d, after %d of %d", b, same, a, tl.N)
		}
	})
}

func index(ats []int64, v int64) int64 {
	i, _ := slices.BinarySearch(ats, v)
	return int64(i)
}

// most returns the most times within any window.
func most(ats []int64, window int64) (n int64) {
	lo := 0
	for i := range ats {
		for ats[i]-ats[lo] >= max(window, 0) && lo < i {
			lo++
		}
		n = max(n, int64(i-lo+1))
	}
	return n
}

func TestSmallestNLaws(t *testing.T) {
	rulestest.Values(t, rapid.IntRange(0, 30),
		func(s accum.SmallestN[int], v int) accum.SmallestN[int] { return s.Add(v, 5, cmp.Compare[int]) },
		func(a, b accum.SmallestN[int]) accum.SmallestN[int] { return a.Merge(b, 5, cmp.Compare[int]) })
	rulestest.Values(t, rapid.IntRange(0, 30),
		func(s accum.TopK[int], v int) accum.TopK[int] { return s.Add(v, 5, cmp.Compare[int]) },
		func(a, b accum.TopK[int]) accum.TopK[int] { return a.Merge(b, 5, cmp.Compare[int]) })
}

// number is a value of a Lowest.
type number int

func (n number) Columns() accum.Columns { return accum.Columns{int64(n)} }

func (number) Of(c accum.Columns) number { return number(c[0]) }

func TestLowestLaws(t *testing.T) {
	rulestest.Values(t, rapid.Custom(func(t *rapid.T) number { return number(rapid.IntRange(0, 30).Draw(t, "number")) }),
		func(l accum.Lowest[number], v number) accum.Lowest[number] { l.Add(v, 5); return l },
		func(a, b accum.Lowest[number]) accum.Lowest[number] { a.Merge(b, 5); return a })
}

// TestLowest compares with sorting it all, whatever was asked in between.
func TestLowest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		var l accum.Lowest[number]
		var all []number
		for _, v := range rapid.SliceOfN(rapid.IntRange(0, 100), 0, 300).Draw(t, "values") {
			l.Add(number(v), n)
			all = append(all, number(v))
			if rapid.IntRange(0, 20).Draw(t, "look") == 0 {
				look := l
				look.Values()
			}
		}
		slices.Sort(all)
		if want := all[:min(n, len(all))]; !slices.Equal(l.Values(), want) {
			t.Fatalf("%v, want %v", l.Values(), want)
		}
	})
}

// BenchmarkLarge adds values in no order to the two that keep the smallest.
func BenchmarkLarge(b *testing.B) {
	const n = 1 << 13
	values := rand.New(rand.NewPCG(1, 2)).Perm(2 * n)
	b.Run("lowest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var l accum.Lowest[number]
			for _, v := range values {
				l.Add(number(v), n)
			}
			l.Values()
		}
	})
	b.Run("lowest-nearly-in-order", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var l accum.Lowest[number]
			for i := range values {
				l.Add(number(i^5), n)
			}
			l.Values()
		}
	})
	b.Run("smallest-n", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var s accum.SmallestN[number]
			for _, v := range values {
				s = s.Add(number(v), n, cmp.Compare[number])
			}
		}
	})
}

// BenchmarkBottomK is four times the keys that are held: hashes, and the frame
// numbers of connections that come and go.
func BenchmarkBottomK(b *testing.B) {
	type link [10]int64
	const n = 1 << 13
	run := func(name string, key func(i int) uint64) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var s accum.BottomK[link]
				for i := range 4 * n {
					s.At(key(i), n)
					s.At(key(max(0, i-100)), n)
				}
			}
		})
	}
	run("hashes", func(i int) uint64 { return uint64(i+1) * 0x9e3779b97f4a7c15 })
	run("frames", func(i int) uint64 { return uint64(i) * 9 })
	run("frames-apart", func(i int) uint64 { return uint64(i) * 4096 })
}

// TestBottomKBound compares with sorting it all, whatever the keys.
func TestBottomKBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 600).Draw(t, "k")
		step := rapid.SampledFrom([]uint64{1, 9, 4096, 0x9e3779b97f4a7c15}).Draw(t, "step")
		keys := rapid.SliceOfN(rapid.Uint64Range(0, 2000), 0, 2000).Draw(t, "keys")
		if by := rapid.SampledFrom([]uint64{0, 1, 20, 200}).Draw(t, "disorder"); by > 0 {
			slices.SortFunc(keys, func(a, b uint64) int { return cmp.Compare(a/by, b/by) })
		}
		var b, other accum.BottomK[uint64]
		times := map[uint64]uint64{}
		apart := rapid.IntRange(0, 2).Draw(t, "apart")
		for i, v := range keys {
			to := &b
			if i%3 < apart {
				to = &other
			}
			if n := to.At(v*step, k); n != nil {
				*n++
			}
			times[v*step]++
		}
		if apart > 0 {
			b.Merge(&other, k, func(_ uint64, x, y *uint64) { *x += *y })
		}
		want := slices.Sorted(maps.Keys(times))
		want = want[:min(k, len(want))]
		if b.Len() != len(want) {
			t.Fatalf("%d keys, want %d", b.Len(), len(want))
		}
		for i, e := range b.All() {
			if e.Hash != want[i] || e.Value != times[e.Hash] {
				t.Fatalf("entry %d is %v, want %d, %d times", i, e, want[i], times[want[i]])
			}
		}
		for _, h := range want {
			if b.Get(h) == nil {
				t.Fatalf("%d is not found", h)
			}
		}
	})
}

func TestSmallestN(t *testing.T) {
	var s accum.SmallestN[int]
	var k accum.TopK[int]
	for _, v := range rand.New(rand.NewPCG(1, 2)).Perm(100) {
		s = s.Add(v, 4, cmp.Compare[int])
		k = k.Add(v, 4, cmp.Compare[int])
	}
	if !slices.Equal(s, []int{0, 1, 2, 3}) || !slices.Equal(k, []int{99, 98, 97, 96}) {
		t.Errorf("smallest %v, largest %v", s, k)
	}
	if s.Takes(3, 4, cmp.Compare[int]) || !s.Takes(-1, 4, cmp.Compare[int]) || s.Takes(-1, 0, cmp.Compare[int]) {
		t.Error("Takes is not what Add does")
	}
}

func TestBottomKLaws(t *testing.T) {
	rulestest.Values(t, rapid.Uint64Range(0, 40),
		func(b accum.BottomK[accum.Sum], v uint64) accum.BottomK[accum.Sum] {
			if s := b.At(v*0x9e3779b97f4a7c15, 8); s != nil {
				*s = s.Add(int64(v))
			}
			return b
		},
		func(a, b accum.BottomK[accum.Sum]) accum.BottomK[accum.Sum] {
			a.Merge(&b, 8, func(_ uint64, x, y *accum.Sum) { *x = x.Merge(*y) })
			return a
		})
}

func TestBottomK(t *testing.T) {
	var b accum.BottomK[accum.Sum]
	for v := range uint64(1000) {
		for range 3 {
			if s := b.At(1000-v, 10); s != nil {
				*s = s.Add(1)
			}
		}
	}
	if len(b.All()) != 10 || !b.Full() {
		t.Fatalf("%d entries, full %v", len(b.All()), b.Full())
	}
	for i, e := range b.All() {
		if e.Hash != uint64(i+1) || e.Value.N != 3 {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if b.Get(1) == nil || b.Get(11) != nil {
		t.Error("Get finds what is not held, or not what is")
	}
}

func TestMinMaxAndSum(t *testing.T) {
	ints := rapid.Int64Range(-1000, 1000)
	rulestest.Values(t, ints, accum.MinMax[int64].Add, accum.MinMax[int64].Merge)
	rulestest.Values(t, ints, accum.Sum.Add, accum.Sum.Merge)
	s := accum.Sum{}.Add(1).Add(4)
	if s.Mean() != 2.5 || (accum.Sum{}).Mean() != 0 {
		t.Errorf("mean %v", s.Mean())
	}
}

func BenchmarkTimelineAdd(b *testing.B) {
	var t accum.Timeline
	at := int64(1_700_000_000_000_000_000)
	b.ReportAllocs()
	for b.Loop() {
		at += 1e6
		t = t.Add(at, 1)
	}
}

// TestNearlyInOrder adds values that come nearly in order, over the edges of
// chunks.
func TestNearlyInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, by := range []int{2, 60, 500, 3000} {
		var l accum.Lowest[number]
		var b accum.BottomK[int]
		const n, k = 4000, 3000
		var want []number
		for i := range n {
			v := i + rng.IntN(by)
			want = append(want, number(v))
			l.Add(number(v), k)
			if c := b.At(uint64(v), k); c != nil {
				*c++
			}
		}
		slices.Sort(want)
		if !slices.Equal(l.Values(), want[:k]) {
			t.Errorf("values up to %d apart are not the least", by)
		}
		times := map[number]int{}
		for _, v := range want {
			times[v]++
		}
		for _, e := range b.All() {
			if e.Value != times[number(e.Hash)] {
				t.Errorf("values up to %d apart: %d is there %d times, want %d", by, e.Hash, e.Value, times[number(e.Hash)])
			}
		}
	}
}

// BenchmarkTimelineAnyOrder counts what connections tell at their ends, which
// come in any order at the end of a capture.
func BenchmarkTimelineAnyOrder(b *testing.B) {
	var t accum.Timeline
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		t.Note(rng.Int64N(int64(5*time.Minute)), 1)
	}
}
