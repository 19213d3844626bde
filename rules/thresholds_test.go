package rules

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite generated files")

var coded = regexp.MustCompile(`^([A-Z]+[0-9]{3})(?:[, ]+[A-Z]+[0-9]{3})*: `)

// The comments of Config's fields are the documents of the settings. A comment
// that begins with a rule's code begins that rule's thresholds, up to the next
// code or empty line.
func TestThresholdDocs(t *testing.T) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("package rules\n\n// Code generated from config.go by go test ./rules -update; DO NOT EDIT.\n\n" +
		"// thresholdDoc returns the rule that a field of Config belongs to, and what it means.\n" +
		"func thresholdDoc(field string) (code, doc string) {\n\tswitch field {\n")
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Config" {
			return true
		}
		code, last := "", 0
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			line := files.Position(f.Pos()).Line
			doc := strings.TrimSpace(f.Comment.Text())
			if f.Doc != nil {
				doc = strings.TrimSpace(f.Doc.Text())
			} else if line != last+1 {
				code = ""
			}
			last = files.Position(f.End()).Line
			if m := coded.FindStringSubmatch(doc); m != nil {
				code, doc = m[1], doc[len(m[0]):]
			}
			for _, name := range f.Names {
				if doc != "" {
					fmt.Fprintf(&b, "\tcase %q:\n\t\treturn %q, %q\n", name.Name, code, strings.Join(strings.Fields(doc), " "))
				}
			}
		}
		return false
	})
	b.WriteString("\t}\n\treturn \"\", \"\"\n}\n")
	text, err := format.Source(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	const name = "thresholds_doc.go"
	if *update {
		if err := os.WriteFile(name, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(name); err != nil || !bytes.Equal(have, text) {
		t.Errorf("%s is not what config.go says; go test ./rules -update writes it (%v)", name, err)
	}
}

// Every threshold can be read and set, and its default is sound.
func TestThresholds(t *testing.T) {
	c := Defaults()
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, th := range Thresholds() {
		if seen[th.Name] {
			t.Errorf("two thresholds are named %s", th.Name)
		}
		seen[th.Name] = true
		if number(th.Get(c)) < 0 {
			t.Errorf("%s: the default is %v", th.Name, th.Get(c))
		}
		switch th.Kind {
		case DurationThreshold:
			th.Set(c, 7*time.Second)
		case CountThreshold:
			th.Set(c, 7)
		case PartThreshold:
			th.Set(c, 7.5)
		}
		if n := number(th.Get(c)); n != 7e9 && n != 7 && n != 7.5 {
			t.Errorf("%s: set to 7, it is %v", th.Name, th.Get(c))
		}
	}
	if len(seen) < 8 || !seen["nagle-min-delay"] || !seen["port-max"] {
		t.Errorf("thresholds %v", seen)
	}
	for _, wrong := range []func(*Config){
		func(c *Config) { c.NagleMinDelay = time.Hour },
		func(c *Config) { c.PortMin = 61000 },
		func(c *Config) { c.PortMax = 70000 },
		func(c *Config) { c.PortMin = 0 },
	} {
		c := Defaults()
		wrong(c)
		if c.Check() == nil {
			t.Error("a contradiction is taken")
		}
	}
}

func TestKebab(t *testing.T) {
	for in, want := range map[string]string{"TimeWait": "time-wait", "HOLMinWait": "hol-min-wait", "FullHandshakes": "full-handshakes", "PortMin": "port-min"} {
		if got := kebab(in); got != want {
			t.Errorf("kebab(%s) = %s, want %s", in, got, want)
		}
	}
}
