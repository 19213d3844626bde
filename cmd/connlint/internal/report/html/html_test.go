package html_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	nethtml "golang.org/x/net/html"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/cmd/connlint/internal/report/html"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// evil tries to get out of text, of attributes, of elements and of SVG.
const evil = "\"'><script>alert(1)</script><img src=http://evil.test/x onerror=alert(1)></title></svg></style>{{.}}\x1b[31m\u202e\xff"

// shot is a capture as a page shows it.
type shot struct {
	*runner.Result
	html.Extra
}

// busy is a capture of n pairs with so many connections each, every word of
// which is hostile.
func busy(pairs, conns int) shot {
	return traffic(pairs, conns, func(conn int) int { return 1 + conn%3 })
}

// traffic is busy with as many requests, and stalls, on a connection as uses
// says.
func traffic(pairs, conns int, uses func(conn int) int) shot {
	c := shot{Result: &runner.Result{File: "dir/" + evil + ".pcap", Packets: 7, First: 1, Last: int64(time.Hour), HTTPConnections: uint64(pairs * conns)},
		Extra: html.Extra{Ladders: map[int]*html.Ladder{}}}
	for _, g := range html.Groups(rules.Defaults()) {
		c.Groups = append(c.Groups, g.New(nil))
	}
	id := uint64(0)
	for p := range pairs {
		server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(p >> 8), byte(p)}), 80)
		for k := range conns {
			id++
			at := int64(id) * int64(time.Millisecond)
			conn := &lifecycle.Conn{ID: id, Client: netip.MustParseAddrPort("10.0.0.1:40000"), Server: server, ClientKnown: true, Protocol: http1.HTTP1,
				Start: at, Last: at + int64(1200*time.Millisecond), Requests: 1, Outcome: lifecycle.Finished}
			conn.End[http1.Client].SYN = lifecycle.Mark{Time: at, Frame: id}
			conn.Established = lifecycle.Mark{Time: at + 1e6, Frame: id}
			conn.End[http1.Client].FIN = lifecycle.Mark{Time: at + int64(time.Second), Frame: id}
			step := int64(900*time.Millisecond) / int64(uses(k))
			for n := range uses(k) {
				t := &http1.Transaction{Host: []byte(evil), Outcome: http1.Answered}
				t.Req.First = http1.Mark{Time: at + 2e6 + int64(n)*step, Frame: id}
				t.Resp.First = http1.Mark{Time: t.Req.First.Time + step/2, Frame: id}
				t.Resp.Last = t.Resp.First
				c.Groups[0].Add(&rules.UsageFact{Transaction: t, Party: rules.PartyOf(conn)}, 0)
				c.Groups[1].Add(&rules.StallFact{Stall: &timing.Stall{AckDelay: 40 * time.Millisecond, Next: http1.Mark{Time: t.Req.First.Time, Frame: id}}, Party: rules.PartyOf(conn)}, 0)
			}
			c.Groups[0].Add(&rules.UsageFact{Party: rules.PartyOf(conn)}, 0)
		}
		s := runner.Series{Start: 0, Width: 1e9}
		for i := range int64(128) {
			s.Open, s.Idle, s.TimeWait = append(s.Open, i), append(s.Idle, i/2), append(s.TimeWait, 200*i)
		}
		c.Pairs = append(c.Pairs, runner.PairRow{Client: netip.MustParseAddr("10.0.0.1"), Server: server, Host: evil, Series: s})
	}
	return c
}

// findings adds n hostile findings, each with a ladder.
func findings(c *shot, n int) {
	rule := &rules.Rule{Code: "LAT001", Name: "nagle-delayed-ack", Doc: rules.Doc{Title: "a fault", Harm: strings.Repeat("It hurts. ", 30)}}
	trace := &runner.Trace{Number: 3}
	var frames []uint64
	for i := range uint64(500) {
		trace.Rows = append(trace.Rows, runner.Row{Frame: i + 1, Time: int64(i) * 1e6, Side: http1.Side(i % 2), Flags: wire.ACK, Len: int(i % 3), Window: 100, Heads: []string{strings.Repeat(evil, 20)}})
		frames = append(frames, i+1)
	}
	drawn := html.DrawLadder(trace, []uint64{200, 201, 300})
	for i := range n {
		f := runner.Finding{Rule: rule, Occurrences: 2, Connections: 1, Finding: rules.Finding{Severity: rules.Warning, Frames: frames, Conn: 1, Cost: int64(i) * 1e6,
			Message: strings.Repeat(evil, 10), Fix: evil, Side: evil, Refs: []string{"RFC 896"}}}
		c.Findings = append(c.Findings, f)
		c.Ladders[i] = drawn
	}
}

