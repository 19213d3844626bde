package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
)

// need skips a test that lacks something here, or fails it where nothing may
// be skipped.
func need(t testing.TB, have bool, what string) {
	t.Helper()
	if have {
		return
	}
	if os.Getenv("CONNLINT_NO_SKIP") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// frame is a packet of a capture.
type frame struct {
	data []byte
	wire int
}

// frames returns packets of all captures below the directories, by link type:
// at most each of a file's first ones.
func frames(t testing.TB, each int, dirs ...string) map[capture.LinkType][]frame {
	t.Helper()
	got := map[capture.LinkType][]frame{}
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return nil
			}
			src, err := pcapfile.Open(path, pcapfile.Options{})
			if err != nil {
				return nil // not a capture
			}
			defer src.Close()
			var p capture.Packet
			for range each {
				if src.Next(&p) != nil {
					break
				}
				if len(p.Data) < 2048 {
					got[p.Link] = append(got[p.Link], frame{append([]byte(nil), p.Data...), p.OrigLen})
				}
			}
			return nil
		})
	}
	return got
}

// encapsulate puts what an Ethernet frame carries behind the headers of other
// link types.
func encapsulate(from []frame, to map[capture.LinkType][]frame) {
	for _, f := range from {
		if len(f.data) < 14 {
			continue
		}
		typ, body := binary.BigEndian.Uint16(f.data[12:]), f.data[14:]
		put := func(l capture.LinkType, head ...byte) {
			to[l] = append(to[l], frame{append(head, body...), f.wire - 14 + len(head)})
		}
		put(capture.LinkSLL, append(make([]byte, 14), f.data[12], f.data[13])...)
		put(capture.LinkSLL2, append([]byte{f.data[12], f.data[13]}, make([]byte, 18)...)...)
		switch typ {
		case typeIPv4:
			put(capture.LinkRaw)
			put(capture.LinkNull, 2, 0, 0, 0)
		case typeIPv6:
			put(capture.LinkRaw)
			put(capture.LinkNull, 10, 0, 0, 0)
		}
	}
}

// variants returns frames made from others to stand at the edges: tagged,
// fragmented, cut short.
func variants(r *rand.Rand, from []frame) []frame {
	var out []frame
	add := func(b []byte) { out = append(out, frame{b, len(b)}) }
	for _, f := range from {
		if len(f.data) < 34 {
			continue
		}
		for _, tag := range [][]byte{{0x81, 0, 0, 100}, {0x88, 0xa8, 0x20, 7}, {0x91, 0, 0, 100}} {
			b := append(append(append([]byte{}, f.data[:12]...), tag...), f.data[12:]...)
			add(b)
			add(append(append(append([]byte{}, b[:12]...), 0x81, 0, 0, 7), b[12:]...))
		}
		b := append([]byte{}, f.data...)
		b[20], b[21] = byte(r.IntN(64)), byte(r.IntN(3)) // flags and fragment offset of IPv4
		add(b)
		if binary.BigEndian.Uint16(f.data[12:]) == typeIPv6 && len(f.data) > 62 {
			b = append([]byte{}, f.data...)
			b[54] = b[20]
			b[20] = 44
			add(b)
		}
		b = append([]byte{}, f.data...)
		b[12], b[13] = 0x80, 0x35
		add(b)
		b = append([]byte{}, f.data...)
		b[23] = 132
		add(b)
		out = append(out, frame{f.data[:r.IntN(len(f.data))], f.wire})
	}
	return out
}

// writer makes expressions of addresses and ports that occur.
type writer struct {
	r     *rand.Rand
	addrs []netip.Addr
	ports []uint16
}

func (w *writer) pick(words ...string) string { return words[w.r.IntN(len(words))] }

func (w *writer) addr() netip.Addr { return w.addrs[w.r.IntN(len(w.addrs))] }

func (w *writer) port() string {
	if w.r.IntN(8) == 0 {
		return w.pick("http", "https", "domain", "ssh", "http-alt", "www")
	}
	return fmt.Sprint(w.ports[w.r.IntN(len(w.ports))])
}

func (w *writer) direction() string {
	return w.pick("", "", "", "src ", "dst ", "src or dst ", "src and dst ")
}

