// Package config reads .connlint.yml: what to look for, how strictly, and what
// is known already.
package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// FileName is what a configuration is called.
const FileName = ".connlint.yml"

// Settings are a configuration in effect.
type Settings struct {
	Select, Ignore, ExtendSelect []string
	FailOn                       string // info, warning, error, never
	HTTPPorts                    []uint16
	Redact                       string // default, all, none
	MaxPerRule                   int
	Baseline                     string        // path, empty for none
	Rules                        *rules.Config // thresholds; Redact is not in it
	Severity                     map[string]rules.Severity
	Servers                      []Server
	Suppressions                 []Suppression
	Budgets                      Budgets

	origins map[string]string // of keys that are not at their default
}

// Server is what differs for some servers.
type Server struct {
	Match      Match
	Select     []string                  // codes, nil for all that are run
	Ignore     []string                  // codes
	Severity   map[string]rules.Severity // by code
	Thresholds []Threshold               // Match names no host if there are any

	place string // file and line
}

// Threshold is one that differs for some servers.
type Threshold struct {
	rules.Threshold
	Value any // of the type that Kind says

	place string // file, line and column
}

// Suppression is a finding that is known and accepted.
type Suppression struct {
	Rules   []string // codes
	Match   Match
	Reason  string
	Expires time.Time // the first moment at which it no longer holds, zero for never

	place string // file, line and column
	rule  string // as written
}

// Budgets are limits that fail like findings. Nil and a negative number stand
// for none.
type Budgets struct {
	MaxOccurrences        []Budget
	MinReuseRatio         float64
	MaxConnectionsPerPair int
}

// Budget is how often rules may find something in one capture.
type Budget struct {
	Rule  string   // as written
	Codes []string // what that means
	Max   int
}

// Defaults returns the settings without any configuration.
func Defaults() *Settings {
	return &Settings{
		FailOn: "warning", Redact: "default", Rules: rules.Defaults(), Severity: map[string]rules.Severity{},
		Budgets: Budgets{MinReuseRatio: -1, MaxConnectionsPerPair: -1}, origins: map[string]string{},
	}
}

// Origin says where the setting of a key came from.
func (s *Settings) Origin(key string) string {
	if o := s.origins[key]; o != "" {
		return o
	}
	return "default"
}

// From notes that the setting of a key came from somewhere else than a
// configuration: a flag.
func (s *Settings) From(key, origin string) { s.origins[key] = origin }

// Match says which findings are meant. An empty Match means all.
type Match struct {
	Server rules.Endpoints
	Client rules.Endpoints
	Host   string // pattern, * for any characters
	Route  string // pattern, * for any characters but /, ** for any
}

// Empty reports whether m means all findings.
func (m *Match) Empty() bool { return *m == Match{} }

// Fits reports whether a finding is meant.
func (m *Match) Fits(f *rules.Finding) bool {
	if !m.Server.Has(f.Server) || !m.Client.Has(f.Client) {
		return false
	}
	if m.Host != "" {
		host := strings.ToLower(f.Host)
		bare := host
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			bare = host[:i]
		}
		if pattern := strings.ToLower(m.Host); !glob(pattern, host, 0) && !glob(pattern, bare, 0) {
			return false
		}
	}
	if m.Route != "" {
		path, _, _ := strings.Cut(f.Target, "?")
		if len(path) > maxRoute || !glob(m.Route, path, '/') && !glob(m.Route, runner.Route(f.Target), '/') {
			return false
		}
	}
	return true
}

// maxRoute bounds the routes that are compared, in bytes: they come from
// packets, and patterns take time in the square of it.
const maxRoute = 1024

// glob matches s against a pattern: * stands for any characters but the
// separator, ** for any.
func glob(pattern, s string, separator byte) bool {
	// Going back to the last star of each kind is enough, and takes time in
	// the product of both lengths at most.
	type point struct{ p, s int }
	one, two := point{-1, 0}, point{-1, 0}
	p, i := 0, 0
	for {
		switch {
		case p+1 < len(pattern) && pattern[p] == '*' && pattern[p+1] == '*':
			two, one = point{p + 2, i}, point{-1, 0}
			p += 2
		case p < len(pattern) && pattern[p] == '*':
			one = point{p + 1, i}
			p++
		case p < len(pattern) && i < len(s) && pattern[p] == s[i]:
			p++
			i++
		case p == len(pattern) && i == len(s):
			return true
		case one.p >= 0 && one.s < len(s) && (separator == 0 || s[one.s] != separator):
			one.s++
			p, i = one.p, one.s
		case two.p >= 0 && two.s < len(s):
			two.s++
			p, i = two.p, two.s
			one = point{-1, 0}
		default:
			return false
		}
	}
}

