package hopbyhop_test

import (
	"testing"

	"github.com/connlint/connlint/rules/hopbyhop"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestBlindRelay(t *testing.T) {
	rulestest.Run(t, hopbyhop.BlindRelay, "testdata/blind_relay/*.pkt")
}
