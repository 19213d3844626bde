package html

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

// Bounds on a timeline.
const (
	timelineConns  = 24    // connections
	timelineBefore = 4     // of them before the first one with a fault
	timelineBars   = 100   // runs of requests of one
	timelineMarks  = 16    // marks of one
	timelineWide   = 10000 // the space of paths
)

// timeline shows when connections were set up, busy, idle and closing, a row
// each.
type timeline struct {
	Caption                    string
	Quarter, Half, Three, Full string // of the axis
	Rows                       []timelineRow
	Stalls, Races, Closing     bool // are among them
}

type timelineRow struct {
	Name, Read, Note string
	X, Open          string // from the SYN to the close
	Setup            string // empty if it was not seen
	Busy             string // a path
	CloseX, Close    string // from the close to the last segment, empty without
	Marks            []timelineMark
}

type timelineMark struct {
	X, Title string
	Race     bool
}

// drawTimeline draws some connections of r, which carry what: those around the
// first with a mark or finding.
func drawTimeline(r *reuse.Record, marks []Mark, c *runner.Result, what string) *timeline {
	var all []accum.Entry[reuse.Link]
	links, _ := r.Links.All()
	for _, e := range links {
		if e.Value.Opened != 0 {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b accum.Entry[reuse.Link]) int {
		return cmp.Or(cmp.Compare(a.Value.Opened, b.Value.Opened), cmp.Compare(a.Hash, b.Hash))
	})
	rows := excerpt(all, marks, c)
	d := newDrawing(rows, c.Last)
	d.busy(r.Uses.Values())
	d.mark(marks)
	t := &d.timeline
	for i := range rows {
		d.row(i, what)
	}
	span := d.last - d.first
	t.Quarter, t.Half, t.Three, t.Full = report.Duration(span/4), report.Duration(span/2), report.Duration(span*3/4), report.Duration(span)
	if n := r.Connections; n > int64(len(rows)) {
		t.Caption = fmt.Sprintf("%s of %s, in the order in which they were opened.", rules.Count(int64(len(rows))), report.Count(n, "connection"))
	}
	return t
}

// excerpt returns the links to draw: about the first with a mark or, failing
// that, with a finding.
func excerpt(all []accum.Entry[reuse.Link], marks []Mark, c *runner.Result) []accum.Entry[reuse.Link] {
	if len(all) <= timelineConns {
		return all
	}
	told := map[uint64]bool{}
	for _, m := range marks {
		told[m.Conn] = true
	}
	if len(told) == 0 {
		for i := range c.Findings {
			told[c.Findings[i].Conn] = true
		}
	}
	from := max(0, slices.IndexFunc(all, func(e accum.Entry[reuse.Link]) bool { return told[e.Hash] })-timelineBefore)
	from = min(from, len(all)-timelineConns)
	return all[from : from+timelineConns]
}

// drawing is a timeline in the making.
type drawing struct {
	timeline
	links       []accum.Entry[reuse.Link]
	at          map[uint64]int // a connection's row
	first, last int64          // capture times
	end         int64          // of the capture
	runs        [][]busyRun
	marks       [][]timelineMark
	stalls      []int
	races       []int
}

// busyRun is requests that touch each other at this scale, in the space of
// paths.
type busyRun struct{ from, to int64 }

func newDrawing(links []accum.Entry[reuse.Link], end int64) *drawing {
	d := &drawing{links: links, at: map[uint64]int{}, first: links[0].Value.Opened, end: end, runs: make([][]busyRun, len(links)),
		marks: make([][]timelineMark, len(links)), stalls: make([]int, len(links)), races: make([]int, len(links))}
	d.last = d.first + 1
	for i := range links {
		d.at[links[i].Hash] = i
		d.last = max(d.last, d.over(&links[i].Value))
	}
	return d
}

// over returns when a connection was last heard of.
func (d *drawing) over(l *reuse.Link) int64 {
	if l.Closed == 0 {
		return d.end
	}
	return max(l.Closed, l.Over)
}

// x returns where a time stands, as a part of the whole.
func (d *drawing) x(t int64) float64 {
	return min(1, max(0, float64(t-d.first)/float64(d.last-d.first)))
}

func (d *drawing) busy(uses []reuse.Use) {
	const least = timelineWide / 500 // wide enough to be seen
	for i := range uses {
		row, ok := d.at[uses[i].Conn]
		if !ok {
			continue
		}
		run := busyRun{int64(d.x(uses[i].Start) * timelineWide), int64(d.x(uses[i].End) * timelineWide)}
		run.to = max(run.to, run.from+least)
		list := d.runs[row]
		if n := len(list); n > 0 && (run.from <= list[n-1].to+least/2 || n >= timelineBars) {
			list[n-1].to = max(list[n-1].to, run.to)
			continue
		}
		d.runs[row] = append(list, run)
	}
}

func (d *drawing) mark(marks []Mark) {
	for i := range marks {
		m := &marks[i]
		row, ok := d.at[m.Conn]
		if !ok {
			continue
		}
		d.Stalls, d.Races = d.Stalls || !m.Race, d.Races || m.Race
		if m.Race {
			d.races[row]++
		} else {
			d.stalls[row]++
		}
		if len(d.marks[row]) < timelineMarks {
			d.marks[row] = append(d.marks[row], timelineMark{X: share(100 * d.x(m.Time)), Title: m.title(), Race: m.Race})
		}
	}
}

func (d *drawing) row(i int, what string) {
	const least = 0.25 // percent that can be seen
	l := &d.links[i].Value
	wide := func(from, to int64) string { return share(max(least, 100*(d.x(to)-d.x(from)))) }
	shut := cmp.Or(l.Closed, d.end)
	out := timelineRow{Name: fmt.Sprint("frame ", d.links[i].Hash), X: share(100 * d.x(l.Opened)), Open: wide(l.Opened, shut), Marks: d.marks[i]}
	parts := []string{"open for " + report.Duration(shut-l.Opened)}
	if setup := l.Setup(); setup > 0 {
		out.Setup = wide(l.Opened, l.Opened+setup)
		parts = append(parts, "set up in "+report.Duration(setup))
	}
	parts = append(parts, "busy for "+report.Duration(l.Busy))
	if l.Over > l.Closed {
		out.CloseX, out.Close = share(100*d.x(l.Closed)), wide(l.Closed, l.Over)
		parts = append(parts, "closing for "+report.Duration(l.Over-l.Closed))
		d.Closing = true
	}
	if n := d.stalls[i]; n > 0 {
		parts = append(parts, report.Count(n, "stall"))
	}
	if n := d.races[i]; n > 0 {
		parts = append(parts, report.Count(n, "request")+" met a close")
	}
	var b strings.Builder
	for _, run := range d.runs[i] {
		fmt.Fprintf(&b, "M%d 3h%dv10h-%dz", run.from, run.to-run.from, run.to-run.from)
	}
	out.Busy = b.String()
	out.Note = report.Count(int64(l.N), what) + ", " + [...]string{reuse.StillOpen: "left open", reuse.ByClient: "client closed",
		reuse.ByServer: "server closed", reuse.ByReset: "reset"}[l.By]
	out.Read = list(parts)
	d.Rows = append(d.Rows, out)
}
