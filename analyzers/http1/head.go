package http1

import (
	"bytes"
	"encoding/binary"
)

// headParse is the scratch that one head is parsed into. Its slices point into
// the bytes it was given.
type headParse struct {
	h       Head
	info    headInfo
	method  Method
	status  uint16
	version uint8

	faults  []fault
	faulted uint32 // kinds in faults: one of a kind is told, a million fields or not
	partial bool   // the head ends inside a field line, behind its colon

	fields      int    // how many there are
	ends        int    // lines that end in CR LF
	host, agent []byte // values of the first Host and User-Agent, nil without
	forms       [2]form
}

// fault is an anomaly at an offset of the head.
type fault struct {
	kind     AnomalyKind
	off, len int
}

func (p *headParse) fault(k AnomalyKind, off, n int) {
	if p.faulted&(1<<k) == 0 {
		p.faulted |= 1 << k
		p.faults = append(p.faults, fault{k, off, n})
	}
}

// has reports whether a fault of kind k was found.
func (p *headParse) has(k AnomalyKind) bool { return p.faulted&(1<<k) != 0 }

// tokenLow and tokenHigh hold a bit for each character of a token
// (RFC 9110 §5.6.2).
const (
	tokenLow  = 0x03ff6cfa00000000
	tokenHigh = 0x57ffffffc7fffffe
)

func isToken(c byte) bool {
	if c < 64 {
		return tokenLow>>c&1 != 0
	}
	return c < 128 && uint64(tokenHigh)>>(c-64)&1 != 0
}

func isDigit(c byte) bool { return c-'0' < 10 }

const statusPrefix = "HTTP/1."

// mayStart reports whether b can be the beginning of a start line of side.
// The answer for a longer b is only ever less: it depends on the bytes, not
// on how they came.
func mayStart(side Side, b []byte) bool {
	if side == Server {
		if len(b) >= sureStatus {
			return string(b[:len(statusPrefix)]) == statusPrefix && isDigit(b[sureStatus-2]) && b[sureStatus-1] == ' '
		}
		for i, c := range b {
			switch {
			case i < len(statusPrefix):
				if c != statusPrefix[i] {
					return false
				}
			case i == len(statusPrefix):
				if !isDigit(c) {
					return false
				}
			case c != ' ':
				return false
			}
		}
		return true
	}
	if len(b) >= 5 { // as most begin
		switch w := binary.LittleEndian.Uint32(b); {
		case w == 'G'|'E'<<8|'T'<<16|' '<<24, w == 'P'|'U'<<8|'T'<<16|' '<<24, w == 'P'|'O'<<8|'S'<<16|'T'<<24 && b[4] == ' ':
			return true
		}
	}
	for i, c := range b[:min(len(b), maxMethod+1)] {
		if !isToken(c) {
			return c == ' ' && i > 0
		}
	}
	return len(b) <= maxMethod
}

// lineOf returns b without its line end.
func lineOf(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}

// startLine parses line, which has no line end, as a start line of side
// (RFC 9112 §3, §4) and reports whether it is one. A request line with spaces
// too many is one, with a fault.
func (p *headParse) startLine(side Side, line []byte) bool {
	p.h.Side = side
	p.h.MethodName, p.h.Target, p.h.Reason = nil, nil, nil
	if side == Server {
		const code = sureStatus
		if !mayStart(side, line) || len(line) < code+3 || len(line) > code+3 && line[code+3] != ' ' {
			return false
		}
		n := uint16(0)
		for _, c := range line[code : code+3] {
			if !isDigit(c) {
				return false
			}
			n = n*10 + uint16(c-'0')
		}
		if n < 100 {
			return false
		}
		p.status, p.version = n, 10+line[code-2]-'0'
		if len(line) > code+4 {
			p.h.Reason = line[code+4:]
		}
		return true
	}
	whole := len(line)
	for len(line) > 0 && line[len(line)-1] == ' ' {
		line = line[:len(line)-1]
	}
	const version = len(" HTTP/1.1")
	sp := bytes.IndexByte(line, ' ')
	end := len(line) - version
	if sp <= 0 || end < sp || string(line[end:end+version-1]) != " "+statusPrefix || !isDigit(line[len(line)-1]) {
		return false
	}
	method := MethodOf(line[:sp])
	if method == Other && !mayStart(side, line) {
		return false
	}
	p.method = method
	p.h.MethodName = line[:sp]
	p.h.Target = line[min(sp+1, end):end]
	p.version = 10 + line[len(line)-1] - '0'
	if len(p.h.Target) == 0 || len(line) != whole || bytes.IndexByte(p.h.Target, ' ') >= 0 {
		p.fault(BadStartLine, 0, whole)
	}
	return true
}

