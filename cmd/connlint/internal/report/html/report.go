// Package html writes a report to look at: one page that needs nothing else.
//
// The page works without its script and asks the network for nothing; its own
// policy forbids it. Figures are tables with bars in SVG, made here: they show
// where scripts do not run and on paper, are read out as tables, and fit any
// width with text of one size. However large a capture is, the page holds a
// bounded part of it, and says so.
package html

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"slices"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

// Bounds on a page: what is left out of it is counted in it.
const (
	MaxFindings = 200 // listed
	MaxLadders  = 24
	maxPairs    = 100     // in the table
	maxFigures  = 20      // pairs with figures
	maxCaptures = 20      // summed up one by one
	maxBytes    = 4 << 20 // of a page; above it, it is written again with less
)

// Report is what a page is about. The Results of its captures are of a run
// with [Groups].
type Report struct {
	*report.Report
	Config *rules.Config
	Extras []Extra // by capture
}

// Extra is what a page shows of a capture besides its Result.
type Extra struct {
	// Pairs hold the series; those of a Snapshot.
	Pairs []runner.PairRow
	// Ladders are by the index of the finding they are drawn for.
	Ladders map[int]*Ladder
}

// Groups returns the aggregates that a page is made of, for
// [runner.Options.Groups].
func Groups(c *rules.Config) []rules.Grouping {
	return []rules.Grouping{
		usageGroup: reuse.Grouping(),
		stallGroup: rules.GroupBy[*rules.StallFact, rules.Pair, Marks](stalling{c.NagleMinDelay}),
		raceGroup:  rules.GroupBy[*rules.UsageFact, rules.Pair, Marks](racing{}),
	}
}

// The aggregates of Groups, by index.
const (
	usageGroup = iota
	stallGroup
	raceGroup
	groups
)

// Located is a finding by its place.
type Located struct{ Capture, Finding int }

// Listed returns the findings that a page lists, most costly first. Those that
// do not stand are left out.
func (r *Report) Listed() []Located {
	var out []Located
	for c, res := range r.Captures {
		for i := range res.Findings {
			if r.Stands(&res.Findings[i]) {
				out = append(out, Located{c, i})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Located) int { return byCost(r.at(a), r.at(b)) })
	return out[:min(len(out), MaxFindings)]
}

func (r *Report) at(l Located) *runner.Finding { return &r.Captures[l.Capture].Findings[l.Finding] }

func byCost(a, b *runner.Finding) int {
	return cmp.Or(cmp.Compare(b.Cost, a.Cost), cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Occurrences, a.Occurrences))
}

//go:embed page.tmpl
var layout string

//go:embed style.css
var style string

//go:embed script.js
var script string

// page is what the template is filled from. Its texts are printable; the
// template escapes them.
type page struct {
	Version, Title        string
	Policy, Style, Script template.HTML
	Summary               []string
	Tiles                 []tile
	Findings              []finding
	MoreFindings          string
	Pairs                 []pair
	MorePairs             string
	Captures              []captureRow
	MoreCaptures          string
	Notes                 []string
}

// Write writes the page.
func Write(w io.Writer, r *Report) error {
	t, err := template.New("page").Parse(layout)
	if err != nil {
		return err
	}
	usage := make([][]reuse.Stats, len(r.Captures)) // the model behind it takes its time
	for i, c := range r.Captures {
		if len(c.Groups) == groups {
			usage[i] = reuse.All(c.Groups[usageGroup], rules.Defaults().PoolIdle)
		}
	}
	var b bytes.Buffer
	for findings, figures := MaxFindings, maxFigures; ; findings, figures = findings/2, figures/2 {
		b.Reset()
		if err := t.Execute(&b, r.page(usage, findings, figures)); err != nil {
			return err
		}
		if b.Len() <= maxBytes || findings == 0 {
			break
		}
	}
	_, err = w.Write(b.Bytes())
	return err
}

// page lists at most so many findings, and draws figures for so many pairs.
func (r *Report) page(usage [][]reuse.Stats, findings, figures int) *page {
	p := &page{Version: r.Version, Title: title(r), Summary: summary(r, usage), Tiles: tiles(r, usage)}
	p.Style = template.HTML("<style>" + style + "</style>")
	p.Script = template.HTML("<script>" + script + "</script>")
	p.Policy = template.HTML(`<meta http-equiv="Content-Security-Policy" content="` + policy() + `">`)
	p.findings(r, findings)
	p.pairs(r, usage, figures)
	p.captures(r)
	p.notes(r)
	return p
}

// policy allows the page's own style and script, by their hashes, and nothing
// else.
func policy() string {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) + "; base-uri 'none'; form-action 'none'"
}
