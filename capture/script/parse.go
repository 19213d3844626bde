package script

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/connlint/connlint/capture/wire"
)

// Script is a parsed fixture.
type Script struct {
	Name     string
	Wants    []Want
	Silent   bool     // "# silent": no finding at all
	Abstains []string // reasons of "# abstains"

	packets   []packet // in capture order
	snapLen   int
	dropped   uint64
	truncated bool
}

// Want is one expected finding.
type Want struct {
	Line     int
	Rule     string   // code or name
	Severity string   // "" for any
	Text     string   // part of its message
	Frames   []uint64 // its first frame is one of these; empty for any
}

// packet is one captured packet.
type packet struct {
	data    []byte // as captured
	origLen int
	clock   time.Duration // order of the capture
	stamp   int64
	line    int // index into parser.lines
}

// Error says what is wrong with a script, and where.
type Error struct {
	File string
	Line int
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// Parse reads a script. The name is for messages. The error is an [*Error].
func Parse(name, text string) (*Script, error) {
	p := &parser{
		script: &Script{Name: name},
		conns:  map[string]*conn{},
		start:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if err := p.block(strings.Split(text, "\n"), 1, nil); err != nil {
		err.File = path.Base(name)
		return nil, err
	}
	p.finish()
	return p.script, nil
}

// limits keep a typo from filling the memory.
const (
	maxPackets = 1 << 20
	maxRepeat  = 1 << 16
)

type parser struct {
	script *Script
	conns  map[string]*conn
	cur    *conn
	start  time.Time
	now    time.Duration // the script's clock
	offset time.Duration // of the stamps, by "clock"
	lineNo int
	runs   int          // packet lines run so far
	wants  []pendingOne // by run, not yet with frames
}

// pendingOne is a want that waits for the frame numbers of its line.
type pendingOne struct {
	want Want
	run  int // -1 for a line of its own
}

func (p *parser) errorf(format string, args ...any) *Error {
	return &Error{Line: p.lineNo, Text: fmt.Sprintf(format, args...)}
}

// block runs lines, the first of which is number first. i holds the repeat
// counter, nil outside of repeat.
func (p *parser) block(lines []string, first int, i *int) *Error {
	for n := 0; n < len(lines); n++ {
		p.lineNo = first + n
		line := lines[n]
		if i != nil {
			line = substitute(line, *i)
		}
		toks, comment, err := p.split(line)
		if err != nil {
			return err
		}
		if len(toks) > 0 && toks[0].text == "repeat" && !toks[0].quoted {
			body, err := p.repeatBody(lines[n+1:])
			if err != nil {
				return err
			}
			if len(toks) != 2 {
				return p.errorf("repeat takes one number")
			}
			count, cerr := strconv.Atoi(toks[1].text)
			if cerr != nil || count < 0 || count > maxRepeat {
				return p.errorf("repeat %s: not a number from 0 to %d", toks[1].text, maxRepeat)
			}
			for k := range count {
				if err := p.block(lines[n+1:n+1+body], first+n+1, &k); err != nil {
					return err
				}
			}
			n += body + 1
			continue
		}
		run := -1
		if len(toks) > 0 {
			if run, err = p.line(toks); err != nil {
				return err
			}
		}
		if err := p.comment(comment, run); err != nil {
			return err
		}
	}
	return nil
}

// repeatBody returns how many lines stand before the matching "end".
func (p *parser) repeatBody(lines []string) (int, *Error) {
	depth := 1
	for n, l := range lines {
		f := strings.Fields(l)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "repeat":
			depth++
		case "end":
			if depth--; depth == 0 {
				return n, nil
			}
		}
	}
	return 0, p.errorf("repeat without end")
}

// substitute replaces {i}, {N+i} and {i*N}. Other braces stay: JSON bodies
// have them.
func substitute(line string, i int) string {
	var b strings.Builder
	for {
		open := strings.IndexByte(line, '{')
		if open < 0 {
			break
		}
		end := strings.IndexByte(line[open:], '}')
		if end < 0 {
			break
		}
		v, ok := eval(line[open+1:open+end], i)
		if !ok {
			b.WriteString(line[:open+1])
			line = line[open+1:]
			continue
		}
		b.WriteString(line[:open])
		b.WriteString(strconv.Itoa(v))
		line = line[open+end+1:]
	}
	b.WriteString(line)
	return b.String()
}

// eval computes "i", "i*N", "N+i" and "N+i*M".
func eval(s string, i int) (int, bool) {
	if a, b, ok := strings.Cut(s, "+"); ok {
		x, ok1 := eval(a, i)
		y, ok2 := eval(b, i)
		return x + y, ok1 && ok2
	}
	if a, b, ok := strings.Cut(s, "*"); ok {
		x, ok1 := eval(a, i)
		y, ok2 := eval(b, i)
		return x * y, ok1 && ok2
	}
	if s == "i" {
		return i, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

type token struct {
	text   string
	quoted bool
}

// split cuts a line into words and quoted strings, and its comment off.
func (p *parser) split(line string) (toks []token, comment string, err *Error) {
	rest := line
	for {
		rest = strings.TrimLeft(rest, " \t\r")
		if rest == "" {
			return toks, "", nil
		}
		switch rest[0] {
		case '#':
			return toks, rest, nil
		case '"', '`':
			q, qerr := strconv.QuotedPrefix(rest)
			if qerr != nil {
				return nil, "", p.errorf("string %.20s... does not end, or has a bad escape", rest)
			}
			s, _ := strconv.Unquote(q)
			toks = append(toks, token{s, true})
			rest = rest[len(q):]
		default:
			end := strings.IndexAny(rest, " \t\r\"`")
			if end < 0 {
				end = len(rest)
			}
			toks = append(toks, token{rest[:end], false})
			rest = rest[end:]
		}
	}
}

// line runs one directive or packet line. It returns the number of the packet
// line, or -1.
func (p *parser) line(toks []token) (int, *Error) {
	head, args := toks[0].text, toks[1:]
	if toks[0].quoted {
		return -1, p.errorf("a line starts with a time (+0.040) or a directive, not a string")
	}
	switch head {
	case "conn":
		return -1, p.conn(args)
	case "end":
		return -1, p.errorf("end without repeat")
	case "truncated":
		p.script.truncated = true
		return -1, nil
	case "start", "clock", "snaplen", "dropped":
		if len(args) != 1 {
			return -1, p.errorf("%s takes one value", head)
		}
		v := args[0].text
		var err error
		switch head {
		case "start":
			p.start, err = time.Parse(time.RFC3339Nano, v)
		case "clock":
			p.offset, err = duration(v)
		case "snaplen":
			p.script.snapLen, err = strconv.Atoi(v)
		case "dropped":
			p.script.dropped, err = strconv.ParseUint(v, 10, 64)
		}
		if err != nil {
			return -1, p.errorf("%s %s: %v", head, v, err)
		}
		return -1, nil
	}
	if head[0] != '+' && head[0] != '@' {
		return -1, p.errorf("%q is no directive (conn, start, clock, snaplen, dropped, truncated, repeat) and no time (+0.040, @1.5)", head)
	}
	d, err := duration(head[1:])
	if err != nil || d < 0 {
		return -1, p.errorf("bad time %q: want +SECONDS or @SECONDS", head)
	}
	if head[0] == '+' {
		p.now += d
	} else {
		p.now = d
	}
	if len(args) == 0 {
		return -1, p.errorf("nothing after the time: want > or <, handshake or a connection's name")
	}
	if w := args[0].text; !args[0].quoted && w != ">" && w != "<" && w != "handshake" {
		c := p.conns[w]
		if c == nil {
			return -1, p.errorf("no connection is named %q; known: %s", w, strings.Join(p.names(), ", "))
		}
		p.cur = c
		args = args[1:]
	}
	if p.cur == nil {
		return -1, p.errorf("no conn line before the first packet")
	}
	if len(args) == 0 {
		return -1, p.errorf("nothing after the connection's name: want > or < or handshake")
	}
	run := p.runs
	p.runs++
	return run, p.packetLine(args, run)
}

func (p *parser) names() []string {
	var names []string
	for n := range p.conns {
		if n != "" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// duration reads seconds, or a number with Go's units.
func duration(s string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if f > 1e9 || f < -1e9 {
			return 0, fmt.Errorf("%s is beyond 1e9 s", s)
		}
		// Rounded: 0.040 has no exact float.
		return time.Duration(f*1e9 + 0.5*sign(f)), nil
	}
	return time.ParseDuration(s)
}

func sign(f float64) float64 {
	if f < 0 {
		return -1
	}
	return 1
}

// conn declares a connection.
func (p *parser) conn(args []token) *Error {
	name := ""
	if len(args) > 0 && (len(args) < 2 || args[1].text != ">") {
		name, args = args[0].text, args[1:]
	}
	if len(args) < 3 || args[1].text != ">" {
		return p.errorf("want conn [NAME] CLIENT:PORT > SERVER:PORT")
	}
	c := &conn{name: name}
	for i, a := range [2]string{args[0].text, args[2].text} {
		ap, err := netip.ParseAddrPort(a)
		if err != nil {
			return p.errorf("bad endpoint %q: want 10.0.0.1:80 or [2001:db8::1]:80", a)
		}
		c.side[i] = side{addr: ap, win: 64240, mss: 1460, wscale: -1, leg: 100 * time.Microsecond,
			isn: wire.Seq(1000000*(len(p.conns)+1) + 500000*i), id: 1}
		if ap.Addr().Is6() {
			c.side[i].mss = 1440
		}
	}
	if c.side[0].addr.Addr().Is4() != c.side[1].addr.Addr().Is4() {
		return p.errorf("IPv4 and IPv6 in one connection")
	}
	midstream := false
	for _, a := range args[3:] {
		key, val, _ := strings.Cut(a.text, "=")
		var err error
		switch key {
		case "ts":
			c.ts = true
		case "midstream":
			midstream = true
		case "at":
			p.now, err = duration(val)
		case "mss", "wscale", "isn", "win", "legs":
			first, second, two := strings.Cut(val, "/")
			if !two {
				second = first
			}
			for i, v := range [2]string{first, second} {
				if key == "legs" {
					c.side[i].leg, err = duration(v)
				} else {
					var n uint64
					if n, err = strconv.ParseUint(v, 0, 32); err == nil {
						err = c.side[i].set(key, n)
					}
				}
				if err != nil {
					break
				}
			}
		default:
			return p.errorf("unknown option %q of conn; known: mss, wscale, isn, win, legs, ts, midstream, at", a.text)
		}
		if err != nil {
			return p.errorf("%s: %v", a.text, err)
		}
	}
	for i := range c.side {
		s := &c.side[i]
		s.nxt = s.isn
		if midstream {
			s.nxt = s.isn.Add(1)
			s.rcv = c.side[1-i].isn.Add(1)
			s.heard = true
		}
	}
	p.conns[name] = c
	p.cur = c
	return nil
}

func (s *side) set(key string, n uint64) error {
	limit := map[string]uint64{"mss": 65535, "wscale": 14, "isn": 1<<32 - 1, "win": 65535}[key]
	if n > limit {
		return fmt.Errorf("more than %d", limit)
	}
	switch key {
	case "mss":
		s.mss = int(n)
	case "wscale":
		s.wscale = int(n)
	case "isn":
		s.isn = wire.Seq(n)
	case "win":
		s.win = uint16(n)
	}
	return nil
}

// comment takes the expectations out of a comment. run is the packet line it
// stands on, or -1.
func (p *parser) comment(s string, run int) *Error {
	for _, part := range strings.Split(s, "#") {
		word, rest, _ := strings.Cut(strings.TrimSpace(part), " ")
		switch word {
		case "silent":
			p.script.Silent = true
		case "abstains":
			f := strings.Fields(rest)
			if len(f) == 0 {
				return p.errorf("abstains names no reason")
			}
			p.script.Abstains = append(p.script.Abstains, f...)
		case "want":
			toks, _, err := p.split(rest)
			if err != nil {
				return err
			}
			if len(toks) == 0 || toks[0].quoted {
				return p.errorf("want names no rule")
			}
			for len(toks) > 0 {
				w := pendingOne{want: Want{Line: p.lineNo, Rule: toks[0].text}, run: run}
				toks = toks[1:]
				if len(toks) > 0 && !toks[0].quoted {
					switch toks[0].text {
					case "info", "warning", "error":
						w.want.Severity = toks[0].text
						toks = toks[1:]
					}
				}
				if len(toks) > 0 && toks[0].quoted {
					w.want.Text = toks[0].text
					toks = toks[1:]
				}
				p.wants = append(p.wants, w)
			}
		}
	}
	return nil
}

// finish puts the packets in capture order and gives the expectations their
// frames.
func (p *parser) finish() {
	s := p.script
	slices.SortStableFunc(s.packets, func(a, b packet) int { return cmp.Compare(a.clock, b.clock) })
	frames := make([][]uint64, p.runs)
	for i := range s.packets {
		pk := &s.packets[i]
		frames[pk.line] = append(frames[pk.line], uint64(i+1))
		if s.snapLen > 0 && len(pk.data) > s.snapLen {
			pk.data = pk.data[:s.snapLen]
		}
	}
	for _, w := range p.wants {
		if w.run >= 0 {
			w.want.Frames = frames[w.run]
		}
		s.Wants = append(s.Wants, w.want)
	}
}
