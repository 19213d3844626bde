// Package reporttest holds reports to their formats: schemas, and what must
// never get out of a capture.
package reporttest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Checker validates reports.
type Checker struct {
	dir     string // testdata/schema
	schemas map[string]*jsonschema.Schema
	xmllint string // empty if it is not installed
}

// New returns a checker with the schemas of dir, the repository's
// testdata/schema.
func New(t *testing.T, dir string) *Checker {
	t.Helper()
	c := &Checker{dir: dir, schemas: map[string]*jsonschema.Schema{}}
	for format, file := range map[string]string{
		"json": "findings.schema.json", "gitlab": "gitlab.schema.json",
		"sarif": "thirdparty/sarif-schema-2.1.0.json", "rdjson": "thirdparty/rdjson.schema.json",
	} {
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		schema, err := compiler.Compile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		c.schemas[format] = schema
	}
	lines, err := jsonschema.NewCompiler().Compile(filepath.Join(dir, "findings.schema.json") + "#/properties/findings/items")
	if err != nil {
		t.Fatal(err)
	}
	c.schemas["jsonl"] = lines
	c.xmllint, _ = exec.LookPath("xmllint")
	return c
}

// XSD reports whether XML is validated, and not only parsed.
func (c *Checker) XSD() bool { return c.xmllint != "" }

// Check validates text, written in the named format, and holds it to what all
// formats share: UTF-8, with no character that acts on a terminal or turns the
// direction of writing.
func (c *Checker) Check(t *testing.T, format, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s: no UTF-8", format)
	}
	for _, r := range text {
		if r != '\n' && r != utf8.RuneError && !unicode.IsPrint(r) {
			t.Errorf("%s: %U gets out", format, r)
			break
		}
	}
	switch format {
	case "json", "gitlab", "sarif", "rdjson":
		c.checkJSON(t, format, text)
	case "jsonl":
		for line := range strings.Lines(text) {
			c.checkJSON(t, format, line)
		}
	case "concise":
		for line := range strings.Lines(text) {
			if !conciseLine.MatchString(line) {
				t.Errorf("no finding in a line: %q", line)
			}
		}
	case "junit", "checkstyle":
		c.checkXML(t, format, text)
	case "github":
		for line := range strings.Lines(text) {
			if !workflowCommand.MatchString(strings.TrimSuffix(line, "\n")) {
				t.Errorf("no single workflow command: %q", line)
			}
		}
	case "markdown":
		checkMarkdown(t, text)
	}
}

func (c *Checker) checkJSON(t *testing.T, format, text string) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Errorf("%s: %v", format, err)
		return
	}
	if err := c.schemas[format].Validate(v); err != nil {
		t.Errorf("%s: %v", format, err)
	}
	if format == "sarif" {
		checkSARIF(t, text)
	}
}

// checkSARIF looks for what code scanning needs and the schema leaves open.
func checkSARIF(t *testing.T, text string) {
	t.Helper()
	var doc struct {
		Runs []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Artifacts []struct{}
			Results   []struct {
				RuleID        string
				RuleIndex     int
				BaselineState string
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ Index int }
						Region           struct{ StartLine int }
					}
					LogicalLocations []struct{ FullyQualifiedName string }
				}
				PartialFingerprints map[string]string
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Errorf("sarif: %v", err)
		return
	}
	for _, run := range doc.Runs {
		for _, r := range run.Results {
			switch {
			case r.PartialFingerprints["connlint/v1"] == "":
				t.Errorf("sarif: %s has no fingerprint of ours", r.RuleID)
			case r.BaselineState == "absent":
			case run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID:
				t.Errorf("sarif: %s is said to be rule %d, %s", r.RuleID, r.RuleIndex, run.Tool.Driver.Rules[r.RuleIndex].ID)
			case len(r.Locations) != 1 || r.Locations[0].PhysicalLocation.Region.StartLine < 1:
				t.Errorf("sarif: %s has no line", r.RuleID)
			case r.Locations[0].PhysicalLocation.ArtifactLocation.Index >= len(run.Artifacts):
				t.Errorf("sarif: %s is in a file that is not listed", r.RuleID)
			case len(r.Locations[0].LogicalLocations) == 0 && !strings.HasPrefix(r.RuleID, "CAP"):
				t.Errorf("sarif: %s names no server", r.RuleID)
			}
		}
	}
}

var conciseLine = regexp.MustCompile(`^.+: (error|warning|info) [A-Z]{2,3}[0-9]{3} [a-z0-9-]+: .+\n$`)

var workflowCommand = regexp.MustCompile(`^::(error|warning|notice) (file=[^,:]+,)?(line=[1-9][0-9]*,)?title=[^,:]+::.+$`)

func (c *Checker) checkXML(t *testing.T, format, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", format, err)
			return
		}
		switch token.(type) {
		case xml.Comment, xml.Directive:
			t.Errorf("%s: a comment or directive: %v", format, token)
		}
	}
	if c.xmllint == "" {
		return
	}
	file := filepath.Join(t.TempDir(), "report.xml")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(c.xmllint, "--noout", "--nonet", "--schema", filepath.Join(c.dir, format+".xsd"), file).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", format, err, bytes.TrimSpace(out))
	}
}

// checkMarkdown finds what stands outside of code spans: only our own words
// and links may.
func checkMarkdown(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		rest := outsideCode(line)
		rest = ourLink.ReplaceAllString(rest, "")
		if strings.ContainsAny(rest, "<>@`\\[]()!&~_") && !strings.HasPrefix(line, "| ---") {
			t.Errorf("markup outside of code: %q in %q", rest, line)
		}
		if strings.HasPrefix(line, "| ") {
			if n := strings.Count(line, "|"); n != 7 {
				t.Errorf("%d bars in a row of the table: %q", n, line)
			}
		}
	}
}

var ourLink = regexp.MustCompile(`\[[A-Z]+[0-9]{3}[a-z0-9 -]*\]\(https://github\.com/connlint/connlint/[a-zA-Z0-9/._#-]+\)`)

// outsideCode removes code spans as CommonMark §6.1 finds them: a run of
// backticks up to the next run of the same length.
func outsideCode(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '`' {
			out.WriteByte(s[i])
			i++
			continue
		}
		n := run(s[i:])
		end := -1
		for j := i + n; j < len(s); {
			if s[j] != '`' {
				j++
				continue
			}
			m := run(s[j:])
			if m == n {
				end = j + m
				break
			}
			j += m
		}
		if end < 0 {
			out.WriteString(s[i : i+n])
			i += n
			continue
		}
		i = end
	}
	return out.String()
}

func run(s string) int { return len(s) - len(strings.TrimLeft(s, "`")) }
