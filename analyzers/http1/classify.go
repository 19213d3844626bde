package http1

// SniffLen is how many bytes Classify needs at most to be sure.
const SniffLen = maxMethod + 2

const preface = "PRI * HTTP/2.0"

// Classify says what a direction speaks by its first bytes, and which side
// sends that. ok is false while more bytes can change the answer; with
// SniffLen bytes it is always true. A direction that begins like a request is
// taken for HTTP1 before its request line is whole: the Session decides.
func Classify(b []byte) (p Protocol, side Side, ok bool) {
	if len(b) == 0 {
		return Undecided, Client, false
	}
	if p, side, ok := classifyTLS(b); p == TLS || !ok {
		return p, side, ok
	}
	n := min(len(b), len(preface))
	if string(b[:n]) == preface[:n] {
		if n == len(preface) {
			return HTTP2, Client, true
		}
		return Undecided, Client, false
	}
	if mayStart(Server, b) {
		if len(b) < len(statusPrefix)+2 {
			return Undecided, Server, false
		}
		return HTTP1, Server, true
	}
	for i, c := range b[:min(len(b), maxMethod+1)] {
		switch {
		case isToken(c):
		case c == ' ' && i > 0 && i+1 < len(b):
			if t := b[i+1]; t > ' ' && t < 0x7f {
				return HTTP1, Client, true
			}
			return OtherProtocol, Client, true
		case c == ' ' && i > 0:
			return Undecided, Client, false
		default:
			return OtherProtocol, Client, true
		}
	}
	if len(b) <= maxMethod {
		return Undecided, Client, false
	}
	return OtherProtocol, Client, true
}

// classifyTLS looks for a TLS record (RFC 8446 §5.1): its type, the version's
// two bytes and for a handshake the message, which tells the side.
func classifyTLS(b []byte) (p Protocol, side Side, ok bool) {
	if b[0] < 20 || b[0] > 23 {
		return OtherProtocol, Client, true
	}
	if len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
		return OtherProtocol, Client, true
	}
	if b[0] != 22 {
		if len(b) < 3 {
			return Undecided, Client, false
		}
		return TLS, Client, true
	}
	if len(b) < 6 {
		return Undecided, Client, false
	}
	if b[5] == 2 { // ServerHello
		side = Server
	}
	return TLS, side, true
}

// Sniffer keeps the first bytes of one direction until they tell what it
// speaks: for connections whose handshake was not captured, so that nobody
// knows which side is the client. The zero value is ready.
type Sniffer struct {
	n uint8
	b [SniffLen]byte
}

// Feed takes the direction's next bytes and returns what Classify says of all
// so far. Once ok, the caller hands Held and then b to a Session.
func (s *Sniffer) Feed(b []byte) (p Protocol, side Side, ok bool) {
	if s.n == 0 {
		if p, side, ok = Classify(b); ok {
			return p, side, ok
		}
	}
	keep := s.n
	n := copy(s.b[s.n:], b)
	p, side, ok = Classify(s.b[:int(s.n)+n])
	if !ok {
		keep += uint8(n)
	}
	s.n = keep
	return p, side, ok
}

// Held returns the bytes of earlier calls of Feed that were not enough. It is
// valid until the next call.
func (s *Sniffer) Held() []byte { return s.b[:s.n] }
