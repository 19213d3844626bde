package pipelining_test

import (
	"testing"

	"github.com/connlint/connlint/rules/pipelining"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestNonIdempotent(t *testing.T) {
	rulestest.Run(t, pipelining.NonIdempotent, "testdata/non_idempotent/*.pkt")
}
