package tlsinfo

import (
	"encoding/binary"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
)

// State follows the records of one connection. It lives inline in the
// connection's state; its zero value is ready. Until something looks like TLS
// it holds nothing.
type State struct{ s *session }

// Active reports whether records were met.
func (t *State) Active() bool { return t.s != nil }

// session is what is remembered of one connection.
type session struct {
	half      [2]half
	sni, alpn string
	start     http1.Mark // ClientHello
	done      http1.Mark
	helloEnd  wire.Seq
	version   uint16
	kind      Handshake
	flags     sessionFlags
}

type sessionFlags uint16

const (
	sawClient  sessionFlags = 1 << iota // a ClientHello
	sawServer                           // a ServerHello that is no retry
	retried                             // a HelloRetryRequest
	offersH2                            // in the ClientHello's ALPN
	offersH1                            // likewise
	offersNone                          // it offers nothing to resume, whatever version is agreed
	offersOld                           // it offers a session, whatever version
	mayOfferID                          // a session id that may stand for a session, or for nothing
	noIDs                               // the server gives out no session ids
)

func (s *session) has(f sessionFlags) bool { return s.flags&f != 0 }

// half is one direction.
type half struct {
	buf    []byte   // of an unfinished hello: its header and what came of its body
	next   wire.Seq // after the last byte met
	more   uint32   // bytes of the handshake message to come
	rem    uint16   // bytes of the record to come
	last   uint16   // length of the last record
	least  uint16   // of the shortest encrypted record, 0 for none
	hdr    [5]byte  // of a record, so far
	n      uint8    // bytes of hdr
	msg    [4]byte  // header of a handshake message, so far
	msgLen uint8    // bytes of msg
	typ    uint8    // of the record
	level  uint8    // of an alert
	flags  halfFlags
}

type halfFlags uint8

const (
	begun    halfFlags = 1 << iota
	lost               // where records begin is unknown from here on
	blind              // plain handshake bytes are missing or malformed
	changed            // sent ChangeCipherSpec
	finished           // sent its Finished, up to TLS 1.2
	alerted            // sent an alert that ends the connection
	opaque             // the record under way is an encrypted handshake message
)

func (h *half) has(f halfFlags) bool { return h.flags&f != 0 }

// Content types (RFC 8446 §5.1).
const (
	recChangeCipherSpec = 20
	recAlert            = 21
	recHandshake        = 22
	recData             = 23
	recHeartbeat        = 24
)

const (
	maxRecord = 1<<14 + 2048 // RFC 5246 §6.2.3
	maxHello  = 16 << 10     // bytes of a hello that are kept
)

// Pool keeps what ended connections leave for the next. It serves one
// goroutine. Its zero value is ready.
type Pool struct {
	sessions []*session
	parked   []*session // of packed connections, by place
	places   []uint32   // free ones in parked
	bufs     [][]byte
	names    map[string]string
	ch       clientHello
	sh       serverHello
}

const maxNames = 4096

// name returns b as a string, the same one for the same name as far as many
// connections share few.
func (p *Pool) name(b []byte) string {
	if s, ok := p.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if p.names == nil {
		p.names = map[string]string{}
	}
	if len(p.names) < maxNames {
		p.names[s] = s
	}
	return s
}

func (p *Pool) get() *session {
	if n := len(p.sessions); n > 0 {
		s := p.sessions[n-1]
		p.sessions = p.sessions[:n-1]
		return s
	}
	return &session{}
}

func (p *Pool) buf() []byte {
	if n := len(p.bufs); n > 0 {
		b := p.bufs[n-1]
		p.bufs = p.bufs[:n-1]
		return b
	}
	return make([]byte, 0, 2048)
}

func (p *Pool) drop(h *half) {
	if h.buf != nil {
		p.bufs = append(p.bufs, h.buf[:0])
		h.buf = nil
	}
}

// Close gives back what the connection took from the pool.
func (t *State) Close(p *Pool) {
	s := t.s
	if s == nil {
		return
	}
	for side := range s.half {
		p.drop(&s.half[side])
	}
	*s = session{}
	p.sessions = append(p.sessions, s)
	t.s = nil
}

