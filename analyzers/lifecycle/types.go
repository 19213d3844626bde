// Package lifecycle describes connections: how they opened, what they carried,
// where they idled and how they ended.
package lifecycle

import (
	"net/netip"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/tlsinfo"
	"github.com/connlint/connlint/capture/wire"
)

// Evidence is a set of reasons why something about a connection cannot be
// told.
type Evidence uint16

// What can be missing.
const (
	Gap          Evidence = 1 << iota // bytes the capture lost, or that receivers may read differently (reassembly.Ambiguous)
	SnapCut                           // bytes cut by the snapshot length inside a head or chunk line
	OneDirection                      // nothing seen of one side
	MidStream                         // no SYN: it was open before the capture began
	Encrypted                         // TLS
	BadFraming                        // a message whose end could not be told
	Capped                            // a limit of this program dropped bytes
	numEvidence  = iota
)

// Reasons calls f with the name of each reason in e, as in the "abstained"
// object of the JSON output.
func (e Evidence) Reasons(f func(string)) {
	for i, name := range [numEvidence]string{"gap", "snaplen-cut", "one-direction", "mid-stream", "encrypted",
		"unframed", "buffer-cap"} {
		if e&(1<<i) != 0 {
			f(name)
		}
	}
}

// Mark is one segment as evidence.
type Mark struct {
	Time  int64  // nanoseconds since 1970-01-01 UTC
	Frame uint64 // 0: never seen
	Seq   wire.Seq
	Ack   wire.Seq // valid with HasAck
	// HasAck is the ACK flag: a RST without it acknowledges nothing.
	HasAck bool
}

// Seen reports whether there was such a segment.
func (m *Mark) Seen() bool { return m.Frame != 0 }

// End is one side of a connection.
type End struct {
	ISN  wire.Seq // valid with SYN.Seen()
	SYN  Mark     // its first SYN or SYN-ACK
	SYNs int      // SYNs sent, repeats included

	FIN Mark // first FIN; Seq is the FIN's own sequence number
	// FINAcked is the first segment of the other side that acknowledges it.
	FINAcked Mark
	RST      Mark // first RST that ended or could end the connection
	RSTs     int

	FirstData, LastData Mark // new data only; Seq is where the segment began
	Bytes               int64
	Segments            int64 // all segments but copies
	Retransmits         int64
	LegRTT              time.Duration // smallest time from the capture point to this side and back, -1 if unknown
	MSS                 int           // as this side's SYN offered, 0 if unknown
	Nxt                 wire.Seq      // after the last byte (SYN and FIN counted) this side sent
	// Acked is the highest acknowledgement of this side's bytes seen, ISN if
	// there was none.
	Acked wire.Seq
}

// Exchange is what is remembered of a connection's last answered transaction.
type Exchange struct {
	Index               uint32 // of the transaction
	ReqBits, RespBits   http1.Bits
	ReqStart            http1.Mark // first byte of the request
	ReqEnd              http1.Mark // end of the request
	RespStart           http1.Mark // first byte of the final response
	RespEnd             http1.Mark // end of the final response; Frame 0 if there was no transaction
	KeepAliveTimeout    int32      // seconds the response advertised, -1 if it did not
	KeepAliveMax        int32
	Status              uint16
	ReqVersion, Version uint8 // of request and response: 10, 11
	Framing             http1.Framing
	Method              http1.Method
	// Slowest is the time the server spent on the slowest of the requests
	// pipelined one behind the other up to this one: from the request's end,
	// or that of the response before if it is later, to the response's end.
	Slowest Span
}

// Span is a time that ended with a response's last byte.
type Span struct {
	From, To int64 // capture time
	Frame    uint64
	Index    uint32 // of the transaction
}

// AfterIdle is the first data after at least [MinIdle] in which neither side
// sent any segment, as long as nothing has acknowledged it.
type AfterIdle struct {
	Side        http1.Side // who sent the data
	Idle        time.Duration
	Data        Mark // Frame 0 if there was no such data
	Len         int
	Retransmits int
	LastSent    Mark // the latest retransmission
	// Spoke says that the other side sent anything at all since.
	Spoke bool
}

// Resent is a time in which data was sent again before it was acknowledged.
type Resent struct {
	From, To int64 // capture time: sent first, at the latest, and acknowledged, or else sent last
	Times    int   // repeats, 0 if there was no such time
}

