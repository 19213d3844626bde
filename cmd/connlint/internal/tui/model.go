package tui

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// view is what the screen shows.
type view int

const (
	findings view = iota
	servers
	connections
	numTables
	ladder view = iota - 1 // documents from here on
	explain
	help
)

// Model is all that the screen depends on. It changes by [Update] alone.
type Model struct {
	Width, Height int
	Title         string
	Live          bool
	Color         bool

	Snap  *runner.Snapshot // never nil; frozen while Paused
	Stats Stats
	// Rates are per second, over the latest second or so.
	PacketRate, ByteRate float64
	since                Stats // that the rates are counted from
	Paused               bool

	View   view
	tables [numTables]table
	// ByRule shows findings by rule, ByServer pairs by server.
	ByRule, ByServer bool
	doc              doc
	back             []doc // documents below the one shown, the first with the table's view

	Prompt  *Prompt // nil while none is open
	Message string  // at the foot, until the next key
}

// Stats are counts that a header shows.
type Stats struct {
	At              time.Time
	Packets, Bytes  uint64
	Read, Size      int64 // of a file; Size is -1 if unknown
	Dropped, Memory uint64
}

// table is the state of one table.
type table struct {
	rows    []*row
	stale   bool // rows are not the latest snapshot's: the table is not shown
	total   int  // before the filter
	sel     int
	key     key // of the row selected: it stays so when rows move
	top     int
	sort    int
	reverse bool
	filter  string
}

// doc is a text to scroll in.
type doc struct {
	view  view
	title string
	lines []line
	top   int
	conn  runner.Connection
	trace *runner.Trace // of a ladder, nil before it is read
	wait  string        // how far the reading for a ladder is; empty if none goes on
	rule  *rules.Rule   // of an explanation
}

// Prompt is a line being typed.
type Prompt struct {
	Save   bool // a file's name; else a filter
	Label  string
	Text   []rune
	Cursor int
	before string // the filter to go back to
	save   SaveCmd
}

// Msg is what can happen to a Model.
type Msg interface{}

type (
	// KeyMsg is a key pressed; Rune is valid with tcell.KeyRune.
	KeyMsg struct {
		Key  tcell.Key
		Rune rune
	}
	// MouseMsg is a click (Wheel 0) or a turn of the wheel, up below 0.
	MouseMsg struct{ X, Y, Wheel int }
	// ResizeMsg is a new size of the screen.
	ResizeMsg struct{ Width, Height int }
	// SnapMsg is a new picture of the run.
	SnapMsg struct {
		Snap  *runner.Snapshot
		Stats Stats
	}
	// TraceMsg answers a TraceCmd.
	TraceMsg struct {
		Conn  runner.Connection
		Trace *runner.Trace
		Err   error
	}
	// ReadMsg says how far the work on a TraceCmd is.
	ReadMsg struct {
		Conn runner.Connection
		Part float64 // of the capture, 0 to 1
	}
	// SavedMsg answers a SaveCmd.
	SavedMsg struct {
		What string
		Err  error
	}
)

// Cmd is what Update asks for.
type Cmd interface{}

type (
	// QuitCmd ends the program.
	QuitCmd struct{}
	// PollCmd asks for a snapshot soon.
	PollCmd struct{}
	// TraceCmd asks for a connection's segments.
	TraceCmd struct{ Conn runner.Connection }
	// SaveCmd asks to write findings, or the packets that Keep wants.
	SaveCmd struct {
		Path     string
		Findings []runner.Finding
		Keep     *keep // nil to save findings
	}
)

// NewModel returns the Model of a screen before anything happened.
func NewModel(title string, live, color bool) Model {
	m := Model{Width: 80, Height: 24, Title: title, Live: live, Color: color, Snap: &runner.Snapshot{}, Stats: Stats{Size: -1}}
	m.refresh()
	return m
}

