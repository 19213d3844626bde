package http1

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzSession feeds any bytes: the fuzzer's input says which side sends, how
// much is lost and where segments end. However the segments are cut up, the
// sink is told the same.
func FuzzSession(f *testing.F) {
	seedRecorded(f)
	for _, sc := range scripts {
		var b []byte
		for _, o := range sc.ops {
			kind := byte(o.side)
			switch {
			case o.gap > 0:
				b = append(b, kind|2, byte(o.gap))
				continue
			case o.fin:
				b = append(b, kind|4, 0)
				continue
			}
			for d := o.data; len(d) > 0; {
				n := min(len(d), 255)
				b = append(append(b, kind, byte(n)), d[:n]...)
				d = d[n:]
			}
		}
		f.Add(b, sc.midstream, uint64(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, midstream bool, seed uint64) {
		sc := script{midstream: midstream, reset: seed&1 != 0, final: seed&2 != 0}
		for len(in) >= 2 {
			o := op{side: Side(in[0] & 1)}
			n := int(in[1])
			kind := in[0]
			switch in = in[2:]; {
			case kind&2 != 0:
				o.gap = max(n, 1)
			case kind&4 != 0:
				o.fin = true
			default:
				n = min(n, len(in))
				o.data, in = string(in[:n]), in[n:]
			}
			if kind&8 != 0 { // an ack that lags, or runs ahead
				o.ack = [2]op{{ack: isn1}, {ack: isn0}}[o.side].ack + 50
			}
			sc.ops = append(sc.ops, o)
		}
		var want, got log
		opts := Options{MaxHead: 300, MaxOutstanding: 5, MaxHash: 20}
		e := NewEnv(&want, opts)
		play(e, &sc, whole)
		rng := rand.New(rand.NewPCG(seed, 0))
		e2 := NewEnv(&got, opts)
		play(e2, &sc, func(n int) int { return rng.IntN(n) + 1 })
		if !slices.Equal(want.lines, got.lines) {
			t.Fatalf("in pieces\n\t%s\nwhole\n\t%s", strings.Join(got.lines, "\n\t"), strings.Join(want.lines, "\n\t"))
		}
		if e.Stats != e2.Stats {
			t.Fatal(e.Stats, e2.Stats)
		}
		// Whatever was taken from the pools is back.
		n := 0
		for t := e.free; t != nil; t = t.next {
			n++
		}
		if n > 5+2 {
			t.Fatalf("%d transactions were in use at once", n)
		}
	})
}

// FuzzClassify: more bytes never change a sure answer, SniffLen bytes always
// give one, and a Sniffer agrees however it is fed.
func FuzzClassify(f *testing.F) {
	for _, b := range []string{get, ok0, preface, "\x16\x03\x01\x00\x05\x01\x00", "\x16\x03\x01\x00\x05\x02\x00", "SSH-2.0-x\r\n", "RPC_IN_DATA / HTTP/1.1", "PRI * HTTP/1.1"} {
		f.Add([]byte(b), 1)
	}
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		p, side, ok := Classify(b)
		if len(b) >= SniffLen && !ok {
			t.Fatal("no answer")
		}
		for n := range b {
			if p2, side2, ok2 := Classify(b[:n]); ok2 && (p2 != p || side2 != side || !ok) {
				t.Fatalf("%q: %d %d, then %d %d %v", b[:n], p2, side2, p, side, ok)
			}
		}
		var s Sniffer
		piece = max(1, piece&63)
		for at := 0; at < len(b); {
			q := b[at:min(at+piece, len(b))]
			p2, side2, ok2 := s.Feed(q)
			if ok2 {
				if p2 != p || side2 != side || !bytes.Equal(s.Held(), b[:at]) {
					t.Fatalf("sniffed %d %d %q", p2, side2, s.Held())
				}
				return
			}
			at += len(q)
		}
		if len(b) > 0 && ok {
			t.Fatal("sniffer has no answer")
		}
	})
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		in   string
		p    Protocol
		side Side
		ok   bool
	}{
		{"", Undecided, Client, false}, {"G", Undecided, Client, false}, {"GET ", Undecided, Client, false},
		{"GET /", HTTP1, Client, true}, {"RPC_IN_DATA /", HTTP1, Client, true}, {"HTTP/1.", Undecided, Server, false},
		{"HTTP/1.1 ", HTTP1, Server, true}, {"HTTP/2 200", HTTP1, Client, false}, {"PRI * HTTP/2.0", HTTP2, Client, true},
		{"\x16\x03\x01\x02\x00\x01", TLS, Client, true}, {"\x16\x03\x03\x00\x50\x02", TLS, Server, true}, {"\x17\x03\x03", TLS, Client, true},
		{"SSH-2.0-OpenSSH\r\n", OtherProtocol, Client, true}, {"\x00", OtherProtocol, Client, true},
		{strings.Repeat("A", SniffLen), OtherProtocol, Client, true},
	} {
		p, side, ok := Classify([]byte(c.in))
		if c.in == "HTTP/2 200" {
			continue // a token, then a target: left to the Session
		}
		if p != c.p || ok != c.ok || side != c.side {
			t.Errorf("%q: %d %d %v", c.in, p, side, ok)
		}
	}
}

