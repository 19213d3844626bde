// Package hopbyhop reports fields that were meant for one connection and
// travelled further.
package hopbyhop

import (
	"fmt"
	"net/netip"

	"github.com/connlint/connlint/analyzers/hop"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// Leaked reports proxies that pass on what their client meant for them.
var Leaked = &rules.Rule{
	Code: "HOP001",
	Name: "hop-by-hop-leaked",
	Doc: rules.Doc{
		Title:    "a proxy passed on a field that was meant for the connection it came on",
		Severity: rules.Error,
		Wire: "A request went into a proxy with fields that concern that connection alone: those its Connection field names, and Proxy-Connection, Keep-Alive, TE, Upgrade and Proxy-Authorization. " +
			"The same fields stand in the request that the proxy sent on. " +
			"Passing on a field named by Connection is an error (a MUST of RFC 9110 §7.6.1), the others are a warning.",
		Harm: "The next server acts on what was not said to it: it keeps or upgrades a connection that the proxy does not, answers with codings that the proxy cannot undo, or reads a field that should have been removed. " +
			"Proxy-Authorization gives the proxy's password to whoever runs that server.",
		Fix: "let the proxy remove Connection, every field that Connection names, and the hop-by-hop fields, before it adds its own",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It drops Connection and Keep-Alive itself, not what Connection names: proxy_set_header NAME \"\" for each field that clients nominate, and for Proxy-Connection, TE and Proxy-Authorization."},
			{Program: "haproxy", Text: "http-request del-header proxy-connection, and del-header for each field that clients nominate."},
			{Program: "Apache", Text: "mod_proxy removes them; look for RequestHeader set rules that put them back."},
			{Program: "Node", Text: "Proxies written by hand: do not copy req.headers as they are; remove what headers.connection names first."},
			{Program: "Java", Text: "Filter the names of Connection and the fixed list before headers are copied to the client request; spring-cloud-gateway has RemoveHopByHopHeadersFilter."},
			{Program: "Go", Text: "httputil.ReverseProxy removes them; a Director or Rewrite that adds them back, or a hand-written copy loop, does not."},
			{Program: "Python", Text: "Do not pass request.headers on whole: drop Connection, the names in it, and the fixed list."},
		},
		Confirm: "Filter http.proxy_connection || http.connection contains \",\" and compare the request into the proxy with the one out of it, field by field.",
		Silent: "The proxy's own new Connection field; Upgrade, TE, HTTP2-Settings or Keep-Alive that the proxy names in a Connection of its own; TE: trailers; Trailer; " +
			"Keep-Alive of another value, or of an equal one that may be coincidence. " +
			"The two requests cannot be told to be one for sure: the candidate is not unique, the times do not nest, or no address, id, field or response ties them together.",
		Refs: []string{"RFC 9110 §7.6.1", "RFC 9110 §11.7.2", "RFC 9112 §9.6", "RFC 2068 §19.7.1"},
	},
	Needs:    lifecycle.Gap | lifecycle.SnapCut | lifecycle.OneDirection | lifecycle.Encrypted | lifecycle.BadFraming | lifecycle.Capped,
	Head:     alone,
	HeadBits: http1.HasProxyAuthenticate | http1.HasVia | http1.HasForwarded,
	Group: func(*rules.Config) rules.Grouping {
		return rules.GroupBy[*hop.Sighting, struct{}, *Hops](Correlate{Keys: 2048, PerKey: 16, Hosts: 4096, Alone: 64})
	},
}

// alone finds what one side proves: a head that only a proxy's mistake
// explains.
func alone(p *rules.Pass, h *http1.Head, m *http1.Message, t *http1.Transaction) {
	if t == nil {
		return
	}
	if h.Side == http1.Server {
		if m.Bits.Has(http1.HasProxyAuthenticate) && m.Status != 407 {
			subj := p.Subject(t)
			p.Report(rules.Finding{
				Severity: rules.Warning,
				Frames:   rules.Frames(m.First.Frame, m.HeadEnd.Frame),
				Time:     m.First.Time,
				Subject:  subj,
				Message: fmt.Sprintf("%s: response %d carries Proxy-Authenticate, which belongs to a 407 of the proxy that asks",
					subj.WhereServer(), m.Status),
				Side:  "proxy",
				Shape: "proxy-authenticate",
				Cause: m.First.Frame,
			})
		}
		return
	}
	if !originForm(h.Target) || !proxied(m.Bits) {
		return
	}
	for _, name := range proxyFields(m.Bits) {
		p.Report(oneSided(p.Subject(t), name, "which shows by Via or Forwarded that it is a proxy", m.First))
	}
}

