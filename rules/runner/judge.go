package runner

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/rules"
)

// judge runs the rules over the facts of one shard.
type judge struct {
	opts  *Options
	table *reassembly.Table[analyzers.State]
	track *analyzers.Tracker

	views []*view // under Options.Config and, once used, under each of Options.Overrides
	*view         // that of the fact at hand

	found collection
	held  held // what a finding across connections may explain

	undecided undecidedList // connections with findings that an aggregate may withdraw

	across []*found        // findings across connections
	extra  []rules.Grouper // of Options.Groups
	shared []bool          // of those, the ones that are a rule's

	monitor *watch  // nil without Options.Monitor
	out     *outbox // nil without Options.Stream

	pend []pending // by a connection's Tag; 0 is unused
	free []uint32

	coverable []bool             // by rule, whether one across connections may explain its findings
	alone     []bool             // by rule, whether its findings compete with no other's
	prints    map[printed]string // fingerprints made lately
	route     []byte             // of the finding at hand
	spare     []*found           // to be used again

	cur *analyzers.Conn // the connection of the fact at hand
	rec *lifecycle.Conn // its record, once asked for
	met bool            // party describes it

	// What facts are lent in: on the heap once, not for each fact.
	party    rules.Party
	partyDir wire.Dir // of its client
	lent     struct {
		transaction rules.TransactionFact
		turn        rules.TurnFact
		stall       rules.StallFact
		usage       rules.UsageFact
	}

	firsts   []byte // first frames of connections, as differences in uvarints
	last     uint64
	servers  map[netip.Addr]bool // that answered
	served   netip.Addr          // of them, the one noted last
	missing  map[lifecycle.Evidence]*lack
	abstains map[abstention]uint64

	sampled                          []sampled // the aggregates of sightings
	anyHead, head, transaction, turn []listener
	headBits                         http1.Bits // that some of head listen to
	headOdd, turnOdd                 rules.Odd  // likewise
	odd                              rules.Odd  // that some of transaction listen to
	anomaly, stall, window, closed   []int      // rules that listen, by index

	pairs pairs
}

// listener is a rule that listens to heads, transactions or turns.
type listener struct {
	rule        int
	bits        http1.Bits
	odd         rules.Odd
	head        func(*rules.Pass, *http1.Head, *http1.Message, *http1.Transaction)
	transaction func(*rules.Pass, *http1.Transaction)
	turn        func(*rules.Pass, *timing.Turn)
}

// view is the rules as they see what one Config applies to.
type view struct {
	passes   []rules.Pass    // one a rule
	groupers []rules.Grouper // by rule, nil without an aggregate
	conns    []rules.Grouper // those that take connections
	trans    []rules.Grouper // those that take transactions
	turns    []rules.Grouper // those that take turns
	stalls   []rules.Grouper // those that take stalls
	hops     []rules.Grouper // those that take sightings
	uses     []rules.Grouper // those that take usage
}

// keys returns how many keys the aggregates have.
func (v *view) keys() (n int) {
	for _, g := range v.groupers {
		if g != nil {
			n += g.Keys()
		}
	}
	return n
}

// lack counts the connections that lack the same evidence.
type lack struct {
	conns uint64
	first uint64 // first frame of the first of them
}

type abstention struct {
	rule int
	why  lifecycle.Evidence // a single bit
}

