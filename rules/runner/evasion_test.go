package runner_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
)

// What attackers send, from packets to the result: what is counted, and that no
// trick makes a finding of what cannot be told. The readings themselves are
// tested in capture, reassembly and http1.
func TestEvasion(t *testing.T) {
	const conn = "conn 10.0.0.1:40000 > 10.0.0.2:80\n+0 handshake\n"
	const get = `"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"`
	const ok = `"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"`
	exchange := "+0.001 > P " + get + "\n+0.001 < P " + ok + "\n"
	for _, tt := range []struct {
		name     string
		script   string
		skipped  map[string]uint64
		requests uint64
		codes    string // of the findings of warnings and errors
	}{
		{"nothing out of the ordinary", conn + exchange + "+0.001 > close\n", nil, 1, ""},
		{"decoy with a small hop limit", conn +
			"+0.001 > P \"GET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\" ttl=1 lost\n" +
			"+0.3 > P " + get + " retransmit\n+0.001 < P " + ok + "\n+0.001 > close\n", nil, 1, ""},
		{"decoy with a wrong checksum", conn +
			"+0.001 > P \"GET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\" badsum lost\n" +
			"+0.3 > P " + get + " retransmit\n+0.001 < P " + ok + "\n+0.001 > close\n", nil, 1, ""},
		{"all checksums wrong, as on a sending host", conn + "+0.001 > P " + get + " badsum\n+0.001 < P " + ok + " badsum\n+0.001 > close\n", nil, 1, ""},
		{"out-of-order bytes sent again otherwise", conn +
			"+0.001 > P \"Host: evil\\r\\n\\r\\n\" seq=18 ack=1\n" +
			"+0.1 > P \"Host: good\\r\\n\\r\\n\" seq=18 ack=1\n" +
			"+0.1 > P \"GET /a HTTP/1.1\\r\\n\" seq=1 ack=1\n+0.001 < P " + ok + " ack=32\n", map[string]uint64{"ambiguous": 1}, 1, ""},
		{"urgent data", conn + "+0.001 > PU " + get + "\n+0.001 < P " + ok + "\n+0.001 > close\n", map[string]uint64{"ambiguous": 1}, 1, ""},
		{"RST out of window, forged", conn + exchange + "+0.001 < R. seq=900000\n" + exchange + "+0.001 > close\n", map[string]uint64{"out-of-window": 1}, 2, ""},
		{"FIN out of window, forged", conn + exchange + "+0.001 < F. seq=900000\n" + exchange + "+0.001 > close\n", map[string]uint64{"out-of-window": 1}, 2, ""},
		{"data in the SYN", "conn 10.0.0.1:40000 > 10.0.0.2:80\n+0 > S " + get + "\n+0.001 < S.\n+0.001 > A\n+0.001 < P " + ok + "\n+0.001 > close\n", nil, 1, ""},
		{"a port used again and again", strings.Repeat("conn c{N} 10.0.0.1:40000 > 10.0.0.2:80 isn={N}00000/{N}50000\n+0 handshake\n"+exchange+"+0.001 > R.\n", 5), nil, 5, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.script
			for i := 1; strings.Contains(text, "c{N}"); i++ {
				head, rest, _ := strings.Cut(text, "c{N}")
				isn, rest, _ := strings.Cut(rest, "\n")
				text = head + fmt.Sprintf("c%d", i) + strings.ReplaceAll(isn, "{N}", fmt.Sprint(i)) + "\n" + rest
			}
			s, err := script.Parse(t.Name(), text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			var want string
			for _, workers := range []int{1, 3} {
				src := s.Source(4096)
				res := runner.Run(src, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: workers})
				if err := src.Close(); err != nil || res.Err != nil {
					t.Fatal(err, res.Err)
				}
				if got := rulestest.Describe(res); want == "" {
					want = got
				} else if want != got {
					t.Errorf("differs with %d workers", workers)
				}
				if !maps.Equal(res.Skipped, tt.skipped) {
					t.Errorf("skipped %v, want %v", res.Skipped, tt.skipped)
				}
				if res.Requests != tt.requests {
					t.Errorf("%d requests", res.Requests)
				}
				var codes []string
				for i := range res.Findings {
					if f := &res.Findings[i]; f.Severity >= rules.Warning {
						codes = append(codes, f.Rule.Code)
					}
				}
				slices.Sort(codes)
				if got := strings.Join(codes, " "); got != tt.codes {
					t.Errorf("found %s\n%s", got, want)
				}
			}
		})
	}
}
