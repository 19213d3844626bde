package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// costliest is how many findings the summary ranks.
const costliest = 10

func writeText(w io.Writer, r *Report, s Style) error {
	p := newPage(s)
	if s.Statistics {
		p.statistics(r)
	} else {
		for c, f := range r.listed() {
			p.finding(c, f)
		}
		p.unlisted(r)
	}
	if !s.Quiet {
		if p.b.Len() > 0 {
			p.line()
		}
		p.summary(r)
	}
	return p.flush(w)
}

func writeConcise(w io.Writer, r *Report, s Style) error {
	p := newPage(s)
	for c, f := range r.listed() {
		p.line(p.paint(bold, place(c, f)), ": ", p.severity(f.Severity), " ", f.Rule.Code, " ", f.Rule.Name,
			": ", Text(f.Message))
	}
	p.unlisted(r)
	return p.flush(w)
}

// place returns "file:frame", or the file alone for a finding about all of it.
func place(c *runner.Result, f *runner.Finding) string {
	if n := line(f); n != 0 {
		return fmt.Sprintf("%s:%d", Text(c.File), n)
	}
	return Text(c.File)
}

func (p *page) finding(c *runner.Result, f *runner.Finding) {
	const indent = "    "
	p.line(p.paint(bold, place(c, f)), ": ", p.severity(f.Severity), " ", p.paint(bold, f.Rule.Code), " ", f.Rule.Name)
	p.wrap(indent, Text(f.Message), -1)
	if f.Occurrences > 1 {
		s := "×" + rules.Count(int64(f.Occurrences))
		if f.Connections > 0 {
			s += " on " + Count(f.Connections, "connection")
		}
		if f.Cost > 0 {
			s += ", " + Duration(f.Cost) + " in all"
		}
		p.wrap(indent, s, -1)
	}
	if f.Fix != "" {
		lead := "fix: "
		if f.Side != "" {
			lead = "fix (" + Text(f.Side) + "): "
		}
		p.wrap(indent+p.paint(green, lead[:len(lead)-1])+" ", Text(f.Fix), len(indent))
	}
	if len(f.Frames) > 0 {
		p.line(indent, p.paint(faint, filter(f.Frames))) // never wrapped: it is to be pasted
	}
}

// filter returns a display filter of Wireshark's for the frames.
func filter(frames []uint64) string {
	var b strings.Builder
	b.WriteString("frame.number in {")
	for i, n := range frames {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, n)
	}
	b.WriteByte('}')
	return b.String()
}

// unlisted says what MaxPerRule left out.
func (p *page) unlisted(r *Report) {
	if r.MaxPerRule <= 0 {
		return
	}
	more := map[string]int{}
	for _, f := range r.all() {
		more[f.Rule.Code+" "+f.Rule.Name]++
	}
	for _, rule := range slices.Sorted(maps.Keys(more)) {
		if n := more[rule] - r.MaxPerRule; n > 0 {
			p.line("… and ", rules.Count(int64(n)), " more of ", rule)
		}
	}
}

// statistics writes a table by rule.
func (p *page) statistics(r *Report) {
	type row struct {
		rule                  *rules.Rule
		severity              rules.Severity
		findings, times, cost int64
	}
	byRule := map[*rules.Rule]*row{}
	for _, f := range r.all() {
		t := byRule[f.Rule]
		if t == nil {
			t = &row{rule: f.Rule}
			byRule[f.Rule] = t
		}
		t.severity = max(t.severity, f.Severity)
		t.findings++
		t.times += int64(f.Occurrences)
		t.cost += f.Cost
	}
	if len(byRule) == 0 {
		return
	}
	rows := slices.SortedFunc(maps.Values(byRule), func(a, b *row) int {
		return cmp.Or(cmp.Compare(b.cost, a.cost), cmp.Compare(b.times, a.times), cmp.Compare(a.rule.Code, b.rule.Code))
	})
	cells := [][]string{{"findings", "times", "cost", "severity", "code", "rule"}}
	for _, t := range rows {
		cells = append(cells, []string{rules.Count(t.findings), rules.Count(t.times), cost(t.cost), p.severity(t.severity),
			p.paint(bold, t.rule.Code), t.rule.Name})
	}
	p.table("", "rrr", cells)
}

func cost(ns int64) string {
	if ns <= 0 {
		return "–"
	}
	return Duration(ns)
}

