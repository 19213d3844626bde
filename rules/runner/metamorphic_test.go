package runner_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// The tests here ask what a recording shows once it was taken otherwise:
// another capture point, another link, packets seen twice or not at all. What
// is healthy stays so, and what was found stays found as long as nothing is
// missing.

// frame is a packet and what a transformation needs to know of it.
type frame struct {
	capture.Packet
	ip, tcp int // where these headers begin in Data; tcp is 0 for other traffic
	flags   wire.Flags
	payload int            // bytes on the wire
	toSrv   bool           // from client to server
	pair    wire.Flow      // client to server
	ether   wire.EtherType // of the network header
}

// memory is a source of packets in memory.
type memory struct {
	frames []frame
	next   int
	info   capture.Info
}

func (m *memory) Next(p *capture.Packet) error {
	if m.next == len(m.frames) {
		return io.EOF
	}
	*p = m.frames[m.next].Packet
	m.next++
	p.Frame = uint64(m.next)
	m.info.Bytes += uint64(len(p.Data))
	if !slices.Contains(m.info.LinkTypes, p.Link) {
		m.info.LinkTypes = append(m.info.LinkTypes, p.Link)
	}
	return nil
}

func (m *memory) Info() capture.Info { return m.info }
func (m *memory) Close() error       { return nil }

// load reads a capture file. An error that is a capture.ReadError says why not
// to its end.
func load(path string) ([]frame, error) {
	src, err := pcapfile.Open(path, pcapfile.Options{})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	var out []frame
	dec := capture.NewDecoder(capture.DecoderOptions{})
	servers := map[wire.Flow]bool{} // flows that begin at a client
	for {
		var p capture.Packet
		err := src.Next(&p)
		if err == io.EOF {
			return out, nil
		} else if err != nil {
			return out, err
		}
		var s capture.Segment
		tcp := dec.Decode(&p, &s)
		f := frame{Packet: p}
		f.Data, f.Block = bytes.Clone(p.Data), nil
		switch {
		case len(f.Data) < 20:
		case p.Link == capture.LinkEthernet:
			f.ip, f.ether = 14, wire.EtherType(binary.BigEndian.Uint16(f.Data[12:]))
		case p.Link == capture.LinkSLL:
			f.ip, f.ether = 16, wire.EtherType(binary.BigEndian.Uint16(f.Data[14:]))
		case p.Link == capture.LinkSLL2:
			f.ip, f.ether = 20, wire.EtherType(binary.BigEndian.Uint16(f.Data))
		}
		if f.ether != 0x0800 && f.ether != 0x86dd || len(f.Data) <= f.ip {
			f.ip = 0
		} else if tcp {
			f.tcp = f.ip + 40
			if f.ether == 0x0800 {
				f.tcp = f.ip + int(f.Data[f.ip]&15)*4
			}
			f.flags, f.payload = s.Flags, s.Len
			switch s.Flags & (wire.SYN | wire.ACK) {
			case wire.SYN:
				servers[s.Flow] = true
			case wire.SYN | wire.ACK:
				servers[s.Flow.Reverse()] = true
			}
			f.pair, f.toSrv = s.Flow, servers[s.Flow]
			if !f.toSrv && !servers[s.Flow.Reverse()] {
				f.toSrv = s.Flow.DstPort < s.Flow.SrcPort
			}
			if !f.toSrv {
				f.pair = s.Flow.Reverse()
			}
		}
		out = append(out, f)
	}
}

// transformation makes another capture of the same traffic. It must not
// change the frames it is given, nor their bytes.
type transformation struct {
	name string
	do   func([]frame) []frame
}

func each(f func(i int, p *frame)) func([]frame) []frame {
	return func(in []frame) []frame {
		out := slices.Clone(in)
		for i := range out {
			f(i, &out[i])
		}
		return out
	}
}

