// Package rules says what a rule is: a code, a document and pure functions
// from facts to findings. The analyzers say what happened; a rule says whether
// that is bad.
//
// A rule holds no state, no lock and no clock. What it must remember about one
// connection an analyzer remembers for it; what it must remember across
// connections stands in an [Aggregate].
package rules

import (
	"net/netip"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
)

// Severity is harm.
type Severity uint8

// The severities: Error for a request or response lost, doubled, cut or open
// to misreading, or ports that ran out; Warning for time or sockets wasted, or
// a rule broken that will lose something under other timing; Info for what is
// worth knowing.
const (
	Info Severity = iota
	Warning
	Error
)

// String returns "info", "warning" or "error".
func (s Severity) String() string { return [...]string{"info", "warning", "error"}[s] }

// Rule is one entry of the catalogue.
type Rule struct {
	Code string // "LAT001"
	Name string // "nagle-delayed-ack"
	Doc  Doc
	// Needs is the evidence without which a connection cannot be judged: a
	// connection that lacks some of it is counted as not judged, unless the
	// rule found something on it all the same. The rule itself decides what
	// it can still tell.
	Needs lifecycle.Evidence
	// TLS keeps the rule to connections that speak TLS: no others count as not
	// judged.
	TLS bool
	// Absence says that the rule finds that packets did not come. Findings about
	// no more connections than the capture dropped packets are left out.
	Absence bool
	// Off keeps the rule out unless it is selected by code or name.
	Off bool

	// What the rule listens to; nil for nothing. Each fact is borrowed: valid
	// until the function returns.

	// Head is called for every message head, interim responses too, that has one
	// of HeadBits or of HeadOdd; with neither, for all heads.
	Head     func(*Pass, *http1.Head, *http1.Message, *http1.Transaction)
	HeadBits http1.Bits
	HeadOdd  Odd
	// Transaction is called once for each transaction, at its end, that has one
	// of Odd; 0 stands for all transactions.
	Transaction func(*Pass, *http1.Transaction)
	Odd         Odd
	// Anomaly is called for faults of message syntax and framing; the
	// transaction may be nil.
	Anomaly func(*Pass, *http1.Anomaly, *http1.Transaction)
	// Stall is called for waits inside a message.
	Stall func(*Pass, *timing.Stall, *http1.Transaction)
	// Turn is called for runs of client data followed by server data that have
	// one of TurnOdd; 0 stands for all.
	Turn    func(*Pass, *timing.Turn)
	TurnOdd Odd
	// Window is called when a receive window that was closed opens, or at the
	// connection's end; inside says that the sender was in the middle of a
	// message, and the transaction, which may be nil, is that one.
	Window func(p *Pass, w *timing.Closure, inside bool, t *http1.Transaction)
	// Closed is called once for each connection, at its end or at that of the
	// capture, after its transactions.
	Closed func(*Pass, *lifecycle.Conn)
	// Capture is called once, after all connections.
	Capture func(*Pass, *CaptureFacts)
	// Group returns the rule's aggregate across connections.
	Group func(*Config) Grouping
}

// Silent says when the rule keeps quiet.
func (r *Rule) Silent() string {
	if r.Absence {
		return r.Doc.Silent + " The capture is known to have dropped as many packets as there are connections at fault, or more."
	}
	return r.Doc.Silent
}

// Doc is a rule's document.
type Doc struct {
	Title    string   // the fault in one line, lower case, no full stop
	Severity Severity // the usual one
	Wire     string   // what happens on the wire
	Harm     string   // why it hurts
	Fix      string   // what to change, in a line
	Fixes    []Fix    // how, program by program
	Confirm  string   // a Wireshark display filter or steps that show it
	Silent   string   // when the rule keeps quiet
	Refs     []string // "RFC 9293 §3.6.1"
}

// Fix is how one program is set right.
type Fix struct {
	Program string // "nginx", "Java", ...
	Text    string
}

// CaptureFacts are totals of one capture.
type CaptureFacts struct {
	Packets, Bytes      uint64
	First, Last         int64 // capture time of first and last packet
	Dropped             uint64
	ClockBack           uint64 // packets with an earlier time than one before
	ClockBackFrame      uint64 // the first of them
	ClockBackMax        int64  // largest step back, nanoseconds
	SnapCut             uint64 // packets cut by the snapshot length
	SnapCutFrame        uint64 // first of them
	Gaps                uint64 // holes in streams that the capture lost
	GapBytes            uint64
	GapFrame            uint64                        // first frame after a hole
	Connections         uint64                        // TCP connections
	MissingConns        map[lifecycle.Evidence]uint64 // connections by what each lacks
	FirstMissing        map[lifecycle.Evidence]uint64 // by single bit: first frame of a connection that lacks it
	CutFrame            uint64                        // file ends inside the record after this frame; valid with Cut
	Cut                 bool
	CutReason           string
	HTTPConns, TLSConns uint64
	Servers             map[netip.Addr]bool // hosts that answered HTTP requests
}

// Finding is one fault found, with its evidence.
type Finding struct {
	Severity Severity
	Frames   []uint64 // evidence, the telling frame first: it is the finding's line
	Time     int64    // capture time in nanoseconds since 1970-01-01 UTC
	Conn     uint64   // first frame of the connection, 0 for none
	Conns    int      // connections it is about; 0 stands for 1

	Subject // what it is about

	Message string // one sentence of what happened, no full stop
	// Say makes the Message, where a rule may find the same very often: it is
	// called before Report returns, if at all. Of alike findings one is told.
	Say      func() string
	Fix      string    // one sentence of what to change; the rule's Doc.Fix if empty
	Side     string    // at fault: "client", "server", "proxy", "network", "capture"
	Unsure   bool      // the same traffic, recorded again, may show the other side: the fingerprint has none
	Measured []Measure // figures with units
	Refs     []string  // the rule's Doc.Refs if nil

	Cost  int64  // what it cost in nanoseconds, for sorting and sums; 0 if it has no time
	Cause uint64 // frame of the event on the wire that caused it, 0 if it has none: findings of one connection with one cause compete
	Shape string // more of the fingerprint than subject and side, e.g. a field's name
	Once  bool   // at most one finding of this rule a connection
	// Covers lists connections, by first frame and in ascending order, that a
	// finding across connections explains: what the rules that this one
	// silences found on them is left out.
	Covers []uint64
	// Provisional says that the rule's aggregate has the last word: the
	// finding competes for its connection's causes as any other, unless Judge
	// withdraws it. The rule has a Group.
	Provisional bool
}

// Measure is a measured figure.
type Measure struct {
	Name  string // with its unit: "ack_delay_ms"
	Value float64
	Sum   bool // adds up over occurrences
}