// Update returns the Model after msg, and what is to be done.
func Update(m Model, msg Msg) (Model, Cmd) {
	switch msg := msg.(type) {
	case ResizeMsg:
		m.Width, m.Height = msg.Width, msg.Height
		m.relayout()
		m.follow()
	case SnapMsg:
		m.snap(msg)
	case TraceMsg:
		m.traced(msg)
	case ReadMsg:
		if d := m.reading(); d != nil && d.conn == msg.Conn {
			d.wait = fmt.Sprintf("reading the connection's packets … %.0f %%", msg.Part*100)
			m.relayout()
		}
	case SavedMsg:
		m.Message = msg.What
		if msg.Err != nil {
			m.Message = "not saved: " + msg.Err.Error()
		}
	case MouseMsg:
		return m.mouse(msg)
	case KeyMsg:
		m.Message = ""
		if msg.Key == tcell.KeyCtrlC {
			return m, QuitCmd{}
		}
		if m.Prompt != nil {
			return m.typed(msg)
		}
		return m.key(msg)
	}
	return m, nil
}

func (m *Model) snap(msg SnapMsg) {
	if m.Paused {
		return
	}
	if m.since.At.IsZero() {
		m.since = msg.Stats
	}
	if d := msg.Stats.At.Sub(m.since.At).Seconds(); d >= 1 {
		m.PacketRate = float64(msg.Stats.Packets-m.since.Packets) / d
		m.ByteRate = float64(msg.Stats.Bytes-m.since.Bytes) / d
		m.since = msg.Stats
	}
	before := m.Snap.Result
	m.Snap, m.Stats = msg.Snap, msg.Stats
	switch res := m.Snap.Result; {
	case res == nil:
		m.refresh()
	case res != before: // it does not change any more
		m.refresh()
		if res.Err != nil && (before == nil || before.Err == nil) {
			m.Message = "stopped early: " + res.Err.Error()
		}
	}
}

// refresh makes the rows of all tables anew: at once of the one shown, of the
// others when they are.
func (m *Model) refresh() {
	for v := range numTables {
		m.tables[v].stale = true
		m.tables[v].total = m.total(v)
	}
	m.fresh()
}

// fresh brings the table shown up to date.
func (m *Model) fresh() {
	if m.View < numTables && m.tables[m.View].stale {
		m.rebuild(m.View)
	}
}

// rebuild makes a table's rows anew; the row selected stays so.
func (m *Model) rebuild(v view) {
	t := &m.tables[v]
	t.stale, t.total = false, m.total(v)
	list := m.rows(v)
	all := make([]*row, 0, len(list))
	f := parseFilter(t.filter)
	for i := range list {
		if len(f) == 0 || f.match(&list[i]) {
			all = append(all, &list[i])
		}
	}
	by := sorts(v)[t.sort].less
	if t.reverse {
		up := by
		by = func(a, b *row) int { return up(b, a) }
	}
	slices.SortStableFunc(all, by)
	t.rows = all
	if t.key != (key{}) {
		if i := slices.IndexFunc(all, func(r *row) bool { return r.key == t.key }); i >= 0 {
			t.sel = i
		}
	}
	t.sel = max(min(t.sel, len(all)-1), 0)
	m.follow()
}

// follow scrolls each table to its selected row.
func (m *Model) follow() {
	for v := range numTables {
		t := &m.tables[v]
		page := m.page(v)
		t.top = max(min(t.top, t.sel, len(t.rows)-page), t.sel-page+1, 0)
	}
}

// chosen returns the selected row of the table shown, nil if it is empty.
func (m *Model) chosen() *row {
	if m.View >= numTables {
		return nil
	}
	t := &m.tables[m.View]
	if t.sel >= len(t.rows) {
		return nil
	}
	return t.rows[t.sel]
}

