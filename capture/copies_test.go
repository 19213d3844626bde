package capture

import (
	"path/filepath"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

func segment(change ...func(*Segment)) *Segment {
	s := &Segment{
		Time: 1e18, Flow: wire.Flow{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: 40000, DstPort: 80},
		Seq: 1000, Ack: 2000, Len: 100, Window: 512, ID: 77, Flags: wire.ACK,
		Options: []byte{1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6},
	}
	for _, c := range change {
		c(s)
	}
	s.Hash = s.Flow.Hash()
	return s
}

func after(ms int64) func(*Segment) { return func(s *Segment) { s.Time += ms * 1e6 } }

func syn(s *Segment) {
	s.Flags, s.Len = wire.SYN, 0
	s.Options = []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 0, 1, 3, 3, 7}
}

func TestCopies(t *testing.T) {
	noID := func(s *Segment) { s.ID = 0 }
	noOptions := func(s *Segment) { s.Options = nil }
	tests := []struct {
		name   string
		first  []func(*Segment)
		second []func(*Segment)
		copy   bool
	}{
		{"at once", nil, nil, true},
		{"after 49 ms", nil, []func(*Segment){after(49)}, true},
		{"before, by 49 ms", nil, []func(*Segment){after(-49)}, true},
		{"after 51 ms", nil, []func(*Segment){after(51)}, false},
		{"before, by 51 ms", nil, []func(*Segment){after(-51)}, false},
		{"retransmission: another IP id", nil, []func(*Segment){after(1), func(s *Segment) { s.ID++ }}, false},
		{"retransmission by IPv6: another TSval", []func(*Segment){noID}, []func(*Segment){noID, after(1), func(s *Segment) { s.Options = []byte{1, 1, 8, 10, 0, 0, 0, 6, 0, 0, 0, 6} }}, false},
		{"no id, no timestamps", []func(*Segment){noID, noOptions}, []func(*Segment){noID, noOptions, after(1)}, true},
		{"window update without id", []func(*Segment){noID, noOptions}, []func(*Segment){noID, noOptions, func(s *Segment) { s.Window++ }}, false},
		{"duplicate ACK with more SACK", nil, []func(*Segment){func(s *Segment) {
			s.Options = []byte{1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}
		}}, false},
		{"next segment", nil, []func(*Segment){func(s *Segment) { s.Seq += 100 }}, false},
		{"other ack", nil, []func(*Segment){func(s *Segment) { s.Ack++ }}, false},
		{"other flags", nil, []func(*Segment){func(s *Segment) { s.Flags |= wire.FIN }}, false},
		{"other length", nil, []func(*Segment){func(s *Segment) { s.Len++ }}, false},
		{"other flow", nil, []func(*Segment){func(s *Segment) { s.Flow.SrcPort++ }}, false},
		{"other direction", nil, []func(*Segment){func(s *Segment) { s.Flow = s.Flow.Reverse() }}, false},
		{"cut to another length by the capture", nil, []func(*Segment){func(s *Segment) { s.Payload = []byte("x") }}, true},
		{"SYN whose MSS was rewritten", []func(*Segment){syn}, []func(*Segment){syn, after(1), func(s *Segment) { s.Options[2]-- }}, true},
		{"SYN of another TSval", []func(*Segment){syn}, []func(*Segment){syn, after(1), func(s *Segment) { s.Options[11]++ }}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := new(Copies)
			if c.Seen(segment(tt.first...)) {
				t.Error("the first is a copy")
			}
			if got := c.Seen(segment(tt.second...)); got != tt.copy {
				t.Errorf("copy: %v", got)
			}
		})
	}
}

// A segment is remembered however many others come between within the window
// at the rates captures have: 10,000 in 50 ms are 200,000 a second.
func TestCopiesRemember(t *testing.T) {
	c := new(Copies)
	const n = 10_000
	at := func(i int) *Segment {
		return segment(func(s *Segment) { s.Seq += wire.Seq(i * 1448); s.Time += int64(i) * 5000 })
	}
	wrong := 0
	for i := range n {
		if c.Seen(at(i)) {
			t.Fatalf("segment %d is a copy", i)
		}
	}
	for i := n - 1; i >= 0; i-- { // newest first, as what is forgotten is taken in again
		if !c.Seen(at(i)) {
			wrong++
		}
	}
	// Sets fill unevenly; a few are gone.
	if wrong > n/100 {
		t.Errorf("%d of %d forgotten", wrong, n)
	}
	s := at(7)
	if n := testing.AllocsPerRun(100, func() { c.Seen(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The same packet plain, tagged, and tunnelled is one packet.
func TestCopiesThroughTunnels(t *testing.T) {
	d, c := NewDecoder(DecoderOptions{}), new(Copies)
	copies := 0
	for _, tt := range decodeTests {
		if tt.skip != None || tt.want.Flow != get4().Flow || tt.want.Len != 3 || tt.want.ID != 0x1234 || tt.want.Ack != 2 {
			continue
		}
		p := packet(tt.link, unhex(tt.bytes))
		var s Segment
		if d.Decode(&p, &s) && c.Seen(&s) {
			copies++
		}
	}
	if copies < 40 {
		t.Errorf("%d copies", copies)
	}
}

// Only these captures hold copies: taken on two interfaces, logged by several
// netfilter rules, sent again by a radio, or on macOS' loopback a handful of
// pure ACKs that say nothing new.
func TestCopiesInCorpus(t *testing.T) {
	want := map[string]int{
		"OISF-suricata-verify/http-range-multiflows__input.pcap": 12,
		"arkime-arkime/80211http.pcap":                           1,
		"arkime-arkime/wireshark-retrans.pcap":                   79,
		"zeek-zeek/nflog-http.pcap":                              2,
	}
	for _, f := range corpus(t) {
		if f.class != "dev" {
			continue
		}
		d, c, tw := NewDecoder(DecoderOptions{}), new(Copies), new(Twins)
		packets := readCapture(t, filepath.Join(corpusDir, f.file))
		n := 0
		for i := range packets {
			var s Segment
			if !d.Decode(&packets[i], &s) {
				continue
			}
			if c.Seen(&s) {
				n++
			}
			if tw.Observe(&s) {
				t.Errorf("%s: frame %d is of a NAT twin", f.file, s.Frame)
			}
		}
		if n != want[f.file] {
			t.Errorf("%s: %d copies in %d packets, want %d", f.file, n, len(packets), want[f.file])
		}
	}
}