func keep(f func(i int, p *frame) bool) func([]frame) []frame {
	return func(in []frame) []frame {
		out := make([]frame, 0, len(in))
		for i := range in {
			if f(i, &in[i]) {
				out = append(out, in[i])
			}
		}
		return out
	}
}

func earlier(a, b frame) int { return cmp.Compare(a.Time, b.Time) }

func byTime(f []frame) []frame {
	slices.SortStableFunc(f, earlier)
	return f
}

// twice adds a copy of each packet, 20 to 200 µs later, changed by f.
func twice(f func(p *frame)) func([]frame) []frame {
	return func(in []frame) []frame {
		out := make([]frame, 0, 2*len(in))
		for i, p := range in {
			out = append(out, p)
			p.Time += int64(20+i*37%181) * 1000
			f(&p)
			out = append(out, p)
		}
		if !slices.IsSortedFunc(in, earlier) {
			return out // the order tells more than the clock
		}
		return byTime(out)
	}
}

// prepend puts other headers before the network header.
func (p *frame) prepend(link capture.LinkType, h ...byte) {
	if p.ip == 0 {
		return // another link type: left as it is
	}
	grow := len(h) - p.ip
	p.Data = append(h, p.Data[p.ip:]...)
	p.OrigLen += grow
	p.Link, p.ip = link, len(h)
	if p.tcp != 0 {
		p.tcp += grow
	}
}

func (p *frame) ethernet(tags ...byte) []byte {
	h := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, tags...)
	return binary.BigEndian.AppendUint16(h, uint16(p.ether))
}

func vlan(p *frame)  { p.prepend(capture.LinkEthernet, p.ethernet(0x81, 0, 0, 42)...) }
func qinq(p *frame)  { p.prepend(capture.LinkEthernet, p.ethernet(0x88, 0xa8, 0, 7, 0x81, 0, 0, 42)...) }
func plain(p *frame) { p.prepend(capture.LinkEthernet, p.ethernet()...) }

func cooked(p *frame) {
	p.prepend(capture.LinkSLL2, byte(p.ether>>8), byte(p.ether), 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0)
}

