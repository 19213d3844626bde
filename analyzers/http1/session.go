package http1

import (
	"bytes"

	"github.com/connlint/connlint/capture/wire"
)

// Session follows one connection. It is small and lives inline in the
// connection's state; what it needs beyond comes from an Env and goes back
// when the connection falls idle.
//
// The zero value is ready for a connection whose beginning is not in the
// capture: it looks for messages. Start tells it more. A Session is closed by
// Close, and must always be given the same Env.
type Session struct {
	d    [2]dir
	head *Transaction // outstanding requests, oldest first
	tail *Transaction
	cli  *Transaction // its request is in progress
	srv  *Transaction // its response is in progress
	hist *history
	last answered

	orphanAck wire.Seq // what the server had read before its last response to no known request
	index     uint32
	over      uint32 // requests beyond MaxOutstanding that still wait
	cliAck    wire.Seq
	queued    uint16
	proto     Protocol
	doubts    Doubt
	synced    bool // no request is outstanding but the known ones
	acked     bool // cliAck is valid
	orphan    bool // orphanAck is valid
}

// dir is one direction.
type dir struct {
	buf   *headBuf
	rem   int64 // bytes of the body or the chunk to come; in chunkSize, the size so far
	next  wire.Seq
	frame uint32 // low bits of the last frame
	state state
	flags dirFlags
	sub   uint8
}

type dirFlags uint8

const (
	seen     dirFlags = 1 << iota // next is valid
	torn                          // bytes are lost here, and with them the step
	messaged                      // a message was complete before
	bodiless                      // and the last one, a response, could have no body
	lfTold                        // LFOnly was told of this message's chunks
	segment                       // the next byte begins a segment
)

func (d *dir) has(f dirFlags) bool { return d.flags&f != 0 }

// state is what a direction's next byte is.
type state uint8

const (
	lost       state = iota // unknown; a message may begin with a segment
	try                     // of a head that may turn out to be none
	ready                   // the first of a message
	hold                    // of what may be a status line: too few bytes to tell
	head                    // of a head
	junk                    // of what is no start line, up to what is shown of it
	body                    // of rem bytes of body
	chunkSize               // of a chunk size
	chunkExt                // of what follows it
	chunkData               // of rem bytes of chunk
	chunkEnd                // of the line end after it
	trailer                 // of the trailer section
	untilClose              // of a body that the connection's end delimits
)

// Doubt holds reasons why not all of a connection's messages are known.
type Doubt uint8

// The doubts.
const (
	LostClient Doubt = 1 << iota // bytes of the client are missing, perhaps requests
	LostServer                   // likewise of the server
	NotFramed                    // the end of a response cannot be told
	TooDeep                      // more requests outstanding than are kept
	Midstream                    // the capture began inside the connection
)

// Doubts returns what is doubtful so far.
func (s *Session) Doubts() Doubt { return s.doubts }

// Abstains reports whether pipelining cannot be judged from here on.
func (s *Session) Abstains() bool { return s.doubts&^Midstream != 0 }

// Protocol returns what the connection speaks, as far as is known.
func (s *Session) Protocol() Protocol { return s.proto }

// Start says that the handshake was captured: the first byte of side has the
// sequence number next.
func (s *Session) Start(side Side, next wire.Seq) {
	d := &s.d[side]
	d.state, d.next = ready, next
	d.flags |= seen
	if side == Client {
		s.synced = true
	}
}

// MidMessage reports whether what side has sent ends inside a message: its
// head has begun, or its body is unfinished. A body that ends with the
// connection is no such message.
func (s *Session) MidMessage(side Side) bool {
	switch s.d[side].state {
	case hold, head, body, chunkSize, chunkExt, chunkData, chunkEnd, trailer:
		return s.proto <= HTTP1
	}
	return false
}

// Outstanding returns how many requests have begun and have no complete final
// response.
func (s *Session) Outstanding() int {
	n := int(s.queued) + int(s.over)
	if s.tail != nil && s.tail.Resp.Complete {
		n--
	}
	return n
}

// Current returns the transaction whose message of side is in progress.
// Between messages it is, for the client, that of the last request, and for
// the server the one to be answered next; nil when none is outstanding. It is
// valid until the session is next called.
func (s *Session) Current(side Side) *Transaction {
	switch {
	case side == Client && s.cli != nil:
		return s.cli
	case side == Client:
		return s.tail
	case s.srv != nil:
		return s.srv
	case s.head != nil && !s.head.Resp.Complete:
		return s.head
	}
	return nil
}