// header reports whether b may begin a record.
func header(b []byte) bool {
	return b[0] >= recChangeCipherSpec && b[0] <= recHeartbeat && (len(b) < 2 || b[1] == 3) && (len(b) < 3 || b[2] <= 4)
}

// Data takes the next bytes of side in order: those of one segment, or a part
// of one. m.Seq is that of b[0]. b is borrowed until Data returns; only an
// unfinished hello is copied.
func (t *State) Data(p *Pool, side http1.Side, b []byte, m http1.Mark) {
	if len(b) == 0 {
		return
	}
	if t.s == nil {
		if !header(b) {
			return
		}
		t.s = p.get()
	}
	s := t.s
	h := &s.half[side]
	if h.has(lost) {
		return
	}
	h.flags |= begun
	h.next = m.Seq.Add(len(b))
	for len(b) > 0 {
		n := 0
		if h.rem == 0 {
			n = s.header(p, side, h, b, m)
			if h.has(lost) {
				return
			}
		} else {
			n = min(int(h.rem), len(b))
			s.payload(p, side, h, b[:n], m)
			h.rem -= uint16(n)
		}
		b, m.Seq = b[n:], m.Seq.Add(n)
	}
}

// header takes bytes of a record's header and returns how many.
func (s *session) header(p *Pool, side http1.Side, h *half, b []byte, m http1.Mark) int {
	n := copy(h.hdr[h.n:], b)
	h.n += uint8(n)
	if !header(h.hdr[:h.n]) {
		s.lose(p, h)
		return n
	}
	if h.n < uint8(len(h.hdr)) {
		return n
	}
	h.n = 0
	length := binary.BigEndian.Uint16(h.hdr[3:])
	h.typ = h.hdr[0]
	if length > maxRecord || length == 0 && h.typ != recData || h.typ == recChangeCipherSpec && length != 1 {
		s.lose(p, h)
		return n
	}
	h.rem, h.last = length, length
	m.Seq = m.Seq.Add(n - len(h.hdr))
	s.record(side, h, m)
	return n
}

func (s *session) lose(p *Pool, h *half) {
	h.flags |= lost | blind
	p.drop(h)
}

// record is called at the beginning of each record.
func (s *session) record(side http1.Side, h *half, m http1.Mark) {
	h.flags &^= opaque
	h.level = 0
	switch h.typ {
	case recChangeCipherSpec:
		// After a HelloRetryRequest it means nothing, and hellos still follow
		// (RFC 8446 Appendix D.4).
		h.flags |= changed
		if side == http1.Server && s.has(sawServer) && s.version < VersionTLS13 && s.kind == UnknownHandshake && !h.has(blind) {
			s.kind = Resumed // no Certificate came (RFC 5246 §7.3)
		}
	case recHandshake:
		if !h.has(changed) || s.has(retried) && !s.has(sawServer) {
			break
		}
		h.flags |= opaque
		if !h.has(finished) && s.has(sawServer) && s.version < VersionTLS13 {
			h.flags |= finished
			if s.half[1-side].has(finished) {
				s.complete(m)
			}
		}
	case recData:
		if side == http1.Client && s.has(sawServer) && s.version >= VersionTLS13 && s.helloEnd.LessEq(m.Ack) {
			s.complete(m)
		}
		if h.least == 0 || h.last < h.least {
			h.least = h.last
		}
	}
	if h.typ != recHandshake && (h.msgLen > 0 || h.more > 0) {
		h.flags |= blind // a message was cut off
		h.msgLen, h.more = 0, 0
	}
}

func (s *session) complete(m http1.Mark) {
	if s.done.Frame == 0 {
		s.done = m
	}
}

