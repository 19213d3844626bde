package reassembly

import (
	"time"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/wire"
)

// Segment is the unit a Table takes.
type Segment = capture.Segment

// Patience is how long, in packet time, bytes wait for a hole that the
// receiver has acknowledged. Taps and multi-queue cards shuffle packets by far
// less.
const Patience = 100 * time.Millisecond

// PatienceSegments is how many segments of the connection they wait for at
// most.
const PatienceSegments = 64

// How long a connection that was reset, or that finished with bytes missing,
// is kept for what is still under way; how long its addresses are remembered
// after it; and how far the segments of different connections may be out of
// order in time without an effect on either.
const (
	lingerTime = 2 * time.Second
	tombTime   = 5 * time.Minute // more than two maximum segment lifetimes (RFC 9293 §3.4.2)
	clockSlack = time.Second
)

// Options bound a Table.
type Options struct {
	MaxConns      int           // connections followed at once, at least 1; the one idle longest makes room
	MaxHeld       int           // bytes of memory for what is held back, all connections
	MaxHeldByConn int           // the same, one connection
	MaxTombs      int           // ended connections remembered
	IdleTimeout   time.Duration // of packet time after which a connection is forgotten; 0 for never
	// With PackAtRest: how many connections are kept unpacked in any case, and
	// how long another must have been silent to be packed.
	MaxAwake int
	Rest     time.Duration
}

// DefaultOptions are good for one shard of a program of its own. Those awake are
// so few that they stay in a core's own cache; a rest is longer than most
// acknowledgements are delayed (40 ms), or these would wake what was just packed.
func DefaultOptions() Options {
	return Options{MaxConns: 4 << 20, MaxHeld: 64 << 20, MaxHeldByConn: 4 << 20, MaxTombs: 1 << 18,
		MaxAwake: 1 << 8, Rest: 50 * time.Millisecond}
}

// Stats count what a table met.
type Stats struct {
	Conns         uint64 // connections begun
	Segments      uint64
	Late          uint64 // segments of connections already over
	OutOfWindow   uint64
	Gaps          uint64 // holes that the capture lost
	GapBytes      uint64
	FirstGap      uint64 // frame at which the first was given up
	CutSegments   uint64 // cut by the snapshot length
	FirstCut      uint64
	HeldTooMuch   uint64 // times a cap on held bytes forced a gap
	Evicted       uint64 // connections forgotten to make room
	IdleEvicted   uint64 // connections forgotten for being idle
	TombsDropped  uint64 // ended connections forgotten early
	Retransmitted uint64 // segments without a new byte
	Ambiguous     uint64 // segments that receivers may read differently
}

// Table follows connections. It is not safe for use by several goroutines.
type Table[S any] struct {
	Stats Stats

	h    Handler[S]
	opts Options
	now  int64 // capture time that has surely come
	last int64 // capture time of the latest segment

	slots []slot // open addressing, linear probing
	used  int    // slots in use
	mask  uint32

	chunks [][]Conn[S]
	free   []uint32 // indices of unused connections
	nconns uint32   // indices handed out so far
	live   int
	hand   uint32 // of the clock that looks for connections to forget

	lingerHead, lingerTail uint32
	tombs                  tombRing
	pieces                 piecePool

	pack     func(*Conn[S], *Packer) bool // nil: nothing is packed
	unpack   func(*Conn[S], *Unpacker)
	packer   *Packer
	unpacker Unpacker
	store    store
	resting  uint32 // of the clock that looks for connections to pack

	key wire.Flow // of a packed connection

	ahead   []uint32 // of the slots fetched last
	fetched byte     // from packed connections: what is not used is not loaded

	// What the handler is lent. Locals would be allocated for each call.
	span Span
	lost Gap
}

// slot is an entry of the hash table. Reference 0 is an empty slot; the top
// bits tell a tomb and a packed connection from an index.
type slot struct {
	hash uint32
	ref  uint32
}

const (
	chunkBits = 8
	chunkSize = 1 << chunkBits
	isTomb    = 1 << 31
)

// NewTable returns an empty table that reports to h.
func NewTable[S any](h Handler[S], opts Options) *Table[S] {
	opts.MaxConns, opts.MaxAwake = max(opts.MaxConns, 1), max(opts.MaxAwake, 1)
	t := &Table[S]{h: h, opts: opts, nconns: 1}
	t.slots = make([]slot, 1024)
	t.mask = 1023
	t.pieces.list = make([]piece, 1, 64)
	return t
}

// Live returns the number of connections followed at present.
func (t *Table[S]) Live() int { return t.live }

func (t *Table[S]) at(i uint32) *Conn[S] {
	return &t.chunks[i>>chunkBits][i&(chunkSize-1)]
}

