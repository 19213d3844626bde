package framing_test

import (
	"testing"

	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestTruncatedChunked(t *testing.T) {
	rulestest.Run(t, framing.TruncatedChunked, "testdata/truncated_chunked/*.pkt")
}
