package hopbyhop

import (
	"fmt"
	"slices"

	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// BlindRelay reports proxies that pass on the word to keep a connection
// without knowing what it means.
var BlindRelay = &rules.Rule{
	Code: "HOP002",
	Name: "blind-relay",
	Doc: rules.Doc{
		Title:    "a proxy relayed Connection: keep-alive in both directions as if it were meant for the other side",
		Severity: rules.Error,
		Wire: "The client's Connection: keep-alive and Keep-Alive stand unchanged in what the proxy sent on, and the server's stand unchanged in the response that the client got. " +
			"The client keeps its connection to the proxy and sends the next request on it; the proxy, which waits for the server to close, does not read it (error). " +
			"Where no request was left waiting it is a warning.",
		Harm: "The client and the server have each agreed with a proxy that agreed to nothing. The next request hangs until somebody's time-out. " +
			"It is why HTTP/1.0 clients may not send keep-alive to proxies (RFC 9112 appendix C.2.2).",
		Fix: "let the proxy remove Connection and Keep-Alive from what it passes on, and speak of its own connections; else put Connection: close in both directions",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It answers for its own connections: look for proxy_pass_header Connection, add_header Connection and stream {} relays behind HTTP."},
			{Program: "haproxy", Text: "mode http with option http-keep-alive; mode tcp only in front of servers that are spoken to directly."},
			{Program: "Apache", Text: "mod_proxy_http removes both; remove RequestHeader and Header rules that set them."},
			{Program: "Node", Text: "http-proxy and hand-written relays: delete headers.connection and headers[\"keep-alive\"] in both directions."},
			{Program: "Java", Text: "Do not copy Connection and Keep-Alive between HttpServletRequest and the client request."},
			{Program: "Go", Text: "httputil.ReverseProxy removes both; a relay made of io.Copy must copy in both directions until both sides close, or send Connection: close."},
			{Program: "Python", Text: "Relays on sockets or http.server: drop both fields, and send Connection: close if each connection is for one exchange."},
		},
		Confirm: "Compare the request into the proxy with the one out of it, and the two responses: Connection and Keep-Alive are byte-identical. Then tcp.stream eq N && http.request: one request more than responses.",
		Silent: "The two sides cannot be told to be one exchange for sure. A head that goes on without any change went through a relay below HTTP, unless the next request stays behind. " +
			"Connection: keep-alive alone may be each side's own word: without Keep-Alive fields that are alike too it proves nothing. The next request was passed on: then the server is slow.",
		Refs: []string{"RFC 9112 §C.2.2", "RFC 9110 §7.6.1", "RFC 2068 §19.7.1"},
	},
	Needs: lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.Encrypted | lifecycle.BadFraming | lifecycle.Capped,
	Group: func(*rules.Config) rules.Grouping {
		return rules.GroupBy[*hop.Sighting, struct{}, *Hops](BlindRelays{Correlate{Keys: 1024, PerKey: 8, Hosts: 1, Verbatim: true}})
	},
}

// BlindRelays is the aggregate of requests that ask to keep the connection.
type BlindRelays struct{ Correlate }

// Key takes requests that ask to keep the connection and are granted it, or
// not answered.
func (BlindRelays) Key(s *hop.Sighting) (struct{}, bool) {
	return struct{}{}, s.ReqBits.Has(http1.ConnKeepAlive) && (s.Status == 0 || s.RespBits.Has(http1.ConnKeepAlive))
}

// Samples reports whether a request may be kept, whatever is answered.
func (r BlindRelays) Samples(h *Hops, s *hop.Sighting) bool {
	return s.ReqBits.Has(http1.ConnKeepAlive) && r.Correlate.Samples(h, s)
}

// Limit implements rules.Sampler.
func (r BlindRelays) Limit(h *Hops) (bits http1.Bits, most uint64) {
	_, most = r.Correlate.Limit(h)
	return http1.ConnKeepAlive, most
}

// relayed reports whether Connection and Keep-Alive were passed on unchanged
// both ways by something that changed the request otherwise.
func relayed(in, out *hop.Sighting) bool {
	return in.HeadHash != out.HeadHash && granted(in, out) && keepAlive(in, out) && in.RespKeepAlive != 0
}

