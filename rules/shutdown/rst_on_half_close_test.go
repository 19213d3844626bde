package shutdown_test

import (
	"testing"

	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/shutdown"
)

func TestRSTOnHalfClose(t *testing.T) {
	rulestest.Run(t, shutdown.RSTOnHalfClose, "testdata/rst_on_half_close/*.pkt")
}
