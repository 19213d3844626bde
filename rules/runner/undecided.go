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

// maxUndecided bounds how many connections wait.
const maxUndecided = 1 << 14

// undecidedList is the connections that wait, by first frame: those that began
// first, whatever the shards.
type undecidedList []undecided

// add takes a connection. What is too much is settled by j as it is.
func (l *undecidedList) add(u undecided, j *judge) {
	i := l.search(u.conn)
	if len(*l) >= maxUndecided {
		if i == len(*l) {
			j.settle(&u.pending)
			return
		}
		last := len(*l) - 1
		j.settle(&(*l)[last].pending)
		*l = (*l)[:last]
	}
	*l = slices.Insert(*l, i, u)
}

func (l *undecidedList) search(conn uint64) int {
	i, _ := slices.BinarySearchFunc(*l, conn, func(u undecided, conn uint64) int { return cmp.Compare(u.conn, conn) })
	return i
}

// withdraw drops the provisional findings of a rule on a connection.
func (l *undecidedList) withdraw(rule int, conn uint64) {
	i := l.search(conn)
	if i == len(*l) || (*l)[i].conn != conn {
		return
	}
	p := &(*l)[i].pending
	p.list = slices.DeleteFunc(p.list, func(g *found) bool { return g.rule == rule && g.first.Provisional })
}

// provisional reports whether any finding may be withdrawn.
func (p *pending) provisional() bool {
	return slices.ContainsFunc(p.list, func(g *found) bool { return g.first.Provisional })
}
