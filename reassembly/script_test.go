package reassembly

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/connlint/connlint/capture/wire"
)

// A script is a connection, one segment a line:
//
//	[+MS] > FLAGS SEQ [ACK] [DATA or #LEN] [w=WINDOW ws=SHIFT mss=N cut=N] [{KINDS}] [| EVENTS]
//
// Numbers are relative to the ISNs, time passes by one millisecond a segment
// where nothing else is said, and > is the client. What the table tells of
// because of the segment must be EVENTS, none without.
type script struct {
	t      *testing.T
	table  *Table[int]
	isn    [2]wire.Seq // client, server
	now    int64
	frame  uint64
	client wire.Dir
	flow   wire.Flow
	kind   Kind
	events []string
	nxt    map[uint64]*[2]wire.Seq // by connection: what must come next
	conn   *Conn[int]
	live   int
}

func newScript(t *testing.T, opts Options, isn [2]wire.Seq) *script {
	s := &script{t: t, isn: isn, now: 1e18, nxt: map[uint64]*[2]wire.Seq{}}
	s.flow = wire.Flow{SrcPort: 40000, DstPort: 80}
	s.flow.Src[15], s.flow.Dst[15] = 1, 2
	_, s.client = s.flow.Canonical()
	s.table = NewTable[int](s, opts)
	return s
}

func (s *script) side(d wire.Dir) string {
	if d == s.client {
		return "c"
	}
	return "s"
}

func (s *script) Segment(c *Conn[int], d wire.Dir, seg *Segment, k Kind) {
	s.kind, s.conn = k, c
	if k.Has(First) {
		s.live++
		if c.State != 0 {
			s.t.Errorf("frame %d: the state of a new connection is %d", seg.Frame, c.State)
		}
		e := "open"
		if c.Prev.ID != 0 {
			e += fmt.Sprintf("(after %d memo %d)", c.Prev.ID, c.Prev.Memo)
		}
		s.events = append(s.events, e)
		s.nxt[c.ID] = new([2]wire.Seq)
	}
	c.State++
}

func (s *script) next(c *Conn[int], d wire.Dir, seq wire.Seq, n int) {
	want := &s.nxt[c.ID][d]
	if c.State&(1<<(20+d)) != 0 && *want != seq {
		s.t.Errorf("connection %d: %s bytes at %d, want %d", c.ID, s.side(d), seq, *want)
	}
	c.State |= 1 << (20 + d)
	*want = seq.Add(n)
}

func (s *script) Data(c *Conn[int], d wire.Dir, sp *Span) {
	s.next(c, d, sp.Seq, len(sp.Bytes))
	b := string(sp.Bytes)
	if len(b) > 20 {
		b = "#" + strconv.Itoa(len(b))
	}
	s.events = append(s.events, s.side(d)+":"+b)
}

func (s *script) Gap(c *Conn[int], d wire.Dir, g *Gap) {
	s.next(c, d, g.Seq, g.Len)
	what := "-gap"
	if g.Cut {
		what = "-cut"
	}
	s.events = append(s.events, s.side(d)+what+strconv.Itoa(g.Len))
}

func (s *script) FIN(c *Conn[int], d wire.Dir, sp *Span) {
	s.next(c, d, sp.Seq, 1)
	s.events = append(s.events, s.side(d)+"-FIN")
}

func (s *script) Close(c *Conn[int], why CloseReason) uint8 {
	s.live--
	s.events = append(s.events, [...]string{"ended", "reused", "idle", "full", "eof"}[why])
	return 7
}

var kindNames = []string{"new", "retrans", "overlap", "ooo", "ka", "zwp", "ack", "dup", "win", "fin", "rst", "oow", "unseen", "first", "odd"}

func kinds(k Kind) string {
	var out []string
	for i, n := range kindNames {
		if k&(1<<i) != 0 && Kind(1<<i) != First {
			out = append(out, n)
		}
	}
	return strings.Join(out, ",")
}

