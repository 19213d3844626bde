package reuse

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/connlint/connlint/rules/accum"
)

// Model is what an ideal pool would have made of a pair's traffic.
//
// The pool opens a connection only when none is idle, and keeps an idle one
// for as long as the server would. Whatever kept the real connections from
// being used again, such as Connection: close, does not bar it: that is the
// cause to be named.
type Model struct {
	Connections  int // that carried something and whose beginning was seen
	Transactions int
	Needed       int // connections that the ideal pool opens for them
	Avoidable    int // the others
	MaxParallel  int // connections open at once

	Setup, Slow int64            // nanoseconds spent on avoidable connections
	Causes      [numCauses]int64 // connections, by why they were not used again
	Observed    time.Duration    // first SYN to last response byte
	Estimated   time.Duration    // the same workload over the ideal pool
	First       int64            // capture time of the first SYN or use
	Frames      []uint64         // first frames of the first avoidable connections
	Part        bool             // it covers the first part of the traffic only
}

const modelFrames = 3

// slot is a connection of the ideal pool.
type slot struct {
	free  int64
	agent uint64
}

// pool is the ideal pool.
type pool struct {
	slots []slot
	hold  int64 // longest idle time
}

// take occupies a connection from at on, and reports whether one was idle. It
// prefers the one used last.
func (p *pool) take(at, until int64, agent uint64) bool {
	best := -1
	for i := 0; i < len(p.slots); i++ {
		s := &p.slots[i]
		switch {
		case s.free > at:
		case at-s.free > p.hold: // closed meanwhile
			p.slots = slices.Delete(p.slots, i, i+1)
			i--
		case s.agent == agent && (best < 0 || s.free > p.slots[best].free):
			best = i
		}
	}
	if best < 0 {
		return false
	}
	p.slots[best].free = until
	return true
}

func (p *pool) add(until int64, agent uint64) { p.slots = append(p.slots, slot{until, agent}) }

// need is one use as the model sees it.
type need struct {
	Use
	link *Link
	// origin is when the client wanted it: for the first use of a connection
	// opened for it, the SYN's time.
	origin int64
	opens  bool // first use of its connection
}

// early is how long before its first use a connection may be ready and count
// as opened for it.
const early = 100 * time.Millisecond

// work is how long a client may be busy with opening or closing a connection.
// A longer time is taken for a pause of its own, which reuse does not save.
const work = 10 * time.Millisecond

// Model replays the pair's traffic. hold is how long a pool keeps an idle
// connection, if the server does.
func (r *Record) Model(hold time.Duration) Model {
	links, more := r.Links.All()
	return r.model(links, more, hold)
}

// model is Model where the links were looked up.
func (r *Record) model(links []accum.Entry[Link], more bool, hold time.Duration) Model {
	m := Model{Part: more || int64(r.Uses.Len()) < r.Transactions}
	needs := r.needs(&m, links)
	if len(needs) == 0 {
		return m
	}
	if r.IdleLimit.Seen {
		hold = min(hold, time.Duration(r.IdleLimit.Min))
	}
	m.replay(needs, hold)
	m.Observed, m.Estimated = estimate(needs, hold)
	m.MaxParallel = parallel(links)
	return m
}

// needs lists the uses in the order of their origins.
func (r *Record) needs(m *Model, links []accum.Entry[Link]) []need {
	uses := r.Uses.Values()
	out := make([]need, 0, len(uses))
	at := 0
	for _, u := range uses {
		if at = find(links, u.Conn, at); at == len(links) || links[at].Hash != u.Conn {
			continue
		}
		l := &links[at].Value
		if l.Left || l.Probe {
			continue
		}
		n := need{Use: u, link: l, origin: u.Start, opens: !l.met}
		if n.opens {
			l.met = true
			if l.Blind && l.Began { // ready when it was used, as far as one can tell
				l.Ready, l.Blind = u.Start, false
			}
			if l.Began && u.Start-l.Ready <= int64(early) {
				n.origin = min(l.Opened, u.Start)
			}
			if l.Began {
				m.Connections++
				m.Causes[l.Cause]++
			}
		}
		m.Transactions++
		out = append(out, n)
	}
	order(out, func(a, b need) int {
		switch {
		case a.origin < b.origin:
			return -1
		case a.origin > b.origin:
			return 1
		}
		return a.Use.Compare(b.Use)
	})
	return out
}

