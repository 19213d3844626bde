package capture

import (
	"slices"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

// leg is one side's view of a connection.
type leg struct {
	client, server string
	cport, sport   uint16
	isn, srv       wire.Seq
}

var (
	lan = leg{"192.168.0.5", "203.0.113.9", 40000, 80, 1000, 5000}
	wan = leg{"198.51.100.1", "203.0.113.9", 61000, 80, 1000, 5000}
)

func (l leg) seg(ms int64, back bool, flags wire.Flags) Segment {
	s := Segment{
		Time: 1e18 + ms*1e6, Flags: flags, Seq: l.isn, Ack: l.srv + 1,
		Flow: wire.Flow{Src: ip(l.client), Dst: ip(l.server), SrcPort: l.cport, DstPort: l.sport},
	}
	if flags&wire.SYN == 0 {
		s.Seq++
	}
	if back {
		s.Flow = s.Flow.Reverse()
		s.Seq, s.Ack = l.srv, l.isn+1
	}
	s.Hash = s.Flow.Hash()
	return s
}

func (l leg) syn(ms int64) Segment    { return l.seg(ms, false, wire.SYN) }
func (l leg) synAck(ms int64) Segment { return l.seg(ms, true, wire.SYN|wire.ACK) }
func (l leg) ack(ms int64) Segment    { return l.seg(ms, false, wire.ACK) }
func (l leg) data(ms int64) Segment   { return l.seg(ms, true, wire.ACK|wire.PSH) }

// change returns l with another field.
func (l leg) change(f func(*leg)) leg {
	f(&l)
	return l
}

func TestTwins(t *testing.T) {
	proxied := wan.change(func(l *leg) { l.isn, l.srv = 77, 88 })
	second := leg{"100.64.0.1", "203.0.113.9", 1234, 80, 1000, 5000}
	virtual := leg{"192.168.0.5", "10.1.1.1", 40000, 8080, 1000, 5000} // destination translated
	tests := []struct {
		name     string
		segments []Segment
		want     []int // indices reported
	}{
		{"address translated", []Segment{lan.syn(0), wan.syn(1), wan.synAck(20), lan.synAck(21), lan.ack(22), wan.ack(23), wan.data(40), lan.data(41)}, []int{5}},
		{"destination translated", []Segment{lan.syn(0), virtual.syn(1), virtual.synAck(20), lan.synAck(21), lan.ack(22), virtual.ack(23)}, []int{5}},
		{"two interfaces, a little out of order", []Segment{lan.syn(0), wan.syn(1), lan.synAck(20), wan.synAck(20), wan.ack(22)}, []int{3}},
		{"SYN-ACKs in the other order", []Segment{lan.syn(0), wan.syn(1), lan.synAck(20), wan.synAck(30), wan.ack(32)}, nil},
		{"numbers used again, one after the other", []Segment{lan.syn(0), lan.synAck(20), lan.ack(21), wan.syn(100), wan.synAck(120), wan.ack(121), lan.data(122)}, nil},
		{"SYN-ACKs alone, 60 ms apart", []Segment{wan.synAck(20), lan.synAck(80), wan.data(90), lan.data(91)}, nil},
		{"SYNs sent again", []Segment{lan.syn(0), wan.syn(1), lan.syn(1000), wan.syn(1001), wan.synAck(1020), lan.synAck(1021), wan.ack(1022), lan.syn(1030)}, []int{6}},
		{"SYN-ACKs sent again", []Segment{lan.syn(0), wan.syn(1), wan.synAck(20), lan.synAck(21), wan.synAck(30), lan.synAck(31), wan.synAck(40), lan.synAck(41)}, []int{4}},
		{"translated twice", []Segment{lan.syn(0), wan.syn(1), second.syn(2), second.synAck(20), wan.synAck(21), lan.synAck(22), lan.ack(30), wan.ack(31), second.ack(32)}, []int{7, 8}},
		{"SYN-ACKs alone", []Segment{wan.synAck(20), lan.synAck(21), wan.data(40), lan.data(41)}, []int{2}},
		{"the server's side without SYN", []Segment{lan.syn(0), wan.synAck(20), lan.synAck(21), wan.ack(23)}, []int{3}},
		{"the client's side without SYN", []Segment{wan.syn(0), wan.synAck(20), lan.synAck(21), lan.ack(22), wan.ack(23)}, []int{2}},
		{"proxy", []Segment{lan.syn(0), proxied.syn(1), proxied.synAck(20), lan.synAck(21), lan.ack(22), proxied.ack(23)}, nil},
		{"server's number differs", []Segment{lan.syn(0), wan.syn(1), wan.change(func(l *leg) { l.srv++ }).synAck(20), lan.synAck(21), lan.ack(22), wan.ack(23)}, nil},
		{"SYNs alone", []Segment{lan.syn(0), wan.syn(1), lan.syn(1000), wan.syn(1001)}, nil},
		{"four seconds apart", []Segment{lan.syn(0), lan.synAck(1), lan.ack(2), wan.syn(4000), wan.synAck(4001), wan.ack(4002)}, nil},
		{"a program without random numbers", []Segment{lan.syn(0), lan.synAck(1), lan.change(func(l *leg) { l.cport++ }).syn(2), lan.change(func(l *leg) { l.cport++ }).synAck(3), lan.ack(4)}, nil},
		{"numbers made relative", []Segment{
			lan.change(zero).syn(0), wan.change(zero).syn(1), wan.change(zero).synAck(20), lan.change(zero).synAck(21), wan.change(zero).ack(22),
		}, nil},
		{"silent for a minute", []Segment{lan.syn(0), wan.syn(1), wan.synAck(20), lan.synAck(21), wan.data(60_000)}, nil},
		{"one connection twice", []Segment{lan.syn(0), lan.syn(0), lan.synAck(1), lan.synAck(1), lan.ack(2), lan.ack(2)}, nil},
		{"numbers over the wrap", []Segment{
			lan.change(wrap).syn(0), wan.change(wrap).syn(1), wan.change(wrap).synAck(20), lan.change(wrap).synAck(21), wan.change(wrap).ack(22),
		}, []int{4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tw := new(Twins)
			var got []int
			for i := range tt.segments {
				if tw.Observe(&tt.segments[i]) {
					got = append(got, i)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("reported at %v, want %v", got, tt.want)
			}
		})
	}
}

func zero(l *leg) { l.isn, l.srv = 0, 0 }
func wrap(l *leg) { l.isn = 0xffffffff }

// Thousands of pairs at once, each reported once and on the right side.
func TestTwinsMany(t *testing.T) {
	tw := new(Twins)
	const n = 5000
	pair := func(i int) (a, b leg) {
		f := func(l *leg) {
			l.cport += uint16(i)
			l.isn, l.srv = wire.Seq(i)*0x9e3779b1, wire.Seq(i)*0x85ebca6b
		}
		return lan.change(f), wan.change(f)
	}
	var wrong, found int
	observe := func(s Segment, ok bool) {
		if tw.Observe(&s) {
			found++
			if !ok {
				wrong++
			}
		}
	}
	const lag = 100 // handshakes open at once
	for i := range n + lag {
		if i < n {
			a, b := pair(i + 1)
			observe(a.syn(int64(i)), false)
			observe(b.syn(int64(i)), false)
		}
		if i >= lag {
			a, b := pair(i - lag + 1)
			observe(b.synAck(int64(i)), false)
			observe(a.synAck(int64(i)), false)
			observe(a.ack(int64(i)), false)
			observe(b.ack(int64(i)), true)
			observe(b.ack(int64(i)), false)
		}
	}
	if found != n || wrong != 0 {
		t.Errorf("%d of %d twins found, %d on the wrong segment", found, n, wrong)
	}
	if tw.npend != 0 || tw.mask != 0 {
		t.Errorf("%d marks left, mask %x", tw.npend, tw.mask)
	}
}

func TestTwinsAllocates(t *testing.T) {
	tw := new(Twins)
	a, b, c, d, e := lan.syn(0), wan.syn(1), wan.synAck(2), lan.synAck(3), wan.ack(4)
	if n := testing.AllocsPerRun(10, func() {
		for _, s := range []*Segment{&a, &b, &c, &d, &e} {
			tw.Observe(s)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
