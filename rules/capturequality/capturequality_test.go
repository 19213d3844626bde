package capturequality_test

import (
	"strings"
	"testing"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/capturequality"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestCaptureQuality(t *testing.T) {
	for _, r := range []*rules.Rule{
		capturequality.CaptureGap, capturequality.SnaplenCut, capturequality.OneDirection, capturequality.MidStream,
		capturequality.KernelDrops, capturequality.ClockWentBack, capturequality.FileTruncated,
	} {
		t.Run(r.Name, func(t *testing.T) {
			rulestest.Run(t, r, "testdata/"+strings.ToLower(r.Code)+"*.pkt")
		})
	}
}
