package report

import (
	"testing"

	"github.com/connlint/connlint/cmd/connlint/internal/report/reporttest"
	"github.com/connlint/connlint/rules/runner"
)

// Every format follows its schema, whatever there is to report.
func TestFormatsFollowSchemas(t *testing.T) {
	check := reporttest.New(t, "../../../../testdata/schema")
	for name, r := range map[string]*Report{
		"findings": sample(),
		"hostile":  hostile(),
		"held":     withHeld(),
		"nothing":  {Version: "devel"},
		"empty":    {Version: "devel", Captures: []*runner.Result{{File: "-", Format: "pcap"}}},
	} {
		for _, format := range Formats() {
			t.Run(name+"/"+format, func(t *testing.T) {
				check.Check(t, format, render(t, format, r, Style{}))
			})
		}
	}
}

func TestXMLSchemas(t *testing.T) {
	if !reporttest.New(t, "../../../../testdata/schema").XSD() {
		t.Skip("xmllint is not installed: JUnit and Checkstyle were parsed, not validated")
	}
}

func TestCode(t *testing.T) {
	for in, want := range map[string]string{
		"":             "`  `",
		"a":            "`a`",
		"a`b":          "``a`b``",
		"`":            "`` ` ``",
		"a``` b` ":     "```` a``` b`  ````",
		"<b> @x [y](z": "`<b> @x [y](z`",
		"a\n\n# b":     "`a\\x0a\\x0a# b`",
	} {
		if got := code(in); got != want {
			t.Errorf("code(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestSARIFMessage(t *testing.T) {
	for in, want := range map[string]string{
		"client → [2001:db8::1]:80 {x}": "client → [2001:db8::1]:80 {x}",
		"[a](http://evil)":              `\[a\](http://evil)`,
		"{0} {12}":                      "{{0}} {{12}}",
	} {
		if got := sarifMessage(in); got != want {
			t.Errorf("sarifMessage(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestFileURI(t *testing.T) {
	for in, want := range map[string]string{
		"dir/./a b.pcap": "dir/a%20b.pcap", "/x/y.pcap": "file:///x/y.pcap", "-": "-", "a:b.pcap": "./a:b.pcap", "100%.pcap": "100%25.pcap",
	} {
		if got := fileURI(in); got != want {
			t.Errorf("fileURI(%q) = %s, want %s", in, got, want)
		}
	}
}
