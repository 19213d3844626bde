// Package html writes a report to look at: one page that needs nothing else.
//
// The page works without its script and asks the network for nothing; its own
// policy forbids it. Plots are SVG made here, so that they show where scripts
// do not run, and on paper. However large a capture is, the page holds a
// bounded part of it, and says so.
package html

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

// Bounds on a page: what is left out of it is counted in it.
const (
	MaxFindings = 200 // listed
	MaxLadders  = 24
	maxPairs    = 100 // in the table
	maxFigures  = 20  // pairs with figures
	maxSummary  = 20  // captures summed up one by one
)

// Report is what a page is about.
type Report struct {
	Version  string
	Captures []Capture
	Config   *rules.Config
	Unread   []error // why captures could not be read, or not to their end
}

// Capture is one capture. Its Result is of a run with [Groups].
type Capture struct {
	*runner.Result
	// Pairs hold the series; those of a Snapshot.
	Pairs []runner.PairRow
	// Ladders are by the index of the finding they are drawn for.
	Ladders map[int]*Figure
}

// Groups returns the aggregates that a page is made of, for
// [runner.Options.Groups].
func Groups(c *rules.Config) []rules.Grouping {
	return []rules.Grouping{reuse.Grouping(), rules.GroupBy[*rules.StallFact, reuse.Pair, Stalls](stalling{c.NagleMinDelay})}
}

// Ranked returns those of the findings that a page lists, most costly first,
// as indices. Suppressed ones are left out.
func Ranked(list []runner.Finding) []int {
	var out []int
	for i := range list {
		if list[i].Suppressed == 0 {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return byCost(&list[a], &list[b]) })
	return out[:min(len(out), MaxFindings)]
}

func byCost(a, b *runner.Finding) int {
	return cmp.Or(cmp.Compare(b.Cost, a.Cost), cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Occurrences, a.Occurrences))
}

//go:embed page.tmpl
var layout string

//go:embed style.css
var style string

//go:embed script.js
var script string

// page is what the template is filled from. Texts in it are clean; the
// template escapes them.
type page struct {
	Version, Title        string
	Policy, Style, Script template.HTML
	Summary               []string
	Findings              []finding
	MoreFindings          string
	Pairs                 []pair
	MorePairs             string
	Notes                 []string
}

type finding struct {
	ID, Cost, Severity, Code, Name, Message, Where, Harm, Side, Fix, Filter, Refs string
	Ladder                                                                        *Figure
}

type pair struct {
	Name, Host, Connections, Requests, Reuse, AtOnce, Avoidable, Took, WithReuse string
	Words                                                                        []string
	Figures                                                                      []Figure
}

// Write writes the page.
func Write(w io.Writer, r *Report) error {
	t, err := template.New("page").Parse(layout)
	if err != nil {
		return err
	}
	usage := make([][]reuse.Stats, len(r.Captures)) // the model behind it takes its time
	for i := range r.Captures {
		usage[i] = r.Captures[i].stats()
	}
	p := page{Version: r.Version, Title: title(r), Summary: summary(r, usage)}
	p.Style = template.HTML("<style>" + style + "</style>")
	p.Script = template.HTML("<script>" + script + "</script>")
	p.Policy = template.HTML(`<meta http-equiv="Content-Security-Policy" content="` + policy() + `">`)
	p.findings(r)
	p.pairs(r, usage)
	p.notes(r)
	var b bytes.Buffer
	if err := t.Execute(&b, &p); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// policy allows the page's own style and script, by their hashes, and nothing
// else.
func policy() string {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) + "; img-src data:; base-uri 'none'; form-action 'none'"
}

func title(r *Report) string {
	if len(r.Captures) == 1 {
		return words(base(r.Captures[0].File))
	}
	return count(len(r.Captures), "capture")
}