func (s *script) parse(line string) (seg Segment, want string, wantKind string, ok bool) {
	line, _, _ = strings.Cut(line, " //")
	line, want, _ = strings.Cut(line, "|")
	f := strings.Fields(line)
	step := 1.0
	if f[0][0] == '+' {
		step, _ = strconv.ParseFloat(f[0][1:], 64)
		f = f[1:]
	}
	s.now += int64(step * 1e6)
	want = strings.TrimSpace(want)
	if f[0] == "finish" {
		return seg, want, "", false
	}
	s.frame++
	side := 0
	seg = Segment{Time: s.now, Frame: s.frame, Flow: s.flow, Window: 1000}
	if f[0] == "<" {
		side, seg.Flow = 1, s.flow.Reverse()
	}
	seg.Hash = seg.Flow.Hash()
	for _, c := range f[1] {
		seg.Flags |= 1 << strings.IndexRune("FSRPAUEW", c)
	}
	nums := 0
	for _, a := range f[2:] {
		switch key, val, _ := strings.Cut(a, "="); {
		case a[0] == '{':
			wantKind = strings.Trim(a, "{}")
			if wantKind == "" {
				wantKind = "-"
			}
		case val != "" && key == "w":
			n, _ := strconv.Atoi(val)
			seg.Window = uint16(n)
		case val != "" && key == "ws":
			n, _ := strconv.Atoi(val)
			seg.Options = append(seg.Options, 3, 3, byte(n), 1)
		case val != "" && key == "mss":
			n, _ := strconv.Atoi(val)
			seg.Options = binary.BigEndian.AppendUint16(append(seg.Options, 2, 4), uint16(n))
		case val != "" && key == "cut":
			n, _ := strconv.Atoi(val)
			seg.Payload = seg.Payload[:n]
		case a[0] == '#':
			n, _ := strconv.Atoi(a[1:])
			seg.Payload, seg.Len = bytes.Repeat([]byte{'x'}, n), n
		case nums < 2 && (a[0] >= '0' && a[0] <= '9' || a[0] == '-'):
			n, _ := strconv.Atoi(a)
			if nums == 0 {
				seg.Seq = s.isn[side].Add(n)
			} else {
				seg.Ack = s.isn[1-side].Add(n)
			}
			nums++
		default:
			seg.Payload, seg.Len = []byte(a), len(a)
		}
	}
	return seg, want, wantKind, true
}

func (s *script) run(text string) {
	s.t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		seg, want, wantKind, ok := s.parse(line)
		s.events, s.kind = nil, 0
		if ok {
			s.table.Feed(&seg)
		} else {
			s.table.Finish()
		}
		if got := strings.Join(s.events, " "); got != want {
			s.t.Errorf("%s\n got %q", line, got)
		}
		if wantKind == "-" {
			wantKind = ""
			if s.kind&^First != 0 {
				s.t.Errorf("%s\n is %s", line, kinds(s.kind))
			}
		}
		if wantKind != "" && kinds(s.kind) != wantKind {
			s.t.Errorf("%s\n is {%s}", line, kinds(s.kind))
		}
	}
}

// isns are pairs of ISNs that every script runs with: plain ones, and ones
// that wrap early, together and apart.
var isns = map[string][2]wire.Seq{
	"plain":    {1000, 700000},
	"wrap":     {0xfffffffe, 0xfffffffd},
	"wrapped":  {0xffffffff, 0x7ffffffe},
	"wraplate": {0x7fffffff, 0xfffff000},
}

const opening = `
> S 0 mss=1460   {-}   | open
< SA 0 1 mss=1400 {-}
> A 1 1          {ack}
`

