package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/rules/runner"
)

// How a ladder is drawn.
const (
	foldRun = 6                      // segments alike in a row before those between are folded
	idleGap = 500 * time.Millisecond // longest wait drawn as a mere difference
)

// Ladder draws a connection segment by segment: the client's to the right, the
// server's to the left. around, if not 0, is the frame that it is drawn for:
// long stretches far from it are left out.
func Ladder(w io.Writer, t *runner.Trace, around uint64, s Style) error {
	p := newPage(s)
	c := &t.Conn
	name := fmt.Sprintf("connection %d", t.Number)
	if t.Number < 0 {
		name = fmt.Sprintf("connection of frame %d", c.ID)
	}
	p.wrap("", fmt.Sprintf("%s, %s: %s → %s, %s", Text(t.Result.File), name, endpoint(c.Client), endpoint(c.Server), speaks(c)), 4)
	p.wrap("", legs(c), 4)
	rows := fold(t, around)
	l := p.rungs(t, rows)
	if len(t.Rows) > 0 {
		p.line()
		since := fmt.Sprintf(" %*s", l.since, "since")
		if l.since == 0 {
			since = ""
		}
		p.line(p.paint(faint, fmt.Sprintf("%*s%s %*s%*s%-*s", l.seconds, "seconds", since, l.frame, "frame", l.marks+2, "", l.arrow+4, "client"+strings.Repeat(" ", l.arrow-8)+"server")))
	}
	var last int64
	for i, r := range rows {
		row := &t.Rows[r.first]
		if i > 0 {
			if wait := time.Duration(row.Time - last); wait >= idleGap {
				p.line(p.paint(faint, fmt.Sprintf("%*s%s%s", l.seconds, "⋮", strings.Repeat(" ", l.lead()-l.seconds), center("⋮ "+Duration(int64(wait))+" of silence", l.arrow+4))))
			}
		}
		p.row(t, r, last, l)
		last = t.Rows[r.first+r.n-1].Time
	}
	if t.More > 0 {
		p.line(fmt.Sprintf("... and %s more", Count(t.More, "segment")))
	}
	if len(t.Findings) == 0 {
		p.line()
		p.line("no fault found on this connection")
		return p.flush(w)
	}
	for i := range t.Findings {
		p.line()
		p.b.WriteString(p.paint(bold, mark(i)) + " ")
		p.finding(t.Result, &t.Findings[i])
	}
	return p.flush(w)
}

// mark numbers a finding: a, b, ..., z, 27, 28.
func mark(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return fmt.Sprint(i + 1)
}

// run is one line of a ladder: a row, or several alike.
type run struct{ first, n int }

// fold puts runs of segments that say little into one line: data one way and
// acknowledgements, with no message, finding or other event among them.
func fold(t *runner.Trace, around uint64) []run {
	var out []run
	for i := 0; i < len(t.Rows); {
		n := 1
		if plain(&t.Rows[i], around) {
			side, wait := dataSide(&t.Rows[i]), idleGap/10
			for i+n < len(t.Rows) && plain(&t.Rows[i+n], around) && time.Duration(t.Rows[i+n].Time-t.Rows[i+n-1].Time) < wait {
				if s := dataSide(&t.Rows[i+n]); s != side && s >= 0 {
					if side >= 0 {
						break
					}
					side = s
				}
				n++
			}
			if n < foldRun {
				n = 1
			}
		}
		out = append(out, run{i, n})
		i += n
	}
	return out
}

// plain reports whether a row is no more than data or an acknowledgement.
func plain(r *runner.Row, around uint64) bool {
	return len(r.Heads) == 0 && len(r.Findings) == 0 && r.Frame != around && r.Window > 0 &&
		r.Flags&^(wire.ACK|wire.PSH) == 0 && !r.Kind.Any(reassembly.Retransmission|reassembly.Overlap|reassembly.OutOfOrder|
		reassembly.KeepAlive|reassembly.ZeroWindowProbe|reassembly.OutOfWindow|reassembly.AckedUnseen|reassembly.First)
}

// dataSide returns the side whose data a row carries, -1 without data.
func dataSide(r *runner.Row) int {
	if r.Len == 0 {
		return -1
	}
	return int(r.Side)
}

// rungs are the widths of a ladder's columns.
type rungs struct {
	seconds, since, frame, marks int

	arrow int  // between client and server
	below bool // notes stand below the arrows, not beside
}

// lead returns the columns before an arrow.
func (l *rungs) lead() int {
	n := l.seconds + 1 + l.frame + 1 + l.marks + 1
	if l.since > 0 {
		n += 1 + l.since
	}
	return n
}

