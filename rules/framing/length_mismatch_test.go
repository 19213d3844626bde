package framing_test

import (
	"testing"

	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestLengthMismatch(t *testing.T) {
	rulestest.Run(t, framing.LengthMismatch, "testdata/length_mismatch/*.pkt")
}