func (m *Model) move(to int) {
	if m.View >= numTables {
		m.doc.top = max(min(to, len(m.doc.lines)-m.docHeight()), 0)
		return
	}
	t := &m.tables[m.View]
	t.sel = max(min(to, len(t.rows)-1), 0)
	if r := m.chosen(); r != nil {
		t.key = r.key
	}
	m.follow()
}

func (m *Model) position() int {
	if m.View >= numTables {
		return m.doc.top
	}
	return m.tables[m.View].sel
}

func (m Model) key(k KeyMsg) (Model, Cmd) {
	page := m.docHeight()
	if m.View < numTables {
		page = m.page(m.View)
	}
	switch k.Key {
	case tcell.KeyUp:
		m.move(m.position() - 1)
	case tcell.KeyDown:
		m.move(m.position() + 1)
	case tcell.KeyPgUp, tcell.KeyCtrlB:
		m.move(m.position() - max(page-1, 1))
	case tcell.KeyPgDn, tcell.KeyCtrlF:
		m.move(m.position() + max(page-1, 1))
	case tcell.KeyHome:
		m.move(0)
	case tcell.KeyEnd:
		m.move(1 << 30)
	case tcell.KeyTab, tcell.KeyRight:
		m.show((m.table() + 1) % numTables)
	case tcell.KeyBacktab, tcell.KeyLeft:
		m.show((m.table() + numTables - 1) % numTables)
	case tcell.KeyEnter:
		return m.open()
	case tcell.KeyEscape, tcell.KeyBackspace, tcell.KeyBackspace2:
		m.leave()
	case tcell.KeyRune:
		return m.letter(k.Rune)
	}
	return m, nil
}

func (m Model) letter(r rune) (Model, Cmd) {
	switch r {
	case 'q':
		return m, QuitCmd{}
	case '1', '2', '3':
		m.show(view(r - '1'))
	case 'k':
		m.move(m.position() - 1)
	case 'j':
		m.move(m.position() + 1)
	case ' ':
		page := m.docHeight()
		if m.View < numTables {
			page = m.page(m.View)
		}
		m.move(m.position() + max(page-1, 1))
	case 'p':
		if m.Paused = !m.Paused; !m.Paused {
			return m, PollCmd{}
		}
	case '?':
		if m.View == help {
			m.leave()
		} else {
			m.push(doc{view: help, title: "help"})
		}
	case 'e':
		m.explain()
	case 's':
		m.askSave()
	case 'n', 'N':
		m.next(r == 'N')
	}
	if m.View == ladder && r == 'r' && m.doc.wait == "" {
		m.doc.wait = reading
		return m, TraceCmd{m.doc.conn}
	}
	if m.View >= numTables {
		return m, nil
	}
	t := &m.tables[m.View]
	switch r {
	case '/':
		m.Prompt = &Prompt{Label: "filter: ", Text: []rune(t.filter), Cursor: len([]rune(t.filter)), before: t.filter}
	case 'o':
		m.sortBy((t.sort+1)%len(sorts(m.View)), false)
	case 'r':
		m.sortBy(t.sort, !t.reverse)
	case 'g':
		switch m.View {
		case findings:
			m.ByRule = !m.ByRule
		case servers:
			m.ByServer = !m.ByServer
		}
		m.rebuild(m.View)
	}
	return m, nil
}

func (m *Model) sortBy(n int, reverse bool) {
	t := &m.tables[m.View]
	t.sort, t.reverse = n, reverse
	// The eye is on the top of the new order.
	t.sel, t.key, t.top = 0, key{}, 0
	m.rebuild(m.View)
}

// table returns the table shown, or the one below the document shown.
func (m *Model) table() view {
	if len(m.back) > 0 {
		return m.back[0].view
	}
	return m.View
}

// show switches to a table.
func (m *Model) show(v view) {
	m.View, m.back, m.doc = v, nil, doc{}
	m.fresh()
	m.follow()
}

