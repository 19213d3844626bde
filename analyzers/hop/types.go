// Package hop notes what is needed to recognise one request on both sides of
// a proxy.
package hop

import (
	"net/netip"

	"github.com/connlint/connlint/analyzers/http1"
)

// Limits of a Sighting.
const (
	MaxFields = 16 // hop-by-hop, nominated and custom fields kept
	MaxIDs    = 4  // strong ids kept
	MaxBytes  = 64 // of a field value that is kept for the message
)

// Field is a request field as seen on one hop.
type Field struct {
	Name      string // lower case, redacted nowhere: names are no secrets
	Hash      uint64 // of the value's bytes
	Nominated bool   // by the message's own Connection field
	HopByHop  bool   // hop-by-hop by definition (RFC 9110 §7.6.1 and RFC 2616 §13.5.1)
}

// Sighting is one transaction on one connection, self-contained and bounded.
type Sighting struct {
	Key            uint64 // of method and last path segment with query: the same on both sides of a proxy that rewrites a prefix
	Method         http1.Method
	MethodName     string
	Target, Host   string
	Status         uint16
	Client, Server netip.AddrPort
	Conn           uint64     // first frame of its connection
	Start          http1.Mark // first byte of the request
	End            http1.Mark // last byte of the response; Frame 0 if it has none
	ReqBits        http1.Bits
	RespBits       http1.Bits

	Fields   []Field  // at most MaxFields
	IDs      []uint64 // hashes of traceparent, X-Request-Id and the like: name and value
	Echo     uint64   // hash of the response's Date with ETag or Content-Length, 0 if it has none
	Distinct []uint64 // hashes of distinctive request fields: name and value
	// ForwardedFor holds client addresses named by Forwarded or
	// X-Forwarded-For, nearest last.
	ForwardedFor []netip.Addr
}
