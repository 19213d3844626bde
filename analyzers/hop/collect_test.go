package hop

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/connlint/connlint/analyzers/http1"
)

// head builds a head from lines "Name: value".
func head(side http1.Side, lines ...string) *http1.Head {
	return &http1.Head{Side: side, Raw: []byte("start line\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n")}
}

func transaction(i uint32, target string) *http1.Transaction {
	t := &http1.Transaction{Index: i, Method: http1.GET, MethodName: []byte("GET"), Target: []byte(target), TargetLen: len(target), Outcome: http1.Answered}
	t.Req.First = http1.Mark{Frame: uint64(i) + 1}
	t.Resp.First, t.Resp.Last, t.Resp.Status = http1.Mark{Frame: 9}, http1.Mark{Frame: 10}, 200
	return t
}

func TestCollector(t *testing.T) {
	var p Pool
	var c Collector
	t0, t1 := transaction(0, "/v1/a?q=/x"), transaction(1, "http://h/a?q=/x")
	t0.Req.Bits = http1.ConnClose | http1.ConnOther
	c.Head(&p, head(http1.Client, "Host: h", "Connection: close, X-Foo", "x-foo: 1", "Keep-Alive: 5", "Cookie: abcdef", "X-Bar: 2",
		"X-Forwarded-For: 10.9.9.9, 10.8.8.8", `Forwarded: proto=http;for="[2001:db8::1]:80", for=unknown`,
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Via: 1.0 fred, 1.1 p"), t0)
	c.Head(&p, head(http1.Client, "Host: h", "X-FOO: 1",
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01"), t1)
	c.Head(&p, head(http1.Server, "Date: now", `ETag: "x"`, "Via: 1.1 p"), t0)
	c.Head(&p, head(http1.Server, "Date: now", "Content-Length: 5", `ETag: "x"`), t1)

	got := c.Done(&p, t0, false)
	if got == nil {
		t.Fatal("no sighting")
	}
	a := got.Clone()
	names := map[string]bool{}
	for _, f := range a.Fields {
		if f.Name != "" {
			names[f.Name] = f.Nominated
		}
	}
	if len(names) != 2 || !names["x-foo"] || names["keep-alive"] {
		t.Errorf("named fields %v", names)
	}
	want := []netip.Addr{netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("10.8.8.8"), netip.MustParseAddr("2001:db8::1")}
	if !slices.Equal(a.ForwardedFor, want) {
		t.Errorf("forwarded for %v", a.ForwardedFor)
	}
	if a.Via == 0 || a.Via != a.RespVia {
		t.Errorf("via %x, %x", a.Via, a.RespVia)
	}
	b := c.Done(&p, t1, true)
	if b == nil || a.Key != b.Key || a.Echo == 0 || a.Echo != b.Echo || len(b.IDs) != 1 || !slices.Equal(a.IDs, b.IDs) {
		t.Errorf("the two differ: %+v, %+v", a, b)
	}
	if f := &a.Fields[0]; b.Field(f.ID, f.Value) == nil || b.Field(f.ID, f.Value+1) != nil {
		t.Error("x-foo is not found again in other letters")
	}
	if a.End.Frame != 10 || a.Status != 200 {
		t.Errorf("%+v", a)
	}
	if c.first != nil {
		t.Error("something is outstanding")
	}
}

// TestBounds floods a collector.
func TestBounds(t *testing.T) {
	var p Pool
	var c Collector
	var lines []string
	for range 200 {
		lines = append(lines, "X-Request-Id: 0123456789", "X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-"+strings.Repeat("n", 300)+": 1")
	}
	lines = append(lines, "Connection: "+strings.Repeat(",", 1000), "Via: ,", "Forwarded: ;;,for=,for=[", "traceparent: x")
	for i := range uint32(500) {
		tr := transaction(i, "/")
		tr.Req.Bits = http1.ConnOther
		c.Head(&p, head(http1.Client, lines...), tr)
	}
	n := 0
	for s := c.first; s != nil; s = s.next {
		n++
		if len(s.Fields) > MaxFields || len(s.IDs) > MaxIDs || len(s.ForwardedFor) > MaxForwarded {
			t.Fatalf("%d fields, %d ids, %d addresses", len(s.Fields), len(s.IDs), len(s.ForwardedFor))
		}
	}
	if n != MaxOutstanding {
		t.Errorf("%d outstanding", n)
	}
	beyond := transaction(499, "/")
	if s := c.Done(&p, beyond, false); s != nil {
		t.Error("a request of which no head was seen is sighted")
	}
	beyond.Req.HeadEnd.Frame = 1
	if s := c.Done(&p, beyond, false); s == nil || !s.Bare {
		t.Error("a request beyond the bound is noted")
	}
	cut := transaction(0, "/")
	cut.TargetLen = 5000
	if s := c.Done(&p, cut, false); s != nil {
		t.Error("a cut target is sighted")
	}
	c.Close(&p)
	if c.first != nil {
		t.Error("Close leaves something")
	}
}

func TestPath(t *testing.T) {
	for in, want := range map[string]string{
		"/a?b": "/a?b", "http://h/a?b": "/a?b", "http://h": "/", "http://h?q": "/?q", "*": "*", "h:443": "h:443", "": "", "x://": "/",
	} {
		if got := string(Path([]byte(in))); got != want {
			t.Errorf("Path(%q) = %q, want %q", in, got, want)
		}
	}
}

func request() (*http1.Head, *http1.Head, *http1.Transaction) {
	return head(http1.Client, "Host: h", "Connection: keep-alive", "Cookie: abcdef", "User-Agent: curl/8", "Accept: */*",
			"X-Request-Id: 0123456789abcdef", "X-Forwarded-For: 10.0.0.1", "Accept-Encoding: gzip"),
		head(http1.Server, "Date: Sat, 01 Jan 2026 00:00:00 GMT", "Content-Length: 5", "Content-Type: text/html"), transaction(0, "/a/b?c=d")
}

func TestNoAllocations(t *testing.T) {
	var p Pool
	var c Collector
	req, resp, tr := request()
	if n := testing.AllocsPerRun(100, func() {
		c.Head(&p, req, tr)
		c.Head(&p, resp, tr)
		c.Done(&p, tr, true)
	}); n != 0 {
		t.Errorf("%v allocations a transaction", n)
	}
}

// TestUnwanted holds that a request whose key is not wanted comes without what
// its heads would have to be read for, unless it has fields for a proxy.
func TestUnwanted(t *testing.T) {
	p := Pool{Wanted: func(*Sighting) bool { return false }}
	var c Collector
	for _, bits := range []http1.Bits{0, http1.HasProxyAuthorization} {
		tr := transaction(0, "/")
		tr.Req.Bits |= bits
		c.Head(&p, head(http1.Client, "Host: h", "Cookie: abcdef", "X-Request-Id: 0123456789"), tr)
		c.Head(&p, head(http1.Server, "Date: now", "Content-Length: 5"), tr)
		tr.Req.HeadEnd.Frame = 1
		s := c.Done(&p, tr, false)
		if s.Bare != (bits == 0) {
			t.Fatalf("bits %v: bare %v", bits, s.Bare)
		}
		if empty := s.HeadHash == 0 && s.Echo == 0 && len(s.Fields) == 0 && len(s.IDs) == 0; empty != s.Bare {
			t.Errorf("bits %v: bare %v, but %+v", bits, s.Bare, s)
		}
		if s.Key != key(tr.MethodName, tr.Target) || s.ReqBits != tr.Req.Bits {
			t.Errorf("bits %v: not told apart: %+v", bits, s)
		}
	}
	tr := transaction(0, "/")
	tr.Req.HeadEnd.Frame = 1
	if s := c.Done(&p, tr, true); s != nil {
		t.Error("told again, though it says nothing new")
	}
	if tr.Resp.Status = 407; c.Done(&p, tr, true) == nil {
		t.Error("407 is not told")
	}
}

func BenchmarkCollector(b *testing.B) {
	for name, wanted := range map[string]bool{"noted": true, "bare": false} {
		b.Run(name, func(b *testing.B) {
			p := Pool{Wanted: func(*Sighting) bool { return wanted }}
			var c Collector
			req, resp, tr := request()
			b.ReportAllocs()
			for b.Loop() {
				c.Head(&p, req, tr)
				c.Head(&p, resp, tr)
				c.Done(&p, tr, true)
			}
		})
	}
}

// BenchmarkClone keeps a sighting of a program's request.
func BenchmarkClone(b *testing.B) {
	var p Pool
	var c Collector
	req, resp, tr := request()
	c.Head(&p, req, tr)
	c.Head(&p, resp, tr)
	s := c.Done(&p, tr, false)
	b.ReportAllocs()
	for b.Loop() {
		if s.Clone().Key != s.Key {
			b.Fatal("another one")
		}
	}
}