// push shows a document; Esc leads back.
func (m *Model) push(d doc) {
	if m.View >= numTables {
		m.back = append(slices.Clone(m.back), m.doc)
	} else {
		m.back = append(slices.Clone(m.back), doc{view: m.View})
	}
	m.doc, m.View = d, d.view
	m.relayout()
}

// leave goes back from a document, or takes a filter off.
func (m *Model) leave() {
	if n := len(m.back); n > 0 {
		m.doc, m.back = m.back[n-1], m.back[:n-1]
		m.View = m.doc.view
		m.relayout()
		m.fresh()
		return
	}
	if t := &m.tables[m.View]; t.filter != "" {
		t.filter = ""
		m.rebuild(m.View)
	}
}

// open goes deeper into the row selected.
func (m Model) open() (Model, Cmd) {
	r := m.chosen()
	switch {
	case r == nil:
	case r.finding != nil:
		f := r.finding
		switch {
		case !f.Server.IsValid():
			m.Message = "this finding is about the whole capture"
		case f.Finding.Conn != 0 && f.Client.Port() != 0:
			return m.trace(runner.Connection{ID: f.Finding.Conn, A: f.Client, B: f.Server})
		default: // about all connections of a client, or to a server
			m.list(f.Client.Addr(), f.Server)
		}
	case r.rule != nil:
		m.ByRule = false
		m.tables[findings].filter = r.rule.Code
		m.tables[findings].sel, m.tables[findings].key = 0, key{}
		m.rebuild(findings)
	case r.pair != nil:
		m.list(r.pair.Client, r.pair.Server)
	case r.conn != nil:
		return m.trace(runner.Connection{ID: r.conn.ID, A: r.conn.Client, B: r.conn.Server})
	}
	return m, nil
}

// list shows the connections of a client, if that is known, and a server.
func (m *Model) list(client netip.Addr, server netip.AddrPort) {
	t := &m.tables[connections]
	t.filter = server.String()
	if client.IsValid() {
		t.filter += " " + client.String()
	}
	t.sel, t.key = 0, key{}
	m.show(connections)
	m.rebuild(connections)
}

// reading is what stands in place of a ladder at first.
const reading = "reading the connection's packets …"

func (m Model) trace(c runner.Connection) (Model, Cmd) {
	m.push(doc{view: ladder, title: fmt.Sprintf("connection of frame %d", c.ID), conn: c, wait: reading})
	return m, TraceCmd{c}
}

// reading returns the ladder that is being read for, shown or below what is
// shown; nil if there is none.
func (m *Model) reading() *doc {
	if m.doc.wait != "" {
		return &m.doc
	}
	for i := range m.back {
		if m.back[i].wait != "" {
			m.back = slices.Clone(m.back)
			return &m.back[i]
		}
	}
	return nil
}

func (m *Model) traced(msg TraceMsg) {
	d := m.reading()
	if d == nil || d.conn != msg.Conn {
		return // left meanwhile
	}
	d.wait = ""
	switch {
	case msg.Err == nil:
		d.trace = msg.Trace
		if n := msg.Trace.Number; n >= 0 {
			d.title = fmt.Sprintf("connection %d", n)
		}
		m.relayout()
	case d == &m.doc:
		if d.trace == nil {
			m.leave()
		}
		m.Message = "cannot draw the connection: " + msg.Err.Error()
	default: // said when it is gone back to
		d.lines = parseLines("cannot draw the connection: " + report.Text(msg.Err.Error()))
	}
}

// explain shows the document of the rule at hand.
func (m *Model) explain() {
	var r *rules.Rule
	switch row := m.chosen(); {
	case row != nil && row.finding != nil:
		r = row.finding.Rule
	case row != nil && row.rule != nil:
		r = row.rule
	case m.View == ladder && m.doc.trace != nil && len(m.doc.trace.Findings) > 0:
		n := 0 // or the one marked next on the screen
		for _, l := range m.doc.lines[min(m.doc.top, len(m.doc.lines)):] {
			if l.marked > 0 {
				n = l.marked - 1
				break
			}
		}
		r = m.doc.trace.Findings[n].Rule
	}
	if r == nil {
		if m.View < explain {
			m.Message = "e explains the rule of a finding: choose one in 1 Findings"
		}
		return
	}
	m.push(doc{view: explain, title: r.Code + " " + r.Name, rule: r})
}

