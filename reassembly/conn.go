// Package reassembly follows TCP connections through a capture and puts the
// bytes of each direction in order.
//
// # What is delivered
//
// A [Table] takes segments in capture order and tells its [Handler], for every
// connection, of each segment as it is met, then of the bytes that became
// deliverable: in sequence, each byte once, or as an explicit gap. The first
// copy of a byte wins; what overlaps it later, alike or not, is left out and
// counted.
//
// Delivery is causal. Bytes of one side that acknowledge bytes of the other
// wait until those have been delivered, so that a request is always delivered
// before its response however the capture shuffled the packets.
//
// # Holes
//
// A hole that the receiver has acknowledged was lost by the capture, not by
// the network: it is given up after [Patience] of packet time or
// [PatienceSegments] segments and reported as a gap. A hole that nobody
// acknowledged is waited for until a cap is met, the connection ends, or, with
// one direction captured, patience ends too.
//
// # Ambiguity
//
// What a capture holds is not always what the receiver read. The table follows
// one reading, the same every time, and says where there is another:
//
//   - Bytes sent twice with other content: the first copy captured counts. Where
//     the two stand in what is still held back, the later segment is marked
//     [Ambiguous] and counted. Bytes already delivered are not kept to be
//     compared: a receiver that acknowledged them cannot take others, and one
//     that never got them, because the first copy was a decoy, looks the same
//     as any that got a retransmission.
//   - Decoys that do not reach the receiver, or that it drops: by a hop limit
//     too small or a wrong checksum. Neither is looked at. The hop limit where
//     the receiver stands is not known, and checksums of packets captured where
//     they were sent are mostly not yet filled in. A decoy counts as sent.
//   - Urgent bytes stay in line (RFC 6093); a receiver may take one of them out.
//     A segment with the URG flag and bytes is marked Ambiguous.
//   - Bytes in a SYN are delivered at once (RFC 7413). A SYN-ACK that does not
//     take them is marked Ambiguous, as they are sent again, perhaps others.
//   - A RST or a FIN ends nothing unless its sequence number is one the receiver
//     expects: within the window behind what is known to be sent. Others are
//     marked [OutOfWindow], ignored and counted. A RST inside the window ends
//     the connection as of RFC 9293, though a receiver may answer it with a
//     challenge ACK (RFC 5961): if its sender goes on after [Patience], the RST
//     is taken back.
//   - An acknowledgement of bytes that were not seen is believed: captures lose
//     packets more often than anybody forges one. It is marked [AckedUnseen], and
//     the bytes are a gap if they do not come.
//   - Bytes beyond the window, unlike a FIN, are kept while they are at most
//     64 MiB ahead, as the acknowledgement that opened the window may be
//     missing. They hold up nothing: what is before them is delivered as it
//     comes.
//   - A SYN with another ISN begins another connection on the same addresses, as
//     in Wireshark, whether or not the receiver takes it. What the old one still
//     sends is out of window to the new one, if its numbers lie before the new
//     ISN or far behind it.
//
// # Limits
//
// There is no goroutine and no clock here: time is that of the packets. Bytes
// held back are capped per connection and overall, connections are capped in
// number; what a cap costs is counted in [Stats]. What a capture can make the
// table do for a segment is bounded by the pieces held back of one stream, and
// those by the cap for the connection: some thousands.
//
// Connections are found by a hash whose key is drawn anew in each process
// ([wire.Flow.Hash]): nobody can choose connections that share a slot. Nothing
// that is delivered depends on it.
//
// # Memory
//
// Most of many open connections wait for what comes next. With
// [Table.PackAtRest] these are packed into a few hundred bytes each, in memory
// that holds no pointer, and unpacked by their next segment. Nothing that is
// delivered differs by it.
package reassembly

import (
	"github.com/connlint/connlint/capture/wire"
)

