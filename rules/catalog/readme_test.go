package catalog_test

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/rules/catalog"
)

var update = flag.Bool("update", false, "write rules/README.md anew")

// TestREADME holds rules/README.md to the rules' documents.
func TestREADME(t *testing.T) {
	const file = "../README.md"
	want := readme()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("rules/README.md is not what the rules say (go test ./rules/catalog -update writes it):\n%s", d)
	}
}

// TestTable holds the table of rules in the README of the whole to the
// catalogue.
func TestTable(t *testing.T) {
	const file, begin, end = "../../README.md", "<!-- rules: written by go test ./rules/catalog -update -->\n", "<!-- end of rules -->"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	have, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table of rules", file)
	}
	var want strings.Builder
	want.WriteString("| code | name | severity | fault |\n| --- | --- | --- | --- |\n")
	for _, r := range catalog.All() {
		off := ""
		if r.Off {
			off = ", off unless selected"
		}
		fmt.Fprintf(&want, "| [%s](rules/README.md#%s-%s) | %s | %v%s | %s |\n",
			r.Code, strings.ToLower(r.Code), r.Name, r.Name, r.Doc.Severity, off, cell(r.Doc.Title))
	}
	if *update {
		have = want.String()
		if err := os.WriteFile(file, []byte(head+begin+have+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want.String(), have); d != "" {
		t.Errorf("the table in README.md is not the catalogue's (go test ./rules/catalog -update writes it):\n%s", d)
	}
}

func readme() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Rules\n")
	line("Generated from the rules' own documents by `go test ./rules/catalog -update`; `connlint explain RULE` prints the same.\n")
	line("Severity is harm: *error* for a request or response lost, doubled, cut or open to misreading, or ports that ran out;")
	line("*warning* for time or sockets wasted, or a rule broken that will lose something under other timing; *info* for what is worth knowing.")
	for _, f := range catalog.Families() {
		first := true
		for _, r := range catalog.All() {
			if catalog.FamilyOf(r.Code) != f.Prefix {
				continue
			}
			if first {
				line("\n%s:\n\n| code | name | severity | fault |\n| --- | --- | --- | --- |", f.Title)
				first = false
			}
			off := ""
			if r.Off {
				off = ", off unless selected"
			}
			line("| [%s](#%s-%s) | %s | %v%s | %s |", r.Code, strings.ToLower(r.Code), r.Name, r.Name, r.Doc.Severity, off, cell(r.Doc.Title))
		}
	}
	for _, r := range catalog.All() {
		d := &r.Doc
		line("\n## %s %s\n", r.Code, r.Name)
		line("*%v*: %s.\n", d.Severity, d.Title)
		line("**On the wire.** %s\n", d.Wire)
		line("**Why it hurts.** %s\n", d.Harm)
		line("**Fix.** %s.", upper(d.Fix))
		if len(d.Fixes) > 0 {
			line("")
			for _, f := range d.Fixes {
				line("- %s: %s", f.Program, f.Text)
			}
		}
		line("\n**In Wireshark.** %s\n", d.Confirm)
		line("**Silent when.** %s\n", r.Silent())
		line("**References.** %s.", strings.Join(d.Refs, ", "))
	}
	line("\n## One cause, one finding\n")
	line("Where two findings of a connection have one cause, the left one stands and those on the right are left out.\n")
	line("| stands | left out |\n| --- | --- |")
	order := catalog.Precedence()
	var winners []string
	for w := range order {
		winners = append(winners, w)
	}
	slices.Sort(winners)
	for _, w := range winners {
		line("| %s | %s |", w, strings.Join(order[w], ", "))
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// TestPure forbids what a rule must not use: it holds no state that needs a
// lock, reads no file and no clock, and writes no log.
func TestPure(t *testing.T) {
	fset := token.NewFileSet()
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("..", path)
		if d.IsDir() && slices.Contains([]string{"runner", "rulestest", "catalog", "testdata"}, rel) || d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || !strings.Contains(rel, string(filepath.Separator)) {
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, path, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			switch p := strings.Trim(imp.Path.Value, `"`); {
			case p == "sync", strings.HasPrefix(p, "sync/"), p == "os", strings.HasPrefix(p, "os/"), p == "log",
				strings.HasPrefix(p, "log/"), p == "math/rand", strings.HasPrefix(p, "math/rand/"), p == "unsafe", p == "net/http":
				t.Errorf("%s imports %s", rel, p)
			}
		}
		for _, clock := range []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.Tick", "time.NewTimer", "time.NewTicker"} {
			if strings.Contains(string(text), clock+"(") {
				t.Errorf("%s calls %s", rel, clock)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 12 {
		t.Errorf("looked at %d files only", files)
	}
}
