// Package catalog is the list of all rules.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/capturequality"
	"github.com/connlint/connlint/rules/framing"
	"github.com/connlint/connlint/rules/hopbyhop"
	"github.com/connlint/connlint/rules/keepalive"
	"github.com/connlint/connlint/rules/latency"
	"github.com/connlint/connlint/rules/pipelining"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/shutdown"
	"github.com/connlint/connlint/rules/timewait"
	"github.com/connlint/connlint/rules/tlsuse"
)

// All returns every rule, in the catalogue's order. The slice is the caller's,
// the rules are shared and not to be changed.
func All() []*rules.Rule {
	return []*rules.Rule{
		latency.NagleDelayedACK,
		latency.SlowStartCold,
		latency.SlowStartAfterIdle,
		latency.HeadOfLineBlocking,
		latency.ExpectContinueStall,
		latency.WriteWriteRTT,
		latency.ZeroWindowStall,
		reuse.ConnectionPerRequest,
		reuse.ParallelExcess,
		reuse.UnusedConnection,
		reuse.ConnectionLeak,
		reuse.CloseWait,
		reuse.LowRequestLimit,
		reuse.ConnectFailed,
		keepalive.Race,
		keepalive.WriteAfterFIN,
		keepalive.IdleTimeoutMismatch,
		keepalive.AdvertisedTimeoutBroken,
		keepalive.CloseNotSignalled,
		keepalive.HTTP10Unconfirmed,
		keepalive.RequestAfterClose,
		keepalive.CloseNotHonoured,
		keepalive.LastRequestWithoutClose,
		keepalive.HTTP10ProxyClient,
		keepalive.ThinMargin,
		framing.MissingContentLength,
		framing.LengthMismatch,
		framing.TruncatedChunked,
		framing.ConflictingLength,
		framing.Malformed,
		framing.BodyNotAllowed,
		framing.RequestLengthMissing,
		framing.Unsolicited,
		pipelining.NonIdempotent,
		pipelining.Unconfirmed,
		pipelining.Aborted,
		pipelining.Retry,
		hopbyhop.Leaked,
		hopbyhop.BlindRelay,
		hopbyhop.ProxyConnection,
		hopbyhop.NominatesEndToEnd,
		hopbyhop.Unnominated,
		shutdown.RSTOnHalfClose,
		shutdown.ResetLosesResponse,
		shutdown.AbortiveClose,
		shutdown.ClientAbort,
		shutdown.UndrainedShutdown,
		shutdown.RequestUnanswered,
		timewait.Buildup,
		timewait.ServerSide,
		timewait.TupleReused,
		tlsuse.FullHandshakeRepeated,
		tlsuse.CloseWithoutNotify,
		capturequality.CaptureGap,
		capturequality.SnaplenCut,
		capturequality.OneDirection,
		capturequality.MidStream,
		capturequality.KernelDrops,
		capturequality.ClockWentBack,
		capturequality.FileTruncated,
	}
}

// Families names what the codes of each family begin with, in the catalogue's
// order.
func Families() []Family {
	return []Family{
		{"LAT", "Latency"}, {"REU", "Reuse"}, {"KA", "Keep-alive"}, {"FRM", "Framing"}, {"PIP", "Pipelining"},
		{"HOP", "Hop by hop"}, {"CLS", "Shutdown"}, {"TW", "TIME_WAIT and ports"}, {"TLS", "TLS"}, {"CAP", "Capture quality"},
	}
}

// Family is a group of rules.
type Family struct{ Prefix, Title string }

// FamilyOf returns the letters that a code begins with.
func FamilyOf(code string) string { return strings.TrimRight(code, "0123456789") }

// Find returns the rule with that code or name, in any case of letters.
func Find(codeOrName string) (*rules.Rule, bool) {
	for _, r := range All() {
		if strings.EqualFold(r.Code, codeOrName) || strings.EqualFold(r.Name, codeOrName) {
			return r, true
		}
	}
	return nil, false
}

// Select returns the rules to run, in the catalogue's order. Each argument
// lists codes, names and family prefixes ("LAT"), or "all". Nothing in sel
// stands for all rules that are not off; extend adds to what sel selects, and
// ignore takes away from both, but for rules that sel or extend names more
// exactly. Rules that are off take part only if selected by code or name.
// Items may be lists with commas themselves. The error names the unknown item
// and its nearest neighbour.
func Select(sel, ignore, extend []string) ([]*rules.Rule, error) {
	all := All()
	chosen := make([]exactness, len(all))
	mark := func(items []string, take bool) error {
		for _, item := range items {
			for part := range strings.SplitSeq(item, ",") {
				part = strings.TrimSpace(part)
				if part == "" {
					continue
				}
				known := false
				for i, r := range all {
					e := match(part, r)
					if e == none {
						continue
					}
					known = true
					switch {
					case take && (e == exact || !r.Off):
						chosen[i] = max(chosen[i], e)
					case !take && e >= chosen[i]:
						chosen[i] = none
					}
				}
				if !known && !slices.ContainsFunc(Families(), func(f Family) bool { return strings.EqualFold(f.Prefix, part) }) {
					return unknown(part, all)
				}
			}
		}
		return nil
	}
	if len(sel) == 0 {
		sel = []string{"all"}
	}
	if err := mark(sel, true); err != nil {
		return nil, err
	}
	if err := mark(extend, true); err != nil {
		return nil, err
	}
	if err := mark(ignore, false); err != nil {
		return nil, err
	}
	var out []*rules.Rule
	for i, r := range all {
		if chosen[i] != none {
			out = append(out, r)
		}
	}
	return out, nil
}

// exactness is how closely an item names a rule.
type exactness uint8

const (
	none exactness = iota
	every
	family
	exact
)

func match(item string, r *rules.Rule) exactness {
	switch {
	case strings.EqualFold(item, r.Code) || strings.EqualFold(item, r.Name):
		return exact
	case strings.EqualFold(item, FamilyOf(r.Code)):
		return family
	case strings.EqualFold(item, "all"):
		return every
	}
	return none
}

// unknown says that an item names no rule, and which it may have meant.
func unknown(item string, all []*rules.Rule) error {
	best, least := "", 1<<30
	try := func(word string) {
		d := distance(strings.ToLower(item), strings.ToLower(word))
		// Half a name is a good hint: "nagle".
		if len(item) >= 3 && strings.Contains(word, strings.ToLower(item)) {
			d = min(d, 1)
		}
		if d < least {
			best, least = word, d
		}
	}
	for _, r := range all {
		try(r.Name)
		try(r.Code)
	}
	for _, f := range Families() {
		try(f.Prefix)
	}
	if least > max(2, len(item)/3) {
		return fmt.Errorf("unknown rule %q; \"connlint rules\" lists them", item)
	}
	return fmt.Errorf("unknown rule %q; did you mean %s?", item, best)
}

// distance counts the insertions, deletions and replacements between two words
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
