package runner

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/rules"
)

// MonitorOptions bound what a [Monitor] keeps and hands out.
type MonitorOptions struct {
	// Live lets the time series show the last minutes; else they hold the
	// whole capture, in bins that widen as it grows.
	Live     bool
	Conns    int // connections described, those used last; 0 for 1,000
	Pairs    int // clients and servers told apart; 0 for 1,000
	Findings int // groups of findings while the run goes on; 0 for 1,000
}

// Monitor lets another goroutine look at a run while it goes on. Set it as
// Options.Monitor of one run. Each shard keeps a bounded account of its own;
// Snapshot puts them together. A shard is held up for as long as a snapshot
// copies its account, and by nothing else.
type Monitor struct {
	opts   MonitorOptions
	shards atomic.Pointer[[]*watch]
	stream atomic.Pointer[stream]
	result atomic.Pointer[Result]

	mu        sync.Mutex
	groups    map[findingKey]*found // of a stream
	uncounted uint64
}

// NewMonitor returns a Monitor for one run.
func NewMonitor(o MonitorOptions) *Monitor {
	o.Conns, o.Pairs, o.Findings = cmp.Or(o.Conns, 1000), cmp.Or(o.Pairs, 1000), cmp.Or(o.Findings, 1000)
	return &Monitor{opts: o}
}

// Snapshot is what a run held at one time. It is the caller's own.
type Snapshot struct {
	Now       int64 // capture time of the latest segment, nanoseconds since 1970-01-01 UTC; 0 before the first
	Total     PairRow
	Findings  []Finding // as settled so far, in the order of Result.Findings; connection numbers are missing
	Uncounted uint64    // occurrences of findings that found no room
	Pairs     []PairRow // those with most connections first
	MorePairs int
	Conns     []ConnRow // those used last first
	// Result is the run's, once it is over. Findings are its then.
	Result *Result
}

// PairRow is what is known of a client and a server.
type PairRow struct {
	Client         netip.Addr
	Server         netip.AddrPort
	Host           string // that a request or ClientHello named last
	TLS            bool   // met with
	Conns, Open    int64  // connections seen, and open now
	Used           int64  // connections with a request
	Fresh          int64  // those of them that were opened for one: they did not begin before the capture
	Idle           int64  // open ones between two requests
	Requests       int64
	Answered       int64
	TimeWait       int64 // sockets that wait out TIME_WAIT now
	ClosedByServer int64 // connections that the server ended first
	Resets         int64
	Last           int64 // capture time of the latest event
	// Series are the same three over time; empty for the pairs that are not
	// among the first ones.
	Series Series
}

// Reuse returns the part of the requests that found their connection open, and
// false without requests.
func (p *PairRow) Reuse() (float64, bool) {
	if p.Requests == 0 {
		return 0, false
	}
	return 1 - float64(min(p.Fresh, p.Requests))/float64(p.Requests), true
}

// Series are counts at the ends of periods of equal length.
type Series struct {
	Start, Width         int64 // nanoseconds
	Open, Idle, TimeWait []int64
}

// ConnRow describes a connection.
type ConnRow struct {
	ID                  uint64 // frame of its first segment
	Client, Server      netip.AddrPort
	Host                string
	Protocol            http1.Protocol
	Start, Last         int64 // capture times
	Requests, Responses uint32
	Outstanding         int // requests not yet answered in full
	Established         bool
	Closed              bool
	Outcome             lifecycle.Outcome
	First               http1.Side // who ended it first, where its Outcome says that it ended
	Bytes               [2]int64
	Retransmits         int64
	LongestIdle         int64 // nanoseconds
	Findings            int
}

// watch is one shard's account. Its lock is held while a segment is fed, so
// that a snapshot meets every connection in order.
type watch struct {
	mu    sync.Mutex
	j     *judge
	opts  MonitorOptions
	now   int64
	fresh *analyzers.Conn // opened by the segment at hand

	axis    axis
	total   pair
	other   pair // of the pairs that found no room
	pairs   map[pairKey]*pair
	evicted int
	full    int // connections until it is worth looking for room again
	// unknown are connections of which it is not yet known who the client is.
	unknown map[uint64]struct{}

	recent []entry // a list by next and prev, used last first
	index  map[uint64]int32
	head   int32
	tail   int32

	groups    map[findingKey]*found
	uncounted uint64
	ended     bool // the Result will tell the rest
}

// maxUnknown bounds the connections that wait to be told their client.
const maxUnknown = 1 << 14

