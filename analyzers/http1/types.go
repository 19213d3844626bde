// Package http1 parses HTTP/1.x from both directions of a connection as it
// arrives, in pieces of any size, without ever holding a body.
//
// It reports what was sent, not what was meant: field names keep their case,
// order and duplicates, and nothing is repaired. Framing follows RFC 9112 §6.
// Anomalies on the wire are data, not errors.
//
// # Ambiguity
//
// Where two receivers may read a message differently, one reading is followed,
// that of RFC 9112, and an [Anomaly] says so:
//
//   - Transfer-Encoding beside Content-Length: the coding counts, if chunked is
//     its last ([ConflictingLengths], as in all that follow). A request with
//     another last coding has no end that can be told; such a response lasts
//     until the connection ends. Codings are compared whole, in any case, white
//     space (SP, HTAB) around them left out.
//   - Content-Length: 1*DIGIT below 2^63, or a list of equal ones, leading zeros
//     allowed. Signs, 0x, fractions, an empty value, differing values: the end
//     cannot be told.
//   - A line ends in LF. One without CR is told once a message ([LFOnly]). A CR
//     elsewhere in a head is part of the line ([BareCR]); in a chunk's size line
//     it begins an extension.
//   - A folded field line belongs to the field before it ([FoldedField]); before
//     any field it is passed over.
//   - A field name is what stands before the first colon. White space between
//     them is not part of it ([SpaceBeforeColon]); other characters that no name
//     may have make it another name ([BadFieldName]). NUL is a character like
//     any other ([NULByte]).
//   - A chunk size is 1*HEXDIG below 2^63, then white space, an extension or the
//     line's end. Anything else, and bytes behind a chunk that are no line end,
//     end the framing ([BadChunkSize]). Extensions and trailer fields are passed
//     over.
//   - Empty lines before a start line are passed over.
//
// Where the framing is lost, or cannot be told, the next message is looked for
// where a segment begins with a start line, [Doubt] says so, and what hangs on
// the order of messages is not judged.
//
// # Limits
//
// A session holds no more than the head in progress, up to Options.MaxHead
// bytes, and Options.MaxOutstanding requests without a response; all sessions
// of an [Env] together, about Options.MaxHeads and Options.MaxWaiting of them.
// Of a longer head the rest passes through: its framing and persistence fields
// count, the others are not seen ([HeadTooLong], [Truncated]). Requests beyond
// are counted, not paired ([TooDeep]). Bodies, chunk extensions, trailer
// sections, empty lines and interim responses may be of any length and number:
// nothing of them is kept. Work is linear in bytes.
package http1

import "github.com/connlint/connlint/capture/wire"

// Side is who sends a message.
type Side uint8

// The two sides.
const (
	Client Side = iota // sends requests
	Server             // sends responses
)

// Mark is a place in one direction's byte stream and the segment that carried
// it there: the evidence for who knew what.
type Mark struct {
	Time  int64  // capture time of the segment, nanoseconds since 1970-01-01 UTC
	Frame uint64 // 0: no mark
	Seq   wire.Seq
	Ack   wire.Seq // acknowledgement that the segment carried: what its sender's kernel knew
}

// Framing says how a message's body ends (RFC 9112 §6.3).
type Framing uint8

// The ways a body ends.
const (
	NoBody     Framing = iota // no body follows the head
	Length                    // Content-Length
	Chunked                   // Transfer-Encoding ends in chunked
	UntilClose                // at the end of the connection
	Switched                  // 101 or 2xx to CONNECT: what follows is no HTTP/1
	Unframed                  // cannot be told: lost bytes, or lengths that contradict each other
)

// Bits say what a message's head holds. They are all a rule needs of most
// fields once the head itself is gone.
type Bits uint64