// newJudge returns the judge of one of so many workers.
func newJudge(opts *Options, workers int) *judge {
	j := &judge{opts: opts, pend: make([]pending, 1), missing: map[lifecycle.Evidence]*lack{}, servers: map[netip.Addr]bool{},
		abstains: map[abstention]uint64{}, coverable: coverable(opts), alone: alone(opts), prints: map[printed]string{}, pairs: pairs{of: map[rules.Pair]uint16{}}}
	j.found.all = opts.All
	for i, r := range opts.Rules {
		if l := (listener{rule: i, bits: r.HeadBits, odd: r.HeadOdd, head: r.Head}); r.Head != nil && l.bits == 0 && l.odd == 0 {
			j.anyHead = append(j.anyHead, l)
		} else if r.Head != nil {
			j.head = append(j.head, l)
			j.headBits |= l.bits
			j.headOdd |= l.odd
		}
		if r.Transaction != nil {
			l := listener{rule: i, odd: cmp.Or(r.Odd, rules.Any), transaction: r.Transaction}
			j.transaction = append(j.transaction, l)
			j.odd |= l.odd
		}
		if r.Turn != nil {
			l := listener{rule: i, odd: cmp.Or(r.TurnOdd, rules.Any), turn: r.Turn}
			j.turn = append(j.turn, l)
			j.turnOdd |= l.odd
		}
		for _, l := range []struct {
			listens bool
			list    *[]int
		}{
			{r.Anomaly != nil, &j.anomaly},
			{r.Stall != nil, &j.stall}, {r.Window != nil, &j.window}, {r.Closed != nil, &j.closed},
		} {
			if l.listens {
				*l.list = append(*l.list, i)
			}
		}
	}
	var keys rules.Keys
	for _, group := range opts.Groups {
		j.extra = append(j.extra, group.New(&keys))
	}
	j.shared = make([]bool, len(j.extra))
	j.group(&keys)
	j.party.Conn = j.record
	j.track = analyzers.NewTracker(j.facts(), j.trackerOptions(workers))
	return j
}

// group begins the rules' aggregates anew.
func (j *judge) group(keys *rules.Keys) {
	j.views = make([]*view, 1+len(j.opts.Overrides))
	var made []rules.Grouper
	j.views[0] = j.newView(j.opts.Config, func(_ int, g rules.Grouping) rules.Grouper {
		for _, m := range made {
			if also := m.Also(g); also != nil {
				return also
			}
		}
		own := g.New(keys)
		made = append(made, own)
		// A stream begins those of the rules anew now and then.
		if k := slices.Index(j.opts.Groups, g); k >= 0 && j.opts.Stream == nil {
			j.extra[k], j.shared[k] = own, true
		}
		return own
	})
	j.view = j.views[0]
	j.sampled = j.sampled[:0]
	for _, g := range j.view.hops { // a proxy has two servers: what relates them has one Config
		j.sampled = append(j.sampled, sampled{Grouper: g})
		s := &j.sampled[len(j.sampled)-1]
		s.bits, s.most = g.Limit()
	}
}

// newView returns the rules under a Config. group makes the groupers, by the
// rule's index.
func (j *judge) newView(c *rules.Config, group func(int, rules.Grouping) rules.Grouper) *view {
	v := &view{passes: make([]rules.Pass, len(j.opts.Rules)), groupers: make([]rules.Grouper, len(j.opts.Rules))}
	for i, r := range j.opts.Rules {
		v.passes[i] = rules.Pass{Config: c, Conn: j.record, Last: j.lastExchange, Report: func(f rules.Finding) { j.report(i, f) }}
		if r.Group != nil {
			v.groupers[i] = group(i, r.Group(c))
			v.feeds(v.groupers[i])
		}
	}
	for k, g := range j.extra {
		if !j.shared[k] {
			v.feeds(g)
		}
	}
	return v
}

// feeds puts g on the list of those that take its kind of fact.
func (v *view) feeds(g rules.Grouper) {
	if g.Wants() == rules.NoFacts {
		return
	}
	list := map[rules.FactKind]*[]rules.Grouper{
		rules.ConnFact: &v.conns, rules.TransactionFacts: &v.trans, rules.TurnFacts: &v.turns,
		rules.StallFacts: &v.stalls, rules.SightingFact: &v.hops, rules.UsageFacts: &v.uses,
	}[g.Wants()]
	*list = append(*list, g)
}

// maxPairs bounds the pairs of one judge that have numbers.
const maxPairs = 1<<15 - 1

// pairs numbers the pairs of client and server that connections are of, from 1.
type pairs struct {
	of      map[rules.Pair]uint16
	configs []uint16 // by number, the pair's own among the views
}

// pair returns the number of the pair that the connection at hand is of, 0
// while its client is a guess and for pairs beyond maxPairs. The connection
// keeps it.
func (j *judge) pair() uint16 {
	s := &j.cur.State
	client, known := s.Life.Client()
	switch {
	case !known:
		return 0
	case s.Pair != 0 && wire.Dir(s.Pair&1) == client: // a SYN that comes late may show that the client is the other one
		return s.Pair >> 1
	}
	c, server := lifecycle.Ends(&j.cur.Key, client)
	k := rules.Pair{Client: c.Addr(), Server: server}
	n, ok := j.pairs.of[k]
	if !ok {
		if len(j.pairs.of) >= maxPairs {
			return 0
		}
		n = uint16(len(j.pairs.of) + 1)
		j.pairs.of[k] = n
		j.pairs.configs = append(j.pairs.configs, j.configOf(server))
	}
	s.Pair = n<<1 | uint16(client)
	return n
}

