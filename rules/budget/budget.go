// Package budget holds traffic to limits that a configuration sets. Its rules
// are not of the catalogue: there is no fault on the wire, only more of
// something than agreed.
package budget

import (
	"fmt"
	"net/netip"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// MinReuseRatio returns the rule that for each pair of client and server at
// least this part of the requests find a connection open.
func MinReuseRatio(least float64) *rules.Rule {
	return &rules.Rule{
		Code: "BUD001", Name: "reuse-ratio-below-budget",
		Doc: rules.Doc{
			Title:    "fewer requests reused a connection than the budget asks for",
			Severity: rules.Error,
			Wire: "The reuse ratio of a client and a server is the part of their requests that were not the first on their connection. " +
				"It is below the configuration's budgets.min-reuse-ratio.",
			Fix: "reuse connections; connlint stats shows who closes them, REU001 and KA005 why",
		},
		Group: func(*rules.Config) rules.Grouping {
			return rules.GroupBy[*lifecycle.Conn, rules.Pair, usage](ratio{Least: least})
		},
	}
}

// MaxConnections returns the rule that a pair of client and server gets along
// with so many connections.
func MaxConnections(most int) *rules.Rule {
	return &rules.Rule{
		Code: "BUD002", Name: "connections-above-budget",
		Doc: rules.Doc{
			Title:    "a client opened more connections to a server than the budget allows",
			Severity: rules.Error,
			Wire: "Connections that carried a request, of one client address to one server address and port in one capture, " +
				"are more than the configuration's budgets.max-connections-per-pair.",
			Fix: "reuse connections, or raise the budget",
		},
		Group: func(*rules.Config) rules.Grouping {
			return rules.GroupBy[*lifecycle.Conn, rules.Pair, usage](connections{Most: most})
		},
	}
}

// MaxOccurrences is the rule that a budget of other rules' findings is kept.
// Nothing calls it: [Occurrences] reports for it once a capture is judged.
func MaxOccurrences() *rules.Rule {
	return &rules.Rule{
		Code: "BUD003", Name: "occurrences-above-budget",
		Doc: rules.Doc{
			Title:    "a rule found something more often than the budget allows",
			Severity: rules.Error,
			Wire:     "The occurrences of a rule's or family's findings in one capture are more than the configuration's budgets.max-occurrences.",
			Fix:      "see the findings it counts",
		},
	}
}

// Occurrences describes a budget that was overrun.
func Occurrences(rule string, n, most int, frame uint64) rules.Finding {
	f := rules.Finding{
		Severity: rules.Error, Message: fmt.Sprintf("%s occurred %s, the budget is %s", rule, count(uint64(n), "time"), rules.Count(int64(most))),
		Measured: []rules.Measure{{Name: "occurrences", Value: float64(n)}, {Name: "budget", Value: float64(most)}}, Shape: rule,
	}
	f.Frames = rules.Frames(frame)
	return f
}

func keyOf(c *lifecycle.Conn) (rules.Pair, bool) {
	return rules.PairOf(c), c.Requests > 0
}

// usage is how much a pair's connections were used.
type usage struct {
	Connections, Requests uint64
	First                 uint64 // frame that the first connection begins at
}

func (u usage) add(c *lifecycle.Conn) usage {
	return u.merge(usage{Connections: 1, Requests: uint64(c.Requests), First: c.ID})
}

func (u usage) merge(o usage) usage {
	first := u.First
	if first == 0 || o.First != 0 && o.First < first {
		first = o.First
	}
	return usage{u.Connections + o.Connections, u.Requests + o.Requests, first}
}

func (u usage) finding(k rules.Pair, message string) rules.Finding {
	return rules.Finding{
		Severity: rules.Error, Frames: rules.Frames(u.First), Conns: int(u.Connections), Side: "client",
		Subject: rules.Subject{Client: netip.AddrPortFrom(k.Client, 0), Server: k.Server}, Message: message,
	}
}

type ratio struct{ Least float64 }

func (ratio) Key(c *lifecycle.Conn) (rules.Pair, bool) { return keyOf(c) }
func (ratio) Add(u usage, c *lifecycle.Conn) usage     { return u.add(c) }
func (ratio) Merge(a, b usage) usage                   { return a.merge(b) }

// Judge is silent for pairs with one request: there was nothing to reuse.
func (r ratio) Judge(p *rules.Pass, k rules.Pair, u usage) {
	if u.Requests < 2 {
		return
	}
	got := float64(u.Requests-u.Connections) / float64(u.Requests)
	if got >= r.Least {
		return
	}
	f := u.finding(k, fmt.Sprintf("client %v → %v: %s on %s, a reuse ratio of %.2f; the budget is %.2f",
		k.Client, k.Server, count(u.Requests, "request"), count(u.Connections, "connection"), got, r.Least))
	f.Measured = []rules.Measure{{Name: "reuse_ratio", Value: got}, {Name: "budget", Value: r.Least}}
	p.Report(f)
}

type connections struct{ Most int }

func (connections) Key(c *lifecycle.Conn) (rules.Pair, bool) { return keyOf(c) }
func (connections) Add(u usage, c *lifecycle.Conn) usage     { return u.add(c) }
func (connections) Merge(a, b usage) usage                   { return a.merge(b) }

func (r connections) Judge(p *rules.Pass, k rules.Pair, u usage) {
	if u.Connections <= uint64(r.Most) {
		return
	}
	f := u.finding(k, fmt.Sprintf("client %v → %v: %s, the budget is %s",
		k.Client, k.Server, count(u.Connections, "connection"), rules.Count(int64(r.Most))))
	f.Measured = []rules.Measure{{Name: "connections", Value: float64(u.Connections)}, {Name: "budget", Value: float64(r.Most)}}
	p.Report(f)
}

// count spells n of something.
func count(n uint64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return rules.Count(int64(n)) + " " + one + "s"
}
