package keepalive_test

import (
	"testing"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/keepalive"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestRules(t *testing.T) {
	for _, tt := range []struct {
		rule *rules.Rule
		dir  string
	}{
		{keepalive.Race, "keep_alive_race"},
		{keepalive.WriteAfterFIN, "write_after_fin"},
		{keepalive.IdleTimeoutMismatch, "idle_timeout_mismatch"},
		{keepalive.AdvertisedTimeoutBroken, "advertised_timeout_broken"},
		{keepalive.CloseNotSignalled, "close_not_signalled"},
		{keepalive.HTTP10Unconfirmed, "http10_unconfirmed"},
		{keepalive.RequestAfterClose, "request_after_close"},
		{keepalive.CloseNotHonoured, "close_not_honoured"},
		{keepalive.LastRequestWithoutClose, "last_request_without_close"},
		{keepalive.HTTP10ProxyClient, "http10_proxy_client"},
		{keepalive.ThinMargin, "thin_margin"},
	} {
		t.Run(tt.rule.Code, func(t *testing.T) { rulestest.Run(t, tt.rule, "testdata/"+tt.dir+"/*.pkt") })
	}
}