// parse parses the head that begins at raw[0]. It returns the length of the
// head with its empty line, 0 when raw ends before that, and whether the start
// line is one. With whole, raw is all there is: lines without an empty line
// after them, the last of them perhaps without its end.
func (p *headParse) parse(side Side, raw []byte, whole bool) (n int, ok bool) {
	p.h.split = false
	p.faults, p.faulted, p.partial = p.faults[:0], 0, false
	p.info, p.fields, p.host, p.agent = noInfo, 0, nil, nil
	odd := false // there may be a NUL, or a CR that ends no line
	pos := cleanEnd(raw) + len("\r\n")
	if pos < len("\r\n") {
		odd = true
		pos = bytes.IndexByte(raw, '\n') + 1
	}
	if pos == 0 {
		if !whole {
			return 0, mayStart(side, raw)
		}
		pos = len(raw)
	}
	if !p.startLine(side, lineOf(raw[:pos])) {
		return 0, false
	}
	p.ends = 1
	if pos < 2 || raw[pos-2] != '\r' {
		p.bareLF(0, pos)
		p.ends = 0
	}
	form, at := &p.forms[side], 0
	folded := false
	for {
		var like *formLine
		pos, at, like = p.known(form, raw, pos, at)
		from := pos
		if like != nil {
			from += int(like.value)
		} else if len(raw)-pos >= 2 && raw[pos] == '\r' && raw[pos+1] == '\n' {
			p.ends++
			pos += 2
			break
		}
		end, next := -1, 0
		if like != nil {
			end = cleanEnd(raw[from:])
		}
		if end >= 0 {
			end += from
			next = end + len("\r\n")
			p.ends++
		} else {
			odd = true
			i := bytes.IndexByte(raw[from:], '\n') + 1
			if i == 0 {
				if !whole {
					return 0, true
				}
				p.partial = fieldBegins(raw[pos:])
				break // a line that is cut is no field
			}
			next = from + i
			if end = next - 1; end > pos && raw[end-1] == '\r' {
				end--
				p.ends++
			} else {
				p.bareLF(pos, next-pos)
			}
		}
		if end == pos {
			pos = next
			break
		}
		if c := raw[pos]; c == ' ' || c == '\t' {
			p.info.bits |= ObsFold
			p.fault(FoldedField, pos, end-pos)
			folded = true
			pos = next
			continue
		}
		var colon int
		var id FieldID
		sound := true
		if like != nil {
			colon, id = int(like.name), like.id
		} else if colon, id = nameIn(raw[pos:], end-pos); colon <= 0 {
			p.fault(BadFieldName, pos, end-pos)
			pos = next
			continue
		} else if id == FieldOther {
			id, sound = p.oddName(raw[pos:pos+colon], pos)
		}
		value, v := valueIn(raw, pos+colon+1, end)
		p.fields++
		p.take(id, raw[value:v])
		if sound && next-end == len("\r\n") && at < formLines {
			form.lines[at].learn(raw[pos:next], like != nil, id, colon, value-pos, v-pos)
		}
		at++
		pos = next
	}
	p.h.Raw, p.h.form = raw[:pos], form
	if odd {
		if i := bytes.IndexByte(p.h.Raw, 0); i >= 0 {
			p.fault(NULByte, i, 1)
		}
		if bytes.Count(p.h.Raw, []byte{'\r'}) != p.ends {
			p.bareCR()
		}
	}
	if folded { // values go on in further lines
		lines := p.info.bits & (ObsFold | BareLF)
		p.info, p.host, p.agent = noInfo, nil, nil
		for _, f := range p.h.Fields() {
			p.take(f.ID, f.Value)
		}
		p.info.bits |= lines
	}
	return pos, true
}

// take takes in a field.
func (p *headParse) take(id FieldID, value []byte) {
	switch {
	case id == FieldOther:
	case id <= lastTelling:
		if id == FieldHost && p.host == nil {
			p.host = value
		}
		p.info.field(id, value)
	case id == FieldUserAgent && p.agent == nil:
		p.agent = value
	}
}

