package framing_test

import (
	"testing"

	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestUnsolicited(t *testing.T) {
	rulestest.Run(t, framing.Unsolicited, "testdata/unsolicited_response/*.pkt")
}