// next goes to the next finding of a ladder, or explains the rule of the next.
func (m *Model) next(back bool) {
	d := &m.doc
	if m.View == explain {
		var list []*rules.Rule
		if n := len(m.back); n > 0 && m.back[n-1].trace != nil {
			for _, f := range m.back[n-1].trace.Findings {
				list = append(list, f.Rule)
			}
		} else {
			if m.tables[findings].stale {
				m.rebuild(findings)
			}
			for _, r := range m.tables[findings].rows {
				switch {
				case r.rule != nil:
					list = append(list, r.rule)
				case !slices.Contains(list, r.finding.Rule):
					list = append(list, r.finding.Rule)
				}
			}
		}
		i := slices.Index(list, d.rule)
		if back {
			i--
		} else {
			i++
		}
		if i >= 0 && i < len(list) {
			d.rule, d.title, d.top = list[i], list[i].Code+" "+list[i].Name, 0
			m.relayout()
		}
		return
	}
	if m.View != ladder {
		return
	}
	step := 1
	if back {
		step = -1
	}
	for i := d.top + step; i >= 0 && i < len(d.lines); i += step {
		if d.lines[i].marked > 0 {
			d.top = i
			return
		}
	}
	m.Message = "no further finding on this connection"
}

func (m *Model) askSave() {
	p := &Prompt{Save: true}
	switch r := m.chosen(); {
	case m.View == ladder:
		p.save.Keep = &keep{conn: m.doc.conn}
		p.Label = "save the connection's packets to: "
		p.Text = []rune(fmt.Sprintf("connection-%d.pcapng", m.doc.conn.ID))
	case m.View == connections && r != nil:
		p.save.Keep = &keep{conn: runner.Connection{ID: r.conn.ID, A: r.conn.Client, B: r.conn.Server}}
		p.Label = "save the connection's packets to: "
		p.Text = []rune(fmt.Sprintf("connection-%d.pcapng", r.conn.ID))
	case m.View == servers && r != nil:
		p.save.Keep = &keep{client: r.pair.Client, server: r.pair.Server}
		p.Label = "save the packets to: "
		p.Text = []rune(strings.NewReplacer(":", "-", "[", "", "]", "").Replace(r.pair.Server.String()) + ".pcapng")
	case m.View == findings:
		for _, r := range m.tables[findings].rows {
			if r.finding != nil {
				p.save.Findings = append(p.save.Findings, *r.finding)
			} else {
				for _, f := range r.of {
					p.save.Findings = append(p.save.Findings, *f)
				}
			}
		}
		p.Label = "save " + plural(len(p.save.Findings), "finding") + " to: "
		p.Text = []rune("findings.json")
	default:
		m.Message = "nothing to save here"
		return
	}
	p.Cursor = len(p.Text)
	m.Prompt = p
}