// at returns the mark n bytes on.
func (m Mark) at(n int) Mark {
	m.Seq = m.Seq.Add(n)
	return m
}

func (s *Session) know(side Side, m Mark, end wire.Seq) *dir {
	d := &s.d[side]
	if !d.has(seen) {
		s.doubts |= Midstream
	}
	d.next = end
	d.flags |= seen
	if side == Client && (!s.acked || s.cliAck.Less(m.Ack)) {
		s.cliAck, s.acked = m.Ack, true
	}
	return d
}

// Data takes the next bytes of side in order: those of one segment, or a part
// of one. m.Seq is that of b[0]. b is borrowed until Data returns.
func (s *Session) Data(e *Env, side Side, b []byte, m Mark) {
	if s.proto > HTTP1 || len(b) == 0 {
		return
	}
	d := s.know(side, m, m.Seq.Add(len(b)))
	if d.frame != uint32(m.Frame) {
		d.frame = uint32(m.Frame)
		d.flags |= segment
	}
	for len(b) > 0 && s.proto <= HTTP1 {
		n := s.step(e, side, d, b, m)
		d.flags &^= segment
		b, m.Seq = b[n:], m.Seq.Add(n)
	}
	if d.state == head && s.proto <= HTTP1 {
		s.message(side).Last = m
	}
}

// step takes in some bytes of b, at least one, and returns how many.
func (s *Session) step(e *Env, side Side, d *dir, b []byte, m Mark) int {
	switch d.state {
	case ready:
		if b[0] == '\r' || b[0] == '\n' {
			return 1 // an empty line before a start line (RFC 9112 §2.2)
		}
		return s.begin(e, side, d, b, m)
	case lost:
		if !d.has(segment) || !s.plausible(side, b) {
			return len(b)
		}
		d.state = try
		return s.begin(e, side, d, b, m)
	case try, head:
		return s.gather(e, side, d, b, m)
	case hold:
		return s.held(e, d, b)
	case junk:
		if s.proto == HTTP1 && d.has(segment) && len(d.buf.b) > 0 {
			s.flushJunk(e, side)
			return s.step(e, side, d, b, m)
		}
		n := min(maxJunk-len(d.buf.b), len(b))
		if n <= 0 {
			return len(b) // the first bytes of a client whose server has not spoken
		}
		if i := bytes.IndexByte(b[:n], '\n') + 1; i > 0 {
			n = i
		}
		e.grow(d.buf, b[:n])
		s.judgeJunk(e, side, d)
		return n
	}
	return s.bodyStep(e, side, d, b, m)
}

// plausible reports whether b may begin a start line, or be of a protocol that
// is stepped aside for.
func (s *Session) plausible(side Side, b []byte) bool {
	if mayStart(side, b) {
		return true
	}
	_, maybe := tlsRecord(b)
	return s.proto == Undecided && maybe
}

// tlsRecord reports whether b begins a TLS record, and whether it may with
// more bytes.
func tlsRecord(b []byte) (is, maybe bool) {
	for i, c := range b[:min(len(b), 3)] {
		if i == 0 && (c < 20 || c > 23) || i == 1 && c != 3 || i == 2 && c > 4 {
			return false, false
		}
	}
	return len(b) >= 3, true
}

// begin takes the first bytes of a message. A head that lies whole in b is
// parsed where it is; else it is gathered in a buffer.
func (s *Session) begin(e *Env, side Side, d *dir, b []byte, m Mark) int {
	if d.state == ready {
		switch {
		case !mayStart(side, b):
			d.buf = e.getBuf(m)
			d.state = junk
			return s.step(e, side, d, b, m)
		case side == Server && len(b) < sureStatus:
			d.buf = e.getBuf(m)
			d.state = hold
			return s.held(e, d, b)
		case side == Server && s.proto == Undecided && s.d[Client].state == junk:
			// Only the whole head proves that the client's first bytes were
			// meant to be HTTP.
			d.state = try
		default:
			s.open(e, side, m)
			d.state = head
		}
	}
	if n, ok := e.p.parse(side, b[:min(len(b), e.opts.MaxHead)], false); ok && n > 0 {
		s.headDone(e, side, d, m, m.at(n), false)
		return n
	}
	d.buf = e.getBuf(m)
	return s.gather(e, side, d, b, m)
}

