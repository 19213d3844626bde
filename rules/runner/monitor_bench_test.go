package runner_test

import (
	"testing"
	"time"

	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// BenchmarkMonitor compares runs with and without somebody looking on five
// times a second.
func BenchmarkMonitor(b *testing.B) {
	for _, name := range []string{"api", "churn"} {
		s, err := script.Parse(name, loads[name])
		if err != nil {
			b.Fatal(err)
		}
		for _, watched := range []bool{false, true} {
			b.Run(name+map[bool]string{false: "/alone", true: "/watched"}[watched], func(b *testing.B) {
				var packets uint64
				for b.Loop() {
					opts := runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: 1}
					stop := make(chan struct{})
					if watched {
						opts.Monitor = runner.NewMonitor(runner.MonitorOptions{})
						go func() {
							for tick := time.NewTicker(200 * time.Millisecond); ; {
								select {
								case <-stop:
									tick.Stop()
									return
								case <-tick.C:
									opts.Monitor.Snapshot()
								}
							}
						}()
					}
					res := runner.Run(s.Source(1<<20), opts)
					close(stop)
					packets = res.Packets
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(packets), "ns/packet")
			})
		}
	}
}