type pairKey struct {
	client, server wire.Addr
	port           uint16
}

type pair struct {
	row              PairRow // but for the ends
	open, idle, wait series
}

type entry struct {
	row        ConnRow
	conn       *analyzers.Conn // nil once it is over, and while it is packed
	next, prev int32           // -1 for none
}

// Conclude makes res what snapshots hand out as the run's result. Run does so;
// who adds to the result afterwards does it again.
func (m *Monitor) Conclude(res *Result) {
	own := *res
	own.Findings = slices.Clone(res.Findings)
	m.result.Store(&own)
	if shards := m.shards.Load(); shards != nil {
		for _, w := range *shards {
			w.release()
		}
	}
}

func (m *Monitor) attach(judges []*judge) {
	shards := make([]*watch, len(judges))
	n := len(judges)
	opts := m.opts
	opts.Conns = max(opts.Conns/n, 16)
	opts.Findings = max(opts.Findings, 16)
	for i, j := range judges {
		w := &watch{j: j, opts: opts, axis: axis{slide: opts.Live}, pairs: map[pairKey]*pair{}, unknown: map[uint64]struct{}{},
			index: map[uint64]int32{}, head: -1, tail: -1, groups: map[findingKey]*found{}}
		j.monitor = w
		shards[i] = w
	}
	m.shards.Store(&shards)
}

// feed returns work with the shard's lock held.
func (w *watch) feed(work func(*capture.Segment)) func(*capture.Segment) {
	return func(s *capture.Segment) {
		w.mu.Lock()
		w.now = s.Now
		work(s)
		if w.fresh != nil {
			w.opened(w.fresh)
		}
		w.mu.Unlock()
	}
}

func (w *watch) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.j.table.Finish()
	w.ended = true
}

// release lets go of all that only the run itself needed.
func (w *watch) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.j = &judge{opts: w.j.opts, firsts: w.j.firsts}
	w.unknown = nil
}

// pairOf returns the account of a connection's ends; make says whether it is
// to be begun if there is none.
func (w *watch) pairOf(c *analyzers.Conn, begin bool) *pair {
	k := pairKey{c.Key.Src, c.Key.Dst, c.Key.DstPort}
	if dir, _ := c.State.Life.Client(); dir == 1 {
		k = pairKey{c.Key.Dst, c.Key.Src, c.Key.SrcPort}
	}
	p := w.pairs[k]
	if p == nil && begin {
		if len(w.pairs) >= w.opts.Pairs {
			// All may have open connections: looking on every time would take
			// longer than all else.
			if w.full--; w.full < 0 {
				w.makeRoom()
				w.full = w.opts.Pairs / 4
			}
		}
		if len(w.pairs) < w.opts.Pairs {
			p = &pair{}
			w.pairs[k] = p
		}
	}
	if p == nil {
		p = &w.other
	}
	return p
}

// makeRoom forgets the pairs without an open connection that were met longest
// ago.
func (w *watch) makeRoom() {
	type candidate struct {
		key  pairKey
		last int64
	}
	var all []candidate
	for k, p := range w.pairs {
		if p.row.Open <= 0 {
			all = append(all, candidate{k, p.row.Last})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.last, b.last) })
	for _, c := range all[:min(len(all), w.opts.Pairs/4+1)] {
		w.other.row.add(&w.pairs[c.key].row)
		delete(w.pairs, c.key)
		w.evicted++
	}
}

// add takes over the counts of another pair.
func (p *PairRow) add(o *PairRow) {
	p.Conns += o.Conns
	p.Open += o.Open
	p.Used += o.Used
	p.Fresh += o.Fresh
	p.Idle += o.Idle
	p.Requests += o.Requests
	p.Answered += o.Answered
	p.ClosedByServer += o.ClosedByServer
	p.Resets += o.Resets
	p.TLS = p.TLS || o.TLS
	if o.Host != "" && (p.Host == "" || o.Last > p.Last) {
		p.Host = o.Host
	}
	p.Last = max(p.Last, o.Last)
}

// both applies f to the account of the connection's pair and to the total.
func (w *watch) both(c *analyzers.Conn, begin bool, f func(*pair)) {
	p := w.pairOf(c, begin)
	p.row.Last = c.Last
	f(p)
	f(&w.total)
}

