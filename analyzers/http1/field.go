package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// FieldID is a header field that something here or in the rules asks for, or
// FieldOther.
type FieldID uint8

// The fields told apart. Comparing an ID is what a rule does instead of
// comparing names.
const (
	FieldOther FieldID = iota
	FieldHost
	FieldConnection
	FieldKeepAlive
	FieldProxyConnection
	FieldTransferEncoding
	FieldContentLength
	FieldTE
	FieldTrailer
	FieldUpgrade
	FieldHTTP2Settings
	FieldProxyAuthorization
	FieldProxyAuthenticate
	FieldProxyAuthenticationInfo
	FieldAuthorization
	FieldWWWAuthenticate
	FieldAuthenticationInfo
	FieldVia
	FieldForwarded
	FieldXForwardedFor
	FieldXForwardedHost
	FieldXForwardedProto
	FieldXForwardedPort
	FieldXForwardedServer
	FieldXRealIP
	FieldExpect
	FieldIdempotencyKey
	FieldXIdempotencyKey
	FieldContentType
	FieldContentEncoding
	FieldContentLanguage
	FieldContentLocation
	FieldContentRange
	FieldContentDisposition
	FieldContentMD5
	FieldUserAgent
	FieldServer
	FieldDate
	FieldETag
	FieldLastModified
	FieldExpires
	FieldAge
	FieldCacheControl
	FieldPragma
	FieldVary
	FieldLocation
	FieldRetryAfter
	FieldAllow
	FieldAccept
	FieldAcceptCharset
	FieldAcceptEncoding
	FieldAcceptLanguage
	FieldAcceptRanges
	FieldRange
	FieldIfRange
	FieldIfMatch
	FieldIfNoneMatch
	FieldIfModifiedSince
	FieldIfUnmodifiedSince
	FieldCookie
	FieldSetCookie
	FieldReferer
	FieldOrigin
	FieldFrom
	FieldMaxForwards
	FieldWarning
	FieldLink
	FieldAltSvc
	FieldPriority
	FieldPrefer
	FieldDNT
	FieldStrictTransportSecurity
	FieldContentSecurityPolicy
	FieldXFrameOptions
	FieldXContentTypeOptions
	FieldXXSSProtection
	FieldXPoweredBy
	FieldXRequestedWith
	FieldXRequestId
	FieldXCorrelationId
	FieldTraceparent
	FieldTracestate
	FieldXAmznTraceId
	FieldXB3TraceId
	FieldAccessControlAllowOrigin
	FieldAccessControlAllowMethods
	FieldAccessControlAllowHeaders
	FieldAccessControlAllowCredentials
	FieldAccessControlMaxAge
	FieldSecWebSocketKey
	FieldSecWebSocketAccept
	FieldSecWebSocketVersion
	FieldSecWebSocketProtocol
	FieldSecWebSocketExtensions
	FieldSecFetchSite
	FieldSecFetchMode
	FieldSecFetchDest
	FieldSecFetchUser
	FieldSecCHUA
	FieldUpgradeInsecureRequests
	FieldXCache
	numFields
)

// lastTelling is the last of the fields that headInfo takes something from.
const lastTelling = FieldContentType

