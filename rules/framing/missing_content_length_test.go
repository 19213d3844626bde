package framing_test

import (
	"testing"

	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestMissingContentLength(t *testing.T) {
	rulestest.Run(t, framing.MissingContentLength, "testdata/missing_content_length/*.pkt")
}
