package tlsinfo

import "encoding/binary"

// Handshake messages (RFC 8446 §4, RFC 5246 §7.4).
const (
	msgClientHello       = 1
	msgServerHello       = 2
	msgCertificate       = 11
	msgServerKeyExchange = 12
	msgServerHelloDone   = 14
)

// Extensions (IANA TLS ExtensionType Values).
const (
	extServerName        = 0
	extALPN              = 16
	extSessionTicket     = 35
	extPreSharedKey      = 41
	extSupportedVersions = 43
)

// clientHello is what is looked at of a ClientHello. Slices are borrowed from
// the message.
type clientHello struct {
	sni       []byte
	sessionID []byte
	h2, h1    bool // in ALPN
	ticket    bool // a session ticket that is not empty
	psk       bool
}

// serverHello is the same of a ServerHello.
type serverHello struct {
	version uint16
	alpn    []byte
	id      bool // a session id, up to TLS 1.2 a new one or that resumed
	psk     bool
	retry   bool // a HelloRetryRequest
}

// view reads a message from front to back. A read beyond the end sets bad and
// gives nothing.
type view struct {
	b   []byte
	bad bool
}

func (v *view) bytes(n int) []byte {
	if n > len(v.b) {
		v.bad = true
		v.b = nil
		return nil
	}
	b := v.b[:n]
	v.b = v.b[n:]
	return b
}

func (v *view) u8() int {
	if b := v.bytes(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (v *view) u16() int {
	if b := v.bytes(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

// vec8 and vec16 read a vector with its length before it.
func (v *view) vec8() []byte  { return v.bytes(v.u8()) }
func (v *view) vec16() []byte { return v.bytes(v.u16()) }

// extension reads the next extension.
func (v *view) extension() (typ int, body []byte, ok bool) {
	if len(v.b) == 0 {
		return 0, nil, false
	}
	typ = v.u16()
	body = v.vec16()
	return typ, body, !v.bad
}

// extensions returns a view of a hello's extensions, which are all that may be
// left of it.
func (v *view) extensions() view {
	if len(v.b) == 0 {
		return view{}
	}
	ext := view{b: v.vec16()}
	if len(v.b) > 0 {
		v.bad = true
	}
	return ext
}

// parse reads the body of a ClientHello (RFC 8446 §4.1.2). It returns false if
// that is malformed.
func (h *clientHello) parse(b []byte) bool {
	*h = clientHello{}
	v := view{b: b}
	v.bytes(2 + 32) // version, random
	h.sessionID = v.vec8()
	if suites := v.vec16(); len(suites) == 0 || len(suites)%2 != 0 {
		return false
	}
	v.vec8() // compression methods
	ext := v.extensions()
	if v.bad || len(h.sessionID) > 32 {
		return false
	}
	for {
		typ, body, ok := ext.extension()
		if !ok {
			return !ext.bad
		}
		e := view{b: body}
		switch typ {
		case extServerName:
			h.sni = serverName(&e)
		case extALPN:
			for names := (view{b: e.vec16()}); len(names.b) > 0; {
				switch string(names.vec8()) {
				case "h2":
					h.h2 = true
				case "http/1.1", "http/1.0":
					h.h1 = true
				}
			}
		case extSessionTicket:
			h.ticket = len(body) > 0
		case extPreSharedKey:
			h.psk = true
		}
		if e.bad {
			return false
		}
	}
}

// serverName returns the first host name of a server_name extension
// (RFC 6066 §3).
func serverName(e *view) []byte {
	for names := (view{b: e.vec16()}); len(names.b) > 0; {
		typ, name := names.u8(), names.vec16()
		if typ == 0 && len(name) <= maxName {
			return name
		}
	}
	return nil
}

// maxName is the length of the longest host name in DNS.
const maxName = 255

// retryRandom marks a ServerHello as a HelloRetryRequest (RFC 8446 §4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// parse reads the body of a ServerHello or HelloRetryRequest (RFC 8446
// §4.1.3). It returns false if that is malformed.
func (h *serverHello) parse(b []byte) bool {
	*h = serverHello{}
	v := view{b: b}
	h.version = uint16(v.u16())
	h.retry = string(v.bytes(32)) == retryRandom
	sessionID := v.vec8() // from TLS 1.3 on an echo of the client's: it proves nothing
	h.id = len(sessionID) > 0
	v.bytes(2 + 1) // cipher suite, compression method
	ext := v.extensions()
	if v.bad || h.version>>8 != 3 || h.version > VersionTLS12 || len(sessionID) > 32 {
		return false
	}
	for {
		typ, body, ok := ext.extension()
		if !ok {
			return !ext.bad
		}
		e := view{b: body}
		switch typ {
		case extALPN:
			names := view{b: e.vec16()}
			h.alpn = names.vec8()
		case extPreSharedKey:
			h.psk = true
		case extSupportedVersions:
			h.version = uint16(e.u16())
		}
		if e.bad {
			return false
		}
	}
}
