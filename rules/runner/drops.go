package runner

import (
	"slices"

	"github.com/connlint/connlint/rules"
)

// Findings of absence are held against the packets that the capture is known
// to have dropped: each connection may owe its finding to one of them.

// dropsReason is why connections were not judged, beside the kinds of missing
// evidence.
const dropsReason = "dropped-packets"

// doubt leaves out of a result what the dropped packets would explain.
func (res *Result) doubt(dropped uint64) {
	if dropped == 0 {
		return
	}
	about := func(f *Finding) uint64 { return uint64(max(f.Connections, f.Occurrences)) }
	type group struct {
		code, key string
	}
	total := map[group]uint64{} // there may be several of a group
	for i := range res.Findings {
		f := &res.Findings[i]
		total[group{f.Rule.Code, f.Fingerprint}] += about(f)
	}
	res.Findings = slices.DeleteFunc(res.Findings, func(f Finding) bool {
		if !f.Rule.Absence || total[group{f.Rule.Code, f.Fingerprint}] > dropped {
			return false
		}
		if res.Abstained[f.Rule.Name] == nil {
			res.Abstained[f.Rule.Name] = map[string]uint64{}
		}
		res.Abstained[f.Rule.Name][dropsReason] += uint64(f.Connections)
		return true
	})
}

// doubts counts, for a stream, what dropped packets would explain.
type doubts struct {
	rules []*rules.Rule
	conns map[findingKey]uint64
}

// stands returns those of a list that the packets dropped so far do not
// explain.
func (d *doubts) stands(list []*found, dropped uint64) []*found {
	if dropped == 0 {
		return list
	}
	return slices.DeleteFunc(list, func(g *found) bool {
		if !d.rules[g.rule].Absence {
			return false
		}
		k := findingKey{g.rule, g.key, g.suppressed}
		n, known := d.conns[k]
		if n += uint64(max(g.n, g.conns)); known || len(d.conns) < streamGroups {
			d.conns[k] = n
		}
		return n <= dropped
	})
}
