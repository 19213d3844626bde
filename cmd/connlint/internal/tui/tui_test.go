package tui

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// traffic has a connection that loses time, one that is closed after each
// request, and one whose words are hostile.
const traffic = `
conn slow 10.0.0.1:40000 > 10.0.0.9:80 legs=100us/10ms
+0 handshake
repeat 3
+10ms > P "POST /orders/{i} HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n"
+52ms < A
+0.1ms > P "hello"
+11ms < P "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
+0.1ms > A
end
+10ms > close
repeat 4
conn c{i} 10.0.0.2:{41000+i} > 10.0.0.9:80
@{1+i} handshake
+1ms > P "GET /{i} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
+1ms < P "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
+1ms < close
end
conn evil 10.0.0.3:42000 > 10.0.0.8:8080
@6 handshake
+1ms > P "GET /\x1b]0;owned[red]\u202e HTTP/1.1\r\nHost: e\x07vil[::r]\r\n\r\n"
+1ms < P "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
`

func options() runner.Options {
	return runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: 1}
}

// feed returns what a run over a script hands to the screen, once it is over.
func feed(t testing.TB, text string) *Feed {
	t.Helper()
	s, err := script.Parse("traffic.pkt", text)
	if err != nil {
		t.Fatal(err)
	}
	f := &Feed{Title: "traffic.pkt", Version: "test", Color: true, Tap: NewTap(s.Source(0), 1<<20), Options: options()}
	f.Monitor = runner.NewMonitor(runner.MonitorOptions{})
	f.Packets = f.Tap.Recent
	opts := f.Options
	opts.Monitor = f.Monitor
	if res := runner.Run(f.Tap, opts); res.Err != nil {
		t.Fatal(res.Err)
	}
	return f
}

// user is somebody before a screen.
type user struct {
	testing.TB
	feed   *Feed
	model  Model
	screen tcell.SimulationScreen
	cmds   []Cmd
}

func sit(t testing.TB, f *Feed, width, height int) *user {
	t.Helper()
	u := &user{TB: t, feed: f, model: NewModel(f.Title, f.Live, f.Color), screen: tcell.NewSimulationScreen("UTF-8")}
	if err := u.screen.Init(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.screen.Fini)
	u.screen.SetSize(width, height)
	u.do(ResizeMsg{width, height})
	u.do(SnapMsg{f.Monitor.Snapshot(), Stats{At: time.Unix(100, 0), Packets: 1234, Bytes: 5678, Dropped: 7, Memory: 50e6, Size: -1}})
	return u
}

func (u *user) do(m Msg) {
	u.Helper()
	var cmd Cmd
	u.model, cmd = Update(u.model, m)
	if cmd != nil {
		u.cmds = append(u.cmds, cmd)
	}
	if c, ok := cmd.(TraceCmd); ok {
		u.do(u.feed.trace(context.Background(), c, u.do))
	}
}

// press presses keys: runes, or names in angle brackets.
func (u *user) press(keys string) *user {
	u.Helper()
	names := map[string]tcell.Key{"enter": tcell.KeyEnter, "esc": tcell.KeyEscape, "up": tcell.KeyUp, "down": tcell.KeyDown, "tab": tcell.KeyTab,
		"backtab": tcell.KeyBacktab, "left": tcell.KeyLeft, "right": tcell.KeyRight, "pgup": tcell.KeyPgUp, "pgdn": tcell.KeyPgDn, "home": tcell.KeyHome,
		"end": tcell.KeyEnd, "bs": tcell.KeyBackspace2, "del": tcell.KeyDelete, "ctrl-c": tcell.KeyCtrlC, "ctrl-u": tcell.KeyCtrlU,
		"ctrl-a": tcell.KeyCtrlA, "ctrl-e": tcell.KeyCtrlE, "ctrl-b": tcell.KeyCtrlB, "ctrl-f": tcell.KeyCtrlF}
	for keys != "" {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(keys, "<"), ">"); ok && keys[0] == '<' {
			k, known := names[name]
			if !known {
				u.Fatalf("no key <%s>", name)
			}
			u.do(KeyMsg{Key: k})
			keys = rest
			continue
		}
		r := []rune(keys)[0]
		u.do(KeyMsg{Key: tcell.KeyRune, Rune: r})
		keys = keys[len(string(r)):]
	}
	return u
}

// text returns the screen as text.
func (u *user) text() string {
	Draw(u.screen, &u.model)
	u.screen.Show()
	return screenText(u.screen)
}