func (w *writer) expr(depth int) string {
	if depth > 0 && w.r.IntN(3) > 0 {
		switch w.r.IntN(4) {
		case 0:
			return w.pick("not ", "! ", "!") + w.expr(depth-1)
		case 1:
			return "(" + w.expr(depth-1) + ")"
		}
		return w.expr(depth-1) + w.pick(" and ", " or ", " && ", " || ", "||") + w.expr(depth-1)
	}
	switch w.r.IntN(12) {
	case 0:
		return w.pick("tcp", "udp", "ip", "ip6", "arp")
	case 1, 2:
		a := w.addr()
		proto := ""
		if a.Is4() {
			proto = w.pick("", "", "ip ", "arp ")
		} else {
			proto = w.pick("", "ip6 ")
		}
		return proto + w.direction() + w.pick("host ", "host ", "host ") + a.String()
	case 3:
		return w.pick("src ", "dst ", "") + w.addr().String()
	case 4:
		a := w.addr()
		n := w.r.IntN(a.BitLen() + 1)
		return w.direction() + "net " + netip.PrefixFrom(a, n).Masked().String()
	case 5:
		return w.pick("", "src ") + "net " + w.pick("10", "192.168", "127.0.0", "10.0.0.0 mask 255.0.0.0", "192.168.0.0 mask 255.255.0.0", "172.16/12")
	case 6:
		return w.pick("", "tcp ", "udp ") + w.direction() + "portrange " + fmt.Sprintf("%d-%d", w.r.IntN(3000), w.r.IntN(50000))
	case 7:
		return "port " + w.port() + w.pick(" or ", " and ") + w.port()
	case 8:
		return w.pick("", "tcp ") + w.direction() + "port (" + w.numeric() + " or " + w.numeric() + ")"
	case 9:
		return w.pick("vlan", "vlan 100", "vlan 7") + " and " + w.expr(0)
	}
	return w.pick("", "tcp ", "tcp ") + w.direction() + "port " + w.numeric()
}

func (w *writer) numeric() string { return fmt.Sprint(w.ports[w.r.IntN(len(w.ports))]) }

var linkNames = map[capture.LinkType]string{capture.LinkEthernet: "EN10MB", capture.LinkRaw: "RAW", capture.LinkNull: "NULL",
	capture.LinkSLL: "LINUX_SLL", capture.LinkSLL2: "LINUX_SLL2"}

// TestAsTcpdump compares the verdict on every packet with that of the program
// that tcpdump compiles.
func TestAsTcpdump(t *testing.T) {
	_, err := exec.LookPath("tcpdump")
	need(t, err == nil, "tcpdump is not installed")
	corpus := "../../../shared/corpus"
	_, err = os.Stat(corpus)
	need(t, err == nil, "the corpus is not in ../shared")

	r := rand.New(rand.NewPCG(4, 2))
	by := frames(t, 40, corpus, "../../testdata/recorded")
	ether := by[capture.LinkEthernet]
	r.Shuffle(len(ether), func(i, j int) { ether[i], ether[j] = ether[j], ether[i] })
	base := ether[:min(len(ether), 3000)]
	more := variants(r, base[:min(len(base), 500)])
	packets := map[capture.LinkType][]frame{capture.LinkEthernet: append(append([]frame{}, ether[:min(len(ether), 8000)]...), more...)}
	for _, l := range []capture.LinkType{capture.LinkRaw, capture.LinkSLL, capture.LinkSLL2} {
		packets[l] = by[l][:min(len(by[l]), 4000)]
	}
	encapsulate(append(append([]frame{}, base...), more...), packets)

	w := &writer{r: r, ports: []uint16{80, 8080, 443, 53}}
	dec := capture.NewDecoder(capture.DecoderOptions{})
	for _, f := range base {
		var s capture.Segment
		if dec.Decode(&capture.Packet{Data: f.data, OrigLen: f.wire, Link: capture.LinkEthernet}, &s) && r.IntN(20) == 0 {
			w.addrs = append(w.addrs, netip.AddrFrom16(s.Flow.Src).Unmap(), netip.AddrFrom16(s.Flow.Dst).Unmap())
			w.ports = append(w.ports, s.Flow.SrcPort, s.Flow.DstPort)
		}
	}
	w.addrs = append(w.addrs, netip.MustParseAddr("fe80::1"), netip.MustParseAddr("10.0.0.1"))

	exprs, compared, verdicts, yes := 0, 0, 0, 0
	for exprs < 260 {
		text := w.expr(3)
		f, err := New(text)
		if err != nil {
			if _, theirs := tcpdump(t, "-y", "EN10MB", text); theirs == nil {
				t.Errorf("%q: %v; tcpdump takes it", text, err)
			}
			continue
		}
		n := 0
		for link, name := range linkNames {
			// The plain program is the measure. What libpcap's optimizer makes of it
			// differs on packets cut short in their headers, and, in 1.10.3, for
			// some alternatives: "src and dst host A || !tcp port (B or C) and tcp
			// port (B or D)" loses packets from port D.
			want, err := tcpdump(t, "-O", "-y", name, text)
			if err != nil {
				if !strings.Contains(err.Error(), "VLAN") && !strings.Contains(err.Error(), "rejects all") {
					t.Errorf("tcpdump -y %s %q: %v", name, text, err)
				}
				continue
			}
			got, err := f.For(link)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.validate(); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			n++
			for _, p := range packets[link] {
				verdicts++
				g := got.Match(p.data, p.wire)
				if g {
					yes++
				}
				if g != want.Match(p.data, p.wire) {
					t.Errorf("%s %q: %v on %x, tcpdump the contrary", name, text, g, p.data[:min(len(p.data), 80)])
					break
				}
			}
		}
		if n > 0 {
			exprs++
			compared += n
		}
	}
	t.Logf("%d expressions, %d programs, %d verdicts, %d of them yes", exprs, compared, verdicts, yes)
	if yes < verdicts/20 || yes > verdicts*19/20 {
		t.Errorf("%d of %d verdicts are yes: the expressions say little", yes, verdicts)
	}
}