// find returns the place of the slot for the connection that flow belongs to,
// which way flow runs along it, and whether the slot is in use.
func (t *Table[S]) find(flow *wire.Flow, hash uint32) (i uint32, d wire.Dir, ok bool) {
	for i := hash & t.mask; ; i = (i + 1) & t.mask {
		s := &t.slots[i]
		if s.ref == 0 {
			return i, 0, false
		}
		if s.hash != hash {
			continue
		}
		var key *wire.Flow
		switch {
		case s.ref&isTomb != 0:
			key = &t.tombs.at(s.ref &^ isTomb).key
		case s.ref&isPacked != 0:
			key = &t.key
			keyOf(t.store.at(s.ref&^isPacked), key)
		default:
			key = &t.at(s.ref).Key
		}
		if d, ok := along(key, flow); ok {
			return i, d, true
		}
	}
}

// along returns the direction in which flow runs along key, if it does.
func along(key, flow *wire.Flow) (d wire.Dir, ok bool) {
	switch {
	case key.SrcPort == flow.SrcPort && key.DstPort == flow.DstPort && key.Src == flow.Src && key.Dst == flow.Dst:
		return 0, true
	case key.SrcPort == flow.DstPort && key.DstPort == flow.SrcPort && key.Src == flow.Dst && key.Dst == flow.Src:
		return 1, true
	}
	return 0, false
}

func (t *Table[S]) insert(i uint32, hash, ref uint32) {
	t.slots[i] = slot{hash, ref}
	t.used++
	if t.used*4 > len(t.slots)*3 {
		t.grow()
	}
}

func (t *Table[S]) grow() {
	old := t.slots
	t.slots = make([]slot, 2*len(old))
	t.mask = uint32(len(t.slots) - 1)
	for _, s := range old {
		if s.ref == 0 {
			continue
		}
		i := s.hash & t.mask
		for t.slots[i].ref != 0 {
			i = (i + 1) & t.mask
		}
		t.slots[i] = s
	}
}

// remove empties slot i and closes the gap in its probe sequence.
func (t *Table[S]) remove(i uint32) {
	t.used--
	for j := i; ; {
		j = (j + 1) & t.mask
		s := t.slots[j]
		if s.ref == 0 {
			break
		}
		// s may move to i unless its home lies in (i, j].
		if home := s.hash & t.mask; (j-home)&t.mask >= (j-i)&t.mask {
			t.slots[i] = s
			i = j
		}
	}
	t.slots[i] = slot{}
}

// alloc returns an unused connection's index.
func (t *Table[S]) alloc() uint32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i
	}
	if t.pack != nil && int(t.nconns) > t.opts.MaxAwake {
		if i := t.makeRest(); i != 0 {
			return i
		}
	}
	i := t.nconns
	t.nconns++
	if int(i>>chunkBits) == len(t.chunks) {
		t.chunks = append(t.chunks, make([]Conn[S], chunkSize))
	}
	return i
}

// open begins a connection at slot i with its first segment.
func (t *Table[S]) open(i uint32, key *wire.Flow, hash uint32, s *Segment) *Conn[S] {
	ref := t.alloc()
	c := t.at(ref) // zero
	c.Key, c.hash, c.ref, c.flags = *key, hash, ref, inUse
	c.ID, c.Start, c.Last = s.Frame, s.Time, s.Time
	for d := range c.Streams {
		c.Streams[d].MinRTT, c.Streams[d].wscale = -1, -1
	}
	t.insert(i, hash, ref)
	t.live++
	t.Stats.Conns++
	return c
}

// close delivers what is left of a connection, tells the handler and frees
// it. The addresses of one that has ended are remembered.
func (t *Table[S]) close(c *Conn[S], why CloseReason) Prev {
	prev := t.end(c, why)
	if c.flags&lingering != 0 {
		t.unlinger(c)
	}
	i, _, _ := t.find(&c.Key, c.hash)
	if why == Ended && t.opts.MaxTombs > 0 {
		t.bury(i, c, prev)
	} else {
		t.remove(i)
	}
	t.free = append(t.free, c.ref)
	t.live--
	*c = Conn[S]{} // lets go of what State points to, and is as open wants it
	return prev
}

// end delivers what is left of a connection and tells the handler.
func (t *Table[S]) end(c *Conn[S], why CloseReason) Prev {
	t.giveUpAll(c)
	t.giveUpTails(c)
	return Prev{ID: c.ID, Last: c.Last, Memo: t.h.Close(c, why)}
}