func TestScripts(t *testing.T) {
	small := DefaultOptions()
	small.MaxHeldByConn = 3 * 2600
	for _, tt := range []struct {
		name string
		opts *Options
		text string
	}{
		{"one request", nil, opening + `
			> PA 1 1 GET     {new}   | c:GET
			< A 1 4          {ack}
			< PA 1 4 OK      {new}   | s:OK
			> A 4 3          {ack}
			> FA 4 3         {fin}   | c-FIN
			< FA 3 5         {fin}   | s-FIN
			> A 5 4          {ack}   | ended
			finish`},
		{"handshake repeated", nil, `
			> S 0       {-}        | open
			> S 0       {retrans}
			< SA 0 1    {-}
			< SA 0 1    {retrans}
			> A 1 1     {ack}
			finish | eof`},
		{"SYN-ACK overtakes the SYN", nil, `
			< SA 0 1    {-}  | open
			> S 0       {-}
			> A 1 1
			> PA 1 1 GET | c:GET
			finish | eof`},
		{"SYN late by two", nil, `
			< SA 0 1    | open
			> A 1 1
			> S 0
			> PA 1 1 GET {new} | c:GET
			finish | eof`},
		{"data overtake the SYN", nil, `
			> PA 1 1 GET      | open c:GET
			> S 0      {ooo}
			< SA 0 1
			> PA 4 1 MORE {new} | c:MORE
			finish | eof`},
		{"FIN before the SYN-ACK is not of this connection", nil, `
			> S 0 | open
			< FA 1 1 {oow}
			< SA 0 1 {-}
			> A 1 1
			< A 1 1 OK | s:OK
			< FA 3 1 {fin} | s-FIN
			finish | eof`},
		{"FIN, SYN-ACK not captured", nil, `
			> S 0 | open
			> A 1 1
			> A 1 1 GET | c:GET
			< FA 1 4 OK {new,fin} | s:OK s-FIN
			finish | eof`},
		{"FIN alone, SYN-ACK not captured", nil, `
			> S 0 | open
			> A 1 1
			< FA 1 1 {fin} | s-FIN
			finish | eof`},
		{"server chooses another ISN", nil, `
			> S 0       | open
			< SA 0 1
			< SA 9000 1 {-}
			> A 1 9001
			< PA 9001 1 HI | s:HI
			finish | eof`},
		{"stale SYN-ACK once the ISN is taken up", nil, opening + `
			< SA 9000 1 {oow}
			< PA 1 1 HI | s:HI
			finish | eof`},

		{"mid-stream, client first", nil, `
			> PA 500 900 GET {new}     | open c:GET
			< PA 900 503 OK  {new}     | s:OK
			finish | eof`},
		{"mid-stream, server first", nil, `
			< PA 900 500 TAIL {new}    | open s:TAIL
			> PA 500 904 GET  {new}    | c:GET
			finish | eof`},
		{"mid-stream, ACK first", nil, `
			> A 500 900 {ack}          | open
			< PA 900 500 TAIL {new}    | s:TAIL
			> PA 500 904 GET {new}     | c:GET
			finish | eof`},
		{"mid-stream, bytes in flight at the start are a gap", nil, `
			> A 500 900              | open
			< A 1000 500 LATE {new,ooo}
			finish | s-gap100 s:LATE eof`},
		{"mid-stream, bytes in flight come late", nil, `
			> A 500 900              | open
			< A 904 500 LATE
			< A 900 500 MUCH         | s:MUCH s:LATE
			finish | eof`},
		{"mid-stream, empty keep-alive first", nil, `
			> A 499 900              | open
			< A 900 500 {ack}
			> PA 500 900 GET {new}   | c:GET
			finish | eof`},
		{"mid-stream, keep-alive of one byte first", nil, `
			> A 499 900 x {ka}       | open
			< A 900 500
			> PA 500 900 GET {new}   | c:GET
			finish | eof`},
		{"mid-stream, keep-alive after the other side's ACK", nil, `
			< A 900 500              | open
			> A 499 900 x {ka}
			> PA 500 900 GET {new}   | c:GET
			finish | eof`},

		{"mid-stream, a byte missing that is no keep-alive's", nil, `
			> FA 501 903             | open c-FIN
			< A 901 501 ab {new}     | s:ab
			> A 502 904 {ack,unseen}
			< A 904 502 d {new,ooo}
			finish | s-gap1 s:d eof`},

		{"retransmission", nil, opening + `
			> PA 1 1 abcdef          | c:abcdef
			> PA 1 1 abcdef {retrans}
			> PA 1 1 abc    {retrans}
			> PA 3 1 cdef   {retrans}
			> PA 3 1 cdefgh {new,overlap} | c:gh
			> PA 9 1 i {new}         | c:i
			finish | eof`},
		{"first copy wins", nil, opening + `
			> PA 1 1 aaaa    | c:aaaa
			> PA 1 1 bbbbcc  {new,overlap} | c:cc
			finish | eof`},
		{"first copy wins among bytes held", nil, opening + `
			> PA 5 1 bb        {new,ooo}
			> PA 9 1 dd        {new,ooo}
			> PA 3 1 XXXXXXXXXX {new,overlap,ooo,odd}
			> PA 4 1 YYYYYYYYYYYY {new,overlap,odd}
			> PA 5 1 ZZZZZZ    {retrans,odd}
			> PA 1 1 aa        {new,ooo} | c:aa c:XX c:bb c:XX c:dd c:XX c:YYY
			finish | eof`},
		{"out of order", nil, opening + `
			> A 4 1 def {new,ooo}
			> A 1 1 abc {new,ooo}   | c:abc c:def
			> A 7 1 ghi {new}       | c:ghi
			finish | eof`},
		{"held bytes sent again", nil, opening + `
			> A 4 1 def
			> A 4 1 def {retrans}
			> A 1 1 abcdef {new,overlap,ooo} | c:abc c:def
			finish | eof`},

		{"capture loss, time", nil, opening + `
			> A 1 1 aaa          | c:aaa
			> A 7 1 ccc
			+500 < A 1 4
			+500 < A 1 10  {ack}
			+100 > A 10 1 ddd
			+0.1 > A 13 1 eee    | c-gap3 c:ccc c:ddd c:eee
			finish | eof`},
		{"capture loss, nothing behind it yet", nil, opening + `
			> A 1 1 aaa          | c:aaa
			< A 1 7 {ack,unseen}
			+500 < A 1 7
			> A 7 1 ccc {new,ooo}   | c-gap3 c:ccc
			finish | eof`},
		{"capture loss, several holes share their wait", nil, opening + `
			> A 2 1 b
			> A 4 1 d
			> A 6 1 f
			< A 1 7
			+101 > A 7 1 g | c-gap1 c:b c-gap1 c:d c-gap1 c:f c:g
			finish | eof`},
		{"capture loss, part of the hole acknowledged", nil, opening + `
			> A 9 1 i
			< A 1 5
			+101 < A 1 5 {ack,dup} | c-gap4
			+500 > A 5 1 efgh | c:efgh c:i
			finish | eof`},
		{"hole acknowledged, shuffled", nil, opening + `
			> A 4 1 def
			< A 1 7
			+99 > A 1 1 abc | c:abc c:def
			finish | eof`},
		{"hole not acknowledged", nil, opening + `
			> A 4 1 def
			+1000 < A 1 1 {ack,dup}
			+1000 > A 7 1 ghi
			+9000 > A 1 1 abc | c:abc c:def c:ghi
			finish | eof`},
		{"hole not acknowledged, capture ends", nil, opening + `
			> A 4 1 def
			> A 9 1 ijk
			finish | c-gap3 c:def c-gap2 c:ijk eof`},
		{"tail lost", nil, opening + `
			> A 1 1 abc | c:abc
			< A 1 20
			finish | c-gap16 eof`},
		{"snapshot length", nil, opening + `
			> A 1 1 #100 cut=4       | c:xxxx c-cut96
			> A 101 1 #100 cut=0     | c-cut100
			> A 301 1 #100 cut=4
			> A 201 1 #150 cut=120   | c:#100 c:xxxx c-cut96
			finish | eof`},
		{"snapshot length, in bytes held and split", nil, opening + `
			> A 11 1 bb
			> A 5 1 #10 cut=2
			> A 1 1 aaaa | c:aaaa c:xx c-cut4 c:bb c-cut2
			finish | eof`},

		{"keep-alive, empty", nil, opening + `
			> A 1 1 GET          | c:GET
			< A 1 4
			+9000 > A 3 1 {ka}
			< A 1 4 {ack,dup}
			> A 4 1 MORE {new} | c:MORE
			finish | eof`},
		{"keep-alive, one byte", nil, opening + `
			> A 1 1 GET          | c:GET
			< A 1 4
			+9000 > A 3 1 x {ka}
			< A 1 4
			> A 4 1 MORE {new} | c:MORE
			finish | eof`},
		{"last byte sent again before its ACK is no keep-alive", nil, opening + `
			> A 1 1 G            | c:G
			> A 1 1 G {retrans}
			finish | eof`},
		{"zero-window probe, old byte", nil, opening + `
			> A 1 1 abc          | c:abc
			< A 1 4 w=0
			+300 > A 3 1 {zwp}
			< A 1 4 w=0 {ack,dup}
			< A 1 4 w=500 {ack,win}
			> A 4 1 def {new}    | c:def
			finish | eof`},
		{"zero-window probe, new byte", nil, opening + `
			> A 1 1 abc          | c:abc
			< A 1 4 w=0
			+300 > A 4 1 d {zwp} | c:d
			+300 > A 4 1 d {zwp}
			< A 1 5 w=500 {ack}
			> A 5 1 ef {new}     | c:ef
			finish | eof`},

		{"simultaneous open", nil, `
			> S 0 | open
			< S 0
			> SA 0 1 {retrans}
			< SA 0 1 {retrans}
			> A 1 1 hi | c:hi
			< A 1 3 ho | s:ho
			finish | eof`},
		{"simultaneous close", nil, opening + `
			> FA 1 1 {fin} | c-FIN
			< FA 1 1 {fin} | s-FIN
			> A 2 2
			< A 2 2 | ended
			finish`},
		{"half-close", nil, opening + `
			> FA 1 1 GET {new,fin} | c:GET c-FIN
			< A 1 5
			< A 1 5 abc | s:abc
			> A 5 4 {ack}
			< A 4 5 def | s:def
			> A 5 7 {ack}
			< FA 7 5 | s-FIN
			> A 5 8 {ack} | ended
			finish`},
		{"data after FIN", nil, opening + `
			> FA 1 1 | c-FIN
			> A 2 1 abc {oow}
			> A 1 1 abc {oow}
			< FA 1 2 | s-FIN
			> A 2 2 | ended
			finish`},
		{"FIN repeated", nil, opening + `
			> FA 1 1 | c-FIN
			> FA 1 1 {retrans}
			< A 1 2
			finish | eof`},
		{"FIN before missing data", nil, opening + `
			> FA 4 1 {ooo,fin}
			> A 1 1 abc {new,ooo} | c:abc c-FIN
			finish | eof`},
		{"FIN with data before missing data", nil, opening + `
			> FA 4 1 def {new,ooo,fin}
			> A 1 1 abc | c:abc c:def c-FIN
			finish | eof`},
		{"FIN behind lost data", nil, opening + `
			> FA 4 1
			< FA 1 5 {fin}   // acknowledges what has not been delivered
			> A 5 2
			+2100 > A 5 2 | c-gap3 c-FIN s-FIN ended
			finish`},
		{"lost FIN", nil, opening + `
			> A 1 1 abc | c:abc
			< FA 1 5 {fin,unseen}
			> A 5 2 {ack}
			finish | s-FIN eof`},
		{"lost FIN, the other side goes on", nil, opening + `
			> A 1 1 abc | c:abc
			< A 1 5 {ack,unseen}
			< A 1 5 def
			+101 < A 4 5 ghi | s:def s:ghi
			< A 7 5 jkl | s:jkl
			> A 5 4 {ack}
			finish | eof`},
		{"FIN sent short of data already acknowledged", nil, opening + `
			> A 1 1 abcdef | c:abcdef
			< A 1 7
			> FA 3 1 {retrans}
			> A 7 1 gh | c:gh
			finish | eof`},
		{"bytes held beyond a FIN", nil, opening + `
			> A 6 1 fghi
			> FA 4 1 def {new,overlap,ooo,fin}
			> A 1 1 abc | c:abc c:de c:f c-FIN
			finish | eof`},

		{"RST", nil, opening + `
			> A 1 1 GET | c:GET
			< RA 1 4 {rst}
			> A 4 1 xy | c:xy   // was under way
			< R 1 {rst}
			finish | ended`},
		{"RST, then silence", nil, opening + `
			> RA 1 1 {rst}
			+3000 > A 1 1 | ended
			+3000 < A 1 1 late
			finish`},
		{"RST out of window", nil, opening + `
			> R 90000 1 {oow}
			> R -500 1 {oow}
			> A 1 1 GET | c:GET
			finish | eof`},
		{"RST whose sender goes on", nil, opening + `
			> R 20 1 {rst}
			+200 > A 1 1 GET | c:GET
			+5000 > A 4 1 MORE | c:MORE
			finish | eof`},
		{"RST releases what was held", nil, opening + `
			> A 4 1 def
			> R 7 {rst}
			+2001 < A 1 1 | c-gap3 c:def ended
			finish`},
		{"refused", nil, `
			> S 0 | open
			< RA 0 1 {rst}
			+5000 > S 0 | ended open(after 1 memo 7)
			< RA 0 1 {rst}
			finish | ended`},
		{"RST for an old SYN", nil, `
			> S 0 | open
			< RA 0 -5 {oow}
			< SA 0 1
			> A 1 1
			finish | eof`},

		{"4-tuple reused after FIN", nil, opening + `
			> FA 1 1 | c-FIN
			< FA 1 2 | s-FIN
			> A 2 2 | ended
			< FA 1 2             // late
			+10 > S 70000 | open(after 1 memo 7)
			< SA 90000 70001
			> A 70001 90001 GET | c:GET
			finish | eof`},
		{"4-tuple reused after one FIN", nil, opening + `
			> FA 1 1 | c-FIN
			> S 70000 | reused open(after 1 memo 7)
			finish | eof`},
		{"4-tuple reused after RST", nil, opening + `
			> RA 1 1
			> S 70000 | reused open(after 1 memo 7)
			finish | eof`},
		{"4-tuple reused without an end", nil, opening + `
			> A 1 1 GET | c:GET
			> S 70000 | reused open(after 1 memo 7)
			< SA 90000 70001
			finish | eof`},
		{"4-tuple reused, SYN-ACK overtakes the SYN", nil, opening + `
			> FA 1 1 | c-FIN
			< FA 1 2 | s-FIN
			> A 2 2 | ended
			< SA 90000 70001 | open(after 1 memo 7)
			> S 70000
			> A 70001 90001 GET | c:GET
			finish | eof`},
		{"4-tuple reused without an end, SYN-ACK overtakes the SYN", nil, opening + `
			> A 1 1 GET | c:GET
			< SA 90000 70001 | reused open(after 1 memo 7)
			> S 70000
			finish | eof`},
		{"4-tuple reused, SYN lost", nil, opening + `
			> FA 1 1 | c-FIN
			< FA 1 2 | s-FIN
			> A 2 2 | ended
			+1000 > A 9000000 400 GET | open(after 1 memo 7) c:GET
			finish | eof`},
		{"4-tuple reused with the same ISN", nil, opening + `
			> FA 1 1 | c-FIN
			> S 0 | reused open(after 1 memo 7)
			finish | eof`},
		{"4-tuple reused long after", nil, opening + `
			> FA 1 1 | c-FIN
			< FA 1 2 | s-FIN
			> A 2 2 | ended
			+600001 > S 70000 | open
			finish | eof`},
		{"late segments", nil, opening + `
			> FA 1 1 | c-FIN
			< FA 1 2 | s-FIN
			> A 2 2 | ended
			< FA 1 2
			> A 2 2
			< RA 2 2
			< A 1 1 abc
			+119000 > A 2 2
			finish`},

		{"Fast Open", nil, `
			> S 0 GET {new} | open c:GET
			< SA 0 4
			< A 1 4 OK | s:OK
			finish | eof`},
		{"Fast Open, data not taken", nil, `
			> S 0 GET | open c:GET
			< SA 0 1
			> PA 1 1 GET {retrans}
			< A 1 4 OK | s:OK
			finish | eof`},
		{"Fast Open, SYN-ACK with data", nil, `
			> S 0 GET | open c:GET
			< SA 0 4 OK | s:OK
			finish | eof`},
		{"offloaded segments", nil, opening + `
			< A 1 1 #65160 {new} | s:#65160
			< A 130321 1 #65160 {new,ooo}
			< A 65161 1 #65160 | s:#65160 s:#65160
			finish | eof`},

		{"one direction", nil, `
			> S 0 | open
			> A 1 1
			> A 1 1 GET | c:GET
			> FA 4 90 | c-FIN
			finish | eof`},
		{"one direction with loss", nil, `
			> A 1 1 abc | open c:abc
			> A 9 1 ijk
			+1000 > A 12 1 l
			+1100 > A 13 1 m | c-gap5 c:ijk c:l c:m
			finish | eof`},
		{"one direction, retransmitted in time", nil, `
			> A 1 1 abc | open c:abc
			> A 9 1 ijk
			+1000 > A 4 1 defgh | c:defgh c:ijk
			finish | eof`},

		{"response before its request", nil, opening + `
			< A 1 4 OK {new,unseen}
			> A 1 1 GET {new} | c:GET s:OK
			finish | eof`},
		{"response before its request, request lost", nil, opening + `
			< A 1 4 OK
			+50 < A 3 4 OK
			+51 < A 5 4 OK | c-gap3 s:OK s:OK s:OK
			finish | eof`},
		{"two exchanges shuffled", nil, opening + `
			< A 3 7 b2
			> A 4 3 GE2
			< A 1 4 b1
			> A 1 1 GE1 | c:GE1 s:b1 c:GE2 s:b2
			finish | eof`},
		{"both sides acknowledge what the other holds", nil, opening + `
			> A 2 2 y
			< A 2 3 z
			< A 1 1 a | s:a
			> A 1 1 b | c:b c:y s:z
			finish | eof`},
		{"acknowledgements that contradict each other", nil, opening + `
			> A 1 9 abc {new,unseen}
			< A 1 9 def {new,unseen} | c:abc
			+101 < A 4 9 ghi | c-gap5 s:def s:ghi
			finish | s-gap2 eof`},

		{"too much held", &small, opening + `
			> A 2 1 b
			> A 4 1 d
			> A 6 1 f
			> A 8 1 h | c-gap1 c:b c-gap1 c:d c-gap1 c:f c-gap1 c:h
			> A 7 1 g {retrans}
			finish | eof`},
		{"far ahead", nil, opening + `
			> A 70000000 1 x {oow}
			> A 1 1 abc | c:abc
			finish | eof`},
		{"far ahead, acknowledged", nil, opening + `
			> A 1 1 abc | c:abc
			< A 1 100000001 {ack,unseen}
			+101 > A 100000101 1 xyz {new,ooo} | c-gap99999997
			< A 1 100000101
			+101 < A 1 100000101 | c-gap100 c:xyz
			finish | eof`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, isn := range isns {
				t.Run(name, func(t *testing.T) {
					opts := DefaultOptions()
					if tt.opts != nil {
						opts = *tt.opts
					}
					s := newScript(t, opts, isn)
					s.run(tt.text)
					checkEmpty(t, s.table)
					if s.live != 0 {
						t.Errorf("%d connections were not closed", s.live)
					}
				})
			}
		})
	}
}