func write(t *testing.T, unread []report.Unread, captures ...shot) string {
	t.Helper()
	r := &html.Report{Report: &report.Report{Version: "test", Unread: unread}, Config: rules.Defaults()}
	for _, c := range captures {
		r.Captures = append(r.Captures, c.Result)
		r.Extras = append(r.Extras, c.Extra)
	}
	var b bytes.Buffer
	if err := html.Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What belongs to an element that needs no end.
var void = []string{"meta", "br", "wbr", "img", "link", "input", "hr"}

// check holds a page to what every page must be: elements that end in order,
// nothing loaded, nothing run but what the policy's hashes name, and no
// character that HTML hides. It returns the attributes and texts by element.
func check(t *testing.T, page string) (elements map[string]int) {
	t.Helper()
	elements = map[string]int{}
	var open []string
	var policy, in string
	bodies := map[string]string{}
	ids := map[string]bool{}
	var wanted []string
	z := nethtml.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		if kind == nethtml.ErrorToken {
			break
		}
		tok := z.Token()
		switch kind {
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			elements[tok.Data]++
			isPolicy := false
			for _, a := range tok.Attr {
				key := strings.ToLower(a.Key)
				if strings.HasPrefix(key, "on") || key == "style" || key == "src" || key == "srcset" || key == "xlink:href" || key == "action" {
					t.Errorf("<%s> has %s=%q", tok.Data, a.Key, a.Val)
				}
				switch {
				case key == "href" && !strings.HasPrefix(a.Val, "#"):
					t.Errorf("a link out of the page: %q", a.Val)
				case key == "href":
					wanted = append(wanted, a.Val[1:])
				case key == "aria-labelledby" || key == "data-copies":
					wanted = append(wanted, a.Val)
				case key == "id":
					if ids[a.Val] {
						t.Errorf("two elements are #%s", a.Val)
					}
					ids[a.Val] = true
				case key == "http-equiv":
					isPolicy = a.Val == "Content-Security-Policy"
				case key == "content" && isPolicy:
					policy = a.Val
				}
			}
			if kind == nethtml.StartTagToken && !slices.Contains(void, tok.Data) {
				open = append(open, tok.Data)
				in = tok.Data
			}
		case nethtml.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("</%s> where %v are open", tok.Data, open)
			}
			open = open[:len(open)-1]
			in = ""
		case nethtml.TextToken:
			if in == "script" || in == "style" {
				bodies[in] += tok.Data
			}
		case nethtml.CommentToken:
			t.Errorf("a comment: %q", tok.Data)
		}
	}
	if len(open) > 0 {
		t.Errorf("%v never end", open)
	}
	for _, id := range wanted {
		if !ids[id] {
			t.Errorf("nothing is #%s", id)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for _, what := range []string{"style", "script"} {
		sum := sha256.Sum256([]byte(bodies[what]))
		if want := fmt.Sprintf("%s-src 'sha256-%s'", what, base64.StdEncoding.EncodeToString(sum[:])); !strings.Contains(policy, want) {
			t.Errorf("the policy %q does not allow the page's own: %s", policy, want)
		}
		if elements[what] != 1 {
			t.Errorf("%d of <%s>", elements[what], what)
		}
		if regexp.MustCompile(`url\(|@import|https?:|fetch\(|import\(`).MatchString(bodies[what]) {
			t.Errorf("the %s loads something", what)
		}
	}
	for _, r := range page {
		if r != '\n' && r != '\u00a0' && (r == unicode.ReplacementChar || !unicode.IsPrint(r)) {
			t.Errorf("%U gets out", r)
			break
		}
	}
	return elements
}

func TestEmpty(t *testing.T) {
	page := write(t, nil)
	check(t, page)
	if !strings.Contains(page, "No fault was found.") {
		t.Error("it does not say that nothing was found")
	}
	page = write(t, []report.Unread{{Err: errors.New(evil)}}, shot{Result: &runner.Result{File: "a.pcap"}})
	check(t, page)
}

// Whatever words a capture holds, they stay words; every part of the page is
// there.
func TestHostileWords(t *testing.T) {
	c := busy(2, 50)
	findings(&c, 3)
	page := write(t, []report.Unread{{Err: errors.New(evil)}}, c)
	elements := check(t, page)
	if elements["img"] > 0 {
		t.Error("an image of the capture's making")
	}
	if n := strings.Count(page, `<details class="finding`); n != 3 {
		t.Errorf("%d findings are shown, not 3", n)
	}
	// A ladder for each finding; timeline, series and histogram for each pair.
	if n := elements["figure"]; n != 3+2*3 {
		t.Errorf("%d figures", n)
	}
	for _, want := range []string{"frame.number in {1,2,", "28,232 ports", "Requests per connection", "Connections over time", `class="stall"`, `class="setup"`,
		`class="closing"`, `class="limit"`} {
		if !strings.Contains(page, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if first, last := strings.Index(page, "2.0\u00a0ms</span>"), strings.Index(page, "1.0\u00a0ms</span>"); first < 0 || last < first {
		t.Error("the most costly finding does not come first")
	}
}

// However much there is, a page stays below 5 MB.
func TestBounded(t *testing.T) {
	var all []shot
	var unread []report.Unread
	for range 30 {
		c := busy(40, 100)
		findings(&c, 300)
		all = append(all, c)
		unread = append(unread, report.Unread{Err: errors.New(strings.Repeat(evil, 1000))})
	}
	page := write(t, unread, all...)
	check(t, page)
	if len(page) > 5<<20 {
		t.Errorf("%d bytes", len(page))
	}
	full := write(t, nil, traffic(40, 30, func(int) int { return 300 })) // all that timelines hold
	if len(full) > 5<<20 || strings.Count(full, `class="timeline"`) < 5 {
		t.Errorf("%d bytes, %d timelines", len(full), strings.Count(full, `class="timeline"`))
	}
	for _, want := range []string{"… and 8,800 more", "… and 1,100 pairs more", "… and 10 captures more"} {
		if !strings.Contains(page, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

// Suppressed findings are not shown.
func TestSuppressed(t *testing.T) {
	c := busy(1, 1)
	findings(&c, 2)
	c.Findings[0].Suppressed = 1
	page := write(t, nil, c)
	check(t, page)
	if n := strings.Count(page, `<details class="finding`); n != 1 || !strings.Contains(page, "1 finding suppressed") {
		t.Errorf("%d findings are shown, not 1, or the other is not told of", n)
	}
}

// Colours can be told from what is behind them: 4.5 to 1 for text, 3 to 1 for
// bars and lines, which WCAG 2.2 asks for at level AA (§1.4.3, §1.4.11).
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("style.css")
	if err != nil {
		t.Fatal(err)
	}
	palettes := regexp.MustCompile(`:root\{([^}]*)\}`).FindAllStringSubmatch(string(css), -1)
	if len(palettes) != 3 {
		t.Fatalf("%d palettes, not light, dark and print", len(palettes))
	}
	for i, name := range []string{"light", "dark", "print"} {
		colors := map[string]string{}
		for _, m := range regexp.MustCompile(`--(\w+):#([0-9a-f]+)`).FindAllStringSubmatch(palettes[i][1], -1) {
			colors[m[1]] = m[2]
		}
		for _, c := range []struct {
			least float64
			fore  string
			backs string
		}{
			{4.5, "fg faint link error", "bg card hit"}, {4.5, "warning info good", "bg card"},
			{3, "setup busy idle closing stall wait good fg", "bg"}, {3, "good faint", "card"},
		} {
			for _, fore := range strings.Fields(c.fore) {
				for _, back := range strings.Fields(c.backs) {
					if r := contrast(t, colors[fore], colors[back]); r < c.least {
						t.Errorf("%s: %s on %s has %.2f to 1, not %.1f", name, fore, back, r, c.least)
					}
				}
			}
		}
	}
}

// contrast returns the contrast of two colours as WCAG 2.2 defines it.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(hex string) float64 {
		if len(hex) == 3 {
			hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
		}
		n, err := strconv.ParseUint(hex, 16, 24)
		if err != nil {
			t.Fatalf("no colour: %q", hex)
		}
		part := func(v uint64) float64 {
			c := float64(v&0xff) / 255
			if c <= 0.04045 {
				return c / 12.92
			}
			return math.Pow((c+0.055)/1.055, 2.4)
		}
		return 0.2126*part(n>>16) + 0.7152*part(n>>8) + 0.0722*part(n)
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
