// Package tlsuse reports how TLS connections begin and end.
package tlsuse

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/tlsinfo"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/accum"
)

// FullHandshakeRepeated reports clients that go through full handshakes with a
// server again and again.
var FullHandshakeRepeated = &rules.Rule{
	Code: "TLS001",
	Name: "full-handshake-repeated",
	Doc: rules.Doc{
		Title:    "a client went through full TLS handshakes again and again",
		Severity: rules.Warning,
		Wire: "A full handshake carries the server's certificate chain and a signature; a resumed one carries a ticket or a session id instead. " +
			"After its first handshake with a server a client has, as a rule, what it takes to resume. Here it began anew each time.",
		Harm: "Up to TLS 1.2 a full handshake takes a round trip more than a resumed one. In all versions it costs both hosts public-key operations and several kilobytes. " +
			"Under load that is a large part of a TLS server's work.",
		Fix: "keep connections; where new ones are needed, share one TLS context so that sessions resume",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "ssl_session_cache shared:SSL:10m, ssl_session_timeout above the time between visits, the same ssl_session_ticket_key on all servers behind one name; to upstreams proxy_ssl_session_reuse on (the default) and keepalive."},
			{Program: "haproxy", Text: "tune.ssl.cachesize above 0; no \"no-tls-tickets\"; tls-ticket-keys shared between hosts. To servers: no \"no-ssl-reuse\"."},
			{Program: "Apache", Text: "SSLSessionCache shmcb:..., SSLSessionTickets on, SSLSessionTicketKeyFile shared between hosts."},
			{Program: "Node", Text: "One https.Agent: it keeps sessions (maxCachedSessions 100); a new agent each time forgets them."},
			{Program: "Java", Text: "One SSLContext, one HttpClient. jdk.tls.client.enableSessionTicketExtension stays on."},
			{Program: "Go", Text: "tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0)}: there is none by default. One http.Transport keeps the connections themselves."},
			{Program: "Python", Text: "ssl sessions are not resumed by http.client and requests: keep connections with requests.Session."},
		},
		Confirm: "Filter tls.handshake.type == 1 && tls.handshake.extensions.pre_shared_key, or for TLS 1.2 tls.handshake.type == 11: offers that are missing, certificates that repeat.",
		Silent: "There were fewer than three full handshakes that began after one of the same client, server and name was complete. " +
			"The hello of either side is missing or cut, so that full and resumed cannot be told apart. A HelloRetryRequest and the echo of a session id are no evidence of either.",
		Refs: []string{"RFC 8446 §2.2", "RFC 8446 §4.2.11", "RFC 5246 §7.3", "RFC 5077"},
	},
	Needs: lifecycle.OneDirection | lifecycle.MidStream | lifecycle.Gap | lifecycle.SnapCut,
	TLS:   true,
	Group: func(*rules.Config) rules.Grouping {
		return rules.GroupBy[*lifecycle.Conn, Name, Shakes](Repeats{})
	},
}

// Name is a client, a server and the name it was asked for.
type Name struct {
	Client netip.Addr
	Server netip.AddrPort
	SNI    string
}

// Repeats is the aggregate: full handshakes, and when the first of any kind
// was complete.
type Repeats struct{}

// Shakes is what is known of one name.
type Shakes struct {
	Done    accum.MinMax[int64] // completions of handshakes of both kinds
	Resumed int64
	Full    Tally
	First   accum.SmallestN[Shake] // the earliest full ones
}

// Tally adds up full handshakes.
type Tally struct {
	Time   accum.Sum        // nanoseconds
	Offers [numOffers]int64 // by tlsinfo.Offer
}

const numOffers = int(tlsinfo.Offered) + 1

func (t Tally) add(o Tally) Tally {
	t.Time.N += o.Time.N
	t.Time.Total += o.Time.Total
	for i, n := range o.Offers {
		t.Offers[i] += n
	}
	return t
}

func (t Tally) take(s *Shake) Tally {
	t.Time.N--
	t.Time.Total -= s.Took
	t.Offers[s.Offer]--
	return t
}

