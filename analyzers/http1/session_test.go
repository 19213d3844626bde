package http1

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/connlint/connlint/capture/wire"
)

// log is a Sink that writes down all it is told.
type log struct {
	lines []string
}

func (l *log) add(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *log) Head(h *Head, m *Message, t *Transaction) {
	if h.Side == Client {
		l.add("req %d %s %s %q fields=%d v%d f%d len=%d bits=%x at=%d..%d raw=%d", t.Index, t.MethodName, t.Target, t.Host,
			len(h.Fields()), m.Version, m.Framing, m.Declared, uint64(m.Bits), m.First.Seq, m.HeadEnd.Seq, len(h.Raw))
		return
	}
	l.add("resp %d %d %q fields=%d v%d f%d len=%d bits=%x at=%d..%d raw=%d", t.Index, m.Status, h.Reason,
		len(h.Fields()), m.Version, m.Framing, m.Declared, uint64(m.Bits), m.First.Seq, m.HeadEnd.Seq, len(h.Raw))
}

var outcomes = [...]string{"answered", "incomplete", "unanswered", "unknown", "open", "unsolicited"}

func (l *log) Done(t *Transaction) {
	l.add("done %d %s %s req{%v f%d body=%d gaps=%d end=%d frames=%d-%d} resp{%v %d f%d body=%d gaps=%d end=%d frames=%d-%d} interim=%d hash=%x/%v depth=%d behind=%d/%d %s bits=%x",
		t.Index, t.MethodName, outcomes[t.Outcome], t.Req.Complete, t.Req.Framing, t.Req.Body, t.Req.Gaps, t.Req.Last.Seq, t.Req.First.Frame, t.Req.Last.Frame,
		t.Resp.Complete, t.Resp.Status, t.Resp.Framing, t.Resp.Body, t.Resp.Gaps, t.Resp.Last.Seq, t.Resp.First.Frame, t.Resp.Last.Frame,
		t.Interim, t.BodyHash, t.BodyHashOK, t.Depth, t.Behind.Seq, t.BehindUnsafe.Seq, t.BehindMethod, uint64(t.Req.Bits))
}

func (l *log) Anomaly(a *Anomaly, t *Transaction) {
	i := -1
	if t != nil {
		i = int(t.Index)
	}
	l.add("anomaly %d side=%d at=%d %q of %d", a.Kind, a.Side, a.At.Seq, a.Bytes, i)
}

// op is one segment, gap or FIN of a scripted connection. Sequence numbers of
// both sides begin at 1000 and 5000; each segment acknowledges all that the
// other side has sent before, unless ack says what.
type op struct {
	side Side
	data string
	gap  int
	fin  bool
	ack  wire.Seq
}

func c(s string) op { return op{side: Client, data: s} }
func s(s string) op { return op{side: Server, data: s} }

var fin = [2]op{{side: Client, fin: true}, {side: Server, fin: true}}

func gap(side Side, n int) op { return op{side: side, gap: n} }

const isn0, isn1 = 1000, 5000

type script struct {
	name      string
	midstream bool
	ops       []op
	reset     bool
	final     bool
	want      []string // substrings of the log's lines, in order; the log has as many lines
	proto     Protocol
}

// play feeds a script, each segment cut into pieces of the lengths that cut
// returns.
func play(e *Env, sc *script, cut func(left int) int) *Session {
	var ss Session
	playOn(e, &ss, sc, cut)
	return &ss
}

