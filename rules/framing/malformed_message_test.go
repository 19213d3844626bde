package framing_test

import (
	"testing"

	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestMalformed(t *testing.T) {
	rulestest.Run(t, framing.Malformed, "testdata/malformed_message/*.pkt")
}
