package report

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// home is where the program and its documents live.
const home = "https://github.com/connlint/connlint"

// ruleURL returns where a rule is explained.
func ruleURL(r *rules.Rule) string {
	return home + "/blob/main/rules/README.md#" + strings.ToLower(r.Code) + "-" + r.Name
}

// The types below are the part of SARIF 2.1.0 that is written.

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	Artifacts   []sarifArtifact   `json:"artifacts,omitempty"`
	Results     []sarifResult     `json:"results"`
	ColumnKind  string            `json:"columnKind"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"version"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Short   sarifText       `json:"shortDescription"`
	Full    sarifText       `json:"fullDescription"`
	Help    sarifText       `json:"help"`
	HelpURI string          `json:"helpUri"`
	Default sarifDefault    `json:"defaultConfiguration"`
	Extra   sarifRuleExtras `json:"properties"`
}

type sarifDefault struct {
	Enabled bool   `json:"enabled"`
	Level   string `json:"level"`
}

type sarifRuleExtras struct {
	Tags      []string `json:"tags"`
	Precision string   `json:"precision"`
	Severity  string   `json:"problem.severity"` // as GitHub reads it
}

type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	ExitCode      int                 `json:"exitCode"`
	Tool          []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	Configuration []sarifNotification `json:"toolConfigurationNotifications,omitempty"`
}

type sarifNotification struct {
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations,omitempty"`
}

type sarifArtifact struct {
	Location sarifURI `json:"location"`
}

type sarifURI struct {
	URI   string `json:"uri"`
	Index *int   `json:"index,omitempty"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    *int               `json:"ruleIndex,omitempty"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations,omitempty"`
	Related      []sarifLocation    `json:"relatedLocations,omitempty"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Occurrences  int                `json:"occurrenceCount,omitempty"`
	Baseline     string             `json:"baselineState,omitempty"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	Extra        *sarifExtras       `json:"properties,omitempty"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification,omitempty"`
}

type sarifExtras struct {
	Connections int      `json:"connections"`
	Side        string   `json:"side,omitempty"`
	Fix         string   `json:"fix,omitempty"`
	Measured    measures `json:"measured"`
}