// tcpdump returns the program it compiles.
func tcpdump(t *testing.T, args ...string) (Program, error) {
	t.Helper()
	out, err := exec.Command("tcpdump", append([]string{"-ddd"}, args...)...).Output()
	if ee, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("%w: %s", err, ee.Stderr)
	} else if err != nil {
		return nil, err
	}
	p, err := ReadDDD(strings.NewReader(string(out)))
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return p, nil
}

// TestMachine compares the interpreter with that of golang.org/x/net/bpf.
func TestMachine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	w := &writer{r: r, addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")}, ports: []uint16{80, 443}}
	for range 200 {
		text := w.expr(2)
		f, err := New(text)
		if err != nil {
			continue
		}
		prog, err := f.For(capture.LinkEthernet)
		if err != nil {
			t.Fatal(err)
		}
		list, ok := bpf.Disassemble(prog)
		if !ok {
			t.Fatalf("%q cannot be disassembled", text)
		}
		vm, err := bpf.NewVM(list)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			b := make([]byte, r.IntN(100))
			for i := range b {
				b[i] = []byte{0, 8, 6, 0x45, 0x86, 0xdd, 10, 1, 80, 17, 44}[r.IntN(11)]
			}
			n, err := vm.Run(b)
			if err != nil {
				t.Fatal(err)
			}
			if got := prog.Match(b, len(b)); got != (n != 0) {
				t.Errorf("%q on %x: %v, the other says %d", text, b, got, n)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, mark, reason string }{
		{"tpc port 80", "^^^", "did you mean tcp"},
		{"port 80 prot 81", "        ^^^^", "and, or or the end"},
		{"port", "    ^", "a port is expected"},
		{"port 80 and", "           ^", "ends where a test"},
		{"port 80 and (host 10.0.0.1", "            ^", "not closed"},
		{"port 80)", "       ^", "no ( that this closes"},
		{"port 70000", "     ^^^^^", "0 to 65535"},
		{"port nosuchservice", "     ^^^^^^^^^^^^^", "no service"},
		{"host example.org", "     ^^^^^^^^^^^", "not looked up"},
		{"host 10.0.0", "     ^^^^^^", "no IP address"},
		{"net 10.0.0.1/8", "    ^^^^^^^^^^", "10.0.0.0/8"},
		{"net 10.0.0.0/33", "    ^^^^^^^^^^^", "0 to 32"},
		{"net 10.0.0.0 mask 255.0.255.0", "                  ^^^^^^^^^^^", "ones, then zeros"},
		{"ip port 80", "        ^^", "ip has no ports"},
		{"tcp host 10.0.0.1", "         ^^^^^^^^", "tcp and host 10.0.0.1"},
		{"ip6 host 10.0.0.1", "         ^^^^^^^^", "IPv4 address after ip6"},
		{"ip host ::1", "        ^^^", "IPv6 address after ip"},
		{"vlan 4096", "     ^^^^", "0 to 4095"},
		{"tcp[13] & 2 != 0", "^^^^^^^", "--filter-ddd"},
		{"ether host 1:2:3:4:5:6", "^^^^^", "--filter-ddd"},
		{"port 80-90", "     ^^^^^", "portrange 80-90"},
		{"10.0.0.1", "^^^^^^^^", "write host 10.0.0.1"},
		{"port 80 or tpc", "           ^^^", "no port"},
		{"tcp or 80", "       ^^", "no word of a filter"},
		{"tcp src", "       ^", "an address is expected"},
		{strings.Repeat("(", 300) + "tcp", strings.Repeat(" ", 200) + "^", "too deeply"},
		{strings.Repeat("host 2001:db8::1 or ", 300) + "tcp", "", "too long"},
	} {
		_, err := New(c.text)
		if err == nil {
			t.Errorf("%.40q is taken", c.text)
			continue
		}
		if !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%.40q: %v, want %q in it", c.text, err, c.reason)
		}
		var se *SyntaxError
		if c.mark != "" && (!errors.As(err, &se) || se.Mark() != c.mark) {
			t.Errorf("%.40q: %v, mark %q, want %q", c.text, err, se.Mark(), c.mark)
		}
	}
}

