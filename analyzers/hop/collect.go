package hop

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/connlint/connlint/analyzers/http1"
)

// Pool recycles sightings. It is for one goroutine.
type Pool struct {
	// Wanted reports whether a request of which Key, Start and ReqBits are
	// known is to be noted; nil for all. Those with fields for a proxy always
	// are.
	Wanted func(*Sighting) bool

	free *Sighting
	lent *Sighting // by the last Done
	bare Sighting  // scratch for a request that is not noted
}

func (p *Pool) get() *Sighting {
	s := p.free
	if s == nil {
		return &Sighting{}
	}
	p.free = s.next
	fields, ids, forwarded := s.Fields[:0], s.IDs[:0], s.ForwardedFor[:0]
	*s = Sighting{} // in place; with fields it would be made aside and copied
	s.Fields, s.IDs, s.ForwardedFor = fields, ids, forwarded
	return s
}

func (p *Pool) put(s *Sighting) {
	s.next = p.free
	p.free = s
}

// Collector notes the outstanding requests of one connection. The zero value
// is ready.
type Collector struct {
	first *Sighting // oldest outstanding
}

// AtRest reports whether no request is outstanding.
func (c *Collector) AtRest() bool { return c.first == nil }

// Head notes the head of a request or a final response; it passes over interim
// responses.
func (c *Collector) Head(p *Pool, h *http1.Head, t *http1.Transaction) {
	if h.Side == http1.Client {
		c.request(p, h, t)
	} else if c.first != nil && t != nil && t.Resp.Status >= 200 {
		if s := c.find(t.Index); s != nil {
			s.response(h)
		}
	}
}

// Done completes the sighting of t, but for the addresses and the connection.
// It is borrowed: valid until the next Done with the same pool, and no longer
// than t. It is nil if the request's head was not seen, or its target was cut.
//
// A request that was not noted is only told bare, and where that says nothing
// new, not at all: told says that one to its server's host was told before,
// which leaves the status 407.
func (c *Collector) Done(p *Pool, t *http1.Transaction, told bool) *Sighting {
	s := c.take(t.Index)
	switch {
	case s != nil:
		if p.lent != nil {
			p.put(p.lent)
		}
		p.lent = s
	case t.Req.HeadEnd.Frame == 0 || told && t.Resp.Status != 407:
		return nil
	default:
		s = &p.bare
		*s = Sighting{Bare: true}
		s.Key, s.Start, s.ReqBits = key(t.MethodName, t.Target), t.Req.First, t.Req.Bits
	}
	if t.TargetLen > len(t.Target) {
		return nil
	}
	s.Method, s.MethodName, s.Target, s.Host = t.Method, t.MethodName, t.Target, t.Host
	s.Start, s.ReqBits = t.Req.First, t.Req.Bits
	if t.Resp.First.Frame != 0 {
		s.Status, s.RespBits = t.Resp.Status, t.Resp.Bits
		if t.Outcome == http1.Answered {
			s.End = t.Resp.Last
		}
	}
	return s
}

// Close forgets what is outstanding, at the connection's end.
func (c *Collector) Close(p *Pool) {
	for c.first != nil {
		s := c.first
		c.first = s.next
		p.put(s)
	}
}

func (c *Collector) find(index uint32) *Sighting {
	for s := c.first; s != nil; s = s.next {
		if s.index == index {
			return s
		}
	}
	return nil
}

func (c *Collector) take(index uint32) *Sighting {
	for at := &c.first; *at != nil; at = &(*at).next {
		if s := *at; s.index == index {
			*at, s.next = s.next, nil
			return s
		}
	}
	return nil
}

func (c *Collector) request(p *Pool, h *http1.Head, t *http1.Transaction) {
	n, at := 0, &c.first
	for *at != nil {
		n, at = n+1, &(*at).next
	}
	if n == MaxOutstanding {
		return
	}
	one := &p.bare
	one.Key, one.Start, one.ReqBits = key(t.MethodName, t.Target), t.Req.First, t.Req.Bits
	if p.Wanted != nil && !one.ReqBits.Any(http1.HasProxyConnection|http1.HasProxyAuthorization) && !p.Wanted(one) {
		return
	}
	s := p.get()
	s.index = t.Index
	*at = s
	s.Key, s.Start, s.ReqBits = one.Key, one.Start, one.ReqBits
	s.HeadHash = hash(0, h.Raw)
	// Mostly Connection says close or keep-alive and names no field that
	// matters; else look for names where it stands.
	var connection []http1.Field
	fields := h.Fields()
	if t.Req.Bits.Any(http1.ConnOther | http1.ConnTE | http1.ConnUpgrade | http1.ConnHTTP2Settings) {
		first, last := len(fields), 0
		for i := range fields {
			if fields[i].ID == http1.FieldConnection {
				first, last = min(first, i), i+1
			}
		}
		connection = fields[min(first, last):last]
	}
	for i := range fields {
		s.field(&fields[i], connection)
	}
}