// Unsolicited describes responses that no request was outstanding for.
type Unsolicited struct {
	Count       int        // 0 for none; what follows is about the first
	First, Last http1.Mark // its first byte, and its end as far as it was seen
	Before      Exchange   // the last answered transaction before it
	Bits        http1.Bits
	Status      uint16
}

// MaxLost is how many requests of Conn.Lost are described.
const MaxLost = 16

// Lost is a request that was outstanding when its connection ended.
type Lost struct {
	Index              uint32 // of its transaction
	Method             http1.Method
	MethodName, Target []byte // as sent, borrowed
	Bits               http1.Bits
	First              http1.Mark // first byte of the request
	Answering          bool       // its final response had begun
}

// MinIdle is the shortest silence that AfterIdle looks behind.
const MinIdle = time.Second

// Before is the connection that used the same addresses and ports before.
type Before struct {
	ID       uint64  // 0 for none within the last minutes
	Last     int64   // capture time of its last segment
	TimeWait [2]bool // by http1.Side of the connection now: that host held TIME_WAIT
	Finished bool    // both FINs were seen
}

// Outcome says how a connection ended.
type Outcome uint8

// How a connection can end.
const (
	StillOpen  Outcome = iota // the capture ended first
	Finished                  // FINs of both sides
	HalfClosed                // one FIN when the capture ended
	Reset                     // by RST
	Refused                   // SYN answered by RST
	NoAnswer                  // SYN never answered
	Evicted                   // forgotten by this program: idle too long or over the cap
	Replaced                  // its 4-tuple was used again
)

// Conn is the record of one connection. It is self-contained: it holds no
// reference to the connection's live state.
type Conn struct {
	ID             uint64 // frame number of its first segment: unique in a capture
	Client, Server netip.AddrPort
	ClientKnown    bool // by SYN or by content; else Client is only the sender of the first segment
	Missing        Evidence
	Protocol       http1.Protocol
	TLS            tlsinfo.Summary // valid where Protocol is http1.TLS

	Start, Last int64 // capture time of first and last segment
	// Until is how long the capture looks at the connection: to the capture's
	// own end if it was still followed then, else to Last.
	Until       int64
	LastFrame   uint64
	Established Mark    // the client's first segment after the SYN-ACK
	End         [2]End  // by http1.Side
	Outcome     Outcome // StillOpen while it is
	// First is the side whose FIN or RST came first by causality; valid once
	// a FIN or RST was seen.
	First http1.Side

	Requests, Responses uint32 // begun; interim responses count
	Answered            uint32 // transactions whose final response is complete
	// LastResponse is the end of the last complete final response; Frame 0 if
	// there is none.
	LastResponse http1.Mark
	// LastExchange is the last answered transaction: for rules about a
	// transaction, the one before it.
	LastExchange Exchange
	// LongestIdle is the longest time without any segment.
	LongestIdle time.Duration
	// AfterIdle is the latest data after silence, unless it was acknowledged.
	AfterIdle AfterIdle
	// Resent is the longest time that data was sent again, of those that
	// lasted MinIdle or longer and the one under way.
	Resent      Resent
	Before      Before
	Unsolicited Unsolicited
	// Lost holds the requests outstanding at the end, oldest first, at most
	// MaxLost, and LostCount is how many there were. Lost is borrowed: valid
	// until the function given the record returns. Both are for rules about a
	// connection's end; before that they are incomplete.
	Lost      []Lost
	LostCount int
}

// HoldsTimeWait reports whether that side holds TIME_WAIT after the
// connection's end : it sent a FIN whose acknowledgement does not
// cover the other's FIN, and no RST came before both FINs were acknowledged.
func (c *Conn) HoldsTimeWait(side http1.Side) bool {
	e, o := &c.End[side], &c.End[1-side]
	if !e.FIN.Seen() || !o.FIN.Seen() {
		return false
	}
	for _, r := range [2]*End{e, o} {
		if r.RST.Seen() && !(e.FINAcked.Seen() && o.FINAcked.Seen() &&
			r.RST.Time >= e.FINAcked.Time && r.RST.Time >= o.FINAcked.Time) {
			return false
		}
	}
	return e.FIN.Ack.LessEq(o.FIN.Seq)
}
