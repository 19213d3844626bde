package runner

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/connlint/connlint/rules"
)

// found is the occurrences of one rule's finding with one fingerprint.
type found struct {
	rule       int
	key        string
	suppressed int
	// first is the worst occurrence, the earliest of those.
	first rules.Finding
	n     int
	conns int
	cost  int64
	sums  []sum
	// parts are the occurrences that a stream has yet to report.
	parts []*found
	// lastConn is the connection of the latest occurrence, for a Monitor.
	lastConn uint64
}

// sum adds up a measured figure, in millionths: whole numbers add up to the
// same in any order.
type sum struct {
	name  string
	total int64
}

type findingKey struct {
	rule       int
	key        string
	suppressed int
}

// before orders occurrences: the worse first, then the earlier.
func before(a, b *rules.Finding) bool {
	if a.Severity != b.Severity {
		return a.Severity > b.Severity
	}
	if c := cmp.Compare(line(a), line(b)); c != 0 {
		return c < 0
	}
	return a.Message < b.Message
}

// line returns a finding's first frame.
func line(f *rules.Finding) uint64 {
	if len(f.Frames) == 0 {
		return 0
	}
	return f.Frames[0]
}

// begin makes g the group of one occurrence, its first.
func (g *found) begin(rule int, key string, suppressed int) {
	g.rule, g.key, g.suppressed = rule, key, suppressed
	g.n, g.conns, g.cost = 1, max(g.first.Conns, 1), g.first.Cost
	g.sums, g.parts, g.lastConn = g.sums[:0], nil, 0
	for _, m := range g.first.Measured {
		if m.Sum {
			g.sums = append(g.sums, sum{m.Name, micro(m.Value)})
		}
	}
}

// alike reports whether g and o belong into one group.
func (g *found) alike(o *found) bool {
	return g.rule == o.rule && g.key == o.key && g.suppressed == o.suppressed
}

func micro(v float64) int64 { return int64(math.Round(v * 1e6)) }

// add takes over o, another group of the same finding. conns says whether its
// connections are others than g's.
func (g *found) add(o *found, conns bool) {
	if before(&o.first, &g.first) {
		g.first = o.first
	}
	g.n += o.n
	g.cost += o.cost
	for _, p := range o.parts {
		if n := len(g.parts); n < maxPending {
			g.parts = append(g.parts, p)
		} else {
			g.parts[n-1].add(p, false)
		}
	}
	if conns {
		g.conns += o.conns
	}
	for _, s := range o.sums {
		if i := slices.IndexFunc(g.sums, func(t sum) bool { return t.name == s.name }); i >= 0 {
			g.sums[i].total += s.total
		} else {
			g.sums = append(g.sums, s)
		}
	}
}

// collection is the findings of a shard, or of all.
type collection struct {
	all    bool // keep each occurrence
	groups map[findingKey]*found
	each   []*found

	emit  func(*found) // for a stream: takes the parts of what is added
	limit int          // of groups, 0 for none
	over  uint64       // occurrences that found no room
}

// add takes in a group, and reports whether it keeps g itself.
func (c *collection) add(g *found) (kept bool) {
	if c.emit != nil {
		for _, p := range g.parts {
			c.emit(p)
		}
		g.parts = nil
	}
	if c.all {
		c.each = append(c.each, g)
		return true
	}
	k := findingKey{g.rule, g.key, g.suppressed}
	if have := c.groups[k]; have != nil {
		have.add(g, true)
		return false
	}
	if c.limit > 0 && len(c.groups) >= c.limit {
		c.over += uint64(g.n)
		return false
	}
	if c.groups == nil {
		c.groups = map[findingKey]*found{}
	}
	c.groups[k] = g
	return true
}

// tells reports whether of an occurrence with that fingerprint nothing will be
// told but that it was: a group has a worse or earlier one.
func (c *collection) tells(rule int, key string, suppressed int, f *rules.Finding) bool {
	have := c.groups[findingKey{rule, key, suppressed}]
	return have != nil && (have.first.Severity > f.Severity || have.first.Severity == f.Severity && line(&have.first) < line(f))
}

func (c *collection) merge(o *collection) {
	for _, g := range o.groups {
		c.add(g)
	}
	c.each = append(c.each, o.each...)
	c.over += o.over
}

// list returns the findings in their final order, connection numbers not yet
// filled in.
func (c *collection) list(list []*rules.Rule) []Finding {
	groups := c.each
	for _, g := range c.groups {
		groups = append(groups, g)
	}
	out := make([]Finding, 0, len(groups))
	for _, g := range groups {
		r := list[g.rule]
		f := Finding{Rule: r, Finding: g.first, ConnNumber: -1, Occurrences: g.n, Connections: g.conns, Fingerprint: g.key,
			Suppressed: g.suppressed}
		f.Cost = g.cost
		if f.Fix == "" {
			f.Fix = r.Doc.Fix
		}
		if f.Refs == nil {
			f.Refs = r.Doc.Refs
		}
		if g.n > 1 {
			f.Measured = slices.Clone(f.Measured)
			slices.SortFunc(g.sums, func(a, b sum) int { return cmp.Compare(a.name, b.name) })
			for _, s := range g.sums {
				f.Measured = append(f.Measured, rules.Measure{Name: s.name + "_total", Value: float64(s.total) / 1e6})
			}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(line(&a.Finding), line(&b.Finding)), strings.Compare(a.Rule.Code, b.Rule.Code),
			strings.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Suppressed, b.Suppressed), slices.Compare(a.Frames, b.Frames), strings.Compare(a.Message, b.Message))
	})
	return out
}

