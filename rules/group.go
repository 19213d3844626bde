package rules

import (
	"math"
	"net/netip"

	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
)

// Aggregate is a rule's memory across connections. Facts with the same key add
// up to one value; values of parts of the traffic merge to that of the whole.
//
// The zero A is the identity. Merge is associative and commutative, and
// splitting the facts in any way gives the same Judge. A is bounded,
// serializable by its exported fields, and holds no pointer to a connection.
// An Aggregate is a struct whose exported fields are its settings; it can be
// compared.
type Aggregate[F any, K comparable, A any] interface {
	Key(F) (K, bool) // false: not about this fact
	Add(A, F) A      // may reuse its first argument
	Merge(a, b A) A  // likewise; never keeps b
	Judge(*Pass, K, A)
}

// Fact is what an aggregate can be made of.
type Fact interface {
	*lifecycle.Conn | *TransactionFact | *TurnFact | *StallFact | *hop.Sighting | *UsageFact
}

// Party is the connection that a fact belongs to, as far as it is known then:
// what costs nothing to tell, and the record of it all. It is borrowed as the
// fact is.
type Party struct {
	ID             uint64 // first frame
	Client, Server netip.AddrPort
	ClientKnown    bool
	Protocol       http1.Protocol
	Last           *lifecycle.Exchange // the last answered transaction, as in the record
	Asked          uint64              // frame of the client's last data, 0 for none
	SnapCut        bool                // as in the record's Missing

	// Conn returns the whole record, which is made unless it is there already.
	Conn func() *lifecycle.Conn
}

// PartyOf returns the connection that a record describes.
func PartyOf(c *lifecycle.Conn) *Party {
	return &Party{ID: c.ID, Client: c.Client, Server: c.Server, ClientKnown: c.ClientKnown, Protocol: c.Protocol,
		Last: &c.LastExchange, Asked: c.End[http1.Client].LastData.Frame,
		SnapCut: c.Missing&lifecycle.SnapCut != 0, Conn: func() *lifecycle.Conn { return c }}
}

// Pair is a client's host and the server endpoint it talks to.
type Pair struct {
	Client netip.Addr
	Server netip.AddrPort
}

// Pair returns the connection's ends.
func (p *Party) Pair() Pair { return Pair{p.Client.Addr(), p.Server} }

// PairOf returns the ends of a connection.
func PairOf(c *lifecycle.Conn) Pair { return Pair{c.Client.Addr(), c.Server} }

// Subject describes the pair.
func (p Pair) Subject() Subject {
	return Subject{Client: netip.AddrPortFrom(p.Client, 0), Server: p.Server}
}

// TransactionFact is a transaction with the connection it ran on. It is
// borrowed: valid until Add returns.
type TransactionFact struct {
	*http1.Transaction
	*Party
}

// TurnFact is a turn with the connection it ran on. It is borrowed: valid
// until Add returns.
type TurnFact struct {
	*timing.Turn
	*Party
}

// UsageFact is what a connection is used for, and its end: a transaction that
// is over, a turn that is over, or with neither the end of the connection.
// Turns are those where transactions cannot be read (TLS, or heads cut by the
// snapshot length), and elsewhere a first one whose response came in several
// flights. It is borrowed: valid until Add returns.
type UsageFact struct {
	Transaction *http1.Transaction // nil but at the end of a transaction
	Turn        *timing.Turn       // nil but at the end of a turn
	*Party
}

// StallFact is a stall with the transaction, which may be nil, and the
// connection it happened on. It is borrowed: valid until Add returns.
type StallFact struct {
	*timing.Stall
	Transaction *http1.Transaction
	*Party
}

// Taker is an aggregate with one key for all facts about connections of one
// [Pair]: it is made and looked up once, and not for each fact.
type Taker[F any] interface {
	// Takes reports what Key does: whether the aggregate is about the fact.
	Takes(F) bool
}