// Shake is one full handshake.
type Shake struct {
	Start, Took int64
	Frame       uint64
	Offer       tlsinfo.Offer
	Version     uint16
}

// maxShakes bounds the full handshakes that are looked at one by one: those
// that began before any was complete are among the earliest.
const maxShakes = 256

func earlier(a, b Shake) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Frame, b.Frame))
}

// Key returns the name of a connection whose handshake is known.
func (Repeats) Key(c *lifecycle.Conn) (Name, bool) {
	if c.Protocol != http1.TLS || !c.ClientKnown || c.TLS.Done.Frame == 0 || c.TLS.Start.Frame == 0 ||
		c.TLS.Handshake == tlsinfo.UnknownHandshake {
		return Name{}, false
	}
	return Name{c.Client.Addr(), c.Server, c.TLS.SNI}, true
}

// Add counts the connection's handshake.
func (Repeats) Add(a Shakes, c *lifecycle.Conn) Shakes {
	t := &c.TLS
	a.Done = a.Done.Add(t.Done.Time)
	if t.Handshake == tlsinfo.Resumed {
		a.Resumed++
		return a
	}
	s := Shake{Start: t.Start.Time, Took: int64(t.Time()), Frame: t.Start.Frame, Offer: t.Offer, Version: t.Version}
	a.Full.Time = a.Full.Time.Add(s.Took)
	a.Full.Offers[s.Offer]++
	a.First = a.First.Add(s, maxShakes, earlier)
	return a
}

// Merge returns the handshakes of both.
func (Repeats) Merge(a, b Shakes) Shakes {
	a.Done = a.Done.Merge(b.Done)
	a.Resumed += b.Resumed
	a.Full = a.Full.add(b.Full)
	a.First = a.First.Merge(b.First, maxShakes, earlier)
	return a
}

// Judge reports a name with several full handshakes that began after one was
// complete.
func (Repeats) Judge(p *rules.Pass, k Name, a Shakes) {
	late, n := a.Full, 0
	for n < len(a.First) && a.First[n].Start <= a.Done.Min {
		late = late.take(&a.First[n])
		n++
	}
	if late.Time.N < int64(max(1, p.Config.FullHandshakes)) || n == maxShakes {
		return
	}
	first := &a.First[n]
	f := rules.Finding{
		Severity: rules.Warning,
		Time:     first.Start,
		Subject:  rules.Subject{Client: netip.AddrPortFrom(k.Client, 0), Server: k.Server, Host: p.Config.Redact.Host(k.SNI)},
		Side:     "client",
		Conns:    int(late.Time.N),
		Measured: []rules.Measure{
			{Name: "full_handshakes", Value: float64(late.Time.N)},
			{Name: "resumed_handshakes", Value: float64(a.Resumed)},
			{Name: "handshake_ms", Value: rules.Millis(late.Time.Total)},
			{Name: "not_offered", Value: float64(late.Offers[tlsinfo.NotOffered])},
			{Name: "refused", Value: float64(late.Offers[tlsinfo.Offered])},
			{Name: "cause_unknown", Value: float64(late.Offers[tlsinfo.OfferUnknown])},
		},
		Cost: late.Time.Total,
	}
	for _, s := range a.First[n:min(n+3, len(a.First))] {
		f.Frames = append(f.Frames, s.Frame)
	}
	cause := "whether the client offered a session cannot be told"
	switch most := max(late.Offers[0], late.Offers[1], late.Offers[2]); most {
	case late.Offers[tlsinfo.NotOffered]:
		cause = fmt.Sprintf("the client offered no session to resume in %d of them", most)
	case late.Offers[tlsinfo.Offered]:
		cause = fmt.Sprintf("the server refused the session offered in %d of them", most)
		f.Side, f.Fix = "server", "have the server keep sessions, or share ticket keys between the hosts behind one name"
	}
	name := ""
	if f.Host != "" {
		name = " for " + f.Host
	}
	f.Message = fmt.Sprintf("%s: %s full TLS handshakes%s after one was complete, %s in all: %s",
		f.Subject.Where(), rules.Count(late.Time.N), name, rules.Span(late.Time.Total), cause)
	p.Report(f)
}