// opened is called after a connection's first segment was taken.
func (w *watch) opened(c *analyzers.Conn) {
	w.fresh = nil
	if c.State.Twin {
		return
	}
	w.touch(c)
	if _, known := c.State.Life.Client(); !known {
		if len(w.unknown) < maxUnknown {
			w.unknown[c.ID] = struct{}{}
		}
		return
	}
	w.begin(c)
}

func (w *watch) begin(c *analyzers.Conn) {
	bin := w.bin(c.Start)
	w.both(c, true, func(p *pair) {
		p.row.Conns++
		p.row.Open++
		p.open.add(bin, 1)
	})
}

// settle counts a connection whose client was not known at first.
func (w *watch) settle(c *analyzers.Conn) {
	if len(w.unknown) == 0 {
		return
	}
	if _, ok := w.unknown[c.ID]; ok {
		delete(w.unknown, c.ID)
		w.begin(c)
	}
}

// requested is called for the head of a request.
func (w *watch) requested(c *analyzers.Conn, h *http1.Head, t *http1.Transaction) {
	if h.Side != http1.Client {
		return
	}
	w.early(c)
	w.settle(c)
	first := c.State.Life.Requests == 1
	wakes := !first && c.State.HTTP.Outstanding() == 1
	bin := w.bin(c.Last)
	w.both(c, false, func(p *pair) {
		p.row.Requests++
		if first {
			p.row.Used++
		}
		if first && !c.MidStream() {
			p.row.Fresh++
		}
		if wakes {
			p.row.Idle--
			p.idle.add(bin, -1)
		}
		if len(t.Host) > 0 && p.row.Host != string(t.Host) {
			p.row.Host = w.j.opts.Config.Redact.Host(string(t.Host))
		}
	})
	if e := w.touch(c); e.row.Host == "" && len(t.Host) > 0 {
		e.row.Host = w.j.opts.Config.Redact.Host(string(t.Host))
	}
}

// early begins a connection whose first segment already carries a fact.
func (w *watch) early(c *analyzers.Conn) {
	if w.fresh == c {
		w.opened(c)
	}
}

// over is called for a transaction that is over.
func (w *watch) over(c *analyzers.Conn, t *http1.Transaction) {
	if t.Req.HeadEnd.Frame == 0 {
		return
	}
	w.early(c)
	rests := c.State.HTTP.Outstanding() == 0
	bin := w.bin(c.Last)
	w.both(c, false, func(p *pair) {
		if t.Outcome == http1.Answered {
			p.row.Answered++
		}
		if rests {
			p.row.Idle++
			p.idle.add(bin, 1)
		}
	})
	w.touch(c)
}

// closed is called at a connection's end.
func (w *watch) closed(c *analyzers.Conn, r *lifecycle.Conn) {
	w.early(c)
	if c.State.Twin {
		if i, ok := w.index[c.ID]; ok { // not known for a twin when it was opened
			w.recent[i].conn = nil
		}
		return
	}
	w.settle(c)
	bin := w.bin(c.Last)
	atEnd := r.Outcome == lifecycle.StillOpen || r.Outcome == lifecycle.HalfClosed
	waits := int64(0)
	for side := range http1.Side(2) {
		if r.HoldsTimeWait(side) {
			waits++
		}
	}
	w.both(c, false, func(p *pair) {
		if r.Requests > 0 && !atEnd {
			p.row.Idle--
			p.idle.add(bin, -1)
		}
		if !atEnd { // what the capture's end left open stays so in its last picture
			p.row.Open--
			p.open.add(bin, -1)
			p.wait.add(bin, waits)
		}
		if r.Protocol == http1.TLS {
			p.row.TLS = true
			if r.TLS.SNI != "" {
				p.row.Host = w.j.opts.Config.Redact.Host(r.TLS.SNI)
			}
		}
		switch {
		case r.Outcome == lifecycle.Reset:
			p.row.Resets++
		case r.Outcome == lifecycle.Finished && r.First == http1.Server:
			p.row.ClosedByServer++
		}
	})
	if i, ok := w.index[c.ID]; ok {
		e := &w.recent[i]
		w.describe(&e.row, r)
		e.row.Closed, e.conn, e.row.Outstanding = true, nil, r.LostCount
	}
}

// pack and unpack are the table's: a connection moves by them, and while it is
// packed nothing about it changes.
func (w *watch) pack(c *analyzers.Conn, p *reassembly.Packer) bool {
	i, ok := w.index[c.ID]
	if ok {
		w.update(&w.recent[i])
	}
	packed := w.j.track.Pack(c, p)
	if ok && packed {
		w.recent[i].conn = nil
	}
	return packed
}

