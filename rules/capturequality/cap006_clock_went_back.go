package capturequality

import (
	"fmt"

	"github.com/connlint/connlint/rules"
)

// ClockWentBack notes packets stamped earlier than one before.
var ClockWentBack = &rules.Rule{
	Code: "CAP006",
	Name: "clock-went-back",
	Doc: rules.Doc{
		Title:    "packets are stamped earlier than packets before them",
		Severity: rules.Info,
		Wire:     "A packet's time is before that of the one stored before it: the clock was set, several interfaces or processors were merged, or files were joined out of order.",
		Harm:     "Figures that span the step are wrong by its size. Order is taken from the file and from sequence numbers.",
		Fix:      "sort the file with reordercap; slew the clock (chrony, ntpd) while capturing",
		Confirm:  "Filter frame.time_delta < 0.",
		Silent:   "No packet is earlier than one before.",
		Refs:     []string{"draft-ietf-opsawg-pcap §5"},
	},
	Capture: func(p *rules.Pass, c *rules.CaptureFacts) {
		if c.ClockBack == 0 {
			return
		}
		p.Report(note(c, c.ClockBackFrame, fmt.Sprintf("%s stamped earlier than one before, by %s at most",
			number(c.ClockBack, "packet is", "packets are"), rules.Span(c.ClockBackMax)),
			figure("packets", c.ClockBack), rules.Measure{Name: "max_step_ms", Value: rules.Millis(c.ClockBackMax)}))
	},
}
