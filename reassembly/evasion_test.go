package reassembly

import (
	"fmt"
	"strings"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

// What attackers and broken stacks send to be read differently by different
// receivers. Each script states the reading taken here; segments marked odd are
// those where another receiver may read something else.
func TestEvasion(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string
		odd  uint64 // Stats.Ambiguous
		oow  uint64 // Stats.OutOfWindow
	}{
		{"overlap of bytes held back, other content", opening + `
			> A 5 1 EVIL       {new,ooo}
			> A 3 1 ..good.    {new,overlap,ooo,odd}
			> A 1 1 ab         {new,ooo} | c:ab c:.. c:EVIL c:.
			finish | eof`, 1, 0},
		{"overlap of bytes held back, same content", opening + `
			> A 5 1 same       {new,ooo}
			> A 3 1 ..same.    {new,overlap,ooo}
			> A 1 1 ab         | c:ab c:.. c:same c:.
			finish | eof`, 0, 0},
		{"retransmission of bytes held back, other content", opening + `
			> A 5 1 EVIL       {new,ooo}
			> A 5 1 good       {retrans,odd}
			> A 1 1 abcd       | c:abcd c:EVIL
			finish | eof`, 1, 0},
		{"hole filled by more than the hole", opening + `
			> A 5 1 efgh       {new,ooo}
			> A 1 1 abcdEFGH   {new,overlap,ooo,odd} | c:abcd c:efgh
			finish | eof`, 1, 0},
		{"overlap of bytes delivered", opening + `
			> A 1 1 GET        {new}     | c:GET
			> A 1 1 PUT        {retrans}
			< A 1 4
			finish | eof`, 0, 0},
		{"decoy with a small hop limit or a bad checksum, first", opening + `
			> A 1 1 XXX        | c:XXX   // never reached the server
			> A 1 1 GET        {retrans}
			< A 1 4 OK         | s:OK
			finish | eof`, 0, 0},

		{"data in SYN, not taken, sent again otherwise", `
			> S 0 EVIL {new}   | open c:EVIL
			< SA 0 1           {odd}
			> A 1 1 good       {retrans}
			finish | eof`, 1, 0},
		{"data in SYN, taken", `
			> S 0 data         | open c:data
			< SA 0 5           {-}
			> A 5 1 more       | c:more
			finish | eof`, 0, 0},
		{"data in SYN-ACK", `
			> S 0              | open
			< SA 0 1 banner    {new} | s:banner
			> A 1 7            {ack}
			finish | eof`, 0, 0},

		{"urgent pointer", opening + `
			> AU 1 1 GEXT      {new,odd} | c:GEXT
			> AU 5 1           {ack,dup}
			finish | eof`, 1, 0},

		{"RST behind the window", opening + `
			> A 1 1 abcdef     | c:abcdef
			< A 1 7
			> R 3 1            {oow}
			> A 7 1 g          | c:g
			finish | eof`, 0, 1},
		{"RST before the window", opening + `
			> R 65538 1        {oow}
			> A 1 1 GET        | c:GET
			finish | eof`, 0, 1},
		{"RST with the last number in the window", opening + `
			> R 65536 1        {rst}
			+2001 < A 1 1      | ended
			finish`, 0, 0},
		{"RST forged in the window, its supposed sender goes on", opening + `
			> R 30000 1        {rst}
			+101 > A 1 1 GET   {new} | c:GET
			+3000 > FA 4 1     | c-FIN
			finish | eof`, 0, 0},
		{"FIN before the window", opening + `
			> FA 70000 1 EVIL  {oow}
			> A 1 1 GET        | c:GET
			> FA 4 1           {fin} | c-FIN
			< FA 1 5           | s-FIN
			> A 5 2            | ended
			finish`, 0, 1},
		{"FIN far behind", opening + `
			> A 1 1 abcdef     | c:abcdef
			< A 1 7
			> FA 2 1           {retrans}
			> A 7 1 ghi        | c:ghi
			finish | eof`, 0, 0},
		{"FIN in the window waits for what is before it", opening + `
			> FA 10 1          {ooo,fin}
			> A 1 1 abcdefghi  | c:abcdefghi c-FIN
			finish | eof`, 0, 0},
		{"bytes beyond the FIN", opening + `
			> FA 1 1 GET       | c:GET c-FIN
			> A 5 1 EVIL       {oow}
			> A 1 1 GETEVIL    {oow}
			finish | eof`, 0, 2},
		{"ACK of what was never sent", opening + `
			< A 1 1000000000   {ack,unseen}
			> A 1 1 GET        {new} | c:GET
			+200 > A 4 1 MORE  {new} | c:MORE
			finish | c-gap999999992 eof`, 0, 0},

		{"bytes beyond the window hold up nothing", opening + `
			> A 1000000 1 EVIL {new,ooo}
			> A 1 1 GET        {new,ooo} | c:GET
			< A 1 4 OK         | s:OK
			finish | c-gap999996 c:EVIL eof`, 0, 0},
		{"bytes half the number space away", opening + `
			> A 2147480000 1 E {oow}
			> A 1 1 GET        | c:GET
			finish | eof`, 0, 1},

		{"SYN with another ISN inside a connection", opening + `
			> A 1 1 GET        | c:GET
			> S 70000          | reused open(after 1 memo 7)
			< A 1 4            // challenge ACK: the server never took it
			> A 4 1 MORE       {oow}
			> A 8 1 YET        {oow}
			finish | eof`, 0, 2},
		{"the same SYN again inside a connection", opening + `
			> A 1 1 GET        | c:GET
			> S 0              {retrans,ooo}
			> A 4 1 MORE       | c:MORE
			finish | eof`, 0, 0},
		{"a late segment of the connection before", opening + `
			> FA 1 1 | c-FIN
			< FA 1 2 | s-FIN
			> A 2 2  | ended
			> S 70000          | open(after 1 memo 7)
			< SA 90000 70001
			> A 1 2 EVIL       {oow}
			> A 70001 90001 GET | c:GET
			finish | eof`, 0, 1},
		{"SYN and FIN at once", `
			> SF 0             {fin} | open c-FIN
			< SA 0 2
			finish | eof`, 0, 0},
		{"data without ACK", opening + `
			> P 1 1 GET        {new} | c:GET
			finish | eof`, 0, 0},
		{"all flags at once", opening + `
			> FSRPAU 1 1 GET   {rst}
			+2001 < A 1 1      | ended
			finish`, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, isn := range isns {
				t.Run(name, func(t *testing.T) {
					s := newScript(t, DefaultOptions(), isn)
					s.run(tt.text)
					checkEmpty(t, s.table)
					if st := &s.table.Stats; st.Ambiguous != tt.odd || st.OutOfWindow != tt.oow {
						t.Errorf("%d ambiguous, %d out of window, want %d and %d", st.Ambiguous, st.OutOfWindow, tt.odd, tt.oow)
					}
				})
			}
		})
	}
}

