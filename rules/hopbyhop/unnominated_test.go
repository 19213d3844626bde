package hopbyhop_test

import (
	"testing"

	"github.com/connlint/connlint/rules/hopbyhop"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestUnnominated(t *testing.T) {
	rulestest.Run(t, hopbyhop.Unnominated, "testdata/unnominated/*.pkt")
}