// Adjust returns the last word on findings that the settings have, for
// [runner.Options]. Suppressions that have expired now do not count.
func (s *Settings) Adjust(now time.Time) func(*rules.Rule, *rules.Finding) (int, bool) {
	if len(s.Severity)+len(s.Servers)+len(s.Suppressions) == 0 {
		return nil
	}
	servers := make([]server, len(s.Servers))
	for i, x := range s.Servers {
		servers[i] = server{x.Match, x.dropped(), x.Severity}
	}
	suppressed := make([]map[string]bool, len(s.Suppressions))
	for i := range s.Suppressions {
		if !s.Suppressions[i].expired(now) {
			suppressed[i] = set(s.Suppressions[i].Rules)
		}
	}
	return func(r *rules.Rule, f *rules.Finding) (int, bool) {
		if severity, ok := s.Severity[r.Code]; ok {
			f.Severity = severity
		}
		for i := range servers {
			x := &servers[i]
			if severity, ok := x.severity[r.Code]; (ok || x.dropped[r.Code]) && x.match.Fits(f) {
				if x.dropped[r.Code] {
					return 0, false
				}
				f.Severity = severity
			}
		}
		for i, codes := range suppressed {
			if codes[r.Code] && s.Suppressions[i].Match.Fits(f) {
				return i + 1, true
			}
		}
		return 0, true
	}
}

type server struct {
	match    Match
	dropped  map[string]bool // rules, by code
	severity map[string]rules.Severity
}

// dropped returns the codes of the rules that x leaves out.
func (x *Server) dropped() map[string]bool {
	out := set(x.Ignore)
	if selected := set(x.Select); x.Select != nil {
		for _, r := range catalog.All() {
			if !selected[r.Code] {
				out[r.Code] = true
			}
		}
	}
	return out
}

func set(words []string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

func (x *Suppression) expired(now time.Time) bool {
	return !x.Expires.IsZero() && !now.Before(x.Expires)
}

// Reasons returns why each suppression is there.
func (s *Settings) Reasons() []string {
	var out []string
	for _, x := range s.Suppressions {
		out = append(out, x.Reason)
	}
	return out
}

// Notices reports suppressions that have expired, and those that nothing was
// found for, of rules that were run. used says how many findings each of them
// held back.
func (s *Settings) Notices(now time.Time, run []*rules.Rule, used []int) []string {
	ran := map[string]bool{}
	for _, r := range run {
		ran[r.Code] = true
	}
	var out []string
	for i, x := range s.Suppressions {
		tried := false
		for _, code := range x.Rules {
			tried = tried || ran[code]
		}
		switch {
		case x.expired(now):
			out = append(out, fmt.Sprintf("%s: the suppression of %s (%s) expired on %s; remove it, or say until when it holds",
				x.place, x.rule, x.Reason, x.Expires.AddDate(0, 0, -1).Format(time.DateOnly)))
		case tried && used[i] == 0:
			out = append(out, fmt.Sprintf("%s: the suppression of %s (%s) is unused: nothing that it fits was found; remove it",
				x.place, x.rule, x.Reason))
		}
	}
	return out
}

// codes returns the codes of the rules that an item names: a code, a name, a
// family or all.
func codes(item string) ([]string, error) {
	var out []string
	if r, ok := catalog.Find(item); ok { // though it be off
		return []string{r.Code}, nil
	}
	if item == "" || strings.Contains(item, ",") {
		return nil, fmt.Errorf("%q is no rule; \"connlint rules\" lists them", item)
	}
	if _, err := catalog.Select([]string{item}, nil, nil); err != nil {
		return nil, err
	}
	for _, r := range catalog.All() {
		if strings.EqualFold(item, "all") || strings.EqualFold(item, catalog.FamilyOf(r.Code)) {
			out = append(out, r.Code)
		}
	}
	return out, nil
}

// baselinePath returns where the baseline is: beside the configuration that
// names it.
func baselinePath(file, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}