// fieldNames spells each field as it is registered.
var fieldNames = [numFields]string{
	FieldHost:                          "Host",
	FieldConnection:                    "Connection",
	FieldKeepAlive:                     "Keep-Alive",
	FieldProxyConnection:               "Proxy-Connection",
	FieldTransferEncoding:              "Transfer-Encoding",
	FieldContentLength:                 "Content-Length",
	FieldTE:                            "TE",
	FieldTrailer:                       "Trailer",
	FieldUpgrade:                       "Upgrade",
	FieldHTTP2Settings:                 "HTTP2-Settings",
	FieldProxyAuthorization:            "Proxy-Authorization",
	FieldProxyAuthenticate:             "Proxy-Authenticate",
	FieldProxyAuthenticationInfo:       "Proxy-Authentication-Info",
	FieldAuthorization:                 "Authorization",
	FieldWWWAuthenticate:               "WWW-Authenticate",
	FieldAuthenticationInfo:            "Authentication-Info",
	FieldVia:                           "Via",
	FieldForwarded:                     "Forwarded",
	FieldXForwardedFor:                 "X-Forwarded-For",
	FieldXForwardedHost:                "X-Forwarded-Host",
	FieldXForwardedProto:               "X-Forwarded-Proto",
	FieldXForwardedPort:                "X-Forwarded-Port",
	FieldXForwardedServer:              "X-Forwarded-Server",
	FieldXRealIP:                       "X-Real-IP",
	FieldExpect:                        "Expect",
	FieldIdempotencyKey:                "Idempotency-Key",
	FieldXIdempotencyKey:               "X-Idempotency-Key",
	FieldContentType:                   "Content-Type",
	FieldContentEncoding:               "Content-Encoding",
	FieldContentLanguage:               "Content-Language",
	FieldContentLocation:               "Content-Location",
	FieldContentRange:                  "Content-Range",
	FieldContentDisposition:            "Content-Disposition",
	FieldContentMD5:                    "Content-MD5",
	FieldUserAgent:                     "User-Agent",
	FieldServer:                        "Server",
	FieldDate:                          "Date",
	FieldETag:                          "ETag",
	FieldLastModified:                  "Last-Modified",
	FieldExpires:                       "Expires",
	FieldAge:                           "Age",
	FieldCacheControl:                  "Cache-Control",
	FieldPragma:                        "Pragma",
	FieldVary:                          "Vary",
	FieldLocation:                      "Location",
	FieldRetryAfter:                    "Retry-After",
	FieldAllow:                         "Allow",
	FieldAccept:                        "Accept",
	FieldAcceptCharset:                 "Accept-Charset",
	FieldAcceptEncoding:                "Accept-Encoding",
	FieldAcceptLanguage:                "Accept-Language",
	FieldAcceptRanges:                  "Accept-Ranges",
	FieldRange:                         "Range",
	FieldIfRange:                       "If-Range",
	FieldIfMatch:                       "If-Match",
	FieldIfNoneMatch:                   "If-None-Match",
	FieldIfModifiedSince:               "If-Modified-Since",
	FieldIfUnmodifiedSince:             "If-Unmodified-Since",
	FieldCookie:                        "Cookie",
	FieldSetCookie:                     "Set-Cookie",
	FieldReferer:                       "Referer",
	FieldOrigin:                        "Origin",
	FieldFrom:                          "From",
	FieldMaxForwards:                   "Max-Forwards",
	FieldWarning:                       "Warning",
	FieldLink:                          "Link",
	FieldAltSvc:                        "Alt-Svc",
	FieldPriority:                      "Priority",
	FieldPrefer:                        "Prefer",
	FieldDNT:                           "DNT",
	FieldStrictTransportSecurity:       "Strict-Transport-Security",
	FieldContentSecurityPolicy:         "Content-Security-Policy",
	FieldXFrameOptions:                 "X-Frame-Options",
	FieldXContentTypeOptions:           "X-Content-Type-Options",
	FieldXXSSProtection:                "X-XSS-Protection",
	FieldXPoweredBy:                    "X-Powered-By",
	FieldXRequestedWith:                "X-Requested-With",
	FieldXRequestId:                    "X-Request-Id",
	FieldXCorrelationId:                "X-Correlation-Id",
	FieldTraceparent:                   "Traceparent",
	FieldTracestate:                    "Tracestate",
	FieldXAmznTraceId:                  "X-Amzn-Trace-Id",
	FieldXB3TraceId:                    "X-B3-TraceId",
	FieldAccessControlAllowOrigin:      "Access-Control-Allow-Origin",
	FieldAccessControlAllowMethods:     "Access-Control-Allow-Methods",
	FieldAccessControlAllowHeaders:     "Access-Control-Allow-Headers",
	FieldAccessControlAllowCredentials: "Access-Control-Allow-Credentials",
	FieldAccessControlMaxAge:           "Access-Control-Max-Age",
	FieldSecWebSocketKey:               "Sec-WebSocket-Key",
	FieldSecWebSocketAccept:            "Sec-WebSocket-Accept",
	FieldSecWebSocketVersion:           "Sec-WebSocket-Version",
	FieldSecWebSocketProtocol:          "Sec-WebSocket-Protocol",
	FieldSecWebSocketExtensions:        "Sec-WebSocket-Extensions",
	FieldSecFetchSite:                  "Sec-Fetch-Site",
	FieldSecFetchMode:                  "Sec-Fetch-Mode",
	FieldSecFetchDest:                  "Sec-Fetch-Dest",
	FieldSecFetchUser:                  "Sec-Fetch-User",
	FieldSecCHUA:                       "Sec-CH-UA",
	FieldUpgradeInsecureRequests:       "Upgrade-Insecure-Requests",
	FieldXCache:                        "X-Cache",
}