func playOn(e *Env, ss *Session, sc *script, cut func(left int) int) {
	next := [2]wire.Seq{isn0, isn1}
	if !sc.midstream {
		ss.Start(Client, isn0)
		ss.Start(Server, isn1)
	}
	for i, o := range sc.ops {
		m := Mark{Time: int64(i) * 1e6, Frame: uint64(i + 1), Seq: next[o.side], Ack: next[1-o.side]}
		if o.ack != 0 {
			m.Ack = o.ack
		}
		switch {
		case o.fin:
			ss.End(e, o.side, m)
			next[o.side]++
		case o.gap > 0:
			ss.Gap(e, o.side, o.gap, false, m)
			next[o.side] += wire.Seq(o.gap)
		default:
			b := []byte(o.data)
			for len(b) > 0 {
				n := min(max(cut(len(b)), 1), len(b))
				piece := slices.Clone(b[:n])
				ss.Data(e, o.side, piece, m)
				for k := range piece { // borrowed no longer
					piece[k] = '#'
				}
				b, m.Seq = b[n:], m.Seq.Add(n)
			}
			next[o.side] = m.Seq
		}
		if ss.Outstanding() < 0 {
			panic("negative outstanding")
		}
	}
	if sc.proto != Undecided && ss.Protocol() != sc.proto {
		panic(fmt.Sprintf("%s: protocol %d, want %d", sc.name, ss.Protocol(), sc.proto))
	}
	ss.Close(e, sc.reset, sc.final)
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
const ok0 = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
const ok5 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"

var scripts = []script{
	{name: "simple", ops: []op{c(get), s(ok5)}, proto: HTTP1, want: []string{
		`req 0 GET / "a" fields=1 v11 f0 len=-1`, `resp 0 200 "OK" fields=1 v11 f1 len=5`,
		`done 0 GET answered req{true f0 body=0 gaps=0 end=1027 frames=1-1} resp{true 200 f1 body=5 gaps=0 end=5043 frames=2-2}`}},
	{name: "a request without fields, joined late", midstream: true, ops: []op{c("GET / HTTP/1.1\r\n\r\n"), s(ok0)}, want: []string{
		"req 0 GET /", "resp 0", "done 0 GET answered"}},
	{name: "of a method that nobody registered it is none", midstream: true, ops: []op{c("FROB / HTTP/1.1\r\n\r\n")}},
	{name: "a head cut in its first field", midstream: true, ops: []op{s("HTTP/1.1 200 OK\r\nDate: Thu, 1"), gap(Server, 500)},
		want: []string{`resp 0 200 "OK" fields=0`, "done 0  unknown"}},
	{name: "cut before a field begins it is none", midstream: true, ops: []op{s("HTTP/1.1 200 OK\r\nDate Thu, 1"), gap(Server, 500)}},
	{name: "two requests", ops: []op{c(get), s(ok5), c(get), s(ok0)}, want: []string{
		"req 0", "resp 0", "done 0 GET answered", "req 1", "resp 1", "done 1 GET answered"}},
	{name: "head split over segments", ops: []op{c(get[:7]), c(get[7:]), s(ok5[:20]), s(ok5[20:])}, want: []string{
		"req 0", "resp 0", "frames=1-2} resp{true 200 f1 body=5 gaps=0 end=5043 frames=3-4}"}},
	{name: "empty lines before request line", ops: []op{c("\r\n\r\n" + get), s(ok0)}, want: []string{"at=1004..1031", "resp", "done"}},
	{name: "HEAD", ops: []op{c("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), s(ok5[:38]), c(get), s(ok0)}, want: []string{
		"req 0 HEAD", "resp 0 200", "done 0 HEAD answered", "req 1", "resp 1", "done 1"}},
	{name: "304 with length", ops: []op{c(get), s("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"), c(get), s(ok0)}, want: []string{
		"req 0", "resp 0 304", "done 0", "req 1", "resp 1", "done 1"}},
	{name: "205 without length", ops: []op{c(get), s("HTTP/1.1 205 Reset Content\r\nA: b\r\n\r\n"), c(get), s(ok0)}, want: []string{
		"req 0", `f0`, "done 0 GET answered", "req 1", "resp 1", "done 1"}},
	{name: "body after HEAD", ops: []op{c("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), s(ok5), c(get), s(ok0)}, want: []string{
		"req 0", "resp 0", "done 0", `anomaly 9 side=1 at=5038 "hello" of`, "resp 1", "done 1"}},
	{name: "extra bytes", ops: []op{c(get), s(ok5 + "xyz\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n"), c(get), s(ok0)}, want: []string{
		"req 0", "resp 0", "done 0", `anomaly 10 side=1 at=5043 "xyz" of -1`, "req 1", "resp 1", "done 1"}},
	{name: "unsolicited", ops: []op{c(get), s(ok5), s("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"), fin[1]}, want: []string{
		"req 0", "resp 0", "done 0", "resp 1 408", `anomaly 11 side=1 at=5043 "HTTP/1.1 408 Request Timeout" of 1`, "done 1  unsolicited"}},
	{name: "408 races with a request", ops: []op{c(get), s(ok0), c(get),
		{side: Server, data: "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", ack: isn0 + wire.Seq(len(get))}, fin[1]}, want: []string{
		"req 0", "resp 0", "done 0", "req 1", "resp 2 408", "anomaly 11", "done 2  unsolicited", "done 1 GET unanswered"}},
	{name: "unsolicited first", ops: []op{s("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")}, want: []string{"resp 0 408", "anomaly 11", "done 0  unsolicited"}},
	{name: "chunked", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n00a \r\n0123456789\r\n0\r\nT: v\r\n\r\n" + ok0[:10])}, want: []string{
		"req 0", "f2", "done 0 GET answered"}},
	{name: "chunked bare LF", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n")}, want: []string{
		"req 0", "f2", `anomaly 6 side=1 at=5048 "\n" of 0`, "done 0 GET answered req{true f0 body=0 gaps=0 end=1027 frames=1-1} resp{true 200 f2 body=11"}},
	{name: "bad chunk size", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nfoo"), c(get), s(ok0)}, want: []string{
		"req 0", "f2", `anomaly 5 side=1 at=5047 "x" of 0`, "req 1", "done 0 GET unknown", "resp 1", "done 1 GET answered"}},
	{name: "chunk size 2^64", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nfoo")}, want: []string{
		"req 0", "f2", "anomaly 5", "done 0 GET unknown"}},
	{name: "chunk size 2^63-1", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nfoo")}, want: []string{
		"req 0", "f2", "done 0 GET incomplete req{true f0 body=0 gaps=0 end=1027 frames=1-1} resp{false 200 f2 body=21"}},
	{name: "until close", ops: []op{c(get), s("HTTP/1.0 200 OK\r\n\r\nabc"), s("def"), fin[1]}, want: []string{
		"req 0", "v10 f3", "done 0 GET answered req{true f0 body=0 gaps=0 end=1027 frames=1-1} resp{true 200 f3 body=6"}},
	{name: "until close reset", reset: true, ops: []op{c(get), s("HTTP/1.0 200 OK\r\n\r\nabc")}, want: []string{"req", "resp", "done 0 GET incomplete"}},
	{name: "truncated length", ops: []op{c(get), s(ok5[:40]), fin[1]}, want: []string{"req", "resp", "done 0 GET incomplete"}},
	{name: "capture ends", final: true, ops: []op{c(get), s(ok5[:40])}, want: []string{"req", "resp", "done 0 GET open"}},
	{name: "capture ends in response head", final: true, ops: []op{c(get), s(ok5[:20])}, want: []string{"req", "done 0 GET open req{true f0 body=0 gaps=0 end=1027 frames=1-1} resp{false 200"}},
	{name: "interim", ops: []op{c("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"), s("HTTP/1.1 100 Continue\r\n\r\n"), c("abc"), s("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"), s(ok0)}, want: []string{
		"req 0 POST", "resp 0 100", "resp 0 103", "resp 0 200", "interim=2"}},
	{name: "early final response", ops: []op{c("POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc"), s("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"), c("def"), {side: Client, data: get, ack: 5000}, s(ok0)}, want: []string{
		"req 0", "resp 0 413", "done 0 POST answered", "req 1", "resp 1", "depth=0"}},
	{name: "pipelined", ops: []op{c(get + post + get), s(ok0 + ok5 + ok0)}, want: []string{
		"req 0", "req 1", "req 2", "resp 0", "done 0 GET answered", "resp 1", "depth=1 behind=1000/0 ", "resp 2", "depth=2 behind=1000/1027 POST"}},
	{name: "pipelined by ack alone", ops: []op{c(post), s(ok5), {side: Client, data: get, ack: isn1}, s(ok0), c(get), s(ok0)}, want: []string{
		"req 0", "resp 0", "done 0", "req 1", "resp 1", "depth=1 behind=1000/1000 POST", "req 2", "resp 2", "depth=0"}},
	{name: "pipelined unregistered", ops: []op{c("FOO / HTTP/1.1\r\n\r\n" + get + get), s(ok0 + ok0 + ok0)}, want: []string{
		"req 0 FOO", "req", "req", "resp", "done 0", "resp", "depth=1 behind=1000/1000 FOO", "resp", "depth=2 behind=1000/1000 FOO"}},
	{name: "pipelined unanswered", ops: []op{c(post), c(get), c(get), fin[1]}, want: []string{
		"req", "req", "req", "done 0 POST unanswered", "done 1 GET unanswered", "done 2 GET unanswered"}},
	{name: "one direction", ops: []op{c(get), {side: Client, data: get, ack: 5500}, {side: Client, data: get, ack: 6500}}, want: []string{
		"req", "req", "req", "done 0 GET unknown", "done 1 GET unknown", "done 2 GET unanswered"}},
	{name: "server direction only", ops: []op{{side: Server, data: ok5, ack: 1100}, {side: Server, data: ok0, ack: 1200}}, want: []string{
		"resp 0", "done 0  unknown", "resp 0", "done 0  unknown"}},
	{name: "websocket", proto: WebSocket, ops: []op{c("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), s("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x01a"), c("\x81\x01b")}, want: []string{
		"req", "f4", "done 0 GET answered"}},
	{name: "h2c", proto: HTTP2, ops: []op{c("GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"), s("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x00")}, want: []string{"req", "f4", "done 0 GET answered"}},
	{name: "connect", proto: Tunnel, ops: []op{c("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), c("\x16\x03\x01\x02"), s("HTTP/1.1 200 Connection established\r\n\r\n\x16\x03"), c("zzz")}, want: []string{"req", "f4", "done 0 CONNECT answered"}},
	{name: "connect refused", proto: Tunnel, ops: []op{c("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), s("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"), c("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), s("HTTP/1.1 200 OK\r\n\r\n")}, want: nil},
	{name: "tls", proto: TLS, ops: []op{c("\x16\x03\x01\x0a\x0a\x01zzz"), s("\x16\x03\x03abc")}, want: []string{}},
	{name: "tls midstream", midstream: true, proto: TLS, ops: []op{s("\x17\x03\x03\x0a\x0azzz"), c("\x16\x03\x03abc")}, want: []string{}},
	{name: "h2 preface", proto: HTTP2, ops: []op{c("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), s("\x00\x00\x00")}, want: []string{}},
	{name: "smtp", proto: OtherProtocol, ops: []op{s("220 mail ESMTP\r\n"), c("EHLO x\r\n")}, want: []string{}},
	{name: "other, client first", proto: OtherProtocol, ops: []op{c("\x00\x01\x02hello\r\n"), s("world")}, want: []string{}},
	{name: "http/0.9", proto: OtherProtocol, ops: []op{c("GET /\r\n"), s("<html>")}, want: []string{}},
	{name: "malformed first request", proto: HTTP1, ops: []op{c("GET /\r\nHost: x\r\n\r\n"), s("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")}, want: []string{
		`anomaly 1 side=0 at=1000 "GET /" of 0`, "resp 0 400", "done 0  answered"}},
	{name: "malformed second request", ops: []op{c(get), s(ok0), c("G(T / HTTP/1.1\r\n\r\n"), s("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")}, want: []string{
		"req", "resp", "done 0", `anomaly 1 side=0 at=1027 "G(T / HTTP/1.1" of -1`, "resp 1 400", "done 1  unknown"}},
	{name: "body longer than declared", ops: []op{c("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc&d=e"), s(ok0), c(get), s(ok0)}, want: []string{
		"req", "resp", "done 0", "anomaly 10 side=0", "req 1", "resp 1", "done 1"}},
	{name: "bad status line", ops: []op{c(get), s("HTTP/1.1 abc\r\nA: b\r\n\r\n")}, want: []string{"req", `anomaly 1 side=1 at=5000 "HTTP/1.1 abc" of 0`, "done 0 GET unanswered"}},
	{name: "faulty fields", ops: []op{c("GET / HTTP/1.1\nHost : a\r\nB@d: x\r\nX: 1\r\n 2\r\nY: \x00\r\n\r\n")}, want: []string{
		`req 0 GET / "a" fields=4`, "anomaly 6", "anomaly 3", "anomaly 2", "anomaly 7", "anomaly 4", "done 0"}},
	{name: "space in target", ops: []op{c("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n")}, want: []string{"req 0 GET /a b", "anomaly 1", "done"}},
	{name: "TE and CL", ops: []op{c("POST / HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + get)}, want: []string{
		"f2 len=9", "anomaly 8", "req 1", "done 0", "done 1"}},
	{name: "differing lengths", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), c(get), s(ok0)}, want: []string{
		"req", "f5 len=-1", "anomaly 8", "req 1", "done 0 GET unknown", "resp 1", "done 1"}},
	{name: "equal lengths", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello")}, want: []string{"req", "f1 len=5", "done 0 GET answered"}},
	{name: "length overflow", ops: []op{c("POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n")}, want: []string{"f5 len=-1", "anomaly 8", "done"}},
	{name: "TE not chunked in request", ops: []op{c("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n")}, want: []string{"f5", "anomaly 8", "done"}},
	{name: "TE not chunked in response", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"), fin[1]}, want: []string{"req", "f3", "done 0 GET answered"}},
	{name: "TE in 1.0", ops: []op{c("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")}, want: []string{"f2", "anomaly 8", "done"}},
	{name: "gap in body", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"), gap(Server, 5), s("def"), c(get), s(ok0)}, want: []string{
		"req", "resp", "done 0 GET answered req{true f0 body=0 gaps=0 end=1027 frames=1-1} resp{true 200 f1 body=10 gaps=5", "req 1", "resp 1", "done 1 GET answered"}},
	{name: "gap over body end", ops: []op{c(get), s(ok5[:39]), gap(Server, 50), c(get), s(ok0)}, want: []string{
		"req", "resp", "done 0 GET answered", "req 1", "resp 1", "done 1 GET answered"}},
	{name: "gap in chunk data", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nab"), gap(Server, 4), s("gh\r\n0\r\n\r\n")}, want: []string{"req", "resp", "done 0 GET answered"}},
	{name: "gap in chunk size", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8"), gap(Server, 40), s("gh\r\n0\r\n\r\n"), c(get), s(ok0)}, want: []string{
		"req", "resp", "req 1", "done 0 GET unknown", "resp 1", "done 1 GET answered"}},
	{name: "gap in head", ops: []op{c("GET /x HTTP/1.1\r\nHost: a\r\nFo"), gap(Client, 100), s(ok5), c(get), s(ok0)}, want: []string{
		"req 0 GET /x", "resp 0", "done 0 GET answered", "req 1", "resp 1", "done 1"}},
	{name: "snaplen", midstream: true, ops: []op{c(get[:25]), gap(Client, 40), s(ok5[:36]), gap(Server, 80), c(get[:25]), gap(Client, 40), s(ok5[:36]), gap(Server, 80)}, want: []string{
		"req 0", "resp 0", "req 1", "done 0 GET unknown", "resp 1", "done 1 GET unknown"}},
	{name: "lost request", ops: []op{c(get), s(ok0), gap(Client, 70), s(ok5), c(get), s(ok0)}, want: []string{
		"req 0", "resp 0", "done 0", "resp 1", "done 1  unknown", "req 1", "resp 1", "done 1 GET answered"}},
	{name: "late request", midstream: true, ops: []op{{side: Server, data: ok0, ack: isn0 + wire.Seq(len(get))}, {side: Client, data: get, ack: isn1}, {side: Client, data: get, ack: isn1 + wire.Seq(len(ok0))}, s(ok0)}, want: []string{
		"resp 0", "done 0  unknown", "req 0", "done 0 GET unknown", "req 1", "resp 1", "done 1 GET answered"}},
	{name: "lost response", ops: []op{c(get), gap(Server, 70), c(get), s(ok0)}, want: []string{
		"req 0", "req 1", "done 0 GET unknown", "resp 1", "done 1 GET answered"}},
	{name: "midstream in body", midstream: true, ops: []op{s("dsf HTTP/1.1 200 OK\r\n"), s("qweqwe\r\n"), c(get), s(ok5)}, want: []string{"req 0", "resp 0", "done 0 GET answered"}},
	{name: "torn body that quotes HTTP", ops: []op{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8"), gap(Server, 40), s(ok5), c(get), s(ok0)}, want: []string{
		"req", "resp", "req 1", "done 0 GET unknown", "resp 1", "done 1 GET answered"}},
	{name: "unfinished request head", ops: []op{c("GET /abc HTTP/1.1\r\nHo"), fin[0]}, want: []string{"done 0 GET unanswered"}},
	{name: "unfinished request line", ops: []op{c(get), s(ok0), c("GET /abc"), fin[0]}, want: []string{"req", "resp", "done 0", "done 1  unanswered"}},
}

func whole(n int) int { return n }

func TestScripts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	cuts := map[string]func(int) int{
		"1 byte": func(int) int { return 1 }, "3 bytes": func(int) int { return 3 }, "7 bytes": func(int) int { return 7 },
		"random": func(n int) int { return rng.IntN(n) + 1 },
	}
	for i := range scripts {
		sc := &scripts[i]
		t.Run(sc.name, func(t *testing.T) {
			var l log
			e := NewEnv(&l, Options{})
			play(e, sc, whole)
			if sc.want != nil {
				match := len(sc.want) <= len(l.lines)
				at := 0
				for _, w := range sc.want {
					for at < len(l.lines) && !strings.Contains(l.lines[at], w) {
						at++
					}
					if at++; at > len(l.lines) {
						match = false
					}
				}
				if len(sc.want) == 0 && len(l.lines) > 0 {
					match = false
				}
				if !match {
					t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(l.lines, "\n\t"), strings.Join(sc.want, "\n\t"))
				}
			}
			for name, cut := range cuts {
				for range 10 {
					var l2 log
					play(NewEnv(&l2, Options{}), sc, cut)
					if !slices.Equal(l.lines, l2.lines) {
						t.Errorf("%s: got\n\t%s\nwhole\n\t%s", name, strings.Join(l2.lines, "\n\t"), strings.Join(l.lines, "\n\t"))
						break
					}
				}
			}
		})
	}
}

func TestSessionSize(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 160 {
		t.Errorf("a Session has %d bytes, want at most 160", n)
	}
	t.Log(unsafe.Sizeof(Session{}), unsafe.Sizeof(Transaction{}))
}
