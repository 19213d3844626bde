package http1

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

// fieldsByLen lists the fields by the length of their names, so that a lookup
// compares with few.
var fieldsByLen = [...][]FieldID{
	2:  {FieldTE},
	3:  {FieldVia, FieldAge, FieldDNT},
	4:  {FieldHost, FieldDate, FieldETag, FieldVary, FieldFrom, FieldLink},
	5:  {FieldAllow, FieldRange},
	6:  {FieldExpect, FieldServer, FieldPragma, FieldAccept, FieldCookie, FieldOrigin, FieldPrefer},
	7:  {FieldTrailer, FieldUpgrade, FieldExpires, FieldReferer, FieldWarning, FieldAltSvc, FieldXCache},
	8:  {FieldLocation, FieldIfRange, FieldIfMatch, FieldPriority},
	9:  {FieldForwarded, FieldXRealIP, FieldSecCHUA},
	10: {FieldConnection, FieldKeepAlive, FieldUserAgent, FieldSetCookie, FieldTracestate},
	11: {FieldContentMD5, FieldRetryAfter, FieldTraceparent},
	12: {FieldContentType, FieldMaxForwards, FieldXPoweredBy, FieldXRequestId, FieldXB3TraceId},
	13: {FieldAuthorization, FieldContentRange, FieldLastModified, FieldCacheControl, FieldAcceptRanges, FieldIfNoneMatch},
	14: {FieldContentLength, FieldHTTP2Settings, FieldAcceptCharset, FieldSecFetchSite, FieldSecFetchMode, FieldSecFetchDest, FieldSecFetchUser},
	15: {FieldXForwardedFor, FieldIdempotencyKey, FieldAcceptEncoding, FieldAcceptLanguage, FieldXFrameOptions, FieldXAmznTraceId},
	16: {FieldProxyConnection, FieldWWWAuthenticate, FieldXForwardedHost, FieldXForwardedPort, FieldContentEncoding, FieldContentLanguage, FieldContentLocation, FieldXXSSProtection, FieldXRequestedWith, FieldXCorrelationId},
	17: {FieldTransferEncoding, FieldXForwardedProto, FieldXIdempotencyKey, FieldIfModifiedSince, FieldSecWebSocketKey},
	18: {FieldProxyAuthenticate, FieldXForwardedServer},
	19: {FieldProxyAuthorization, FieldAuthenticationInfo, FieldContentDisposition, FieldIfUnmodifiedSince},
	20: {FieldSecWebSocketAccept},
	21: {FieldSecWebSocketVersion},
	22: {FieldXContentTypeOptions, FieldAccessControlMaxAge, FieldSecWebSocketProtocol},
	23: {FieldContentSecurityPolicy},
	24: {FieldSecWebSocketExtensions},
	25: {FieldProxyAuthenticationInfo, FieldStrictTransportSecurity, FieldUpgradeInsecureRequests},
	27: {FieldAccessControlAllowOrigin},
	28: {FieldAccessControlAllowMethods, FieldAccessControlAllowHeaders},
	32: {FieldAccessControlAllowCredentials},
}

// String returns the registered spelling, "" for FieldOther.
func (f FieldID) String() string {
	if f >= numFields {
		return ""
	}
	return fieldNames[f]
}

// FieldOf returns the field that is named so; names are case-insensitive
// (RFC 9110 §5.1).
func FieldOf(name []byte) FieldID {
	if len(name) >= len(fieldsByLen) {
		return FieldOther
	}
	for _, id := range fieldsByLen[len(name)] {
		// Most senders use the registered spelling or all lower case: the
		// comparison below is only reached by names alike in their first letter.
		s := fieldNames[id]
		if (s[0]^name[0])&^0x20 == 0 && (string(name) == s || equalFold(name, s)) {
			return id
		}
	}
	return FieldOther
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
