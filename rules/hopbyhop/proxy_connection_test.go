package hopbyhop_test

import (
	"testing"

	"github.com/connlint/connlint/rules/hopbyhop"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestProxyConnection(t *testing.T) {
	rulestest.Run(t, hopbyhop.ProxyConnection, "testdata/proxy_connection/*.pkt")
}
