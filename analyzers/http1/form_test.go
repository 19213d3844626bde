package http1

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestForm holds that what came before does not change what a head is found to
// say: one that is parsed after others says what it says alone.
func TestForm(t *testing.T) {
	lines := []string{
		"Host: a", "Host: www.example.com", "Host:a", "Host: ", "host: b", "User-Agent: x/1", "User-Agent: " + strings.Repeat("long ", 30),
		"Accept: */*", "Accept:  */*", "Accept: text/html \t", "X: 1", "X:", "X: 2", ":", "no colon", "X-Request-Id : 3", "X-Odd\x01: 4", "X-Nul: \x00", "X-CR: a\rb",
		" folded", "\tinto", "Cookie: " + strings.Repeat("c", 2*formWidth), strings.Repeat("N", formWidth) + ": 1",
		"Connection: close", "Connection: keep-alive, te", "Keep-Alive: timeout=5, max=9", "TE: trailers", "TE: gzip", "Content-Length: 5",
		"Content-Length: 17", "Content-Length: x", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Upgrade: websocket", "Content-Type: text/event-stream",
		"Proxy-Connection: a", "Via: 1.1 p",
	}
	head := rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"GET / HTTP/1.1\r\n", "POST /" + strings.Repeat("p", 80) + " HTTP/1.0\r\n", "GET /\n"}).Draw(t, "start"))
		for _, l := range rapid.SliceOfN(rapid.SampledFrom(lines), 0, formLines+4).Draw(t, "lines") {
			b.WriteString(l)
			b.WriteString(rapid.SampledFrom([]string{"\r\n", "\r\n", "\r\n", "\n"}).Draw(t, "end"))
		}
		b.WriteString(rapid.SampledFrom([]string{"\r\n", "\r\n", "\n", "", "X-Cut: 1", "X-Cu"}).Draw(t, "last"))
		return b.String()
	})
	type result struct {
		n, fields   int
		ok, partial bool
		info        headInfo
		host, agent string
		list        []Field
		faults      []fault
		method      Method
		version     uint8
	}
	parse := func(p *headParse, s string, whole bool) result {
		n, ok := p.parse(Client, []byte(s), whole)
		if n == 0 {
			return result{ok: ok}
		}
		return result{n, p.fields, ok, p.partial, p.info, string(p.host), string(p.agent),
			append([]Field(nil), p.h.Fields()...), append([]fault(nil), p.faults...), p.method, p.version}
	}
	rapid.Check(t, func(t *rapid.T) {
		var warm headParse
		few := rapid.SliceOfN(head, 1, 4).Draw(t, "heads")
		for range 30 {
			s := rapid.SampledFrom(few).Draw(t, "head")
			whole := rapid.Bool().Draw(t, "whole")
			got, want := parse(&warm, s, whole), parse(&headParse{}, s, whole)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%q:\n got %+v\nwant %+v", s, got, want)
			}
			if got.n > 0 && got.fields != len(got.list) {
				t.Fatalf("%q: %d fields, but %d listed", s, got.fields, len(got.list))
			}
		}
	})
}
