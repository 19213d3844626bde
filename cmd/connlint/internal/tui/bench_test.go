package tui

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/rules/runner"
)

// crowd returns a feed's last snapshot with as much in it as snapshots ever
// hold, as of a run that goes on.
func crowd(f *Feed) *runner.Snapshot {
	s := *f.Monitor.Snapshot()
	s.Result = nil
	series := runner.Series{Width: 1e9, Open: make([]int64, 128), Idle: make([]int64, 128), TimeWait: make([]int64, 128)}
	for i := range series.Open {
		series.Open[i] = int64(i)
	}
	one := s.Findings[0]
	s.Findings, s.Pairs, s.Conns = nil, nil, nil
	for i := range 2000 {
		one.Fingerprint, one.Cost = fmt.Sprint(i), int64(i*7919%1000)
		s.Findings = append(s.Findings, one)
	}
	for i := range 1000 {
		a, b := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), netip.AddrFrom4([4]byte{10, 9, 0, byte(i)})
		s.Pairs = append(s.Pairs, runner.PairRow{Client: a, Server: netip.AddrPortFrom(b, 80), Conns: int64(i), Requests: int64(3 * i), Used: int64(i), Series: series})
		s.Conns = append(s.Conns, runner.ConnRow{ID: uint64(i + 1), Client: netip.AddrPortFrom(a, uint16(1024+i)), Server: netip.AddrPortFrom(b, 80), Requests: 3, Last: int64(i)})
	}
	return &s
}

// BenchmarkScreen takes in a full snapshot and draws it: what the screen costs
// five times a second, and at most ten times.
func BenchmarkScreen(b *testing.B) {
	f := feed(b, traffic)
	snap := crowd(f)
	for _, size := range sizes[:2] {
		for _, keys := range []string{"1", "1g", "2", "2g", "3", "3/10.9 80<enter>"} {
			b.Run(fmt.Sprintf("%dx%d/%s", size.w, size.h, keys[:min(len(keys), 2)]), func(b *testing.B) {
				u := sit(b, f, size.w, size.h)
				u.do(SnapMsg{snap, Stats{}})
				u.press(keys)
				b.ReportAllocs()
				for b.Loop() {
					u.do(SnapMsg{snap, Stats{}})
					Draw(u.screen, &u.model)
					u.screen.Show()
				}
			})
		}
	}
}

// counted is a screen that counts its pictures.
type counted struct {
	tcell.SimulationScreen
	shows atomic.Int64
}

func (c *counted) Show() {
	c.SimulationScreen.Show()
	c.shows.Add(1)
}

// TestDraws holds that no more than ten pictures a second are drawn, however
// many keys are pressed.
func TestDraws(t *testing.T) {
	f := feed(t, traffic)
	screen := &counted{SimulationScreen: tcell.NewSimulationScreen("UTF-8")}
	begin, done := time.Now(), make(chan error)
	go func() { done <- Run(context.Background(), screen, *f) }()
	for screen.shows.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	for i := range 300 {
		screen.InjectKey(tcell.KeyRune, []rune("123")[i%3], 0)
		time.Sleep(time.Millisecond)
	}
	screen.InjectKey(tcell.KeyRune, 'q', 0)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n, most := screen.shows.Load(), 2+int64(time.Since(begin)/drawEvery); n > most {
		t.Errorf("%d pictures in %v, at most %d are due", n, time.Since(begin), most)
	}
}

// same is a source of one packet, for ever.
type same struct {
	capture.Source
	packet capture.Packet
}

func (s *same) Next(p *capture.Packet) error { *p = s.packet; return nil }
func (*same) Info() capture.Info             { return capture.Info{} }

// BenchmarkTap passes packets on, as before a file's run and before a live
// one's, which keeps the latest.
func BenchmarkTap(b *testing.B) {
	for _, keep := range []int{0, 64 << 20} {
		for _, size := range []int{66, 1514} {
			b.Run(fmt.Sprintf("%dMiB/%d", keep>>20, size), func(b *testing.B) {
				t := NewTap(&same{packet: capture.Packet{Data: make([]byte, size), OrigLen: size}}, keep)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				var p capture.Packet
				for b.Loop() {
					if err := t.Next(&p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
