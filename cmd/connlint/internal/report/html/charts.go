package html

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

// bars is a table with a bar in each row.
type bars struct {
	Caption, Of string // what the rows are
	Rows        []barRow
}

type barRow struct{ Name, Value, Class, Width string }

// of returns part of most in percent, for an attribute. What is there can be
// seen.
func of(part, most int64) string {
	if part <= 0 || most <= 0 {
		return "0"
	}
	return share(max(0.4, 100*float64(part)/float64(most)))
}

func share(percent float64) string { return strconv.FormatFloat(percent, 'f', 2, 64) + "%" }

// gain compares what was seen with what reuse would have made of it, nil if
// that makes no difference to be seen.
func gain(s *reuse.Stats) *bars {
	if s.Avoidable <= 0 || s.Observed-s.Estimated < s.Observed/100 {
		return nil
	}
	seen, would := int64(s.Observed), int64(s.Estimated)
	needed := max(s.Connections-s.Avoidable, 1)
	return &bars{
		Of: "as captured and with reuse",
		Caption: fmt.Sprintf("From the first SYN to the last byte of a response. An estimate: the same requests over a pool that opens a connection only when none is idle, %s in place of %s.",
			rules.Count(needed), report.Count(s.Connections, "connection")),
		Rows: []barRow{
			{"as captured", report.Duration(seen), "before", of(seen, seen)},
			{"with reuse", report.Duration(would), "after", of(would, seen)},
		},
	}
}

// histogram shows how many connections carried how many of what, nil without
// one that has ended.
func histogram(r *reuse.Record, what string) *bars {
	var bins [12]int64 // 0, 1, 2-3, 4-7, ...
	total := int64(0)
	links, more := r.Links.All()
	for i := range links {
		if l := &links[i].Value; l.Ended && !l.Left {
			bins[min(bits.Len64(uint64(l.N)), len(bins)-1)]++
			total++
		}
	}
	if total == 0 {
		return nil
	}
	first, last := 0, len(bins)-1
	for bins[first] == 0 {
		first++
	}
	for bins[last] == 0 {
		last--
	}
	b := &bars{Of: strings.ToUpper(what[:1]) + what[1:] + "s per connection", Caption: "How many connections carried how many " + what + "s: the more in the lower rows, the more reuse."}
	if more {
		b.Caption += fmt.Sprintf(" Of the first %s.", report.Count(total, "connection"))
	}
	most := slices.Max(bins[:])
	for k := min(first, 1); k <= last; k++ {
		if k == 0 && bins[0] == 0 {
			continue
		}
		b.Rows = append(b.Rows, barRow{spelled(k, len(bins)-1, what), report.Count(bins[k], "connection"), "busy", of(bins[k], most)})
	}
	return b
}

// spelled names a bin of powers of two.
func spelled(k, last int, what string) string {
	low, high := 0, 0
	if k > 0 {
		low, high = 1<<(k-1), 1<<k-1
	}
	switch {
	case k == last:
		return rules.Count(int64(low)) + " and more " + what + "s"
	case low == high:
		return report.Count(low, what)
	}
	return rules.Count(int64(low)) + "–" + rules.Count(int64(high)) + " " + what + "s"
}

// series is how many connections were open, idle and in TIME_WAIT.
type series struct {
	Label, Caption, Span, Half   string
	Most, MostY                  string // the greatest, and where it stands
	Idle, Open, Wait             string // paths in a space of seriesWide by seriesHigh
	OpenPeak, IdlePeak, WaitPeak string
	Limit, LimitText, LimitY     string // where it is near enough to be drawn
}

// The space of the paths.
const (
	seriesWide = 1000
	seriesHigh = 200
)

// overTime draws s. ports is how many a client has towards one server.
func overTime(s *runner.Series, ports int) *series {
	n := len(s.Open)
	if n == 0 {
		return nil
	}
	peak := func(v []int64) int64 { return slices.Max(append([]int64{0}, v...)) }
	open, idle, wait := peak(s.Open), peak(s.Idle), peak(s.TimeWait)
	most := max(open, wait, 1)
	// Far above all there is, the limit would flatten the rest.
	limit := most*5 >= int64(ports)
	top := float64(most) * 1.05
	if limit {
		top = max(top, float64(ports)*1.1)
	}
	y := func(v int64) float64 { return seriesHigh * (1 - float64(v)/top) }
	steps := func(v []int64) string {
		var b strings.Builder
		fmt.Fprintf(&b, "M0 %.1f", y(v[0]))
		for i, c := range v {
			if i > 0 && c != v[i-1] {
				fmt.Fprintf(&b, "H%.1fV%.1f", seriesWide*float64(i)/float64(n), y(c))
			}
		}
		fmt.Fprintf(&b, "H%d", seriesWide)
		return b.String()
	}
	whole := s.Width * int64(n)
	out := &series{Most: rules.Count(most), MostY: share(100 * y(most) / seriesHigh), Span: report.Duration(whole), Half: report.Duration(whole / 2),
		Idle: steps(s.Idle) + fmt.Sprintf("V%dH0z", seriesHigh), Open: steps(s.Open), Wait: steps(s.TimeWait),
		OpenPeak: rules.Count(open), IdlePeak: rules.Count(idle), WaitPeak: rules.Count(wait)}
	out.Label = fmt.Sprintf("Over %s: at most %s open, %s idle, %s in TIME_WAIT.", out.Span, out.OpenPeak, out.IdlePeak, out.WaitPeak)
	held := fmt.Sprintf("A client has %s towards one server", report.Count(int64(ports), "port"))
	if limit {
		out.Limit, out.LimitText = fmt.Sprintf("M0 %.1fH%d", y(int64(ports)), seriesWide), report.Count(int64(ports), "port")
		out.LimitY = share(100 * y(int64(ports)) / seriesHigh)
		out.Caption = held + "."
	} else {
		out.Caption = held + ", far above all that is drawn."
	}
	return out
}