// configOf returns which of the views is that of a server.
func (j *judge) configOf(server netip.AddrPort) uint16 {
	return uint16(slices.IndexFunc(j.opts.Overrides, func(o rules.Override) bool { return o.Servers.Has(server) }) + 1)
}

// viewOf returns the view of the connection at hand.
func (j *judge) viewOf() *view {
	if j.cur == nil {
		return j.views[0]
	}
	var n uint16
	if pair := j.pair(); pair != 0 {
		n = j.pairs.configs[pair-1]
	} else {
		client, _ := j.cur.State.Life.Client()
		_, server := lifecycle.Ends(&j.cur.Key, client)
		n = j.configOf(server)
	}
	if j.views[n] == nil {
		config, general := j.opts.Overrides[n-1].Config, j.views[0].groupers
		j.views[n] = j.newView(config, func(i int, g rules.Grouping) rules.Grouper { return general[i].Under(config, g) })
	}
	return j.views[n]
}

func (j *judge) trackerOptions(workers int) analyzers.Options {
	o := analyzers.Options{Messages: http1.Options{MaxHeads: max(64<<20/workers, 1<<20), MaxWaiting: max(32<<10/workers, 1<<10)}}
	if len(j.hops) > 0 {
		o.Sights, o.Forgetful = j.sights, j.opts.Stream != nil
	}
	if len(j.opts.HTTPPorts) == 0 {
		return o
	}
	ports := map[uint16]bool{}
	for _, p := range j.opts.HTTPPorts {
		ports[p] = true
	}
	o.HTTP = func(p uint16) bool { return ports[p] }
	return o
}

// facts subscribes to the facts that some rule wants.
func (j *judge) facts() analyzers.Facts {
	f := analyzers.Facts{Opened: j.onOpened, Closed: j.onClosed}
	if len(j.head)+len(j.anyHead) > 0 || j.opts.watch != nil || j.monitor != nil {
		f.Head = j.onHead
	}
	if len(j.transaction) > 0 || len(j.trans) > 0 || len(j.uses) > 0 || j.monitor != nil {
		f.Transaction = j.onTransaction
	}
	if len(j.anomaly) > 0 {
		f.Anomaly = j.onAnomaly
	}
	if len(j.stall) > 0 || len(j.stalls) > 0 {
		f.Stall = j.onStall
	}
	if len(j.turn) > 0 || len(j.turns) > 0 || len(j.uses) > 0 {
		f.Turn = j.onTurn
	}
	if len(j.hops) > 0 {
		f.Sighting = j.onSighting
	}
	if len(j.window) > 0 {
		f.Window = j.onWindow
	}
	return f
}

// at makes c the connection of the fact at hand.
func (j *judge) at(c *analyzers.Conn) {
	j.cur, j.rec, j.met = c, nil, false
	if len(j.views) > 1 {
		j.view = j.viewOf()
	}
}

func (j *judge) record() *lifecycle.Conn {
	if j.rec == nil && j.cur != nil {
		j.rec = j.track.Record(j.cur)
	}
	return j.rec
}

// who returns the connection of the fact at hand, as facts tell of it.
func (j *judge) who() *rules.Party {
	if j.met {
		return &j.party
	}
	j.met = true
	c := j.cur
	life := &c.State.Life
	dir, known := life.Client()
	p := &j.party
	if p.ID != c.ID || j.partyDir != dir { // else it is the connection that was met last
		p.Client, p.Server = lifecycle.Ends(&c.Key, dir)
		p.ID, j.partyDir = c.ID, dir
	}
	p.ClientKnown, p.Protocol, p.Last = known, c.State.HTTP.Protocol(), life.LastExchange()
	p.Asked, p.SnapCut = life.LastData(c.ID, http1.Client), life.Missing&lifecycle.SnapCut != 0
	return p
}

// lastExchange returns the last answered transaction of the connection at hand.
func (j *judge) lastExchange() *lifecycle.Exchange { return j.cur.State.Life.LastExchange() }

