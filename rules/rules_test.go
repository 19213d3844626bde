package rules_test

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

func TestRedaction(t *testing.T) {
	for _, tt := range []struct{ in, some, all string }{
		{"/a/b", "/a/b", "/***"},
		{"/a?user=x&y&z=", "/a?user=***&***&z=***", "/***"},
		{"http://u:p@h/a?b=c", "http://***@h/a?b=***", "/***"},
		{"http://u:p@h", "http://***@h", "/***"},
		{"/a@b", "/a@b", "/***"},
		{"*", "*", "/***"},
	} {
		if got := rules.RedactDefault.Target(tt.in); got != tt.some {
			t.Errorf("by default %q shows as %q, want %q", tt.in, got, tt.some)
		}
		if got := rules.RedactAll.Target(tt.in); got != tt.all {
			t.Errorf("with all %q shows as %q, want %q", tt.in, got, tt.all)
		}
		if got := rules.RedactNone.Target(tt.in); got != tt.in {
			t.Errorf("with none %q shows as %q", tt.in, got)
		}
	}
	if rules.RedactAll.Host("h") == "h" || rules.RedactDefault.Host("h") != "h" || rules.RedactAll.Host("") != "" {
		t.Error("hosts are hidden by \"all\" alone")
	}
}

func TestSubject(t *testing.T) {
	p := rules.Pass{Config: rules.Defaults(), Conn: func() *lifecycle.Conn {
		return &lifecycle.Conn{Client: netip.MustParseAddrPort("[2001:db8::1]:4"), Server: netip.MustParseAddrPort("10.0.0.2:80")}
	}}
	tr := &http1.Transaction{MethodName: []byte("GET"), Target: []byte("/a?b=c"), Host: []byte("h")}
	tr.Resp.Status = 200
	s := p.Subject(tr)
	if got, want := s.Where(), "client 2001:db8::1 → 10.0.0.2:80"; got != want {
		t.Errorf("without a request: %q, want %q", got, want)
	}
	tr.Req.First.Frame = 3
	s = p.Subject(tr)
	if got, want := s.WhereServer(), "server 10.0.0.2:80 → 2001:db8::1 GET /a?b=***"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if s.Status != 0 || s.Host != "h" {
		t.Errorf("%+v: a status without a response", s)
	}
	p.Conn = nil
	s = p.Subject(nil)
	if got := s.Label(); got != "a request" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestSpan(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 µs", 31_400: "31 µs", 999_499: "999 µs", 999_500: "1.0 ms", 40_100_000: "40.1 ms", 999_949_999: "999.9 ms",
		999_950_000: "1.00 s", 9_994_000_000: "9.99 s", 9_995_000_000: "10.0 s", 48_200_000_000: "48.2 s", 59_949_000_000: "59.9 s",
		59_950_000_000: "1 min 0 s", 200_000_000_000: "3 min 20 s", 3_599_600_000_000: "1 h 0 min", 7_500_000_000_000: "2 h 5 min",
		-1_000_000: "-1.0 ms", math.MinInt64: "-2562047 h 47 min",
	} {
		if got := rules.Span(ns); got != want {
			t.Errorf("Span(%d) = %q, want %q", ns, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 1234567: "1,234,567"} {
		if got := rules.Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	if got := rules.Frames(0, 3, 0, 3, 1); !slices.Equal(got, []uint64{3, 1}) {
		t.Errorf("Frames = %v", got)
	}
}