// sureStatus is how many bytes tell a status line from what is none.
const sureStatus = len(statusPrefix) + 2

// held takes in bytes of what may be a status line of the server. Not before
// it is sure to be one is a response begun: that gives up the requests before
// the one it answers.
func (s *Session) held(e *Env, d *dir, b []byte) int {
	h := d.buf
	for i, c := range b {
		h.b = append(h.b, c)
		if !mayStart(Server, h.b) {
			d.state = junk
			s.judgeJunk(e, Server, d)
			return i + 1
		}
		if len(h.b) == sureStatus {
			s.unhold(e, d)
			return i + 1
		}
	}
	return len(b)
}

// unhold takes the bytes held for the beginning of a status line.
func (s *Session) unhold(e *Env, d *dir) {
	if s.proto == Undecided && s.d[Client].state == junk {
		// Only the whole head proves that the client's first bytes were
		// meant to be HTTP.
		d.state = try
		return
	}
	s.open(e, Server, d.buf.at)
	d.state = head
}

// open begins a message at at.
func (s *Session) open(e *Env, side Side, at Mark) bool {
	if side == Client {
		s.cli = s.enqueue(e, at)
		return true
	}
	return s.respond(e, at)
}

// unopen undoes open.
func (s *Session) unopen(e *Env, side Side) {
	if side == Client {
		if t := s.cli; t != nil {
			s.cli = nil
			if t.Resp.First.Frame != 0 {
				t.reqOver = true // the server answers it, whatever it is
				t.Req.Last = t.Req.First
				if t.Resp.Complete {
					s.finish(e, t, Answered)
				}
				return
			}
			s.withdraw(e, t)
		}
		return
	}
	if t := s.srv; t != nil {
		s.srv = nil
		t.Resp.reset()
		if !t.queued {
			e.put(t)
		}
	}
}

// gather appends to the buffered head, line by line, until it is whole.
func (s *Session) gather(e *Env, side Side, d *dir, b []byte, m Mark) int {
	h := d.buf
	for pos := 0; pos < len(b); {
		n := bytes.IndexByte(b[pos:], '\n') + 1
		whole := n > 0
		if !whole {
			n = len(b) - pos
		}
		if h.over {
			if s.gatherOver(h, b[pos:pos+n], whole) {
				pos += n
				s.gathered(e, side, d, m.at(pos))
				return pos
			}
			pos += n
			continue
		}
		most := e.room(h)
		if room := most - len(h.b); n > room {
			n, whole = room, false
		}
		e.grow(h, b[pos:pos+n])
		pos += n
		if whole {
			line := lineOf(h.b[h.scan:])
			first := h.scan == 0
			h.scan = len(h.b)
			if first && !e.p.startLine(side, line) {
				s.reject(e, side, d)
				return pos
			}
			if !first && len(line) == 0 {
				s.gathered(e, side, d, m.at(pos))
				return pos
			}
		} else if h.scan == 0 && len(h.b)-n <= maxMethod && !mayStart(side, h.b) {
			if is, maybe := tlsRecord(h.b); d.state != try || s.proto != Undecided || is || !maybe {
				s.reject(e, side, d)
				return pos
			}
		}
		if len(h.b) == most {
			if h.scan == 0 {
				s.reject(e, side, d)
				return pos
			}
			h.over = true
			h.info = noInfo
			s.gatherOver(h, h.b[h.scan:], false)
			h.b = h.b[:h.scan]
		}
	}
	return len(b)
}

// gatherOver takes in a part of a line beyond what is kept of a head. It
// reports whether the part ends the head.
func (s *Session) gatherOver(h *headBuf, part []byte, whole bool) bool {
	h.line = append(h.line, part[:min(len(part), overLine-len(h.line))]...)
	h.lineLen += len(part)
	if !whole {
		h.lineLen = min(h.lineLen, overLine)
		return false
	}
	line, short := lineOf(h.line), h.lineLen <= 2
	h.line, h.lineLen = h.line[:0], 0
	if len(line) == 0 && short {
		return true
	}
	if i := bytes.IndexByte(line, ':'); i > 0 {
		h.info.field(FieldOf(trim(line[:i])), trim(line[i+1:]))
	}
	return false
}