func (j *judge) onOpened(c *analyzers.Conn) {
	if j.out != nil {
		j.out.firsts = append(j.out.firsts, c.ID)
	}
	if j.out == nil {
		j.firsts = binary.AppendUvarint(j.firsts, c.ID-j.last)
		j.last = c.ID
	}
	if j.monitor != nil {
		j.monitor.fresh = c
	}
}

func (j *judge) onHead(c *analyzers.Conn, h *http1.Head, m *http1.Message, t *http1.Transaction) {
	if j.opts.watch != nil {
		j.opts.watch(c, h, m)
	}
	if j.monitor != nil {
		j.monitor.requested(c, h, t)
	}
	odd := rules.OddHeadOf(h.Side, m, t)
	if len(j.anyHead) == 0 && !m.Bits.Any(j.headBits) && odd&j.headOdd == 0 {
		return
	}
	j.at(c)
	for i := range j.anyHead {
		l := &j.anyHead[i]
		l.head(&j.passes[l.rule], h, m, t)
	}
	for i := range j.head {
		if l := &j.head[i]; m.Bits.Any(l.bits) || odd&l.odd != 0 {
			l.head(&j.passes[l.rule], h, m, t)
		}
	}
}

func (j *judge) onTransaction(c *analyzers.Conn, t *http1.Transaction) {
	if j.monitor != nil {
		j.monitor.over(c, t)
	}
	j.at(c)
	if odd := rules.OddOf(t, c.State.Life.LastExchange()); odd&j.odd != 0 {
		for i := range j.transaction {
			if l := &j.transaction[i]; l.odd&odd != 0 {
				l.transaction(&j.passes[l.rule], t)
			}
		}
	}
	if len(j.trans) > 0 {
		pair := j.pair()
		f := &j.lent.transaction
		*f = rules.TransactionFact{Transaction: t, Party: j.who()}
		for _, g := range j.trans {
			g.Add(f, pair)
		}
	}
	if len(j.uses) > 0 {
		j.use(t, nil)
	}
}

// use adds to the aggregates of what the connection at hand is used for.
func (j *judge) use(t *http1.Transaction, turn *timing.Turn) {
	pair := j.pair()
	f := &j.lent.usage
	*f = rules.UsageFact{Transaction: t, Turn: turn, Party: j.who()}
	for _, g := range j.uses {
		g.Add(f, pair)
	}
}

func (j *judge) onAnomaly(c *analyzers.Conn, a *http1.Anomaly, t *http1.Transaction) {
	j.at(c)
	for _, i := range j.anomaly {
		j.opts.Rules[i].Anomaly(&j.passes[i], a, t)
	}
}

func (j *judge) onStall(c *analyzers.Conn, s *timing.Stall, t *http1.Transaction) {
	j.at(c)
	for _, i := range j.stall {
		j.opts.Rules[i].Stall(&j.passes[i], s, t)
	}
	if len(j.stalls) > 0 {
		pair := j.pair()
		f := &j.lent.stall
		*f = rules.StallFact{Stall: s, Transaction: t, Party: j.who()}
		for _, g := range j.stalls {
			g.Add(f, pair)
		}
	}
}

func (j *judge) onTurn(c *analyzers.Conn, t *timing.Turn) {
	j.at(c)
	if odd := rules.OddTurnOf(t); odd&j.turnOdd != 0 {
		for i := range j.turn {
			if l := &j.turn[i]; l.odd&odd != 0 {
				l.turn(&j.passes[l.rule], t)
			}
		}
	}
	if len(j.turns) > 0 {
		pair := j.pair()
		f := &j.lent.turn
		*f = rules.TurnFact{Turn: t, Party: j.who()}
		for _, g := range j.turns {
			g.Add(f, pair)
		}
	}
	if len(j.uses) > 0 {
		if p := j.who(); p.SnapCut || p.Protocol == http1.TLS || t.First && t.Flights > 1 {
			j.use(nil, t)
		}
	}
}

func (j *judge) onWindow(c *analyzers.Conn, w *timing.Closure, inside bool, t *http1.Transaction) {
	j.at(c)
	for _, i := range j.window {
		j.opts.Rules[i].Window(&j.passes[i], w, inside, t)
	}
}

