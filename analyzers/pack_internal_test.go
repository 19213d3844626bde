package analyzers

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"unsafe"

	"github.com/connlint/connlint/reassembly"
)

// fill gives every field of v, exported or not, a random value; pointers stay
// nil, but for that to a turn under way. Small numbers and large ones are as
// likely.
func fill(rng *rand.Rand, v reflect.Value) {
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // settable though unexported
	n := rng.Uint64() >> rng.IntN(64)
	if rng.IntN(4) == 0 {
		n = 0
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rng, v.Field(i))
		}
		if v.Type().String() == "timing.half" && v.FieldByName("stage").Uint() == 0 {
			for _, name := range []string{"first", "ack", "end", "firstLen"} { // mean nothing then
				f := v.FieldByName(name)
				reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().SetZero()
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.Pointer:
		if v.Type().String() == "*timing.turns" && n&1 != 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rng, v.Elem())
		}
	case reflect.Bool:
		v.SetBool(n&1 != 0)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		switch v.Type().Name() {
		case "Dir":
			n &= 1
		case "roleBy", "stage":
			n %= 3
		}
		v.SetUint(n & (1<<v.Type().Bits() - 1))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		shift := 64 - v.Type().Bits()
		v.SetInt(int64(n) << shift >> shift)
	}
}

// TestPackKeepsAll fills states at random, packs and unpacks them: a field that
// its package's pack.go forgets comes back zero.
func TestPackKeepsAll(t *testing.T) {
	packing, unpacking := NewTracker(Facts{}, Options{}), NewTracker(Facts{}, Options{})
	for seed := range uint64(20_000) {
		var have, want Conn
		for _, c := range []*Conn{&have, &want} {
			rng := rand.New(rand.NewPCG(seed, 1))
			for _, part := range []any{&c.ID, &c.Start, &c.Last, &c.Streams, &c.State} {
				fill(rng, reflect.ValueOf(part).Elem())
			}
		}
		var p reassembly.Packer
		if !packing.Pack(&have, &p) {
			t.Fatal("not at rest")
		}
		have.State, want.State.Pair = State{}, 0
		u := p.Unpacker()
		unpacking.Unpack(&have, &u)
		if !reflect.DeepEqual(have, want) {
			t.Fatalf("seed %d: got  %+v\nwant %+v", seed, have.State, want.State)
		}
	}
}