func TestReadDDDErrors(t *testing.T) {
	for text, reason := range map[string]string{
		"":                                "empty",
		"tcp port 80\n":                   "no number of instructions",
		"2\n6 0 0 1\n":                    "2 instructions announced, 1 there",
		"1\n6 0 0 1\n6 0 0 1\n":           "more instructions",
		"1\n6 0 0\n":                      "four numbers",
		"1\n40 0 0 12\n":                  "does not return",
		"2\n21 5 0 12\n6 0 0 0\n":         "behind the end",
		"2\n5 0 0 4294967295\n6 0 0 0\n":  "behind the end",
		"2\n52 0 0 0\n6 0 0 0\n":          "divides by zero",
		"2\n96 0 0 16\n6 0 0 0\n":         "no BPF instruction",
		"2\n255 0 0 16\n6 0 0 0\n":        "no BPF instruction",
		"2\n48 0 0 4294963248\n6 0 0 1\n": "asks the kernel",
		"99999\n":                         "no number of instructions",
		"1\n70000 0 0 0\n":                "four numbers",
	} {
		if _, err := ReadDDD(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q in it", text, err, reason)
		}
	}
}

// TestSource checks that frames keep their numbers, that the program follows
// the link type, and that an unknown link type ends the source.
func TestSource(t *testing.T) {
	eth := append(append(make([]byte, 12), 8, 0), 0x45)
	raw := []byte{0x45}
	arp := append(make([]byte, 12), 8, 6, 0)
	list := &list{packets: []capture.Packet{
		{Data: eth, Link: capture.LinkEthernet, Frame: 1}, {Data: arp, Link: capture.LinkEthernet, Frame: 2},
		{Data: raw, Link: capture.LinkRaw, Frame: 3}, {Data: raw, Link: capture.LinkPPP, Frame: 4},
	}}
	f, err := New("ip")
	if err != nil {
		t.Fatal(err)
	}
	s := Apply(list, f)
	var p capture.Packet
	for _, want := range []uint64{1, 3} {
		if err := s.Next(&p); err != nil || p.Frame != want {
			t.Fatalf("frame %d, %v; want %d", p.Frame, err, want)
		}
	}
	var re *capture.ReadError
	for range 2 {
		if err := s.Next(&p); !errors.As(err, &re) || !strings.Contains(err.Error(), "PPP") {
			t.Errorf("%v", err)
		}
	}
	if s.Left != 1 {
		t.Errorf("%d left out", s.Left)
	}
}

type list struct{ packets []capture.Packet }

func (l *list) Next(p *capture.Packet) error {
	*p, l.packets = l.packets[0], l.packets[1:]
	return nil
}
func (l *list) Info() capture.Info { return capture.Info{Name: "list"} }
func (l *list) Close() error       { return nil }