// checkEmpty checks that a finished table holds nothing back and that its
// parts agree.
func checkEmpty[S any](t interface {
	Errorf(string, ...any)
	Helper()
}, table *Table[S]) {
	t.Helper()
	if table.Live() != 0 {
		t.Errorf("%d connections after the end", table.Live())
	}
	p := &table.pieces
	if p.held != 0 || len(p.free) != len(p.list)-1 || p.oldest != 0 || p.newest != 0 {
		t.Errorf("held %d, %d of %d pieces free, oldest %d, newest %d", p.held, len(p.free), len(p.list), p.oldest, p.newest)
	}
	if table.lingerHead != 0 || table.lingerTail != 0 {
		t.Errorf("connections linger after the end")
	}
	used := 0
	for _, s := range table.slots {
		if s.ref != 0 {
			used++
			if s.ref&isTomb == 0 {
				t.Errorf("a slot refers to a closed connection")
			}
		}
	}
	if used != table.used || used > table.tombs.len() {
		t.Errorf("%d slots in use, counted %d, %d tombs", used, table.used, table.tombs.len())
	}
}

func TestPatienceSegments(t *testing.T) {
	s := newScript(t, DefaultOptions(), isns["wrap"])
	s.run(opening + `
		> A 4 1 def
		< A 1 7`)
	for range PatienceSegments {
		s.run(`+0.01 < A 1 7 {ack,dup}`)
	}
	s.run(`+0.01 < A 1 7 | c-gap3 c:def`)
}

