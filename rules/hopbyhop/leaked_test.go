package hopbyhop_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/hopbyhop"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestLeaked(t *testing.T) {
	rulestest.Run(t, hopbyhop.Leaked, "testdata/leaked/*.pkt")
}

func TestLaws(t *testing.T) {
	rulestest.Laws(t, hopbyhop.BlindRelays{Correlate: hopbyhop.Correlate{Keys: 4, PerKey: 3, Hosts: 1, Verbatim: true}}, sightings())
	rulestest.Laws(t, hopbyhop.Correlate{Keys: 4, PerKey: 3, Hosts: 4, Alone: 3}, sightings())
}

// TestSamples holds that what is not asked for would not have been kept.
func TestSamples(t *testing.T) {
	samples(t, hopbyhop.BlindRelays{Correlate: hopbyhop.Correlate{Keys: 4, PerKey: 3, Hosts: 1, Verbatim: true}})
	samples(t, hopbyhop.Correlate{Keys: 4, PerKey: 3, Hosts: 4, Alone: 3})
}

func samples(t *testing.T, agg interface {
	rules.Aggregate[*hop.Sighting, struct{}, *hopbyhop.Hops]
	rules.Sampler[*hopbyhop.Hops]
},
) {
	rapid.Check(t, func(t *rapid.T) {
		var all, asked *hopbyhop.Hops
		for _, s := range rapid.SliceOfN(sightings(), 40, 120).Draw(t, "sightings") {
			bare := *s
			bits, most := agg.Limit(asked)
			if beyond := !s.ReqBits.Has(bits) || s.Key > most; beyond && agg.Samples(asked, s) {
				t.Fatalf("%T: %+v is beyond the limit, and asked for", agg, s)
			}
			if !agg.Samples(asked, &hop.Sighting{Key: s.Key, Start: s.Start, ReqBits: s.ReqBits}) && !s.ReqBits.Has(http1.HasProxyConnection) {
				bare.Bare, bare.HeadHash = true, 0
			}
			if _, ok := agg.Key(s); ok {
				all, asked = agg.Add(all, s), agg.Add(asked, &bare)
			}
		}
		want, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(asked)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("%T:\n got %s\nwant %s", agg, got, want)
		}
	})
}

// sightings draws those of few keys, times and hosts, so that bounds are met.
func sightings() *rapid.Generator[*hop.Sighting] {
	host := func(t *rapid.T, name string) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 9).Draw(t, name))}), 80)
	}
	return rapid.Custom(func(t *rapid.T) *hop.Sighting {
		s := &hop.Sighting{
			Key:    rapid.Uint64Range(0, 9).Draw(t, "key") << 60,
			Target: []byte(rapid.SampledFrom([]string{"/a", "http://b/a", "*"}).Draw(t, "target")),
			Client: host(t, "client"), Server: host(t, "server"),
			Status: rapid.SampledFrom([]uint16{0, 200, 407}).Draw(t, "status"),
		}
		s.Start.Time = rapid.Int64Range(0, 5).Draw(t, "time")
		other := rapid.Uint64().Draw(t, "other")
		if rapid.Bool().Draw(t, "proxy") {
			s.ReqBits |= http1.HasProxyConnection
		}
		if rapid.Bool().Draw(t, "keep") {
			s.ReqBits |= http1.ConnKeepAlive
			s.RespBits |= http1.ConnKeepAlive
		}
		s.HeadHash = rapid.Uint64Range(0, 2).Draw(t, "head")
		// Two that differ began in different frames.
		h := fnv.New64a()
		fmt.Fprint(h, *s, other)
		s.Start.Frame = h.Sum64()>>24 + 1
		s.Conn = s.Start.Frame
		return s
	})
}
