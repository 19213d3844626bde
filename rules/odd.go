package rules

import (
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
)

// Odd says in what a transaction, a head or a turn is unlike most. It is told
// once, so that the rules that look for such ones are not asked about each.
type Odd uint16

// What a transaction may be.
const (
	NotAnswered Odd = 1 << iota // its outcome is not Answered
	InPipeline                  // its request has the bit Pipelined, or was sent behind another
	Expecting                   // its request has the bit HasExpect100
	OldRequest                  // its request is of HTTP/1.0
	ToTheClose                  // its response is framed by the close
	ResetStatus                 // its response is a 205
	AfterClose                  // of the last answered transaction either side had said close
	AfterOld                    // either side of that was HTTP/1.0
	AfterLimit                  // the response of that told how long the server waits
	Any         Odd = 1 << 15   // every one is
)

// What a head may be.
const (
	Lengthless Odd = 1 << iota // a request of a method that carries content, and no length
	IdleLength                 // a response with a length that does not frame it
)

// What a turn may be; any is Any.
const (
	Unreplied Odd = 1 << iota // the server sent nothing
	InFlights                 // its response came in several flights
)

// OddTurnOf returns what a turn is.
func OddTurnOf(t *timing.Turn) Odd {
	o := Any
	if t.RespFirst.Frame == 0 {
		o |= Unreplied
	}
	if t.Flights > 1 {
		o |= InFlights
	}
	return o
}

// OddHeadOf returns what a head is.
func OddHeadOf(side http1.Side, m *http1.Message, t *http1.Transaction) Odd {
	length := m.Bits.Any(http1.HasContentLength | http1.HasTransferEncoding)
	if side == http1.Server {
		if length && m.Framing != http1.Length && m.Framing != http1.Chunked {
			return IdleLength
		}
		return 0
	}
	if !length && (t.Method == http1.POST || t.Method == http1.PUT || t.Method == http1.PATCH) {
		return Lengthless
	}
	return 0
}

// OddOf returns what t is. last is the last answered transaction before it, as
// in its connection's record.
func OddOf(t *http1.Transaction, last *lifecycle.Exchange) Odd {
	o := Any
	if t.Outcome != http1.Answered {
		o |= NotAnswered
	}
	if t.Req.Bits.Any(http1.Pipelined) || t.Behind.Frame|t.BehindUnsafe.Frame != 0 {
		o |= InPipeline
	}
	if t.Req.Bits.Any(http1.HasExpect100) {
		o |= Expecting
	}
	if t.Req.Version < 11 {
		o |= OldRequest
	}
	if t.Resp.Framing == http1.UntilClose {
		o |= ToTheClose
	}
	if t.Resp.Status == 205 {
		o |= ResetStatus
	}
	if last.RespEnd.Frame == 0 {
		return o
	}
	if (last.ReqBits | last.RespBits).Any(http1.ConnClose) {
		o |= AfterClose
	}
	if last.Version < 11 || last.ReqVersion < 11 {
		o |= AfterOld
	}
	if last.KeepAliveTimeout >= 0 {
		o |= AfterLimit
	}
	return o
}
