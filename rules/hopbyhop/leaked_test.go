package hopbyhop_test

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/rules/hopbyhop"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestLeaked(t *testing.T) {
	rulestest.Run(t, hopbyhop.Leaked, "testdata/leaked/*.pkt")
}

// TestLaws draws sightings of few keys, times and hosts, so that bounds are
// met.
func TestLaws(t *testing.T) {
	host := func(t *rapid.T, name string) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 9).Draw(t, name))}), 80)
	}
	sightings := rapid.Custom(func(t *rapid.T) *hop.Sighting {
		s := &hop.Sighting{
			Key:    rapid.Uint64Range(0, 9).Draw(t, "key") << 60,
			Target: []byte(rapid.SampledFrom([]string{"/a", "http://b/a", "*"}).Draw(t, "target")),
			Client: host(t, "client"), Server: host(t, "server"),
			Status: rapid.SampledFrom([]uint16{0, 200, 407}).Draw(t, "status"),
		}
		s.Start.Frame = rapid.Uint64Range(1, 1<<40).Draw(t, "frame")
		s.Start.Time = rapid.Int64Range(0, 5).Draw(t, "time")
		s.Conn = s.Start.Frame
		if rapid.Bool().Draw(t, "proxy") {
			s.ReqBits |= http1.HasProxyConnection
		}
		s.HeadHash = rapid.Uint64Range(0, 2).Draw(t, "head")
		return s
	})
	rulestest.Laws(t, hopbyhop.BlindRelays{Correlate: hopbyhop.Correlate{Keys: 4, PerKey: 3, Hosts: 1, Verbatim: true}}, sightings)
	rulestest.Laws(t, hopbyhop.Correlate{Keys: 4, PerKey: 3, Hosts: 4, Alone: 3}, sightings)
}