func (p *page) summary(r *Report) {
	n := r.Counts()
	found := n[rules.Error] + n[rules.Warning] + n[rules.Info]
	for _, c := range r.Captures {
		if c.Format != "" { // else it was never opened: standard error says why
			p.capture(c)
		}
	}
	if found > 1 {
		p.ranking(r, found)
	}
	if found > 0 {
		p.line(p.counts(n))
	}
	if suppressed, baselined := r.Held(); suppressed+baselined > 0 {
		p.line("besides: ", held(suppressed, baselined))
	}
	if len(r.Gone) > 0 {
		p.line("gone since the baseline:")
	}
	for _, k := range r.Gone {
		p.wrap("    ", Text(known(k)), 8)
	}
	if s := reasons(totals(r, func(c *runner.Result) map[string]uint64 { return c.Skipped })); s != "" {
		p.wrap("packets left out: ", s, 4)
	}
	p.abstained(r)
}

// capture writes one line on what a capture holds.
func (p *page) capture(c *runner.Result) {
	held := Count(c.Packets, "packet")
	if c.Packets > 1 {
		held += " over " + Duration(c.Last-c.First)
	}
	held += ", " + Count(c.TCPConnections, "TCP connection")
	for _, k := range []struct {
		n    uint64
		what string
	}{{c.TLSConnections, "TLS"}, {c.HTTP2Connections, "HTTP/2"}} {
		if k.n > 0 {
			held += ", " + rules.Count(int64(k.n)) + " of them " + k.what
		}
	}
	seen := Count(c.Requests, "request") + " and " + Count(c.Responses, "response") + " on " +
		Count(c.HTTPConnections, "HTTP/1.x connection")
	switch {
	case c.Err != nil:
		seen = "read in part: " + seen
	case len(c.Findings) > 0:
	case c.HTTPConnections > 0:
		seen = "no fault found in " + seen
	default:
		seen = "no HTTP/1.x in it, no fault found"
	}
	p.wrap(p.paint(bold, Text(c.File))+": ", seen+" ("+held+")", 4)
}

// ranking lists the findings that cost most.
func (p *page) ranking(r *Report, found int) {
	ranked := make([]located, 0, found)
	for c, f := range r.all() {
		ranked = append(ranked, located{c, f})
	}
	slices.SortStableFunc(ranked, func(a, b located) int {
		return cmp.Or(cmp.Compare(b.f.Cost, a.f.Cost), cmp.Compare(b.f.Severity, a.f.Severity), byCost(a, b))
	})
	var rows [][]string
	for _, l := range ranked[:min(costliest, len(ranked))] {
		rows = append(rows, []string{cost(l.f.Cost), p.severity(l.f.Severity), p.paint(bold, l.f.Rule.Code), l.f.Rule.Name,
			"×" + rules.Count(int64(l.f.Occurrences)), place(l.c, l.f)})
	}
	p.line()
	p.line("most costly first:")
	p.table("    ", "r---r", rows)
	if n := len(ranked) - len(rows); n > 0 {
		p.line("    … and ", rules.Count(int64(n)), " more")
	}
	p.line()
}

func (p *page) counts(n Counts) string {
	var parts []string
	for s := rules.Error; ; s-- {
		if n[s] > 0 {
			what := s.String()
			if s == rules.Info {
				what = "note"
			}
			parts = append(parts, Count(n[s], what))
		}
		if s == rules.Info {
			return strings.Join(parts, ", ")
		}
	}
}

// totals adds up what the captures count.
func totals(r *Report, of func(*runner.Result) map[string]uint64) map[string]uint64 {
	sum := map[string]uint64{}
	for _, c := range r.Captures {
		for k, n := range of(c) {
			sum[k] += n
		}
	}
	return sum
}

// reasons returns "12 not-tcp, 3 fragment", the most frequent first.
func reasons(n map[string]uint64) string {
	var parts []string
	for _, k := range slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		return cmp.Or(cmp.Compare(n[b], n[a]), cmp.Compare(a, b))
	}) {
		if n[k] > 0 {
			parts = append(parts, rules.Count(int64(n[k]))+" "+Text(k))
		}
	}
	return strings.Join(parts, ", ")
}

// abstained says how many connections which rules could not judge. Rules that
// lacked the same share a line.
func (p *page) abstained(r *Report) {
	names := map[string]bool{}
	for _, c := range r.Captures {
		for name := range c.Abstained {
			names[name] = true
		}
	}
	byReasons := map[string][]string{}
	var order []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		why := reasons(totals(r, func(c *runner.Result) map[string]uint64 { return c.Abstained[name] }))
		if why == "" {
			continue
		}
		if byReasons[why] == nil {
			order = append(order, why)
		}
		byReasons[why] = append(byReasons[why], Text(name))
	}
	if len(order) > 0 {
		p.line("connections not judged:")
	}
	for _, why := range order {
		p.wrap("    "+why+": ", strings.Join(byReasons[why], ", "), 8)
	}
}
