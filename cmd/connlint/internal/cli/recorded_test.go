package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/rules/catalog"
)

// recording is an entry of testdata/recorded/index.json: a capture of real
// programs and what must be found in it.
type recording struct {
	File      string
	Family    string   // "firing", "silent" or "healthy"
	Rules     []string // codes that must fire
	Also      []string // codes that fire too, by their definition
	SilentFor []string `json:"silent_for"` // codes that must not
	Programs  []string
	Vantage   string
	IPVersion int `json:"ip_version"`
}

const recorded = "../../../../testdata/recorded"

func recordings(t *testing.T) []recording {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(recorded, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []recording
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// checkJSON runs check on a file, or on standard input, and returns its JSON
// with the parts left out that differ between equal runs.
func checkJSON(t *testing.T, stdin io.Reader, args ...string) []byte {
	t.Helper()
	s, out, errs := streams(nil)
	if stdin != nil {
		s.In = stdin
	}
	if status := Main(append([]string{"check", "--isolated", "--format", "json", "--exit-zero"}, args...), s); status != exitClean {
		t.Fatalf("exit status %d\n%s", status, errs)
	}
	var doc map[string]any
	dec := json.NewDecoder(out)
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	delete(doc, "tool")
	for _, list := range []string{"captures", "findings"} {
		for _, e := range doc[list].([]any) {
			delete(e.(map[string]any), "file")
		}
	}
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// found is the part of a finding that this test looks at.
type found struct{ Code, Severity, Message string }

func TestRecordings(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.File, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(recorded, r.File)
			run := func(stdin io.Reader, args ...string) []byte {
				return checkJSON(t, stdin, append(r.unasked(), args...)...)
			}
			got := run(nil, "-j", "1", path)
			golden := strings.TrimSuffix(path, filepath.Ext(path)) + ".golden.json"
			if *update {
				if err := os.WriteFile(golden, got, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("not as %s (-want +got):\n%s", filepath.Base(golden), d)
			}
			r.judge(t, got)

			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for name, again := range map[string]func() []byte{
				"2 workers":               func() []byte { return run(nil, "-j", "2", path) },
				"7 workers":               func() []byte { return run(nil, "-j", "7", path) },
				"standard input":          func() []byte { return run(bytes.NewReader(b), "-") },
				"standard input by bytes": func() []byte { return run(iotest.OneByteReader(bytes.NewReader(b)), "-") },
				"standard input in odd pieces": func() []byte {
					return run(&odd{bytes.NewReader(b), rng}, "-j", "7", "-")
				},
			} {
				if other := again(); !bytes.Equal(got, other) {
					t.Errorf("%s: other findings (-file +%s):\n%s", name, name, cmp.Diff(string(got), string(other)))
				}
			}
		})
	}
}

// unasked returns the flags that select the expected rules that are off.
func (r *recording) unasked() []string {
	var flags []string
	for _, code := range r.Rules {
		if rule, ok := catalog.Find(code); ok && rule.Off {
			flags = append(flags, "--extend-select", code)
		}
	}
	return flags
}

// odd reads pieces of odd sizes.
type odd struct {
	r   io.Reader
	rng *rand.Rand
}

func (o *odd) Read(p []byte) (int, error) {
	return o.r.Read(p[:min(len(p), 1+2*o.rng.IntN(2000))])
}

// judge holds findings against what the recording's maker expects.
func (r *recording) judge(t *testing.T, report []byte) {
	var doc struct{ Findings []found }
	if err := json.Unmarshal(report, &doc); err != nil {
		t.Fatal(err)
	}
	fired := map[string]bool{}
	for _, f := range doc.Findings {
		fired[f.Code] = true
		switch {
		case slices.Contains(r.SilentFor, f.Code):
			t.Errorf("not silent: %s %s: %s", f.Code, f.Severity, f.Message)
		case f.Severity != "info" && !slices.Contains(r.Rules, f.Code) && !slices.Contains(r.Also, f.Code):
			t.Errorf("not expected in a %s recording: %s %s: %s", r.Family, f.Code, f.Severity, f.Message)
		}
	}
	for _, code := range r.Rules {
		if !fired[code] {
			t.Errorf("%s did not fire", code)
		}
	}
}

// unrecorded are the rules that no recording of programs can show, and why.
var unrecorded = map[string]string{
	"CAP005": "kernel drops are told by a live capture, not by a file of tcpdump's; the tests of live capture force them",
	"CAP006": "the clock of a capture does not run back on one host at the recorder's will; scripts show it",
	"CAP007": "a cut file is not a matter of traffic; sessions and scripts cut one",
}

// TestRecordingsCover counts what the recordings prove.
func TestRecordingsCover(t *testing.T) {
	firing, silent := map[string]map[string]bool{}, map[string]map[string]bool{}
	add := func(to map[string]map[string]bool, code, scenario string) {
		if to[code] == nil {
			to[code] = map[string]bool{}
		}
		to[code][scenario] = true
	}
	healthy, programs, vantages := map[string]bool{}, map[string]bool{}, map[string]bool{}
	versions, tls := map[int]bool{}, false
	for _, r := range recordings(t) {
		scenario, where, _ := strings.Cut(strings.TrimSuffix(r.File, filepath.Ext(r.File)), "-at-")
		for _, c := range append(slices.Clone(r.Rules), r.Also...) {
			add(firing, c, scenario)
		}
		for _, c := range r.SilentFor {
			add(silent, c, scenario)
		}
		if r.Family == "healthy" {
			healthy[scenario] = true
			vantages[strings.SplitN(where, "-", 2)[0]] = true
			versions[r.IPVersion] = true
			tls = tls || strings.Contains(scenario, "tls")
			for _, p := range r.Programs {
				programs[p] = true
			}
		}
		if _, err := os.Stat(filepath.Join(recorded, strings.TrimSuffix(r.File, filepath.Ext(r.File))+".md")); err != nil {
			t.Errorf("%s: how was it made? %v", r.File, err)
		}
	}
	for _, rule := range catalog.All() {
		least := 2
		switch {
		case slices.Contains([]string{"LAT001", "FRM001", "PIP001", "HOP001", "TW001", "CLS001"}, rule.Code):
			least = 4
		case rule.Code == "CAP002":
			least = 1
		case unrecorded[rule.Code] != "":
			if len(firing[rule.Code]) > 0 {
				t.Errorf("%s is recorded after all", rule.Code)
			}
			continue
		}
		if n := len(firing[rule.Code]); n < least {
			t.Errorf("%s fires in %d recorded scenarios, want %d", rule.Code, n, least)
		}
		// A note about the capture is silent wherever the capture is sound.
		if n := len(silent[rule.Code]); n < least && catalog.FamilyOf(rule.Code) != "CAP" {
			t.Errorf("%s has %d recorded near-misses, want %d", rule.Code, n, least)
		}
	}
	if len(healthy) < 25 || len(programs) < 8 || len(vantages) < 3 || len(versions) != 2 || !tls {
		t.Errorf("%d healthy sessions of %d programs at %d vantage points, IP versions %v, TLS %v",
			len(healthy), len(programs), len(vantages), versions, tls)
	}
	if files, err := filepath.Glob(filepath.Join(recorded, "*.pcap*")); err != nil || len(files) != len(recordings(t)) {
		t.Errorf("%d captures, of which the index has %d; %v", len(files), len(recordings(t)), err)
	}
}