// rungs lays out a ladder: the same for all connections where there is room,
// else as narrow as this one's figures are.
func (p *page) rungs(t *runner.Trace, rows []run) *rungs {
	l := &rungs{seconds: 11, since: 9, frame: 7, marks: 1, arrow: 30}
	for i := range t.Rows {
		l.marks = max(l.marks, len(marks(&t.Rows[i])))
	}
	if p.width >= columns || len(t.Rows) == 0 {
		return l
	}
	end := &t.Rows[len(t.Rows)-1]
	l.seconds = max(len(seconds(t, end)), len("seconds"))
	l.frame = max(len(strconv.FormatUint(end.Frame, 10)), len("frame"))
	longest := len("client  server")
	for _, r := range rows {
		text := Label(&t.Rows[r.first])
		if r.n > 1 {
			text, _ = foldedLabel(t, r)
		}
		longest = max(longest, utf8.RuneCountInString(text))
	}
	l.arrow = min(longest+4, 30)
	const notes = 20 // columns, at least
	if p.width-l.lead()-l.arrow-6 < notes {
		l.below = true
	}
	if p.width < l.lead()+l.arrow+4 {
		l.since = 0
		l.arrow = min(l.arrow, max(p.width-l.lead()-4, 16))
	}
	return l
}

// marks are those of the findings that name a row's frame.
func marks(r *runner.Row) string {
	s := ""
	for _, f := range r.Findings {
		s += mark(f)
	}
	return s
}

func seconds(t *runner.Trace, r *runner.Row) string {
	return fmt.Sprintf("%.6f", float64(r.Time-t.Rows[0].Time)/1e9)
}

func (p *page) row(t *runner.Trace, r run, last int64, l *rungs) {
	row := &t.Rows[r.first]
	since := ""
	if l.since > 0 {
		if r.first > 0 {
			since = "+" + Duration(row.Time-last)
		}
		since = fmt.Sprintf(" %*s", l.since, since)
	}
	m := marks(row)
	lead := fmt.Sprintf("%*s%s %*d %*s%s ", l.seconds, seconds(t, row), since, l.frame, row.Frame, l.marks-len(m), "", p.paint(red, m))
	text, note := Label(row), Notes(row)
	if r.n > 1 {
		text, note = foldedLabel(t, r)
	}
	arrow := l.draw(row.Side, text)
	if r.n > 1 {
		arrow = strings.ReplaceAll(arrow, "─", "┄")
	}
	if !l.below {
		p.wrapAt(lead+arrow+"  ", visible(lead)+l.arrow+6, note)
		return
	}
	p.line(lead, arrow)
	if note != "" {
		p.wrapAt(strings.Repeat(" ", l.lead()), l.lead(), note)
	}
}

// draw draws text on an arrow from one side to the other.
func (l *rungs) draw(from http1.Side, text string) string {
	text = " " + text + " "
	room := l.arrow - utf8.RuneCountInString(text)
	left := max(room/2, 1)
	line := strings.Repeat("─", left) + text + strings.Repeat("─", max(room-left, 1))
	if from == http1.Client {
		return "│" + line + "▶│"
	}
	return "│◀" + line + "│"
}

// Label is what stands on a segment's arrow: flags, sequence numbers, length.
func Label(r *runner.Row) string {
	flags := ""
	for _, f := range []struct {
		bit  wire.Flags
		name string
	}{{wire.SYN, "SYN"}, {wire.FIN, "FIN"}, {wire.RST, "RST"}, {wire.PSH, "PSH"}, {wire.ACK, "ACK"}} {
		if r.Flags.Has(f.bit) && (f.bit != wire.PSH && f.bit != wire.ACK || r.Len == 0 || f.bit == wire.ACK && r.Flags&(wire.SYN|wire.FIN|wire.RST) != 0) {
			flags = strings.TrimSpace(flags + " " + f.name)
		}
	}
	if r.Len > 0 {
		return strings.TrimSpace(fmt.Sprintf("%s %d:%d (%d)", flags, r.Seq, r.Seq+int64(r.Len), r.Len))
	}
	if r.Flags.Has(wire.ACK) {
		return fmt.Sprintf("%s %d", flags, r.Ack)
	}
	return flags
}

// Notes says what else there is to a segment.
func Notes(r *runner.Row) string {
	var n []string
	for _, h := range r.Heads {
		n = append(n, Text(h))
	}
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
			n = append(n, k.name)
		}
	}
	if r.Window == 0 && r.Flags&wire.RST == 0 {
		n = append(n, "window closed")
	}
	return strings.Join(n, "; ")
}