// What a head may hold.
const (
	ConnClose             Bits = 1 << iota // Connection: close
	ConnKeepAlive                          // Connection: keep-alive
	ConnUpgrade                            // Connection: upgrade
	ConnTE                                 // Connection: te
	ConnHTTP2Settings                      // Connection: http2-settings
	ConnOther                              // Connection nominates another field
	HasConnection                          // a Connection field
	HasKeepAlive                           // a Keep-Alive field
	HasProxyConnection                     // a Proxy-Connection field
	HasTE                                  // a TE field
	TEOnlyTrailers                         // TE: trailers and nothing else
	HasTrailer                             // a Trailer field
	HasUpgrade                             // an Upgrade field
	HasHTTP2Settings                       // an HTTP2-Settings field
	HasTransferEncoding                    // a Transfer-Encoding field
	TEChunkedLast                          // whose last coding is chunked
	HasContentLength                       // a Content-Length field
	BadContentLength                       // that is no number
	DifferingLengths                       // several that differ
	HasProxyAuthorization                  // a Proxy-Authorization field
	HasProxyAuthenticate                   // a Proxy-Authenticate field
	HasAuthorization                       // an Authorization field
	HasVia                                 // a Via field
	HasForwarded                           // Forwarded or an X-Forwarded-* field
	HasExpect100                           // Expect: 100-continue
	HasIdempotencyKey                      // Idempotency-Key or X-Idempotency-Key
	HasHost                                // a Host field
	EventStream                            // Content-Type: text/event-stream
	BareLF                                 // a line ends in LF alone
	ObsFold                                // a field line is folded
	Pipelined                              // request: left before the client knew the end of an earlier response
	Truncated                              // the head was longer than the parser keeps; fields beyond are unknown
	AbsoluteForm                           // request target in absolute form
	Cut                                    // bytes of the head are missing from the capture
)

// Has reports whether all bits of m are set.
func (b Bits) Has(m Bits) bool { return b&m == m }

// Any reports whether a bit of m is set.
func (b Bits) Any(m Bits) bool { return b&m != 0 }

// Message is one request or response, by value and without its bytes.
type Message struct {
	First   Mark // first byte of the start line; Seq is that byte's
	HeadEnd Mark // Seq is the one after the empty line; Frame is 0 where the head is unfinished
	// BodyFirst is the first byte after the head; Frame is 0 where none was
	// captured.
	BodyFirst Mark
	Last      Mark // Seq is the one after the last byte seen so far
	Bits      Bits

	Declared int64 // Content-Length, -1 without a usable one
	Body     int64 // body bytes on the wire so far, chunk framing included, gaps included
	Gaps     int64 // of them, bytes missing from the capture

	KeepAliveTimeout int32 // seconds of Keep-Alive: timeout=, -1 if absent
	KeepAliveMax     int32 // Keep-Alive: max=, -1 if absent

	Status   uint16 // responses only
	Version  uint8  // 10 for HTTP/1.0, 11 for HTTP/1.1
	Framing  Framing
	Complete bool // its framed end was seen; for UntilClose: the sender's FIN
}

// Outcome says how a transaction ended.
type Outcome uint8

// How a transaction can end.
const (
	Answered    Outcome = iota // the final response is complete
	Incomplete                 // the final response began and the connection ended before its end
	Unanswered                 // the connection ended with no byte of a final response
	Unknown                    // lost bytes hide the answer, its end (Resp has begun), or the request (Req is zero)
	Open                       // the capture ended first
	Unsolicited                // a response with no request outstanding; Req is zero
)

