package html

import (
	"fmt"
	"strings"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// finding is one of the page's list.
type finding struct {
	ID, Cost, Severity, Code, Name, Message, Where, Harm, Side, Fix, Filter, Refs string
	Fixes                                                                         []rules.Fix
	Ladder                                                                        *Ladder
}

func (p *page) findings(r *Report, most int) {
	total := 0
	for _, n := range r.Counts() {
		total += n
	}
	all := r.Listed()
	all = all[:min(len(all), most)]
	drawn := 0
	for n, l := range all {
		f := r.at(l)
		out := describe(f)
		out.ID = fmt.Sprintf("finding-%d", n+1)
		out.Where = where(r, l.Capture, f)
		if l.Capture < len(r.Extras) && drawn < MaxLadders {
			if out.Ladder = r.Extras[l.Capture].Ladders[l.Finding]; out.Ladder != nil {
				drawn++
			}
		}
		p.Findings = append(p.Findings, out)
	}
	if n := total - len(all); n > 0 {
		p.MoreFindings = fmt.Sprintf("… and %s more that cost less; connlint check lists them.", rules.Count(int64(n)))
	}
}

func describe(f *runner.Finding) finding {
	doc := &f.Rule.Doc
	out := finding{Severity: f.Severity.String(), Code: f.Rule.Code, Name: f.Rule.Name, Message: words(f.Message),
		Harm: doc.Harm, Side: words(f.Side), Fix: words(f.Fix), Fixes: doc.Fixes, Filter: filter(f.Frames), Refs: strings.Join(f.Refs, ", ")}
	if f.Cost > 0 {
		out.Cost = report.Duration(f.Cost)
	}
	return out
}

// where says how often a finding was met and where first.
func where(r *Report, c int, f *runner.Finding) string {
	s := "Once"
	if f.Occurrences > 1 {
		s = rules.Count(int64(f.Occurrences)) + " times"
	}
	if f.Connections > 0 {
		s += ", on " + report.Count(f.Connections, "connection")
	}
	if len(f.Frames) > 0 {
		s += ", "
		if f.Occurrences > 1 || f.Connections > 1 {
			s += "first "
		}
		s += fmt.Sprintf("in frame %d", f.Frames[0])
	}
	if len(r.Captures) > 1 {
		s += " of " + base(r.Captures[c].File)
	}
	return s
}

// maxFrames bounds the frames of a filter.
const maxFrames = 64

// filter returns a display filter of Wireshark's for the frames.
func filter(frames []uint64) string {
	if len(frames) == 0 {
		return ""
	}
	var parts []string
	for _, n := range frames[:min(len(frames), maxFrames)] {
		parts = append(parts, fmt.Sprint(n))
	}
	return "frame.number in {" + strings.Join(parts, ",") + "}"
}
