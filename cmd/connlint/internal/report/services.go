package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/connlint/connlint/rules"
)

// writeGitHub writes workflow commands, which GitHub shows as annotations.
func writeGitHub(w io.Writer, r *Report) error {
	var b strings.Builder
	for c, f := range r.listed() {
		level := [...]string{rules.Info: "notice", rules.Warning: "warning", rules.Error: "error"}[f.Severity]
		fmt.Fprintf(&b, "::%s file=%s,line=%d,title=%s::%s\n", level, property(slashed(c.File)), max(line(f), 1),
			property(f.Rule.Code+" "+f.Rule.Name), workflowText(f.Message))
	}
	for _, u := range r.Unread {
		if u.File == "" {
			fmt.Fprintf(&b, "::error title=connlint::%s\n", workflowText(u.Err.Error()))
			continue
		}
		fmt.Fprintf(&b, "::error file=%s,title=connlint::%s\n", property(slashed(u.File)), workflowText(u.Err.Error()))
	}
	for _, n := range r.Notices {
		fmt.Fprintf(&b, "::warning title=connlint::%s\n", workflowText(n))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// workflowText escapes the message of a workflow command. [Text] has left no
// line ends.
func workflowText(s string) string { return strings.ReplaceAll(Text(s), "%", "%25") }

// property escapes the value of a workflow command's property.
func property(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(workflowText(s))
}

// gitlabIssue is an entry of GitLab's Code Quality report.
type gitlabIssue struct {
	Type        string         `json:"type"`
	Description string         `json:"description"`
	CheckName   string         `json:"check_name"`
	Fingerprint string         `json:"fingerprint"`
	Severity    string         `json:"severity"`
	Location    gitlabLocation `json:"location"`
}

type gitlabLocation struct {
	Path  string      `json:"path"`
	Lines gitlabLines `json:"lines"`
}

type gitlabLines struct {
	Begin uint64 `json:"begin"`
}

func writeGitLab(w io.Writer, r *Report) error {
	issues := []gitlabIssue{}
	seen := map[string]int{}
	for c, f := range r.listed() {
		// GitLab takes equal fingerprints for one issue: the same fault in
		// another capture, or another occurrence, needs its own.
		key := slashed(c.File) + "\x00" + f.Fingerprint
		seen[key]++
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, seen[key]))
		issues = append(issues, gitlabIssue{
			Type: "issue", Description: f.Rule.Code + ": " + Text(f.Message), CheckName: f.Rule.Name, Fingerprint: hex.EncodeToString(sum[:16]),
			Severity: [...]string{rules.Info: "info", rules.Warning: "minor", rules.Error: "major"}[f.Severity],
			Location: gitlabLocation{Text(slashed(c.File)), gitlabLines{max(line(f), 1)}},
		})
	}
	return encode(w, issues, "  ")
}

// The Reviewdog Diagnostic Format.

type rdResult struct {
	Source      rdSource       `json:"source"`
	Diagnostics []rdDiagnostic `json:"diagnostics"`
}

type rdSource struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

type rdDiagnostic struct {
	Message  string     `json:"message"`
	Location rdLocation `json:"location"`
	Severity string     `json:"severity"`
	Code     rdCode     `json:"code"`
}

type rdLocation struct {
	Path  string  `json:"path"`
	Range rdRange `json:"range"`
}

type rdRange struct {
	Start rdPosition `json:"start"`
}

type rdPosition struct {
	Line uint64 `json:"line"`
}

type rdCode struct {
	Value string `json:"value"`
	URL   string `json:"url"`
}

func writeRDJSON(w io.Writer, r *Report) error {
	out := rdResult{Source: rdSource{"connlint", home}, Diagnostics: []rdDiagnostic{}}
	for c, f := range r.listed() {
		out.Diagnostics = append(out.Diagnostics, rdDiagnostic{
			// Reviewdog puts it into comments, which are Markdown.
			Message: code(f.Message), Location: rdLocation{Text(slashed(c.File)), rdRange{rdPosition{max(line(f), 1)}}},
			Severity: [...]string{rules.Info: "INFO", rules.Warning: "WARNING", rules.Error: "ERROR"}[f.Severity],
			Code:     rdCode{f.Rule.Code, ruleURL(f.Rule)},
		})
	}
	return encode(w, out, "  ")
}