// Conn is one TCP connection. It lives in its table; pointers to it are valid
// until the handler's Close returns, or with [Table.PackAtRest] only until the
// handler's function returns.
type Conn[S any] struct {
	Key   wire.Flow // canonical: direction 0 runs from Key.Src to Key.Dst
	flags connFlags
	hash  uint32
	ref   uint32 // its index in the table
	// Last is the latest capture time of its segments, nanoseconds since
	// 1970-01-01 UTC.
	Last      int64
	LastFrame uint64    // frame number of the segment taken last
	Streams   [2]Stream // by direction

	// From here on what not every segment touches.
	Start      int64  // capture time of its first segment
	ID         uint64 // frame number of its first segment
	Prev       Prev   // the connection before it on the same addresses and ports
	endAt      int64  // capture time at which a lingering connection is over
	next, prev uint32 // in the list of lingering connections
	State      S
}

// Prev is what is remembered of the connection that used the same addresses
// and ports before, if it ended recently.
type Prev struct {
	ID   uint64 // frame of its first segment, 0 for none
	Last int64  // capture time of its last segment
	Memo uint8  // what the handler's Close returned
}

type connFlags uint8

const (
	inUse connFlags = 1 << iota
	lingering
	wasReset
	resetBy1 // the RST came in direction 1
)

// Reset reports whether a valid RST ended the connection.
func (c *Conn[S]) Reset() bool { return c.flags&wasReset != 0 }

// Finished reports whether the FINs of both sides were acknowledged.
func (c *Conn[S]) Finished() bool {
	return c.Streams[0].FinAcked() && c.Streams[1].FinAcked()
}

// MidStream reports whether no SYN of the connection was seen.
func (c *Conn[S]) MidStream() bool {
	return c.Streams[0].flags&sawSYN == 0 && c.Streams[1].flags&sawSYN == 0
}

// OneDirection reports whether segments of one direction only were seen.
func (c *Conn[S]) OneDirection() bool {
	return c.Streams[0].flags&sawAny == 0 || c.Streams[1].flags&sawAny == 0
}

// Holding reports whether bytes of the connection wait for others.
func (c *Conn[S]) Holding() bool {
	return c.Streams[0].pend != 0 || c.Streams[1].pend != 0
}

// Stream is what one side sends.
type Stream struct {
	ISN wire.Seq // of its SYN; a guess without SYN()
	// Nxt is the next sequence number to deliver, Max the one after the last
	// byte (SYN and FIN counted) seen, Acked the highest acknowledgement of
	// the other side.
	Nxt, Max, Acked wire.Seq
	// Window is the receive window this side advertised last, in bytes,
	// scaled as far as the scale is known.
	Window uint32
	// MinRTT is the smallest time in nanoseconds from a segment towards this
	// side, at the capture point, to this side's acknowledgement of it; -1
	// while unknown. It is the round trip of the leg to this side.
	MinRTT int64

	probeTime int64 // capture time of the segment being timed, 0 for none
	holeSince int64 // capture time since which bytes before holeEnd were missed, 0 for none
	holeEnd   wire.Seq
	probeEnd  wire.Seq // acknowledgement that ends the timing
	finSeq    wire.Seq

	pend     uint32 // first piece held back, 0 for none
	pendLast uint32 // last piece, valid with pend
	pendCost uint32 // of its pieces

	MSS       uint16 // option of its SYN, 0 without
	holeSegs  uint16 // segments of the connection since holeSince
	OptionLen uint8  // option bytes of its data segments, 0 before the first
	wscale    int8   // shift of its window, -1 unknown
	flags     streamFlags
}

type streamFlags uint8

const (
	sawAny  streamFlags = 1 << iota
	sawSYN              // its SYN or SYN-ACK
	started             // Nxt is valid
	ackable             // Acked is valid
	sawFIN              // finSeq is valid
	scaled              // both SYNs carried the window scale option
	based               // ISN is known or guessed
	probed              // its first segment was empty, and no SYN: perhaps a keep-alive
)

// SYN reports whether the side's SYN was seen.
func (s *Stream) SYN() bool { return s.flags&sawSYN != 0 }

// Seen reports whether any segment of the side was seen.
func (s *Stream) Seen() bool { return s.flags&sawAny != 0 }

// FIN reports whether the side's FIN was seen, and its sequence number.
func (s *Stream) FIN() (wire.Seq, bool) { return s.finSeq, s.flags&sawFIN != 0 }

