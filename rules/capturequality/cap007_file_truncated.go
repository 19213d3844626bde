package capturequality

import (
	"fmt"

	"github.com/connlint/connlint/rules"
)

// FileTruncated notes a file that ends inside a record.
var FileTruncated = &rules.Rule{
	Code: "CAP007",
	Name: "file-truncated",
	Doc: rules.Doc{
		Title:    "the capture file ends inside a record",
		Severity: rules.Info,
		Wire:     "The last record is shorter than its header says: the capturing program was killed, the disk was full, or a copy stopped half-way.",
		Harm:     "All before the cut was read. Connections open then look as if the capture had ended there.",
		Fix:      "end tcpdump with SIGINT or SIGTERM and wait for it; -U writes each packet as it comes",
		Confirm:  "capinfos says that the file appears to have been cut short.",
		Silent:   "The file ends at the end of a record.",
		Refs:     []string{"draft-ietf-opsawg-pcap §5"},
	},
	Capture: func(p *rules.Pass, c *rules.CaptureFacts) {
		if !c.Cut {
			return
		}
		reason := c.CutReason
		if reason == "" {
			reason = "the file ends inside a record"
		}
		p.Report(note(c, c.CutFrame, fmt.Sprintf("%s, after %s", reason, number(c.Packets, "packet", "packets"))))
	},
}