func vxlan(p *frame) {
	inner := p.ethernet()
	n := p.OrigLen - p.ip + len(inner)
	be := binary.BigEndian
	h := append([]byte{2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 4, 8, 0, 0x45, 0}, be.AppendUint16(nil, uint16(20+8+8+n))...)
	h = append(h, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	h = append(h, 0xc0, 0, 0x12, 0xb5)
	h = be.AppendUint16(h, uint16(8+8+n))
	h = append(h, 0, 0, 8, 0, 0, 0, 0, 0, 42, 0)
	if n > 60000 {
		return // does not fit: an offloaded segment, left as it is
	}
	p.prepend(capture.LinkEthernet, append(h, inner...)...)
}

// translated adds what a capture point behind the client's address translator
// sees: the same segments of IPv4, from another address and port.
func translated(in []frame) []frame {
	out := make([]frame, 0, 2*len(in))
	if !slices.IsSortedFunc(in, earlier) {
		return in
	}
	opened := map[wire.Flow]bool{} // without a SYN-ACK nothing tells that two are one
	for _, p := range in {
		if p.tcp != 0 && p.flags&(wire.SYN|wire.ACK) == wire.SYN|wire.ACK {
			opened[p.pair] = true
		}
	}
	for _, p := range in {
		q := p
		if opened[p.pair] && p.ether == 0x0800 && len(p.Data) >= p.tcp+4 {
			q.Data = bytes.Clone(p.Data)
			ends, ports := q.Data[p.ip+12:p.ip+20], q.Data[p.tcp:p.tcp+4]
			if p.toSrv {
				q.Time += 70e3
				copy(ends, []byte{203, 0, 113, 9})
				ports[0] ^= 0x15
			} else {
				q.Time -= 70e3
				copy(ends[4:], []byte{203, 0, 113, 9})
				ports[2] ^= 0x15
			}
			q.Data[p.ip+8]-- // hop limit
			out = append(out, q)
		}
		out = append(out, p)
	}
	return byTime(out)
}

// merged puts neighbouring segments of one direction together as a card does
// that assembles what it receives.
func merged(in []frame) []frame {
	out := make([]frame, 0, len(in))
	for _, p := range in {
		if n := len(out) - 1; n >= 0 && joins(&out[n], &p) {
			last := &out[n]
			header := p.tcp + int(p.Data[p.tcp+12]>>4)*4
			last.Data = append(bytes.Clone(last.Data), p.Data[header:header+p.payload]...)
			last.OrigLen = len(last.Data)
			last.payload += p.payload
			be := binary.BigEndian
			if p.ether == 0x0800 {
				be.PutUint16(last.Data[p.ip+2:], uint16(len(last.Data)-p.ip))
			} else {
				be.PutUint16(last.Data[p.ip+4:], uint16(len(last.Data)-p.ip-40))
			}
			last.Data[p.tcp+13] |= byte(p.flags)
			last.flags |= p.flags
			continue
		}
		out = append(out, p)
	}
	return out
}

func joins(a, b *frame) bool {
	const with = wire.ACK | wire.PSH
	if a.tcp == 0 || b.tcp != a.tcp || a.ip != b.ip || a.pair != b.pair || a.toSrv != b.toSrv || (a.flags|b.flags)&^with != 0 ||
		a.payload == 0 || b.payload == 0 || a.flags&wire.PSH != 0 || b.Time-a.Time > 1e6 || a.payload+b.payload > 60000 ||
		len(a.Data) < a.OrigLen || len(b.Data) < b.OrigLen {
		return false
	}
	be := binary.BigEndian
	seq := func(p *frame) uint32 { return be.Uint32(p.Data[p.tcp+4:]) }
	header := int(a.Data[a.tcp+12]>>4) * 4
	return seq(a)+uint32(a.payload) == seq(b) && bytes.Equal(a.Data[a.tcp+8:a.tcp+12], b.Data[b.tcp+8:b.tcp+12]) &&
		a.Data[a.tcp+12] == b.Data[b.tcp+12] && len(a.Data) == a.tcp+header+a.payload && len(b.Data) >= b.tcp+header+b.payload
}

// again sends every n-th packet with data once more, d nanoseconds later,
// though it arrived.
func again(n int, d int64) func([]frame) []frame {
	return func(in []frame) []frame {
		out := make([]frame, 0, len(in)+len(in)/n)
		seen := 0
		for _, p := range in {
			out = append(out, p)
			if p.payload == 0 {
				continue
			}
			if seen++; seen%n != 0 {
				continue
			}
			p.Time += d
			if p.ether == 0x0800 {
				p.Data = bytes.Clone(p.Data)
				p.Data[p.ip+4] ^= 0x40 // another identification
			}
			out = append(out, p)
		}
		return byTime(out)
	}
}

// lossless transformations leave all there is to see.
var lossless = []transformation{
	{"again", func(in []frame) []frame { return in }},
	{"twice", twice(func(*frame) {})},
	{"twice, tagged", twice(vlan)},
	{"twice, the copy elsewhere", twice(plain)},
	{"an hour later", each(func(_ int, p *frame) { p.Time += 3600e9 + 123456789 })},
	{"another year", each(func(_ int, p *frame) { p.Time -= 20 * 365 * 24 * 3600e9 })},
	{"tagged", each(func(_ int, p *frame) { vlan(p) })},
	{"tagged twice", each(func(_ int, p *frame) { qinq(p) })},
	{"cooked", each(func(_ int, p *frame) { cooked(p) })},
	{"in VXLAN", each(func(_ int, p *frame) { vxlan(p) })},
	{"on both sides of a NAT", translated},
	{"checksums left to the card", each(func(_ int, p *frame) {
		if p.tcp != 0 && len(p.Data) >= p.tcp+18 {
			p.Data = bytes.Clone(p.Data)
			p.Data[p.tcp+16], p.Data[p.tcp+17] = 0, 0
		}
	})},
}

func snaplen(n int) func([]frame) []frame {
	return each(func(_ int, p *frame) { p.Data = p.Data[:min(n, len(p.Data))] })
}

func without(f func(p *frame) bool) func([]frame) []frame {
	return keep(func(_ int, p *frame) bool { return p.tcp == 0 || !f(p) })
}

// everyNth leaves out every n-th packet with data.
func everyNth(n int) func([]frame) []frame {
	return func(in []frame) []frame {
		seen := 0
		return without(func(p *frame) bool {
			if p.payload == 0 {
				return false
			}
			seen++
			return seen%n == 0
		})(in)
	}
}

// skewed stamps one direction d nanoseconds late.
func skewed(toSrv bool, d int64) func([]frame) []frame {
	return func(in []frame) []frame {
		return byTime(each(func(_ int, p *frame) {
			if p.tcp != 0 && p.toSrv == toSrv {
				p.Time += d
			}
		})(in))
	}
}

// swapped exchanges neighbours that are at most d nanoseconds apart.
func swapped(first int, d int64) func([]frame) []frame {
	return func(in []frame) []frame {
		out := slices.Clone(in)
		for i := first; i+1 < len(out); i += 2 {
			if a, b := &out[i], &out[i+1]; b.Time-a.Time <= d {
				*a, *b = *b, *a
				a.Time, b.Time = b.Time, a.Time
			}
		}
		return out
	}
}

func part(from, to func(n int) int) func([]frame) []frame {
	return func(in []frame) []frame {
		a, b := min(from(len(in)), len(in)), max(to(len(in)), 0)
		return in[min(a, b):b]
	}
}

func none(int) int               { return 0 }
func all(n int) int              { return n }
func half(n int) int             { return n / 2 }
func number(k int) func(int) int { return func(int) int { return k } }
func but(k int) func(int) int    { return func(n int) int { return n - k } }

// lossy transformations hide some of what happened.
var lossy = []transformation{
	{"client to server", without(func(p *frame) bool { return !p.toSrv })},
	{"server to client", without(func(p *frame) bool { return p.toSrv })},
	{"without the first", part(number(1), all)},
	{"without the first 3", part(number(3), all)},
	{"without the first 10", part(number(10), all)},
	{"second half", part(half, all)},
	{"without the last", part(none, but(1))},
	{"without the last 4", part(none, but(4))},
	{"first half", part(none, half)},
	{"every 7th lost", everyNth(7)},
	{"every 23rd lost", everyNth(23)},
	{"snaplen 68", snaplen(68)},
	{"snaplen 96", snaplen(96)},
	{"snaplen 128", snaplen(128)},
	{"snaplen 200", snaplen(200)},
	{"swapped", swapped(0, 300e3)},
	{"swapped by one", swapped(1, 300e3)},
	{"server's card late", skewed(false, 200e3)},
	{"client's card late", skewed(true, 200e3)},
	{"clock of 1 ms", each(func(_ int, p *frame) { p.Time -= p.Time % 1e6 })},
	{"clock of 16 ms", each(func(_ int, p *frame) { p.Time -= p.Time % 16e6 })},
	{"segments merged", merged},
	{"every 5th again", again(5, 60e6)},
	{"every 3rd again", again(3, 210e6)},
	{"no bare ACKs", without(func(p *frame) bool { return p.flags == wire.ACK && p.payload == 0 })},
	{"no SYN", without(func(p *frame) bool { return p.flags&(wire.SYN|wire.ACK) == wire.SYN })},
	{"no handshake", without(func(p *frame) bool { return p.flags&wire.SYN != 0 })},
	{"no FIN", without(func(p *frame) bool { return p.flags&wire.FIN != 0 && p.payload == 0 })},
	{"no RST", without(func(p *frame) bool { return p.flags&wire.RST != 0 })},
}

// overflows leaves out the last lost of every period packets, as a capture
// whose buffer is full, whoever's they are.
func overflows(period, lost, first int) func([]frame) []frame {
	return keep(func(i int, _ *frame) bool { return (i+first)%period < period-lost })
}

// dropping transformations are lossy, and the capture knows how many packets
// it lost.
var dropping = []transformation{
	{"dropped 3 of 7", overflows(7, 3, 0)},
	{"dropped 10 of 50", overflows(50, 10, 0)},
	{"dropped 10 of 50, later", overflows(50, 10, 25)},
	{"dropped 20 of 40", overflows(40, 20, 7)},
	{"dropped 60 of 160", overflows(160, 60, 30)},
	{"dropped 1 of 20", overflows(20, 1, 0)},
}

// alike is what stays of a finding when frames and figures may change.
type alike struct {
	code, fingerprint string
	severity          rules.Severity
	times             int
}

func (a alike) String() string {
	return fmt.Sprintf("%s %s %d× %s", a.code, a.severity, a.times, a.fingerprint)
}

func findings(frames []frame, dropped int) ([]alike, *runner.Result) {
	res := runner.Run(&memory{frames: frames, info: capture.Info{Name: "memory", Format: "memory", Size: -1, Dropped: uint64(dropped)}},
		runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: 1})
	var out []alike
	for i := range res.Findings {
		if f := &res.Findings[i]; !strings.HasPrefix(f.Rule.Code, "CAP") {
			out = append(out, alike{f.Rule.Code, f.Fingerprint, f.Severity, f.Occurrences})
		}
	}
	slices.SortFunc(out, func(a, b alike) int {
		return cmp.Or(strings.Compare(a.code, b.code), strings.Compare(a.fingerprint, b.fingerprint), cmp.Compare(a.severity, b.severity), a.times-b.times)
	})
	return out, res
}

