package report

import (
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/connlint/connlint/rules"
)

// glue is a blank at which no line is broken. Escaped text has none of its own.
const glue = "\u00a0"

// page collects text. Its writer's first error ends it.
type page struct {
	b     strings.Builder
	style Style
	width int
}

func newPage(s Style) *page {
	p := &page{style: s, width: s.Width}
	if p.width <= 0 {
		p.width = columns
	}
	p.width = max(p.width, 40)
	return p
}

func (p *page) flush(w io.Writer) error {
	_, err := io.WriteString(w, strings.ReplaceAll(p.b.String(), glue, " "))
	return err
}

func (p *page) line(parts ...string) {
	for _, s := range parts {
		p.b.WriteString(s)
	}
	p.b.WriteByte('\n')
}

// span is a time as rules spell it.
var span = regexp.MustCompile(`([0-9]) (µs|ms|s|min|h)\b`)

// wrap writes text in lines of the page's width, the first after lead and the
// others below its end, or after as many spaces as hang says if that is not
// negative. A longer word stands on a line of its own, and a number beside its
// unit.
func (p *page) wrap(lead, text string, hang int) {
	at := visible(lead)
	if hang < 0 {
		hang = at
	}
	p.b.WriteString(lead)
	fresh := true
	text = span.ReplaceAllString(text, "$1"+glue+"$2")
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }) {
		n := utf8.RuneCountInString(word)
		switch {
		case fresh:
		case at+1+n > p.width:
			p.b.WriteByte('\n')
			p.b.WriteString(strings.Repeat(" ", hang))
			at = hang
		default:
			p.b.WriteByte(' ')
			at++
		}
		p.b.WriteString(word)
		at += n
		fresh = false
	}
	p.b.WriteByte('\n')
}

// The colours of the page, by what they say.
const (
	bold   = "1"
	faint  = "2"
	red    = "1;31"
	yellow = "1;33"
	cyan   = "1;36"
	green  = "1;32"
)

func (p *page) paint(color, s string) string {
	if !p.style.Color || s == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

func (p *page) severity(s rules.Severity) string {
	switch s {
	case rules.Error:
		return p.paint(red, "error")
	case rules.Warning:
		return p.paint(yellow, "warning")
	}
	return p.paint(cyan, s.String())
}

// Count writes n with its thousands set apart, and what it counts.
func Count[N int | int64 | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return rules.Count(int64(n)) + " " + one + "s"
}

// Duration writes nanoseconds as [rules.Span] does, its blanks as no-break
// spaces.
func Duration(ns int64) string { return strings.ReplaceAll(rules.Span(ns), " ", glue) }

// table writes rows below each other in columns two spaces apart. right holds
// an "r" for each column that is set to the right. The last column is wrapped.
func (p *page) table(indent, right string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], visible(cell))
		}
	}
	for _, row := range rows {
		lead, at := indent, len(indent)
		last := len(row) - 1
		for i, cell := range row[:last] {
			pad := strings.Repeat(" ", widths[i]-visible(cell))
			if i < len(right) && right[i] == 'r' {
				lead += pad + cell + "  "
			} else {
				lead += cell + pad + "  "
			}
			at += widths[i] + 2
		}
		if at > p.width-20 { // too narrow to wrap in
			p.line(lead, row[last])
			continue
		}
		p.wrapAt(lead, at, row[last])
	}
}

// wrapAt is wrap with a lead that is at columns wide, colours left out.
func (p *page) wrapAt(lead string, at int, text string) {
	q := page{style: p.style, width: p.width - at}
	q.wrap("", text, 0)
	body := strings.TrimSuffix(q.b.String(), "\n")
	for i, l := range strings.Split(body, "\n") {
		if i > 0 {
			lead = strings.Repeat(" ", at)
		}
		p.b.WriteString(strings.TrimRight(lead+l, " "))
		p.b.WriteByte('\n')
	}
}

// visible returns how many columns s takes, without its colours.
func visible(s string) int {
	n := utf8.RuneCountInString(s)
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			return n
		}
		end := strings.IndexByte(s[i:], 'm')
		if end < 0 {
			return n
		}
		n -= end + 1
		s = s[i+end+1:]
	}
}
