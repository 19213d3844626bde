package runner_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// halting is a source that is idle now and then.
type halting struct {
	capture.Source
	r *rand.Rand
}

func (h *halting) Next(p *capture.Packet) error {
	if h.r.IntN(5) == 0 {
		return capture.ErrIdle
	}
	return h.Source.Next(p)
}

// ofOccurrence orders findings in one way, whatever became certain first.
func ofOccurrence(a, b runner.Finding) int {
	frame := func(f *runner.Finding) uint64 {
		if len(f.Frames) == 0 {
			return 0
		}
		return f.Frames[0]
	}
	return cmp.Or(cmp.Compare(frame(&a), frame(&b)), strings.Compare(a.Rule.Code, b.Rule.Code), strings.Compare(a.Fingerprint, b.Fingerprint),
		slices.Compare(a.Frames, b.Frames), strings.Compare(a.Message, b.Message), cmp.Compare(a.Conn, b.Conn))
}

// TestStream runs recordings as streams: what is reported on the way is what a
// run that keeps all occurrences finds, and the result is the same as of a
// plain run.
func TestStream(t *testing.T) {
	files, err := filepath.Glob("../../testdata/recorded/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	byRule := gocmp.Options{cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty(),
		gocmp.Comparer(func(a, b *rules.Rule) bool { return a == b })}
	open := func(file string) capture.Source {
		src, err := pcapfile.Open(file, pcapfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	list := catalog.All()
	reported := 0
	for i, file := range files {
		opts := runner.Options{Rules: list, Precedence: catalog.Precedence(), Workers: 1}
		want := runner.Run(open(file), opts)
		opts.All = true
		all := runner.Run(open(file), opts)
		opts.All = false
		for _, workers := range []int{1, 3} {
			var got []runner.Finding
			opts.Workers = workers
			opts.Stream = &runner.Stream{Finding: func(f *runner.Finding) { got = append(got, *f) }, Window: 24 * time.Hour}
			res := runner.Run(&halting{open(file), rand.New(rand.NewPCG(1, uint64(i)))}, opts)
			if d := gocmp.Diff(want.Findings, res.Findings, byRule); d != "" {
				t.Errorf("%s, %d workers: result (-plain +stream):\n%s", file, workers, d)
			}
			slices.SortFunc(got, ofOccurrence)
			slices.SortFunc(all.Findings, ofOccurrence)
			if d := gocmp.Diff(all.Findings, got, byRule); d != "" {
				t.Errorf("%s, %d workers: reported (-plain +stream):\n%s", file, workers, d)
			}
			reported += len(got)
		}
	}
	t.Logf("%d recordings, %d findings reported", len(files), reported)
	if reported == 0 {
		t.Error("nothing was reported")
	}
}

// TestStreamWindows judges across connections in windows: what one window
// shows is reported at its end.
func TestStreamWindows(t *testing.T) {
	file := "../../testdata/recorded/tw001-curl-loop-at-client.pcap"
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	src, err := pcapfile.Open(file, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	early := 0
	var ended atomic.Bool
	cut := &cutting{Source: src, done: func() { ended.Store(true) }}
	res := runner.Run(cut, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Workers: 2,
		Stream: &runner.Stream{Window: time.Millisecond, Finding: func(f *runner.Finding) {
			if !ended.Load() {
				early++
			}
		}}})
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	if early == 0 {
		t.Error("nothing was reported before the end")
	}
	if res.TCPConnections == 0 {
		t.Error("no connections")
	}
}

// TestStreamKeys ends windows before their time when there are many clients.
func TestStreamKeys(t *testing.T) {
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "conn c%d 10.0.%d.%d:40000 > 10.9.0.1:80 at=%g\n+0 handshake\n+0.001 > P \"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\"\n"+
			"+0.001 < P \"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n\"\n+0.001 > F\n+0 < F\n+0 > A\n", i, i/200, i%200+1, float64(i)/100)
	}
	s, err := script.Parse("clients", b.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 3} {
		for _, keys := range []int{300, 1 << 20} {
			var windows atomic.Int64
			count := func(*rules.Config) rules.Grouping {
				return rules.GroupBy[*lifecycle.Conn, netip.AddrPort, int](judged{&windows})
			}
			rule := &rules.Rule{Code: "X001", Name: "x", Group: count}
			src := &cutting{Source: s.Source(0), done: func() {}, every: 5}
			res := runner.Run(src, runner.Options{Rules: append(catalog.All(), rule), Precedence: catalog.Precedence(), Workers: workers,
				Stream: &runner.Stream{Keys: keys}})
			if res.Err != nil || res.TCPConnections != 400 {
				t.Fatalf("%d connections, error %v", res.TCPConnections, res.Err)
			}
			if n := windows.Load(); (n > 3) != (keys == 300) {
				t.Errorf("%d workers, up to %d keys: %d windows", workers, keys, n)
			}
		}
	}
}

// judged counts how often the connections of a server are judged.
type judged struct{ N *atomic.Int64 }

func (judged) Key(c *lifecycle.Conn) (netip.AddrPort, bool) { return c.Server, true }
func (judged) Add(a int, _ *lifecycle.Conn) int             { return a + 1 }
func (judged) Merge(a, b int) int                           { return a + b }

// Judge counts.
func (j judged) Judge(*rules.Pass, netip.AddrPort, int) { j.N.Add(1) }

type cutting struct {
	capture.Source
	n     int
	done  func()
	every int // packets, then it is idle; 0 for 100
}

func (c *cutting) Next(p *capture.Packet) error {
	if c.n++; c.n%cmp.Or(c.every, 100) == 0 {
		return capture.ErrIdle
	}
	err := c.Source.Next(p)
	if err != nil {
		c.done()
	}
	return err
}