// FinAcked reports whether the other side acknowledged the side's FIN.
func (s *Stream) FinAcked() bool {
	return s.flags&(sawFIN|ackable) == sawFIN|ackable && s.finSeq.Less(s.Acked)
}

// Acknowledged reports whether the other side has acknowledged all before seq.
func (s *Stream) Acknowledged(seq wire.Seq) bool {
	return s.flags&ackable != 0 && seq.LessEq(s.Acked)
}

// InFlight returns how many bytes of the side are sent and not covered by an
// acknowledgement seen at the capture point.
func (s *Stream) InFlight() int {
	if s.flags&ackable == 0 {
		return 0
	}
	return max(0, s.Max.Sub(s.Acked))
}

// Kind says what a segment is to its connection.
type Kind uint16

// What a segment can be. More than one may hold.
const (
	NewData         Kind = 1 << iota // carries bytes not seen before
	Retransmission                   // carries bytes seen before, none new
	Overlap                          // carries both
	OutOfOrder                       // its bytes were expected later, or fill an earlier hole
	KeepAlive                        // 0 or 1 byte at snd.nxt − 1 (RFC 9293 §3.8.4)
	ZeroWindowProbe                  // at most 1 byte into a closed window (RFC 9293 §3.8.6.1)
	PureACK                          // no data, SYN, FIN or RST
	DuplicateACK                     // a pure ACK that says nothing new
	WindowUpdate                     // a pure ACK that only moves the window
	NewFIN                           // the side's first FIN
	ValidRST                         // a RST that ends the connection
	OutOfWindow                      // cannot belong to the stream; ignored
	AckedUnseen                      // acknowledges bytes beyond all that the capture has seen
	First                            // the connection's first segment
	Ambiguous                        // makes it a matter of the receiver which bytes it reads: see the package's text on ambiguity
)

// Has reports whether all of m holds.
func (k Kind) Has(m Kind) bool { return k&m == m }

// Any reports whether any of m holds.
func (k Kind) Any(m Kind) bool { return k&m != 0 }

// Span is a run of a stream's bytes that one segment carried.
type Span struct {
	Bytes []byte // borrowed until the handler returns
	Time  int64  // capture time of the segment, nanoseconds since 1970-01-01 UTC
	Frame uint64
	Seq   wire.Seq // of Bytes[0]
	Ack   wire.Seq // that the segment carried
}

// Gap is a run of a stream's bytes that the capture does not hold.
type Gap struct {
	Len int
	Cut bool // removed by the snapshot length; else lost to the capture
	// Time and Frame are those of the segment at which the gap was given up,
	// or that was cut.
	Time  int64
	Frame uint64
	Seq   wire.Seq // of the first byte missing
	Ack   wire.Seq // that the segment carried, where it was cut
}

// CloseReason says why a table lets go of a connection.
type CloseReason uint8

// The reasons.
const (
	Ended       CloseReason = iota // FINs of both sides acknowledged, or RST
	TupleReused                    // its addresses and ports began another connection
	IdleTooLong                    // Options.IdleTimeout
	TableFull                      // Options.MaxConns
	CaptureEnded
)

// Handler is told what happens on connections. Direction d is that of the
// segment or bytes along c.Key.
type Handler[S any] interface {
	// Segment is called for each segment in capture order, before the bytes
	// it makes deliverable. The streams already count its acknowledgement and
	// window, not yet its bytes and FIN.
	Segment(c *Conn[S], d wire.Dir, s *Segment, k Kind)
	// Data is called for bytes in sequence.
	Data(c *Conn[S], d wire.Dir, s *Span)
	// Gap is called in sequence for bytes that will not come.
	Gap(c *Conn[S], d wire.Dir, g *Gap)
	// FIN is called when all before a side's FIN was delivered.
	FIN(c *Conn[S], d wire.Dir, s *Span)
	// Close is called once, last. What it returns is kept for the next
	// connection on the same addresses and ports.
	Close(c *Conn[S], why CloseReason) (memo uint8)
}
