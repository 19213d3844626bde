package runner_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
)

// FuzzRun judges any bytes by all rules: on one worker and on three, in one
// piece and in small blocks, the result is the same, and every packet is
// accounted for.
func FuzzRun(f *testing.F) {
	list, err := filepath.Glob("../../testdata/recorded/*.pcap*")
	if err != nil || len(list) == 0 {
		f.Fatal("no recordings", err)
	}
	n := 0
	for i, name := range list {
		if b, err := os.ReadFile(name); err == nil && len(b) < 6000 && (n < 30 || i%10 == 0) {
			f.Add(b)
			n++
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		var want string
		for i, workers := range []int{1, 1, 3} {
			if workers > 1 && len(b)%16 != 0 {
				continue // what goroutines cover differs from run to run, which the fuzzer takes for news
			}
			var src capture.Source
			var err error
			if i == 0 {
				src, err = pcapfile.NewReader(bytes.NewReader(b), "x", int64(len(b)), pcapfile.Options{})
			} else {
				src, err = pcapfile.NewReader(iotest.HalfReader(bytes.NewReader(b)), "x", -1, pcapfile.Options{Pool: capture.NewBlockPool(300, 2)})
			}
			if err != nil {
				return
			}
			res := runner.Run(src, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: workers})
			if err := src.Close(); err != nil {
				t.Fatal(err)
			}
			got := rulestest.Describe(res)
			if want == "" {
				want = got
			} else if want != got {
				t.Fatalf("%d workers, in pieces, differ from one:\n%s", workers, cmp.Diff(want, got))
			}
			for i := range res.Findings {
				x := &res.Findings[i]
				if x.Message == "" || x.Fingerprint == "" || x.Rule == nil {
					t.Fatalf("finding without message or fingerprint: %+v", x)
				}
				for _, frame := range x.Frames {
					if frame == 0 {
						t.Fatalf("finding at frame 0: %+v", x)
					}
				}
			}
		}
	})
}
