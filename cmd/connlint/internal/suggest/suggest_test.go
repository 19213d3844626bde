package suggest

import "testing"

func TestNearest(t *testing.T) {
	rules := []string{"nagle-delayed-ack", "missing-content-length", "time-wait-buildup", "tls-something"}
	for word, want := range map[string]string{
		"nagle-delayed-akc":     "nagle-delayed-ack", // swapped
		"NAGLE-DELAYED-ACK":     "nagle-delayed-ack",
		"missing-contentlength": "missing-content-length",
		"time-wait":             "time-wait-buildup", // begun
		"t":                     "",
		"keep-alive-race":       "",
		"":                      "",
	} {
		if got := Nearest(word, rules); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := edits(c.a, c.b); got != c.want {
			t.Errorf("edits(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
