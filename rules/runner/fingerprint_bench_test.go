package runner

import (
	"fmt"
	"testing"

	"github.com/connlint/connlint/rules"
)

// BenchmarkFingerprint is the fingerprint of a fault found again, each time at
// another target of the same route.
func BenchmarkFingerprint(b *testing.B) {
	j := &judge{opts: &Options{Rules: []*rules.Rule{{Code: "FRM001"}}}, prints: map[printed]string{}}
	list := make([]rules.Finding, 4*maxPrints)
	for i := range list {
		list[i].Subject = rules.Subject{Host: "www.example.com", Method: "GET", Target: fmt.Sprintf("/items/%d?page=%d", i, i)}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		j.fingerprint(0, &list[n%len(list)])
		n++
	}
}
