package rules

import (
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

// TransactionFact is a transaction with the connection it ran on. It is
// borrowed: valid until Add returns.
type TransactionFact struct {
	*http1.Transaction
	Conn *lifecycle.Conn
}

// TurnFact is a turn with the connection it ran on. It is borrowed: valid
// until Add returns.
type TurnFact struct {
	*timing.Turn
	Conn *lifecycle.Conn
}

// UsageFact is what a connection is used for, and its end: a transaction that
// is over, a turn that is over, or with neither the end of the connection.
// Turns are those where transactions cannot be read (TLS, or heads cut by the
// snapshot length), and elsewhere a first one whose response came in several
// flights. It is borrowed: valid until Add returns.
type UsageFact struct {
	Transaction *http1.Transaction // nil but at the end of a transaction
	Turn        *timing.Turn       // nil but at the end of a turn
	Conn        *lifecycle.Conn    // as known then
}

// StallFact is a stall with the transaction, which may be nil, and the
// connection it happened on. It is borrowed: valid until Add returns.
type StallFact struct {
	*timing.Stall
	Transaction *http1.Transaction
	Conn        *lifecycle.Conn
}

// Grouping is an aggregate whose types are erased. It makes the empty values
// that shards fill.
type Grouping interface {
	New() Grouper
}

// Grouper holds one shard's values of an aggregate, by key.
type Grouper interface {
	// Wants reports which facts Add takes.
	Wants() FactKind
	// Add takes a *lifecycle.Conn, *TransactionFact, *TurnFact, *StallFact,
	// *hop.Sighting or *UsageFact, as Wants says.
	Add(fact any)
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
)

// GroupBy erases the types of an aggregate.
func GroupBy[F Fact, K comparable, A any](agg Aggregate[F, K, A]) Grouping {
	return grouping[F, K, A]{agg}
}

type grouping[F Fact, K comparable, A any] struct{ agg Aggregate[F, K, A] }

func (g grouping[F, K, A]) New() Grouper {
	return &grouper[F, K, A]{agg: g.agg, grouped: &grouped[F, K, A]{values: map[K]A{}}}
}

type grouper[F Fact, K comparable, A any] struct {
	agg    Aggregate[F, K, A]
	config *Config // nil for the general one
	*grouped[F, K, A]
}

// grouped is what the groupers of one rule in one shard share.
type grouped[F Fact, K comparable, A any] struct {
	values map[K]A
	// under holds the Config of keys whose facts all have the same one, which
	// is not the general one; aggs the aggregate for it.
	under map[K]*Config
	aggs  map[*Config]Aggregate[F, K, A]
}

func (g *grouper[F, K, A]) Under(c *Config, other Grouping) Grouper {
	agg := other.(grouping[F, K, A]).agg
	if g.aggs == nil {
		g.under, g.aggs = map[K]*Config{}, map[*Config]Aggregate[F, K, A]{}
	}
	g.aggs[c] = agg
	return &grouper[F, K, A]{agg: agg, config: c, grouped: g.grouped}
}

// note takes down the Config of what was added to a key; had says whether
// the key had a value before.
func (g *grouped[F, K, A]) note(k K, had bool, c *Config) {
	switch {
	case !had && c != nil:
		g.under[k] = c
	case had && g.under[k] != c:
		delete(g.under, k)
	}
}

func (g *grouper[F, K, A]) Wants() FactKind {
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

func (g *grouper[F, K, A]) Add(fact any) {
	f := fact.(F)
	if k, ok := g.agg.Key(f); ok {
		v, had := g.values[k]
		g.values[k] = g.agg.Add(v, f)
		if g.aggs != nil {
			g.note(k, had, g.config)
		}
	}
}

func (g *grouper[F, K, A]) Keys() int { return len(g.values) }

func (g *grouper[F, K, A]) Merge(other Grouper) {
	o := other.(*grouper[F, K, A])
	for c, agg := range o.aggs {
		g.Under(c, grouping[F, K, A]{agg})
	}
	for k, v := range o.values {
		mine, had := g.values[k]
		g.values[k] = g.agg.Merge(mine, v)
		if g.aggs != nil {
			g.note(k, had, o.under[k])
		}
	}
}

func (g *grouper[F, K, A]) Judge(p *Pass) {
	general := p.Config
	for k, v := range g.values {
		if c := g.under[k]; c != nil {
			p.Config = c
			g.aggs[c].Judge(p, k, v)
			p.Config = general
			continue
		}
		g.agg.Judge(p, k, v)
	}
}

// ValuesOf returns the values of a Grouper by key, nil if its aggregate has
// other types. The map is the Grouper's own.
func ValuesOf[F Fact, K comparable, A any](g Grouper) map[K]A {
	if own, ok := g.(*grouper[F, K, A]); ok {
		return own.values
	}
	return nil
}
