package reuse

import (
	"cmp"
	"slices"
	"time"

	"github.com/connlint/connlint/rules"
)

// Stats sums up how the connections of one pair were used.
type Stats struct {
	rules.Pair
	Host                      string // that was asked for, "" if several or unknown
	TLS                       bool
	Connections, Transactions int64
	Reuse                     float64 // share of the transactions that needed no new connection
	MaxParallel               int
	Avoidable                 int64
	Setup, Slow               time.Duration // spent on handshakes and slow start
	Busy, Idle                time.Duration // of all connections
	Observed                  time.Duration // first SYN to last response byte
	Estimated                 time.Duration // the same workload over an ideal pool
	ClosedBy                  [numEnders]int64
	Causes                    map[string]int64 // connections, by why they were not used again
}

// Grouping returns the aggregate that [All] reads, which is that of REU001.
func Grouping() rules.Grouping {
	return rules.GroupBy[*rules.UsageFact, rules.Pair, *Record](perRequest{})
}

// All returns the stats of each pair in g, a filled [Grouping], those with the
// most connections first. hold is how long an ideal pool keeps an idle
// connection.
func All(g rules.Grouper, hold time.Duration) []Stats {
	values := rules.ValuesOf[*rules.UsageFact, rules.Pair, *Record](g)
	out := make([]Stats, 0, len(values))
	for k, r := range values {
		if r.Connections > 0 {
			out = append(out, r.stats(k, hold))
		}
	}
	slices.SortFunc(out, func(a, b Stats) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), a.Client.Compare(b.Client), a.Server.Compare(b.Server))
	})
	return out
}

func (r *Record) stats(k rules.Pair, hold time.Duration) Stats {
	m := r.Model(hold)
	s := Stats{Pair: k, Host: r.single(), TLS: r.Encrypted > 0, Connections: r.Connections, Transactions: r.Transactions,
		MaxParallel: m.MaxParallel, Avoidable: int64(m.Avoidable), Setup: time.Duration(r.Setup), Slow: time.Duration(r.Slow),
		Busy: time.Duration(r.Busy), Idle: time.Duration(max(0, r.Life-r.Busy)), Observed: m.Observed, Estimated: m.Estimated,
		ClosedBy: r.ClosedBy, Causes: map[string]int64{}}
	if used := int64(m.Needed + m.Avoidable); used > 0 && m.Transactions > 0 {
		s.Reuse = max(0, 1-float64(used)/float64(m.Transactions))
	} else if m.Transactions > 0 {
		s.Reuse = 1
	}
	for c, n := range m.Causes {
		if n > 0 {
			s.Causes[Cause(c).String()] = n
		}
	}
	if m.Part && m.Transactions > 0 { // the model saw the first part: the rest is taken to be alike
		part := float64(r.Transactions) / float64(m.Transactions)
		s.Avoidable = int64(float64(s.Avoidable) * part)
		s.Observed = time.Duration(float64(s.Observed) * part)
		s.Estimated = time.Duration(float64(s.Estimated) * part)
	}
	return s
}