type recording struct {
	File, Family string
	SilentFor    []string `json:"silent_for"`
}

// describe lists the findings of the given code, for a failure.
func describe(res *runner.Result, codes ...string) string {
	var b strings.Builder
	for i := range res.Findings {
		if f := &res.Findings[i]; len(codes) == 0 || slices.Contains(codes, f.Rule.Code) {
			fmt.Fprintf(&b, "\n\t%s %s frames %v: %s", f.Rule.Code, f.Severity, f.Frames, f.Message)
		}
	}
	return b.String()
}

// judge holds what was found in a transformed recording against its family and
// what was found in the plain one.
func (r *recording) judge(t *testing.T, tr *transformation, isLossless bool, before, after []alike, res *runner.Result) {
	if isLossless {
		if !slices.Equal(before, after) {
			t.Errorf("%s: other findings\n\tplain: %v\n\tnow:   %v%s", tr.name, before, after, describe(res))
		}
		return
	}
	severity := map[string]rules.Severity{}
	for _, a := range before {
		severity[a.code] = max(severity[a.code], a.severity)
	}
	for _, a := range after {
		old, known := severity[a.code]
		switch {
		case r.excused(tr, a.code):
		case r.Family == "healthy" && a.severity >= rules.Warning:
			t.Errorf("%s: healthy traffic: %v%s", tr.name, a, describe(res, a.code))
		case slices.Contains(r.SilentFor, a.code) && !known:
			t.Errorf("%s: must be silent: %v%s", tr.name, a, describe(res, a.code))
		case r.Family == "firing" && !known && !uncovered(severity, a.code):
			t.Errorf("%s: new: %v; before %v%s", tr.name, a, before, describe(res, a.code))
		case r.Family == "firing" && known && a.severity > old:
			t.Errorf("%s: worse than %s: %v%s", tr.name, old, a, describe(res, a.code))
		}
	}
}