// fieldTable holds the fields by the hash of their names, each in the first
// free place from there on.
var fieldTable = func() (t [1 << fieldTableBits]FieldID) {
	for id := FieldOther + 1; id < numFields; id++ {
		at := hashOf([]byte(fieldNames[id])).place()
		for t[at] != FieldOther {
			at = (at + 1) % len(t)
		}
		t[at] = id
	}
	return t
}()

const fieldTableBits = 10

// String returns the registered spelling, "" for FieldOther.
func (f FieldID) String() string {
	if f >= numFields {
		return ""
	}
	return fieldNames[f]
}

// FieldOf returns the field that is named so; names are case-insensitive
// (RFC 9110 §5.1).
func FieldOf(name []byte) FieldID { return hashOf(name).field(name) }

// nameHash is a hash of a field's name, in whatever case, by words of eight
// bytes: the last holds what is left, perhaps nothing.
type nameHash uint64

// caseBits make letters small. Other characters change too: equal hashes do not
// mean equal names.
const caseBits = 0x2020202020202020

func (h nameHash) word(w uint64) nameHash {
	h = (h ^ nameHash(w|caseBits)) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

func (h nameHash) place() int { return int(h >> (64 - fieldTableBits)) }

// field returns the field called name, whose hash is h.
func (h nameHash) field(name []byte) FieldID {
	for at := h.place(); ; at++ {
		id := fieldTable[at%len(fieldTable)]
		if id == FieldOther {
			return FieldOther
		}
		if s := fieldNames[id]; string(name) == s || equalFold(name, s) {
			return id
		}
	}
}

func hashOf(name []byte) (h nameHash) {
	for ; len(name) >= 8; name = name[8:] {
		h = h.word(binary.LittleEndian.Uint64(name))
	}
	var tail [8]byte
	copy(tail[:], name)
	return h.word(binary.LittleEndian.Uint64(tail[:]))
}

// nameIn finds the colon in line, which begins b, and the field named before
// it: the name is hashed while the colon is looked for. colon is -1 without one.
func nameIn(b []byte, line int) (colon int, id FieldID) {
	const ones, colons = 0x0101010101010101, 0x3a3a3a3a3a3a3a3a
	var h nameHash
	for i := 0; i < line; i += 8 {
		if len(b)-i < 8 { // at the end of what there is
			if colon = bytes.IndexByte(b[:line], ':'); colon < 0 {
				return -1, FieldOther
			}
			return colon, FieldOf(b[:colon])
		}
		w := binary.LittleEndian.Uint64(b[i:])
		x := w ^ colons
		found := (x - ones) &^ x & (ones << 7) // its lowest bit is at the first colon
		if found == 0 {
			h = h.word(w)
			continue
		}
		n := bits.TrailingZeros64(found) &^ 7
		if colon = i + n/8; colon >= line {
			break
		}
		return colon, h.word(w & (1<<n - 1)).field(b[:colon])
	}
	return -1, FieldOther
}

// equalFold reports whether b is s, letters of ASCII in either case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c != s[i] && lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}
