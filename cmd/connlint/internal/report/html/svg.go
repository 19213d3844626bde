package html

import (
	"fmt"
	"html/template"
	"strings"
	"unicode/utf8"
)

// drawing is an SVG in the making. It has no style attributes: the page's
// policy forbids them, and classes follow light and dark.
type drawing struct {
	b strings.Builder
	h int
}

// draw begins a drawing of the page's width, h units high, that is read out
// as label.
func draw(h int, label string) *drawing {
	d := &drawing{h: h}
	fmt.Fprintf(&d.b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, fullW, h, escape(label))
	return d
}

func (d *drawing) svg() template.HTML {
	// All that is not a number or one of our own words went through escape.
	return template.HTML(d.b.String() + "</svg>")
}

func (d *drawing) rect(class string, x, y, w, h float64, title string) {
	fmt.Fprintf(&d.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"`, class, x, y, w, h)
	d.end("rect", title)
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&d.b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

// shape draws a path; data are commands and numbers.
func (d *drawing) shape(class, data, title string) {
	fmt.Fprintf(&d.b, `<path class="%s" d="%s"`, class, data)
	d.end("path", title)
}

func (d *drawing) end(element, title string) {
	if title == "" {
		d.b.WriteString("/>")
		return
	}
	fmt.Fprintf(&d.b, "><title>%s</title></%s>", escape(title), element)
}

// text writes s, cut to so many characters; its tip then tells all.
func (d *drawing) text(class string, x, y float64, s string, most int) {
	s = clean(s)
	fmt.Fprintf(&d.b, `<text class="%s" x="%.1f" y="%.1f">`, class, x, y)
	if utf8.RuneCountInString(s) > most {
		fmt.Fprintf(&d.b, "<title>%s</title>", template.HTMLEscapeString(clip(s, maxWords)))
		s = clip(s, most)
	}
	d.b.WriteString(template.HTMLEscapeString(s) + "</text>")
}

// escape makes words from a capture safe as text or in an attribute.
func escape(s string) string { return template.HTMLEscapeString(clip(clean(s), maxWords)) }
