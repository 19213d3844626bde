package tlsuse_test

import (
	"os"
	"testing"

	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// TestHTTP2IsCounted runs connections that agree on HTTP/2, openly and behind
// encryption, and others that may or do not.
func TestHTTP2IsCounted(t *testing.T) {
	const file = "testdata/http2.pkt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := script.Parse(file, string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 7} {
		src := s.Source(300)
		res := runner.Run(src, runner.Options{Config: rules.Defaults(), Workers: workers})
		src.Close()
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		if res.TLSConnections != 4 || res.HTTP2Connections != 2 {
			t.Errorf("%d workers: %d connections of TLS, %d of HTTP/2", workers, res.TLSConnections, res.HTTP2Connections)
		}
	}
}