func screenText(s tcell.SimulationScreen) string {
	cells, w, h := s.GetContents()
	var b strings.Builder
	for y := range h {
		var l strings.Builder
		for x := range w {
			l.WriteString(string(cells[y*w+x].Runes))
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	return b.String()
}

func (u *user) sees(want ...string) *user {
	u.Helper()
	text := u.text()
	for _, s := range want {
		if !strings.Contains(text, s) {
			u.Errorf("the screen does not show %q:\n%s", s, text)
		}
	}
	return u
}

func (u *user) misses(dont ...string) *user {
	u.Helper()
	text := u.text()
	for _, s := range dont {
		if strings.Contains(text, s) {
			u.Errorf("the screen shows %q:\n%s", s, text)
		}
	}
	return u
}

// line returns the screen's line that holds s.
func (u *user) line(s string) int {
	u.Helper()
	for y, l := range strings.Split(u.text(), "\n") {
		if strings.Contains(l, s) {
			return y
		}
	}
	u.Fatalf("no line has %q:\n%s", s, u.text())
	return 0
}

var sizes = []struct{ w, h int }{{80, 24}, {200, 60}, {40, 10}, {121, 33}}

func each(t *testing.T, check func(*user)) {
	f := feed(t, traffic)
	for _, size := range sizes {
		t.Run(fmt.Sprintf("%dx%d", size.w, size.h), func(t *testing.T) { check(sit(t, f, size.w, size.h)) })
	}
}

func TestFindings(t *testing.T) {
	each(t, func(u *user) {
		u.sees("connlint", "done", "1,234 packets", "LAT001", "Findings")
		if u.model.Width >= 80 {
			u.sees("7 dropped", "mem 50.0 MB", "POST /orders/0: body held", "×3", "fix (client): write head and body")
			u.misses("client 10.0.0.1 → 10.0.0.9:80 POST /orders/0: body held 52.1 ms behind an unacknowledged head 1") // the cell leaves the ends out
		}
		if u.model.Width >= 130 {
			u.sees("nagle-delayed-ack", "10.0.0.9:80", "frame")
		}
	})
}

func TestSorting(t *testing.T) {
	u := sit(t, feed(t, traffic), 121, 33)
	u.sees("by cost")
	if r := u.model.chosen(); r.finding.Rule.Code != "LAT001" {
		t.Errorf("the costliest is %s", r.finding.Rule.Code)
	}
	u.press("o").sees("by severity").press("o").sees("by times").press("o").sees("by connections").press("o").sees("by frame").press("o").sees("by cost")
	u.press("r").sees("by cost, reversed")
	if r := u.model.tables[findings].rows; r[len(r)-1].finding.Rule.Code != "LAT001" {
		t.Errorf("reversed, the costliest is not last")
	}
	// A click on a heading sorts by it; a second one turns it round.
	y := rowsAt - 1
	x := strings.Index(strings.Split(u.text(), "\n")[y], "times")
	u.do(MouseMsg{x, y, 0})
	u.sees("by times")
	u.do(MouseMsg{x, y, 0})
	u.sees("by times, reversed")
}

func TestByRule(t *testing.T) {
	u := sit(t, feed(t, traffic), 80, 24)
	u.press("g").sees("1 Rules (2)", "by cost", "a small write waited for the delayed", "Enter lists them")
	u.press("<enter>").sees("match LAT001", "POST /orders/0: body held")
	u.press("<bs>").misses("match") // as Esc does
}

func TestServers(t *testing.T) {
	each(t, func(u *user) {
		u.press("2").sees("10.0.0.9:80", "reuse", "67 %")
		if u.model.Width >= 80 {
			u.sees("10.0.0.8:8080", "req/conn", "t_wait", "2 Pairs (3)", "by connections", "0 %", "67 %", "TIME_WAIT", "peak", "in all")
		}
		if u.model.Width >= 120 {
			u.sees("shop", "10.0.0.2")
		}
		if u.model.Width >= 160 {
			u.sees("open over time", "█")
		}
		u.press("g")
		if u.model.Width >= 80 {
			u.sees("2 Servers (2)", "by connections")
		}
		if n := len(u.model.tables[servers].rows); n != 2 {
			u.Errorf("%d servers, want 2", n)
		}
		u.press("<enter>").sees("10.0.0.2:41003")
		if u.model.Width >= 80 {
			u.sees("5 of 6 match 10.0.0.9:80")
		}
	})
}

func TestConnections(t *testing.T) {
	each(t, func(u *user) {
		u.press("3").sees("10.0.0.3:42000", "3 Conn")
		if u.model.Width >= 80 {
			u.sees("Connections (6)", "state", "age", "idle", "reqs", "closed", "10.0.0.1:40000")
		}
		if u.model.Width >= 200 {
			u.sees("http/1", "max idle", "resent", "bytes")
		}
		for _, by := range []string{"age", "idle", "requests", "findings", "latest"} {
			u.press("o")
			if u.model.Width >= 80 {
				u.sees("by " + by)
			}
		}
	})
}

func TestLadder(t *testing.T) {
	each(t, func(u *user) {
		u.press("<enter>").sees("connection 0", "10.0.0.1:40000")
		if u.model.Width >= 80 {
			u.sees("SYN", "client", "Esc back")
		}
		u.press("n")
		if u.model.Width >= 80 {
			u.sees(" a │")
		}
		before := u.model.doc.top
		u.press("<down>jj<up>k")
		if u.model.Height < 30 && u.model.doc.top != before+1 {
			u.Errorf("scrolled from %d to %d", before, u.model.doc.top)
		}
		u.press("<end>").sees("frame.number in {")
		u.press("<home>e").sees("LAT001 nagle-delayed-ack", "n next rule")
		u.press("<esc>").sees("connection 0").press("<esc>").sees("Findings")
	})
}

func TestLadderOfConnection(t *testing.T) {
	u := sit(t, feed(t, traffic), 80, 24)
	u.press("3<enter>").sees("connection 5", "10.0.0.3:42000 → 10.0.0.8:8080")
	u.press("nnnnnnnnn").sees("no further finding on this connection")
	// A capture whose packets are gone.
	u.press("<esc>")
	u.feed = &Feed{Tap: NewTap(u.feed.Tap.src, 0), Monitor: u.feed.Monitor, Options: u.feed.Options}
	u.feed.Packets = u.feed.Tap.Recent
	u.press("<enter>").sees("cannot draw the connection: the packets were not kept", "Connections")
	// An answer that comes when the reader has gone on is dropped.
	u.do(TraceMsg{Err: errors.New("too slow")})
	u.misses("too slow")
}

func TestExplain(t *testing.T) {
	each(t, func(u *user) {
		u.press("e").sees("LAT001 nagle-delayed-ack")
		if u.model.Height >= 24 {
			u.sees("On the wire")
		}
		u.press("n").misses("LAT001 nagle").press("N").sees("LAT001 nagle-delayed-ack")
		u.press("<pgdn><esc>").sees("Findings")
	})
	u := sit(t, feed(t, traffic), 80, 24)
	u.press("3e").sees("e explains the rule of a finding")
}

func TestHelp(t *testing.T) {
	each(t, func(u *user) {
		u.press("?").sees("findings, servers")
		u.press("?").sees("1 Findings")
		u.press("?<esc>").sees("1 Findings")
		u.press("?2").sees("10.0.0.9:80")
	})
}

func TestFilter(t *testing.T) {
	u := sit(t, feed(t, traffic), 80, 24)
	u.press("3/41002").sees("filter: 41002", "1 of 6 match 41002", "10.0.0.2:41002").misses("10.0.0.1:40000")
	u.press("<bs><bs>").sees("filter: 410", "4 of 6")
	u.press("<ctrl-a>x<ctrl-e>y").sees("filter: x410y").press("<bs><home><del>").sees("filter: 410")
	u.press("<left><left><del>x<home>y<end>z<right><ctrl-u>").sees("filter:").misses("match")
	u.press("10.0.0.2 CLOSED<enter>").sees("4 of 6: 10.0.0.2 CLOSED").misses("filter:")
	u.press("/x").sees("nothing matches the filter").press("<esc>").sees("4 of 6")
	u.press("<esc>").misses("match").sees("10.0.0.1:40000")
	u.press("/q").misses("nothing to quit")
	if len(u.cmds) != 0 {
		t.Errorf("typing q quits: %v", u.cmds)
	}
}

func TestMoving(t *testing.T) {
	u := sit(t, feed(t, traffic), 60, 10)
	u.press("3")
	at := func(want int) {
		t.Helper()
		if got := u.model.tables[connections].sel; got != want {
			t.Errorf("row %d is chosen, want %d", got, want)
		}
	}
	u.press("<down>j")
	at(2)
	u.press("<up>k<up>")
	at(0)
	u.press("<end>")
	at(5)
	u.sees("10.0.0.1:40000").misses("10.0.0.3:42000")
	u.press("<home>").sees("10.0.0.3:42000")
	u.press(" ")
	at(4)
	u.press("<pgup>")
	at(0)
	u.press("<ctrl-f>")
	at(4)
	u.press("<ctrl-b>")
	at(0)
	u.press("<pgdn><end>")
	u.do(ResizeMsg{80, 24})
	u.screen.SetSize(80, 24)
	u.sees("10.0.0.3:42000", "10.0.0.1:40000")
	u.press("<tab>").sees("severity").press("<backtab>").sees("state").press("<left>").sees("req/conn").press("<right>").sees("state")
	u.do(ResizeMsg{20, 4})
	u.screen.SetSize(20, 4)
	u.sees("too small")
}

// TestRowStays holds that the row chosen stays so when others come.
func TestRowStays(t *testing.T) {
	u := sit(t, feed(t, traffic), 80, 24)
	u.press("3<down><down>")
	want := u.model.chosen().conn.ID
	snap := u.feed.Monitor.Snapshot()
	snap.Conns = append([]runner.ConnRow{{ID: 999, Last: snap.Conns[0].Last + 1}}, snap.Conns...)
	u.do(SnapMsg{snap, Stats{At: time.Unix(101, 0)}})
	if got := u.model.chosen().conn.ID; got != want {
		t.Errorf("connection %d is chosen, was %d", got, want)
	}
}

func TestPause(t *testing.T) {
	u := sit(t, feed(t, traffic), 80, 24)
	u.press("p").sees("PAUSED")
	u.do(SnapMsg{&runner.Snapshot{}, Stats{At: time.Unix(103, 0), Packets: 99}})
	u.sees("1,234 packets", "LAT001")
	u.press("p")
	u.do(SnapMsg{u.feed.Monitor.Snapshot(), Stats{At: time.Unix(104, 0), Packets: 5234, Bytes: 1e6}})
	u.sees("5,234 packets").misses("PAUSED")
}

func TestRates(t *testing.T) {
	u := sit(t, feed(t, traffic), 120, 24)
	u.do(SnapMsg{&runner.Snapshot{}, Stats{At: time.Unix(102, 0), Packets: 1234 + 25000, Bytes: 5678 + 3e6, Read: 30, Size: 60}})
	u.sees("12.5 k/s", "1.5 MB/s", "reading 50 %", "no fault found so far")
	u.model.Live = true
	u.sees("live").press("3").sees("no TCP connection yet")
	u.do(SnapMsg{&runner.Snapshot{}, Stats{At: time.Unix(103, 0)}})
	u.sees("no packet yet")
}

func TestMouse(t *testing.T) {
	u := sit(t, feed(t, traffic), 80, 24)
	for v, tab := range u.model.tabs() {
		u.do(MouseMsg{tab.from + 1, tabsAt, 0})
		if u.model.View != view(v) {
			t.Errorf("a click on %q shows %d", tab.text, u.model.View)
		}
	}
	y := u.line("10.0.0.2:41001")
	u.do(MouseMsg{5, y, 0})
	if c := u.model.chosen().conn; c.Client.Port() != 41001 {
		t.Errorf("a click chose %v", c.Client)
	}
	u.do(MouseMsg{5, 23, 0}) // below the rows
	u.do(MouseMsg{5, 18, 0})
	u.do(MouseMsg{5, y, 0})
	u.sees("10.0.0.2:41001 → 10.0.0.9:80")
	u.do(MouseMsg{0, 0, 1})
	if u.model.doc.top == 0 && len(u.model.doc.lines) > u.model.docHeight() {
		t.Error("the wheel does not scroll")
	}
	u.do(MouseMsg{0, 0, -1})
	if u.model.doc.top != 0 {
		t.Error("the wheel does not scroll back")
	}
	var p pointer
	for i, want := range []Msg{MouseMsg{3, 4, 0}, nil, nil, MouseMsg{3, 4, 0}} {
		buttons := [...]tcell.ButtonMask{tcell.Button1, tcell.Button1, tcell.ButtonNone, tcell.Button1}[i]
		if got := p.msg(tcell.NewEventMouse(3, 4, buttons, 0)); got != want {
			t.Errorf("event %d: %v, want %v", i, got, want)
		}
	}
}

func TestQuit(t *testing.T) {
	for _, key := range []string{"q", "<ctrl-c>", "3<enter>q", "/x<ctrl-c>"} {
		u := sit(t, feed(t, traffic), 80, 24).press(key)
		if n := len(u.cmds); n == 0 || u.cmds[n-1] != (QuitCmd{}) {
			t.Errorf("%s: %v", key, u.cmds)
		}
	}
}

// TestRecordings holds, over real captures, that the screen counts what check
// counts, and that each finding leads to its connection or connections.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("../../../../testdata/recorded/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for i, file := range files {
		if i%6 != 0 && !strings.Contains(file, "reu") {
			continue
		}
		open := func() (capture.Source, error) { return pcapfile.Open(file, pcapfile.Options{}) }
		src, err := open()
		if err != nil {
			t.Fatal(err)
		}
		f := &Feed{Title: file, Tap: NewTap(src, 0), Options: options(), Monitor: runner.NewMonitor(runner.MonitorOptions{}), Packets: open}
		opts := f.Options
		opts.Monitor = f.Monitor
		res := runner.Run(f.Tap, opts)
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
		snap := f.Monitor.Snapshot()
		if got := snap.Total; uint64(got.Conns) != res.TCPConnections || uint64(got.Requests) != res.Requests {
			t.Errorf("%s: %d connections and %d requests, want %d and %d", file, got.Conns, got.Requests, res.TCPConnections, res.Requests)
		}
		var conns, requests int64
		for _, p := range snap.Pairs {
			conns, requests = conns+p.Conns, requests+p.Requests
		}
		if conns != snap.Total.Conns || requests != snap.Total.Requests {
			t.Errorf("%s: the pairs have %d connections and %d requests, all have %d and %d", file, conns, requests, snap.Total.Conns, snap.Total.Requests)
		}
		u := &user{TB: t, feed: f, model: NewModel(f.Title, false, true)}
		u.do(ResizeMsg{80, 24})
		u.do(SnapMsg{snap, Stats{Size: -1}})
		if n := len(u.model.tables[findings].rows); n != len(res.Findings) {
			t.Errorf("%s: %d findings shown of %d", file, n, len(res.Findings))
		}
		for i := range u.model.tables[findings].rows {
			u.press("1")
			u.model.move(i)
			found := u.model.chosen().finding
			u.press("<enter>")
			about := fmt.Sprintf("%s: %s (%s)", file, found.Rule.Code, found.Message)
			switch u.model.View {
			case ladder:
				if tr := u.model.doc.trace; !slices.ContainsFunc(tr.Findings, func(g runner.Finding) bool { return g.Rule == found.Rule }) {
					t.Errorf("%s is not on its ladder", about)
				}
				for _, l := range u.model.doc.lines {
					if w := lineWidth(l); w > 78 {
						t.Errorf("%s: a line of its ladder is %d columns wide: %v", about, w, l.spans)
					}
				}
			case connections:
				if len(u.model.tables[connections].rows) == 0 {
					t.Errorf("%s leads to no connection", about)
				}
				u.press("<esc>")
			default:
				if !strings.Contains(u.model.Message, "whole capture") {
					t.Errorf("%s: %q", about, u.model.Message)
				}
			}
		}
	}
}