// field notes one request field; the Connection fields are among connection.
func (s *Sighting) field(f *http1.Field, connection []http1.Field) {
	switch f.ID {
	case http1.FieldConnection:
		s.Connection = hash(s.Connection+1, f.Value)
		return
	case http1.FieldHost, http1.FieldContentLength, http1.FieldTransferEncoding:
		return // each hop's own
	case http1.FieldVia:
		s.Via = lastEntry(f.Value)
		return
	case http1.FieldXForwardedFor, http1.FieldXRealIP:
		s.forwardedFor(f.Value)
		return
	case http1.FieldForwarded:
		s.forwarded(f.Value)
		return
	case http1.FieldTraceparent:
		// version-traceid-parentid-flags: a proxy that takes part in the
		// trace puts its own parent id (W3C Trace Context §3.2.2).
		if len(f.Value) >= 35 {
			s.id(uint64(f.ID), f.Value[3:35])
		}
	case http1.FieldXRequestId, http1.FieldXCorrelationId, http1.FieldXAmznTraceId, http1.FieldXB3TraceId:
		s.id(uint64(f.ID), f.Value)
	}
	if len(s.Fields) == MaxFields {
		return
	}
	n := Field{ID: nameHash(f), Value: hash(0, f.Value), HopByHop: hopByHop(f.ID), Distinct: distinct(f)}
	n.Nominated = nominated(f.Name, connection)
	if n.Nominated || n.HopByHop {
		n.Name = name(f)
	}
	s.Fields = append(s.Fields, n)
}

// hopByHop reports whether a field is for one hop by definition.
func hopByHop(id http1.FieldID) bool {
	switch id {
	case http1.FieldKeepAlive, http1.FieldProxyConnection, http1.FieldTE, http1.FieldUpgrade,
		http1.FieldHTTP2Settings, http1.FieldTrailer, http1.FieldProxyAuthorization:
		return true
	}
	return false
}

// distinct reports whether a field's value sets its request apart from others
// of the same program: cookies, credentials, conditions, and long values with
// digits of fields that no standard knows.
func distinct(f *http1.Field) bool {
	switch f.ID {
	case http1.FieldCookie, http1.FieldAuthorization, http1.FieldReferer, http1.FieldIfMatch, http1.FieldIfNoneMatch,
		http1.FieldIfModifiedSince, http1.FieldRange, http1.FieldIdempotencyKey, http1.FieldXIdempotencyKey:
		return len(f.Value) >= 6
	case http1.FieldOther:
		return len(f.Value) >= 8 && bytes.ContainsAny(f.Value, "0123456789")
	}
	return false
}

// name returns a field's name in lower case: without allocation for the
// hop-by-hop ones.
func name(f *http1.Field) string {
	switch f.ID {
	case http1.FieldKeepAlive:
		return "keep-alive"
	case http1.FieldProxyConnection:
		return "proxy-connection"
	case http1.FieldTE:
		return "te"
	case http1.FieldUpgrade:
		return "upgrade"
	case http1.FieldHTTP2Settings:
		return "http2-settings"
	case http1.FieldTrailer:
		return "trailer"
	case http1.FieldProxyAuthorization:
		return "proxy-authorization"
	}
	return string(bytes.ToLower(f.Name[:min(len(f.Name), maxName)]))
}

// nominated reports whether a Connection field among fields names that field
// (RFC 9110 §7.6.1).
func nominated(name []byte, fields []http1.Field) bool {
	for i := range fields {
		if fields[i].ID != http1.FieldConnection {
			continue
		}
		for rest := fields[i].Value; len(rest) > 0; {
			var option []byte
			option, rest, _ = bytes.Cut(rest, []byte{','})
			if bytes.EqualFold(bytes.Trim(option, " \t"), name) {
				return true
			}
		}
	}
	return false
}

func (s *Sighting) id(name uint64, value []byte) {
	if len(value) >= 8 && len(s.IDs) < MaxIDs {
		s.IDs = append(s.IDs, hash(name, value))
	}
}

// response notes the head of the final response.
func (s *Sighting) response(h *http1.Head) {
	var date, tag, length []byte
	fields := h.Fields()
	for i := range fields {
		switch f := &fields[i]; f.ID {
		case http1.FieldDate:
			date = f.Value
		case http1.FieldETag:
			tag = f.Value
		case http1.FieldContentLength:
			length = f.Value
		case http1.FieldVia:
			s.RespVia = lastEntry(f.Value)
		case http1.FieldConnection:
			s.RespConnection = hash(s.RespConnection+1, f.Value)
		case http1.FieldKeepAlive:
			s.RespKeepAlive = hash(s.RespKeepAlive+1, f.Value)
		}
	}
	switch {
	case date == nil:
	case tag != nil:
		s.Echo = hash(hash(1, date), tag)
	case length != nil:
		s.Echo = hash(hash(2, date), length)
	}
}

