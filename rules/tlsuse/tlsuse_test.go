package tlsuse_test

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/tlsinfo"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/tlsuse"
)

func TestFullHandshakeRepeated(t *testing.T) {
	rulestest.Run(t, tlsuse.FullHandshakeRepeated, "testdata/full_handshake_repeated/*.pkt")
}

func TestCloseWithoutNotify(t *testing.T) {
	rulestest.Run(t, tlsuse.CloseWithoutNotify, "testdata/close_without_notify/*.pkt")
}

func TestRepeatsLaws(t *testing.T) {
	conns := rapid.Custom(func(t *rapid.T) *lifecycle.Conn {
		frame := rapid.Uint64Range(1, 1000).Draw(t, "frame")
		at := int64(frame) * int64(time.Millisecond)
		return &lifecycle.Conn{Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:443"), ClientKnown: true,
			Protocol: http1.TLS, TLS: tlsinfo.Summary{SNI: "shop.test", Version: tlsinfo.VersionTLS13,
				Handshake: tlsinfo.Full + tlsinfo.Handshake(frame&1), Offer: tlsinfo.Offer(frame % 3),
				Start: http1.Mark{Time: at, Frame: frame}, Done: http1.Mark{Time: at + int64(frame), Frame: frame + 3}}}
	})
	rulestest.Laws(t, tlsuse.Repeats{}, conns)
}