// valueIn returns where the value lies in b that a field line has between the
// colon before from and end.
func valueIn(b []byte, from, end int) (int, int) {
	for from < end && (b[from] == ' ' || b[from] == '\t') {
		from++
	}
	for end > from && isSpace(b[end-1]) {
		end--
	}
	return from, end
}

// Fields returns the head's fields, without lines that are none. They are
// borrowed as the head is.
func (h *Head) Fields() []Field {
	if h.split {
		return h.fields
	}
	h.split = true
	h.fields = h.fields[:0]
	value := -1 // where the last field's value begins; -1 after no field
	at := 0     // the line's place in the form
	for pos := bytes.IndexByte(h.Raw, '\n') + 1; pos > 0; {
		rest := h.Raw[pos:]
		like, place, end := h.form.like(rest, at)
		next := end + len("\r\n")
		if end < 0 {
			if next = bytes.IndexByte(rest, '\n') + 1; next == 0 {
				break
			}
			end = len(lineOf(rest[:next]))
		}
		line := rest[:end]
		colon := 0
		if like == nil {
			colon = bytes.IndexByte(line, ':')
		}
		switch {
		case like != nil:
			var v int
			value, v = valueIn(h.Raw, pos+int(like.value), pos+end)
			h.fields = append(h.fields, Field{Name: line[:like.name], Value: h.Raw[value:v], ID: like.id})
			at = place + 1
		case len(line) == 0:
		case line[0] == ' ' || line[0] == '\t':
			if value >= 0 {
				h.fields[len(h.fields)-1].Value = trim(h.Raw[value : pos+end])
			}
		case colon <= 0:
			value = -1
		default:
			name := trimName(line[:colon])
			var v int
			value, v = valueIn(h.Raw, pos+colon+1, pos+end)
			h.fields = append(h.fields, Field{Name: name, Value: h.Raw[value:v], ID: FieldOf(name)})
			at++
		}
		pos += next
	}
	return h.fields
}

// fieldBegins reports whether b begins with a field name and its colon.
func fieldBegins(b []byte) bool {
	for i, c := range b {
		if !isToken(c) {
			return c == ':' && i > 0
		}
	}
	return false
}

func (p *headParse) bareLF(off, n int) {
	p.info.bits |= BareLF
	p.fault(LFOnly, off, n)
}

// bareCR looks for a CR that ends no line. Some receivers take it for a line
// end, some for a space.
func (p *headParse) bareCR() {
	for i, c := range p.h.Raw {
		if c == '\r' && (i+1 == len(p.h.Raw) || p.h.Raw[i+1] != '\n') {
			p.fault(BareCR, i, 1)
			return
		}
	}
}

// oddName looks at a field name that is none of those known: for white space
// before the colon (RFC 9112 §5.1), and for characters that no name may have.
// off is its offset in the head. It returns the field meant, and whether there
// is no fault.
func (p *headParse) oddName(name []byte, off int) (id FieldID, sound bool) {
	n := len(name)
	if name = trimName(name); len(name) < n {
		p.fault(SpaceBeforeColon, off, n+1)
		id = FieldOf(name)
	}
	for _, c := range name {
		if !isToken(c) {
			p.fault(BadFieldName, off, n+1)
			return id, false
		}
	}
	return id, len(name) == n
}

// trimName returns a field's name without white space before the colon, but for
// its first character.
func trimName(name []byte) []byte {
	for n := len(name); n > 1 && (name[n-1] == ' ' || name[n-1] == '\t'); n-- {
		name = name[:n-1]
	}
	return name
}

// trim removes white space at both ends, that of folded lines too.
func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// headInfo is what the fields of a head say about framing, persistence and
// the rest that Bits hold.
type headInfo struct {
	bits              Bits
	declared          int64 // Content-Length; -1 without one, or a bad one
	kaTimeout, kaMax  int32
	upgrade           Protocol // what Upgrade names first
	lengths, encoding bool     // a Content-Length, a Transfer-Encoding was met
}

// noInfo is what no fields say.
var noInfo = headInfo{declared: -1, kaTimeout: -1, kaMax: -1}

