package budget

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestLaws(t *testing.T) {
	conns := rapid.Custom(func(t *rapid.T) *lifecycle.Conn {
		return &lifecycle.Conn{ID: rapid.Uint64Range(1, 1000).Draw(t, "frame"), Requests: rapid.Uint32Range(1, 9).Draw(t, "requests"),
			Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:80")}
	})
	rulestest.Laws(t, ratio{Least: 0.5}, conns)
	rulestest.Laws(t, connections{Most: 3}, conns)
}