// gathered is called when the buffered head is whole.
func (s *Session) gathered(e *Env, side Side, d *dir, end Mark) {
	h := d.buf
	d.buf = nil
	e.p.parse(side, h.b, h.over)
	if h.over {
		e.p.info.merge(&h.info)
		e.p.info.bits |= Truncated
		e.p.fault(HeadTooLong, len(h.b), 0)
	}
	s.headDone(e, side, d, h.at, end, false)
	e.putBuf(h)
}

// reject is called when the buffered bytes are no head.
func (s *Session) reject(e *Env, side Side, d *dir) {
	if d.state == try {
		if s.proto == Undecided {
			s.sniff(e, d.buf.b)
		}
		if s.proto > HTTP1 {
			return
		}
		// Where no status line begins, more of a body may: that says nothing,
		// whether it shows at once or when the next piece has come.
		spoke := mayStart(side, d.buf.b)
		d.drop(e)
		d.state = lost
		if side == Server && spoke && s.proto == Undecided && s.d[Client].state == junk {
			s.become(e, OtherProtocol)
		}
		return
	}
	s.unopen(e, side)
	d.state = junk
	d.buf.scan = 0
	s.judgeJunk(e, side, d)
}

// sniff steps aside if b begins another protocol.
func (s *Session) sniff(e *Env, b []byte) {
	if is, _ := tlsRecord(b); is {
		s.become(e, TLS)
	} else if bytes.HasPrefix(b, []byte(preface)) {
		s.become(e, HTTP2)
	}
}

// judgeJunk decides what the bytes in d.buf are, which are no start line.
func (s *Session) judgeJunk(e *Env, side Side, d *dir) {
	b := d.buf.b
	if s.proto == Undecided {
		if s.sniff(e, b); s.proto > HTTP1 {
			return
		}
		_, maybe := tlsRecord(b)
		// A client that began badly is judged when its server has spoken.
		if side == Client || maybe {
			return
		}
		s.become(e, OtherProtocol)
		return
	}
	if len(b) >= maxJunk || bytes.IndexByte(b, '\n') >= 0 {
		s.flushJunk(e, side)
	}
}