// field takes in one field.
func (i *headInfo) field(id FieldID, value []byte) {
	switch id {
	case FieldOther:
	case FieldHost:
		i.bits |= HasHost
	case FieldConnection:
		i.bits |= HasConnection
		i.connection(value)
	case FieldKeepAlive:
		i.bits |= HasKeepAlive
		i.keepAlive(value)
	case FieldProxyConnection:
		i.bits |= HasProxyConnection
	case FieldTE:
		only := equalFold(value, "trailers")
		if only && i.bits&(HasTE|TEOnlyTrailers) != HasTE {
			i.bits |= TEOnlyTrailers
		} else {
			i.bits &^= TEOnlyTrailers
		}
		i.bits |= HasTE
	case FieldTrailer:
		i.bits |= HasTrailer
	case FieldUpgrade:
		i.bits |= HasUpgrade
		if i.upgrade == Undecided {
			v, _ := nextToken(value)
			switch {
			case equalFold(v, "websocket"):
				i.upgrade = WebSocket
			case equalFold(v, "h2c"):
				i.upgrade = HTTP2
			default:
				i.upgrade = Tunnel
			}
		}
	case FieldHTTP2Settings:
		i.bits |= HasHTTP2Settings
	case FieldTransferEncoding:
		i.bits |= HasTransferEncoding
		i.codings(value)
	case FieldContentLength:
		i.bits |= HasContentLength
		i.length(value)
	case FieldProxyAuthorization:
		i.bits |= HasProxyAuthorization
	case FieldProxyAuthenticate:
		i.bits |= HasProxyAuthenticate
	case FieldAuthorization:
		i.bits |= HasAuthorization
	case FieldVia:
		i.bits |= HasVia
	case FieldForwarded, FieldXForwardedFor, FieldXForwardedHost, FieldXForwardedProto, FieldXForwardedPort, FieldXForwardedServer:
		i.bits |= HasForwarded
	case FieldExpect:
		if equalFold(value, "100-continue") {
			i.bits |= HasExpect100
		}
	case FieldIdempotencyKey, FieldXIdempotencyKey:
		i.bits |= HasIdempotencyKey
	case FieldContentType:
		const kind = "text/event-stream"
		if n := len(kind); len(value) >= n && equalFold(value[:n], kind) &&
			(len(value) == n || value[n] == ';' || isSpace(value[n])) {
			i.bits |= EventStream
		}
	}
}

// nextToken cuts the first member off a comma-separated list, without its
// parameters (RFC 9110 §5.6.1). tok is empty for an empty member.
func nextToken(list []byte) (tok, rest []byte) {
	if n := bytes.IndexByte(list, ','); n >= 0 {
		list, rest = list[:n], list[n+1:]
	}
	if n := bytes.IndexByte(list, ';'); n >= 0 {
		list = list[:n]
	}
	return trim(list), rest
}

func (i *headInfo) connection(v []byte) {
	switch string(v) { // as most write it
	case "keep-alive":
		i.bits |= ConnKeepAlive
		return
	case "close":
		i.bits |= ConnClose
		return
	}
	for len(v) > 0 {
		var tok []byte
		switch tok, v = nextToken(v); {
		case len(tok) == 0:
		case equalFold(tok, "close"):
			i.bits |= ConnClose
		case equalFold(tok, "keep-alive"):
			i.bits |= ConnKeepAlive
		case equalFold(tok, "upgrade"):
			i.bits |= ConnUpgrade
		case equalFold(tok, "te"):
			i.bits |= ConnTE
		case equalFold(tok, "http2-settings"):
			i.bits |= ConnHTTP2Settings
		default:
			i.bits |= ConnOther
		}
	}
}

// keepAlive reads the parameters of RFC 2068 §19.7.1.1. Servers separate them
// with commas; some with semicolons or white space.
func (i *headInfo) keepAlive(v []byte) {
	for len(v) > 0 {
		n := 0
		for n < len(v) && v[n] != ',' && v[n] != ';' && !isSpace(v[n]) {
			n++
		}
		p := v[:n]
		v = v[min(n+1, len(v)):]
		eq := bytes.IndexByte(p, '=')
		if eq < 0 {
			continue
		}
		num, ok := decimal(bytes.Trim(p[eq+1:], `"`))
		if !ok {
			continue
		}
		num = min(num, 1<<31-1)
		switch name := p[:eq]; {
		case equalFold(name, "timeout"):
			i.kaTimeout = int32(num)
		case equalFold(name, "max"):
			i.kaMax = int32(num)
		}
	}
}