type sarifLocation struct {
	ID       int            `json:"id,omitempty"`
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	Message  *sarifText     `json:"message,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifURI     `json:"artifactLocation"`
	Region   *sarifRegion `json:"region,omitempty"`
}

type sarifRegion struct {
	StartLine uint64 `json:"startLine"`
}

type sarifLogical struct {
	Name      string `json:"name"`
	Qualified string `json:"fullyQualifiedName"`
	Kind      string `json:"kind"`
}

// fingerprintKey names the way fingerprints are made; another way needs
// another key.
const fingerprintKey = "connlint/v1"

func writeSARIF(w io.Writer, r *Report) error {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: "connlint", Version: r.Version, InformationURI: home, Rules: []sarifRule{}}},
		// Frames have no columns; the schema asks all the same in what they are counted.
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	index := map[*rules.Rule]int{}
	for _, rule := range r.Rules {
		index[rule] = len(index)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(rule))
	}
	artifact := map[*runner.Result]*int{}
	for i, c := range r.Captures {
		artifact[c] = &i
		run.Artifacts = append(run.Artifacts, sarifArtifact{sarifURI{URI: fileURI(c.File)}})
	}
	listed := map[*runner.Finding]bool{}
	for _, f := range r.listed() {
		listed[f] = true
	}
	for c, f := range r.every() {
		if held := f.Suppressed > 0 || r.known(f); !held && !listed[f] {
			continue
		}
		res := r.sarifResult(c, f)
		res.Locations[0].Physical.Artifact.Index = artifact[c]
		if i, ok := index[f.Rule]; ok {
			res.RuleIndex = &i
		}
		run.Results = append(run.Results, res)
	}
	for _, k := range r.Gone {
		run.Results = append(run.Results, sarifResult{
			RuleID: k.Code, Level: "none", Baseline: "absent", Message: sarifText{Text: sarifMessage("Not found again: " + known(k))},
			Fingerprints: map[string]string{fingerprintKey: k.Fingerprint},
		})
	}
	run.Invocations = []sarifInvocation{r.sarifInvocation()}
	return encode(w, sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	}, "  ")
}

func sarifRuleOf(r *rules.Rule) sarifRule {
	level := sarifLevel(r.Doc.Severity)
	severity := level
	if r.Doc.Severity == rules.Info {
		severity = "recommendation"
	}
	full := upperFirst(r.Doc.Title) + "."
	return sarifRule{
		ID: r.Code, Name: r.Name, Short: sarifText{Text: upperFirst(r.Doc.Title)},
		Full:    sarifText{Text: strings.TrimSpace(full + " " + prose(r.Doc.Harm))},
		Help:    sarifText{Text: helpText(r), Markdown: helpMarkdown(r)},
		HelpURI: ruleURL(r), Default: sarifDefault{Enabled: !r.Off, Level: level},
		Extra: sarifRuleExtras{Tags: []string{"http", "connection-reuse", catalog.FamilyOf(r.Code)}, Precision: "high", Severity: severity},
	}
}

// prose joins the lines of a rule's text.
func prose(s string) string { return strings.Join(strings.Fields(s), " ") }

func helpText(r *rules.Rule) string {
	var b strings.Builder
	_ = Explain(&b, r, Style{Width: columns}) // a strings.Builder takes all
	return b.String()
}

// helpMarkdown is a rule's document. It is ours: nothing in it is escaped.
func helpMarkdown(r *rules.Rule) string {
	var b strings.Builder
	section := func(heading, text string) {
		if text = strings.TrimSpace(text); text != "" {
			fmt.Fprintf(&b, "### %s\n\n%s\n\n", heading, indented.ReplaceAllString(text, "    $1"))
		}
	}
	fmt.Fprintf(&b, "## %s %s\n\n%s.\n\n", r.Code, r.Name, upperFirst(r.Doc.Title))
	section("On the wire", r.Doc.Wire)
	section("Why it hurts", r.Doc.Harm)
	fix := r.Doc.Fix
	if len(r.Doc.Fixes) > 0 {
		fix += "\n"
	}
	for _, f := range r.Doc.Fixes {
		fix += "\n- **" + f.Program + "**: " + prose(f.Text)
	}
	section("What to change", fix)
	section("See it in Wireshark", r.Doc.Confirm)
	section("When the rule is silent", r.Silent())
	section("References", strings.Join(r.Doc.Refs, ", "))
	return strings.TrimSpace(b.String()) + "\n"
}

// indented matches lines of a rule's document that stand as they are.
var indented = regexp.MustCompile(`(?m)^[ \t]+(\S.*)$`)

func sarifLevel(s rules.Severity) string {
	return [...]string{rules.Info: "note", rules.Warning: "warning", rules.Error: "error"}[s]
}

func (r *Report) sarifResult(c *runner.Result, f *runner.Finding) sarifResult {
	res := sarifResult{
		RuleID: f.Rule.Code, Level: sarifLevel(f.Severity), Message: sarifText{Text: sarifMessage(f.Message)},
		Fingerprints: map[string]string{fingerprintKey: f.Fingerprint}, Occurrences: f.Occurrences,
		Extra: &sarifExtras{Connections: f.Connections, Side: Text(f.Side), Fix: Text(f.Fix), Measured: f.Measured},
	}
	uri := sarifURI{URI: fileURI(c.File)}
	at := sarifLocation{Physical: &sarifPhysical{Artifact: uri, Region: &sarifRegion{max(line(f), 1)}}}
	if s := endpoint(f.Server); s != "" {
		at.Logical = append(at.Logical, sarifLogical{Name: s, Qualified: s, Kind: "resource"})
	}
	if f.Method != "" {
		route := Text(f.Method + " " + runner.Route(f.Target))
		at.Logical = append(at.Logical, sarifLogical{Name: route, Qualified: Text(host(f)) + " " + route, Kind: "resource"})
	}
	res.Locations = []sarifLocation{at}
	for i, frame := range f.Frames {
		if i == 0 {
			continue
		}
		res.Related = append(res.Related, sarifLocation{ID: i, Message: &sarifText{Text: fmt.Sprintf("frame %d", frame)},
			Physical: &sarifPhysical{Artifact: uri, Region: &sarifRegion{max(frame, 1)}}})
	}
	if r.Baselined != nil {
		res.Baseline = "new"
		if r.known(f) {
			res.Baseline = "unchanged"
		}
	}
	if f.Suppressed > 0 {
		why := ""
		if f.Suppressed <= len(r.Suppressions) {
			why = Text(r.Suppressions[f.Suppressed-1])
		}
		res.Suppressions = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: why}}
	}
	return res
}

func (r *Report) sarifInvocation() sarifInvocation {
	inv := sarifInvocation{Successful: len(r.Unread) == 0, ExitCode: r.Status}
	for _, u := range r.Unread {
		n := sarifNotification{Level: "error", Message: sarifText{Text: sarifMessage(u.Err.Error())}}
		if u.File != "" {
			n.Locations = []sarifLocation{{Physical: &sarifPhysical{Artifact: sarifURI{URI: fileURI(u.File)}}}}
		}
		inv.Tool = append(inv.Tool, n)
	}
	for _, n := range r.Notices {
		inv.Configuration = append(inv.Configuration, sarifNotification{Level: "warning", Message: sarifText{Text: sarifMessage(n)}})
	}
	return inv
}

// host names the server as clients do, or else by address.
func host(f *runner.Finding) string {
	if f.Host != "" {
		return f.Host
	}
	return endpoint(f.Server)
}

// placeholder is what a viewer would put an argument in place of.
var placeholder = regexp.MustCompile(`\{[0-9]+\}`)

// sarifMessage escapes text for a message (SARIF 2.1.0 §3.11): links and
// placeholders stand for themselves.
func sarifMessage(s string) string {
	s = Text(s)
	if strings.Contains(s, "](") {
		s = strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(s)
	}
	if placeholder.MatchString(s) {
		s = strings.NewReplacer("{", "{{", "}", "}}").Replace(s)
	}
	return s
}

// fileURI returns a path as a URI reference: relative to where the command
// runs, as services that show results resolve it.
func fileURI(path string) string {
	path = slashed(path)
	if filepath.VolumeName(path) != "" && !strings.HasPrefix(path, "/") {
		return (&url.URL{Scheme: "file", Path: "/" + path}).String()
	}
	if strings.HasPrefix(path, "/") {
		return (&url.URL{Scheme: "file", Path: path}).String()
	}
	return (&url.URL{Path: path}).String() // writes ./ before a colon in the first segment
}

// slashed returns a path with forward slashes, as all formats want it.
func slashed(path string) string { return filepath.ToSlash(filepath.Clean(path)) }