// Sharer is an aggregate that adds up what another one does, and judges it
// otherwise: those that share the same are kept once.
type Sharer interface{ Shares() any }

// Sampler is an aggregate of sightings that takes some of them only. It is
// asked before all of a sighting is noted.
type Sampler[A any] interface {
	// Samples reports whether Add may keep a sighting of which Key, Start and
	// ReqBits are known. What it has refused, it refuses from then on.
	Samples(A, *hop.Sighting) bool
	// Limit says as much of most of those that are refused, for less: they are
	// without some of bits, or their Key is above most.
	Limit(A) (bits http1.Bits, most uint64)
}

// Rationed is an aggregate whose values keep less, the more keys there are: all
// of them together are bounded, too.
type Rationed[A any] interface {
	// Ration lets go of what a value may not keep where it is one of so many. It
	// may reuse a. keys only grows from call to call, by powers of two; what is
	// judged has had the last of them, whatever the shards.
	Ration(a A, keys int) A
}

// Grouping is an aggregate whose types are erased. It makes the empty values
// that shards fill.
type Grouping interface {
	// New returns an empty Grouper. All those of one shard share keys; nil
	// stands for keys of its own.
	New(keys *Keys) Grouper
}

// Grouper holds one shard's values of an aggregate, by key.
type Grouper interface {
	// Wants reports which facts Add takes.
	Wants() FactKind
	// Add takes a *lifecycle.Conn, *TransactionFact, *TurnFact, *StallFact,
	// *hop.Sighting or *UsageFact, as Wants says. pair is a number for the Pair
	// of its connection, always the same and no other's, or 0.
	Add(fact any, pair uint16)
	// Samples reports whether Add may keep a sighting, as [Sampler] says.
	Samples(*hop.Sighting) bool
	// Limit is that of the Sampler. It is valid until Add is next called.
	Limit() (bits http1.Bits, most uint64)
	// Also returns a Grouper that judges the values of this one by g, nil if g
	// does not share them.
	Also(g Grouping) Grouper
	// Under returns a Grouper for facts about connections to which c applies
	// in place of the general Config; the rule's aggregate under c is g. It
	// adds to the values of this one.
	Under(c *Config, g Grouping) Grouper
	// Keys returns how many keys have a value.
	Keys() int
	// Merge takes over the values of another Grouper of the same rule.
	Merge(Grouper)
	// Judge reports on every key, in no particular order: under the Config of
	// its facts, or under the Pass's own if they have several.
	Judge(*Pass)
}

// FactKind names a kind of fact.
type FactKind uint8

// The kinds of facts that aggregates are made of.
const (
	ConnFact FactKind = iota
	TransactionFacts
	TurnFacts
	StallFacts
	SightingFact
	UsageFacts
	NoFacts // it judges what another one adds up
)

// GroupBy erases the types of an aggregate.
func GroupBy[F Fact, K comparable, A any](agg Aggregate[F, K, A]) Grouping {
	return grouping[F, K, A]{agg}
}

type grouping[F Fact, K comparable, A any] struct{ agg Aggregate[F, K, A] }

func (g grouping[F, K, A]) New(keys *Keys) Grouper {
	if keys == nil {
		keys = &Keys{}
	}
	return newGrouper(grouper[F, K, A]{agg: g.agg, aggs: map[*Config]Aggregate[F, K, A]{}, grouped: &grouped[K, A]{keys: numbersOf[K](keys)}})
}

// newGrouper fills in what else g's aggregate can do.
func newGrouper[F Fact, K comparable, A any](g grouper[F, K, A]) *grouper[F, K, A] {
	g.taker, _ = any(g.agg).(Taker[F])
	g.sampler, _ = any(g.agg).(Sampler[A])
	g.rationed, _ = any(g.agg).(Rationed[A])
	return &g
}

