package runner

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"runtime/debug"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/reassembly/shard"
	"github.com/connlint/connlint/rules"
)

// Stream makes a run report while it goes on, in memory that does not grow
// with its length: for sources that may never end.
type Stream struct {
	// Finding is called for each occurrence as soon as it is certain: at once,
	// or at its connection's end where another finding may turn out to be the
	// cause, or at the end of the window where one across connections may. The
	// calls come one at a time, from changing goroutines; of what became
	// certain together, the earlier frame comes first. The Finding is the
	// callee's.
	Finding func(*Finding)
	// Window is how long, in capture time, rules across connections gather
	// before they judge and begin anew; 0 for 5 minutes.
	Window time.Duration
	// Keys is how many clients, servers and other things to tell apart, all
	// rules together, they may gather before a window ends early; 0 for 500,000.
	Keys int
	// IdleTimeout is the capture time after which a connection without packets
	// is forgotten; 0 for 1 hour.
	IdleTimeout time.Duration
	// Clock gives the time that capture time follows while no packets come, in
	// nanoseconds since 1970-01-01 UTC; nil to wait for packets.
	Clock func() int64
}

// Bounds of a run that may never end.
const (
	streamWindow = 5 * time.Minute
	streamIdle   = time.Hour
	streamKeys   = 500_000
	streamGroups = 10000    // groups of findings in the Result
	rankBytes    = 16 << 20 // of first frames, by which connections are numbered
)

// outbox is what a shard has for its stream at the next tick.
type outbox struct {
	found  []*found
	firsts []uint64 // first frames of connections
	window *windowed
	round  int   // ticks so far
	index  int64 // of the window
	// certain says, by rule, that no other finding takes the place of one.
	certain []bool
}

// windowed is what a shard knows across connections of one window.
type windowed struct {
	groupers  []rules.Grouper
	held      held
	undecided undecidedList
	servers   map[netip.Addr]bool
}

// stream brings together what the shards have at each tick.
type stream struct {
	opts *Options
	n    int // shards

	mu      sync.Mutex
	rounds  map[int]*round
	ranks   ranks
	found   collection   // across connections, of the windows that are over
	dropped uint64       // packets, so far
	freed   int64        // by Clock, when memory was given back last
	early   atomic.Int64 // round at which the window ends early, 0 for none
	doubts  doubts
	servers map[netip.Addr]bool
}

type round struct {
	done    int
	found   []*found
	firsts  []uint64
	windows []*windowed
}

func newStream(opts *Options, judges []*judge) *stream {
	s := &stream{opts: opts, n: len(judges), rounds: map[int]*round{}, servers: map[netip.Addr]bool{},
		doubts: doubts{opts.Rules, map[findingKey]uint64{}}}
	s.found.limit = streamGroups
	certain := make([]bool, len(opts.Rules))
	for i, r := range opts.Rules {
		certain[i] = !slices.ContainsFunc(opts.Rules, func(o *rules.Rule) bool {
			return slices.Contains(opts.Precedence[o.Code], r.Code)
		})
	}
	for _, j := range judges {
		j.out = &outbox{certain: certain}
		j.found.emit, j.found.limit = j.out.put, streamGroups
	}
	return s
}

func (o *outbox) put(g *found) { o.found = append(o.found, g) }

// single returns an occurrence as a finding of its own.
func (g *found) single() *found {
	own := *g
	own.sums, own.parts = nil, nil
	return &own
}

// tick is called in the shard's goroutine.
func (j *judge) tick(s *stream, t *shard.Tick) {
	if j.monitor != nil {
		j.monitor.mu.Lock()
		defer j.monitor.mu.Unlock()
		j.monitor.now = max(j.monitor.now, t.Now)
	}
	o := j.out
	j.table.Advance(t.Now)
	window := cmp.Or(s.opts.Stream.Window, streamWindow)
	if j.views[0].keys() > cmp.Or(s.opts.Stream.Keys, streamKeys)/s.n {
		// Shards end a window together, in a round that none has come to yet:
		// their batches ahead are fewer.
		const ahead = 16
		s.early.CompareAndSwap(0, int64(o.round+ahead))
	}
	i := (t.Now - t.First) / int64(window)
	if t.Packets > 0 && i > o.index || o.round > 0 && int64(o.round) == s.early.Load() {
		o.index = i
		o.window = &windowed{j.views[0].groupers, j.held, j.undecided, j.servers}
		j.held, j.undecided, j.servers, j.served = held{}, undecidedList{}, map[netip.Addr]bool{}, netip.Addr{}
		j.group(&rules.Keys{})
	}
	j.deliver(s, t)
}

