package framing_test

import (
	"testing"

	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestConflictingLength(t *testing.T) {
	rulestest.Run(t, framing.ConflictingLength, "testdata/conflicting_length/*.pkt")
}
