package html

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

// Bounds on a timeline.
const (
	timelineConns = 32  // connections, those that began first
	timelineBars  = 120 // bars of one
	timelineMarks = 40  // stalls of one
)

// Where the plots stand: a margin for the labels, and the rest.
const (
	plotX = 120.0
	plotW = 820.0
	fullW = 960
)

// beforeAfter compares what was seen with what reuse would have made of it.
func beforeAfter(s *reuse.Stats) Figure {
	label := fmt.Sprintf("as captured %s, with reuse %s", duration(int64(s.Observed)), duration(int64(s.Estimated)))
	d := draw(64, label)
	most := float64(max(s.Observed, s.Estimated, 1))
	for i, b := range []struct {
		class, name string
		ns          int64
	}{{"before", "as captured", int64(s.Observed)}, {"after", "with reuse", int64(s.Estimated)}} {
		y := float64(8 + 28*i)
		d.text("end", plotX-8, y+15, b.name, 20)
		w := max(1, (plotW-100)*float64(b.ns)/most)
		d.rect(b.class, plotX, y, w, 20, "")
		d.text("", plotX+w+6, y+15, duration(b.ns), 20)
	}
	used := max(s.Connections-s.Avoidable, 0)
	return Figure{Title: "Before and after", SVG: d.svg(),
		Caption: fmt.Sprintf("%s as captured; %s if idle ones had been used again, and %s less to wait for. An estimate: the same requests over a pool that opens a connection only when none is idle.",
			count(s.Connections, "connection"), rules.Count(used), duration(max(0, int64(s.Observed-s.Estimated))))}
}

// histogram shows how many connections carried how many requests.
func histogram(links *accum.BottomK[reuse.Link]) (Figure, bool) {
	var bins [12]int64 // 0, 1, 2-3, 4-7, ...
	last, total := -1, int64(0)
	for i := range links.Entries {
		l := &links.Entries[i].Value
		if !l.Ended || l.Left {
			continue
		}
		k := min(bits.Len64(uint64(l.N)), len(bins)-1)
		bins[k]++
		last = max(last, k)
		total++
	}
	if last < 0 {
		return Figure{}, false
	}
	most := slices.Max(bins[:])
	var read []string
	for k, n := range bins[:last+1] {
		if n > 0 {
			read = append(read, spelled(k, len(bins)-1)+": "+rules.Count(n))
		}
	}
	row := 22
	d := draw(12+row*(last+1), "connections by requests carried: "+strings.Join(read, ", "))
	for k, n := range bins[:last+1] {
		y := float64(6 + row*k)
		d.text("end", plotX-8, y+14, spelled(k, len(bins)-1), 20)
		w := (plotW - 90) * float64(n) / float64(most)
		if n > 0 {
			w = max(w, 1)
		}
		d.rect("busy", plotX, y, w, 17, "")
		d.text("", plotX+w+6, y+14, rules.Count(n), 20)
	}
	caption := "Connections by the number of requests that each carried. Reuse moves them down."
	if links.Full {
		caption += fmt.Sprintf(" Of the first %s.", count(total, "connection"))
	}
	return Figure{Title: "Requests per connection", SVG: d.svg(), Caption: caption}, true
}

// spelled names a bin of powers of two.
func spelled(k, last int) string {
	low, high := 0, 0
	if k > 0 {
		low, high = 1<<(k-1), 1<<k-1
	}
	switch {
	case low == high:
		return fmt.Sprint(low)
	case k == last:
		return rules.Count(int64(low)) + " and more"
	}
	return rules.Count(int64(low)) + "–" + rules.Count(int64(high))
}