// work is a handler that counts what it is told.
type work struct{ data, gaps int }

func (w *work) Segment(*Conn[int], wire.Dir, *Segment, Kind) {}
func (w *work) Data(_ *Conn[int], _ wire.Dir, s *Span)       { w.data += len(s.Bytes) }
func (w *work) Gap(_ *Conn[int], _ wire.Dir, g *Gap)         { w.gaps += g.Len }
func (w *work) FIN(*Conn[int], wire.Dir, *Span)              {}
func (w *work) Close(*Conn[int], CloseReason) uint8          { return 0 }

// Every segment leaves a hole, and never does one fill it: what is held back
// stays within its caps, of one connection and of many, and all of it is
// counted.
func TestHeldIsBounded(t *testing.T) {
	for _, conns := range []int{1, 100} {
		t.Run(fmt.Sprint(conns), func(t *testing.T) {
			opts := DefaultOptions()
			opts.MaxHeld, opts.MaxHeldByConn = 1<<20, 1<<18
			var w work
			table := NewTable[int](&w, opts)
			const n = 100_000
			sent, most := 0, 0
			for i := range n {
				s := Segment{Time: 1e18 + int64(i)*1000, Frame: uint64(i + 1), Flags: wire.ACK, Payload: []byte(strings.Repeat("x", i%100+2))}
				s.Flow = wire.Flow{SrcPort: uint16(i % conns), DstPort: 80}
				s.Flow.Dst[15] = 1
				s.Hash = s.Flow.Hash()
				s.Len = len(s.Payload)
				s.Seq = wire.Seq(i / conns * 200)
				sent += s.Len
				table.Feed(&s)
				most = max(most, table.pieces.held)
			}
			table.Finish()
			if most > opts.MaxHeld || len(table.pieces.list)*512 > 2*opts.MaxHeld {
				t.Errorf("held %d bytes, in %d pieces", most, len(table.pieces.list))
			}
			if w.data != sent {
				t.Errorf("%d bytes delivered of %d", w.data, sent)
			}
			if table.Stats.Gaps == 0 || table.Stats.HeldTooMuch == 0 {
				t.Errorf("nothing is counted: %+v", table.Stats)
			}
			checkEmpty(t, table)
		})
	}
}
