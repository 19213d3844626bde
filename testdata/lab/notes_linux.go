package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// Evidence is a tshark query over the recording whose answer shows what the
// note claims. AtLeast and AtMost are checked: a recording that does not show
// it is not kept.
type Evidence struct {
	Says   string // what the lines below show
	Filter string // display filter
	// Fields are printed per frame; default: the usual TCP columns.
	Fields  []string
	AtLeast int
	AtMost  int      // -1: none at all; 0: no limit
	Options []string // further tshark options, e.g. -d tcp.port==8080,http
}

// wire is the column set that lets one follow sequence and ACK numbers.
var wire = []string{"frame.number", "frame.time_relative", "tcp.stream", "tcp.srcport", "tcp.dstport", "tcp.flags.str", "tcp.seq", "tcp.ack", "tcp.len"}

// httpFields is the column set for start lines.
var httpFields = []string{"frame.number", "frame.time_relative", "tcp.stream", "tcp.srcport", "tcp.dstport", "http.request.method", "http.request.uri", "http.request.version", "http.response.code", "http.content_length_header", "http.connection"}

const shownLines = 12

func (e Evidence) argv(file string) []string {
	fields := e.Fields
	if fields == nil {
		fields = wire
	}
	argv := append([]string{"tshark", "-r", file}, e.Options...)
	argv = append(argv, "-Y", e.Filter, "-T", "fields")
	for _, f := range fields {
		argv = append(argv, "-e", f)
	}
	return argv
}

