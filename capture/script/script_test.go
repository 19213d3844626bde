package script

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/connlint/connlint/capture"
)

// dump lists a script's packets as gopacket reads them, with sequence numbers
// relative to each side's ISN.
func dump(t *testing.T, s *Script, isn map[string]uint32) []string {
	t.Helper()
	src := s.Source(0)
	var out []string
	var p capture.Packet
	for {
		if err := src.Next(&p); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		g := gopacket.NewPacket(p.Data, layers.LayerTypeEthernet, gopacket.Default)
		tcp, _ := g.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if tcp == nil {
			t.Fatalf("frame %d is no TCP: %v", p.Frame, g)
		}
		src, dst := g.NetworkLayer().NetworkFlow().Endpoints()
		from, to := fmt.Sprint(src), fmt.Sprint(dst)
		line := fmt.Sprintf("%d %s:%d ", time.Unix(0, p.Time).UTC().Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds(), from, tcp.SrcPort)
		for _, f := range []struct {
			on bool
			c  string
		}{{tcp.SYN, "S"}, {tcp.FIN, "F"}, {tcp.RST, "R"}, {tcp.PSH, "P"}, {tcp.ACK, "."}} {
			if f.on {
				line += f.c
			}
		}
		line += fmt.Sprintf(" seq=%d", tcp.Seq-isn[from])
		if tcp.ACK {
			line += fmt.Sprintf(" ack=%d", tcp.Ack-isn[to])
		}
		if len(tcp.Payload) > 0 {
			line += fmt.Sprintf(" len=%d", len(tcp.Payload))
		}
		out = append(out, line)
	}
}

var testISN = map[string]uint32{"10.0.0.1": 100, "10.0.0.2": 0xfffffff0, "2001:db8::1": 100, "2001:db8::2": 0xfffffff0}

