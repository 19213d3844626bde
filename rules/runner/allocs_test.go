package runner_test

import (
	"fmt"
	"testing"

	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// TestNoAllocation holds that neither a packet nor a transaction that breaks
// no rule allocates, once warm: a run over twice as many takes no more.
func TestNoAllocation(t *testing.T) {
	allocs := func(requests int, monitor bool) float64 {
		s, err := script.Parse("kept", fmt.Sprintf(`
conn 10.0.0.1:40000 > 10.0.0.2:80 ts
+0 handshake
repeat %d
+1ms > P "GET /v1/items HTTP/1.1\r\nHost: api.example.com\r\nAccept: application/json\r\n\r\n"
+1ms < P "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3000\r\n\r\n" len=3000 split=1448
+0.1ms > A
end
`, requests))
		if err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(3, func() {
			opts := runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: 1}
			if monitor {
				opts.Monitor = runner.NewMonitor(runner.MonitorOptions{})
			}
			if res := runner.Run(s.Source(1<<20), opts); res.Err != nil || len(res.Findings) > 0 {
				t.Fatal(res.Err, res.Findings)
			}
		})
	}
	for _, monitor := range []bool{false, true} {
		few, many := allocs(500, monitor), allocs(2000, monitor)
		if per := (many - few) / 1500; per > 0.01 {
			t.Errorf("watched %v: %.3f allocations a transaction (%.0f for 500, %.0f for 2,000)", monitor, per, few, many)
		}
	}
}