func (j *judge) deliver(s *stream, t *shard.Tick) {
	o := j.out
	s.deliver(o, t)
	o.round++
	o.found, o.firsts, o.window = nil, nil, nil
}

func (s *stream) deliver(o *outbox, t *shard.Tick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rounds[o.round]
	if r == nil {
		r = &round{}
		s.rounds[o.round] = r
	}
	r.found = append(r.found, o.found...)
	r.firsts = append(r.firsts, o.firsts...)
	if o.window != nil {
		r.windows = append(r.windows, o.window)
	}
	if r.done++; r.done < s.n {
		return
	}
	// All shards passed this tick, and any before it.
	delete(s.rounds, o.round)
	s.early.CompareAndSwap(int64(o.round), 0)
	if t != nil {
		s.dropped = t.Source.Dropped
	}
	slices.Sort(r.firsts)
	s.ranks.add(r.firsts)
	s.report(r.found)
	if len(r.windows) > 0 {
		s.judge(r.windows, t)
		s.free()
	}
}

// free gives back to the system what a window gathered. The next one begins
// small, and the heap would keep the room for both.
func (s *stream) free() {
	// By the source's own clock: it is a collection of all garbage, and without
	// one the capture's time may go by faster.
	clock := s.opts.Stream.Clock
	if clock == nil {
		return
	}
	if now := clock(); now-s.freed >= int64(time.Minute) {
		s.freed = now
		go debug.FreeOSMemory()
	}
}

// judge settles a window.
func (s *stream) judge(windows []*windowed, t *shard.Tick) {
	total := newJudge(s.opts, 1)
	total.out = &outbox{}
	total.found.emit, total.found.limit = total.out.put, streamGroups
	for _, w := range windows {
		total.held.merge(&w.held, &total.found)
		total.undecided.merge(&w.undecided, total)
		for i, g := range w.groupers {
			if g != nil {
				total.views[0].groupers[i].Merge(g)
			}
		}
		maps.Copy(s.servers, w.servers)
	}
	total.judgeAcross(&rules.CaptureFacts{Packets: t.Packets, Bytes: t.Source.Bytes, First: t.First, Last: t.Now, Dropped: t.Source.Dropped,
		MissingConns: map[lifecycle.Evidence]uint64{}, FirstMissing: map[lifecycle.Evidence]uint64{}, Servers: s.servers}, false)
	s.report(total.out.found)
	s.found.merge(&total.found)
}

// report hands findings on.
func (s *stream) report(list []*found) {
	list = s.doubts.stands(list, s.dropped)
	if s.opts.Monitor != nil {
		s.opts.Monitor.take(list)
	}
	if s.opts.Stream.Finding == nil || len(list) == 0 {
		return
	}
	all := collection{each: list}
	out := all.list(s.opts.Rules)
	s.number(out)
	for i := range out {
		s.opts.Stream.Finding(&out[i])
	}
}

func (s *stream) number(list []Finding) {
	for i := range list {
		if c := list[i].Conn; c != 0 {
			list[i].ConnNumber = s.ranks.of(c)
		}
	}
}

// ranks counts connections by their first frames, which come in order. Of the
// oldest it forgets all but how many there were.
type ranks struct {
	bytes []byte // differences, in uvarints
	marks []rankMark
	last  uint64
	n     int
}

// rankMark is where in bytes the connections from the n-th on begin.
type rankMark struct {
	last  uint64 // first frame of the one before
	n, at int
}

const rankStep = 512

func (r *ranks) add(ids []uint64) {
	for _, id := range ids {
		if r.n%rankStep == 0 {
			r.marks = append(r.marks, rankMark{r.last, r.n, len(r.bytes)})
		}
		r.bytes = binary.AppendUvarint(r.bytes, id-r.last)
		r.last = id
		r.n++
	}
	if len(r.bytes) > rankBytes {
		r.marks = slices.Clone(r.marks[len(r.marks)/2:])
		from := r.marks[0].at
		r.bytes = slices.Clone(r.bytes[from:])
		for i := range r.marks {
			r.marks[i].at -= from
		}
	}
}

// of returns the number of a connection, -1 if it is too old to tell.
func (r *ranks) of(id uint64) int {
	i := sort.Search(len(r.marks), func(i int) bool { return r.marks[i].last >= id }) - 1
	if i < 0 {
		return -1
	}
	n, at, rest := r.marks[i].n, r.marks[i].last, r.bytes[r.marks[i].at:]
	for len(rest) > 0 {
		d, size := binary.Uvarint(rest)
		if at += d; at >= id {
			break
		}
		rest = rest[size:]
		n++
	}
	return n
}
