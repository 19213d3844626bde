package reuse_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

// TestPrediction holds the estimate of the total with reuse, made from a
// recording without, against the recording of the same workload with reuse.
func TestPrediction(t *testing.T) {
	const dir = "../../testdata/recorded/"
	var table strings.Builder
	fmt.Fprintf(&table, "%-28s %12s %12s %12s %8s\n", "workload", "without", "predicted", "with", "error")
	for _, w := range []string{
		"requests-20ms-plain", "requests-80ms-plain", "requests-200ms-plain",
		"requests-20ms-tls", "requests-80ms-tls", "requests-200ms-tls",
		"requests-80ms-large",
		"node-80ms-plain", "node-20ms-tls", "go-80ms-plain", "go-20ms-tls", "java-80ms-plain", "java-20ms-tls",
	} {
		without := only(t, dir+"reuse-"+w+"-without.pcap")
		with := only(t, dir+"reuse-"+w+"-with.pcap")
		off := float64(without.Estimated-with.Observed) / float64(with.Observed)
		fmt.Fprintf(&table, "%-28s %12v %12v %12v %+7.1f%%\n", w, without.Observed.Round(time.Millisecond),
			without.Estimated.Round(time.Millisecond), with.Observed.Round(time.Millisecond), 100*off)
		if off < -0.1 || off > 0.1 {
			t.Errorf("%s: %v predicted, %v measured: %+.1f %%", w, without.Estimated, with.Observed, 100*off)
		}
		// What is reused already is not to be gained again.
		if gain := float64(with.Observed-with.Estimated) / float64(with.Observed); gain < -0.01 || gain > 0.01 {
			t.Errorf("%s: with reuse, %v is estimated as %v", w, with.Observed, with.Estimated)
		}
		if without.Avoidable != without.Connections-1 || with.Avoidable != 0 || with.Connections != 1 ||
			without.Transactions != with.Transactions || without.Transactions != without.Connections {
			t.Errorf("%s: without %+v, with %+v", w, without, with)
		}
	}
	t.Logf("\n%s", &table)
}

// only returns the stats of the one pair in a recording.
func only(t *testing.T, file string) reuse.Stats {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	src, err := pcapfile.Open(file, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	res := runner.Run(src, runner.Options{Groups: []rules.Grouping{reuse.Grouping()}})
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	list := reuse.All(res.Groups[0], rules.Defaults().PoolIdle)
	if len(list) != 1 {
		t.Fatalf("%s: %d pairs", file, len(list))
	}
	return list[0]
}