// base returns a file's name, whichever way its path is written.
func base(file string) string { return path.Base(strings.ReplaceAll(file, `\`, "/")) }

// summary says in words what was found, the most important first.
func summary(r *Report, usage [][]reuse.Stats) []string {
	var all, costly []runner.Finding
	var bySeverity [rules.Error + 1]int
	var conns, requests, avoidable, pairs, saved int64
	for i, c := range r.Captures {
		for _, f := range c.Findings {
			if f.Suppressed == 0 {
				all = append(all, f)
				bySeverity[f.Severity]++
				if f.Cost > 0 {
					costly = append(costly, f)
				}
			}
		}
		for _, s := range usage[i] {
			pairs++
			conns += s.Connections
			requests += s.Transactions
			avoidable += s.Avoidable
			saved += max(0, int64(s.Observed-s.Estimated))
		}
	}
	out := []string{"No fault was found."}
	if len(all) > 0 {
		var parts []string
		for s, one := range [...]string{rules.Error: "error", rules.Warning: "warning", rules.Info: "note"} {
			if n := bySeverity[s]; n > 0 {
				parts = append([]string{count(n, one)}, parts...)
			}
		}
		out[0] = count(len(all), "finding") + ": " + strings.Join(parts, ", ") + "."
		slices.SortStableFunc(costly, func(a, b runner.Finding) int { return byCost(&a, &b) })
		if len(costly) > 0 {
			f := &costly[0]
			out[0] += fmt.Sprintf(" The most costly is %s, %s: %s.", f.Rule.Code, clean(f.Rule.Doc.Title), duration(f.Cost))
		}
	}
	if pairs > 0 {
		s := fmt.Sprintf("%s carried %s between %s of client and server.", count(conns, "connection"), count(requests, "request"), count(pairs, "pair"))
		switch {
		case avoidable > 0:
			s += fmt.Sprintf(" %s need not have been opened; with idle ones used again the same work would have ended about %s sooner.", rules.Count(avoidable), duration(saved))
		case requests > 0:
			s += " None of them could have been avoided."
		}
		out = append(out, s)
	}
	for i, c := range r.Captures {
		if i == maxSummary {
			out = append(out, "… and "+count(len(r.Captures)-i, "capture")+" more.")
			break
		}
		s := fmt.Sprintf("%s: %s over %s, %s, %s in HTTP/1.x", words(base(c.File)), count(c.Packets, "packet"), duration(c.Last-c.First),
			count(c.TCPConnections, "TCP connection"), count(c.Requests, "request"))
		if c.TLSConnections > 0 {
			s += fmt.Sprintf(", %s TLS", rules.Count(int64(c.TLSConnections)))
		}
		if c.Err != nil {
			s += "; read in part"
		}
		out = append(out, s+".")
	}
	return out
}

// stats returns the capture's pairs, as [reuse.All] does.
func (c *Capture) stats() []reuse.Stats {
	if len(c.Groups) == 0 {
		return nil
	}
	return reuse.All(c.Groups[0], rules.Defaults().PoolIdle)
}

func (p *page) findings(r *Report) {
	type located struct{ c, f int }
	var list []located
	total := 0
	for c := range r.Captures {
		for i := range r.Captures[c].Findings {
			if r.Captures[c].Findings[i].Suppressed == 0 {
				total++
			}
		}
		for _, f := range Ranked(r.Captures[c].Findings) {
			list = append(list, located{c, f})
		}
	}
	slices.SortStableFunc(list, func(a, b located) int {
		return byCost(&r.Captures[a.c].Findings[a.f], &r.Captures[b.c].Findings[b.f])
	})
	list = list[:min(len(list), MaxFindings)]
	drawn := 0
	for n, l := range list {
		c := &r.Captures[l.c]
		f := &c.Findings[l.f]
		out := finding{ID: fmt.Sprintf("finding-%d", n+1), Severity: f.Severity.String(), Code: f.Rule.Code, Name: f.Rule.Name, Message: words(f.Message),
			Harm: f.Rule.Doc.Harm, Side: words(f.Side), Fix: words(f.Fix), Filter: filter(f.Frames), Refs: strings.Join(f.Refs, ", ")}
		if f.Cost > 0 {
			out.Cost = duration(f.Cost)
		}
		out.Where = words(base(c.File))
		if len(f.Frames) > 0 {
			out.Where += fmt.Sprintf(", first in frame %d", f.Frames[0])
		}
		out.Where += ", " + count(f.Occurrences, "time")
		if f.Connections > 0 {
			out.Where += " on " + count(f.Connections, "connection")
		}
		if t := c.Ladders[l.f]; t != nil && drawn < MaxLadders {
			out.Ladder = t
			drawn++
		}
		p.Findings = append(p.Findings, out)
	}
	if n := total - len(list); n > 0 {
		p.MoreFindings = fmt.Sprintf("… and %s more that cost less; connlint check lists them.", rules.Count(int64(n)))
	}
}

// maxFrames bounds the frames of a filter.
const maxFrames = 64

// filter returns a display filter of Wireshark's for the frames.
func filter(frames []uint64) string {
	if len(frames) == 0 {
		return ""
	}
	var parts []string
	for _, n := range frames[:min(len(frames), maxFrames)] {
		parts = append(parts, fmt.Sprint(n))
	}
	return "frame.number in {" + strings.Join(parts, ",") + "}"
}

func (p *page) pairs(r *Report, usage [][]reuse.Stats) {
	hidden, figured := 0, 0
	for i := range r.Captures {
		c := &r.Captures[i]
		var records map[reuse.Pair]reuse.Record
		var stalls map[reuse.Pair]Stalls
		if len(c.Groups) == 2 {
			records = rules.ValuesOf[*rules.UsageFact, reuse.Pair, reuse.Record](c.Groups[0])
			stalls = rules.ValuesOf[*rules.StallFact, reuse.Pair, Stalls](c.Groups[1])
		}
		for _, s := range usage[i] {
			if len(p.Pairs) >= maxPairs {
				hidden++
				continue
			}
			out := pair{Name: fmt.Sprintf("%v → %v", s.Client, s.Server), Host: words(r.Config.Redact.Host(s.Host)), Connections: rules.Count(s.Connections),
				Requests: rules.Count(s.Transactions), Reuse: fmt.Sprintf("%.0f %%", 100*s.Reuse), AtOnce: rules.Count(int64(s.MaxParallel)),
				Avoidable: rules.Count(s.Avoidable), Took: duration(int64(s.Observed)), WithReuse: duration(int64(s.Estimated))}
			if len(r.Captures) > 1 {
				out.Name += " in " + words(base(c.File))
			}
			if figured < maxFigures {
				figured++
				record := records[s.Pair]
				out.describe(&s)
				out.draw(c, &s, &record, stalls[s.Pair], r.Config.Ports())
			}
			p.Pairs = append(p.Pairs, out)
		}
	}
	if hidden > 0 {
		p.MorePairs = fmt.Sprintf("… and %s more with fewer connections; connlint stats lists them.", count(hidden, "pair"))
	}
	if n := len(p.Pairs) - figured; n > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("Figures are drawn for the first %d pairs.", maxFigures))
	}
}

// describe says a pair's figures in words.
func (p *pair) describe(s *reuse.Stats) {
	text := fmt.Sprintf("%s for %s", count(s.Connections, "connection"), count(s.Transactions, "request"))
	if s.TLS {
		text += " (TLS: exchanges of data)"
	}
	text += fmt.Sprintf("; handshakes took %s and slow start %s, requests %s.", duration(int64(s.Setup)), duration(int64(s.Slow)), duration(int64(s.Busy)))
	p.Words = append(p.Words, text)
	if s.Avoidable == 0 {
		return
	}
	names := make([]string, 0, len(s.Causes))
	for name := range s.Causes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(s.Causes[b], s.Causes[a]), strings.Compare(a, b)) })
	var why []string
	for _, n := range names {
		why = append(why, rules.Count(s.Causes[n])+" "+reuse.CauseNamed(n).Text())
	}
	p.Words = append(p.Words, "Why connections were not used again: "+strings.Join(why, "; ")+".")
}

func (p *pair) draw(c *Capture, s *reuse.Stats, record *reuse.Record, stalls Stalls, ports int) {
	add := func(f Figure, ok bool) {
		if ok {
			p.Figures = append(p.Figures, f)
		}
	}
	add(beforeAfter(s), s.Observed > 0)
	add(histogram(&record.Links))
	add(timeline(record, stalls, c.Last))
	for i := range c.Pairs {
		if row := &c.Pairs[i]; row.Client == s.Client && row.Server == s.Server {
			add(overTime(&row.Series, ports))
		}
	}
}

func (p *page) notes(r *Report) {
	for i, err := range r.Unread {
		if i == maxSummary {
			p.Notes = append(p.Notes, "… and "+count(len(r.Unread)-i, "problem")+" more.")
			break
		}
		p.Notes = append(p.Notes, "Not read, or not to its end: "+words(err.Error())+".")
	}
	for _, f := range p.Findings {
		if f.Ladder == nil && f.Filter != "" {
			p.Notes = append(p.Notes, "Ladders are drawn for the most costly findings of each rule about a connection; connlint why FILE:FRAME draws any other.")
			break
		}
	}
}
