package framing_test

import (
	"testing"

	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestBodyNotAllowed(t *testing.T) {
	rulestest.Run(t, framing.BodyNotAllowed, "testdata/body_not_allowed/*.pkt")
}