// Finish ends every connection, as the capture has ended. One that is only
// kept for what is still under way has ended before.
func (t *Table[S]) Finish() {
	for ref := uint32(1); ref < t.nconns; ref++ {
		switch c := t.at(ref); {
		case c.flags&inUse == 0:
		case c.flags&lingering != 0:
			t.close(c, Ended)
		default:
			t.close(c, CaptureEnded)
		}
	}
	if t.store.n == 0 {
		return
	}
	// Where the packed ones stand, one after the other. The table is of no
	// more use to them, and looking each up there would cost more than its end.
	var c Conn[S]
	t.store.hand = 0
	for {
		place, ok := t.store.next()
		if !ok {
			break
		}
		if place != 0 {
			t.restore(&c, place)
			t.end(&c, CaptureEnded)
			t.live--
			c = Conn[S]{}
		}
	}
	t.slots, t.used, t.mask = make([]slot, 1024), 0, 1023
	t.tombs, t.store = tombRing{}, store{}
}

// linger keeps an ended connection for a while.
func (t *Table[S]) linger(c *Conn[S]) {
	c.flags |= lingering
	c.endAt = c.Last + int64(lingerTime)
	c.prev, c.next = t.lingerTail, 0
	if t.lingerTail != 0 {
		t.at(t.lingerTail).next = c.ref
	} else {
		t.lingerHead = c.ref
	}
	t.lingerTail = c.ref
}

func (t *Table[S]) unlinger(c *Conn[S]) {
	c.flags &^= lingering
	if c.prev != 0 {
		t.at(c.prev).next = c.next
	} else {
		t.lingerHead = c.next
	}
	if c.next != 0 {
		t.at(c.next).prev = c.prev
	} else {
		t.lingerTail = c.prev
	}
	c.prev, c.next = 0, 0
}

// tell advances the table's clock to the time that has surely come. Where
// nobody says, that is when two segments in a row are so late.
func (t *Table[S]) tell(s *Segment) {
	now := s.Came
	if now == 0 {
		now = min(s.Time, t.last)
	}
	if now > t.now {
		t.now = now
		t.expire()
	}
	t.last = s.Time
}

// over reports whether what ends at a time is over for a segment: by the
// segment's own time, or because the clock, which is the same in all tables
// that share a capture, has long passed it. Whether [Table.expire] has come
// across it, which depends on what else is in the table, makes no difference.
func (t *Table[S]) over(end int64, s *Segment) bool {
	return end <= s.Time || end <= t.now-int64(clockSlack)
}

// Advance says that capture time has come to now, in nanoseconds since
// 1970-01-01 UTC, though no packet says so: for live captures of quiet networks.
func (t *Table[S]) Advance(now int64) {
	if now > t.now {
		t.now = now
		t.expire()
		// There are fewer calls of this than packets on a busy network.
		for range 256 {
			t.evictIdle()
		}
	}
}

// expire lets go of what is over: lingering connections and tombs, oldest
// first, and now and then an idle connection. Those with segments to come are
// judged as these come (see over); the slack leaves them to that where a
// capture is a little out of order.
func (t *Table[S]) expire() {
	now := t.now - int64(clockSlack)
	for t.lingerHead != 0 {
		c := t.at(t.lingerHead)
		if c.endAt > now {
			break
		}
		t.close(c, Ended)
	}
	for t.tombs.len() > 0 && t.tombs.oldest().until() <= now {
		t.dropTomb()
	}
	t.evictIdle()
}

// evictIdle looks at the next connection, and forgets it if it has been idle
// for too long.
func (t *Table[S]) evictIdle() {
	now := t.now - int64(clockSlack)
	if t.opts.IdleTimeout > 0 && t.nconns > 1 {
		t.tick()
		if c := t.at(t.hand); c.flags&inUse != 0 && now-c.Last > int64(t.opts.IdleTimeout) {
			t.Stats.IdleEvicted++
			t.close(c, IdleTooLong)
		}
		if place, _ := t.store.next(); place != 0 && now-lastOf(t.store.at(place)) > int64(t.opts.IdleTimeout) {
			t.Stats.IdleEvicted++
			t.close(t.wakeAt(place), IdleTooLong)
		}
	}
}

// tick moves the clock's hand to the next connection index.
func (t *Table[S]) tick() {
	if t.hand++; t.hand >= t.nconns {
		t.hand = 1
	}
}

// makeRoom forgets the connection idle longest of the next few under the
// clock's hand: near enough to the one idle longest of all, without a scan.
func (t *Table[S]) makeRoom() {
	var worst uint32
	if t.store.n > 0 { // those have been silent longer than most
		for range 32 {
			place, _ := t.store.next()
			if place != 0 && (worst == 0 || lastOf(t.store.at(place)) < lastOf(t.store.at(worst))) {
				worst = place
			}
		}
		if worst != 0 {
			t.Stats.Evicted++
			t.close(t.wakeAt(worst), TableFull)
			return
		}
	}
	for range 32 {
		t.tick()
		if c := t.at(t.hand); c.flags&inUse != 0 && (worst == 0 || c.Last < t.at(worst).Last) {
			worst = t.hand
		}
	}
	if worst != 0 {
		t.Stats.Evicted++
		t.close(t.at(worst), TableFull)
	}
}
