package runner

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSeries compares series, on an axis that widens or slides and over two
// shards, with counting anew at the end of each period.
func TestSeries(t *testing.T) {
	const start = int64(1_700_000_000_123_456_789)
	for _, slide := range []bool{false, true} {
		for seed := range uint64(20) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			type event struct{ t, n int64 }
			var events []event
			shards := []*watch{{axis: axis{slide: slide}}, {axis: axis{slide: slide}}}
			now, span := start, int64(1)<<(20+seed*2)
			for range 500 {
				now += rnd.Int64N(span/250 + 1)
				w := shards[rnd.IntN(2)]
				n := int64(1)
				if len(events) > 0 && rnd.IntN(2) == 0 {
					n = -1
				}
				bin := w.bin(now)
				w.total.open.add(bin, n)
				if n > 0 {
					w.total.wait.add(bin, 1)
				}
				events = append(events, event{now, n})
			}
			var target axis
			p := newPlot()
			for _, w := range shards {
				target.cover(&w.axis)
			}
			for _, w := range shards {
				p.gather(&w.total, &w.axis, &target)
			}
			hold := int64(time.Minute)
			s := p.series(&target, now, hold)
			if slide && s.Width != 1<<slideShift {
				t.Fatalf("seed %d: a sliding axis has width %d", seed, s.Width)
			}
			if len(s.Open) > bins || s.Start+int64(len(s.Open))*s.Width <= now {
				t.Fatalf("seed %d: %d bins of %d from %d do not reach %d", seed, len(s.Open), s.Width, s.Start, now)
			}
			for i, got := range s.Open {
				end, want := s.Start+int64(i+1)*s.Width, int64(0)
				for _, e := range events {
					if e.t < end {
						want += e.n
					}
				}
				if got != max(want, 0) {
					t.Fatalf("slide %v, seed %d: %d at the end of bin %d, want %d", slide, seed, got, i, want)
				}
			}
			if s.Width <= hold {
				recent := int64(0)
				for _, e := range events {
					if e.n > 0 && e.t >= s.Start+int64(len(s.Open)-1-int(hold/s.Width))*s.Width {
						recent++
					}
				}
				if got := s.TimeWait[len(s.TimeWait)-1]; got != recent && int(hold/s.Width) < bins {
					t.Errorf("slide %v, seed %d: %d wait, want %d", slide, seed, got, recent)
				}
			}
		}
	}
}
