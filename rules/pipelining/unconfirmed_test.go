package pipelining_test

import (
	"testing"

	"github.com/connlint/connlint/rules/pipelining"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestUnconfirmed(t *testing.T) {
	rulestest.Run(t, pipelining.Unconfirmed, "testdata/unconfirmed/*.pkt")
}