func TestWindowScale(t *testing.T) {
	for _, tt := range []struct {
		name, syn, synAck string
		want              uint32
	}{
		{"both", "ws=7", "ws=2", 100 << 7},
		{"too far", "ws=40", "ws=2", 100 << 14},
		{"client only", "ws=7", "", 100},
		{"server only", "", "ws=7", 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, DefaultOptions(), isns["plain"])
			s.run(`> S 0 w=9 ` + tt.syn + ` | open`)
			if got := s.conn.Streams[s.client].Window; got != 9 {
				t.Errorf("window of the SYN is %d", got)
			}
			s.run(`< SA 0 1 ` + tt.synAck + `
				> A 1 1 w=100`)
			if got := s.conn.Streams[s.client].Window; got != tt.want {
				t.Errorf("window is %d, want %d", got, tt.want)
			}
		})
	}
}

func TestLegs(t *testing.T) {
	for _, tt := range []struct {
		name, text     string
		client, server time.Duration
	}{
		{"at the client", `
			> S 0 | open
			+20 < SA 0 1
			+0.1 > A 1 1`, 100 * time.Microsecond, 20 * time.Millisecond},
		{"at the server", `
			> S 0 | open
			+0.1 < SA 0 1
			+20 > A 1 1`, 20 * time.Millisecond, 100 * time.Microsecond},
		{"midway", `
			> S 0 | open
			+7 < SA 0 1
			+13 > A 1 1`, 13 * time.Millisecond, 7 * time.Millisecond},
		{"SYN sent twice", `
			> S 0 | open
			> S 0
			+1 < SA 0 1
			+13 > A 1 1`, 13 * time.Millisecond, -1},
		{"data sent twice", `
			> A 1 1 abc | open c:abc
			+300 > A 1 1 abc
			+1 < A 1 4
			> A 4 1 def | c:def
			+30 < A 1 7`, -1, 30 * time.Millisecond},
		{"the smallest counts", `
			> A 1 1 abc | open c:abc
			+40 < A 1 4
			> A 4 1 def | c:def
			+30 < A 1 7
			> A 7 1 ghi | c:ghi
			+50 < A 1 10`, -1, 30 * time.Millisecond},
		{"keep-alives are not timed", `
			> A 1 1 abc | open c:abc
			+40 < A 1 4
			> A 3 1
			+1 < A 1 4`, -1, 40 * time.Millisecond},
		{"bytes after it out of order", `
			> A 4 1 def | open c:def
			> A 10 1 jkl
			+1 > A 7 1 ghi | c:ghi c:jkl
			+1 < A 1 13`, -1, 3 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, DefaultOptions(), isns["wrap"])
			s.run(tt.text)
			c, v := s.conn.Streams[s.client].MinRTT, s.conn.Streams[s.client.Flip()].MinRTT
			if time.Duration(c) != tt.client || time.Duration(v) != tt.server {
				t.Errorf("legs are %v and %v, want %v and %v", time.Duration(c), time.Duration(v), tt.client, tt.server)
			}
		})
	}
}
