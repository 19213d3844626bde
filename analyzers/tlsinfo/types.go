// Package tlsinfo reads what TLS shows without keys: who was asked for, what
// was agreed, whether a session was resumed, how long the handshake took, and
// where records begin and end. Contents are never guessed at, and bytes that
// the capture lost leave unknown what they would have told.
package tlsinfo

import (
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/capture/wire"
)

// Protocol versions as on the wire.
const (
	VersionTLS12 = 0x0303
	VersionTLS13 = 0x0304
)

// Handshake is a kind of handshake.
type Handshake uint8

// The kinds. A full handshake proves the server's identity and agrees on new
// secrets; a resumed one goes on with those of an earlier connection.
const (
	UnknownHandshake Handshake = iota
	Full
	Resumed
)

// Offer says whether a client offered a session to resume.
type Offer uint8

// What can be told of an offer.
const (
	OfferUnknown Offer = iota
	NotOffered
	Offered
)

// Notify says whether a side announced the end of what it sends.
type Notify uint8

// What can be told of the announcement.
const (
	NotifyUnknown Notify = iota
	Notified             // close_notify or another alert that ends the connection
	NotNotified          // nothing sent so far can be an alert
)

// Summary is what a connection showed of TLS. It holds no reference to the
// connection's state.
type Summary struct {
	SNI     string // host name the client asked for, "" if none or unknown
	ALPN    string // protocol the server chose, "" if none or hidden, as from TLS 1.3 on
	Version uint16 // agreed version, 0 while unknown

	OffersH2, OffersHTTP1 bool // the client's ALPN

	Handshake Handshake
	Offer     Offer
	Retried   bool // by a HelloRetryRequest
	// Start is the first byte of the ClientHello. Done is the segment that
	// completed the handshake: that of the later Finished, or from TLS 1.3 on
	// of the client's first encrypted record that answers the ServerHello
	// (RFC 8446 §2); Seq is where the record begins. Frame is 0 for what was
	// not seen.
	Start, Done http1.Mark

	Notify [2]Notify // by http1.Side
	// Next is the sequence number up to which the side's records are known,
	// valid where Notify is.
	Next [2]wire.Seq
}

// HTTP2 reports whether the connection speaks HTTP/2: it was chosen, or it is
// all that the client of a completed handshake offered where the choice is
// encrypted.
func (s *Summary) HTTP2() bool {
	if s.Version < VersionTLS13 {
		return s.ALPN == "h2"
	}
	return s.OffersH2 && !s.OffersHTTP1 && s.Done.Frame != 0
}

// MayBeHTTP2 reports whether HTTP/2 cannot be ruled out: the client offered
// it, and the choice is encrypted or unknown.
func (s *Summary) MayBeHTTP2() bool {
	return s.HTTP2() || s.OffersH2 && (s.Version == 0 || s.Version >= VersionTLS13)
}

// Time returns how long the handshake took at the capture point, 0 if its
// beginning or end was not seen.
func (s *Summary) Time() time.Duration {
	if s.Start.Frame == 0 || s.Done.Frame == 0 {
		return 0
	}
	return time.Duration(s.Done.Time - s.Start.Time)
}