// timeline shows the first connections: set-up, busy and idle, and stalls.
// end is that of the capture.
func timeline(r *reuse.Record, stalls Stalls, end int64) (Figure, bool) {
	var rows []accum.Entry[reuse.Link]
	for _, e := range r.Links.Entries {
		if e.Value.Opened != 0 && len(rows) < timelineConns {
			rows = append(rows, e)
		}
	}
	if len(rows) == 0 {
		return Figure{}, false
	}
	slices.SortStableFunc(rows, func(a, b accum.Entry[reuse.Link]) int {
		return cmp.Or(cmp.Compare(a.Value.Opened, b.Value.Opened), cmp.Compare(a.Hash, b.Hash))
	})
	at := map[uint64]int{}
	first, last := rows[0].Value.Opened, rows[0].Value.Opened
	for i, e := range rows {
		at[e.Hash] = i
		last = max(last, cmp.Or(e.Value.Closed, end))
	}
	x := func(t int64) float64 {
		return plotX + plotW*min(1, max(0, float64(t-first)/float64(max(last-first, 1))))
	}
	row := 15
	d := draw(34+row*len(rows), fmt.Sprintf("timeline of %s over %s: when each was set up, busy and idle", count(len(rows), "connection"), duration(last-first)))
	foot := float64(18 + row*len(rows))
	for k := range 5 {
		t := first + (last-first)*int64(k)/4
		class := "dim mid"
		if k == 4 {
			class = "dim end"
		}
		d.line("axis", x(t), 0, x(t), foot-10)
		d.text(class, x(t), foot+8, "+"+duration(t-first), 20)
	}
	y := func(i int) float64 { return float64(4 + row*i) }
	for i, e := range rows {
		l := &e.Value
		over := cmp.Or(l.Closed, end)
		d.text("end dim", plotX-8, y(i)+10, "frame "+fmt.Sprint(e.Hash), 16)
		d.rect("idle", x(l.Opened), y(i)+3, max(1, x(over)-x(l.Opened)), 6,
			fmt.Sprintf("connection from frame %d: open for %s, %s, busy for %s", e.Hash, duration(over-l.Opened), count(l.N, "request"), duration(l.Busy)))
		if l.Setup > 0 {
			d.rect("setup", x(l.Opened), y(i)+1, max(1.5, x(l.Opened+l.Setup)-x(l.Opened)), 10, "set-up: "+duration(l.Setup))
		}
	}
	type bar struct {
		from, to float64
		n        int
	}
	bars := make([][]bar, len(rows))
	for _, u := range r.Uses.Values() {
		i, ok := at[u.Conn]
		if !ok {
			continue
		}
		b := bar{x(u.Start), max(x(u.End), x(u.Start)+1), 1}
		// Bars that touch at this scale are one.
		if n := len(bars[i]); n > 0 && (b.from <= bars[i][n-1].to+.3 || n >= timelineBars) {
			p := &bars[i][n-1]
			p.to, p.n = max(p.to, b.to), p.n+1
		} else {
			bars[i] = append(bars[i], b)
		}
	}
	for i, list := range bars {
		for _, b := range list {
			d.rect("busy", b.from, y(i)+1, b.to-b.from, 10, count(b.n, "request"))
		}
	}
	marks := make([]int, len(rows))
	stalled := 0
	for _, s := range stalls.List {
		if i, ok := at[s.Conn]; ok && marks[i] < timelineMarks {
			marks[i]++
			stalled++
			d.shape("stall", fmt.Sprintf("M%.1f %.1fl4 -7h-8z", x(s.Time), y(i)+8), fmt.Sprintf("frame %d: waited %s for an acknowledgement", s.Frame, duration(int64(s.Delay))))
		}
	}
	caption := "Grey: open and idle. Orange: set-up. Blue: busy with requests."
	if stalled > 0 {
		caption += " Red triangles: stalls, a message that waited for a delayed acknowledgement."
	}
	if n := r.Connections; n > int64(len(rows)) {
		caption += fmt.Sprintf(" The first %d of %s.", len(rows), count(n, "connection"))
	}
	return Figure{Title: "Connections over time", SVG: d.svg(), Caption: caption}, true
}

// overTime shows how many connections were open, idle and in TIME_WAIT. ports
// is how many a client has towards one server.
func overTime(s *runner.Series, ports int) (Figure, bool) {
	n := len(s.Open)
	if n == 0 {
		return Figure{}, false
	}
	peak := func(v []int64) int64 { return slices.Max(append([]int64{0}, v...)) }
	most := max(peak(s.Open), peak(s.TimeWait), 1)
	// Far above all there is, the limit would flatten the rest.
	limit := most*5 >= int64(ports)
	top := most
	if limit {
		top = max(top, int64(ports)*11/10)
	}
	const h = 180.0
	d := draw(int(h)+34, fmt.Sprintf("over %s: at most %s open, %s idle, %s in TIME_WAIT, of %s", duration(s.Width*int64(n)), rules.Count(peak(s.Open)),
		rules.Count(peak(s.Idle)), rules.Count(peak(s.TimeWait)), count(ports, "port")))
	x := func(i int) float64 { return plotX + plotW*float64(i)/float64(n) }
	y := func(v int64) float64 { return 8 + h*(1-float64(v)/float64(top)) }
	steps := func(v []int64) string {
		var b strings.Builder
		fmt.Fprintf(&b, "M%.1f %.1f", x(0), y(v[0]))
		for i, c := range v {
			fmt.Fprintf(&b, "V%.1fH%.1f", y(c), x(i+1))
		}
		return b.String()
	}
	d.line("axis", plotX, y(0), plotX+plotW, y(0))
	d.line("axis", plotX, y(top), plotX, y(0))
	d.text("end dim", plotX-8, y(most)+4, rules.Count(most), 20)
	d.text("end dim", plotX-8, y(0)+4, "0", 20)
	d.shape("idles", fmt.Sprintf("%sV%.1fH%.1fz", steps(s.Idle), y(0), x(0)), "idle")
	d.shape("wait", steps(s.TimeWait), "in TIME_WAIT")
	d.shape("open", steps(s.Open), "open")
	if limit {
		d.line("limit", plotX, y(int64(ports)), plotX+plotW, y(int64(ports)))
		d.text("end mark", plotX+plotW-6, y(int64(ports))-4, rules.Count(int64(ports))+" ports", 30)
	}
	for k := range 3 {
		class := []string{"dim", "dim mid", "dim end"}[k]
		d.text(class, x(n*k/2), h+26, "+"+duration(s.Width*int64(n*k/2)), 20)
	}
	caption := fmt.Sprintf("Line: open, at most %s. Grey area: idle, at most %s. Dashed: in TIME_WAIT on either side, at most %s.", rules.Count(peak(s.Open)), rules.Count(peak(s.Idle)), rules.Count(peak(s.TimeWait)))
	if limit {
		caption += fmt.Sprintf(" Dotted: the %s that a client has towards one server.", count(ports, "port"))
	} else {
		caption += fmt.Sprintf(" The limit of %s towards one server lies far above.", count(ports, "port"))
	}
	return Figure{Title: "Open, idle and TIME_WAIT", SVG: d.svg(), Caption: caption}, true
}
