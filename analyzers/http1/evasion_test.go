package http1

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

// anomalies is a Sink that notes the kinds of faults, the heads' framing and
// how transactions ended.
type anomalies struct {
	kinds    []AnomalyKind
	heads    int
	framing  []Framing
	declared []int64
	outcomes []Outcome
	fields   int
	last     Transaction // without its slices
}

func (a *anomalies) Head(h *Head, m *Message, _ *Transaction) {
	a.heads++
	a.fields = len(h.Fields())
	if len(a.framing) < 8 {
		a.framing, a.declared = append(a.framing, m.Framing), append(a.declared, m.Declared)
	}
}
func (a *anomalies) Done(t *Transaction) {
	if len(a.outcomes) < 8 {
		a.outcomes = append(a.outcomes, t.Outcome)
	}
	a.last = Transaction{Req: t.Req, Resp: t.Resp, Interim: t.Interim, Outcome: t.Outcome, TargetLen: t.TargetLen}
}
func (a *anomalies) Anomaly(x *Anomaly, _ *Transaction) {
	if !slices.Contains(a.kinds, x.Kind) {
		a.kinds = append(a.kinds, x.Kind)
	}
}

// Requests that two receivers may frame differently, or that try to. Each is
// followed by a second request, which is found or not; the reading taken is
// that of RFC 9112, and what departs from its grammar is told.
func TestSmuggling(t *testing.T) {
	const next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
	const chunk = "5\r\nhello\r\n0\r\n\r\n"
	post := func(fields, body string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body + next
	}
	for _, tt := range []struct {
		name     string
		bytes    string
		framing  Framing
		declared int64
		heads    int // 1: the second request is not looked for until another segment begins
		kinds    []AnomalyKind
	}{
		{"length", post("Content-Length: 5\r\n", "hello"), Length, 5, 2, nil},
		{"chunked", post("Transfer-Encoding: chunked\r\n", chunk), Chunked, -1, 2, nil},
		{"both lengths: the coding counts", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunk), Chunked, 5, 2, []AnomalyKind{ConflictingLengths}},
		{"both lengths, the other way round", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunk), Chunked, 5, 2, []AnomalyKind{ConflictingLengths}},
		{"differing lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"differing lengths in a list", post("Content-Length: 5, 6\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"equal lengths", post("Content-Length: 5\r\ncontent-length:5\r\n", "hello"), Length, 5, 2, nil},
		{"length in another case", post("cOnTeNt-LeNgTh: 5\r\n", "hello"), Length, 5, 2, nil},
		{"length with a plus", post("Content-Length: +5\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"negative length", post("Content-Length: -5\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"hexadecimal length", post("Content-Length: 0x5\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"length with a fraction", post("Content-Length: 5.0\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"length with a space inside", post("Content-Length: 5 0\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"empty length", post("Content-Length:\r\n", ""), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"length 2^63-1", post("Content-Length: 9223372036854775807\r\n", ""), Length, 1<<63 - 1, 1, nil},
		{"length 2^63", post("Content-Length: 9223372036854775808\r\n", ""), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"length 2^64+5", post("Content-Length: 18446744073709551621\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"length with leading zeros", post("Content-Length: 0000000000000000000000005\r\n", "hello"), Length, 5, 2, nil},
		{"length with white space around", post("Content-Length: \t 5 \t\r\n", "hello"), Length, 5, 2, nil},
		{"length in UTF-8 digits", post("Content-Length: ５\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},

		{"coding unknown", post("Transfer-Encoding: xchunked\r\n", chunk), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"coding in another case", post("Transfer-Encoding: CHUNKED\r\n", chunk), Chunked, -1, 2, nil},
		{"coding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunk), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"coding twice, chunked last", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", chunk), Chunked, -1, 2, nil},
		{"coding in quotes", post("Transfer-Encoding: \"chunked\"\r\n", chunk), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"coding behind a vertical tab", post("Transfer-Encoding: \vchunked\r\n", chunk), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"coding empty", post("Transfer-Encoding:\r\n", chunk), Unframed, -1, 1, []AnomalyKind{ConflictingLengths}},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + next, Chunked, -1, 2, []AnomalyKind{ConflictingLengths}},

		{"white space before the colon", post("Transfer-Encoding : chunked\r\n", chunk), Chunked, -1, 2, []AnomalyKind{SpaceBeforeColon}},
		{"white space before the name", "POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\n\r\n" + next, NoBody, -1, 2, []AnomalyKind{FoldedField}},
		{"folded value counts as one", post("Transfer-Encoding:\r\n chunked\r\n", chunk), Chunked, -1, 2, []AnomalyKind{FoldedField}},
		{"folded length", post("Content-Length: 5\r\n 0\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{FoldedField, ConflictingLengths}},
		{"field hidden behind a bare CR", post("X: y\rContent-Length: 5\r\n", ""), NoBody, -1, 2, []AnomalyKind{BareCR}},
		{"head that ends in a bare CR", post("X: y\r\n\rContent-Length: 5\r\n", ""), NoBody, -1, 2, []AnomalyKind{BadFieldName, BareCR}},
		{"CR CR LF", post("Content-Length: 5\r\r\n", "hello"), Length, 5, 2, []AnomalyKind{BareCR}},
		{"field behind a bare LF", post("X: y\nContent-Length: 5\r\n", "hello"), Length, 5, 2, []AnomalyKind{LFOnly}},
		{"head that ends in a bare LF", "POST / HTTP/1.1\r\nHost: a\r\nX: y\n\n" + next, NoBody, -1, 2, []AnomalyKind{LFOnly}},
		{"NUL in a name", post("Content\x00-Length: 5\r\n", ""), NoBody, -1, 2, []AnomalyKind{BadFieldName, NULByte}},
		{"NUL behind a name", post("Content-Length\x00: 5\r\n", ""), NoBody, -1, 2, []AnomalyKind{BadFieldName, NULByte}},
		{"NUL in a length", post("Content-Length: 5\x00\r\n", "hello"), Unframed, -1, 1, []AnomalyKind{NULByte, ConflictingLengths}},
		{"no colon", post("Content-Length 5\r\n", ""), NoBody, -1, 2, []AnomalyKind{BadFieldName}},
		{"no name", post(": chunked\r\n", ""), NoBody, -1, 2, []AnomalyKind{BadFieldName}},

		{"chunk size negative", post("Transfer-Encoding: chunked\r\n", "-5\r\nhello\r\n0\r\n\r\n"), Chunked, -1, 1, []AnomalyKind{BadChunkSize}},
		{"chunk size with 0x", post("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"), Chunked, -1, 1, []AnomalyKind{BadChunkSize}},
		{"chunk size behind a space", post("Transfer-Encoding: chunked\r\n", " 5\r\nhello\r\n0\r\n\r\n"), Chunked, -1, 1, []AnomalyKind{BadChunkSize}},
		{"chunk size missing", post("Transfer-Encoding: chunked\r\n", ";x\r\nhello\r\n0\r\n\r\n"), Chunked, -1, 1, []AnomalyKind{BadChunkSize}},
		{"chunk size 2^64+5", post("Transfer-Encoding: chunked\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n"), Chunked, -1, 1, []AnomalyKind{BadChunkSize}},
		{"chunk size of many zeros", post("Transfer-Encoding: chunked\r\n", strings.Repeat("0", 1000)+"5\r\nhello\r\n0\r\n\r\n"), Chunked, -1, 2, nil},
		{"chunk longer than its size", post("Transfer-Encoding: chunked\r\n", "4\r\nhello\r\n0\r\n\r\n"), Chunked, -1, 1, []AnomalyKind{BadChunkSize}},
		{"chunk lines that end in LF", post("Transfer-Encoding: chunked\r\n", "5\nhello\n0\n\n"), Chunked, -1, 2, []AnomalyKind{LFOnly}},
		{"chunk size line with a bare CR is extension", post("Transfer-Encoding: chunked\r\n", "5\rX\r\nhello\r\n0\r\n\r\n"), Chunked, -1, 2, nil},
		{"trailer does not count", post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n"), Chunked, -1, 2, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, cut := range []int{len(tt.bytes), 1, 7} {
				var got anomalies
				sc := script{ops: []op{c(tt.bytes)}}
				play(NewEnv(&got, Options{}), &sc, func(int) int { return cut })
				if got.heads != tt.heads || len(got.framing) == 0 || got.framing[0] != tt.framing || got.declared[0] != tt.declared {
					t.Errorf("in pieces of %d: %d heads, framing %v, lengths %v", cut, got.heads, got.framing, got.declared)
				}
				for _, k := range tt.kinds {
					if !slices.Contains(got.kinds, k) {
						t.Errorf("in pieces of %d: anomaly %d is not told", cut, k)
					}
				}
				if len(got.kinds) != len(tt.kinds) {
					t.Errorf("in pieces of %d: anomalies %v", cut, got.kinds)
				}
			}
		})
	}
}

// pourer feeds one connection's bytes in segments without end.
type pourer struct {
	e    *Env
	s    Session
	next [2]wire.Seq
	n    uint64
}

func newPourer(e *Env) *pourer {
	p := &pourer{e: e}
	p.s.Start(Client, 0)
	p.s.Start(Server, 0)
	return p
}

func (p *pourer) pour(side Side, b []byte, times int) {
	for range times {
		p.n++
		p.s.Data(p.e, side, b, Mark{Time: int64(p.n), Frame: p.n, Seq: p.next[side], Ack: p.next[1-side]})
		p.next[side] = p.next[side].Add(len(b))
	}
}

// allocated returns how many bytes f allocates, and how many stay in use.
func allocated(f func()) (all, live uint64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	all = after.TotalAlloc - before.TotalAlloc
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc {
		live = after.HeapAlloc - before.HeapAlloc
	}
	return all, live
}

// What has no end is followed without keeping it: however long, it takes no
// more memory, all of it is counted, and the next message is found.
func TestBombs(t *testing.T) {
	mb := make([]byte, 1<<20)
	for i := range mb {
		mb[i] = 'x'
	}
	fields := []byte(strings.Repeat("a: b\r\n", 16<<10))
	folds := []byte(strings.Repeat(" y\r\n", 16<<10))
	interims := []byte(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1000))
	chunks := []byte(strings.Repeat("1\r\nx\r\n", 10_000))
	for _, tt := range []struct {
		name string
		side Side
		head string
		unit []byte
		n    int
		tail string
		want func(t *testing.T, a *anomalies)
	}{
		{"1 GiB of one field", Client, "GET / HTTP/1.1\r\nHost: a\r\nX: ", mb, 1 << 10, "\r\nContent-Length: 0\r\n\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || !slices.Contains(a.kinds, HeadTooLong) || !a.last.Req.Bits.Has(Truncated|HasContentLength) || a.last.Req.HeadEnd.Seq.Sub(0) < 1<<30 {
				t.Errorf("%d heads, anomalies %v, bits %x, end %d", a.heads, a.kinds, a.last.Req.Bits, a.last.Req.HeadEnd.Seq)
			}
		}},
		{"a million fields", Client, "GET / HTTP/1.1\r\nHost: a\r\n", fields, 64, "Content-Length: 0\r\n\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || !slices.Contains(a.kinds, HeadTooLong) || !a.last.Req.Bits.Has(Truncated|HasContentLength) {
				t.Errorf("%d heads, anomalies %v, bits %x", a.heads, a.kinds, a.last.Req.Bits)
			}
		}},
		{"a million fields in the response", Server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", fields, 64, "\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || !slices.Contains(a.kinds, HeadTooLong) || a.last.Outcome != Answered {
				t.Errorf("%d heads, anomalies %v, %v", a.heads, a.kinds, a.last.Outcome)
			}
		}},
		{"a field folded a million times", Client, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n", folds, 64, "\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || !slices.Contains(a.kinds, FoldedField) || !slices.Contains(a.kinds, HeadTooLong) {
				t.Errorf("%d heads, anomalies %v", a.heads, a.kinds)
			}
		}},
		{"a request line of 1 GiB", Client, "GET /", mb, 1 << 10, " HTTP/1.1\r\nHost: a\r\n\r\n", func(t *testing.T, a *anomalies) {
			if !slices.Contains(a.kinds, HeadTooLong) {
				t.Errorf("%d heads, anomalies %v", a.heads, a.kinds)
			}
		}},
		{"100,000 interim responses", Server, "", interims, 100, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 100_002 || a.last.Interim != 1<<16-1 || a.last.Outcome != Answered || a.last.Resp.Status != 200 {
				t.Errorf("%d heads, %d interim, %v", a.heads, a.last.Interim, a.last.Outcome)
			}
		}},
		{"a chunk of 2 GiB", Server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80000000\r\n", mb, 2 << 10, "\r\n0\r\n\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || a.last.Outcome != Answered || a.last.Resp.Body != 1<<31+int64(len("80000000\r\n\r\n0\r\n\r\n")) {
				t.Errorf("%d heads, body %d, %v", a.heads, a.last.Resp.Body, a.last.Outcome)
			}
		}},
		{"100,000 chunks", Server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks, 10, "0\r\n\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || a.last.Outcome != Answered || a.last.Resp.Body != 600_005 {
				t.Errorf("%d heads, body %d, %v", a.heads, a.last.Resp.Body, a.last.Outcome)
			}
		}},
		{"a chunk extension of 4 MiB", Server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", mb, 4, "\r\nx\r\n0\r\n\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || a.last.Outcome != Answered || a.last.Resp.Body < 4<<20 {
				t.Errorf("%d heads, body %d, %v", a.heads, a.last.Resp.Body, a.last.Outcome)
			}
		}},
		{"a trailer section of a million fields", Server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", fields, 64, "\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || a.last.Outcome != Answered || a.last.Resp.Body < int64(64*len(fields)) {
				t.Errorf("%d heads, body %d, %v", a.heads, a.last.Resp.Body, a.last.Outcome)
			}
		}},
		{"a trailer field of 4 MiB", Server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", mb, 4, "\r\n\r\n", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || a.last.Outcome != Answered {
				t.Errorf("%d heads, %v", a.heads, a.last.Outcome)
			}
		}},
		{"a million empty lines before a request", Client, "", []byte(strings.Repeat("\r\n", 1<<16)), 16, get, func(t *testing.T, a *anomalies) {
			if a.heads != 2 || len(a.kinds) != 0 {
				t.Errorf("%d heads, anomalies %v", a.heads, a.kinds)
			}
		}},
		{"a body of 1 GiB", Server, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", mb, 1 << 10, "", func(t *testing.T, a *anomalies) {
			if a.heads != 2 || a.last.Outcome != Answered || a.last.Resp.Body != 1<<30 {
				t.Errorf("%d heads, body %d, %v", a.heads, a.last.Resp.Body, a.last.Outcome)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got anomalies
			e := NewEnv(&got, Options{})
			run := func(n int) {
				got = anomalies{kinds: got.kinds[:0], framing: got.framing[:0], declared: got.declared[:0], outcomes: got.outcomes[:0]}
				p := newPourer(e)
				if tt.side == Server {
					p.pour(Client, []byte(get), 1)
				}
				p.pour(tt.side, []byte(tt.head), 1)
				p.pour(tt.side, tt.unit, n)
				p.pour(tt.side, []byte(tt.tail), 1)
				if tt.side == Client {
					p.pour(Server, []byte(ok0), 1)
				}
				p.s.Close(e, false, false)
			}
			run(min(tt.n, 2)) // fills the pools
			all, live := allocated(func() { run(tt.n) })
			tt.want(t, &got)
			// A head that outgrows its pool is left to the garbage collector.
			if all > 1<<20 || live > 256<<10 {
				t.Errorf("%d bytes allocated, %d kept", all, live)
			}
			if e.heads != 0 || e.waiting != 0 || e.recent != 0 {
				t.Errorf("in use after the end: %d bytes of heads, %d waiting, %d recent", e.heads, e.waiting, e.recent)
			}
		})
	}
}