// forwardedFor reads a list of addresses, the nearest last.
func (s *Sighting) forwardedFor(v []byte) {
	for len(v) > 0 {
		var one []byte
		one, v, _ = bytes.Cut(v, []byte{','})
		s.address(one)
	}
}

// forwarded reads the for= parameters of a Forwarded field (RFC 7239 §5.2).
func (s *Sighting) forwarded(v []byte) {
	for len(v) > 0 {
		end := bytes.IndexAny(v, ",;")
		one := v
		if end >= 0 {
			one, v = v[:end], v[end+1:]
		} else {
			v = nil
		}
		one = bytes.Trim(one, " \t")
		if len(one) > 4 && bytes.EqualFold(one[:4], []byte("for=")) {
			s.address(one[4:])
		}
	}
}

// address notes an address, in quotes and brackets or not, with a port or not.
func (s *Sighting) address(b []byte) {
	b = bytes.Trim(b, " \t\"")
	if len(b) > 64 {
		return
	}
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return
		}
		b = b[1:end]
	} else if bytes.Count(b, []byte{':'}) == 1 {
		b, _, _ = bytes.Cut(b, []byte{':'})
	}
	a, ok := parse4(b)
	if !ok {
		var err error
		if a, err = netip.ParseAddr(string(b)); err != nil {
			return // "unknown", or a token that hides it (RFC 7239 §6.3)
		}
	}
	if len(s.ForwardedFor) == MaxForwarded {
		copy(s.ForwardedFor, s.ForwardedFor[1:])
		s.ForwardedFor = s.ForwardedFor[:MaxForwarded-1]
	}
	s.ForwardedFor = append(s.ForwardedFor, a.Unmap())
}

// parse4 reads an IPv4 address, without the allocation of netip's.
func parse4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	part, n, digits := 0, 0, 0
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			if n = n*10 + int(c-'0'); n > 255 {
				return netip.Addr{}, false
			}
			digits++
		case c == '.' && digits > 0 && part < 3:
			a[part], n, digits = byte(n), 0, 0
			part++
		default:
			return netip.Addr{}, false
		}
	}
	if part != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	a[3] = byte(n)
	return netip.AddrFrom4(a), true
}

// lastEntry hashes the last element of a list.
func lastEntry(v []byte) uint64 {
	v = bytes.Trim(v[bytes.LastIndexByte(v, ',')+1:], " \t")
	if len(v) == 0 {
		return 0
	}
	return hash(3, v)
}

// Path returns the path and query of a request target in origin or absolute
// form; any other target as it is.
func Path(target []byte) []byte {
	if len(target) > 0 && target[0] == '/' {
		return target
	}
	i := bytes.Index(target, []byte("://"))
	if i < 0 {
		return target
	}
	rest := target[i+3:]
	j := bytes.IndexAny(rest, "/?")
	if j < 0 {
		return slash
	}
	if rest[j] == '?' { // RFC 9112 §3.2.1: the path is "/"
		return append([]byte{'/'}, rest[j:]...)
	}
	return rest[j:]
}

var slash = []byte{'/'}

// key hashes the method and the last path segment with the query.
func key(method, target []byte) uint64 {
	path := Path(target)
	query := bytes.IndexByte(path, '?')
	if query < 0 {
		query = len(path)
	}
	return hash(hash(4, method), path[bytes.LastIndexByte(path[:query], '/')+1:])
}

// hash hashes b, eight bytes at a time. It is the same in every run: values
// of different runs merge.
func hash(seed uint64, b []byte) uint64 {
	h := seed ^ uint64(len(b))*0x9e3779b97f4a7c15
	for len(b) >= 8 {
		h = fold(h ^ binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	var tail uint64
	for i, c := range b {
		tail |= uint64(c) << (8 * i)
	}
	return fold(fold(h ^ tail))
}

// nameHashes holds hashName of the fields told apart: most of all that come.
var nameHashes = func() (t [256]uint64) {
	for id := range t {
		t[id] = hashName([]byte(http1.FieldID(id).String()))
	}
	return t
}()

// nameHash returns the hash of a field's name.
func nameHash(f *http1.Field) uint64 {
	if f.ID == http1.FieldOther {
		return hashName(f.Name)
	}
	return nameHashes[f.ID]
}

// hashName is hash of a name in lower case.
func hashName(b []byte) uint64 {
	var buf [maxName]byte
	n := copy(buf[:], b)
	for i, c := range buf[:n] {
		if 'A' <= c && c <= 'Z' {
			buf[i] = c + 'a' - 'A'
		}
	}
	return hash(5, buf[:n])
}

func fold(x uint64) uint64 {
	hi, lo := bits.Mul64(x^0xd6e8feb86659fd93, 0xa0761d6478bd642f)
	return hi ^ lo
}