func (w *watch) unpack(c *analyzers.Conn, u *reassembly.Unpacker) {
	w.j.track.Unpack(c, u)
	if i, ok := w.index[c.ID]; ok {
		w.recent[i].conn = c
	}
}

// update describes a connection as it is now.
func (w *watch) update(e *entry) {
	if e.conn != nil {
		w.describe(&e.row, w.j.track.Record(e.conn))
		e.row.Outstanding = e.conn.State.HTTP.Outstanding()
	}
}

func (w *watch) describe(row *ConnRow, r *lifecycle.Conn) {
	row.ID, row.Client, row.Server, row.Protocol = r.ID, r.Client, r.Server, r.Protocol
	row.Start, row.Last, row.Requests, row.Responses = r.Start, r.Last, r.Requests, r.Responses
	row.Established = r.Established.Seen() || r.Missing&lifecycle.MidStream != 0
	row.Outcome, row.First, row.LongestIdle = r.Outcome, r.First, int64(r.LongestIdle)
	for side := range r.End {
		row.Bytes[side] = r.End[side].Bytes
	}
	row.Retransmits = r.End[0].Retransmits + r.End[1].Retransmits
	if row.Host == "" && r.Protocol == http1.TLS {
		row.Host = w.j.opts.Config.Redact.Host(r.TLS.SNI)
	}
}

// touch puts a connection at the head of those used last. Its entry is valid
// until the next call.
func (w *watch) touch(c *analyzers.Conn) *entry {
	i, ok := w.index[c.ID]
	switch {
	case ok && i == w.head:
		return &w.recent[i]
	case ok:
		w.unlink(i)
	case len(w.recent) < w.opts.Conns:
		i = int32(len(w.recent))
		w.recent = append(w.recent, entry{})
	default:
		i = w.tail
		w.unlink(i)
		delete(w.index, w.recent[i].row.ID)
		w.recent[i] = entry{}
	}
	e := &w.recent[i]
	if !ok {
		e.row.ID, e.conn = c.ID, c
		w.index[c.ID] = i
	}
	e.prev, e.next = -1, w.head
	if w.head >= 0 {
		w.recent[w.head].prev = i
	}
	w.head = i
	if w.tail < 0 {
		w.tail = i
	}
	return e
}

func (w *watch) unlink(i int32) {
	e := &w.recent[i]
	if e.prev >= 0 {
		w.recent[e.prev].next = e.next
	} else {
		w.head = e.next
	}
	if e.next >= 0 {
		w.recent[e.next].prev = e.prev
	} else {
		w.tail = e.prev
	}
}

// found takes a finding that is settled but for what findings across
// connections may yet explain.
func (w *watch) found(g *found) {
	if g.suppressed != 0 || w.ended {
		return
	}
	if i, ok := w.index[g.first.Conn]; ok && g.first.Conn != 0 {
		w.recent[i].row.Findings += g.n
	}
	if w.j.opts.Stream != nil {
		return // the stream tells them when they are certain
	}
	if !group(w.groups, g, w.opts.Findings) {
		w.uncounted += uint64(g.n)
	}
}

// take takes findings that are certain from a stream.
func (m *Monitor) take(list []*found) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.groups == nil {
		m.groups = map[findingKey]*found{}
	}
	for _, g := range list {
		if g.suppressed == 0 && !group(m.groups, g, m.opts.Findings) {
			m.uncounted += uint64(g.n)
		}
	}
}

// group puts a copy of g with those alike. It returns false if there is no
// room for another group.
func group(groups map[findingKey]*found, g *found, limit int) bool {
	k := findingKey{g.rule, g.key, 0}
	own := *g
	own.sums, own.parts = slices.Clone(g.sums), nil
	if have := groups[k]; have != nil {
		// A stream tells each occurrence: those of one connection follow each other.
		again := g.first.Conn != 0 && g.first.Conn == have.lastConn
		have.lastConn = g.first.Conn
		have.add(&own, !again)
		return true
	}
	if len(groups) >= limit {
		return false
	}
	own.lastConn = g.first.Conn
	groups[k] = &own
	return true
}

// Number returns the number of the connection with that first frame, as
// Wireshark's tcp.stream, counted among those met so far, or -1 if that is no
// longer known.
func (m *Monitor) Number(id uint64) int {
	shards := m.shards.Load()
	if shards == nil {
		return 0
	}
	if s := m.stream.Load(); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.ranks.of(id)
	}
	n := 0
	for _, w := range *shards {
		w.mu.Lock()
		at, rest := uint64(0), w.j.firsts
		for len(rest) > 0 {
			d, size := binary.Uvarint(rest)
			if at += d; at >= id {
				break
			}
			rest = rest[size:]
			n++
		}
		w.mu.Unlock()
	}
	return n
}

