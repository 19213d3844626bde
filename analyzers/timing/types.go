// Package timing follows who waited for whom on a connection, from segments
// and acknowledgements alone.
package timing

import (
	"time"

	"github.com/connlint/connlint/analyzers/http1"
)

// Stall is a message whose next bytes waited for an acknowledgement: its
// sender X wrote First, then nothing until the other side Y's pure ACK
// covered it, then Next.
type Stall struct {
	Sender           http1.Side // X
	First, Ack, Next http1.Mark // Seq is where each segment begins
	FirstLen         int        // payload bytes
	NextLen          int
	MSS              int // effective: least MSS option less the option bytes of data segments; 0 if no SYN was seen

	AckDelay time.Duration // from First to Ack, less the smallest round trip to Y
	Release  time.Duration // from Ack to Next, less the smallest round trip to X
	LegX     time.Duration // smallest round trip from the capture point to X, -1 if unknown
	LegY     time.Duration // to Y
	NoSYN    bool          // the legs come from data only

	Encrypted bool // First and Next are TLS records of one run of X's, contents unknown
	// NagleOff: X once sent a small segment while an earlier small one was
	// not acknowledged.
	NagleOff bool
	// Disturbed: a retransmission or a closed window lies between.
	Disturbed bool
}
