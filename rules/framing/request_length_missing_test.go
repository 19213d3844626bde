package framing_test

import (
	"testing"

	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestRequestLengthMissing(t *testing.T) {
	rulestest.Run(t, framing.RequestLengthMissing, "testdata/request_length_missing/*.pkt")
}
