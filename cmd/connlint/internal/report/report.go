// Package report writes findings down: for people at a terminal, for other
// programs, for whatever shows lint results.
//
// What comes from packets is hostile: each format passes it through the
// escaping of its destination.
package report

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// Report is what one run found.
type Report struct {
	Version  string           // of connlint
	Captures []*runner.Result // in the order they were read
	// MaxPerRule limits how many findings of each rule are listed, the most
	// severe and costly ones; 0 lists all. Counts are never limited.
	MaxPerRule int
}

// Style says how text is laid out. Formats for programs ignore it.
type Style struct {
	Width      int  // columns, 0 for 100
	Color      bool // by ANSI escape sequences
	Quiet      bool // findings alone, no summary
	Statistics bool // a table by rule in place of the findings
}

// columns is how wide text is where the terminal's width is unknown, and how
// wide prose ever gets.
const columns = 100

// Formats returns the names that [Write] takes.
func Formats() []string { return []string{"text", "concise", "json", "jsonl"} }

// Write writes the report in the named format.
func Write(w io.Writer, format string, r *Report, s Style) error {
	switch format {
	case "text":
		return writeText(w, r, s)
	case "concise":
		return writeConcise(w, r, s)
	case "json":
		return writeJSON(w, r)
	case "jsonl":
		return writeJSONLines(w, r)
	}
	return fmt.Errorf("no format %q", format)
}

// Counts holds how many findings there are of each severity.
type Counts [rules.Error + 1]int

// Counts counts all findings, listed or not.
func (r *Report) Counts() Counts {
	var n Counts
	for _, f := range r.all() {
		n[f.Severity]++
	}
	return n
}

// all yields every finding with its capture, in the order of the report:
// capture, first frame, code.
func (r *Report) all() iter.Seq2[*runner.Result, *runner.Finding] {
	return func(yield func(*runner.Result, *runner.Finding) bool) {
		for _, c := range r.Captures {
			for i := range c.Findings {
				if !yield(c, &c.Findings[i]) {
					return
				}
			}
		}
	}
}

// listed yields the findings to list, in the same order.
func (r *Report) listed() iter.Seq2[*runner.Result, *runner.Finding] {
	if r.MaxPerRule <= 0 {
		return r.all()
	}
	var ranked []located
	for c, f := range r.all() {
		ranked = append(ranked, located{c, f})
	}
	slices.SortStableFunc(ranked, func(a, b located) int {
		return cmp.Or(cmp.Compare(b.f.Severity, a.f.Severity), byCost(a, b))
	})
	left := map[*rules.Rule]int{}
	keep := map[*runner.Finding]bool{}
	for _, l := range ranked {
		if left[l.f.Rule] < r.MaxPerRule {
			left[l.f.Rule]++
			keep[l.f] = true
		}
	}
	return func(yield func(*runner.Result, *runner.Finding) bool) {
		for c, f := range r.all() {
			if keep[f] && !yield(c, f) {
				return
			}
		}
	}
}

// located is a finding with its capture.
type located struct {
	c *runner.Result
	f *runner.Finding
}

func byCost(a, b located) int {
	return cmp.Or(cmp.Compare(b.f.Cost, a.f.Cost), cmp.Compare(b.f.Occurrences, a.f.Occurrences))
}

// line returns the frame that a finding is shown at, 0 if it has none.
func line(f *runner.Finding) uint64 {
	if len(f.Frames) == 0 {
		return 0
	}
	return f.Frames[0]
}
