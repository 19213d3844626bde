// Package rulestest tests rules: that aggregates obey their laws, and that
// scripts give the findings written in them.
package rulestest

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/rules"
)

// Laws checks that an aggregate's zero value is the identity, that Merge is
// associative and commutative, that facts split and ordered in any way add up
// to the same, that values survive JSON, and that Key and Takes agree. Draw
// facts that share few keys.
func Laws[F rules.Fact, K comparable, A any](t *testing.T, agg rules.Aggregate[F, K, A], facts *rapid.Generator[F]) {
	t.Helper()
	var key *K
	taker, takes := any(agg).(rules.Taker[F])
	oneKey := facts.Filter(func(f F) bool {
		k, ok := agg.Key(f)
		if takes && taker.Takes(f) != ok {
			t.Fatalf("Takes says %v, Key %v", !ok, ok)
		}
		if ok && key == nil {
			key = &k
		}
		return ok && k == *key
	})
	Values(t, oneKey, agg.Add, agg.Merge)
}

// Values checks the same of a value made by add and merge.
func Values[A, X any](t *testing.T, items *rapid.Generator[X], add func(A, X) A, merge func(a, b A) A) {
	t.Helper()
	of := func(xs []X) A {
		var a A
		for _, x := range xs {
			a = add(a, x)
		}
		return a
	}
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(items, 0, 60).Draw(t, "items")
		whole := encode(t, of(xs))
		check := func(law string, got A) {
			if g := encode(t, got); g != whole {
				t.Fatalf("%s\n got %s\nwant %s", law, g, whole)
			}
		}
		var zero A
		check("zero + a = a", merge(zero, of(xs)))
		check("a + zero = a", merge(of(xs), zero))

		i := rapid.IntRange(0, len(xs)).Draw(t, "i")
		j := rapid.IntRange(i, len(xs)).Draw(t, "j")
		check("a + b is the whole", merge(of(xs[:i]), of(xs[i:])))
		check("b + a = a + b", merge(of(xs[i:]), of(xs[:i])))
		check("(a + b) + c is the whole", merge(merge(of(xs[:i]), of(xs[i:j])), of(xs[j:])))
		check("a + (b + c) is the whole", merge(of(xs[:i]), merge(of(xs[i:j]), of(xs[j:]))))

		check("any order gives the same", of(rapid.Permutation(xs).Draw(t, "order")))
		parts := make([]A, rapid.IntRange(1, 7).Draw(t, "parts"))
		for _, x := range xs {
			p := rapid.IntRange(0, len(parts)-1).Draw(t, "part")
			parts[p] = add(parts[p], x)
		}
		var sum A
		for _, p := range parts {
			sum = merge(sum, p)
		}
		check("any split gives the same", sum)

		// b must not be kept: what is added to it later stays its own.
		a, b := of(xs[:i]), of(xs[i:])
		sum = merge(a, b)
		for _, x := range slices.Clone(xs) {
			b = add(b, x)
		}
		check("b is not kept", sum)

		var back A
		if err := json.Unmarshal([]byte(whole), &back); err != nil {
			t.Fatalf("does not read back: %v", err)
		}
		check("JSON and back", back)
	})
}

func encode(t *rapid.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("is not serializable: %v", err)
	}
	return string(b)
}