// A pipeline of any depth is followed as far as MaxOutstanding; what is beyond
// is counted, and nothing is judged by its place.
func TestDeepPipeline(t *testing.T) {
	for _, tt := range []struct {
		depth int
		deep  bool
	}{{1000, false}, {1024, false}, {1025, true}, {10_000, true}} {
		t.Run(fmt.Sprint(tt.depth), func(t *testing.T) {
			var got anomalies
			e := NewEnv(&got, Options{})
			p := newPourer(e)
			requests := []byte(strings.Repeat(get, 100))
			responses := []byte(strings.Repeat(ok0, 100))
			for n := tt.depth; n > 0; n -= 100 {
				p.pour(Client, requests[:min(n, 100)*len(get)], 1)
			}
			if p.s.Outstanding() != tt.depth {
				t.Errorf("%d outstanding", p.s.Outstanding())
			}
			if deep := p.s.Doubts()&TooDeep != 0; deep != tt.deep {
				t.Errorf("too deep: %v", deep)
			}
			for n := tt.depth; n > 0; n -= 100 {
				p.pour(Server, responses[:min(n, 100)*len(ok0)], 1)
			}
			if e.Stats.Requests != uint64(tt.depth) || e.Stats.Responses != uint64(tt.depth) || p.s.Outstanding() != 0 {
				t.Errorf("%d requests, %d responses, %d outstanding", e.Stats.Requests, e.Stats.Responses, p.s.Outstanding())
			}
			p.s.Close(e, false, false)
			if e.waiting != 0 || e.recent != 0 {
				t.Errorf("%d waiting, %d recent after the end", e.waiting, e.recent)
			}
		})
	}
}

