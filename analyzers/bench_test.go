package analyzers_test

import (
	"os"
	"testing"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/reassembly/shard"
)

// BenchmarkFloors runs over the capture that CONNLINT_BENCH_FILE names, one
// floor more each time, and reports the processor's time a packet: that of a
// floor is the difference to the one below.
func BenchmarkFloors(b *testing.B) {
	path := os.Getenv("CONNLINT_BENCH_FILE")
	if path == "" {
		b.Skip("CONNLINT_BENCH_FILE names no capture")
	}
	run := func(name string, f func(capture.Source) uint64) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			packets, from := uint64(0), cpuTime()
			for b.Loop() {
				src, err := pcapfile.Open(path, pcapfile.Options{})
				if err != nil {
					b.Fatal(err)
				}
				packets += f(src)
				if err := src.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime()-from)/float64(packets), "cpu-ns/packet")
		})
	}
	deal := func(src capture.Source, work func(*capture.Segment)) uint64 {
		totals, err := shard.Run(src, []func(*capture.Segment){work}, shard.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return totals.Packets
	}
	run("read", func(src capture.Source) (n uint64) {
		var p capture.Packet
		for ; src.Next(&p) == nil; n++ {
		}
		return n
	})
	run("decode", func(src capture.Source) uint64 { return deal(src, func(*capture.Segment) {}) })
	run("reassemble", func(src capture.Source) uint64 {
		t := reassembly.NewTable[struct{}](nothing{}, reassembly.DefaultOptions())
		defer t.Finish()
		return deal(src, t.Feed)
	})
	run("analyze", func(src capture.Source) uint64 {
		tr := analyzers.NewTracker(deaf(), analyzers.Options{Sights: func(*hop.Sighting) bool { return false }})
		t := reassembly.NewTable[analyzers.State](tr, reassembly.DefaultOptions())
		t.PackAtRest(tr.Pack, tr.Unpack)
		defer t.Finish()
		return deal(src, t.Feed)
	})
}

// deaf subscribes to all facts and looks at none.
func deaf() analyzers.Facts {
	return analyzers.Facts{
		Opened:      func(*analyzers.Conn) {},
		Head:        func(*analyzers.Conn, *http1.Head, *http1.Message, *http1.Transaction) {},
		Transaction: func(*analyzers.Conn, *http1.Transaction) {},
		Anomaly:     func(*analyzers.Conn, *http1.Anomaly, *http1.Transaction) {},
		Stall:       func(*analyzers.Conn, *timing.Stall, *http1.Transaction) {},
		Turn:        func(*analyzers.Conn, *timing.Turn) {},
		Window:      func(*analyzers.Conn, *timing.Closure, bool, *http1.Transaction) {},
		Sighting:    func(*analyzers.Conn, *hop.Sighting) {},
		Closed:      func(*analyzers.Conn, *lifecycle.Conn) {},
	}
}

type nothing struct{}

func (nothing) Segment(*reassembly.Conn[struct{}], wire.Dir, *reassembly.Segment, reassembly.Kind) {}
func (nothing) Data(*reassembly.Conn[struct{}], wire.Dir, *reassembly.Span)                        {}
func (nothing) Gap(*reassembly.Conn[struct{}], wire.Dir, *reassembly.Gap)                          {}
func (nothing) FIN(*reassembly.Conn[struct{}], wire.Dir, *reassembly.Span)                         {}
func (nothing) Close(*reassembly.Conn[struct{}], reassembly.CloseReason) uint8                     { return 0 }
