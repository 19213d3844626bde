package html

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

// unfolded is how many pairs have their figures open at first.
const unfolded = 3

// pair is a client and a server.
type pair struct {
	Name, Host, Connections, Requests, Reuse, AtOnce, Avoidable, Took, WithReuse string
	Words                                                                        []string
	Open, Figures                                                                bool
	Gain, Histogram                                                              *bars
	Timeline                                                                     *timeline
	Series                                                                       *series
}

func (p *page) pairs(r *Report, usage [][]reuse.Stats, figures int) {
	hidden, figured := 0, 0
	for i, c := range r.Captures {
		for k := range usage[i] {
			s := &usage[i][k]
			if len(p.Pairs) >= maxPairs {
				hidden++
				continue
			}
			out := pair{Name: fmt.Sprintf("%v → %v", s.Client, s.Server), Host: words(r.Config.Redact.Host(s.Host)), Connections: rules.Count(s.Connections),
				Requests: rules.Count(s.Transactions), Reuse: percent(s.Reuse), AtOnce: rules.Count(int64(s.MaxParallel)),
				Avoidable: rules.Count(s.Avoidable), Took: duration(s.Observed), WithReuse: duration(s.Estimated)}
			if out.Host == s.Server.String() || out.Host == s.Server.Addr().String() {
				out.Host = ""
			}
			if len(r.Captures) > 1 {
				out.Name += " in " + base(c.File)
			}
			if figured < figures {
				out.Open = figured < unfolded
				figured++
				out.Words = says(s)
				var rows []runner.PairRow
				if i < len(r.Extras) {
					rows = r.Extras[i].Pairs
				}
				out.draw(c, rows, s, r.Config.Ports())
			}
			p.Pairs = append(p.Pairs, out)
		}
	}
	if hidden > 0 {
		p.MorePairs = fmt.Sprintf("… and %s more with fewer connections; connlint stats lists them.", report.Count(hidden, "pair"))
	}
	if len(p.Pairs) > figured {
		p.Notes = append(p.Notes, fmt.Sprintf("Figures are drawn for the first %s.", report.Count(figured, "pair")))
	}
}

// uses names what the pair's connections carry.
func uses(s *reuse.Stats) string {
	if s.TLS {
		return "exchange" // of encrypted data
	}
	return "request"
}

// says tells a pair's figures in words.
func says(s *reuse.Stats) []string {
	what := uses(s)
	text := fmt.Sprintf("%s for %s", report.Count(s.Connections, "connection"), report.Count(s.Transactions, what))
	var spent []string
	for _, x := range []struct {
		name string
		ns   int64
	}{{"handshakes took", int64(s.Setup)}, {"slow start", int64(s.Slow)}, {what + "s", int64(s.Busy)}} {
		if x.ns > 0 {
			spent = append(spent, x.name+" "+report.Duration(x.ns))
		}
	}
	if len(spent) > 0 {
		text += "; " + list(spent)
	}
	out := []string{text + "."}
	if s.Avoidable == 0 {
		return out
	}
	if gain(s) == nil {
		out[0] += fmt.Sprintf(" With reuse %s would do; the time that it all took would hardly change.", report.Count(max(s.Connections-s.Avoidable, 1), "connection"))
	}
	names := make([]string, 0, len(s.Causes))
	for name := range s.Causes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(s.Causes[b], s.Causes[a]), strings.Compare(a, b)) })
	var why []string
	for _, n := range names {
		why = append(why, rules.Count(s.Causes[n])+" × "+reuse.CauseNamed(n).Text())
	}
	return append(out, "Why connections were not used again: "+strings.Join(why, "; ")+".")
}

// draw draws a pair's figures. rows are those of the capture.
func (p *pair) draw(c *runner.Result, rows []runner.PairRow, s *reuse.Stats, ports int) {
	record := rules.ValueOf[*rules.UsageFact, rules.Pair, *reuse.Record](c.Groups[usageGroup], s.Pair)
	stalls := rules.ValueOf[*rules.StallFact, rules.Pair, Marks](c.Groups[stallGroup], s.Pair)
	races := rules.ValueOf[*rules.UsageFact, rules.Pair, Marks](c.Groups[raceGroup], s.Pair)
	p.Gain = gain(s)
	p.Histogram = histogram(record, uses(s))
	p.Timeline = drawTimeline(record, append(slices.Clone(stalls.List), races.List...), c, uses(s))
	for i := range rows {
		if rows[i].Client == s.Client && rows[i].Server == s.Server {
			p.Series = overTime(&rows[i].Series, ports)
		}
	}
	p.Figures = p.Gain != nil || p.Histogram != nil || p.Timeline != nil || p.Series != nil
}