func lineWidth(l line) int {
	n := 0
	for _, s := range l.spans {
		n += width(s.text)
	}
	return n
}

var update = flag.Bool("update", false, "draw the screen in README.md anew")

// TestREADME holds the picture in the README to what the screen shows of that
// capture.
func TestREADME(t *testing.T) {
	const root, readme = "../../../../", "../../../../README.md"
	const begin, end = "<!-- screen: drawn by go test ./cmd/connlint/internal/tui -update -->\n", "<!-- end of screen -->"
	const path = "testdata/recorded/tw001-requests-without-session-at-client-snap200.pcap"
	src, err := pcapfile.Open(root+path, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &Feed{Title: path, Tap: NewTap(src, 0), Options: options(), Monitor: runner.NewMonitor(runner.MonitorOptions{})}
	opts := f.Options
	opts.Monitor = f.Monitor
	res := runner.Run(f.Tap, opts)
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	u := &user{TB: t, feed: f, model: NewModel(path, false, false), screen: tcell.NewSimulationScreen("UTF-8")}
	if err := u.screen.Init(); err != nil {
		t.Fatal(err)
	}
	defer u.screen.Fini()
	u.screen.SetSize(96, 18)
	u.do(ResizeMsg{96, 18})
	u.do(SnapMsg{f.Monitor.Snapshot(), Stats{Packets: res.Packets, Memory: 11e6, Size: -1}})
	want := begin + "```\n" + u.text() + "```\n"
	b, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("README.md has no place for the screen")
	}
	if *update {
		if err := os.WriteFile(readme, []byte(before+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, begin+old); d != "" {
		t.Errorf("the screen in README.md is another (go test ./cmd/connlint/internal/tui -update draws it; -want +got):\n%s", d)
	}
}

func TestFold(t *testing.T) {
	ladder := line{marked: 3, spans: []span{{"  0.1   4 ", plain}, {"c", red}, {" │── 1:2 ──▶│  GET /" + strings.Repeat("x", 60) + " HTTP/1.1", plain}}}
	for _, tt := range []struct {
		line line
		w    int
		want []string
	}{
		{line{spans: []span{{"a b c", plain}}}, 5, []string{"a b c"}},
		{line{spans: []span{{"  one two ", plain}, {"three four", bold}}}, 15, []string{"  one two three", "      four"}},
		{line{spans: []span{{strings.Repeat("y", 25), plain}}}, 12, []string{"yyyyyyyyyyyy", "    yyyyyyyy", "    yyyyy"}},
		{line{spans: []span{{"日本語日本語", plain}}}, 5, []string{"日本", "語日", "本語"}},
		{ladder, 60, []string{"  0.1   4 c │── 1:2 ──▶│  GET", strings.Repeat(" ", 26) + "/" + strings.Repeat("x", 33), strings.Repeat(" ", 26) + strings.Repeat("x", 27), strings.Repeat(" ", 26) + "HTTP/1.1"}},
	} {
		var got []string
		for _, l := range tt.line.fold(tt.w) {
			text := ""
			for _, s := range l.spans {
				text += s.text
			}
			got = append(got, strings.TrimRight(text, " "))
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
	if lines := ladder.fold(60); lines[0].marked != 3 || lines[1].marked != 0 {
		t.Error("a mark is lost, or doubled")
	}
}

func TestFit(t *testing.T) {
	for _, tt := range []struct {
		n    int64
		w    int
		want string
	}{{0, 1, "0"}, {999, 3, "999"}, {1000, 5, "1,000"}, {1000, 4, "1k"}, {123_456, 6, "123k"}, {1_234_567, 6, "1,234k"}, {1_234_567, 5, "1M"}} {
		if got := fit(tt.n, tt.w); got != tt.want {
			t.Errorf("fit(%d, %d): %q, want %q", tt.n, tt.w, got, tt.want)
		}
	}
	if got := cutLeft("a/long/path/file.pcap", 10); got != "…file.pcap" {
		t.Errorf("cutLeft: %q", got)
	}
}

// TestAddressFilter holds that a whole address in a filter means that address
// alone.
func TestAddressFilter(t *testing.T) {
	const hosts = `
conn a 10.0.0.2:40000 > 10.0.0.9:80
conn b 10.0.0.24:40000 > 10.0.0.9:80
conn c 10.0.0.2:8080 > 10.0.0.9:8080
conn d [fd00::1]:40000 > [fd00::2]:80
+0 a handshake
+0 b handshake
+0 c handshake
+0 d handshake
`
	u := sit(t, feed(t, hosts), 80, 24)
	for filter, want := range map[string]int{"10.0.0.2": 2, "10.0.0.": 3, "10.0.0.9:80": 2, "10.0.0.9:80 10.0.0.2": 1, "fd00::1": 1, "[fd00::2]:80": 1, "fd00": 1, "10.0.0.1": 0} {
		u.press("3/<ctrl-u>" + filter + "<enter>")
		if n := len(u.model.tables[connections].rows); n != want {
			t.Errorf("%q: %d rows, want %d", filter, n, want)
		}
	}
	u.press("<esc>2")
	for u.model.chosen().pair.Client.String() != "10.0.0.24" {
		u.press("j")
	}
	u.press("<enter>").sees("1 of 4", "10.0.0.24:40000").misses("10.0.0.2:40000")
}

// TestReading goes away from a ladder while its packets are read.
func TestReading(t *testing.T) {
	f := feed(t, traffic)
	u := sit(t, f, 80, 24)
	m, cmd := Update(u.model, KeyMsg{Key: tcell.KeyEnter})
	ask := cmd.(TraceCmd)
	u.model = m
	u.sees("reading the connection's packets …")
	u.do(ReadMsg{ask.Conn, 0.42})
	u.sees("reading the connection's packets … 42 %")
	u.press("?").sees("go deeper")
	u.do(f.trace(context.Background(), ask, func(Msg) {}))
	u.sees("go deeper").press("<esc>").sees("connection 0", "SYN")
	// Again, as of a connection that goes on.
	u.press("nr").sees("connection 0", " a │")
	if c, ok := u.cmds[len(u.cmds)-1].(TraceCmd); !ok || c != ask {
		t.Errorf("r asks for %v", u.cmds[len(u.cmds)-1])
	}
	u.press("<esc>")
	if u.model.reading() != nil {
		t.Error("it is still read")
	}
	u.model = m // an error while the help is shown
	u.press("?")
	u.do(TraceMsg{Conn: ask.Conn, Err: errors.New("gone")})
	u.press("<esc>").sees("cannot draw the connection: gone").press("<esc>").sees("severity")
}

// TestFoot clicks on each key that is named at the foot of each view.
func TestFoot(t *testing.T) {
	each(t, func(u *user) {
		for _, view := range []string{"1", "2", "3", "1<enter>", "1e", "?", "1g", "2g"} {
			for i := 0; ; i++ {
				u.model.ByRule, u.model.ByServer, u.model.tables[findings].filter = false, false, ""
				u.model.refresh()
				u.press("1" + view)
				hints := u.model.hints()
				if i == len(hints) {
					break
				}
				h, before := hints[i], u.text()
				if !strings.Contains(before, h.key+" "+h.does) || h.x+h.width() >= u.model.Width {
					u.Errorf("view %s does not show %q at %d:\n%s", view, h.does, h.x, before)
				}
				u.cmds = nil
				u.do(MouseMsg{h.x, u.model.Height - 1, 0})
				if after := u.text(); after == before && len(u.cmds) == 0 && h.key != "n" {
					u.Errorf("view %s: nothing comes of a click on %q:\n%s", view, h.does, after)
				}
				if u.model.Paused {
					u.press("p")
				}
				if u.model.Prompt != nil {
					u.press("<esc>")
				}
			}
		}
	})
}

// TestEmpty looks at all views of a capture without connections, without
// packets, and of one that ends early.
func TestEmpty(t *testing.T) {
	u := sit(t, &Feed{Title: strings.Repeat("long/", 30) + "name.pcap", Color: true, Monitor: runner.NewMonitor(runner.MonitorOptions{})}, 80, 24)
	u.sees("no fault found so far", "…", "long/name.pcap", "1 Findings (0)")
	u.press("2").sees("no TCP connection yet").press("3").sees("no TCP connection yet")
	u.press("<enter>esgor<down>").sees("3 Connections (0)")
	u.do(SnapMsg{&runner.Snapshot{Result: &runner.Result{Err: errors.New("the file ends inside a record")}}, Stats{At: time.Unix(101, 0)}})
	u.sees("stopped early", "the file ends inside a record").press("1").sees("no fault found").misses("so far")
	u.press("2").sees("no TCP connection").misses("yet")
}

// save answers the last SaveCmd.
func (u *user) save() SavedMsg {
	u.Helper()
	c, ok := u.cmds[len(u.cmds)-1].(SaveCmd)
	if !ok {
		u.Fatalf("no SaveCmd: %v", u.cmds)
	}
	m := u.feed.save(context.Background(), c, u.model.Snap.Result).(SavedMsg)
	u.do(m)
	return m
}

func TestSaveFindings(t *testing.T) {
	u := sit(t, feed(t, traffic), 100, 24)
	for _, ext := range saveFormats() {
		path := filepath.Join(t.TempDir(), "f"+ext)
		u.press("/<ctrl-u>LAT001<enter>s").sees("save 1 finding to: findings.json")
		u.press("<ctrl-u>" + path + "<enter>")
		if m := u.save(); m.Err != nil {
			t.Fatal(m.Err)
		}
		u.sees("1 finding saved to")
		if b, err := os.ReadFile(path); err != nil || !strings.Contains(string(b), "LAT001") {
			t.Errorf("%s: %v %s", ext, err, b)
		}
		u.press("s<ctrl-u>" + path + "<enter>")
		if m := u.save(); m.Err == nil {
			t.Errorf("%s is overwritten", path)
		}
		u.sees("not saved")
	}
	u.press("s<ctrl-u><enter>").sees("no file named")
	u.press("s<ctrl-u>x.doc<enter>").sees(".json, .jsonl")
	n := len(u.cmds)
	u.press("s<esc>")
	if len(u.cmds) != n {
		t.Error("Esc saves")
	}
}

func TestSavePackets(t *testing.T) {
	for _, tt := range []struct {
		keys    string
		packets int
	}{{"3", 5}, {"3<enter>", 5}, {"2", 0}, {"2g", 0}} {
		u := sit(t, feed(t, traffic), 100, 24).press(tt.keys)
		path := filepath.Join(t.TempDir(), "p.pcapng")
		u.press("s").sees("packets to: ")
		u.press("<ctrl-u>" + path + "<enter>")
		if m := u.save(); m.Err != nil {
			t.Fatal(m.Err)
		}
		src, err := pcapfile.Open(path, pcapfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		res := runner.Run(src, options())
		if err := src.Close(); err != nil || res.Err != nil {
			t.Fatal(err, res.Err)
		}
		if tt.packets > 0 && (res.TCPConnections != 1 || int(res.Packets) != tt.packets) {
			t.Errorf("%s: %d packets on %d connections", tt.keys, res.Packets, res.TCPConnections)
		}
		if tt.packets == 0 && res.TCPConnections < 4 {
			t.Errorf("%s: %d connections saved", tt.keys, res.TCPConnections)
		}
	}
}

// TestHostile holds that nothing a packet says reaches the terminal but as
// printable text, and that it cannot colour it.
func TestHostile(t *testing.T) {
	f := feed(t, traffic)
	f.Title = "evil\x1b[31m.pcap"
	u := sit(t, f, 200, 60)
	for _, keys := range []string{"1", "2", "3", "3<home><enter>", "1/\x1b\u202e<enter>", "g"} {
		text := u.press(keys).text()
		for _, r := range text {
			if r != '\n' && (r < ' ' || r == 0x7f || r == '\u202e') {
				t.Errorf("after %q the screen holds %U:\n%s", keys, r, text)
			}
		}
		u.press("<esc><esc>")
	}
	u.press("3<home><enter>").sees(`\x1b]0;owned[red]\u202e`).press("2").sees(`e\x07vil[::r]`)
}

// TestNoColor holds that without colour nothing but attributes is used, and
// that with it the background stays the terminal's.
func TestNoColor(t *testing.T) {
	f := feed(t, traffic)
	for _, color := range []bool{true, false} {
		f.Color = color
		u := sit(t, f, 120, 40)
		colors := 0
		for _, keys := range []string{"1", "2", "3", "1<enter>", "?", "1e"} {
			u.press(keys).text()
			cells, _, _ := u.screen.GetContents()
			for _, c := range cells {
				fg, bg, _ := c.Style.Decompose()
				if bg != tcell.ColorDefault {
					t.Fatalf("%q: a cell has background %v", keys, bg)
				}
				if fg != tcell.ColorDefault {
					colors++
				}
			}
		}
		if color != (colors > 0) {
			t.Errorf("with color %v, %d cells have one", color, colors)
		}
	}
}

func TestManyFindings(t *testing.T) {
	f := feed(t, traffic)
	u := sit(t, f, 80, 24)
	snap := f.Monitor.Snapshot()
	res := *snap.Result
	snap.Result = &res // another one
	one := snap.Findings[0]
	for i := range 2 * maxRows {
		one.Fingerprint = fmt.Sprint(i)
		one.Cost = int64(i)
		snap.Findings = append(snap.Findings, one)
	}
	u.do(SnapMsg{snap, Stats{At: time.Unix(101, 0)}})
	if n := len(u.model.tables[findings].rows); n != maxRows {
		t.Errorf("%d rows, want %d", n, maxRows)
	}
	u.sees("1 Findings (10,002)", "the worst 5,000")
}

func TestLatestOnly(t *testing.T) {
	f := feed(t, traffic)
	u := sit(t, f, 100, 24)
	snap := f.Monitor.Snapshot()
	snap.Total.Conns = 1_000_000
	u.do(SnapMsg{snap, Stats{At: time.Unix(101, 0)}})
	u.press("3").sees("3 Connections (1,000,000)", "the 6 used last, by latest")
	u.press("/nowhere<enter>").sees("none of the 6 connections used last matches")
}

func TestTap(t *testing.T) {
	s, err := script.Parse("x", traffic)
	if err != nil {
		t.Fatal(err)
	}
	tap := NewTap(s.Source(0), 1<<20)
	var want []string
	var p capture.Packet
	for {
		if err := tap.Next(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint(p.Frame, p.Time, p.OrigLen, p.Link, p.Data))
	}
	src, err := tap.Recent()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if err := src.Next(&p); err == io.EOF {
			if i != len(want) {
				t.Errorf("%d packets kept of %d", i, len(want))
			}
			break
		}
		if got := fmt.Sprint(p.Frame, p.Time, p.OrigLen, p.Link, p.Data); got != want[i] {
			t.Errorf("packet %d: %s, want %s", i, got, want[i])
		}
	}
	r := ring{limit: 4 << 20}
	for range 100_000 {
		r.add(&capture.Packet{Data: make([]byte, 1000)})
	}
	if len(r.chunks) > 4 {
		t.Errorf("%d chunks of 1 MiB kept, want 4", len(r.chunks))
	}
	tap.Stop()
	if err := tap.Next(&p); err != io.EOF {
		t.Errorf("after Stop: %v", err)
	}
}

// shown is a screen whose text another goroutine may read.
type shown struct {
	tcell.SimulationScreen
	mu   sync.Mutex
	text string
}

func (s *shown) Show() {
	s.SimulationScreen.Show()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = screenText(s.SimulationScreen)
}

func (s *shown) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}

// TestRun runs the program on a simulated screen, keys and all.
func TestRun(t *testing.T) {
	f := feed(t, traffic)
	screen := &shown{SimulationScreen: tcell.NewSimulationScreen("UTF-8")}
	done := make(chan error)
	go func() { done <- Run(context.Background(), screen, *f) }()
	waitFor := func(s string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if text := screen.now(); strings.Contains(text, s) {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("the screen never shows %q:\n%s", s, text)
			}
		}
	}
	waitFor("LAT001")
	screen.InjectKey(tcell.KeyEnter, 0, 0)
	waitFor("connection 0")
	screen.InjectKey(tcell.KeyRune, '2', 0)
	waitFor("10.0.0.8:8080")
	screen.SetSize(100, 40)
	if err := screen.PostEvent(tcell.NewEventResize(100, 40)); err != nil {
		t.Fatal(err)
	}
	screen.InjectMouse(20, tabsAt, tcell.Button1, 0)
	screen.InjectKey(tcell.KeyRune, '3', 0)
	waitFor("10.0.0.1:40000")
	screen.InjectKey(tcell.KeyRune, 'q', 0)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Run(ctx, tcell.NewSimulationScreen("UTF-8"), *f); err != nil {
		t.Error(err)
	}
}