// payload takes bytes of the record under way, up to its end.
func (s *session) payload(p *Pool, side http1.Side, h *half, b []byte, m http1.Mark) {
	switch {
	case h.typ == recHandshake && !h.has(opaque|blind):
		s.messages(p, side, h, b, m)
	case h.typ == recAlert && h.last != 2:
		h.flags |= alerted // encrypted: which one is hidden
	case h.typ == recAlert:
		for _, c := range b {
			if h.level == 0 {
				h.level = max(c, 1)
				continue
			}
			// close_notify, or a fatal one (RFC 8446 §6).
			if c == 0 || h.level == 2 {
				h.flags |= alerted
			}
		}
	}
}

// messages takes bytes of plain handshake messages, which records may cut
// anywhere.
func (s *session) messages(p *Pool, side http1.Side, h *half, b []byte, m http1.Mark) {
	for len(b) > 0 {
		if h.more == 0 {
			n := copy(h.msg[h.msgLen:], b)
			h.msgLen += uint8(n)
			b, m.Seq = b[n:], m.Seq.Add(n)
			if h.msgLen < uint8(len(h.msg)) {
				return
			}
			h.msgLen = 0
			h.more = uint32(h.msg[1])<<16 | uint32(h.msg[2])<<8 | uint32(h.msg[3])
			if !s.begin(side, h, m) {
				p.drop(h)
				h.flags |= blind
				h.more = 0
				return
			}
			continue
		}
		n := min(int(h.more), len(b))
		part := b[:n]
		h.more -= uint32(n)
		b, m.Seq = b[n:], m.Seq.Add(n)
		if typ := h.msg[0]; typ != msgClientHello && typ != msgServerHello {
			continue // skipped by count
		}
		ok := true
		switch {
		case h.more > 0:
			if h.buf == nil {
				h.buf = p.buf()
			}
			h.buf = append(h.buf, part...)
		case h.buf != nil:
			h.buf = append(h.buf, part...)
			ok = s.hello(p, side, h.buf, m)
			p.drop(h)
		default:
			ok = s.hello(p, side, part, m)
		}
		if !ok {
			h.flags |= blind
			return
		}
	}
}

// begin is called after a message's header. It returns false if that cannot
// stand here.
func (s *session) begin(side http1.Side, h *half, m http1.Mark) bool {
	switch typ := h.msg[0]; typ {
	case msgClientHello, msgServerHello:
		if (typ == msgClientHello) != (side == http1.Client) || h.more == 0 || h.more > maxHello {
			return false
		}
		if side == http1.Client && s.start.Frame == 0 {
			s.start = m
			s.start.Seq = m.Seq.Add(-len(h.hdr) - len(h.msg))
		}
	case msgCertificate, msgServerKeyExchange, msgServerHelloDone:
		if side == http1.Server && s.has(sawServer) && s.version < VersionTLS13 {
			s.kind = Full
		}
	}
	return true
}

// hello takes a whole ClientHello or ServerHello that ends at m. It returns
// false if that is malformed.
func (s *session) hello(p *Pool, side http1.Side, b []byte, m http1.Mark) bool {
	if side == http1.Client {
		ch := &p.ch
		if !ch.parse(b) {
			return false
		}
		s.client(p, ch)
		*ch = clientHello{}
		return true
	}
	sh := &p.sh
	if !sh.parse(b) {
		return false
	}
	if sh.retry {
		s.flags |= retried
		*sh = serverHello{}
		return true
	}
	if s.has(sawServer) {
		return true // a renegotiation: the first handshake is the one that opened the connection
	}
	s.flags |= sawServer
	s.version = sh.version
	s.helloEnd = m.Seq
	switch {
	case sh.version >= VersionTLS13:
		s.kind = Full
		if sh.psk {
			s.kind = Resumed
		}
	default:
		if len(sh.alpn) > 0 {
			s.alpn = p.name(sh.alpn)
		}
		if !sh.id {
			s.flags |= noIDs
		}
	}
	*sh = serverHello{}
	return true
}

