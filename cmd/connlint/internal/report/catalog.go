package report

import (
	"io"
	"strings"

	"github.com/connlint/connlint/rules"
)

type jsonCatalog struct {
	Schema int        `json:"schema"`
	Rules  []jsonRule `json:"rules"`
}

type jsonRule struct {
	Code     string    `json:"code"`
	Name     string    `json:"name"`
	Severity string    `json:"severity"`
	Title    string    `json:"title"`
	Default  bool      `json:"default"` // runs unless told otherwise
	Wire     string    `json:"wire"`
	Harm     string    `json:"harm"`
	Fix      string    `json:"fix"`
	Fixes    []jsonFix `json:"fixes"`
	Confirm  string    `json:"confirm"`
	Silent   string    `json:"silent"`
	Refs     []string  `json:"refs"`
}

type jsonFix struct {
	Program string `json:"program"`
	Text    string `json:"text"`
}

// RulesJSON writes the rules with their documents as JSON.
func RulesJSON(w io.Writer, all []*rules.Rule) error {
	out := jsonCatalog{Schema: 1, Rules: []jsonRule{}}
	for _, r := range all {
		j := jsonRule{
			Code: r.Code, Name: r.Name, Severity: r.Doc.Severity.String(), Title: r.Doc.Title, Default: !r.Off,
			Wire: r.Doc.Wire, Harm: r.Doc.Harm, Fix: r.Doc.Fix, Fixes: []jsonFix{},
			Confirm: r.Doc.Confirm, Silent: r.Doc.Silent, Refs: orEmpty(r.Doc.Refs),
		}
		for _, f := range r.Doc.Fixes {
			j.Fixes = append(j.Fixes, jsonFix(f))
		}
		out.Rules = append(out.Rules, j)
	}
	return encode(w, out, "  ")
}

// Rules writes a table of the rules.
func Rules(w io.Writer, all []*rules.Rule, s Style) error {
	p := newPage(s)
	var rows [][]string
	for _, r := range all {
		title := r.Doc.Title
		if r.Off {
			title += " (off unless selected)"
		}
		rows = append(rows, []string{p.paint(bold, r.Code), r.Name, p.severity(r.Doc.Severity), title})
	}
	p.table("", "", rows)
	return p.flush(w)
}

// Explain writes a rule's whole document.
func Explain(w io.Writer, r *rules.Rule, s Style) error {
	p := newPage(s)
	p.width = min(p.width, columns)
	d := &r.Doc
	p.line(p.paint(bold, r.Code+" "+r.Name), " (", p.severity(d.Severity), ")")
	p.wrap("", upperFirst(d.Title)+".", 0)
	if r.Off {
		p.line("Off unless selected by code or name.")
	}
	p.section("On the wire", d.Wire)
	p.section("Why it hurts", d.Harm)
	p.section("What to change", d.Fix)
	for _, f := range d.Fixes {
		p.wrap("    "+f.Program+": ", f.Text, 8)
	}
	p.section("See it in Wireshark", d.Confirm)
	p.section("When the rule is silent", r.Silent())
	if len(d.Refs) > 0 {
		p.section("References", strings.Join(d.Refs, ", "))
	}
	return p.flush(w)
}

// section writes prose below a heading: paragraphs apart by empty lines, lines
// that begin with a blank as they are.
func (p *page) section(heading, text string) {
	if text == "" {
		return
	}
	p.line()
	p.line(p.paint(bold, heading))
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			p.line()
		}
		var prose []string
		flow := func() {
			if len(prose) > 0 {
				p.wrap("    ", strings.Join(prose, " "), 4)
				prose = nil
			}
		}
		for l := range strings.SplitSeq(paragraph, "\n") {
			if strings.HasPrefix(l, " ") || strings.HasPrefix(l, "\t") {
				flow()
				p.line("    ", strings.TrimRight(l, " "))
				continue
			}
			prose = append(prose, l)
		}
		flow()
	}
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