// uncovered reports whether one of the findings there were silences code: with
// less evidence it may be the one to go.
func uncovered(before map[string]rules.Severity, code string) bool {
	for winner, losers := range catalog.Precedence() {
		if _, was := before[winner]; was && slices.Contains(losers, code) {
			return true
		}
	}
	return false
}

// excuses are findings that a recording gains by a transformation because
// nothing in what is left tells otherwise.
var excuses = []struct{ by, file, code, why string }{
	{"clock of 16 ms", "", "LAT001", "the release of held bytes is told by less"},
	{"no FIN", "ka001-nginx-upstream-node-", "KA003", "nothing acknowledges the FIN, and the RST is bare"},
	{"no FIN", "reuse-", "KA008", "nothing acknowledges the FIN"},
	{"no FIN", "reuse-", "REU002", "nothing acknowledges some of the FINs"},
	{"no RST", "reuse-go-", "REU002", "nothing but the RSTs tells of some closes"},
	{"snaplen 68", "reuse-requests-80ms-large-without", "LAT002", "turns stand in for responses, whose close is cut"},
	{"dropped 1 of 20", "", "REU002", "connections whose end was dropped are among them"},
	{"dropped 3 of 7", "tw003-", "KA007", "all that tells the second connection from the first was dropped"},
	{"dropped 10 of 50, later", "reuse-", "LAT002", "connections whose end was dropped were there to use"},
	{"dropped 10 of 50, later", "hop002-", "HOP002", "the next response was dropped"},
	{"every 7th lost", "reu006-low-request-limit-", "REU001", "with requests lost the share of avoidable connections is higher"},
}