// sampled is an aggregate of sightings, with its Limit.
type sampled struct {
	rules.Grouper
	bits http1.Bits
	most uint64
}

// sights reports whether a rule may keep a sighting.
func (j *judge) sights(s *hop.Sighting) bool {
	for i := range j.sampled {
		g := &j.sampled[i]
		if s.ReqBits.Has(g.bits) && s.Key <= g.most && g.Samples(s) {
			return true
		}
	}
	return false
}

func (j *judge) onSighting(_ *analyzers.Conn, s *hop.Sighting) {
	for i := range j.sampled {
		g := &j.sampled[i]
		g.Add(s, 0)
		g.bits, g.most = g.Limit()
	}
}

func (j *judge) onClosed(c *analyzers.Conn, r *lifecycle.Conn) {
	j.at(c)
	j.rec = r
	if !c.State.Twin {
		for _, i := range j.closed {
			j.opts.Rules[i].Closed(&j.passes[i], r)
		}
		pair := j.pair()
		for _, g := range j.conns {
			g.Add(r, pair)
		}
		if len(j.uses) > 0 {
			j.use(nil, nil)
		}
		if r.Answered > 0 && r.Server.Addr() != j.served { // else it was noted last
			j.served = r.Server.Addr()
			j.servers[j.served] = true
		}
	}
	var p *pending
	if tag := c.State.Tag; tag != 0 {
		p = &j.pend[tag]
	}
	if r.Missing != 0 && concerns(r) {
		j.lacks(r, p)
	}
	if p != nil {
		if !c.State.Twin {
			if p.provisional() {
				j.undecided.add(undecided{r.ID, *p}, j)
				*p = pending{}
			} else {
				j.settle(p)
			}
		}
		p.reset()
		j.free = append(j.free, c.State.Tag)
		c.State.Tag = 0
	}
	if j.monitor != nil {
		j.monitor.closed(c, r)
	}
	j.at(nil)
}

// settle takes in what stands of a connection's findings.
func (j *judge) settle(p *pending) {
	for _, g := range p.settle(j.opts.Rules, j.opts.Precedence) {
		if j.monitor != nil {
			j.monitor.found(g)
		}
		if j.coverable[g.rule] {
			g = j.held.add(g)
		}
		if g != nil && !j.found.add(g) && j.out == nil && j.monitor == nil {
			j.spare = append(j.spare, g)
		}
	}
}

// concerns reports whether a connection is one that rules about HTTP would
// have judged: HTTP, TLS, or of an unknown protocol because of what is
// missing.
func concerns(r *lifecycle.Conn) bool {
	return r.Requests+r.Responses > 0 || r.Protocol == http1.TLS ||
		r.Protocol == http1.Undecided && r.End[0].Bytes+r.End[1].Bytes > 0
}

// lacks counts what a connection lacks, and the rules that for this could
// not judge it.
func (j *judge) lacks(r *lifecycle.Conn, p *pending) {
	l := j.missing[r.Missing]
	if l == nil {
		l = &lack{first: r.ID}
		j.missing[r.Missing] = l
	}
	l.conns++
	l.first = min(l.first, r.ID)
	for i, rule := range j.opts.Rules {
		why := rule.Needs & r.Missing
		if why == 0 || p != nil && p.fired[i] || rule.TLS && r.Protocol != http1.TLS {
			continue
		}
		for ; why != 0; why &= why - 1 {
			j.abstains[abstention{i, why & -why}]++
		}
	}
}