func TestServices(t *testing.T) {
	if _, err := net.LookupPort("tcp", "http"); err != nil {
		t.Skip("the system knows no services")
	}
	a, err := New("tcp port http")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := New("tcp port 80")
	pa, _ := a.For(capture.LinkEthernet)
	pb, _ := b.For(capture.LinkEthernet)
	if fmt.Sprint(pa) != fmt.Sprint(pb) {
		t.Error("http is not 80")
	}
	if (*Filter)(nil).String() != "" || a.String() != "tcp port http" {
		t.Error("String does not return the expression")
	}
}

func FuzzNew(f *testing.F) {
	for _, s := range []string{"tcp port 80", "not (host 10.0.0.1 or net 10/8) and vlan 3 and src or dst portrange 1-2",
		"port (80 or !443)", "ip6 host fe80::1%1", "net 1.2 mask 1.2.3.4", "((", "!!!tcp", "src or dst"} {
		f.Add(s, []byte("0123456789ab\x08\x00\x45"))
	}
	for _, packet := range []string{
		"0123456789ab\x08\x00\x45\x00\x00\x28\x00\x01\x00\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02\x9c\x40\x00\x50" + "0123456789abcdef",
		"0123456789ab\x81\x00\x00\x2a\x08\x00\x46\x00\x00\x2c\x00\x01\x20\x05\x40\x11\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02abcd\x9c\x40\x00\x50" + "01234567",
		"0123456789ab\x86\xdd\x60\x00\x00\x00\x00\x14\x06\x40" + "fe80fe80fe80fe80" + "fe80fe80fe80fe81" + "\x9c\x40\x01\xbb" + "0123456789abcdef",
	} {
		f.Add("tcp port 80 or 443 and not host 10.0.0.9", []byte(packet))
		f.Add("vlan 42 and udp src portrange 40000-40001 or ip6 net fe80::/10", []byte(packet))
	}
	f.Fuzz(func(t *testing.T, text string, packet []byte) {
		e, err := New(text)
		if err != nil {
			var se *SyntaxError
			if errors.As(err, &se) {
				_ = se.Mark()
				if se.Start > se.End || se.End > len(text) {
					t.Fatalf("word %d to %d of %d", se.Start, se.End, len(text))
				}
			}
			return
		}
		for _, l := range []capture.LinkType{capture.LinkEthernet, capture.LinkRaw, capture.LinkSLL, capture.LinkSLL2, capture.LinkNull} {
			p, err := e.For(l)
			if err != nil {
				continue
			}
			if p != nil {
				if err := p.validate(); err != nil {
					t.Fatal(err)
				}
			}
			checkMatch(t, p, packet)
		}
		if p, err := e.Kernel(capture.LinkEthernet, true); err == nil && p != nil {
			if _, ok := bpf.Disassemble(p); !ok {
				t.Fatal("not a program")
			}
		}
	})
}

func FuzzReadDDD(f *testing.F) {
	f.Add("4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n", []byte("0123456789ab\x08\x00"))
	f.Add("3\n177 0 0 14\n72 0 0 14\n22 0 0 0\n", []byte{0x45})
	f.Fuzz(func(t *testing.T, text string, packet []byte) {
		p, err := ReadDDD(strings.NewReader(text))
		if err == nil {
			checkMatch(t, p, packet)
		}
	})
}

// checkMatch holds what a program says of a packet against another machine.
func checkMatch(t *testing.T, p Program, packet []byte) {
	t.Helper()
	got := p.Match(packet, len(packet))
	ins, ok := bpf.Disassemble(p)
	if !ok || len(p) == 0 {
		return
	}
	vm, err := bpf.NewVM(ins)
	if err != nil {
		return // stricter than the kernel
	}
	if n, err := vm.Run(packet); err == nil && (n > 0) != got {
		t.Fatalf("match is %v, x/net/bpf takes %d bytes of %x\n%v", got, n, packet, ins)
	}
}

func BenchmarkMatch(b *testing.B) {
	f, _ := New("tcp port 8080 or tcp port 80")
	p, _ := f.For(capture.LinkEthernet)
	packet := make([]byte, 100)
	packet[12], packet[14], packet[23], packet[36] = 8, 0x45, 6, 80
	b.ReportAllocs()
	for b.Loop() {
		p.Match(packet, 100)
	}
}
