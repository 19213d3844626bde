package capturequality

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// OneDirection notes connections of which one side was not seen.
var OneDirection = &rules.Rule{
	Code: "CAP003",
	Name: "one-direction",
	Doc: rules.Doc{
		Title:    "only one direction of connections was captured",
		Severity: rules.Info,
		Wire:     "Segments of one side were captured, and none of the other: the way back takes another path, or the filter names one direction.",
		Harm:     "Who knew what, and when, cannot be told, so most rules do not judge these connections.",
		Fix:      "capture on the host itself, or mirror both directions; use filters without src or dst (tcpdump host A and port 80)",
		Confirm:  "Statistics, Conversations, TCP: one of the two packet counts is 0.",
		Silent:   "At least one segment of each side was captured.",
		Refs:     []string{"RFC 9293 §3.4"},
	},
	Capture: func(p *rules.Pass, c *rules.CaptureFacts) {
		if n, frame := lacking(c, lifecycle.OneDirection); n > 0 {
			p.Report(note(c, frame, fmt.Sprintf("%s of %s captured in one direction only",
				rules.Count(int64(n)), number(c.Connections, "connection was", "connections were")), figure("connections", n)))
		}
	},
}
