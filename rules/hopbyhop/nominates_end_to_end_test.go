package hopbyhop_test

import (
	"testing"

	"github.com/connlint/connlint/rules/hopbyhop"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestNominatesEndToEnd(t *testing.T) {
	rulestest.Run(t, hopbyhop.NominatesEndToEnd, "testdata/nominates_end_to_end/*.pkt")
}
