package tlsuse_test

import (
	"os"
	"slices"
	"testing"

	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// TestTurns checks which turns of a TLS connection belong to its handshake:
// what is left stands for transactions.
func TestTurns(t *testing.T) {
	const file = "testdata/turns.pkt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := script.Parse(file, string(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint16][]string{}
	listen := &rules.Rule{Code: "TLS000", Name: "listen", Turn: func(p *rules.Pass, turn *timing.Turn) {
		kind := "asks"
		switch {
		case turn.Handshake:
			kind = "shakes"
		case turn.First:
			kind = "asks first"
		}
		port := p.Conn().Client.Port()
		got[port] = append(got[port], kind)
	}}
	src := s.Source(0)
	defer src.Close()
	if res := runner.Run(src, runner.Options{Config: rules.Defaults(), Workers: 1, Rules: []*rules.Rule{listen}}); res.Err != nil {
		t.Fatal(res.Err)
	}
	for port, want := range map[uint16][]string{
		40000: {"shakes", "asks first", "asks"},
		40001: {"shakes", "shakes", "asks first", "asks"},
		40002: {"shakes", "asks first", "asks"},
		40003: {"shakes", "shakes", "asks first", "asks"},
	} {
		if !slices.Equal(got[port], want) {
			t.Errorf("%d: %v, want %v", port, got[port], want)
		}
	}
}
