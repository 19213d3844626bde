package wire

import (
	"fmt"
	"strings"
	"testing"
)

// describe spells options out, reading all there is to read.
func describe(b []byte) string {
	var out []string
	add := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	for o := Options(b); o.Next(); {
		if n, ok := o.MSS(); ok {
			add("mss %d", n)
		} else if n, ok := o.WindowScale(); ok {
			add("scale %d", n)
		} else if o.SACKPermitted() {
			add("sack permitted")
		} else if v, e, ok := o.Timestamps(); ok {
			add("ts %d %d", v, e)
		} else if n := o.SACKBlocks(); n > 0 {
			s := "sack"
			for i := range n {
				l, r := o.SACKBlock(i)
				s += fmt.Sprintf(" %d-%d", l, r)
			}
			add("%s", s)
		} else {
			add("kind %d", o.Kind())
		}
	}
	return strings.Join(out, ", ")
}

func FuzzOptions(f *testing.F) {
	for _, s := range []string{"020405b40402080a000000010000000001030307", "0101051200000001000000020000000300000004", "0200", "08ff"} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		for o := Options(b); o.Next(); {
			size += 2 + len(o.Value())
		}
		if size > len(b) {
			t.Errorf("%d bytes of options in %d", size, len(b))
		}
		describe(b)
	})
}
