// Package analyzers says what happened on a connection: it bundles the HTTP
// parser, the timing and the life cycle of one connection into one State and
// turns what a reassembly.Table delivers into facts.
package analyzers

import (
	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/analyzers/tlsinfo"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// Conn is a connection with its analyzers' state.
type Conn = reassembly.Conn[State]

// State is what the analyzers remember of one connection. It lives inline in
// the connection.
type State struct {
	HTTP http1.Session
	tls  tlsinfo.State

	// Tag and Pair belong to who takes the facts. Pair is forgotten when the
	// connection is packed.
	Tag  uint32
	Pair uint16
	// Twin says that the connection repeats another one on the far side of an
	// address translator: it is followed, but gives no facts.
	Twin  bool
	flags stateFlags

	// What each segment is looked up in stands together: with many connections
	// the time goes into fetching it.
	turns timing.Turns
	shut  timing.Windows
	stall timing.State
	Life  lifecycle.State

	hops  hop.Collector
	sniff *sniffing // while the roles are unknown
}

type stateFlags uint8

const (
	ignored stateFlags = 1 << iota // not HTTP, or not on a port asked for
	gaveUp                         // no longer looked at to tell the roles
	checked                        // the port was looked at
	turned                         // a turn that is no handshake was met
)

// sniffing tells the roles of a connection whose handshake was missed.
type sniffing struct {
	dir   [2]http1.Sniffer
	tries int
}

// maxTries bounds how many segments of a connection without handshake are
// looked at for the beginning of a message.
const maxTries = 4096

// Facts are the functions that facts go to; nil ones cost nothing. All they
// are given is borrowed: valid until they return.
type Facts struct {
	// Opened is called for a connection's first segment, twins too.
	Opened      func(*Conn)
	Head        func(*Conn, *http1.Head, *http1.Message, *http1.Transaction)
	Transaction func(*Conn, *http1.Transaction)
	Anomaly     func(*Conn, *http1.Anomaly, *http1.Transaction)
	// Stall's transaction may be nil.
	Stall func(*Conn, *timing.Stall, *http1.Transaction)
	// Turn is called at the end of each turn of a connection that may be HTTP
	// or TLS.
	Turn func(*Conn, *timing.Turn)
	// Window is called when a closed receive window opens, or at the
	// connection's end, with the transaction under way or nil. Inside says
	// that the other side was in the middle of a message.
	Window func(c *Conn, w *timing.Closure, inside bool, tr *http1.Transaction)
	// Sighting is called for each transaction whose request's head was seen
	// and that Options.Sights takes, and for some of the others: at least the
	// first to a server's host and those with the status 407.
	Sighting func(*Conn, *hop.Sighting)
	// Closed is called once for each connection, twins too, last.
	Closed func(*Conn, *lifecycle.Conn)
}

// Options of a Tracker.
type Options struct {
	// HTTP reports whether HTTP/1.x is looked for on connections to a server
	// port; nil for all.
	HTTP func(port uint16) bool
	// Sights reports whether a sighting of which Key, Start and ReqBits are
	// known is noted in full; nil for all.
	Sights func(*hop.Sighting) bool
	// Forgetful says that who takes sightings begins anew now and then: all
	// are told.
	Forgetful bool
	// Messages bounds what the parser keeps of messages.
	Messages http1.Options
}

// Totals count what a Tracker met, over all connections that have ended.
type Totals struct {
	HTTPConns, TLSConns, HTTP2Conns uint64
}

// Tracker is the reassembly.Handler that runs the analyzers of one shard's
// connections.
type Tracker struct {
	Totals Totals

	facts Facts
	opts  Options
	env   *http1.Env
	pool  lifecycle.Pool
	times timing.Pool
	tls   tlsinfo.Pool
	hops  hop.Pool
	told  [64]struct { // hosts that a sighting was told of, by their last bytes
		host wire.Addr
		yes  bool
	}
	end   int64 // of the capture, once known
	cur   *Conn // of the callback under way
	stall timing.Stall
	turn  timing.Turn
	shut  timing.Closure
	rec   lifecycle.Conn

	// Of the connection that is being closed: its outstanding requests, with
	// their words in one buffer.
	lost      []lifecycle.Lost
	lostCount int
	words     []byte
}

// NewTracker returns a Tracker that hands facts to f.
func NewTracker(f Facts, opts Options) *Tracker {
	t := &Tracker{facts: f, opts: opts, hops: hop.Pool{Wanted: opts.Sights}}
	t.env = http1.NewEnv(sink{t}, opts.Messages)
	return t
}

// HTTPStats returns the counts of messages so far.
func (t *Tracker) HTTPStats() http1.Stats { return t.env.Stats }

// Record returns the record of a live connection. It is valid until the next
// call.
func (t *Tracker) Record(c *Conn) *lifecycle.Conn {
	t.record(c, 0, true)
	return &t.rec
}

// CaptureEnds says when the capture's last packet came, in nanoseconds since
// 1970-01-01 UTC. Call it before the table's Finish.
func (t *Tracker) CaptureEnds(at int64) { t.end = at }

func (t *Tracker) record(c *Conn, why reassembly.CloseReason, live bool) {
	s := &c.State
	lifecycle.Record(&s.Life, &t.pool, c, why, live, s.HTTP.Protocol(), &t.rec)
	if t.end > t.rec.Last && why == reassembly.CaptureEnded {
		t.rec.Until = t.end
	}
	if s.HTTP.Protocol() == http1.TLS {
		t.rec.Missing |= lifecycle.Encrypted
		s.tls.Summary(&t.rec.TLS)
	}
	if s.HTTP.Doubts()&(http1.NotFramed|http1.TooDeep) != 0 {
		t.rec.Missing |= lifecycle.BadFraming
	}
	t.rec.Lost, t.rec.LostCount = t.lost, t.lostCount
}

// lose notes a request that the end of its connection left outstanding.
func (t *Tracker) lose(tr *http1.Transaction) {
	if t.lostCount++; t.lostCount > lifecycle.MaxLost {
		return
	}
	keep := func(b []byte) []byte {
		n := len(t.words)
		t.words = append(t.words, b...)
		return t.words[n:len(t.words):len(t.words)]
	}
	t.lost = append(t.lost, lifecycle.Lost{Index: tr.Index, Method: tr.Method, MethodName: keep(tr.MethodName), Target: keep(tr.Target),
		Bits: tr.Req.Bits, First: tr.Req.First, Answering: tr.Resp.First.Frame != 0})
}

// Segment implements reassembly.Handler.
func (t *Tracker) Segment(c *Conn, d wire.Dir, seg *reassembly.Segment, k reassembly.Kind) {
	s := &c.State
	if k&reassembly.First != 0 && t.facts.Opened != nil {
		t.facts.Opened(c)
	}
	if seg.Twin {
		s.Twin = true
	}
	if seg.Flags&wire.SYN != 0 {
		t.syn(c, d, seg, k)
	}
	if k&reassembly.Ambiguous != 0 {
		s.Life.Missing |= lifecycle.Gap // what the receiver read is not known
	}
	s.Life.Segment(&t.pool, c.ID, &c.Streams, d, seg, k)
	if s.flags&ignored != 0 || s.Twin || s.HTTP.Protocol() > http1.TLS {
		return
	}
	if t.facts.Stall != nil && s.stall.Segment(&c.Streams, d, seg, k, &t.stall) {
		t.judgeStall(c, d, seg)
	}
	alert := seg.Len > 0 && s.HTTP.Protocol() == http1.TLS && tlsinfo.IsAlert(seg.Payload, seg.Len)
	if t.facts.Turn != nil && !alert && s.turns.Segment(&t.times, s.Life.Side(d), &c.Streams, d, seg, k, &t.turn) {
		t.endTurn(c)
	}
	if t.facts.Window != nil && s.shut.Segment(&t.times, d, seg, k, &t.shut) {
		t.window(c, d)
	}
}

// endTurn passes on a turn.
func (t *Tracker) endTurn(c *Conn) {
	s := &c.State
	if s.HTTP.Protocol() == http1.TLS {
		from := t.turn.ReqFirst.Frame
		if from == 0 {
			from = t.turn.RespFirst.Frame
		}
		t.turn.Handshake = s.tls.Shaking(from, max(t.turn.ReqLast.Frame, t.turn.RespLast.Frame))
	}
	if !t.turn.Handshake {
		t.turn.First = s.flags&turned == 0
		s.flags |= turned
	}
	t.facts.Turn(c, &t.turn)
}

// window passes on that the window of the side sending in direction d was
// closed.
func (t *Tracker) window(c *Conn, d wire.Dir) {
	s := &c.State
	t.shut.Receiver = s.Life.Side(d)
	sender := s.Life.Side(d.Flip())
	tr := s.HTTP.Current(sender)
	inside := s.HTTP.MidMessage(sender) ||
		sender == http1.Server && tr != nil && tr.Resp.Framing == http1.UntilClose && tr.Resp.HeadEnd.Frame != 0
	if s.HTTP.Protocol() == http1.TLS {
		at, known := s.tls.Boundary(sender)
		inside = known && !at
	}
	t.facts.Window(c, &t.shut, inside, tr)
}

// syn tells the session where a side begins.
func (t *Tracker) syn(c *Conn, d wire.Dir, seg *reassembly.Segment, k reassembly.Kind) {
	if k&reassembly.Retransmission != 0 {
		return
	}
	side := http1.Client
	if life := &c.State.Life; seg.Flags&wire.ACK != 0 || life.ClientBySYN() && life.Side(d) == http1.Server {
		side = http1.Server // the latter in a simultaneous open
	}
	c.State.HTTP.Start(side, seg.Seq.Add(1))
}

// judgeStall passes a stall on if it lies inside a message.
func (t *Tracker) judgeStall(c *Conn, d wire.Dir, seg *reassembly.Segment) {
	s := &c.State
	st := &t.stall
	st.Sender = s.Life.Side(d)
	if s.Twin || c.Streams[d].Nxt != seg.Seq || c.Holding() {
		return
	}
	switch s.HTTP.Protocol() {
	case http1.HTTP1, http1.Undecided: // the latter inside the first head
		if !s.HTTP.MidMessage(st.Sender) {
			return
		}
	case http1.TLS:
		// Between two records. What is sent in the middle of one waits for
		// room in the socket's buffer, and handshakes take turns of their own.
		if at, known := s.tls.Boundary(st.Sender); known && !at || s.tls.Shaking(st.First.Frame, st.First.Frame) {
			return
		}
		st.Encrypted = true
	default:
		return
	}
	t.facts.Stall(c, st, s.HTTP.Current(st.Sender))
}

// side returns who sends in direction d, or false while that is not known or
// the connection is left alone.
func (t *Tracker) side(c *Conn, d wire.Dir) (http1.Side, bool) {
	s := &c.State
	if s.flags&ignored != 0 {
		return 0, false
	}
	if _, known := s.Life.Client(); !known {
		return 0, false
	}
	side := s.Life.Side(d)
	if s.flags&checked == 0 {
		s.flags |= checked
		if t.opts.HTTP != nil {
			_, server := lifecycle.Ends(&c.Key, d^wire.Dir(side))
			if !t.opts.HTTP(server.Port()) {
				s.flags |= ignored
				return 0, false
			}
		}
	}
	return side, true
}

// Data implements reassembly.Handler.
func (t *Tracker) Data(c *Conn, d wire.Dir, sp *reassembly.Span) {
	t.cur = c
	m := http1.Mark{Time: sp.Time, Frame: sp.Frame, Seq: sp.Seq, Ack: sp.Ack}
	if side, ok := t.side(c, d); ok {
		t.deliver(&c.State, side, sp.Bytes, m)
		return
	}
	if c.State.flags&(ignored|gaveUp) == 0 {
		t.sniff(c, d, sp.Bytes, m)
	}
}

// deliver hands bytes to the parsers. While the protocol is not decided TLS
// records are followed along, so that none is missed once it is.
func (t *Tracker) deliver(s *State, side http1.Side, b []byte, m http1.Mark) {
	if p := s.HTTP.Protocol(); p == http1.Undecided || p == http1.TLS {
		s.tls.Data(&t.tls, side, b, m)
	}
	s.HTTP.Data(t.env, side, b, m)
	if p := s.HTTP.Protocol(); s.tls.Active() && p != http1.Undecided && p != http1.TLS {
		s.tls.Close(&t.tls)
	}
}

// sniff looks for the beginning of a message to tell who the client is.
func (t *Tracker) sniff(c *Conn, d wire.Dir, b []byte, m http1.Mark) {
	s := &c.State
	if s.sniff == nil {
		s.sniff = &sniffing{}
	}
	sn := &s.sniff.dir[d]
	p, side, ok := sn.Feed(b)
	if !ok {
		return
	}
	held := sn.Held()
	if p != http1.HTTP1 && p != http1.TLS && p != http1.HTTP2 {
		*sn = http1.Sniffer{}
		if s.sniff.tries++; s.sniff.tries >= maxTries {
			s.flags |= gaveUp
			s.sniff = nil
		}
		return
	}
	client := d
	if side == http1.Server {
		client = d.Flip()
	}
	if p == http1.TLS && !isHello(held, b) {
		client = lowerPort(c)
	}
	s.Life.SetClient(client)
	if side, ok := t.side(c, d); ok {
		if len(held) > 0 {
			h := m
			h.Seq = h.Seq.Add(-len(held))
			t.deliver(s, side, held, h)
		}
		t.deliver(s, side, b, m)
	}
	s.sniff = nil
}

// isHello reports whether a TLS record is a handshake record, which tells who
// sent it.
func isHello(held, b []byte) bool {
	if len(held) > 0 {
		b = held
	}
	return len(b) > 0 && b[0] == 22
}

// lowerPort guesses that the server has the lower port.
func lowerPort(c *Conn) wire.Dir {
	if c.Key.SrcPort < c.Key.DstPort {
		return 1
	}
	return 0
}

// Gap implements reassembly.Handler.
func (t *Tracker) Gap(c *Conn, d wire.Dir, g *reassembly.Gap) {
	t.cur = c
	s := &c.State
	if !g.Cut {
		s.Life.Missing |= lifecycle.Gap
	}
	m := http1.Mark{Time: g.Time, Frame: g.Frame, Seq: g.Seq, Ack: g.Ack}
	if side, ok := t.side(c, d); ok {
		before := s.HTTP.Doubts()
		s.HTTP.Gap(t.env, side, g.Len, g.Cut, m)
		s.tls.Gap(&t.tls, side, g.Len)
		if g.Cut && s.HTTP.Doubts() != before {
			s.Life.Missing |= lifecycle.SnapCut
		}
		return
	}
	if s.sniff != nil {
		s.sniff.dir[d] = http1.Sniffer{}
	}
}

// FIN implements reassembly.Handler.
func (t *Tracker) FIN(c *Conn, d wire.Dir, sp *reassembly.Span) {
	t.cur = c
	if side, ok := t.side(c, d); ok {
		c.State.HTTP.End(t.env, side, http1.Mark{Time: sp.Time, Frame: sp.Frame, Seq: sp.Seq, Ack: sp.Ack})
	}
}

// Close implements reassembly.Handler.
func (t *Tracker) Close(c *Conn, why reassembly.CloseReason) (memo uint8) {
	t.cur = c
	s := &c.State
	for d := range wire.Dir(2) {
		if s.shut.Close(&t.times, d, c.Last, &t.shut) && !s.Twin {
			t.window(c, d)
		}
	}
	if s.turns.Close(&t.times, &c.Streams, &t.turn) && !s.Twin {
		t.endTurn(c)
	}
	s.HTTP.Close(t.env, c.Reset(), why == reassembly.CaptureEnded && !c.Reset())
	t.record(c, why, false)
	r := &t.rec
	switch {
	case r.Protocol == http1.TLS:
		t.Totals.TLSConns++
		if r.TLS.HTTP2() {
			t.Totals.HTTP2Conns++
		}
	case r.Protocol == http1.HTTP2:
		t.Totals.HTTP2Conns++
	}
	if r.Requests+r.Responses > 0 {
		t.Totals.HTTPConns++
	}
	if t.facts.Closed != nil {
		t.facts.Closed(c, r)
	}
	client, _ := s.Life.Client()
	memo = r.Memo(client)
	s.hops.Close(&t.hops)
	s.tls.Close(&t.tls)
	s.Life.Release(&t.pool, c.ID)
	t.lost, t.lostCount, t.words = t.lost[:0], 0, t.words[:0]
	return memo
}

// sink takes what the sessions find.
type sink struct{ t *Tracker }

func (k sink) Head(h *http1.Head, m *http1.Message, tr *http1.Transaction) {
	t := k.t
	if h.Side == http1.Client {
		t.cur.State.Life.Requests++
	} else {
		t.cur.State.Life.Responses++
	}
	if t.cur.State.Twin {
		return
	}
	if t.facts.Sighting != nil {
		t.cur.State.hops.Head(&t.hops, h, tr)
	}
	if t.facts.Head != nil {
		t.facts.Head(t.cur, h, m, tr)
	}
}

func (k sink) Done(tr *http1.Transaction) {
	t := k.t
	if tr.Outcome == http1.Answered {
		defer t.cur.State.Life.Answered(tr) // until then its predecessor is the last
	}
	switch tr.Outcome {
	case http1.Unanswered, http1.Incomplete, http1.Open:
		t.lose(tr)
	case http1.Unsolicited:
		if !t.cur.State.HTTP.Abstains() {
			t.cur.State.Life.Unsolicited(&t.pool, t.cur.ID, tr)
		}
	}
	if t.cur.State.Twin {
		return
	}
	if t.facts.Sighting != nil {
		t.sight(tr)
	}
	if t.facts.Transaction != nil {
		t.facts.Transaction(t.cur, tr)
	}
}

// sight passes on the sighting of a transaction that is over.
func (t *Tracker) sight(tr *http1.Transaction) {
	c := t.cur
	dir, _ := c.State.Life.Client()
	host := c.Key.Dst
	if dir == 1 {
		host = c.Key.Src
	}
	told := &t.told[int(host[len(host)-1])%len(t.told)]
	s := c.State.hops.Done(&t.hops, tr, told.yes && told.host == host && !t.opts.Forgetful)
	if s == nil {
		return
	}
	told.host, told.yes = host, true
	s.Client, s.Server = lifecycle.Ends(&c.Key, dir)
	s.Conn = c.ID
	t.facts.Sighting(c, s)
}

func (k sink) Anomaly(a *http1.Anomaly, tr *http1.Transaction) {
	if t := k.t; t.facts.Anomaly != nil && !t.cur.State.Twin {
		t.facts.Anomaly(t.cur, a, tr)
	}
}
