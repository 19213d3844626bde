package latency_test

import (
	"testing"

	"github.com/connlint/connlint/rules/latency"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestNagleDelayedACK(t *testing.T) {
	rulestest.Run(t, latency.NagleDelayedACK, "testdata/nagle_delayed_ack/*.pkt")
}