// typed takes a key while a prompt is open.
func (m Model) typed(k KeyMsg) (Model, Cmd) {
	p := *m.Prompt
	m.Prompt = &p
	p.Text = slices.Clone(p.Text)
	switch k.Key {
	case tcell.KeyEscape:
		m.Prompt = nil
		if !p.Save {
			m.setFilter(p.before)
		}
		return m, nil
	case tcell.KeyEnter:
		m.Prompt = nil
		if !p.Save {
			return m, nil
		}
		path := strings.TrimSpace(string(p.Text))
		if path == "" {
			m.Message = "not saved: no file named"
			return m, nil
		}
		if p.save.Keep == nil && !slices.Contains(saveFormats(), filepath.Ext(path)) {
			m.Message = "not saved: findings are written to files that end in " + strings.Join(saveFormats(), ", ")
			return m, nil
		}
		p.save.Path = path
		m.Message = "saving …"
		return m, p.save
	case tcell.KeyBackspace, tcell.KeyBackspace2:
		if p.Cursor > 0 {
			p.Text = slices.Delete(p.Text, p.Cursor-1, p.Cursor)
			p.Cursor--
		}
	case tcell.KeyDelete:
		if p.Cursor < len(p.Text) {
			p.Text = slices.Delete(p.Text, p.Cursor, p.Cursor+1)
		}
	case tcell.KeyCtrlU:
		p.Text, p.Cursor = p.Text[p.Cursor:], 0
	case tcell.KeyLeft:
		p.Cursor = max(p.Cursor-1, 0)
	case tcell.KeyRight:
		p.Cursor = min(p.Cursor+1, len(p.Text))
	case tcell.KeyHome, tcell.KeyCtrlA:
		p.Cursor = 0
	case tcell.KeyEnd, tcell.KeyCtrlE:
		p.Cursor = len(p.Text)
	case tcell.KeyRune:
		if len(p.Text) < 1024 {
			p.Text = slices.Insert(p.Text, p.Cursor, k.Rune)
			p.Cursor++
		}
	}
	if !p.Save {
		m.setFilter(string(p.Text))
	}
	return m, nil
}

func (m *Model) setFilter(s string) {
	t := &m.tables[m.View]
	if t.filter != s {
		t.filter = s
		m.rebuild(m.View)
	}
}

func (m Model) mouse(e MouseMsg) (Model, Cmd) {
	if m.Prompt != nil {
		return m, nil
	}
	if e.Wheel != 0 {
		m.move(m.position() + 3*e.Wheel)
		return m, nil
	}
	m.Message = ""
	if e.Y == m.Height-1 {
		for _, h := range m.hints() {
			if e.X >= h.x && e.X < h.x+h.width() {
				return m.key(h.press)
			}
		}
		return m, nil
	}
	if e.Y == tabsAt && m.View < numTables {
		for v, span := range m.tabs() {
			if e.X >= span.from && e.X < span.to {
				m.show(view(v))
			}
		}
		return m, nil
	}
	if m.View >= numTables {
		return m, nil
	}
	t := &m.tables[m.View]
	switch i := t.top + e.Y - rowsAt; {
	case e.Y == rowsAt-1:
		for _, c := range m.layout(m.View) {
			if n := c.sort - 1; n >= 0 && e.X >= c.x && e.X < c.x+c.width {
				m.sortBy(n, n == t.sort && !t.reverse)
			}
		}
	case e.Y < rowsAt || e.Y >= rowsAt+m.page(m.View) || i >= len(t.rows):
	case i == t.sel && t.key == t.rows[i].key: // a second click
		return m.open()
	default:
		m.move(i)
	}
	return m, nil
}

// relayout breaks a document's text into lines for the screen's width.
func (m *Model) relayout() {
	d := &m.doc
	var b strings.Builder
	style := report.Style{Width: m.Width - 2, Color: true} // taken off again where there is to be none
	switch m.View {
	case ladder:
		if d.trace == nil {
			if d.wait == "" {
				return // the lines say why
			}
			b.WriteString(d.wait)
			break
		}
		_ = report.Ladder(&b, d.trace, 0, style) // a Builder takes all
	case explain:
		_ = report.Explain(&b, d.rule, style)
	case help:
		b.WriteString(helpText)
	default:
		return
	}
	lines := parseLines(b.String())
	if m.View == ladder {
		markLines(lines)
	}
	d.lines = d.lines[:0:0]
	for _, l := range lines {
		d.lines = append(d.lines, l.fold(m.Width-2)...)
	}
	m.move(d.top)
}
