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
	"strings"

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

	// Rules are those that were run, found something or not.
	Rules []*rules.Rule
	// Suppressions are the reasons that [runner.Finding.Suppressed] numbers
	// from 1.
	Suppressions []string
	// Baselined, if set, says which fingerprints were known before.
	Baselined func(fingerprint string) bool
	// Gone are findings of the baseline that were not found again.
	Gone []rules.Known
	// Failing is the lowest severity that makes the exit status 1, above
	// rules.Error if none does.
	Failing rules.Severity
	Status  int      // the exit status
	Unread  []Unread // captures that could not be read, or not to their end
	// Notices are about the configuration: suppressions that have expired or
	// that nothing was found for.
	Notices []string
}

// Unread says why a capture could not be read.
type Unread struct {
	File string // empty if it is not known which
	Err  error
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
func Formats() []string {
	return []string{"text", "concise", "json", "jsonl", "sarif", "junit", "github", "gitlab", "checkstyle", "rdjson", "markdown"}
}

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
	case "sarif":
		return writeSARIF(w, r)
	case "junit":
		return writeJUnit(w, r)
	case "github":
		return writeGitHub(w, r)
	case "gitlab":
		return writeGitLab(w, r)
	case "checkstyle":
		return writeCheckstyle(w, r)
	case "rdjson":
		return writeRDJSON(w, r)
	case "markdown":
		return writeMarkdown(w, r)
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

// Held counts the findings that are suppressed, and those of the baseline that
// are not.
func (r *Report) Held() (suppressed, baselined int) {
	for _, f := range r.every() {
		switch {
		case f.Suppressed > 0:
			suppressed++
		case r.known(f):
			baselined++
		}
	}
	return suppressed, baselined
}

// Stands reports whether a finding counts: it is neither suppressed nor in the
// baseline.
func (r *Report) Stands(f *runner.Finding) bool { return f.Suppressed == 0 && !r.known(f) }

// known reports whether a finding is one of the baseline.
func (r *Report) known(f *runner.Finding) bool {
	return r.Baselined != nil && r.Baselined(f.Fingerprint)
}

// all yields each finding that stands with its capture, in the order of the
// report: capture, first frame, code.
func (r *Report) all() iter.Seq2[*runner.Result, *runner.Finding] {
	return func(yield func(*runner.Result, *runner.Finding) bool) {
		for c, f := range r.every() {
			if r.Stands(f) && !yield(c, f) {
				return
			}
		}
	}
}

// every yields all findings, those too that are suppressed or in the baseline.
func (r *Report) every() iter.Seq2[*runner.Result, *runner.Finding] {
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

// known describes a finding of the baseline in a line.
func known(k rules.Known) string {
	s := k.Code + " " + k.Rule
	for _, part := range []string{k.Server, k.Method, k.Route} {
		if part != "" {
			s += " " + part
		}
	}
	if k.Side != "" {
		s += " (" + k.Side + ")"
	}
	return s
}

// held says what is not listed as found: "2 suppressed, 1 in the baseline".
func held(suppressed, baselined int) string {
	var parts []string
	if suppressed > 0 {
		parts = append(parts, rules.Count(int64(suppressed))+" suppressed")
	}
	if baselined > 0 {
		parts = append(parts, rules.Count(int64(baselined))+" in the baseline")
	}
	return strings.Join(parts, ", ")
}

// Fingerprints returns those of all findings, of suppressed ones too.
func (r *Report) Fingerprints() map[string]bool {
	found := map[string]bool{}
	for _, f := range r.every() {
		found[f.Fingerprint] = true
	}
	return found
}

// Baseline returns a baseline of the findings that stand. Its words are
// escaped as text is.
func (r *Report) Baseline() *rules.Baseline {
	b := &rules.Baseline{}
	for _, f := range r.all() {
		b.Known = append(b.Known, rules.Known{Fingerprint: f.Fingerprint, Code: f.Rule.Code, Rule: f.Rule.Name, Server: Text(host(f)),
			Method: Text(f.Method), Route: Text(runner.Route(f.Target)), Side: Text(f.Side)})
	}
	return b
}