func (g *grouper[F, K, A]) Also(other Grouping) Grouper {
	o, ok := other.(grouping[F, K, A])
	if !ok {
		return nil
	}
	theirs, ok := o.agg.(Sharer)
	mine, too := g.agg.(Sharer)
	if !ok || !too || theirs.Shares() != mine.Shares() {
		return nil
	}
	return newGrouper(grouper[F, K, A]{agg: o.agg, aggs: map[*Config]Aggregate[F, K, A]{}, also: true, grouped: g.grouped})
}

// Keys numbers the keys that one shard's facts are grouped by.
type Keys struct{ tables []any } // a *numbers for each type of keys

// numbers gives each key a number, from 0. Groupers with keys of one type
// share it: most facts go to several that know them by the same key, which is
// looked up once.
type numbers[K comparable] struct {
	of   map[K]uint32
	keys []K    // by number
	last uint32 // the number looked up last; valid with keys
}

func numbersOf[K comparable](k *Keys) *numbers[K] {
	for _, t := range k.tables {
		if n, ok := t.(*numbers[K]); ok {
			return n
		}
	}
	n := &numbers[K]{of: map[K]uint32{}}
	k.tables = append(k.tables, n)
	return n
}

func (n *numbers[K]) number(k K) uint32 {
	if len(n.keys) > 0 && n.keys[n.last] == k {
		return n.last
	}
	i, ok := n.of[k]
	if !ok {
		i = uint32(len(n.keys))
		n.of[k] = i
		n.keys = append(n.keys, k)
	}
	n.last = i
	return i
}

type grouper[F Fact, K comparable, A any] struct {
	agg      Aggregate[F, K, A]
	taker    Taker[F]                       // agg, nil if it is none
	sampler  Sampler[A]                     // likewise
	rationed Rationed[A]                    // likewise
	config   *Config                        // nil for the general one
	also     bool                           // another one adds up the values
	aggs     map[*Config]Aggregate[F, K, A] // for each Config but the general one that applies to some facts
	*grouped[K, A]
}

// grouped is what the groupers of one rule, or of several that share it, hold
// in one shard.
type grouped[K comparable, A any] struct {
	keys   *numbers[K]
	at     []uint32 // by a key's number, where its value is in values, from 1; 0 for none
	byPair []uint32 // likewise by a pair's number, of a [Taker] whose facts gave it
	values []value[K, A]
	shared int // the number of keys that the values are rationed by
}

// value is what facts of one key added up to.
type value[K comparable, A any] struct {
	key   K
	sum   A
	under *Config // of all its facts; nil for the general one, or if they have several
}

// of returns a key's value, and whether it had one before.
func (g *grouped[K, A]) of(k K) (v *value[K, A], had bool) {
	n := g.keys.number(k)
	if int(n) >= len(g.at) {
		g.at = append(g.at, make([]uint32, int(n)+1-len(g.at))...)
	}
	if g.at[n] == 0 {
		g.values = append(g.values, value[K, A]{key: k})
		g.at[n] = uint32(len(g.values))
		return &g.values[len(g.values)-1], false
	}
	return &g.values[g.at[n]-1], true
}

// ration gives a new value its share, and the others as well when they are
// twice as many as they were.
func (g *grouper[F, K, A]) ration(v *value[K, A]) {
	if g.rationed == nil {
		return
	}
	if len(g.values) < 2*g.shared {
		v.sum = g.rationed.Ration(v.sum, g.shared)
		return
	}
	g.shared = max(1, 2*g.shared)
	for i := range g.values {
		g.values[i].sum = g.rationed.Ration(g.values[i].sum, g.shared)
	}
}

func (g *grouper[F, K, A]) Under(c *Config, other Grouping) Grouper {
	agg := other.(grouping[F, K, A]).agg
	g.aggs[c] = agg
	return newGrouper(grouper[F, K, A]{agg: agg, config: c, also: g.also, aggs: g.aggs, grouped: g.grouped})
}

// note takes down the Config of what was added to a value; had says whether
// there was something before.
func (v *value[K, A]) note(had bool, c *Config) {
	switch {
	case !had:
		v.under = c
	case v.under != c:
		v.under = nil
	}
}

