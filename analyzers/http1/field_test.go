package http1

import (
	"bytes"
	"strings"
	"testing"
)

// TestNameIn holds the search by words against one byte by byte, wherever the
// bytes end behind the line.
func TestNameIn(t *testing.T) {
	names := []string{"", "X", "Content\rLength", "Content-Length ", "X-Nobody-Knows", strings.Repeat("a", 40)}
	for id := FieldOther + 1; id < numFields; id++ {
		s := id.String()
		if got := FieldOf([]byte(s)); got != id {
			t.Errorf("FieldOf(%q) = %q", s, got)
		}
		names = append(names, s, strings.ToLower(s), strings.ToUpper(s), s+"x", s[1:])
	}
	for _, name := range names {
		want := FieldOther
		for id := FieldOther + 1; id < numFields; id++ {
			if len(name) == len(id.String()) && strings.EqualFold(name, id.String()) {
				want = id
			}
		}
		for _, line := range []string{name + ":", name + ": a:b", name + ":::::::::", name} {
			for _, behind := range []string{"", "\n", "\nHost: a", "\nContent-Type: text/html\r\n\r\n"} {
				colon, id := nameIn([]byte(line+behind), len(line))
				if at := bytes.IndexByte([]byte(line), ':'); colon != at || at >= 0 && id != want {
					t.Errorf("nameIn(%q, %d) = %d, %q, want %d, %q", line+behind, len(line), colon, id, at, want)
				}
			}
		}
	}
}