// client takes in what a ClientHello says. The one after a HelloRetryRequest
// stands in the place of the first.
func (s *session) client(p *Pool, ch *clientHello) {
	if s.has(sawServer) {
		return
	}
	s.flags &^= offersH2 | offersH1 | offersNone | offersOld | mayOfferID
	s.flags |= sawClient
	s.sni = ""
	if len(ch.sni) > 0 {
		s.sni = p.name(ch.sni)
	}
	if ch.h2 {
		s.flags |= offersH2
	}
	if ch.h1 {
		s.flags |= offersH1
	}
	switch {
	case ch.psk || ch.ticket:
		s.flags |= offersOld
	case len(ch.sessionID) > 0:
		// Some send a random one: for middleboxes (RFC 8446 §4.1.2), or to
		// see whether a ticket is taken (RFC 5077 §3.4).
		s.flags |= mayOfferID
	default:
		s.flags |= offersNone
	}
}

// Gap says that the next n bytes of side are not in the capture.
func (t *State) Gap(p *Pool, side http1.Side, n int) {
	s := t.s
	if s == nil {
		return
	}
	h := &s.half[side]
	if !h.has(begun) || h.has(lost) || n > int(h.rem) || h.n > 0 {
		s.lose(p, h)
		return
	}
	switch {
	case h.typ == recHandshake && !h.has(opaque):
		h.flags |= blind
		p.drop(h)
	case h.typ == recAlert:
		h.flags |= alerted // any alert: better to think that it was said
	}
	h.next = h.next.Add(n)
	h.rem -= uint16(n)
}

// Boundary reports whether what side has sent so far ends with a record; known
// says whether that can be told.
func (t *State) Boundary(side http1.Side) (at, known bool) {
	if t.s == nil {
		return false, false
	}
	h := &t.s.half[side]
	return h.rem == 0 && h.n == 0, h.has(begun) && !h.has(lost)
}

// Shaking reports whether what was sent from one frame to another may belong
// to the handshake: that begins among them, is under way, or was until the
// last. It is false where that cannot be told.
func (t *State) Shaking(from, to uint64) bool {
	s := t.s
	switch {
	case s == nil || s.start.Frame == 0:
		return false
	case from <= s.start.Frame && s.start.Frame <= to:
		return true
	case s.done.Frame != 0:
		return to <= s.done.Frame
	}
	return !s.half[0].has(blind) && !s.half[1].has(blind)
}

// Summary fills out with what is known so far.
func (t *State) Summary(out *Summary) {
	*out = Summary{}
	s := t.s
	if s == nil {
		return
	}
	*out = Summary{SNI: s.sni, ALPN: s.alpn, Version: s.version, OffersH2: s.has(offersH2), OffersHTTP1: s.has(offersH1),
		Handshake: s.kind, Retried: s.has(retried), Start: s.start, Done: s.done}
	switch {
	case s.has(offersOld):
		out.Offer = Offered
	case s.has(offersNone), s.has(mayOfferID) && (s.version >= VersionTLS13 || s.has(noIDs)):
		out.Offer = NotOffered
	}
	for side := range s.half {
		out.Notify[side] = s.notify(http1.Side(side))
		out.Next[side] = s.half[side].next
	}
}

// hiddenNotify is the length of a record that holds an alert from TLS 1.3 on:
// two bytes, the inner type and a tag of 16 bytes (RFC 8446 §5.2).
const hiddenNotify = 2 + 1 + 16

// IsAlert reports whether a segment of length bytes, which begins with b, is
// one record that holds an alert or, from TLS 1.3 on, is as long as one.
func IsAlert(b []byte, length int) bool {
	if len(b) < 5 || b[1] != 3 {
		return false
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	return length == 5+n && (b[0] == recAlert || b[0] == recData && n == hiddenNotify)
}

// notify says whether side has announced its end. From TLS 1.3 on alerts are
// hidden; but a record longer than another of the side's is none, even if
// records are padded.
func (s *session) notify(side http1.Side) Notify {
	h := &s.half[side]
	switch {
	case h.has(alerted):
		return Notified
	case h.has(lost) || h.rem != 0 || h.n != 0 || s.done.Frame == 0:
		return NotifyUnknown
	case s.version < VersionTLS13:
		return NotNotified
	case h.last == hiddenNotify:
		return Notified
	case h.typ == recData && h.last > hiddenNotify && h.last > h.least:
		return NotNotified
	}
	return NotifyUnknown
}