// report takes a finding of the rule with index i.
func (j *judge) report(i int, told rules.Finding) {
	g := j.blank()
	g.first = told
	f := &g.first // told itself would be made anew for each finding
	if j.cur != nil {
		r := j.record()
		if f.Conn == 0 {
			f.Conn = r.ID
		}
		if !f.Client.IsValid() {
			f.Client = r.Client
		}
		if !f.Server.IsValid() {
			f.Server = r.Server
		}
	}
	suppressed := 0
	if j.opts.Adjust != nil {
		var keep bool
		if suppressed, keep = j.opts.Adjust(j.opts.Rules[i], f); !keep {
			j.spare = append(j.spare, g)
			return
		}
	}
	key := j.fingerprint(i, f)
	if f.Say != nil {
		if j.cur == nil || j.opts.All || j.out != nil || j.monitor != nil || j.coverable[i] && j.held.takes(f.Conn) || !j.found.tells(i, key, suppressed, f) {
			f.Message = f.Say()
		}
		f.Say = nil
	}
	g.begin(i, key, suppressed)
	if j.cur == nil {
		if j.out != nil {
			g.parts = []*found{g.single()}
		}
		j.across = append(j.across, g)
		return
	}
	s := &j.cur.State
	if s.Tag == 0 {
		if n := len(j.free); n > 0 {
			s.Tag = j.free[n-1]
			j.free = j.free[:n-1]
		} else {
			j.pend = append(j.pend, pending{})
			s.Tag = uint32(len(j.pend) - 1)
		}
		j.pend[s.Tag].all = j.opts.All
	}
	p := &j.pend[s.Tag]
	if j.out != nil && !(f.Once && p.fired[i]) {
		if one := g.single(); j.out.certain[i] && !f.Provisional {
			j.out.put(one)
		} else {
			g.parts = []*found{one}
		}
	}
	if !p.add(g, j.alone[i]) && j.out == nil && j.monitor == nil {
		j.spare = append(j.spare, g)
	}
}

// blank returns a group to be filled.
func (j *judge) blank() *found {
	n := len(j.spare)
	if n == 0 {
		return &found{}
	}
	g := j.spare[n-1]
	j.spare = j.spare[:n-1]
	return g
}

// printed is what a fingerprint is made of.
type printed struct {
	rule                             int
	server                           netip.AddrPort
	host, method, route, side, shape string
}

// maxPrints bounds the fingerprints that are remembered.
const maxPrints = 1 << 10

// fingerprint returns a finding's fingerprint, of the remembered ones if it
// can: one fault is found again and again, and hashing costs more than all the
// rest of a finding.
func (j *judge) fingerprint(i int, f *rules.Finding) string {
	// Targets are many, their routes few. To look one up makes no copy of it, as
	// long as it is spelled out where it is looked up.
	j.route = appendRoute(j.route[:0], f.Target)
	key, ok := j.prints[printed{i, f.Server, f.Host, f.Method, string(j.route), f.Side, f.Shape}]
	if !ok {
		key = Fingerprint(j.opts.Rules[i], f)
		if len(j.prints) >= maxPrints {
			clear(j.prints)
		}
		j.prints[printed{i, f.Server, f.Host, f.Method, string(j.route), f.Side, f.Shape}] = key
	}
	return key
}

// alone reports, by rule, whether its findings about a connection compete with
// those of no other rule: then nothing hangs on their causes.
func alone(opts *Options) []bool {
	by := make([]bool, len(opts.Rules))
	for i, r := range opts.Rules {
		by[i] = !slices.ContainsFunc(opts.Rules, func(o *rules.Rule) bool {
			return slices.Contains(opts.Precedence[o.Code], r.Code) ||
				slices.Contains(opts.Precedence[r.Code], o.Code) && (o.Head != nil || o.Transaction != nil || o.Anomaly != nil ||
					o.Stall != nil || o.Turn != nil || o.Window != nil || o.Closed != nil)
		})
	}
	return by
}

// coverable reports, by rule, whether one across connections can explain
// findings about a connection.
func coverable(opts *Options) []bool {
	by := make([]bool, len(opts.Rules))
	for _, r := range opts.Rules {
		if r.Group == nil {
			continue
		}
		for i, o := range opts.Rules {
			by[i] = by[i] || slices.Contains(opts.Precedence[r.Code], o.Code)
		}
	}
	return by
}

// merge takes over what another shard's judge found.
func (j *judge) merge(o *judge) {
	j.found.merge(&o.found)
	j.held.merge(&o.held, &j.found)
	j.undecided.merge(&o.undecided, j)
	maps.Copy(j.servers, o.servers)
	for i, g := range j.extra {
		if !j.shared[i] { // else it is merged below
			g.Merge(o.extra[i])
		}
	}
	for i, g := range j.views[0].groupers {
		if g != nil {
			g.Merge(o.views[0].groupers[i])
		}
	}
	for m, l := range o.missing {
		if have := j.missing[m]; have != nil {
			have.conns += l.conns
			have.first = min(have.first, l.first)
		} else {
			j.missing[m] = l
		}
	}
	for a, n := range o.abstains {
		j.abstains[a] += n
	}
}