// pending is what was found on one live connection, until its end shows which
// finding is the cause of which.
type pending struct {
	all   bool // keep each occurrence
	list  []*found
	fired map[int]bool
}

// reset empties p, to be used again.
func (p *pending) reset() {
	clear(p.list)
	p.list = p.list[:0]
	clear(p.fired)
}

// maxPending bounds the findings of one connection that are kept apart; more
// are counted into the last alike.
const maxPending = 256

// add takes a finding of the connection, and reports whether it keeps g itself.
// Alike findings count as one if they have one cause, or if alone says that
// none of their rule's competes with others.
func (p *pending) add(g *found, alone bool) (kept bool) {
	if p.fired == nil {
		p.fired = map[int]bool{}
	}
	if g.first.Once && p.fired[g.rule] {
		return false
	}
	p.fired[g.rule] = true
	for _, have := range p.list {
		if p.all {
			break
		}
		if have.alike(g) && (have.first.Cause == g.first.Cause || len(p.list) >= maxPending ||
			alone && !have.first.Provisional && !g.first.Provisional) {
			have.add(g, false)
			return false
		}
	}
	p.list = append(p.list, g)
	return true
}

// settle applies the order of precedence and returns what stands.
func (p *pending) settle(list []*rules.Rule, order map[string][]string) []*found {
	if len(p.list) == 1 {
		return p.list
	}
	var few [8]bool
	stands := few[:0]
	for _, g := range p.list {
		code := list[g.rule].Code
		stands = append(stands, !slices.ContainsFunc(p.list, func(o *found) bool {
			return slices.Contains(order[list[o.rule].Code], code) && sameCause(&o.first, &g.first)
		}))
	}
	out := p.list[:0]
	for i, g := range p.list {
		if !stands[i] {
			continue
		}
		// What only its causes kept apart is one group of one connection.
		same := func(o *found) bool { return o.alike(g) }
		if k := slices.IndexFunc(out, same); k >= 0 && !p.all {
			out[k].add(g, false)
		} else {
			out = append(out, g)
		}
	}
	return out
}

// sameCause reports whether two findings of one connection may have one
// cause: a finding that names none competes with all.
func sameCause(a, b *rules.Finding) bool {
	return a.Cause == b.Cause || a.Cause == 0 || b.Cause == 0
}

// maxHeld bounds the findings of a held.
const maxHeld = 1 << 14

// held keeps the findings about connections that a finding across connections
// may explain until that is judged: those of the connections that began first,
// whatever the shards.
type held struct{ list []*found }

// add takes a finding, and returns the one that is too much then: it stands.
func (h *held) add(g *found) (over *found) {
	i, _ := slices.BinarySearchFunc(h.list, g, inOrder)
	if last := len(h.list) - 1; last+1 >= maxHeld {
		if i > last {
			return g
		}
		over = h.list[last]
		h.list = h.list[:last]
	}
	h.list = slices.Insert(h.list, i, g)
	return over
}

// merge takes over the findings of o. What is too much goes to c.
func (h *held) merge(o *held, c *collection) {
	for _, g := range o.list {
		if over := h.add(g); over != nil {
			c.add(over)
		}
	}
}

// takes reports whether findings about that connection may be kept. What it
// has refused, it refuses from then on.
func (h *held) takes(conn uint64) bool {
	return len(h.list) < maxHeld || conn <= h.list[len(h.list)-1].first.Conn
}

func inOrder(a, b *found) int {
	return cmp.Or(cmp.Compare(a.first.Conn, b.first.Conn), cmp.Compare(a.rule, b.rule),
		cmp.Compare(a.key, b.key), cmp.Compare(a.first.Cause, b.first.Cause))
}

// across settles findings across connections by the order of precedence, among
// those of the same client and server, and takes in what stands of them and of
// what they may explain.
func (c *collection) across(list []*found, h *held, opts *Options) {
	order := func(g *found) []string { return opts.Precedence[opts.Rules[g.rule].Code] }
	code := func(g *found) string { return opts.Rules[g.rule].Code }
	// All are judged before any is added, which makes one of those alike.
	stands := slices.DeleteFunc(slices.Clone(list), func(g *found) bool {
		return slices.ContainsFunc(list, func(o *found) bool {
			return slices.Contains(order(o), code(g)) && sameEnds(&o.first, &g.first)
		})
	})
	for _, g := range h.list {
		explained := slices.ContainsFunc(list, func(o *found) bool {
			if !slices.Contains(order(o), code(g)) {
				return false
			}
			_, ok := slices.BinarySearch(o.first.Covers, g.first.Conn)
			return ok
		})
		if !explained {
			stands = append(stands, g)
		}
	}
	h.list = nil
	for _, g := range stands {
		c.add(g)
	}
}

// sameEnds reports whether two findings are about the same client and server;
// one that names no client is about all of its server's.
func sameEnds(a, b *rules.Finding) bool {
	return a.Server == b.Server &&
		(a.Client.Addr() == b.Client.Addr() || !a.Client.IsValid() || !b.Client.IsValid())
}