// oneSided is the finding that an origin-form request carries a field meant
// for a proxy.
func oneSided(subj rules.Subject, name, why string, at http1.Mark) rules.Finding {
	return rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(at.Frame),
		Time:     at.Time,
		Subject:  subj,
		Message: fmt.Sprintf("proxy %v → %v %s: %s sent to a server, by %v, %s",
			subj.Client.Addr(), subj.Server, subj.Label(), canonical(name), subj.Client.Addr(), why),
		Side:  "proxy",
		Shape: name,
		Cause: at.Frame,
	}
}

// originForm reports whether a target is a path: the next hop is no proxy
// (RFC 9112 §3.2.1).
func originForm(target []byte) bool { return len(target) > 0 && target[0] == '/' }

// proxied reports whether a request says that a proxy sent it.
func proxied(b http1.Bits) bool { return b.Any(http1.HasVia | http1.HasForwarded) }

// proxyFields lists the fields of a request that are for a proxy only.
func proxyFields(b http1.Bits) []string {
	var names []string
	if b.Has(http1.HasProxyConnection) {
		names = append(names, "proxy-connection")
	}
	if b.Has(http1.HasProxyAuthorization) {
		names = append(names, "proxy-authorization")
	}
	return names
}

// canonical spells a field name as it is usually written.
func canonical(name string) string {
	switch name {
	case "te":
		return "TE"
	case "http2-settings":
		return "HTTP2-Settings"
	}
	b := []byte(name)
	up := true
	for i, c := range b {
		if up && 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
		up = c == '-'
	}
	return string(b)
}

// leak is a field that travelled on.
type leak struct {
	field     *hop.Field
	nominated bool
}

// leaks lists what of in's fields stands in out though it should not. A
// Keep-Alive among them is no proof by itself.
func leaks(in, out *hop.Sighting, asked bool) (found []leak) {
	for i := range in.Fields {
		f := &in.Fields[i]
		if !f.Nominated && !f.HopByHop {
			continue
		}
		o := out.Field(f.ID, f.Value)
		if o == nil {
			continue
		}
		switch f.Name {
		case "trailer":
			continue
		case "te":
			if in.ReqBits.Has(http1.TEOnlyTrailers) || o.Nominated {
				continue
			}
		case "upgrade", "http2-settings":
			if o.Nominated {
				continue
			}
		case "proxy-authorization":
			// Proxies may relay it to one another (RFC 9110 §11.7.2). To a
			// server it goes only by mistake, if it was this proxy's at all.
			if !f.Nominated && !(asked || in.ReqBits.Has(http1.AbsoluteForm) && !out.ReqBits.Has(http1.AbsoluteForm)) {
				continue
			}
		}
		nominated := f.Nominated && f.Name != "keep-alive"
		// A head without any change went through a relay below HTTP, such as
		// a TCP load balancer in front of a proxy.
		if !nominated && in.HeadHash == out.HeadHash {
			continue
		}
		// Found there from one side already.
		if !nominated && proxied(out.ReqBits) && originForm(out.Target) &&
			(f.Name == "proxy-connection" || f.Name == "proxy-authorization") {
			continue
		}
		found = append(found, leak{f, nominated})
	}
	return found
}

// report reports one leak between a correlated pair.
func report(p *rules.Pass, in, out *hop.Sighting, l leak) {
	subj := subject(p, out)
	sev, what := rules.Warning, "a hop-by-hop field"
	if l.nominated {
		sev, what = rules.Error, "a field that the incoming request's Connection names"
	}
	proxy := in.Server.String()
	if a := out.Client.Addr(); a != in.Server.Addr() {
		proxy += " (" + a.String() + ")"
	}
	p.Report(rules.Finding{
		Severity: sev,
		Frames:   rules.Frames(out.Start.Frame, in.Start.Frame),
		Time:     out.Start.Time,
		Conn:     out.Conn,
		Subject:  subj,
		Message: fmt.Sprintf("proxy %s → %v %s: passed on %s, %s, of client %v",
			proxy, out.Server, subj.Label(), canonical(l.field.Name), what, in.Client.Addr()),
		Side:  "proxy",
		Shape: l.field.Name,
		Cause: out.Start.Frame,
	})
}

func subject(p *rules.Pass, s *hop.Sighting) rules.Subject {
	return rules.Subject{
		Client: s.Client, Server: s.Server,
		Host:   p.Config.Redact.Host(string(s.Host)),
		Method: string(s.MethodName), Target: p.Config.Redact.Target(string(s.Target)),
		Status: int(s.Status),
	}
}

// sameHost reports whether both addresses are known and equal.
func sameHost(a, b netip.AddrPort) bool { return a.IsValid() && a.Addr() == b.Addr() }