// granted reports whether the word to keep the connection went through both
// ways unchanged.
func granted(in, out *hop.Sighting) bool {
	const keep = http1.ConnKeepAlive
	return in.ReqBits.Has(keep) && out.ReqBits.Has(keep) && in.RespBits.Has(keep) && out.RespBits.Has(keep) &&
		in.Connection == out.Connection && in.RespConnection == out.RespConnection && in.RespKeepAlive == out.RespKeepAlive
}

// keepAlive reports whether the request's Keep-Alive went through unchanged.
func keepAlive(in, out *hop.Sighting) bool {
	return slices.ContainsFunc(in.Fields, func(f hop.Field) bool {
		return f.Name == "keep-alive" && out.Field(f.ID, f.Value) != nil
	})
}

// verbatim reports whether a request went on byte for byte, both ends' words
// about keeping the connection with it: more than chance where one client asks
// a proxy, less than proof where one host asks two servers.
func verbatim(in, out *hop.Sighting) bool {
	return in.HeadHash == out.HeadHash && !sameHost(in.Client, out.Client) &&
		granted(in, out) && keepAlive(in, out) && in.RespKeepAlive != 0
}

// Judge correlates, and reports what was relayed.
func (r BlindRelays) Judge(p *rules.Pass, _ struct{}, h *Hops) {
	var pairs []pair
	byConn := map[uint64]accum.SmallestN[*hop.Sighting]{}
	for _, e := range h.Seen.All() {
		list := e.Value
		pairs = append(pairs, r.correlate(list)...)
		for _, s := range list {
			byConn[s.Conn] = byConn[s.Conn].Add(s, r.PerKey, compare)
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return compare(a.in, b.in) })
	told := map[uint64]bool{} // connections into a proxy
	for _, pr := range stable(pairs) {
		in, out := pr.in, pr.out
		if told[in.Conn] || !granted(in, out) {
			continue
		}
		next := r.leftWaiting(p, h, byConn, in, out)
		proof := in.HeadHash == out.HeadHash || keepAlive(in, out) || in.RespKeepAlive != 0
		switch {
		case next != nil && proof:
		case relayed(in, out):
			next = nil
		default:
			continue
		}
		told[in.Conn] = true
		subj := subject(p, in)
		f := rules.Finding{
			Severity: rules.Warning,
			Frames:   rules.Frames(out.Start.Frame, in.Start.Frame, out.End.Frame, in.End.Frame),
			Time:     out.Start.Time,
			Conn:     in.Conn,
			Subject:  subj,
			Message: fmt.Sprintf("proxy %v → %v %s: relayed Connection: keep-alive unchanged to the server and back to client %v",
				in.Server, out.Server, subj.Label(), in.Client.Addr()),
			Side:   "proxy",
			Cause:  in.Start.Frame,
			Covers: []uint64{min(in.Conn, out.Conn), max(in.Conn, out.Conn)},
		}
		if next != nil {
			f.Severity = rules.Error
			f.Frames = append([]uint64{next.Start.Frame}, f.Frames...)
			f.Time = next.Start.Time
			f.Message += fmt.Sprintf(", and left the next request, %s later, unanswered", rules.Span(next.Start.Time-in.End.Time))
		}
		p.Report(f)
	}
}

// leftWaiting returns the next request on the connection of in if it was
// neither answered nor passed on, though there was time to.
func (r BlindRelays) leftWaiting(p *rules.Pass, h *Hops, byConn map[uint64]accum.SmallestN[*hop.Sighting], in, out *hop.Sighting) *hop.Sighting {
	list := byConn[in.Conn]
	i := slices.IndexFunc(list, func(s *hop.Sighting) bool { return s.Start.Time >= in.End.Time })
	if i < 0 || list[i].Status != 0 || list[i].End.Frame != 0 {
		return nil
	}
	next := list[i]
	later := func(s *hop.Sighting) bool { return s.Start.Time >= next.Start.Time && s.Conn != in.Conn }
	if slices.ContainsFunc(byConn[out.Conn], later) {
		return nil
	}
	alike := h.Seen.Get(next.Key)
	if alike == nil || len(*alike) >= r.PerKey || slices.ContainsFunc(*alike, later) {
		return nil
	}
	// The first was passed on that fast; the capture must go on for longer.
	if p.Totals == nil || p.Totals.Last-next.Start.Time <= 2*(out.Start.Time-in.Start.Time) {
		return nil
	}
	return next
}
