package http1

// Method is a request method of the IANA registry, or Other.
type Method uint8

// The methods of the IANA HTTP Method Registry (RFC 9110 §16.1).
const (
	Other Method = iota // not registered
	GET
	HEAD
	POST
	PUT
	DELETE
	CONNECT
	OPTIONS
	TRACE
	PATCH
	ACL
	BASELINECONTROL
	BIND
	CHECKIN
	CHECKOUT
	COPY
	LABEL
	LINK
	LOCK
	MERGE
	MKACTIVITY
	MKCALENDAR
	MKCOL
	MKREDIRECTREF
	MKWORKSPACE
	MOVE
	ORDERPATCH
	PRI
	PROPFIND
	PROPPATCH
	QUERY
	REBIND
	REPORT
	SEARCH
	UNBIND
	UNCHECKOUT
	UNLINK
	UNLOCK
	UPDATE
	UPDATEREDIRECTREF
	VERSIONCONTROL
	numMethods
)

// maxMethod is the longest method name taken for one, in bytes. The longest
// registered one has 17.
const maxMethod = 31

// String returns the method as it stands in a request line, "" for Other.
func (m Method) String() string {
	if m >= numMethods {
		return ""
	}
	return [numMethods]string{"", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
		"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE",
		"MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PRI",
		"PROPFIND", "PROPPATCH", "QUERY", "REBIND", "REPORT", "SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK",
		"UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL"}[m]
}

// MethodOf returns the method named b. Methods are case-sensitive
// (RFC 9110 §9.1).
func MethodOf(b []byte) Method {
	switch string(b) {
	case "GET":
		return GET
	case "HEAD":
		return HEAD
	case "POST":
		return POST
	case "PUT":
		return PUT
	case "DELETE":
		return DELETE
	case "CONNECT":
		return CONNECT
	case "OPTIONS":
		return OPTIONS
	case "TRACE":
		return TRACE
	case "PATCH":
		return PATCH
	}
	for m := ACL; m < numMethods; m++ {
		if m.String() == string(b) {
			return m
		}
	}
	return Other
}

// Safe reports whether the method only reads (RFC 9110 §9.2.1).
func (m Method) Safe() bool {
	switch m {
	case GET, HEAD, OPTIONS, TRACE, PRI, PROPFIND, QUERY, REPORT, SEARCH:
		return true
	}
	return false
}

// Idempotent reports whether sending the request twice does what sending it
// once does (RFC 9110 §9.2.2). Of a method that is not registered nothing is
// known, so it counts as not idempotent.
func (m Method) Idempotent() bool {
	switch m {
	case Other, POST, PATCH, LOCK, CONNECT:
		return false
	}
	return m < numMethods
}