func TestPackets(t *testing.T) {
	const conn = "conn 10.0.0.1:40000 > 10.0.0.2:80 isn=100/0xfffffff0 legs=0/10ms\n"
	const open = conn + "+0 handshake\n"
	opened := []string{"0 10.0.0.1:40000 S seq=0", "10000 10.0.0.2:80 S. seq=0 ack=1", "10000 10.0.0.1:40000 . seq=1 ack=1"}
	for _, tt := range []struct {
		name, text string
		want       []string
		opened     bool
	}{
		{"request, response and close", open + `
+0 > P "GET / HTTP/1.1\r\n" "\r\n"
+0.5 < A
+1ms < P "HTTP/1.1 200 OK\r\n\r\n" len=100
+0 > close`, []string{
			"10000 10.0.0.1:40000 P. seq=1 ack=1 len=18",
			"510000 10.0.0.2:80 . seq=1 ack=19",
			"511000 10.0.0.2:80 P. seq=1 ack=19 len=119",
			"511000 10.0.0.1:40000 F. seq=19 ack=120",
			"521000 10.0.0.2:80 F. seq=120 ack=20",
			"521000 10.0.0.1:40000 . seq=20 ack=121"}, true},
		{"lost and sent again", open + `
+0 > P "abcd" lost
+0 > P "efgh"
+0 < A
+0 > P retransmit seq=1 "abcd"
+0 < A
+0 > P retransmit`, []string{
			"10000 10.0.0.1:40000 P. seq=1 ack=1 len=4",
			"10000 10.0.0.1:40000 P. seq=5 ack=1 len=4",
			"10000 10.0.0.2:80 . seq=1 ack=1",
			"10000 10.0.0.1:40000 P. seq=1 ack=1 len=4",
			"10000 10.0.0.2:80 . seq=1 ack=9",
			"10000 10.0.0.1:40000 P. seq=1 ack=1 len=4"}, true},
		{"dropped by the capture, seen twice, probes and overrides", open + `
+0 > P "abcd" drop
+0 < A dup=1ms
+2ms > A seq=-1
+0 < A ack=1 seq=5
+0 > R
+0 < R.`, []string{
			"10000 10.0.0.2:80 . seq=1 ack=5",
			"11000 10.0.0.2:80 . seq=1 ack=5",
			"12000 10.0.0.1:40000 . seq=4 ack=1",
			"12000 10.0.0.2:80 . seq=5 ack=1",
			"12000 10.0.0.1:40000 R seq=5",
			"12000 10.0.0.2:80 R. seq=1 ack=5"}, true},
		{"split", open + `+0 > P len=2500 split=1000`, []string{
			"10000 10.0.0.1:40000 . seq=1 ack=1 len=1000",
			"10000 10.0.0.1:40000 . seq=1001 ack=1 len=1000",
			"10000 10.0.0.1:40000 P. seq=2001 ack=1 len=500"}, true},
		{"mid-stream, IPv6", `
conn [2001:db8::1]:4 > [2001:db8::2]:8 isn=100/0xfffffff0 midstream ts
+0 > P "x"
+0 < F.
+0 > A`, []string{
			"0 2001:db8::1:4 P. seq=1 ack=1 len=1",
			"0 2001:db8::2:8 F. seq=1 ack=2",
			"0 2001:db8::1:4 . seq=2 ack=2"}, false},
		{"interleaved by the clock, repeated, skewed", `
repeat 2
conn c{i} 10.0.0.1:{1000+i} > 10.0.0.2:80 midstream isn=100/0xfffffff0 at=0
@{i*2} c{i} > P "x"
+1 < P "yy"
end
clock -0.5
@1 c0 > P "zzz" skew=0.25`, []string{
			"0 10.0.0.1:1000 P. seq=1 ack=1 len=1",
			"1000000 10.0.0.2:80 P. seq=1 ack=2 len=2",
			"750000 10.0.0.1:1000 P. seq=2 ack=3 len=3",
			"2000000 10.0.0.1:1001 P. seq=1 ack=1 len=1",
			"3000000 10.0.0.2:80 P. seq=1 ack=2 len=2"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse("t.pkt", tt.text)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if tt.opened {
				want = append(append([]string(nil), opened...), want...)
			}
			if d := cmp.Diff(want, dump(t, s, testISN)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestChecksums has gopacket compute what we computed.
func TestChecksums(t *testing.T) {
	for _, ends := range []string{"10.0.0.1:40000 > 10.0.0.2:80", "[2001:db8::1]:40000 > [2001:db8::2]:80"} {
		s, err := Parse("t.pkt", "conn "+ends+" wscale=7 ts\n+0 handshake\n+0 > P \"abc\"\n+0 < P len=65000\n")
		if err != nil {
			t.Fatal(err)
		}
		src := s.Source(0)
		var p capture.Packet
		for src.Next(&p) == nil {
			g := gopacket.NewPacket(p.Data, layers.LayerTypeEthernet, gopacket.Default)
			var ls []gopacket.SerializableLayer
			for _, l := range g.Layers() {
				if tcp, ok := l.(*layers.TCP); ok {
					if err := tcp.SetNetworkLayerForChecksum(g.NetworkLayer()); err != nil {
						t.Fatal(err)
					}
				}
				ls = append(ls, l.(gopacket.SerializableLayer))
			}
			buf := gopacket.NewSerializeBuffer()
			if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true}, ls...); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(buf.Bytes(), p.Data) {
				t.Errorf("%s frame %d: checksums differ\nours %x\nwant %x", ends, p.Frame, p.Data[:54], buf.Bytes()[:54])
			}
		}
	}
}

func TestExpectations(t *testing.T) {
	s, err := Parse("t.pkt", `
# silent
# abstains gap snaplen-cut
# want CAP001 "holes"
conn 10.0.0.1:1 > 10.0.0.2:80 midstream
+0 > P "a#b"         # a comment
+0 < P "b" dup       # want LAT001 warning "40 ms" FRM001 # and why
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Want{{4, "CAP001", "", "holes", nil}, {7, "LAT001", "warning", "40 ms", []uint64{2, 3}}, {7, "FRM001", "", "", []uint64{2, 3}}}
	if d := cmp.Diff(want, s.Wants); d != "" {
		t.Error(d)
	}
	if !s.Silent || len(s.Abstains) != 2 {
		t.Errorf("silent %v, abstains %v", s.Silent, s.Abstains)
	}
}

func TestErrors(t *testing.T) {
	const conn = "conn a 10.0.0.1:1 > 10.0.0.2:80\n"
	for _, tt := range []struct{ text, want string }{
		{"+0 > S", "t.pkt:1: no conn line"},
		{"bogus", `t.pkt:1: "bogus" is no directive`},
		{"conn 10.0.0.1 > 10.0.0.2:80", `t.pkt:1: bad endpoint "10.0.0.1"`},
		{conn + "+0 b > S", `t.pkt:2: no connection is named "b"; known: a`},
		{conn + "+0 > X", `t.pkt:2: flags "X"`},
		{conn + "+0 > A", "t.pkt:2: this side has nothing to acknowledge yet"},
		{conn + "\n+0 > S foo=1", `t.pkt:3: unknown option "foo=1"; known: len`},
		{conn + "+0 > S win=70000", "t.pkt:2: win=70000: not a number from 0 to 65535"},
		{conn + `+0 > S "abc`, "does not end"},
		{conn + "+x > S", `t.pkt:2: bad time "+x"`},
		{conn + "repeat 3", "t.pkt:2: repeat without end"},
		{conn + "repeat 2\n+0 > Q\nend", `t.pkt:3: flags "Q"`},
		{"conn 10.0.0.1:1 > 10.0.0.2:80 mtu=9", `unknown option "mtu=9" of conn`},
		{conn + "+0 handshake\n+0 > P len=70000", "t.pkt:3: 70000 bytes of payload do not fit"},
		{conn + "+0 > S retransmit", "nothing to retransmit"},
		{conn + "+0 > S # want", "t.pkt:2: want names no rule"},
	} {
		_, err := Parse("dir/t.pkt", tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
		if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
			t.Errorf("%q: %T", tt.text, err)
		}
	}
}

// TestSource reads a script from recycled blocks: the packets are those of a
// source without.
func TestSource(t *testing.T) {
	s, err := Parse("t.pkt", "dropped 3\nsnaplen 300\ntruncated\nconn 10.0.0.1:1 > 10.0.0.2:80\n+0 handshake\nrepeat 20\n+0 > P len={i*40}\nend")
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.Source(0), s.Source(200)
	var p, q capture.Packet
	for {
		ea, eb := a.Next(&p), b.Next(&q)
		if ea != nil {
			var r *capture.ReadError
			if !errors.As(ea, &r) || !r.Cut || !errors.As(eb, &r) {
				t.Errorf("end: %v, %v", ea, eb)
			}
			break
		}
		if !bytes.Equal(p.Data, q.Data) || p.OrigLen != q.OrigLen || p.Time != q.Time {
			t.Fatalf("frame %d differs", p.Frame)
		}
		if len(p.Data) > 300 {
			t.Errorf("frame %d has %d bytes", p.Frame, len(p.Data))
		}
	}
	if i := b.Info(); i.Dropped != 3 || i.SnapLen != 300 {
		t.Errorf("%+v", i)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("conn a 10.0.0.1:1 > 10.0.0.2:80 ts\n+0 handshake\nrepeat 2\n+0 > P \"x{i}\" len=4 split=2 dup\nend\n+0 < close # want X \"y\"")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "repeat") && len(text) > 200 {
			t.Skip("nested repeats only take long")
		}
		s, err := Parse("f", text)
		if err != nil {
			return
		}
		src := s.Source(64)
		var p capture.Packet
		for src.Next(&p) == nil {
			if len(p.Data) > p.OrigLen {
				t.Fatal("captured more than was sent")
			}
		}
	})
}
