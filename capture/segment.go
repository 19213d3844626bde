package capture

import "github.com/connlint/connlint/capture/wire"

// Segment is one validated TCP segment. Payload and Options are borrowed from
// the packet it was decoded from and live as long as its bytes do; those of a
// packet that came in fragments are in memory of their own, left to the garbage
// collector.
type Segment struct {
	Time  int64  // capture time, nanoseconds since 1970-01-01 UTC
	Frame uint64 // frame number of the packet (of the last fragment, if it came in several)
	Flow  wire.Flow
	Hash  uint64 // Flow.Hash(): differs between processes

	Seq    wire.Seq
	Ack    wire.Seq // valid with the ACK flag
	Len    int      // payload bytes on the wire; more than len(Payload) where the capture cut the packet
	Window uint16   // as sent, unscaled
	ID     uint16   // IPv4 identification, 0 for IPv6
	Flags  wire.Flags

	// Now is the latest capture time up to this packet: a clock that never
	// runs back, the same for every shard. Set by who hands segments out.
	Now int64
	// Came is the capture time that has surely come, as Now for the rest: two
	// packets in a row were stamped so late, where a single one may carry any
	// time. 0 if not set.
	Came int64
	// Twin says that the connection repeats another one on the far side of an
	// address translator. Set by who hands segments out, once.
	Twin bool

	Payload []byte
	Options []byte // TCP options, bounds not yet proven; may be cut by the snapshot length
}

// End returns the sequence number after the segment, SYN and FIN counted
// (RFC 9293 §3.4).
func (s *Segment) End() wire.Seq {
	n := s.Len
	if s.Flags&wire.SYN != 0 {
		n++
	}
	if s.Flags&wire.FIN != 0 {
		n++
	}
	return s.Seq.Add(n)
}

// Reason says why a packet yielded no TCP segment.
type Reason uint8

// Reasons for a packet to be left out. The zero Reason means none.
const (
	None          Reason = iota
	NotIP                // ARP, LLDP, 802.3 without IP, ...
	NotTCP               // IP with another protocol and no tunnel we open
	Fragment             // part of an IP packet that became whole later, or still may
	FragmentLost         // fragments given up: incomplete, contradicting each other or over the cap
	Truncated            // cut by the snapshot length: the TCP header's fixed part is not all there, or it is a fragment
	Malformed            // a length or version that contradicts the packet
	UnknownLink          // link type we cannot decode
	TunnelTooDeep        // more encapsulations than we follow
	Copy                 // the same packet seen twice (see Copies; the decoder sees it of fragments)
	numReasons
)

// String names the reason as in the "skipped" object of the JSON output.
func (r Reason) String() string {
	return [...]string{"none", "not-ip", "not-tcp", "fragment", "fragment-lost", "truncated", "malformed",
		"unknown-link-type", "tunnel-too-deep", "copy"}[r]
}

// Skipped counts packets left out, by reason.
type Skipped [numReasons]uint64

// Reasons calls f for each reason with a count, in a fixed order.
func (s *Skipped) Reasons(f func(Reason, uint64)) {
	for r, n := range s {
		if n > 0 && Reason(r) != None {
			f(Reason(r), n)
		}
	}
}
