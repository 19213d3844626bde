package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/connlint/connlint/rules"
)

// maxRows bounds the table of a summary: services cut off what is longer than
// a megabyte.
const maxRows = 500

// writeMarkdown writes a summary for a page of a build or a comment.
func writeMarkdown(w io.Writer, r *Report) error {
	var b strings.Builder
	n := r.Counts()
	found := n[rules.Error] + n[rules.Warning] + n[rules.Info]
	plain := newPage(Style{})
	switch {
	case found > 0:
		fmt.Fprintf(&b, "### connlint: %s\n", plain.counts(n))
	case len(r.Unread) > 0:
		b.WriteString("### connlint: nothing found, but not all could be read\n")
	default:
		b.WriteString("### connlint: no fault found\n")
	}
	if found > 0 {
		b.WriteString("\n| severity | rule | where | what | times | cost |\n| --- | --- | --- | --- | ---: | ---: |\n")
		rows := 0
		for c, f := range r.listed() {
			if rows++; rows > maxRows {
				continue
			}
			fmt.Fprintf(&b, "| %s | [%s](%s) | %s | %s | %s | %s |\n", f.Severity, f.Rule.Code, ruleURL(f.Rule),
				cell(code(place(c, f))), cell(code(f.Message)), rules.Count(int64(f.Occurrences)), strings.ReplaceAll(cost(f.Cost), glue, " "))
		}
		if more := found - min(rows, maxRows); more > 0 {
			fmt.Fprintf(&b, "\n… and %s more\n", rules.Count(int64(more)))
		}
		r.markdownFixes(&b)
	}
	if suppressed, baselined := r.Held(); suppressed+baselined > 0 {
		fmt.Fprintf(&b, "\nBesides: %s.\n", held(suppressed, baselined))
	}
	list := func(heading string, items []string) {
		if len(items) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n**%s**\n\n", heading)
		for _, s := range items[:min(len(items), maxRows)] {
			fmt.Fprintf(&b, "- %s\n", code(s))
		}
		if more := len(items) - maxRows; more > 0 {
			fmt.Fprintf(&b, "- … and %s more\n", rules.Count(int64(more)))
		}
	}
	var gone, unread, read []string
	for _, k := range r.Gone {
		gone = append(gone, known(k))
	}
	for _, u := range r.Unread {
		unread = append(unread, u.Err.Error())
	}
	list("Gone since the baseline", gone)
	list("Not read, or not to the end", unread)
	list("Configuration", r.Notices)
	for _, c := range r.Captures {
		if c.Format != "" {
			read = append(read, fmt.Sprintf("%s: %s and %s on %s", c.File, Count(c.Requests, "request"), Count(c.Responses, "response"),
				Count(c.HTTPConnections, "HTTP/1.x connection")))
		}
	}
	list("Read", read)
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownFixes says once for each rule what to change.
func (r *Report) markdownFixes(b *strings.Builder) {
	said := map[*rules.Rule]bool{}
	for _, f := range r.listed() {
		if said[f.Rule] || f.Fix == "" {
			continue
		}
		if len(said) == 0 {
			b.WriteString("\n**What to change**\n\n")
		}
		said[f.Rule] = true
		fmt.Fprintf(b, "- [%s %s](%s): %s\n", f.Rule.Code, f.Rule.Name, ruleURL(f.Rule), code(f.Fix))
	}
}

// code returns text as a code span of Markdown: the one place where neither
// markup, HTML, links nor mentions have a meaning.
func code(s string) string {
	s = Text(s)
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", longest+1)
	if s == "" || s[0] == '`' || s[len(s)-1] == '`' || s[0] == ' ' || s[len(s)-1] == ' ' {
		s = " " + s + " "
	}
	return fence + s + fence
}

// cell escapes a code span for a table, whose cells end at a bar, and at one
// behind two backslashes too.
func cell(span string) string { return strings.ReplaceAll(span, "|", `\x7c`) }
