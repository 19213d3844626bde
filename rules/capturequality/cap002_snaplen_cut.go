package capturequality

import (
	"fmt"

	"github.com/connlint/connlint/rules"
)

// SnaplenCut notes packets that were stored in part.
var SnaplenCut = &rules.Rule{
	Code: "CAP002",
	Name: "snaplen-cut",
	Doc: rules.Doc{
		Title:    "packets were cut by the snapshot length",
		Severity: rules.Info,
		Wire:     "The capture stored only the first bytes of long packets, so parts of heads and bodies are missing from it, though not from the connection.",
		Harm:     "Cut bodies do not matter, cut heads do: fields beyond the cut are unknown, and so is how the body ends.",
		Fix:      "capture whole packets: tcpdump -s 0 (the default of current versions)",
		Confirm:  "Filter frame.cap_len < frame.len.",
		Silent:   "Every packet was stored whole.",
		Refs:     []string{"draft-ietf-opsawg-pcap §5"},
	},
	Capture: func(p *rules.Pass, c *rules.CaptureFacts) {
		if c.SnapCut == 0 {
			return
		}
		p.Report(note(c, c.SnapCutFrame, fmt.Sprintf("%s cut by the snapshot length",
			number(c.SnapCut, "packet was", "packets were")), figure("cut_packets", c.SnapCut)))
	},
}
