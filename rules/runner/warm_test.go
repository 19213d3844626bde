package runner

import (
	"testing"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
)

// warmed is a connection that is used again and again, with nothing amiss.
// What rules keep of a pair is bounded: it takes some ten thousand
// transactions until it is all there.
const warmed = `
conn 10.0.0.1:40000 > 10.0.0.2:80 ts
+0 handshake
repeat 30000
+1ms > P "GET /v1/items HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: test/1\r\nAccept: application/json\r\nX-Request-Id: 0123456789\r\nCookie: id=0123456789\r\n\r\n"
+1ms < P "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n" len=400
+1ms > P "POST /v1/items HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: test/1\r\nContent-Length: 4\r\n\r\nbody"
+1ms < P "HTTP/1.1 201 Created\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nKeep-Alive: timeout=60\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
end
`

// TestNoAllocations feeds segments to a shard that runs every rule.
func TestNoAllocations(t *testing.T) {
	s, err := script.Parse("warmed", warmed)
	if err != nil {
		t.Fatal(err)
	}
	opts := &Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults()}
	j := newJudge(opts, 1)
	j.table = reassembly.NewTable(j.track, reassembly.DefaultOptions())
	j.table.PackAtRest(j.track.Pack, j.track.Unpack)

	src := s.Source(1 << 20)
	dec := capture.NewDecoder(capture.DecoderOptions{})
	var p capture.Packet
	var seg capture.Segment
	feed := func(packets int) {
		for range packets {
			if err := src.Next(&p); err != nil {
				t.Fatal(err)
			}
			if dec.Decode(&p, &seg) {
				j.table.Feed(&seg)
			}
		}
	}
	feed(3 + 4*27_000)
	const transactions = 100
	if n := testing.AllocsPerRun(20, func() { feed(2 * transactions) }); n != 0 {
		t.Errorf("%v allocations in %d transactions", n, transactions)
	}
	if r := j.track.HTTPStats(); r.Responses < 55_000 || len(j.found.groups) > 0 {
		t.Errorf("%d responses, %d findings", r.Responses, len(j.found.groups))
	}
}
