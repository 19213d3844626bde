package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
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
	if status := Main(append([]string{"check", "--format", "json", "--exit-zero"}, args...), s); status != exitClean {
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
			got := checkJSON(t, nil, "-j", "1", path)
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
			for name, run := range map[string]func() []byte{
				"2 workers":               func() []byte { return checkJSON(t, nil, "-j", "2", path) },
				"7 workers":               func() []byte { return checkJSON(t, nil, "-j", "7", path) },
				"standard input":          func() []byte { return checkJSON(t, bytes.NewReader(b), "-") },
				"standard input by bytes": func() []byte { return checkJSON(t, iotest.OneByteReader(bytes.NewReader(b)), "-") },
				"standard input in odd pieces": func() []byte {
					return checkJSON(t, &odd{bytes.NewReader(b), rng}, "-j", "7", "-")
				},
			} {
				// The size of a pipe is not known beforehand; all else is equal.
				if again := run(); !bytes.Equal(got, again) {
					t.Errorf("%s: other findings (-file +%s):\n%s", name, name, cmp.Diff(string(got), string(again)))
				}
			}
		})
	}
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

// TestRecordingsCover counts what the recordings prove.
func TestRecordingsCover(t *testing.T) {
	firing, silent := map[string]int{}, map[string]int{}
	healthy, programs := map[string]bool{}, map[string]bool{}
	for _, r := range recordings(t) {
		for _, c := range r.Rules {
			firing[c]++
		}
		for _, c := range r.SilentFor {
			silent[c]++
		}
		if r.Family == "healthy" {
			scenario, _, _ := strings.Cut(r.File, "-at-")
			healthy[scenario] = true
			for _, p := range r.Programs {
				programs[p] = true
			}
		}
		base := strings.TrimSuffix(r.File, filepath.Ext(r.File))
		if _, err := os.Stat(filepath.Join(recorded, base+".md")); err != nil {
			t.Errorf("%s: how was it made? %v", r.File, err)
		}
	}
	for _, code := range []string{"LAT001", "FRM001", "PIP001", "HOP001", "TW001", "CLS001"} {
		if firing[code] < 4 || silent[code] < 4 {
			t.Errorf("%s: %d firing and %d silent recordings, want 4 of each", code, firing[code], silent[code])
		}
	}
	if len(healthy) < 12 || len(programs) < 8 {
		t.Errorf("%d healthy sessions of %d programs, want 12 and 8", len(healthy), len(programs))
	}
	if files, err := filepath.Glob(filepath.Join(recorded, "*.pcap*")); err != nil || len(files) != len(recordings(t)) {
		t.Error(fmt.Sprint(len(files), " captures, of which the index has ", len(recordings(t)), "; ", err))
	}
}
