// Package hop notes what is needed to recognise one request on both sides of
// a proxy.
package hop

import (
	"net/netip"
	"slices"

	"github.com/connlint/connlint/analyzers/http1"
)

// Limits of a Sighting, and of what a connection holds of them.
const (
	MaxFields      = 24 // fields kept; with more, later ones are unknown
	MaxIDs         = 4  // strong ids kept
	MaxForwarded   = 4  // addresses of ForwardedFor kept, the nearest
	MaxOutstanding = 64 // requests of a connection noted at a time
	maxName        = 64 // bytes of a field's name kept
)

// Field is a request field as seen on one hop.
type Field struct {
	ID        uint64 // hash of the name in lower case
	Value     uint64 // hash of the value's bytes
	Name      string // lower case, at most 64 bytes; empty unless Nominated or HopByHop
	Nominated bool   // by the message's own Connection field
	HopByHop  bool   // by definition (RFC 9110 §7.6.1, RFC 2616 §13.5.1)
	Distinct  bool   // a value that few requests share
}

// Sighting is one transaction on one connection, bounded. Those that a
// [Collector] lends are borrowed; Clone makes them self-contained.
type Sighting struct {
	// Key is a hash of the method and the last path segment with the query:
	// the same on both sides of a proxy that rewrites a prefix.
	Key                      uint64
	Method                   http1.Method
	MethodName, Target, Host []byte // as sent
	Status                   uint16 // 0 without a final response
	Client, Server           netip.AddrPort
	Conn                     uint64     // first frame of its connection
	Start                    http1.Mark // first byte of the request
	End                      http1.Mark // last byte of the response; Frame 0 if that is not complete
	ReqBits                  http1.Bits
	RespBits                 http1.Bits
	HeadHash                 uint64 // of the request's whole head
	// Bare says that it was not noted: of the heads it holds the bits, and
	// none of the hashes, fields and addresses.
	Bare bool

	Fields []Field  // of the request; at most MaxFields
	IDs    []uint64 // hashes of trace and request ids, at most MaxIDs
	// Echo is a hash of the response's Date with its ETag or Content-Length,
	// 0 if it has none.
	Echo uint64
	// Via and RespVia are hashes of the last entry of request's and
	// response's Via, 0 if there is none.
	Via, RespVia uint64
	// Connection and RespConnection are hashes of the Connection fields of
	// request and response, RespKeepAlive of the response's Keep-Alive; 0 if
	// there is none.
	Connection, RespConnection, RespKeepAlive uint64
	// ForwardedFor holds client addresses named by X-Forwarded-For, Forwarded
	// or X-Real-IP, nearest last.
	ForwardedFor []netip.Addr

	index uint32 // of the transaction
	next  *Sighting
}

// clone is a copy of a sighting with room for what it refers to: most requests
// of programs fit, and are then one allocation and not five.
type clone struct {
	Sighting
	fields [5]Field
	ids    [1]uint64
	words  [48]byte
}

// Clone returns a copy that shares no memory with s.
func (s *Sighting) Clone() *Sighting {
	var c *Sighting
	var fields []Field
	var ids []uint64
	var words []byte
	m, t := len(s.MethodName), len(s.MethodName)+len(s.Target)
	if n := t + len(s.Host); len(s.Fields) <= len(clone{}.fields) && n <= len(clone{}.words) {
		own := new(clone)
		c, fields, ids, words = &own.Sighting, own.fields[:0], own.ids[:0], own.words[:0]
	} else { // a browser's: the room would be wasted
		c, fields, words = new(Sighting), make([]Field, 0, len(s.Fields)), make([]byte, 0, n)
	}
	*c = *s
	words = append(append(append(words, s.MethodName...), s.Target...), s.Host...)
	c.MethodName, c.Target, c.Host = words[:m:m], words[m:t:t], words[t:]
	c.Fields, c.IDs, c.ForwardedFor = append(fields, s.Fields...), append(ids, s.IDs...), slices.Clone(s.ForwardedFor)
	c.next = nil
	return c
}

// Field returns the field of s with that name and value, nil if there is none.
func (s *Sighting) Field(id, value uint64) *Field {
	for i := range s.Fields {
		if s.Fields[i].ID == id && s.Fields[i].Value == value {
			return &s.Fields[i]
		}
	}
	return nil
}