// find returns where in links the first is that begins no earlier than id. It
// looks near the place where the last one was: those used after each other
// mostly began after each other.
func find(links []accum.Entry[Link], id uint64, last int) int {
	lo, hi := 0, len(links)
	if last < hi {
		for reach := 1; ; reach *= 4 {
			if links[last].Hash < id {
				lo = max(lo, last+1)
				if last += reach; last >= hi {
					break
				}
			} else {
				hi = min(hi, last)
				if last -= reach; last < lo {
					break
				}
			}
		}
	}
	return lo + sort.Search(hi-lo, func(i int) bool { return links[lo+i].Hash >= id })
}

// replay counts the connections that the ideal pool needs.
func (m *Model) replay(needs []need, hold time.Duration) {
	m.First = needs[0].origin
	p := pool{hold: int64(hold)}
	for i := range needs {
		n := &needs[i]
		idle := p.take(n.origin, n.End, n.link.Agent)
		if !idle {
			p.add(n.End, n.link.Agent)
		}
		switch {
		case !n.opens || !n.link.Began:
		case idle:
			m.Avoidable++
			m.Setup += n.link.Setup()
			m.Slow += n.link.Slow
			if len(m.Frames) < modelFrames {
				m.Frames = append(m.Frames, n.Conn)
			}
		default:
			m.Needed++
		}
	}
}

// estimate returns how long the uses took, and how long they would take over
// the ideal pool: each begins as long after the latest that had ended before
// it as it did, and takes what it took less the set-up and slow start that the
// pool saves.
func estimate(needs []need, hold time.Duration) (observed, estimated time.Duration) {
	byEnd := make([]int, len(needs))
	for i := range byEnd {
		byEnd[i] = i
	}
	order(byEnd, func(a, b int) int {
		switch {
		case needs[a].End < needs[b].End:
			return -1
		case needs[a].End > needs[b].End:
			return 1
		}
		return a - b
	})
	ends := make([]int64, len(needs)) // over the ideal pool
	p := pool{hold: int64(hold)}
	var last, lastEstimated int64
	for i := range needs {
		n := &needs[i]
		start := n.origin
		// The latest use that had ended by then.
		k := sort.Search(len(byEnd), func(k int) bool { return needs[byEnd[k]].End > n.origin })
		for k--; k >= 0 && byEnd[k] >= i; k-- {
		}
		if k >= 0 {
			before := &needs[byEnd[k]]
			pause := n.origin - before.End
			if shut := before.link.Shut - before.End; n.opens && shut > 0 && shut <= min(int64(work), pause) {
				pause -= shut // closing it was work that reuse saves
			}
			start = ends[byEnd[k]] + pause
		}
		took := n.End - n.Start
		wait := n.Start - n.origin // set-up, and what the client did before it asked
		own := int64(0)
		if n.opens && n.link.Began && wait > 0 {
			own = min(n.link.Setup(), wait)
			if wait-own <= int64(work) {
				own = wait // the client's own part in setting up
			}
		}
		wait -= own
		ends[i] = start + wait + took
		if n.opens {
			ends[i] -= min(n.link.Slow, took)
		}
		if !p.take(start, ends[i], n.link.Agent) {
			if n.opens {
				ends[i] += own + min(n.link.Slow, took)
			}
			p.add(ends[i], n.link.Agent)
		}
		last, lastEstimated = max(last, n.End), max(lastEstimated, ends[i])
	}
	first := needs[0].origin
	return time.Duration(last - first), time.Duration(lastEstimated - first)
}

// span is a time in which a connection was open; To 0 stands for the end of
// the capture.
type span struct{ from, to int64 }

// peak returns the most spans that are open at once, and since when.
func peak(spans []span) (n int, at int64) {
	opens := make([]int64, 0, len(spans))
	closes := make([]int64, 0, len(spans))
	for _, s := range spans {
		opens = append(opens, s.from)
		if s.to != 0 {
			closes = append(closes, s.to)
		}
	}
	order(opens, cmp.Compare[int64])
	order(closes, cmp.Compare[int64])
	over := 0
	for i, t := range opens {
		for over < len(closes) && closes[over] <= t {
			over++
		}
		if open := i + 1 - over; open > n {
			n, at = open, t
		}
	}
	return n, at
}

func parallel(links []accum.Entry[Link]) int {
	spans := make([]span, 0, len(links))
	for i := range links {
		if l := &links[i].Value; l.N > 0 && !l.Left && !l.Probe {
			spans = append(spans, span{l.Opened, l.Closed})
		}
	}
	n, _ := peak(spans)
	return n
}
