package runner

import (
	"cmp"
	"slices"
)

// undecided is the findings of one connection that has ended, some of which an
// aggregate may still withdraw. Until then nobody can tell which of the others
// they silence.
type undecided struct {
	conn uint64
	pending
}

// Bounds on the connections that wait, and on their findings.
const (
	maxUndecided      = 1 << 14
	maxUndecidedFound = 1 << 16
)

// undecidedList is the connections that wait, by first frame: those that began
// first, whatever the shards.
type undecidedList struct {
	list  []undecided
	found int    // findings of all of them
	bound uint64 // this connection was too much, and so are later ones; 0 for none
}

// add takes a connection. What is too much is settled by j as it is.
func (l *undecidedList) add(u undecided, j *judge) {
	if l.bound != 0 && u.conn >= l.bound {
		j.settle(&u.pending)
		return
	}
	l.list = slices.Insert(l.list, l.search(u.conn), u)
	l.found += len(u.pending.list)
	for len(l.list) > maxUndecided || l.found > maxUndecidedFound {
		l.drop(j)
	}
}

// drop settles the last connection.
func (l *undecidedList) drop(j *judge) {
	last := len(l.list) - 1
	u := l.list[last]
	l.list[last] = undecided{}
	l.list, l.bound = l.list[:last], u.conn
	l.found -= len(u.pending.list)
	j.settle(&u.pending)
}

// merge takes over the connections of o.
func (l *undecidedList) merge(o *undecidedList, j *judge) {
	if o.bound != 0 && (l.bound == 0 || o.bound < l.bound) {
		l.bound = o.bound
		for len(l.list) > 0 && l.list[len(l.list)-1].conn >= o.bound {
			l.drop(j)
		}
		l.bound = o.bound
	}
	for _, u := range o.list {
		l.add(u, j)
	}
}

func (l *undecidedList) search(conn uint64) int {
	i, _ := slices.BinarySearchFunc(l.list, conn, func(u undecided, conn uint64) int { return cmp.Compare(u.conn, conn) })
	return i
}

// withdraw drops the provisional findings of a rule on a connection.
func (l *undecidedList) withdraw(rule int, conn uint64) {
	i := l.search(conn)
	if i == len(l.list) || l.list[i].conn != conn {
		return
	}
	p := &l.list[i].pending
	p.list = slices.DeleteFunc(p.list, func(g *found) bool { return g.rule == rule && g.first.Provisional })
}

// provisional reports whether any finding may be withdrawn.
func (p *pending) provisional() bool {
	return slices.ContainsFunc(p.list, func(g *found) bool { return g.first.Provisional })
}