func foldedLabel(t *runner.Trace, r run) (text, note string) {
	size, segs, acks := 0, 0, 0
	side := t.Rows[r.first].Side
	for _, row := range t.Rows[r.first : r.first+r.n] {
		if row.Len > 0 {
			size += row.Len
			segs++
			side = row.Side
		} else {
			acks++
		}
	}
	t.Rows[r.first].Side = side
	lastRow := &t.Rows[r.first+r.n-1]
	if segs == 0 {
		return Count(acks, "ACK"), fmt.Sprintf("to frame %d, %s", lastRow.Frame, Duration(lastRow.Time-t.Rows[r.first].Time))
	}
	return Count(segs, "segment") + ", " + Count(size, "byte"),
		fmt.Sprintf("%s, to frame %d, %s", Count(acks, "ACK"), lastRow.Frame, Duration(lastRow.Time-t.Rows[r.first].Time))
}

func center(s string, width int) string {
	pad := max(width-utf8.RuneCountInString(s), 0)
	return strings.Repeat(" ", pad/2) + s
}

// speaks says what a connection carried and how it ended.
func speaks(c *lifecycle.Conn) string {
	s := [...]string{"no recognised protocol", "HTTP/1.x", "TLS", "HTTP/2", "WebSocket", "a tunnel", "another protocol"}[c.Protocol]
	if c.Requests+c.Responses > 0 {
		s += ", " + Count(uint64(c.Requests), "request") + ", " + Count(uint64(c.Responses), "response")
	}
	s += ", " + Duration(c.Last-c.Start)
	return s + ", " + [...]string{"still open", "closed by both sides", "half closed", "reset", "refused", "never answered",
		"forgotten", "its addresses were used again"}[c.Outcome]
}

// legs says where the capture was taken, as far as round trips tell.
func legs(c *lifecycle.Conn) string {
	var parts []string
	for side, name := range [2]string{"client", "server"} {
		if rtt := c.End[side].LegRTT; rtt >= 0 {
			parts = append(parts, "to the "+name+" "+Duration(int64(rtt)))
		}
	}
	if len(parts) == 0 {
		return "round trips from the capture point: unknown"
	}
	return "round trips from the capture point: " + strings.Join(parts, ", ")
}

type jsonLadder struct {
	Schema   int           `json:"schema"`
	File     string        `json:"file"`
	Conn     int           `json:"conn"`
	Client   string        `json:"client"`
	Server   string        `json:"server"`
	Protocol string        `json:"protocol"`
	Requests uint32        `json:"requests"`
	LegMS    jsonLegs      `json:"leg_rtt_ms"`
	Segments []jsonRow     `json:"segments"`
	More     int           `json:"more_segments"`
	Findings []jsonFinding `json:"findings"`
}

type jsonLegs struct {
	Client *float64 `json:"client"`
	Server *float64 `json:"server"`
}

type jsonRow struct {
	Frame    uint64   `json:"frame"`
	Time     *string  `json:"time"`
	Relative float64  `json:"relative_ms"`
	From     string   `json:"from"`
	Flags    string   `json:"flags"`
	Seq      int64    `json:"seq"`
	Ack      int64    `json:"ack"`
	Len      int      `json:"len"`
	Window   uint32   `json:"window"`
	HTTP     []string `json:"http"`
	Notes    string   `json:"notes"`
	Findings []string `json:"findings"` // codes
}

// LadderJSON writes a connection segment by segment as JSON.
func LadderJSON(w io.Writer, t *runner.Trace) error {
	c := &t.Conn
	l := jsonLadder{Schema: 1, File: t.Result.File, Conn: t.Number, Client: endpoint(c.Client), Server: endpoint(c.Server),
		Protocol: [...]string{"unknown", "http/1.x", "tls", "http/2", "websocket", "tunnel", "other"}[c.Protocol],
		Requests: c.Requests, More: t.More, Segments: []jsonRow{}, Findings: []jsonFinding{}}
	for side, v := range [2]**float64{&l.LegMS.Client, &l.LegMS.Server} {
		if rtt := c.End[side].LegRTT; rtt >= 0 {
			ms := round(float64(rtt) / 1e6)
			*v = &ms
		}
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		n := *r
		n.Heads = nil
		row := jsonRow{Frame: r.Frame, Time: timestamp(r.Time), Relative: round(float64(r.Time-t.Rows[0].Time) / 1e6),
			From: [2]string{"client", "server"}[r.Side], Flags: r.Flags.String(), Seq: r.Seq, Ack: r.Ack, Len: r.Len,
			Window: r.Window, HTTP: orEmpty(r.Heads), Notes: Notes(&n), Findings: []string{}}
		for _, f := range r.Findings {
			row.Findings = append(row.Findings, t.Findings[f].Rule.Code)
		}
		l.Segments = append(l.Segments, row)
	}
	for i := range t.Findings {
		l.Findings = append(l.Findings, findingJSON(t.Result, &t.Findings[i]))
	}
	return encode(w, l, "  ")
}
