package capturequality

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// MidStream notes connections that were open before the capture began.
var MidStream = &rules.Rule{
	Code: "CAP004",
	Name: "mid-stream",
	Doc: rules.Doc{
		Title:    "connections were already open when the capture began",
		Severity: rules.Info,
		Wire:     "Segments belong to a connection whose SYN was not captured.",
		Harm:     "Round trip, segment size, window scale and what was outstanding at the start are unknown. Rules that need them do not judge these connections.",
		Fix:      "start the capture before the traffic, or close the clients' pools once it runs",
		Confirm:  "Statistics, Conversations, TCP, against the filter tcp.flags.syn == 1.",
		Silent:   "The SYN or SYN-ACK of every connection was captured.",
		Refs:     []string{"RFC 9293 §3.5"},
	},
	Capture: func(p *rules.Pass, c *rules.CaptureFacts) {
		if n, frame := lacking(c, lifecycle.MidStream); n > 0 {
			p.Report(note(c, frame, fmt.Sprintf("%s of %s open before the capture began",
				rules.Count(int64(n)), number(c.Connections, "connection was", "connections were")), figure("connections", n)))
		}
	},
}