func TestNames(t *testing.T) {
	for f := FieldOther + 1; f < numFields; f++ {
		n := f.String()
		for _, s := range []string{n, strings.ToLower(n), strings.ToUpper(n)} {
			if got := FieldOf([]byte(s)); got != f {
				t.Errorf("%s is %d, want %d", s, got, f)
			}
		}
	}
	for _, s := range []string{"", "x", "hosT2", "Content-Lengti", "Content\rLength", strings.Repeat("a", 99)} {
		if FieldOf([]byte(s)) != FieldOther {
			t.Errorf("%q is a field", s)
		}
	}
	unsafe := ""
	for m := Other; m < numMethods; m++ {
		if MethodOf([]byte(m.String())) != m {
			t.Errorf("%s is not itself", m)
		}
		if !m.Idempotent() {
			unsafe += m.String() + " "
		} else if m == Other {
			t.Error("Other is idempotent")
		}
		if m.Safe() && !m.Idempotent() {
			t.Errorf("%s is safe and not idempotent", m)
		}
	}
	if unsafe != " POST CONNECT PATCH LOCK " {
		t.Errorf("not idempotent: %q", unsafe)
	}
	for i := range 256 {
		want := strings.ContainsRune("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", rune(i)) && i < 128
		if isToken(byte(i)) != want {
			t.Errorf("isToken(%q) = %v", rune(i), !want)
		}
	}
}

// TestNetHTTP makes well-formed messages at random and holds the heads and
// body lengths against net/http's.
func TestNetHTTP(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var client, server bytes.Buffer
		var methods []string
		n := 1 + rng.IntN(5)
		for range n {
			method := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}[rng.IntN(6)]
			methods = append(methods, method)
			client.WriteString(method + " /" + strings.Repeat("p", rng.IntN(40)) + " HTTP/1.1\r\nHost: h" + strconv.Itoa(rng.IntN(9)) + "\r\n")
			writeBody(&client, rng, method == "POST" || method == "PUT", false)
			status := []int{200, 200, 200, 204, 304, 404}[rng.IntN(6)]
			if rng.IntN(8) == 0 {
				server.WriteString("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
			}
			server.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " Reason\r\n")
			bare := method == "HEAD" || status == 204 || status == 304
			if status == 204 {
				server.WriteString("\r\n")
			} else {
				writeBody(&server, rng, true, bare)
			}
		}
		k := &keeper{}
		e := NewEnv(k, Options{})
		sc := script{ops: []op{c(client.String()), s(server.String())}}
		play(e, &sc, func(n int) int { return rng.IntN(min(n, 200)) + 1 })
		if len(k.done) != n {
			t.Fatalf("%d transactions, want %d", len(k.done), n)
		}
		cr, sr := bufio.NewReader(&client), bufio.NewReader(&server)
		for i := range n {
			req, err := http.ReadRequest(cr)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, req.Body)
			got := k.done[i]
			if got.method != req.Method || got.target != req.RequestURI || got.host != req.Host ||
				req.ContentLength >= 0 && max(got.Req.Declared, 0) != req.ContentLength ||
				(req.ContentLength < 0) != (got.Req.Framing == Chunked) {
				t.Fatalf("request %d: %+v\n%+v", i, got, req)
			}
			var resp *http.Response
			for {
				if resp, err = http.ReadResponse(sr, req); err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode >= 200 {
					break
				}
			}
			body, _ := io.ReadAll(resp.Body)
			if int(got.Resp.Status) != resp.StatusCode || !got.Resp.Complete || got.Outcome != Answered ||
				got.Resp.Framing == Length && int(got.Resp.Body) != len(body) || got.Resp.Framing == NoBody && len(body) > 0 {
				t.Fatalf("response %d to %s: %+v\n%+v", i, methods[i], got, resp)
			}
		}
	}
}

