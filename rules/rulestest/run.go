package rulestest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// Run judges the scripts that match the pattern by one rule, and compares the
// findings with those the scripts want: what is missing and what is unexpected
// both fail. Wants of other rules are passed over. Each script is run on one
// worker and on seven, from lasting packets and from recycled blocks; all must
// give the same.
func Run(t *testing.T, rule *rules.Rule, pattern string) {
	t.Helper()
	Together(t, pattern, runner.Options{Rules: []*rules.Rule{rule}})
}

// Together is Run for several rules at once, with an order of precedence.
func Together(t *testing.T, pattern string, opts runner.Options) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts match %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pkt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := script.Parse(file, string(text))
			if err != nil {
				t.Fatal(err)
			}
			Script(t, s, opts)
		})
	}
}

// Script runs one script and compares its findings with those it wants, as Run
// does. Workers and All are set here, and Config is the default if nil.
func Script(t *testing.T, s *script.Script, opts runner.Options) {
	t.Helper()
	if opts.Config == nil {
		opts.Config = rules.Defaults()
	}
	opts.All = true
	var whole *runner.Result
	var want string
	asked := opts
	asked.Rules = nil
	for _, r := range opts.Rules {
		all := *r
		all.Odd, all.HeadBits, all.HeadOdd, all.TurnOdd = 0, 0, 0, 0
		asked.Rules = append(asked.Rules, &all)
	}
	for _, run := range []struct {
		workers, block int
		opts           runner.Options
	}{{1, 0, opts}, {1, 1, opts}, {7, 0, opts}, {7, 300, opts}, {2, 1 << 16, opts}, {1, 0, asked}} {
		opts := run.opts
		opts.Workers = run.workers
		src := s.Source(run.block)
		res := runner.Run(src, opts)
		if err := src.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		got := Describe(res)
		if whole == nil {
			whole, want = res, got
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d workers, blocks of %d: differs from one worker without blocks:\n%s", run.workers, run.block, d)
		}
	}
	for _, problem := range Compare(s, opts.Rules, whole) {
		t.Error(problem)
	}
}

// Describe writes out all of a result that must not depend on how it came
// about.
func Describe(r *runner.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "packets %d, connections %d http %d tls %d h2 %d, requests %d, responses %d, skipped %v, abstained %v, error %v\n",
		r.Packets, r.TCPConnections, r.HTTPConnections, r.TLSConnections, r.HTTP2Connections, r.Requests, r.Responses,
		r.Skipped, r.Abstained, r.Err)
	for i := range r.Findings {
		f := &r.Findings[i]
		fmt.Fprintf(&b, "%v %v %s %v t=%d conn=%d/%d %v %q measured=%v cost=%d ×%d/%d %s\n", f.Frames, f.Severity, f.Rule.Code,
			f.Side, f.Time, f.Conn, f.ConnNumber, f.Subject, f.Message, f.Measured, f.Cost, f.Occurrences, f.Connections, f.Fingerprint)
	}
	return b.String()
}

// Compare lists what is missing in a result of what its script wants, and what
// of these rules is there unasked.
func Compare(s *script.Script, list []*rules.Rule, r *runner.Result) (problems []string) {
	problem := func(line int, format string, args ...any) {
		at := filepath.Base(s.Name)
		if line > 0 {
			at += fmt.Sprintf(":%d", line)
		}
		problems = append(problems, at+": "+fmt.Sprintf(format, args...))
	}
	if cut := new(capture.ReadError); r.Err != nil && !errors.As(r.Err, &cut) {
		problem(0, "%v", r.Err)
	}
	met := make([]bool, len(r.Findings))
	for _, w := range s.Wants {
		if !slices.ContainsFunc(list, func(rule *rules.Rule) bool { return names(w.Rule, rule) }) {
			continue
		}
		i := slices.IndexFunc(r.Findings, func(f runner.Finding) bool { return matches(&w, &f) })
		for i >= 0 && met[i] { // one finding meets one want
			j := slices.IndexFunc(r.Findings[i+1:], func(f runner.Finding) bool { return matches(&w, &f) })
			if j < 0 {
				i = -1
			} else {
				i += 1 + j
			}
		}
		if i < 0 {
			problem(w.Line, "no finding %s %s %q at frames %v", w.Rule, w.Severity, w.Text, w.Frames)
			continue
		}
		met[i] = true
	}
	if s.Silent && len(s.Wants) > 0 {
		problem(0, "is silent and wants findings")
	}
	for i, f := range r.Findings {
		if !met[i] {
			problem(0, "unexpected %s %s at frames %v: %s", f.Rule.Code, f.Severity, f.Frames, f.Message)
		}
	}
	for _, why := range s.Abstains {
		if !slices.ContainsFunc(list, func(rule *rules.Rule) bool { return r.Abstained[rule.Name][why] > 0 }) {
			problem(0, "no connection is counted as not judged for %s, only %v", why, r.Abstained)
		}
	}
	if !s.Silent && len(s.Wants) == 0 {
		problem(0, "expects nothing: add # want or # silent")
	}
	return problems
}

func names(s string, r *rules.Rule) bool { return s == r.Code || s == r.Name }

func matches(w *script.Want, f *runner.Finding) bool {
	if !names(w.Rule, f.Rule) || w.Severity != "" && w.Severity != f.Severity.String() || !strings.Contains(f.Message, w.Text) {
		return false
	}
	return len(w.Frames) == 0 || len(f.Frames) > 0 && slices.Contains(w.Frames, f.Frames[0])
}
