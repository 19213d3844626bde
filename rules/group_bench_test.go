package rules_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/rules"
)

// counted counts a pair's transactions.
type counted struct{}

func (c counted) Key(f *rules.TransactionFact) (rules.Pair, bool) { return f.Pair(), c.Takes(f) }
func (counted) Takes(f *rules.TransactionFact) bool               { return f.ClientKnown }
func (counted) Add(n int, _ *rules.TransactionFact) int           { return n + 1 }
func (counted) Merge(a, b int) int                                { return a + b }
func (counted) Judge(*rules.Pass, rules.Pair, int)                {}

// BenchmarkGrouperAdd shows what it is worth that connections keep the numbers
// of their pairs.
func BenchmarkGrouperAdd(b *testing.B) {
	var facts []*rules.TransactionFact
	for i := range 64 {
		facts = append(facts, &rules.TransactionFact{Transaction: &http1.Transaction{}, Party: &rules.Party{ClientKnown: true,
			Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 40000), Server: netip.MustParseAddrPort("10.1.0.1:80")}})
	}
	for _, numbered := range []bool{false, true} {
		b.Run(fmt.Sprintf("numbered=%v", numbered), func(b *testing.B) {
			b.ReportAllocs()
			g := rules.GroupBy[*rules.TransactionFact, rules.Pair, int](counted{}).New(nil)
			for i := 0; b.Loop(); i++ {
				n := i % len(facts)
				pair := uint16(0)
				if numbered {
					pair = uint16(n + 1)
				}
				g.Add(facts[n], pair)
			}
		})
	}
}

// A key is found by its number as it is without, and pairs that share a key
// share its value.
func TestNumberedPairs(t *testing.T) {
	conn := func(client string, pair uint16) (*rules.TransactionFact, uint16) {
		return &rules.TransactionFact{Transaction: &http1.Transaction{}, Party: &rules.Party{ClientKnown: true,
			Client: netip.MustParseAddrPort(client), Server: netip.MustParseAddrPort("10.1.0.1:80")}}, pair
	}
	g := rules.GroupBy[*rules.TransactionFact, netip.AddrPort, int](byServer{}).New(nil)
	g.Add(conn("10.0.0.1:1", 7))
	g.Add(conn("10.0.0.1:2", 7))
	g.Add(conn("10.0.0.2:1", 3))
	g.Add(conn("10.0.0.2:1", 0))
	if v := rules.ValuesOf[*rules.TransactionFact, netip.AddrPort, int](g); len(v) != 1 || v[netip.MustParseAddrPort("10.1.0.1:80")] != 4 {
		t.Error(v)
	}
}

type byServer struct{}

func (byServer) Key(f *rules.TransactionFact) (netip.AddrPort, bool) { return f.Server, true }
func (byServer) Takes(*rules.TransactionFact) bool                   { return true }
func (byServer) Add(n int, _ *rules.TransactionFact) int             { return n + 1 }
func (byServer) Merge(a, b int) int                                  { return a + b }
func (byServer) Judge(*rules.Pass, netip.AddrPort, int)              {}
