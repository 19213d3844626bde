package capturequality

import (
	"fmt"

	"github.com/connlint/connlint/rules"
)

// KernelDrops notes packets that the capturing kernel says it dropped.
var KernelDrops = &rules.Rule{
	Code: "CAP005",
	Name: "kernel-drops",
	Doc: rules.Doc{
		Title:    "the kernel or the interface dropped packets during the capture",
		Severity: rules.Info,
		Wire:     "The counters of the capture socket, or the interface statistics in the file, say that packets were dropped before they could be stored.",
		Harm:     "Any connection may miss segments. Where acknowledgements give it away, CAP001 says so; drops of pure ACKs leave no trace.",
		Fix:      "a larger capture buffer (tcpdump -B 65536), a filter, a smaller snapshot length, or a faster disk",
		Confirm:  "capinfos -d, or Statistics, Capture File Properties, \"Dropped packets\".",
		Silent:   "The counters are 0 or the file has none.",
		Refs:     []string{"draft-ietf-opsawg-pcapng §4.6"},
	},
	Capture: func(p *rules.Pass, c *rules.CaptureFacts) {
		if c.Dropped == 0 {
			return
		}
		p.Report(note(c, 0, fmt.Sprintf("%s dropped by the capturing kernel or interface, beside %s captured",
			number(c.Dropped, "packet was", "packets were"), rules.Count(int64(c.Packets))), figure("dropped_packets", c.Dropped)))
	},
}