// flushJunk tells of bytes that are no start line, and looks for one.
func (s *Session) flushJunk(e *Env, side Side) {
	d := &s.d[side]
	if d.state != junk || s.proto != HTTP1 {
		return
	}
	b := d.buf.b
	if side == Client && bytes.HasPrefix(b, []byte(preface)) && s.tail != nil && s.tail.Req.Bits.Has(HasHTTP2Settings) {
		s.become(e, HTTP2) // the server agreed, where the capture does not show it
		return
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	b = lineOf(b[:min(len(b), maxJunk)])
	k := ExtraBytes
	switch {
	case len(d.buf.b) >= e.opts.MaxHead:
		k = HeadTooLong
	case side == Server && bytes.HasPrefix(b, []byte("HTTP/")),
		side == Client && bytes.Contains(b, []byte(" HTTP/")),
		!d.has(messaged):
		k = BadStartLine
	case d.has(bodiless):
		k = BodyNotAllowed
	}
	var t *Transaction
	if side == Server {
		s.doubts |= NotFramed
		if s.head != nil && !s.head.Resp.Complete {
			t = s.head
		}
	} else {
		// A bad request line is its own transaction's; extra bytes are the
		// fault of the request before them.
		if s.tail != nil && (s.tail.Req.First == d.buf.at || k == ExtraBytes && s.tail.Req.Complete) {
			t = s.tail
		}
		s.synced = false
		s.doubts |= LostClient
	}
	d.state = lost
	e.fault = Anomaly{Kind: k, Side: side, At: d.buf.at, Bytes: b}
	e.Sink.Anomaly(&e.fault, t)
	d.drop(e)
}

// become steps aside for another protocol.
func (s *Session) become(e *Env, p Protocol) {
	s.proto = p
	for side := range s.d {
		s.d[side].drop(e)
		s.d[side].state = lost
	}
	// What was begun and not told of is forgotten.
	if t := s.srv; t != nil && !t.queued {
		e.put(t)
	}
	s.srv = nil
	if t := s.cli; t != nil && !t.queued {
		s.finish(e, t, Unknown)
	}
	s.cli = nil
	for s.head != nil {
		if s.head.Req.HeadEnd.Frame == 0 {
			t := s.head
			s.head = t.next
			s.queued--
			e.put(t)
			continue
		}
		s.finish(e, s.head, Unknown)
	}
	s.tail = nil
	s.dropHistory(e)
	s.last.live = false
}

func (d *dir) drop(e *Env) {
	if d.buf != nil {
		e.putBuf(d.buf)
		d.buf = nil
	}
}

// headDone takes in the head that was parsed into e.p. With cut, its end is
// missing.
func (s *Session) headDone(e *Env, side Side, d *dir, first, end Mark, cut bool) {
	if d.state == try && !s.accept(e, side, first) {
		d.state = lost
		return
	}
	s.proto = HTTP1
	d.flags &^= lfTold
	if cut {
		e.p.info.bits |= Cut
	}
	if side == Client {
		s.requestHead(e, d, end, cut)
	} else {
		s.responseHead(e, d, end, cut)
	}
}

// accept decides whether the head in e.p, found where the step was lost, is
// one, and opens its message. It must be without fault where a body's bytes
// would not be, and have a field, or the beginning of one that is cut; an
// interim response, and a request of a method that is registered, need none.
func (s *Session) accept(e *Env, side Side, first Mark) bool {
	p := &e.p
	if p.has(BadFieldName) || p.has(BadStartLine) || p.has(NULByte) {
		return false
	}
	bare := side == Client && p.method != Other || side == Server && p.status < 200
	if p.fields == 0 && !p.partial && !bare {
		return false
	}
	c := &s.d[Client]
	if side == Server && s.proto == Undecided && c.state == junk {
		// So the client's first bytes were a bad request line: this answers it.
		s.proto = HTTP1
		t := s.enqueue(e, c.buf.at)
		t.Req.Framing, t.reqOver = Unframed, true
		s.flushJunk(e, Client)
		s.doubts &^= LostClient
	}
	return s.open(e, side, first)
}

// fill copies what Message keeps of the head in e.p.
func (m *Message) fill(p *headParse, end Mark, f Framing) {
	m.HeadEnd, m.Last = end, end
	m.Bits |= p.info.bits
	m.Version = p.version
	m.KeepAliveTimeout, m.KeepAliveMax = p.info.kaTimeout, p.info.kaMax
	if m.Declared = p.info.declared; m.Bits.Any(BadContentLength | DifferingLengths) {
		m.Declared = -1
	}
	m.Framing = f
}

// words copies what is kept of a request's words.
func (t *Transaction) words(p *headParse) {
	t.buf = t.buf[:0]
	t.Method = p.method
	if p.host != nil && p.agent != nil && t.together(p) {
		return
	}
	t.MethodName = t.keep(p.h.MethodName, maxMethod)
	t.Target, t.TargetLen = t.keep(p.h.Target, MaxTarget), len(p.h.Target)
	if p.host != nil {
		t.Host = t.keep(p.host, MaxHost)
	}
	if p.agent != nil {
		t.UserAgent = t.keep(p.agent, MaxAgent)
	}
	t.form()
}

// form notes the form of the target.
func (t *Transaction) form() {
	if absolute(t.Target) {
		t.Req.Bits |= AbsoluteForm
	}
}

// together copies the words with all that stands between them, and reports
// whether that is short: one copy of a hundred bytes takes less than four of a
// few.
func (t *Transaction) together(p *headParse) bool {
	raw := p.h.Raw
	at := func(word []byte) int { return cap(raw) - cap(word) } // it is a part of raw
	host, agent := at(p.host), at(p.agent)
	n := max(host+len(p.host), agent+len(p.agent))
	if n > maxTogether || len(p.h.MethodName) > maxMethod {
		return false
	}
	t.buf = append(t.buf, raw[:n]...)
	part := func(from int, word []byte) []byte { return t.buf[from : from+len(word) : from+len(word)] }
	t.MethodName, t.Target, t.TargetLen = part(0, p.h.MethodName), part(at(p.h.Target), p.h.Target), len(p.h.Target)
	t.Host, t.UserAgent = part(host, p.host), part(agent, p.agent)
	t.form()
	return true
}

// maxTogether is how much of a head is copied for the words in it.
const maxTogether = 256

func (s *Session) requestHead(e *Env, d *dir, end Mark, cut bool) {
	t, p := s.cli, &e.p
	f := p.info.framing(Client)
	if cut {
		f = Unframed
	}
	t.words(p)
	t.Req.fill(p, end, f)
	t.hash = bodyHash{on: !t.Method.Idempotent()}
	e.Stats.Requests++
	e.Sink.Head(&p.h, &t.Req, t)
	s.tell(e, Client, &t.Req, t)
	switch {
	case f == Unframed:
		d.state = lost
		s.doubts |= LostClient
		s.synced = false
		s.requestDone(e, end, false)
	case f == Chunked:
		d.state, d.rem, d.sub = chunkSize, 0, 0
	case f == Length && t.Req.Declared > 0:
		d.state, d.rem = body, t.Req.Declared
	default:
		s.complete(e, Client, d, end)
	}
}

func (s *Session) responseHead(e *Env, d *dir, end Mark, cut bool) {
	t, p := s.srv, &e.p
	status := p.status
	f := p.info.responseFraming(t.Method, status)
	if cut && f != Switched {
		f = Unframed
	}
	m := &t.Resp
	m.Status = status
	m.fill(p, end, f)
	e.Stats.Responses++
	e.Sink.Head(&p.h, m, t)
	s.tell(e, Server, m, t)
	if !t.queued && !t.hidden {
		e.fault = Anomaly{Kind: UnsolicitedResponse, Side: Server, At: m.First, Bytes: firstLine(p.h.Raw)}
		e.Sink.Anomaly(&e.fault, t)
	}
	d.flags &^= bodiless
	if status < 200 && status != 101 {
		s.interim(e, d, end, cut)
		return
	}
	if f == NoBody {
		d.flags |= bodiless
	}
	switch {
	case f == Switched:
		s.switched(e, status, end)
	case f == Unframed:
		d.state = lost
		s.doubts |= NotFramed
		d.flags |= torn // the next response is another request's
	case f == Chunked:
		d.state, d.rem, d.sub = chunkSize, 0, 0
	case f == UntilClose:
		d.state = untilClose
	case f == Length && m.Declared > 0:
		d.state, d.rem = body, m.Declared
	default:
		s.complete(e, Server, d, end)
	}
}

// interim ends an interim response: the final one is still to come
// (RFC 9110 §15.2).
func (s *Session) interim(e *Env, d *dir, end Mark, cut bool) {
	t := s.srv
	if t.Interim == 0 {
		t.FirstInterim = t.Resp.First
	}
	if t.Interim < 1<<16-1 {
		t.Interim++
	}
	t.LastInterim = end
	s.srv = nil
	d.flags |= messaged
	d.state = ready
	if cut {
		d.state = lost
		d.flags |= torn
		s.doubts |= LostServer
	}
	if !t.queued {
		t.Resp.Complete = !cut
		o := Unsolicited
		if t.hidden {
			o = Unknown
		}
		s.finish(e, t, o)
		return
	}
	t.Resp.reset()
}

// switched ends HTTP/1 on the connection: 101, or 2xx to CONNECT.
func (s *Session) switched(e *Env, status uint16, end Mark) {
	p := Tunnel
	if status == 101 && e.p.info.upgrade != Undecided {
		p = e.p.info.upgrade
	}
	// The request is over, whatever the client may still have meant to send.
	if t := s.cli; t != nil && t == s.srv {
		s.cli = nil
		t.reqOver = true
	}
	s.responseDone(e, end)
	s.become(e, p)
}

// tell reports the faults of the head in e.p.
func (s *Session) tell(e *Env, side Side, m *Message, t *Transaction) {
	p := &e.p
	if p.info.conflict(side, p.version) {
		p.fault(ConflictingLengths, 0, 0)
	}
	for _, f := range p.faults {
		b := p.h.Raw[min(f.off, len(p.h.Raw)):]
		b = b[:min(f.len, len(b), maxJunk)]
		e.fault = Anomaly{Kind: f.kind, Side: side, At: m.First.at(f.off), Bytes: b, Length: int64(f.len)}
		e.Sink.Anomaly(&e.fault, t)
	}
}

func firstLine(b []byte) []byte {
	b = b[:min(len(b), maxJunk)]
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	return lineOf(b)
}

// complete ends the message in progress.
func (s *Session) complete(e *Env, side Side, d *dir, end Mark) {
	d.state = ready
	d.flags |= messaged
	if side == Server {
		s.responseDone(e, end)
		return
	}
	if t := s.cli; t != nil && t.Method == CONNECT {
		// What a client sends after CONNECT is the tunnel's or, if that is
		// refused, another request.
		d.state = lost
	}
	s.requestDone(e, end, true)
}
