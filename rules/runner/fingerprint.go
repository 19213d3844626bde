package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/connlint/connlint/rules"
)

// ephemeral is the first port that clients, and servers of a test's making,
// are given by the system: a number that is another one in the next
// recording.
const ephemeral = 32768

// Fingerprint returns what stays the same about a finding when the same
// traffic is recorded again: rule, server or host, method, route shape,
// side if that is sure.
func Fingerprint(r *rules.Rule, f *rules.Finding) string {
	side := f.Side
	if f.Unsure {
		side = ""
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{
		r.Code, endpoint(f), f.Method, Route(f.Target), side, f.Shape}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// endpoint names the server by its Host, or else by address, with ephemeral
// ports left out.
func endpoint(f *rules.Finding) string {
	if f.Host != "" {
		host := strings.ToLower(f.Host)
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			if port, err := strconv.Atoi(host[i+1:]); err == nil && port >= ephemeral {
				host = host[:i]
			}
		}
		return host
	}
	if f.Server == (netip.AddrPort{}) {
		return ""
	}
	if f.Server.Port() >= ephemeral {
		return f.Server.Addr().String()
	}
	return f.Server.String()
}

// Route returns the shape of a request target: no query, and "*" for the path
// segments that look like numbers or identifiers.
func Route(target string) string { return string(appendRoute(nil, target)) }

// appendRoute appends a target's Route to b.
func appendRoute(b []byte, target string) []byte {
	if i := strings.Index(target, "://"); i >= 0 && i < 10 {
		if j := strings.IndexByte(target[i+3:], '/'); j >= 0 {
			target = target[i+3+j:]
		} else {
			target = "/"
		}
	}
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	for {
		part, rest, more := strings.Cut(target, "/")
		if variable(part) {
			b = append(b, '*')
		} else {
			b = append(b, part...)
		}
		if !more {
			return b
		}
		b, target = append(b, '/'), rest
	}
}

// variable reports whether a path segment looks like an identifier: it has
// digits and little else, or is long and mixes them with letters.
func variable(s string) bool {
	if i := strings.LastIndexByte(s, '.'); i > 0 && len(s)-i <= 6 {
		s = s[:i] // a file's extension says nothing
	}
	digits, letters, other := 0, 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letters++
		case c == '-' || c == '_':
		default:
			other++
		}
	}
	switch {
	case digits == 0:
		return false
	case letters == 0 && other == 0:
		return true
	}
	return digits+letters >= 16 && digits*5 >= letters || digits > letters
}
