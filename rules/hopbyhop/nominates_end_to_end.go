package hopbyhop

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// NominatesEndToEnd reports Connection fields that name what all recipients
// are to read.
var NominatesEndToEnd = &rules.Rule{
	Code: "HOP004",
	Name: "connection-nominates-end-to-end",
	Doc: rules.Doc{
		Title:    "a Connection field names what is meant for all recipients",
		Severity: rules.Warning,
		Wire: "The Connection field of a request or response names Host, Cache-Control, Authorization, Cookie, a Content-* or X-Forwarded-* field or another of the kind. " +
			"By RFC 9110 §7.6.1 each proxy removes what Connection names.",
		Harm: "Behind the next proxy the field is gone: the request comes without its credentials or its session, the response without its cache rules. " +
			"Attackers name X-Forwarded-For or Authorization so that a proxy strips what a filter in front of it had added.",
		Fix: "let Connection name only what is for the next hop: close, keep-alive, upgrade, te and the fields that go with them",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "proxy_set_header Connection \"\" keeps the client's names from the upstream; add_header Connection must not list fields."},
			{Program: "haproxy", Text: "It removes Connection itself, not what it names; http-request deny if { req.hdr(connection) -i -m sub authorization } turns such requests away."},
			{Program: "Apache", Text: "mod_proxy strips what Connection names: remove RequestHeader append Connection rules."},
			{Program: "Node", Text: "Set headers.connection to close or keep-alive only, or leave it to the agent."},
			{Program: "Java", Text: "Leave Connection to the client library; HttpClient forbids setting it."},
			{Program: "Go", Text: "Set Request.Close in place of a Connection header; ReverseProxy strips what the client names."},
			{Program: "Python", Text: "headers={\"Connection\": \"close\"} at most; keep lists of other names out of it."},
		},
		Confirm: "Filter http.connection matches \"(?i)host|cookie|authorization|cache-control|content-|x-forwarded\".",
		Silent:  "Options and fields that are for one hop by definition, and names that no standard knows: those may well be for one hop.",
		Refs:    []string{"RFC 9110 §7.6.1"},
	},
	Needs:    lifecycle.Gap | lifecycle.SnapCut | lifecycle.Encrypted | lifecycle.Capped,
	Head:     nominates,
	HeadBits: http1.ConnOther,
}

// maxNames bounds how many fields a finding names.
const maxNames = 16

func nominates(p *rules.Pass, h *http1.Head, m *http1.Message, t *http1.Transaction) {
	if !m.Bits.Has(http1.ConnOther) {
		return
	}
	var names []string
	for _, f := range h.Fields() {
		if f.ID != http1.FieldConnection {
			continue
		}
		for option := range bytes.SplitSeq(f.Value, []byte{','}) {
			if option = bytes.Trim(option, " \t"); len(names) == maxNames {
				break
			}
			if n := strings.ToLower(string(option[:min(len(option), 64)])); endToEnd(option) && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	shape := strings.Join(names, ",")
	for i := range names {
		names[i] = canonical(names[i])
	}
	subj := p.Subject(t)
	f := rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(m.First.Frame, m.HeadEnd.Frame),
		Time:     m.First.Time,
		Side:     "client",
		Shape:    shape,
		Cause:    m.First.Frame,
		Message:  fmt.Sprintf("%s: Connection names %s, which a proxy will then strip", subj.Where(), strings.Join(names, ", ")),
	}
	if h.Side == http1.Server {
		subj.Status = int(m.Status)
		f.Side = "server"
		f.Message = fmt.Sprintf("%s: Connection of response %d names %s, which a proxy will then strip", subj.WhereServer(), m.Status, strings.Join(names, ", "))
	}
	f.Subject = subj
	p.Report(f)
}

// endToEnd reports whether a field of that name is for all recipients.
func endToEnd(name []byte) bool {
	for _, prefix := range [...]string{"content-", "x-forwarded-", "if-", "access-control-"} {
		if len(name) > len(prefix) && strings.EqualFold(string(name[:len(prefix)]), prefix) {
			return true
		}
	}
	switch http1.FieldOf(name) {
	case http1.FieldHost, http1.FieldAuthorization, http1.FieldWWWAuthenticate, http1.FieldAuthenticationInfo,
		http1.FieldCookie, http1.FieldSetCookie, http1.FieldCacheControl, http1.FieldPragma, http1.FieldExpires, http1.FieldAge,
		http1.FieldVary, http1.FieldETag, http1.FieldLastModified, http1.FieldDate, http1.FieldLocation, http1.FieldRetryAfter,
		http1.FieldAllow, http1.FieldServer, http1.FieldUserAgent, http1.FieldReferer, http1.FieldOrigin, http1.FieldFrom,
		http1.FieldAccept, http1.FieldAcceptCharset, http1.FieldAcceptEncoding, http1.FieldAcceptLanguage, http1.FieldAcceptRanges,
		http1.FieldRange, http1.FieldExpect, http1.FieldIdempotencyKey, http1.FieldXIdempotencyKey,
		http1.FieldForwarded, http1.FieldXRealIP, http1.FieldVia, http1.FieldMaxForwards,
		http1.FieldStrictTransportSecurity, http1.FieldLink:
		return true
	}
	return false
}
