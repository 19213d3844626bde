package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rivo/tview"

	"github.com/connlint/connlint/rules"
)

// style is how text looks: the name of a colour and tview's letters of
// attributes. The colours are the terminal's own dark ones, which show on a
// light background too.
type style struct{ color, attr string }

var (
	plain  = style{}
	bold   = style{attr: "b"}
	faint  = style{attr: "d"}
	red    = style{"maroon", "b"}
	yellow = style{"olive", "b"}
	cyan   = style{"teal", "b"}
	green  = style{"green", "b"}
)

func severityStyle(s rules.Severity) style { return [...]style{cyan, yellow, red}[s] }

// line is a line of a document.
type line struct {
	spans  []span
	marked int // the finding that a ladder's line names first, from 1; 0 for none
}

type span struct {
	text  string
	style style
}

// parseLines takes apart text with the colours that package report writes.
func parseLines(s string) []line {
	var out []line
	for l := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		var spans []span
		now := plain
		for {
			text, rest, found := strings.Cut(l, "\x1b[")
			if text != "" {
				spans = append(spans, span{text, now})
			}
			if !found {
				break
			}
			code, rest, _ := strings.Cut(rest, "m")
			switch code {
			case "1":
				now = bold
			case "2":
				now = faint
			case "1;31":
				now = red
			case "1;33":
				now = yellow
			case "1;36":
				now = cyan
			case "1;32":
				now = green
			default:
				now = plain
			}
			l = rest
		}
		out = append(out, line{spans: spans})
	}
	return out
}

// markLines finds the lines of a ladder that carry the letter of a finding: the
// only thing in red before an arrow.
func markLines(lines []line) {
	for i := range lines {
		var at string
		for _, s := range lines[i].spans {
			if s.style == red {
				at = strings.TrimSpace(s.text)
			}
			if at == "" || !strings.Contains(s.text, "│") {
				continue
			}
			if n, err := strconv.Atoi(at); err == nil {
				lines[i].marked = n // above the 26th; of several, any of them
			} else if at[0] >= 'a' && at[0] <= 'z' {
				lines[i].marked = int(at[0]-'a') + 1
			}
			break
		}
	}
}

// fold breaks a line that is wider than w columns, at blanks where it can. What
// follows is indented, on a ladder to where the notes are.
func (l line) fold(w int) []line {
	all := ""
	for _, s := range l.spans {
		all += s.text
	}
	if width(all) <= w {
		return []line{l}
	}
	hang := len(all) - len(strings.TrimLeft(all, " ")) + 4
	if i := strings.LastIndex(all, "│  "); i >= 0 {
		hang = width(all[:i]) + 3
	}
	if hang > w-8 {
		hang = 0
	}
	out := []line{{marked: l.marked}}
	now, room := &out[0], w
	next := func() {
		out = append(out, line{spans: []span{{text: strings.Repeat(" ", hang)}}})
		now, room = &out[len(out)-1], w-hang
	}
	for _, s := range l.spans {
		for s.text != "" {
			n := width(s.text)
			if n <= room {
				now.spans = append(now.spans, s)
				room -= n
				break
			}
			head := prefix(s.text, room)
			if i := strings.LastIndexByte(head, ' '); i > 0 && strings.TrimSpace(head[:i]) != "" {
				head = head[:i]
			} else if room < w-hang && n <= w-hang {
				head = "" // all of it fits the next line
			}
			if head == "" && room == w-hang {
				head = string([]rune(s.text)[:1])
			}
			now.spans = append(now.spans, span{head, s.style})
			s.text = strings.TrimLeft(s.text[len(head):], " ")
			next()
		}
	}
	return out
}

// prefix returns as much of s as fits w columns.
func prefix(s string, w int) string {
	for i := range s {
		if width(s[:i]) > w {
			_, size := utf8.DecodeLastRuneInString(s[:i])
			return s[:i-size]
		}
	}
	if width(s) > w {
		_, size := utf8.DecodeLastRuneInString(s)
		return s[:len(s)-size]
	}
	return s
}

// width returns how many columns a text takes.
func width(s string) int {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return tview.TaggedStringWidth(tview.Escape(s))
		}
	}
	return len(s)
}

// cut shortens s to w columns.
func cut(s string, w int) string {
	if width(s) <= w {
		return s
	}
	r := []rune(s)
	r = r[:min(len(r), max(w, 0))] // no rune is narrower but the combining ones
	for len(r) > 0 && width(string(r)) > w-1 {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// cutLeft shortens s to w columns and keeps its end, as suits a path.
func cutLeft(s string, w int) string {
	if width(s) <= w {
		return s
	}
	r := []rune(s)
	for len(r) > 0 && width(string(r)) > w-1 {
		r = r[1:]
	}
	return "…" + string(r)
}

// fit writes a count in at most w columns, in thousands or millions if it must.
func fit(n int64, w int) string {
	s := rules.Count(n)
	for _, unit := range []string{"k", "M", "G"} {
		if len(s) <= w {
			break
		}
		n /= 1000
		s = rules.Count(n) + unit
	}
	return s
}

// duration writes nanoseconds in at most seven columns.
func duration(ns int64) string {
	d := time.Duration(max(ns, 0))
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 999950*time.Microsecond:
		return fmt.Sprintf("%.1fms", d.Seconds()*1e3)
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// bytesOf writes a number of bytes in at most eight columns.
func bytesOf[N int64 | uint64 | float64](n N) string {
	f := float64(n)
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if f < 999.5 {
			if unit == "B" || f >= 99.95 {
				return fmt.Sprintf("%.0f %s", f, unit)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1000
	}
	return fmt.Sprintf("%.1f TB", f)
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return rules.Count(int64(n)) + " " + one + "s"
}

// spark draws a series in w columns: the peaks where there are more values
// than columns.
func spark(values []int64, w int) string {
	if len(values) == 0 || w <= 0 {
		return ""
	}
	n := min(w, len(values))
	peak := max(slices.Max(values), 1)
	var b strings.Builder
	for i := range n {
		v := slices.Max(values[i*len(values)/n : max((i+1)*len(values)/n, i*len(values)/n+1)])
		if v <= 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min((v*8-1)/peak, 7)])
	}
	return b.String()
}
