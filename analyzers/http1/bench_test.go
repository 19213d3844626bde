package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

// none is a Sink that looks at nothing.
type none struct{ done, anomalies int }

func (*none) Head(*Head, *Message, *Transaction) {}
func (n *none) Done(*Transaction)                { n.done++ }
func (n *none) Anomaly(*Anomaly, *Transaction)   { n.anomalies++ }

const browserGet = "GET /assets/abcdefgh/123456.js?v=17 HTTP/1.1\r\nHost: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: */*\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: http://www.example.com/abcdefghijkl\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nConnection: keep-alive\r\nX-Request-Id: 0123456789abcdef\r\n\r\n"

const siteOK = "HTTP/1.1 200 OK\r\nServer: nginx/1.24.0\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n" +
	"Content-Length: %d\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5, max=100\r\nVary: Accept-Encoding\r\nETag: \"abcdef\"\r\n" +
	"Cache-Control: max-age=60\r\nX-Served-By: cache-7\r\n\r\n"

// exchange feeds one request and response, each segment whole.
type exchange struct {
	s        Session
	e        *Env
	seq, ack wire.Seq
	frame    uint64
}

func newExchange(e *Env) *exchange {
	x := &exchange{e: e}
	x.s.Start(Client, 0)
	x.s.Start(Server, 0)
	return x
}

func (x *exchange) client(b []byte) {
	x.frame++
	x.s.Data(x.e, Client, b, Mark{Time: 1, Frame: x.frame, Seq: x.seq, Ack: x.ack})
	x.seq = x.seq.Add(len(b))
}

func (x *exchange) server(b []byte) {
	x.frame++
	x.s.Data(x.e, Server, b, Mark{Time: 1, Frame: x.frame, Seq: x.ack, Ack: x.seq})
	x.ack = x.ack.Add(len(b))
}

func segments(s string) (out [][]byte) {
	for b := []byte(s); len(b) > 0; {
		n := min(len(b), 1448)
		out, b = append(out, b[:n]), b[n:]
	}
	return out
}

func chunkedBody(chunk, n int) string {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range n {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", chunk, strings.Repeat("x", chunk))
	}
	return b.String() + "0\r\n\r\n"
}

var loads = []struct{ name, req, resp string }{
	{"small", browserGet, fmt.Sprintf(siteOK, 20) + strings.Repeat("x", 20)},
	{"post", strings.Replace(browserGet, "GET", "POST", 1)[:len(browserGet)-1] + "Content-Length: 500\r\n\r\n" + strings.Repeat("y", 500), fmt.Sprintf(siteOK, 20) + strings.Repeat("x", 20)},
	{"big", browserGet, fmt.Sprintf(siteOK, 1<<20) + strings.Repeat("x", 1<<20)},
	{"chunked-8k", browserGet, chunkedBody(8192, 16)},
	{"chunked-16", browserGet, chunkedBody(16, 256)},
}

// A program that asks an interface for data, and its server.
const (
	programPut = "PUT /v1/items/3732254 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: example-client/2.1\r\nAccept: application/json\r\n" +
		"X-Request-Id: %016x\r\nContent-Type: application/json\r\nContent-Length: 81\r\n\r\n"
	dataOK = "HTTP/1.1 200 OK\r\nServer: nginx/1.24.0\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"ETag: \"GR2Y%08x\"\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n"
)

// BenchmarkBodyHash hashes a body of an API.
func BenchmarkBodyHash(b *testing.B) {
	body := make([]byte, 781)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var h bodyHash
		h.write(body, 64<<10)
		if h.sum() == 0 {
			b.Fatal("no sum")
		}
	}
}

// BenchmarkHead parses heads as they come from one program, and from two by
// turns.
func BenchmarkHead(b *testing.B) {
	var one, two [][]byte
	for i := range 64 {
		one = append(one, fmt.Appendf(nil, programPut, uint64(i)*0x9e3779b97f4a7c15>>8))
		two = append(two, one[i])
		if i%2 > 0 {
			two[i] = []byte(browserGet)
		}
	}
	for _, c := range []struct {
		name  string
		heads [][]byte
	}{{"one", one}, {"two", two}} {
		b.Run(c.name, func(b *testing.B) {
			var p headParse
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if n, ok := p.parse(Client, c.heads[i%64], false); n == 0 || !ok || len(p.faults) > 0 {
					b.Fatal("not parsed")
				}
			}
		})
	}
	b.Run("fields", func(b *testing.B) {
		var p headParse
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p.parse(Client, one[i%64], false)
			if len(p.h.Fields()) != 6 {
				b.Fatal("fields are missing")
			}
		}
	})
	b.Run("response", func(b *testing.B) {
		var heads [][]byte
		for i := range 64 {
			heads = append(heads, fmt.Appendf(nil, dataOK, i*0x9e3779b9&(1<<32-1), 100+i*7))
		}
		var p headParse
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if n, ok := p.parse(Server, heads[i%64], false); n == 0 || !ok || len(p.faults) > 0 {
				b.Fatal("not parsed")
			}
		}
	})
}

func BenchmarkTransaction(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) {
			req, resp := segments(l.req), segments(l.resp)
			var sink none
			x := newExchange(NewEnv(&sink, Options{}))
			b.SetBytes(int64(len(l.req) + len(l.resp)))
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range req {
					x.client(p)
				}
				for _, p := range resp {
					x.server(p)
				}
			}
			if sink.done == 0 || sink.anomalies > 0 || x.s.Outstanding() != 0 {
				b.Fatalf("%d transactions, %d anomalies", sink.done, sink.anomalies)
			}
		})
	}
}

// TestAllocs: once warm, no message allocates, whole or in pieces, pipelined
// or not, torn or not.
func TestAllocs(t *testing.T) {
	for _, l := range loads {
		for _, piece := range []int{1 << 20, 100} {
			var sink none
			x := newExchange(NewEnv(&sink, Options{}))
			run := func() {
				for b := []byte(l.req); len(b) > 0; {
					n := min(piece, len(b))
					x.client(b[:n])
					b = b[n:]
				}
				for b := []byte(l.resp); len(b) > 0; {
					n := min(piece, len(b))
					x.server(b[:n])
					b = b[n:]
				}
			}
			run()
			// The conversions above are two allocations.
			if n := testing.AllocsPerRun(20, run); n > 2 {
				t.Errorf("%s in pieces of %d: %v allocations", l.name, piece, n-2)
			}
		}
	}
	var sink none
	e := NewEnv(&sink, Options{})
	deep := []byte(strings.Repeat(post+get, 40))
	answers := []byte(strings.Repeat(ok0, 80))
	run := func() {
		x := newExchange(e)
		x.client(deep)
		x.server(answers)
		x.client([]byte(get[:10]))
		x.s.Gap(e, Client, 100, false, Mark{Frame: 100, Seq: x.seq, Ack: x.ack})
		x.seq += 100
		x.client(deep)
		x.s.Close(e, false, false)
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > 2 { // x and the slice of get
		t.Errorf("pipeline: %v allocations", n)
	}
}
