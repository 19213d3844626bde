package tui

import (
	"fmt"
	"strings"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/tview"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// Lines of the screen.
const (
	countsAt = 1
	tabsAt   = 2 // or a document's title
	docAt    = 3
	rowsAt   = 4 // below a table's heading
)

// The smallest screen that anything is drawn on.
const minWidth, minHeight = 40, 10

// page returns how many rows of a table are shown.
func (m *Model) page(v view) int { return max(m.Height-rowsAt-m.detail(v)-1, 1) }

func (m *Model) docHeight() int { return max(m.Height-docAt-1, 1) }

// detail returns how many lines below a table describe its selected row.
func (m *Model) detail(v view) int {
	switch {
	case m.Height < 18:
		return 0
	case v == findings:
		return min(m.Height/3, 8)
	case v == servers:
		return 5
	}
	return 0
}

// canvas draws text on a screen.
type canvas struct {
	screen tcell.Screen
	color  bool
}

// text draws s, cut to w columns. It may hold anything that [report.Text] lets
// through.
func (c canvas) text(x, y, w int, st style, s string) {
	if w <= 0 {
		return
	}
	switch {
	case !c.color:
		st.color = ""
	case st.color != "":
		// Many terminals show bold dark colours as bright ones, which are lost
		// on a light background.
		st.attr = strings.ReplaceAll(st.attr, "b", "")
	}
	tview.Print(c.screen, "["+st.color+"::"+st.attr+"]"+tview.Escape(cut(s, w)), x, y, w, tview.AlignLeft, tcell.ColorDefault)
}

// Draw draws the model on all of the screen.
func Draw(screen tcell.Screen, m *Model) {
	screen.Clear()
	screen.HideCursor()
	c := canvas{screen, m.Color}
	if m.Width < minWidth || m.Height < minHeight {
		c.text(0, 0, m.Width, plain, fmt.Sprintf("too small: %d×%d at least", minWidth, minHeight))
		return
	}
	c.header(m)
	if m.View < numTables {
		c.tabs(m)
		c.table(m)
		c.details(m)
	} else {
		c.document(m)
	}
	c.foot(m)
}

func (c canvas) header(m *Model) {
	c.text(1, 0, 8, bold, "connlint")
	status, st := "reading", cyan
	switch {
	case m.Snap.Result != nil && m.Snap.Result.Err != nil:
		status, st = "stopped early", red
	case m.Snap.Result != nil:
		status, st = "done", green
	case m.Live:
		status = "live"
	case m.Stats.Size > 0:
		status = fmt.Sprintf("reading %.0f %%", min(float64(m.Stats.Read)/float64(m.Stats.Size), 1)*100)
	}
	if m.Paused {
		status, st = "PAUSED (p goes on)", yellow
	}
	status = cut(status, m.Width/2)
	at := m.Width - 1 - width(status)
	c.text(at, 0, width(status), st, status)
	c.text(11, 0, at-12, plain, cutLeft(report.Text(m.Title), at-12))

	t := &m.Snap.Total
	type part struct {
		text  string
		style style
	}
	parts := []part{{plural(int(m.Stats.Packets), "packet"), plain}}
	if m.Snap.Result == nil {
		parts = append(parts, part{short(m.PacketRate) + "/s", plain}, part{bytesOf(m.ByteRate) + "/s", plain})
	}
	dropped := plain
	if m.Stats.Dropped > 0 {
		dropped = red
	}
	parts = append(parts, part{rules.Count(int64(m.Stats.Dropped)) + " dropped", dropped},
		part{"mem " + bytesOf(m.Stats.Memory), plain}, part{rules.Count(t.Open) + " open", plain},
		part{plural(int(t.Requests), "request"), plain})
	if reuse, ok := t.Reuse(); ok {
		parts = append(parts, part{fmt.Sprintf("%.0f %% reuse", reuse*100), plain})
	}
	parts = append(parts, part{rules.Count(t.Idle) + " idle", plain}, part{rules.Count(t.TimeWait) + " in TIME_WAIT", plain},
		part{plural(int(t.Conns), "connection"), plain})
	x := 1
	for i, p := range parts {
		w := width(p.text)
		if x+w+2 > m.Width {
			break
		}
		if i > 0 {
			c.text(x, countsAt, 1, faint, "·")
			x += 2
		}
		c.text(x, countsAt, w, p.style, p.text)
		x += w + 1
	}
}

// short writes a rate with three digits.
func short(n float64) string {
	for _, unit := range []string{"", " k", " M"} {
		if n < 999.5 {
			if unit == "" || n >= 99.95 {
				return fmt.Sprintf("%.0f%s", n, unit)
			}
			return fmt.Sprintf("%.1f%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.1f G", n)
}

type tab struct {
	from, to int
	text     string
}

// tabs places the names of the tables.
func (m *Model) tabs() [numTables]tab {
	var out [numTables]tab
	x := 1
	names := [numTables]string{"1 Findings", "2 Pairs", "3 Connections"}
	if m.ByRule {
		names[findings] = "1 Rules"
	}
	if m.ByServer {
		names[servers] = "2 Servers"
	}
	for v, name := range names {
		n := int64(m.tables[v].total)
		if view(v) == connections {
			n = m.Snap.Total.Conns
		}
		text := " " + name + " (" + rules.Count(n) + ") "
		out[v] = tab{x, x + len(text), text}
		x += len(text) + 1
	}
	return out
}

func (c canvas) tabs(m *Model) {
	end := 0
	for v, t := range m.tabs() {
		st := plain
		if view(v) == m.View {
			st = style{attr: "rb"}
		}
		c.text(t.from, tabsAt, min(t.to, m.Width)-t.from, st, t.text)
		end = t.to
	}
	t := &m.tables[m.View]
	say := "by " + sorts(m.View)[t.sort].name
	if t.reverse {
		say += ", reversed"
	}
	switch most := rules.Count(int64(len(m.Snap.Pairs))); {
	case m.View == findings && m.Snap.Uncounted > 0:
		say = "and " + rules.Count(int64(m.Snap.Uncounted)) + " that found no room, " + say
	case m.View == findings && !m.ByRule && t.total > maxRows:
		say = "the worst " + rules.Count(maxRows) + ", " + say
	case m.View == servers && m.Snap.MorePairs > 0:
		say = "of the " + most + " busiest pairs, " + say
	case m.View == connections && m.latestOnly():
		say = "the " + rules.Count(int64(t.total)) + " used last, " + say
	}
	room := m.Width - end - 3
	if t.filter != "" {
		of, by := fmt.Sprintf("%s of %s", rules.Count(int64(len(t.rows))), rules.Count(int64(t.total))), say
		for _, say = range []string{of + " match " + report.Text(t.filter) + " · " + by, of + " match " + report.Text(t.filter), of + ": " + report.Text(t.filter)} {
			if width(say) <= room {
				break
			}
		}
	}
	if room < 8 && width(say) > room {
		return
	}
	say = cut(say, room)
	c.text(m.Width-1-width(say), tabsAt, room, faint, say)
}

func (c canvas) table(m *Model) {
	t := &m.tables[m.View]
	cols := m.layout(m.View)
	for _, col := range cols {
		name, st := col.name, style{attr: "u"}
		if col.sort > 0 && col.sort-1 == t.sort {
			st.attr += "b"
		}
		c.cell(col, rowsAt-1, st, name)
	}
	page := m.page(m.View)
	if len(t.rows) == 0 {
		c.text(1, rowsAt+min(1, page-1), m.Width-2, faint, m.nothing())
		return
	}
	for i := t.top; i < min(t.top+page, len(t.rows)); i++ {
		y, r := rowsAt+i-t.top, t.rows[i]
		if i == t.sel {
			c.text(0, y, m.Width, style{attr: "r"}, strings.Repeat(" ", m.Width))
		}
		for _, col := range cols {
			text, st := col.column.cell(m, r)
			if i == t.sel {
				st = style{attr: "r" + strings.ReplaceAll(st.attr, "d", "")}
			}
			c.cell(col, y, st, text)
		}
	}
}

// cell draws a cell on its side of the column.
func (c canvas) cell(col placed, y int, st style, s string) {
	s = cut(s, col.width)
	x := col.x
	if col.right {
		x += col.width - width(s)
	}
	c.text(x, y, col.width, st, s)
}

// latestOnly reports whether there were more connections than are described.
func (m *Model) latestOnly() bool { return int64(m.tables[connections].total) < m.Snap.Total.Conns }

// nothing says why a table is empty.
func (m *Model) nothing() string {
	switch {
	case m.tables[m.View].filter != "" && m.View == connections && m.latestOnly():
		return "none of the " + rules.Count(int64(m.tables[connections].total)) + " connections used last matches the filter; Esc takes it off"
	case m.tables[m.View].filter != "" && m.tables[m.View].total > 0:
		return "nothing matches the filter; Esc takes it off"
	case m.Stats.Packets == 0 && m.Live && m.Snap.Result == nil:
		return "no packet yet"
	case m.View == findings && m.Snap.Result != nil:
		return "no fault found"
	case m.View == findings:
		return "no fault found so far: a connection is judged when it ends"
	}
	if m.Snap.Result != nil {
		return "no TCP connection"
	}
	return "no TCP connection yet"
}

func (c canvas) details(m *Model) {
	n := m.detail(m.View)
	if n == 0 {
		return
	}
	y := m.Height - 1 - n
	r := m.chosen()
	switch {
	case r == nil:
		return
	case r.finding != nil:
		c.rule(m, y, "")
		for i, l := range m.findingLines(r.finding) {
			if i < n-1 {
				c.line(1, y+1+i, m.Width-2, l)
			}
		}
	case r.rule != nil:
		c.rule(m, y, "")
		d := &r.rule.Doc
		c.text(1, y+1, m.Width-2, bold, r.rule.Code+" "+r.rule.Name)
		c.text(1, y+2, m.Width-2, plain, d.Title)
		fix := line{spans: []span{{"fix: " + d.Fix, plain}}}.fold(m.Width - 2)
		for i, l := range fix[:min(len(fix), max(n-5, 1))] {
			c.line(1, y+3+i, m.Width-2, l)
		}
		c.text(1, y+n-1, m.Width-2, faint, plural(len(r.of), "group")+" of findings: Enter lists them, e explains the rule")
	case r.pair != nil:
		c.charts(m, y, r.pair)
	}
}

// rule draws a line across the screen.
func (c canvas) rule(m *Model, y int, title string) {
	for x := range m.Width {
		c.screen.SetContent(x, y, tview.Borders.Horizontal, nil, tcell.StyleDefault.Dim(true))
	}
	if title != "" {
		c.text(2, y, m.Width-4, plain, " "+title+" ")
	}
}

// findingLines returns a finding as the text report has it, but for its first
// line: the file is known.
func (m *Model) findingLines(f *runner.Finding) []line {
	var b strings.Builder
	r := &report.Report{Captures: []*runner.Result{{File: m.Title, Findings: []runner.Finding{*f}}}}
	_ = report.Write(&b, "text", r, report.Style{Width: min(m.Width-2, 120), Color: true, Quiet: true}) // a Builder takes all
	_, rest, _ := strings.Cut(b.String(), "\n")
	where := ", the whole capture"
	if len(f.Frames) > 0 {
		where = fmt.Sprintf(", frame %d", f.Frames[0])
	}
	first := line{spans: []span{{f.Severity.String(), severityStyle(f.Severity)}, {" ", plain}, {f.Rule.Code, bold}, {" " + f.Rule.Name + where, plain}}}
	return append([]line{first}, parseLines(rest)...)
}

// charts draws what a pair's connections did over time.
func (c canvas) charts(m *Model, y int, p *runner.PairRow) {
	title := p.Server.String()
	if p.Client.IsValid() {
		title = p.Client.String() + " → " + title
	}
	if p.Host != "" && p.Host != p.Server.String() && p.Host != p.Server.Addr().String() {
		title += " " + report.Text(p.Host)
	}
	c.rule(m, y, title)
	s := &p.Series
	if len(s.Open) == 0 {
		c.text(1, y+1, m.Width-2, faint, "charts are kept for the pairs with most connections")
		return
	}
	const label, tail = 11, 14
	w := len(s.Open)
	if room := m.Width - label - tail - 2; room < w {
		w = room
	} else if !m.Live && w > 0 {
		w *= room / w // as wide as the screen
	}
	for i, k := range []struct {
		name   string
		values []int64
		now    int64
		style  style
	}{{"open", s.Open, p.Open, green}, {"idle", s.Idle, p.Idle, cyan}, {"TIME_WAIT", s.TimeWait, p.TimeWait, yellow}} {
		c.text(1, y+1+i, label, plain, k.name)
		c.text(label, y+1+i, w, k.style, spark(k.values, w))
		peak := int64(0)
		for _, v := range k.values {
			peak = max(peak, v)
		}
		say := fmt.Sprintf("%s, peak %s", rules.Count(k.now), rules.Count(peak))
		if peak == 0 && i == 0 && p.Conns > 0 {
			say = rules.Count(k.now) + ", too brief"
		}
		c.text(label+w+1, y+1+i, m.Width-label-w-2, plain, say)
	}
	span := int64(len(s.Open)) * s.Width
	c.text(label, y+4, m.Width-label-2, faint, fmt.Sprintf("%s in all, %s a column", duration(span), duration(span/int64(max(w, 1)))))
}

func (c canvas) line(x, y, w int, l line) {
	for _, s := range l.spans {
		c.text(x, y, w, s.style, s.text)
		n := min(width(s.text), w)
		x, w = x+n, w-n
	}
}

func (c canvas) document(m *Model) {
	d := &m.doc
	end := min(d.top+m.docHeight(), len(d.lines))
	where := ""
	if len(d.lines) > m.docHeight() {
		where = fmt.Sprintf("lines %s to %s of %s", rules.Count(int64(d.top+1)), rules.Count(int64(end)), rules.Count(int64(len(d.lines))))
	}
	c.rule(m, tabsAt, d.title)
	if where != "" {
		c.text(m.Width-width(where)-4, tabsAt, width(where)+2, faint, " "+where+" ")
	}
	for i := d.top; i < end; i++ {
		c.line(1, docAt+i-d.top, m.Width-1, d.lines[i])
	}
}

func (c canvas) foot(m *Model) {
	y := m.Height - 1
	if p := m.Prompt; p != nil {
		c.text(1, y, m.Width-1, bold, p.Label)
		x := 1 + width(p.Label)
		room := max(m.Width-x-1, 4)
		// The part around the cursor is shown.
		from := max(p.Cursor-room+1, 0)
		text := report.Text(string(p.Text[from:]))
		c.text(x, y, room, plain, text)
		c.screen.ShowCursor(min(x+width(report.Text(string(p.Text[from:p.Cursor]))), m.Width-1), y)
		return
	}
	if m.Message != "" {
		c.text(1, y, m.Width-2, yellow, report.Text(m.Message))
		return
	}
	for _, h := range m.hints() {
		c.text(h.x, y, width(h.key), bold, h.key)
		c.text(h.x+width(h.key)+1, y, width(h.does), faint, h.does)
	}
}

// hint is a key named at the foot of the screen, to be clicked on too.
type hint struct {
	key, does string
	press     KeyMsg
	x         int
}

func (h *hint) width() int { return width(h.key) + 1 + width(h.does) }

// hints places the keys of what is shown that there is room for; that of the
// help is always there.
func (m *Model) hints() []hint {
	letter := func(r rune, does string) hint {
		return hint{key: string(r), does: does, press: KeyMsg{Key: tcell.KeyRune, Rune: r}}
	}
	enter := func(does string) hint { return hint{key: "Enter", does: does, press: KeyMsg{Key: tcell.KeyEnter}} }
	var list []hint
	if m.View >= numTables {
		list = append(list, hint{key: "Esc", does: "back", press: KeyMsg{Key: tcell.KeyEscape}})
	}
	switch m.View {
	case findings:
		other := "rules"
		if m.ByRule {
			other = "findings"
		}
		list = append(list, enter("open"), letter('e', "explain"), letter('g', other))
	case servers:
		other := "servers"
		if m.ByServer {
			other = "pairs"
		}
		list = append(list, enter("connections"), letter('g', other))
	case connections:
		list = append(list, enter("ladder"))
	case ladder:
		list = append(list, letter('n', "next finding"), letter('e', "explain"), letter('s', "save packets"), letter('r', "read again"))
	case explain:
		list = append(list, letter('n', "next rule"))
	}
	if m.View < numTables {
		list = append(list, letter('/', "filter"), letter('o', "sort"), letter('s', "save"), letter('p', "pause"))
	}
	last := letter('?', "help")
	if m.View == help {
		last = letter('q', "quit")
	} else {
		list = append(list, letter('q', "quit"))
	}
	var out []hint
	x := 1
	for _, h := range list {
		if x+h.width()+2+last.width() >= m.Width {
			break
		}
		h.x = x
		out = append(out, h)
		x += h.width() + 2
	}
	last.x = x
	return append(out, last)
}

const helpText = ` 1 2 3, Tab      findings, servers, connections; or click on a name
 ↑ ↓ j k         choose a row, scroll; PgUp PgDn Space Home End, the wheel
 Enter           go deeper: a finding's connection, a server's connections,
                 a connection drawn segment by segment; or click a second time
 Esc             back; takes off a filter

 /               show only rows that hold all these words, or these addresses;
                 Enter keeps the filter
 o   r           next order; the other way round; or click on a heading
 g               findings by rule or apart; servers or pairs
 e               explain the rule of a finding;  n N  the next, the one before
 n N  r          on a ladder: next finding, the one before; read it again
 p               freeze the picture, or let it go on; capturing goes on
 s               save: the findings listed (.json .jsonl .txt .md .sarif), or
                 the packets of a connection or pair (.pcapng)
 q, Ctrl-C       quit

 Findings stand once their connection has ended. Some are withdrawn at the end
 of the capture, when one across connections explains them. reuse: the part of
 the requests that found their connection open. t_wait: sockets in TIME_WAIT.
`
