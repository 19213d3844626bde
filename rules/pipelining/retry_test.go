package pipelining_test

import (
	"testing"
	"time"

	"github.com/connlint/connlint/rules/pipelining"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestRetry(t *testing.T) {
	rulestest.Run(t, pipelining.Retry, "testdata/retry/*.pkt")
}

func TestRetriesLaws(t *testing.T) {
	rulestest.Laws(t, pipelining.Retries{Keys: 1, PerKey: 4, Within: time.Second, Noticed: time.Millisecond}, sent())
}