func (g *grouper[F, K, A]) Wants() FactKind {
	if g.also {
		return NoFacts
	}
	var f F
	switch any(f).(type) {
	case *lifecycle.Conn:
		return ConnFact
	case *TransactionFact:
		return TransactionFacts
	case *TurnFact:
		return TurnFacts
	case *StallFact:
		return StallFacts
	case *UsageFact:
		return UsageFacts
	}
	return SightingFact
}

func (g *grouper[F, K, A]) Add(fact any, pair uint16) {
	f := fact.(F)
	if g.taker != nil && !g.taker.Takes(f) {
		return
	}
	if g.taker != nil && int(pair) < len(g.byPair) && g.byPair[pair] != 0 {
		v := &g.values[g.byPair[pair]-1]
		v.sum = g.agg.Add(v.sum, f)
		v.note(true, g.config)
		return
	}
	k, ok := g.agg.Key(f)
	if !ok {
		return
	}
	v, had := g.of(k)
	if !had {
		g.ration(v)
	}
	v.sum = g.agg.Add(v.sum, f)
	v.note(had, g.config)
	if g.taker != nil && pair != 0 {
		g.byPair = append(g.byPair, make([]uint32, max(0, int(pair)+1-len(g.byPair)))...)
		g.byPair[pair] = g.at[g.keys.last]
	}
}

func (g *grouper[F, K, A]) Samples(of *hop.Sighting) bool {
	s := g.sampler
	if s == nil {
		return true
	}
	if len(g.values) == 0 {
		var none A
		return s.Samples(none, of)
	}
	for i := range g.values {
		if s.Samples(g.values[i].sum, of) {
			return true
		}
	}
	return false
}

func (g *grouper[F, K, A]) Limit() (bits http1.Bits, most uint64) {
	switch s := g.sampler; {
	case s == nil || len(g.values) > 1:
		return 0, math.MaxUint64
	case len(g.values) == 0:
		var none A
		return s.Limit(none)
	default:
		return s.Limit(g.values[0].sum)
	}
}

func (g *grouper[F, K, A]) Keys() int { return len(g.values) }

func (g *grouper[F, K, A]) Merge(other Grouper) {
	o := other.(*grouper[F, K, A])
	for c, agg := range o.aggs {
		g.Under(c, grouping[F, K, A]{agg})
	}
	if g.also {
		return
	}
	for i := range o.values {
		theirs := &o.values[i]
		v, had := g.of(theirs.key)
		if had {
			v.sum = g.agg.Merge(v.sum, theirs.sum)
		} else {
			v.sum = theirs.sum
			g.ration(v)
		}
		v.note(had, theirs.under)
	}
}

func (g *grouper[F, K, A]) Judge(p *Pass) {
	general := p.Config
	for i := range g.values {
		v := &g.values[i]
		if v.under == nil {
			g.agg.Judge(p, v.key, v.sum)
			continue
		}
		p.Config = v.under
		g.aggs[v.under].Judge(p, v.key, v.sum)
		p.Config = general
	}
}

// ValuesOf returns the values of a Grouper by key, nil if its aggregate has
// other types.
func ValuesOf[F Fact, K comparable, A any](g Grouper) map[K]A {
	own, ok := g.(*grouper[F, K, A])
	if !ok {
		return nil
	}
	m := make(map[K]A, len(own.values))
	for i := range own.values {
		m[own.values[i].key] = own.values[i].sum
	}
	return m
}

// ValueOf returns a Grouper's value of one key, the zero value if it has none
// or its aggregate has other types.
func ValueOf[F Fact, K comparable, A any](g Grouper, k K) (sum A) {
	own, ok := g.(*grouper[F, K, A])
	if !ok {
		return sum
	}
	if n, ok := own.keys.of[k]; ok && int(n) < len(own.at) && own.at[n] != 0 {
		return own.values[own.at[n]-1].sum
	}
	return sum
}