// Many connections may each hold an unfinished head, or a pipeline: together
// they are bounded, and those with one request at a time do not suffer.
func TestManySessionsAreBounded(t *testing.T) {
	opts := Options{MaxHeads: 1 << 20, MaxWaiting: 1000}
	t.Run("heads", func(t *testing.T) {
		var got anomalies
		e := NewEnv(&got, opts)
		long := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a: b\r\n", 8<<10))
		var all []*pourer
		for range 60 {
			p := newPourer(e)
			p.pour(Client, long, 1)
			all = append(all, p)
		}
		if most := opts.MaxHeads + 64<<10 + 60*4<<10; e.heads > most {
			t.Errorf("%d bytes of heads are kept, at most %d are meant to be", e.heads, most)
		}
		for _, p := range all {
			p.pour(Client, []byte("\r\n"), 1)
			p.pour(Server, []byte(ok0), 1)
			p.s.Close(e, false, false)
		}
		if e.Stats.Requests != 60 || e.Stats.Responses != 60 || e.heads != 0 {
			t.Errorf("%+v, %d bytes still kept", e.Stats, e.heads)
		}
	})
	t.Run("pipelines", func(t *testing.T) {
		var got anomalies
		e := NewEnv(&got, opts)
		deep := 0
		var all []*pourer
		for range 100 {
			p := newPourer(e)
			p.pour(Client, []byte(strings.Repeat(get, 100)), 1)
			if p.s.Doubts()&TooDeep != 0 {
				deep++
			}
			all = append(all, p)
		}
		if e.waiting > opts.MaxWaiting || deep < 80 {
			t.Errorf("%d requests wait, %d connections are too deep", e.waiting, deep)
		}
		p := newPourer(e)
		for range 10 {
			p.pour(Client, []byte(get), 1)
			p.pour(Server, []byte(ok0), 1)
		}
		if p.s.Abstains() || got.last.Outcome != Answered {
			t.Error("a connection with one request at a time suffers")
		}
		p.s.Close(e, false, false)
		for _, p := range all {
			p.s.Close(e, false, false)
		}
		if e.waiting != 0 {
			t.Errorf("%d wait after the end", e.waiting)
		}
	})
	t.Run("answers that nobody acknowledged", func(t *testing.T) {
		var got anomalies
		e := NewEnv(&got, opts)
		var all []*pourer
		for range 100 {
			p := newPourer(e)
			for range 100 {
				p.pour(Client, []byte(get), 1)
			}
			for range 100 {
				p.pour(Server, []byte(ok0), 1)
			}
			all = append(all, p)
		}
		if e.recent > opts.MaxWaiting {
			t.Errorf("%d answers are remembered", e.recent)
		}
		for _, p := range all {
			p.s.Close(e, false, false)
		}
		if e.recent != 0 || e.Stats.Responses != 100*100 {
			t.Errorf("%d remembered after the end, %d responses", e.recent, e.Stats.Responses)
		}
	})
}