// gather runs the scenario's queries and renders them for the note. The error
// names the claims that the recording does not bear out.
func gather(s *Scenario, file string) (string, error) {
	var b strings.Builder
	var wrong []string
	for _, e := range s.Evidence {
		argv := e.argv(filepath.Base(file))
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = filepath.Dir(file)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("tshark: %w: %s", err, stderr.String())
		}
		var lines []string
		for _, line := range strings.Split(stdout.String(), "\n") {
			if line != "" {
				lines = append(lines, line)
			}
		}
		fmt.Fprintf(&b, "%s (%d %s):\n\n```\n$ %s\n", e.Says, len(lines), plural(len(lines), "line"), quote(argv))
		for i, line := range lines {
			if i == shownLines {
				fmt.Fprintf(&b, "… %d more\n", len(lines)-i)
				break
			}
			b.WriteString(line + "\n")
		}
		b.WriteString("```\n\n")
		if len(lines) < e.AtLeast {
			wrong = append(wrong, fmt.Sprintf("%q: %d lines, wanted ≥ %d", e.Says, len(lines), e.AtLeast))
		}
		if e.AtMost != 0 && len(lines) > max(e.AtMost, 0) {
			wrong = append(wrong, fmt.Sprintf("%q: %d lines, wanted ≤ %d", e.Says, len(lines), max(e.AtMost, 0)))
		}
	}
	if wrong != nil {
		return b.String(), fmt.Errorf("does not show %s", strings.Join(wrong, "; "))
	}
	return b.String(), nil
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// quote writes a command so that it can be pasted into a shell.
func quote(argv []string) string {
	var words []string
	for _, a := range argv {
		if strings.ContainsAny(a, " |&<>()\"'*$=!") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// An Entry is one recording in index.json.
type Entry struct {
	File      string   `json:"file"`
	Title     string   `json:"title"`
	Family    string   `json:"family"`
	Rules     []string `json:"rules"`
	SilentFor []string `json:"silent_for"`
	Also      []string `json:"also,omitempty"`
	Programs  []string `json:"programs"`
	Vantage   string   `json:"vantage"`
	LinkType  string   `json:"link_type"`
	IPVersion int      `json:"ip_version"`
	Notes     string   `json:"notes"`
}

// writeNote writes the page beside a recording.
func writeNote(l *Lab, s *Scenario, c Capture, dir, evidence string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", s.Title, s.Story)
	fmt.Fprintf(&b, "| | |\n| --- | --- |\n")
	row := func(k, v string) { fmt.Fprintf(&b, "| %s | %s |\n", k, v) }
	row("scenario", fmt.Sprintf("`go run ./testdata/lab record %s`", s.Name))
	var programs []string
	for _, p := range s.Programs {
		programs = append(programs, catalogue[p].describe(p))
	}
	row("programs", strings.Join(programs, "; "))
	row("topology", topology(s))
	row("vantage point", fmt.Sprintf("%s: `%s`", c.vantage(), strings.Join(c.argv("FILE"), " ")))
	row("link type, IP version", fmt.Sprintf("%s, IPv%d", c.linkType(), l.V))
	offload := "off"
	if s.Offload {
		offload = "on (segments beyond the MSS, transmit checksums not filled in)"
	}
	row("offload", offload)
	row("expected", expectation(s))
	b.WriteString("\n## Evidence\n\n" + evidence)
	note := strings.ReplaceAll(b.String(), l.dir, "$LAB")
	note = strings.TrimRight(note, "\n") + "\n"
	base := filepath.Join(dir, s.file(c))
	return os.WriteFile(base[:len(base)-len(c.ext())]+".md", []byte(note), 0o644)
}

func expectation(s *Scenario) string {
	var parts []string
	switch s.Family {
	case Firing:
		parts = append(parts, strings.Join(s.Rules, ", ")+" must fire")
	case Silent:
		parts = append(parts, "silent near-miss for "+strings.Join(s.SilentFor, ", "))
	case Healthy:
		parts = append(parts, "healthy: no error, no warning")
	}
	if s.Expect != "" {
		parts = append(parts, s.Expect)
	}
	if len(s.Also) > 0 {
		parts = append(parts, "by definition also "+strings.Join(s.Also, ", "))
	}
	return strings.Join(parts, "; ")
}

func topology(s *Scenario) string {
	if s.Proxied {
		return fmt.Sprintf("client – link (%s) – proxy – link (%s) – server", s.Link.describe(), s.BackLink.describe())
	}
	return fmt.Sprintf("client – link (%s) – server", s.Link.describe())
}

func (c LinkConfig) describe() string {
	var parts []string
	if c.Delay > 0 {
		parts = append(parts, fmt.Sprintf("%v each way", c.Delay))
	}
	if c.Loss > 0 {
		parts = append(parts, fmt.Sprintf("%.1f %% loss", c.Loss*100))
	}
	if c.Reorder > 0 {
		parts = append(parts, fmt.Sprintf("%.1f %% of frames late by %v", c.Reorder*100, c.ReorderBy))
	}
	if c.ForgetAfter > 0 {
		how := "drops them"
		if c.ForgetWithReset {
			how = "answers RST"
		}
		parts = append(parts, fmt.Sprintf("forgets flows idle for %v and %s", c.ForgetAfter, how))
	}
	if parts == nil {
		return "no delay"
	}
	return strings.Join(parts, ", ")
}

// writeIndex lists every recording of the catalogue that stands in dir.
func writeIndex(dir string) error {
	entries := []Entry{}
	for _, s := range scenarios() {
		v := s.IPVersion
		if v == 0 {
			v = 4
		}
		for _, c := range s.Captures {
			if _, err := os.Stat(filepath.Join(dir, s.file(c))); err != nil {
				continue
			}
			entries = append(entries, Entry{
				File: s.file(c), Title: s.Title, Family: s.Family,
				Rules: orEmpty(s.Rules), SilentFor: orEmpty(s.SilentFor), Also: s.Also,
				Programs: orEmpty(s.Programs), Vantage: c.vantage(), LinkType: c.linkType(),
				IPVersion: v, Notes: expectation(s),
			})
		}
	}
	sort.SliceStable(entries, func(i, j int) bool { return entries[i].File < entries[j].File })
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(entries); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.json"), b.Bytes(), 0o644)
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