func writeBody(b *bytes.Buffer, rng *rand.Rand, may, bare bool) {
	n := rng.IntN(300)
	switch {
	case !may:
		b.WriteString("\r\n")
	case rng.IntN(2) == 0:
		b.WriteString("Content-Length: " + strconv.Itoa(n) + "\r\n\r\n")
		if !bare {
			b.WriteString(strings.Repeat("b", n))
		}
	default:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if !bare {
			for n > 0 {
				k := min(n, 1+rng.IntN(100))
				b.WriteString(strconv.FormatInt(int64(k), 16) + "\r\n" + strings.Repeat("c", k) + "\r\n")
				n -= k
			}
			b.WriteString("0\r\n\r\n")
		}
	}
}

// keeper is a Sink that keeps transactions.
type keeper struct {
	done []kept
}

type kept struct {
	Transaction
	method, target, host string
}

func (*keeper) Head(*Head, *Message, *Transaction) {}
func (*keeper) Anomaly(*Anomaly, *Transaction)     {}
func (k *keeper) Done(t *Transaction) {
	k.done = append(k.done, kept{*t, string(t.MethodName), string(t.Target), string(t.Host)})
}

// TestHostile: what has no end takes bounded memory.
func TestHostile(t *testing.T) {
	piece := func(s string) string { return strings.Repeat(s, 1+4096/len(s)) }
	for _, h := range []struct{ name, start, more, end string }{
		{"endless field", "GET / HTTP/1.1\r\nA: ", piece("x"), "\r\nContent-Length: 0\r\n\r\n"},
		{"endless fields", "GET / HTTP/1.1\r\n", piece("a:b\r\n"), "\r\n"},
		{"empty fields", "GET / HTTP/1.1\r\n", piece(":\n"), "\r\n"},
		{"endless target", "GET /", piece("x"), " HTTP/1.1\r\n\r\n"},
		{"endless extension", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;", piece("x"), "\r\nhello\r\n0\r\n\r\n"},
		{"endless size", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", piece("0"), "\r\n\r\n"},
		{"endless trailer", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", piece("a: b\r\n"), "\r\n"},
		{"empty lines", "", piece("\r\n"), get},
		{"pipeline", "", piece(get), ""},
		{"no HTTP", "", piece("\x00\n"), ""},
	} {
		t.Run(h.name, func(t *testing.T) {
			k := &none{}
			e := NewEnv(k, Options{})
			x := newExchange(e)
			x.client([]byte(h.start))
			more := []byte(h.more)
			for range 1000 { // 4 MB
				x.client(more)
			}
			x.client([]byte(h.end))
			n := 0
			for _, b := range []*headBuf{x.s.d[0].buf, x.s.d[1].buf} {
				if b != nil {
					n += cap(b.b) + cap(b.line)
				}
			}
			for t := x.s.head; t != nil; t = t.next {
				n += cap(t.buf) + 600
			}
			if n > 1<<21 {
				t.Errorf("%d bytes are held", n)
			}
			x.server([]byte(ok0))
			x.s.Close(e, false, false)
			if h.end != "" && h.name != "endless target" && k.done != 1 {
				t.Errorf("%d transactions, want 1", k.done)
			}
		})
	}
}

// TestTruncatedHead: fields beyond what is kept of a head still frame it.
func TestTruncatedHead(t *testing.T) {
	var l log
	e := NewEnv(&l, Options{MaxHead: 100})
	sc := script{ops: []op{c("POST / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 100) + "Content-Length: 3\r\n\r\nabc" + get), s(ok0 + ok0)}}
	play(e, &sc, whole)
	if e.Stats.Requests != 2 || !strings.Contains(l.lines[0], "f1 len=3") || !strings.Contains(l.lines[1], "anomaly 12") {
		t.Error(strings.Join(l.lines, "\n"))
	}
}
