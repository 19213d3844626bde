package html

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/rules/runner"
)

// What of a connection a ladder shows: its beginning, and the segments around
// those that the finding names.
const (
	ladderHead   = 4
	ladderAround = 8
	ladderRows   = 60
)

// Figure is a drawing with its words.
type Figure struct {
	Title, Caption string
	SVG            template.HTML
}

// Where things stand in a ladder.
const (
	clientX = 190.0
	serverX = 520.0
	stepY   = 24
)

// Ladder draws the connection t for a finding with those frames, nil if no
// segment of it is known. A negative t.Number says that its number is not.
func Ladder(t *runner.Trace, frames []uint64) *Figure {
	if len(t.Rows) == 0 {
		return nil
	}
	named := map[uint64]bool{}
	for _, f := range frames {
		named[f] = true
	}
	show := shown(t.Rows, named)
	client, server := t.Conn.Client, t.Conn.Server
	d := draw(36+stepY*len(show), fmt.Sprintf("segments between client %v and server %v; the capture holds them as text", client, server))
	d.text("dim end", 78, 16, "seconds", 10)
	d.text("dim end", 140, 16, "frame", 10)
	d.text("mid", clientX, 16, "client", 10)
	d.text("mid", serverX, 16, "server", 10)
	bottom := float64(30 + stepY*len(show))
	d.line("axis", clientX, 24, clientX, bottom)
	d.line("axis", serverX, 24, serverX, bottom)
	last := int64(-1)
	for i, k := range show {
		y := float64(40 + stepY*i)
		if k < 0 {
			d.text("dim mid", (clientX+serverX)/2, y, "⋮ "+count(-k, "segment")+" left out", 40)
			continue
		}
		r := &t.Rows[k]
		if named[r.Frame] {
			d.rect("hit", 0, y-15, fullW, stepY-2, "")
		}
		d.text("end", 78, y, fmt.Sprintf("%.6f", float64(r.Time-t.Rows[0].Time)/1e9), 20)
		class := "end"
		if named[r.Frame] {
			class = "end mark"
		}
		d.text(class, 140, y, fmt.Sprint(r.Frame), 12)
		from, to, tip := clientX, serverX, -7.0
		if r.Side == http1.Server {
			from, to, tip = serverX, clientX, 7
		}
		d.line("wire", from, y+3, to, y+3)
		d.shape("head", fmt.Sprintf("M%.0f %.0fl%.0f -4v8z", to, y+3, tip), "")
		d.text("mid", (clientX+serverX)/2, y-2, label(r), 40)
		notes := remarks(r)
		if last >= 0 && r.Time-last >= int64(20*time.Millisecond) {
			notes = append([]string{"after " + duration(r.Time-last)}, notes...)
		}
		last = r.Time
		d.text("", serverX+14, y, strings.Join(notes, "; "), 56)
	}
	caption := fmt.Sprintf("Connection %d (tcp.stream eq %d): client %v, server %v. The frames of the finding are marked.", t.Number, t.Number, client, server)
	if t.Number < 0 {
		caption = fmt.Sprintf("Client %v, server %v. The frames of the finding are marked.", client, server)
	}
	return &Figure{Caption: caption, SVG: d.svg()}
}

// shown returns the rows to show by index, and -n where n are left out.
func shown(rows []runner.Row, named map[uint64]bool) []int {
	keep := make([]bool, len(rows))
	left := ladderRows
	take := func(i int) {
		if i >= 0 && i < len(rows) && !keep[i] && left > 0 {
			keep[i] = true
			left--
		}
	}
	for i := range rows {
		if named[rows[i].Frame] {
			take(i)
		}
	}
	for i := range ladderHead {
		take(i)
	}
	for away := 1; away <= ladderAround; away++ {
		for i := range rows {
			if named[rows[i].Frame] {
				take(i - away)
				take(i + away)
			}
		}
	}
	var out []int
	skipped := 0
	for i, k := range keep {
		if !k {
			skipped++
			continue
		}
		if skipped > 0 {
			out = append(out, -skipped)
			skipped = 0
		}
		out = append(out, i)
	}
	if skipped > 0 {
		out = append(out, -skipped)
	}
	return out
}

// label is what stands on a segment's arrow.
func label(r *runner.Row) string {
	var flags []string
	for _, f := range []struct {
		bit  wire.Flags
		name string
	}{{wire.SYN, "SYN"}, {wire.FIN, "FIN"}, {wire.RST, "RST"}} {
		if r.Flags.Has(f.bit) {
			flags = append(flags, f.name)
		}
	}
	switch {
	case r.Len > 0:
		flags = append(flags, fmt.Sprintf("%d:%d (%d)", r.Seq, r.Seq+int64(r.Len), r.Len))
	case r.Flags.Has(wire.ACK):
		flags = append(flags, fmt.Sprintf("ACK %d", r.Ack))
	}
	return strings.Join(flags, " ")
}

// remarks says what else there is to a segment.
func remarks(r *runner.Row) []string {
	out := append([]string(nil), r.Heads...)
	for _, k := range []struct {
		kind reassembly.Kind
		name string
	}{
		{reassembly.KeepAlive, "keep-alive probe"}, {reassembly.ZeroWindowProbe, "zero-window probe"},
		{reassembly.Retransmission, "sent again"}, {reassembly.Overlap, "partly sent again"},
		{reassembly.OutOfOrder, "out of order"}, {reassembly.OutOfWindow, "out of window, ignored"},
		{reassembly.AckedUnseen, "acknowledges bytes not captured"},
	} {
		if r.Kind.Any(k.kind) {
			out = append(out, k.name)
		}
	}
	if r.Window == 0 && !r.Flags.Has(wire.RST) {
		out = append(out, "window closed")
	}
	return out
}