// Transaction is a request, its interim responses and its final response. It
// and its byte slices are borrowed: valid until the callback that got it
// returns.
type Transaction struct {
	Index uint32 // on its connection, from 0
	Req   Message
	Resp  Message // final response; Resp.First.Frame is 0 while there is none

	Interim      uint16 // interim (1xx) responses before the final one
	FirstInterim Mark   // first byte of the first of them
	LastInterim  Mark   // end of the last of them

	// What follows is known when the transaction is done; zero where
	// Session.Abstains.
	//
	// Behind describes the earliest unanswered request that this one was
	// pipelined behind; its Frame is 0 for none. BehindUnsafe is the same for
	// the earliest unanswered non-idempotent one.
	Behind, BehindUnsafe Mark
	BehindMethod         []byte // method of the BehindUnsafe request
	Depth                uint16 // requests outstanding before this one when it was sent, as its client knew

	Method Method
	// The request's words, as sent. Target and Host are cut at MaxTarget and
	// MaxHost bytes; TargetLen is the whole length.
	MethodName, Target, Host, UserAgent []byte
	TargetLen                           int

	BodyHash uint64 // of the request's body bytes; valid with BodyHashOK
	// BodyHashOK says that every body byte was captured and hashed.
	BodyHashOK bool
	Outcome    Outcome

	buf  []byte // backs the slices above
	next *Transaction
	hash bodyHash

	queued  bool // stands in its session's queue; else it is told and forgotten
	reqOver bool // its request will see no more bytes, complete or not
	late    bool // not queued: its response was seen before it
	hidden  bool // not queued: its request, or its place in the pipeline, is lost
	waits   bool // was queued behind another
}

// Limits on what is kept of a request's words, in bytes.
const (
	MaxTarget = 2048
	MaxHost   = 256
	MaxAgent  = 256
)

// Field is one header field line, borrowed from the head.
type Field struct {
	Name, Value []byte // as sent; Value without surrounding white space
	ID          FieldID
}

// Head is a start line and fields, as sent. It is borrowed: valid until the
// callback that got it returns.
type Head struct {
	Side Side
	Raw  []byte // all of it, with the empty line

	MethodName, Target []byte // requests
	Reason             []byte // responses

	fields []Field
	split  bool  // fields is valid
	form   *form // what heads of its side are like, nil if nothing is known
}

// AnomalyKind names what is wrong on the wire.
type AnomalyKind uint8

// What can be wrong with a message.
const (
	NoAnomaly           AnomalyKind = iota
	BadStartLine                    // RFC 9112 §3, §4
	BadFieldName                    // RFC 9110 §5.1
	SpaceBeforeColon                // RFC 9112 §5.1
	NULByte                         // RFC 9110 §5.5
	BadChunkSize                    // RFC 9112 §7.1
	LFOnly                          // RFC 9112 §2.2
	FoldedField                     // RFC 9112 §5.2
	ConflictingLengths              // RFC 9112 §6.1, §6.3
	BodyNotAllowed                  // RFC 9110 §6.4.1
	ExtraBytes                      // bytes after a message's end that start no message
	UnsolicitedResponse             // a status line with no request outstanding
	HeadTooLong                     // longer than the parser keeps
	BareCR                          // a CR in the head that ends no line, RFC 9112 §2.2
)

// Anomaly is one fault found on the wire.
type Anomaly struct {
	Kind   AnomalyKind
	Side   Side
	At     Mark
	Bytes  []byte // what is wrong, at most 64 bytes, borrowed
	Length int64  // of what is wrong, where that says more
}

// Protocol is what a connection speaks.
type Protocol uint8

// The protocols told apart.
const (
	Undecided Protocol = iota // no or too few bytes yet
	HTTP1
	TLS
	HTTP2     // preface, or after an h2c upgrade
	WebSocket // after 101
	Tunnel    // after a 2xx to CONNECT, or a 101 to something else
	OtherProtocol
)

// Sink is told what a Session finds, in the order of the wire.
type Sink interface {
	// Head is called at the end of each head, interim responses too. The
	// message in t it belongs to is filled in so far.
	Head(h *Head, m *Message, t *Transaction)
	// Done is called once for each transaction.
	Done(t *Transaction)
	// Anomaly is called as faults are met; t is the transaction concerned, or
	// nil.
	Anomaly(a *Anomaly, t *Transaction)
}
