package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// JUnit, as far as Jenkins and GitLab read it: a suite for each capture, a case
// for each rule, so that what was looked for and not found shows too.

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Failure *junitTrouble `xml:"failure"`
	Error   *junitTrouble `xml:"error"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitTrouble struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

const noTime = "0.000"

func writeJUnit(w io.Writer, r *Report) error {
	listed := map[*runner.Finding]bool{}
	for _, f := range r.listed() {
		listed[f] = true
	}
	all := junitSuites{Name: "connlint", Time: noTime}
	opened := map[string]bool{}
	for _, c := range r.Captures {
		opened[c.File] = true
		all.Suites = append(all.Suites, r.junitSuite(c, listed))
	}
	for _, u := range r.Unread {
		if u.File != "" && opened[u.File] {
			continue
		}
		name := u.File
		if name == "" {
			name = "captures"
		}
		all.Suites = append(all.Suites, junitSuite{Name: Text(slashed(name)), Tests: 1, Errors: 1, Time: noTime,
			Cases: []junitCase{unreadable(name, u.Err)}})
	}
	for _, s := range all.Suites {
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
	}
	return writeXML(w, all)
}

func unreadable(file string, err error) junitCase {
	return junitCase{Name: "can be read", Class: "connlint", Time: noTime, File: Text(slashed(file)),
		Error: &junitTrouble{Message: Text(err.Error()), Type: "unreadable", Text: Text(err.Error())}}
}

func (r *Report) junitSuite(c *runner.Result, listed map[*runner.Finding]bool) junitSuite {
	s := junitSuite{Name: Text(slashed(c.File)), Time: noTime}
	if c.Packets > 0 {
		s.Timestamp = time.Unix(0, c.First).UTC().Format("2006-01-02T15:04:05")
	}
	found := map[*rules.Rule][]*runner.Finding{}
	for i := range c.Findings {
		f := &c.Findings[i]
		found[f.Rule] = append(found[f.Rule], f)
	}
	tried := r.Rules
	if c.Err != nil {
		s.Cases = append(s.Cases, unreadable(c.File, c.Err))
		s.Errors++
	}
	if c.Format == "" { // never opened: no rule has seen it
		tried = nil
	}
	for _, rule := range tried {
		k := junitCase{Name: rule.Code + " " + rule.Name, Class: "connlint." + catalog.FamilyOf(rule.Code), Time: noTime, File: s.Name}
		var failures, notes []string
		fails, first := 0, ""
		worst := rules.Info
		for _, f := range found[rule] {
			said := junitFinding(c, f)
			switch {
			case f.Suppressed > 0:
				notes = append(notes, "suppressed: "+said)
			case r.known(f):
				notes = append(notes, "in the baseline: "+said)
			case f.Severity < r.Failing:
				if listed[f] {
					notes = append(notes, said)
				}
			default:
				fails++
				worst = max(worst, f.Severity)
				if first == "" {
					first = Text(f.Message)
				}
				if listed[f] {
					failures = append(failures, said)
				}
			}
		}
		if why := reasons(c.Abstained[rule.Name]); why != "" {
			notes = append(notes, "connections not judged: "+why)
		}
		if fails > 0 {
			if fails > 1 {
				first += fmt.Sprintf(" (and %s more)", rules.Count(int64(fails-1)))
			}
			k.Failure = &junitTrouble{Message: first, Type: worst.String(), Text: strings.Join(failures, "\n")}
			s.Failures++
		}
		k.Out = strings.Join(notes, "\n")
		s.Cases = append(s.Cases, k)
	}
	s.Tests = len(s.Cases)
	return s
}

func junitFinding(c *runner.Result, f *runner.Finding) string {
	s := place(c, f) + ": " + f.Severity.String() + ": " + Text(f.Message)
	if f.Occurrences > 1 {
		s += " (×" + rules.Count(int64(f.Occurrences)) + ")"
	}
	if f.Fix != "" {
		s += "\n  fix: " + Text(f.Fix)
	}
	return s
}

type checkstyle struct {
	XMLName xml.Name         `xml:"checkstyle"`
	Version string           `xml:"version,attr"`
	Files   []checkstyleFile `xml:"file"`
}

type checkstyleFile struct {
	Name   string            `xml:"name,attr"`
	Errors []checkstyleError `xml:"error"`
}

type checkstyleError struct {
	Line     uint64 `xml:"line,attr"`
	Severity string `xml:"severity,attr"`
	Message  string `xml:"message,attr"`
	Source   string `xml:"source,attr"`
}

func writeCheckstyle(w io.Writer, r *Report) error {
	out := checkstyle{Version: "8.0"} // of the layout; readers look for a number
	index := map[string]int{}
	file := func(name string) *checkstyleFile {
		i, ok := index[name]
		if !ok {
			i = len(out.Files)
			index[name] = i
			out.Files = append(out.Files, checkstyleFile{Name: Text(slashed(name))})
		}
		return &out.Files[i]
	}
	for c, f := range r.listed() {
		x := file(c.File)
		x.Errors = append(x.Errors, checkstyleError{Line: max(line(f), 1), Severity: f.Severity.String(),
			Message: Text(f.Message), Source: "connlint." + f.Rule.Code})
	}
	for _, u := range r.Unread {
		if u.File == "" {
			continue // belongs to no file; standard error says it
		}
		x := file(u.File)
		x.Errors = append(x.Errors, checkstyleError{Line: 1, Severity: "error", Message: Text(u.Err.Error()), Source: "connlint.unreadable"})
	}
	return writeXML(w, out)
}

func writeXML(w io.Writer, v any) error {
	text, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(append([]byte(xml.Header), text...), '\n'))
	return err
}
