package html

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/reuse"
)

// maxWords bounds a text from a capture, in characters.
const maxWords = 600

// clip cuts s to so many characters.
func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	n := 0
	for i := range s {
		if n++; n == most {
			return s[:i] + "…"
		}
	}
	return s
}

// words returns what the page says of a capture: printable, and not endless.
func words(s string) string { return clip(report.Text(s), maxWords) }

// base returns a file's name, whichever way its path is written.
func base(file string) string { return words(path.Base(strings.ReplaceAll(file, `\`, "/"))) }

func duration(d time.Duration) string { return report.Duration(int64(d)) }

// percent writes a part of the whole.
func percent(part float64) string { return fmt.Sprintf("%.0f\u00a0%%", 100*part) }

func title(r *Report) string {
	if len(r.Captures) == 1 {
		return base(r.Captures[0].File)
	}
	return report.Count(len(r.Captures), "capture")
}

// severities says how many findings there are of each: "2 warnings and 1 note".
func severities(n report.Counts) string {
	var parts []string
	for s, one := range [...]string{rules.Error: "error", rules.Warning: "warning", rules.Info: "note"} {
		if n[s] > 0 {
			parts = append(parts, report.Count(n[s], one))
		}
	}
	slices.Reverse(parts)
	return list(parts)
}

// list joins parts: "a, b and c".
func list(parts []string) string {
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}

// sums adds up the pairs of all captures.
type sums struct {
	pairs, conns, requests, avoidable int64
	observed, estimated               time.Duration
}

func add(usage [][]reuse.Stats) (t sums) {
	for _, pairs := range usage {
		for i := range pairs {
			s := &pairs[i]
			t.pairs++
			t.conns += s.Connections
			t.requests += s.Transactions
			t.avoidable += s.Avoidable
			t.observed += s.Observed
			t.estimated += min(s.Estimated, s.Observed)
		}
	}
	return t
}

// summary says in words what was found, the most important first.
func summary(r *Report, usage [][]reuse.Stats) []string {
	n := r.Counts()
	out := []string{"No fault was found."}
	if listed := r.Listed(); len(listed) > 0 {
		first := r.at(listed[0])
		total := n[rules.Info] + n[rules.Warning] + n[rules.Error]
		what := words(first.Rule.Doc.Title) + " (" + first.Rule.Code + ")"
		if first.Cost > 0 {
			what += ", " + report.Duration(first.Cost) + " in all"
		}
		switch {
		case total == 1:
			out[0] = severities(n) + ": " + what + "."
		case first.Cost > 0:
			out[0] = report.Count(total, "finding") + ": " + severities(n) + ". Most costly: " + what + "."
		default:
			out[0] = report.Count(total, "finding") + ": " + severities(n) + ". The gravest: " + what + "."
		}
	}
	if t := add(usage); t.pairs > 0 {
		s := fmt.Sprintf("%s carried %s", report.Count(t.conns, "connection"), report.Count(t.requests, "request"))
		if t.pairs > 1 {
			s += " between " + report.Count(t.pairs, "pair") + " of client and server"
		}
		switch {
		case t.avoidable > 0:
			s += fmt.Sprintf(". %s of them need not have been opened", rules.Count(t.avoidable))
			// Pairs work at the same time: their times do not add up, what each
			// waits for does.
			switch saved := t.observed - t.estimated; {
			case saved <= 0:
			case t.pairs == 1:
				s += fmt.Sprintf(": had idle ones been used again, the same work would have taken %s in place of %s", duration(t.estimated), duration(t.observed))
			default:
				s += fmt.Sprintf(": had idle ones been used again, there would have been %s less to wait for, all pairs together", duration(saved))
			}
		case t.requests > 0:
			s += "; none that reuse would have saved"
		}
		out = append(out, s+".")
	}
	return out
}

// tile is one figure of the head.
type tile struct{ Name, Value, More string }

func tiles(r *Report, usage [][]reuse.Stats) []tile {
	n := r.Counts()
	out := []tile{{"findings", rules.Count(int64(n[rules.Info] + n[rules.Warning] + n[rules.Error])), severities(n)}}
	t := add(usage)
	if t.pairs == 0 {
		var packets uint64
		for _, c := range r.Captures {
			packets += c.Packets
		}
		return append(out, tile{"packets", rules.Count(int64(packets)), ""})
	}
	out = append(out, tile{"connections", rules.Count(t.conns), rules.Count(t.avoidable) + " avoidable"})
	each := ""
	if t.conns > 0 {
		each = fmt.Sprintf("%.1f a connection", float64(t.requests)/float64(t.conns))
	}
	out = append(out, tile{"requests", rules.Count(t.requests), each})
	gain := tile{"reuse would save", "nothing", ""}
	if d := t.observed - t.estimated; t.avoidable > 0 && d > 0 {
		gain.Value = duration(d)
		if gain.More = "of waiting, all pairs together"; t.pairs == 1 {
			gain.More = "of " + duration(t.observed) + ", " + percent(float64(d)/float64(t.observed))
		}
	}
	return append(out, gain)
}

// captureRow is one capture of the table.
type captureRow struct{ Name, Packets, Span, TCP, HTTP, TLS, Requests string }

func (p *page) captures(r *Report) {
	for i, c := range r.Captures {
		if i == maxCaptures {
			p.MoreCaptures = "… and " + report.Count(len(r.Captures)-i, "capture") + " more."
			break
		}
		row := captureRow{Name: base(c.File), Packets: rules.Count(int64(c.Packets)), Span: report.Duration(c.Last - c.First),
			TCP: rules.Count(int64(c.TCPConnections)), HTTP: rules.Count(int64(c.HTTPConnections)),
			TLS: rules.Count(int64(c.TLSConnections)), Requests: rules.Count(int64(c.Requests))}
		if c.Err != nil {
			row.Name += " (read in part)"
		}
		p.Captures = append(p.Captures, row)
	}
}

func (p *page) notes(r *Report) {
	for i, u := range r.Unread {
		if i == maxCaptures {
			p.Notes = append(p.Notes, "… and "+report.Count(len(r.Unread)-i, "problem")+" more.")
			break
		}
		p.Notes = append(p.Notes, "Not read, or not to its end: "+words(u.Err.Error())+".")
	}
	suppressed, baselined := r.Held()
	if suppressed > 0 {
		p.Notes = append(p.Notes, report.Count(suppressed, "finding")+" suppressed by the configuration.")
	}
	if baselined > 0 {
		p.Notes = append(p.Notes, report.Count(baselined, "finding")+" of the baseline left out.")
	}
	if n := len(r.Gone); n > 0 {
		p.Notes = append(p.Notes, report.Count(n, "finding")+" of the baseline not found again.")
	}
	for _, f := range p.Findings {
		if f.Ladder == nil && f.Filter != "" {
			p.Notes = append(p.Notes, "Ladders are drawn for the most costly findings of each rule about a connection; connlint why FILE:FRAME draws any other.")
			break
		}
	}
}