// codings reads a Transfer-Encoding field. Only the last coding of the last
// field tells the framing (RFC 9112 §6.1).
func (i *headInfo) codings(v []byte) {
	i.encoding = true
	i.bits &^= TEChunkedLast
	for len(v) > 0 {
		var tok []byte
		if tok, v = nextToken(v); len(tok) > 0 {
			if equalFold(tok, "chunked") {
				i.bits |= TEChunkedLast
			} else {
				i.bits &^= TEChunkedLast
			}
		}
	}
}

// length reads a Content-Length field. A list of equal numbers is one number
// (RFC 9112 §6.3).
func (i *headInfo) length(v []byte) {
	for {
		n := -1
		num, ok := decimal(v)
		if !ok {
			m := v
			if n = bytes.IndexByte(v, ','); n >= 0 {
				m, v = v[:n], v[n+1:]
			}
			num, ok = decimal(trim(m))
		}
		switch {
		case !ok:
			i.bits |= BadContentLength
		case !i.lengths:
			i.lengths, i.declared = true, num
		case num != i.declared:
			i.bits |= DifferingLengths
		}
		if n < 0 {
			return
		}
	}
}

// decimal parses 1*DIGIT that fits an int64.
func decimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := int64(c - '0')
		if !isDigit(c) || n > 1<<59 && n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// merge takes in what later fields of the same head said.
func (i *headInfo) merge(o *headInfo) {
	if i.bits&o.bits&HasTE != 0 && i.bits&o.bits&TEOnlyTrailers == 0 {
		i.bits &^= TEOnlyTrailers
		o.bits &^= TEOnlyTrailers
	}
	if o.encoding {
		i.bits &^= TEChunkedLast
	}
	i.bits |= o.bits
	i.encoding = i.encoding || o.encoding
	switch {
	case i.lengths && o.lengths && i.declared != o.declared:
		i.bits |= DifferingLengths
	case o.lengths:
		i.lengths, i.declared = true, o.declared
	}
	if o.kaTimeout >= 0 {
		i.kaTimeout = o.kaTimeout
	}
	if o.kaMax >= 0 {
		i.kaMax = o.kaMax
	}
	if i.upgrade == Undecided {
		i.upgrade = o.upgrade
	}
}

// conflict reports whether the lengths contradict each other or the version
// (RFC 9112 §6.1, §6.3).
func (i *headInfo) conflict(side Side, version uint8) bool {
	if i.encoding {
		return i.bits.Any(HasContentLength) || version == 10 || side == Client && !i.bits.Any(TEChunkedLast)
	}
	return i.bits.Any(BadContentLength | DifferingLengths)
}

// framing says how the body ends by the lengths alone.
func (i *headInfo) framing(side Side) Framing {
	switch {
	case i.encoding && i.bits.Any(TEChunkedLast):
		return Chunked
	case i.encoding && side == Client:
		return Unframed
	case i.encoding:
		return UntilClose
	case i.bits.Any(BadContentLength | DifferingLengths):
		return Unframed
	case i.declared >= 0:
		return Length
	case side == Client:
		return NoBody
	}
	return UntilClose
}

// responseFraming is the algorithm of RFC 9112 §6.3 for a response with status
// to a request of method. A 205 without a length has no body, though the
// algorithm would read to the end of the connection: RFC 9110 §15.3.6 forbids
// it one.
func (i *headInfo) responseFraming(method Method, status uint16) Framing {
	switch {
	case status == 101:
		return Switched
	case status < 200 || status == 204 || status == 304 || method == HEAD:
		return NoBody
	case method == CONNECT && status < 300:
		return Switched
	}
	f := i.framing(Server)
	if status == 205 && f == UntilClose && !i.encoding {
		return NoBody
	}
	return f
}

// absolute reports whether a target is in absolute form (RFC 9112 §3.2.2).
func absolute(target []byte) bool {
	i := bytes.IndexByte(target, ':')
	if i <= 0 || !bytes.HasPrefix(target[i:], []byte("://")) {
		return false
	}
	for k, c := range target[:i] {
		if c = lower(c); c-'a' >= 26 && (k == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}