func (r *recording) excused(tr *transformation, code string) bool {
	for _, x := range excuses {
		if x.by == tr.name && strings.HasPrefix(r.File, x.file) && x.code == code {
			return true
		}
	}
	return false
}

// recorded is where the recordings of real programs are.
const recorded = "../../testdata/recorded"

func recordings(t *testing.T) []recording {
	b, err := os.ReadFile(filepath.Join(recorded, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []recording
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestMetamorphic(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.File, func(t *testing.T) {
			t.Parallel()
			plain, err := load(filepath.Join(recorded, r.File))
			var re *capture.ReadError
			if err != nil && (!errors.As(err, &re) || !re.Cut) {
				t.Fatal(err)
			}
			before, _ := findings(plain, 0)
			left := 0
			for _, set := range [][]transformation{lossless, lossy, dropping} {
				for i := range set {
					tr := &set[i]
					if !chosen(r.File, tr.name) {
						left++
						continue
					}
					frames, dropped := tr.do(plain), 0
					if &set[0] == &dropping[0] {
						dropped = len(plain) - len(frames)
					}
					after, res := findings(frames, dropped)
					r.judge(t, tr, &set[0] == &lossless[0], before, after, res)
				}
			}
			if left > 0 {
				t.Logf("%d transformations not tried on this one", left)
			}
		})
	}
}

// chosen picks some transformations for each file, not the same for all: all
// of them would take minutes. CONNLINT_METAMORPHIC=all takes them all.
func chosen(file, name string) bool {
	if os.Getenv("CONNLINT_METAMORPHIC") == "all" {
		return true
	}
	h := fnv.New32a()
	io.WriteString(h, file+"\x00"+name)
	n := uint32(3)
	if testing.Short() {
		n = 40
	}
	return h.Sum32()%n == 0
}

// TestMetamorphicCorpus asks the same of captures that others took: what loses
// nothing changes nothing.
func TestMetamorphicCorpus(t *testing.T) {
	for _, row := range index(t) {
		t.Run(row["file"], func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(corpus, row["file"])
			plain, _ := load(path)
			if len(plain) == 0 {
				return // nothing to transform: an empty file, or one broken from its start
			}
			before, _ := findings(plain, 0)
			r := recording{File: row["file"]}
			for i := range lossless {
				if tr := &lossless[i]; chosen(r.File, tr.name) {
					after, res := findings(tr.do(plain), 0)
					r.judge(t, tr, true, before, after, res)
				}
			}
		})
	}
}
