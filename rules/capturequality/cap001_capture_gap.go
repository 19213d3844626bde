package capturequality

import (
	"fmt"

	"github.com/connlint/connlint/rules"
)

// CaptureGap notes bytes that were acknowledged but never captured.
var CaptureGap = &rules.Rule{
	Code: "CAP001",
	Name: "capture-gap",
	Doc: rules.Doc{
		Title:    "the capture misses bytes that the receiver got",
		Severity: rules.Info,
		Wire:     "An acknowledgement covers bytes that no captured packet holds: they went by while the capture was not looking.",
		Harm:     "What lay in the hole is unknown, and after it requests and responses must be found anew. Rules that need those bytes do not judge these connections.",
		Fix:      "capture with a larger buffer and a filter, or closer to the host: tcpdump -B 65536, a snapshot length of a few hundred bytes, no writing to a slow disk",
		Confirm:  "Filter tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment.",
		Silent:   "Missing bytes were sent again and captured then, or nobody acknowledged them.",
		Refs:     []string{"RFC 9293 §3.4"},
	},
	Capture: func(p *rules.Pass, c *rules.CaptureFacts) {
		if c.Gaps == 0 {
			return
		}
		p.Report(note(c, c.GapFrame, fmt.Sprintf("%s, %s in all, in the captured streams",
			number(c.Gaps, "hole", "holes"), number(c.GapBytes, "byte", "bytes")),
			figure("gaps", c.Gaps), figure("gap_bytes", c.GapBytes)))
	},
}
