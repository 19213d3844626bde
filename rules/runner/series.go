package runner

// bins is how many periods a series has.
const bins = 128

// The narrowest periods, as powers of two of nanoseconds: about a second in
// series that slide, about a millisecond in those that widen.
const (
	slideShift = 30
	fileShift  = 20
)

// axis is the time axis that the series of one shard share: bins of 2^shift
// nanoseconds from start×2^shift on, of which last is the latest in use.
type axis struct {
	set   bool
	slide bool // keep the width and forget the oldest
	shift uint8
	start int64
	last  int64 // counted as start is
}

// series is changes of a count by bin.
type series struct {
	base int64 // what slid out
	d    [bins]int32
}

func (s *series) add(bin int, n int64) { s.d[bin] += int32(n) }

// slide forgets the oldest k bins.
func (s *series) slide(k int) {
	k = min(k, bins)
	for _, n := range s.d[:k] {
		s.base += int64(n)
	}
	copy(s.d[:], s.d[k:])
	clear(s.d[bins-k:])
}

// widen puts neighbours together. odd says that the first bin is the later
// half of its new one.
func (s *series) widen(odd int) {
	var w [bins]int32
	for i, n := range s.d {
		w[(i+odd)/2] += n
	}
	s.d = w
}

// bin returns the bin of a time, moving the axis of all the shard's series if
// it must.
func (w *watch) bin(t int64) int {
	a := &w.axis
	if !a.set {
		a.set, a.shift = true, fileShift
		if a.slide {
			a.shift = slideShift
		}
		a.start = t >> a.shift
		a.last = a.start
	}
	for {
		i := t>>a.shift - a.start
		switch {
		case i < 0:
			return 0
		case i < bins:
			a.last = max(a.last, a.start+i)
			return int(i)
		case a.slide:
			k := int(min(i-bins+1, bins))
			w.each(func(s *series) { s.slide(k) })
			a.start += i - bins + 1
		default:
			odd := int(a.start & 1)
			w.each(func(s *series) { s.widen(odd) })
			a.start >>= 1
			a.last >>= 1
			a.shift++
		}
	}
}

func (w *watch) each(f func(*series)) {
	of := func(p *pair) { f(&p.open); f(&p.idle); f(&p.wait) }
	of(&w.total)
	of(&w.other)
	for _, p := range w.pairs {
		of(p)
	}
}

// cover makes a an axis for b's series too.
func (a *axis) cover(b *axis) {
	if !b.set {
		return
	}
	if !a.set {
		*a = *b
		return
	}
	shift := max(a.shift, b.shift)
	for ; ; shift++ {
		x, y := a.start>>(shift-a.shift), b.start>>(shift-b.shift)
		first, last := min(x, y), max(a.last>>(shift-a.shift), b.last>>(shift-b.shift))
		if a.slide {
			first = max(last-bins+1, first)
		}
		if last-first < bins {
			a.shift, a.start, a.last = shift, first, last
			return
		}
	}
}

// plot is the series of a pair over all shards.
type plot struct{ open, idle, wait []int64 }

func newPlot() plot { return plot{make([]int64, bins), make([]int64, bins), make([]int64, bins)} }

func (p *plot) gather(of *pair, from, to *axis) {
	if !from.set {
		return
	}
	for _, s := range []struct {
		in  *series
		out []int64
	}{{&of.open, p.open}, {&of.idle, p.idle}, {&of.wait, p.wait}} {
		s.out[0] += s.in.base
		for i, n := range s.in.d {
			if n != 0 {
				at := (from.start+int64(i))>>(to.shift-from.shift) - to.start
				s.out[min(max(at, 0), bins-1)] += int64(n)
			}
		}
	}
}

// series turns changes into counts, up to the time now. A socket waits for
// hold nanoseconds.
func (p *plot) series(a *axis, now, hold int64) Series {
	n := int(min(max(now>>a.shift-a.start+1, 1), bins))
	s := Series{Start: a.start << a.shift, Width: 1 << a.shift}
	accumulate := func(d []int64) []int64 {
		out, sum := make([]int64, n), int64(0)
		for i := range out {
			sum += d[i]
			out[i] = max(sum, 0)
		}
		return out
	}
	s.Open, s.Idle = accumulate(p.open), accumulate(p.idle)
	s.TimeWait = make([]int64, n)
	for i := range s.TimeWait {
		s.TimeWait[i] = waiting(p.wait[:i+1], a, hold)
	}
	return s
}

// waiting counts the sockets of a series that are still waiting at the time
// now, each for hold nanoseconds.
func (s *series) waiting(a *axis, now, hold int64) int64 {
	i := min(now>>a.shift-a.start, bins-1)
	if !a.set || i < 0 {
		return 0
	}
	return waiting(s.d[:i+1], a, hold)
}

// waiting counts those in the last of the bins who came in one of them.
func waiting[N int32 | int64](came []N, a *axis, hold int64) int64 {
	span := int(hold >> a.shift)
	if span == 0 { // a bin is longer than they wait
		return int64(float64(came[len(came)-1]) * float64(hold) / float64(int64(1)<<a.shift))
	}
	sum := int64(0)
	for _, n := range came[max(len(came)-1-span, 0):] {
		sum += int64(n)
	}
	return sum
}