// charted is how many pairs have series in a Snapshot.
const charted = 100

// Snapshot returns what the run holds now. It may be called from any
// goroutine, before the run and after it too.
func (m *Monitor) Snapshot() *Snapshot {
	s := &Snapshot{Result: m.result.Load()}
	shards := m.shards.Load()
	if shards == nil {
		return s
	}
	var all collection
	pairs := map[pairKey]*PairRow{}
	var target axis
	var list []*rules.Rule
	for _, w := range *shards {
		w.mu.Lock()
		list = w.j.opts.Rules
		s.Now = max(s.Now, w.now)
		s.Total.add(&w.total.row)
		s.Uncounted += w.uncounted
		s.MorePairs += w.evicted
		target.cover(&w.axis)
		for k, p := range w.pairs {
			row := pairs[k]
			if row == nil {
				row = &PairRow{Client: k.client.Netip(), Server: netip.AddrPortFrom(k.server.Netip(), k.port)}
				pairs[k] = row
			}
			row.add(&p.row)
		}
		if s.Result == nil {
			all.copy(w.groups)
		}
		s.Conns = w.conns(s.Conns)
		w.mu.Unlock()
	}
	m.mu.Lock()
	s.Uncounted += m.uncounted
	all.copy(m.groups)
	m.mu.Unlock()
	if s.Result != nil {
		s.Findings = s.Result.Findings
	} else {
		s.Findings = all.list(list)
	}
	slices.SortFunc(s.Conns, func(a, b ConnRow) int { return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(b.ID, a.ID)) })

	keys := slices.SortedFunc(maps.Keys(pairs), func(a, b pairKey) int {
		return cmp.Or(cmp.Compare(pairs[b].Conns, pairs[a].Conns), pairs[a].Server.Compare(pairs[b].Server), pairs[a].Client.Compare(pairs[b].Client))
	})
	if most := m.opts.Pairs; len(keys) > most {
		s.MorePairs += len(keys) - most
		keys = keys[:most]
	}
	m.chart(s, *shards, target, pairs, keys)
	for _, k := range keys {
		row := pairs[k]
		row.Open, row.Idle = max(row.Open, 0), max(row.Idle, 0)
		s.Pairs = append(s.Pairs, *row)
	}
	s.Total.Open, s.Total.Idle = max(s.Total.Open, 0), max(s.Total.Idle, 0)
	return s
}

// conns appends the rows of the connections used last.
func (w *watch) conns(out []ConnRow) []ConnRow {
	for i := range w.recent {
		w.update(&w.recent[i])
		out = append(out, w.recent[i].row)
	}
	return out
}

// chart fills in the series, of the total and of the first pairs.
func (m *Monitor) chart(s *Snapshot, shards []*watch, target axis, pairs map[pairKey]*PairRow, keys []pairKey) {
	if !target.set {
		return
	}
	var hold int64
	total := newPlot()
	plots := make([]plot, min(len(keys), charted))
	for i := range plots {
		plots[i] = newPlot()
	}
	for _, w := range shards {
		w.mu.Lock()
		hold = int64(w.j.opts.Config.TimeWait)
		total.gather(&w.total, &w.axis, &target)
		for i, k := range keys {
			switch p := w.pairs[k]; {
			case p == nil:
			case i < len(plots):
				plots[i].gather(p, &w.axis, &target)
			default: // what waits now is all that is told
				pairs[k].TimeWait += p.wait.waiting(&w.axis, s.Now, hold)
			}
		}
		w.mu.Unlock()
	}
	s.Total.Series = total.series(&target, s.Now, hold)
	s.Total.TimeWait = s.Total.Series.TimeWait[len(s.Total.Series.TimeWait)-1]
	for i, k := range keys[:len(plots)] {
		p := pairs[k]
		p.Series = plots[i].series(&target, s.Now, hold)
		p.TimeWait = p.Series.TimeWait[len(p.Series.TimeWait)-1]
	}
}

// copy adds copies of groups.
func (c *collection) copy(groups map[findingKey]*found) {
	for _, g := range groups {
		own := *g
		own.sums, own.parts = slices.Clone(g.sums), nil
		c.add(&own)
	}
}
