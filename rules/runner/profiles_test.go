package runner_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// truth is what the capture generator says of what it wrote.
type truth struct {
	Packets, Connections, Requests, Transactions uint64
}

// profile generates a capture of one kind of traffic and returns its path and
// truth.
func profile(t *testing.T, name string, args ...string) (string, truth) {
	t.Helper()
	src, err := filepath.Abs("../../../shared/bench/mkpcap")
	if err == nil {
		_, err = os.Stat(filepath.Join(src, "go.mod"))
	}
	if err != nil {
		if os.Getenv("CONNLINT_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip("the capture generator is not beside this checkout:", err)
	}
	dir := t.TempDir()
	bin, out := filepath.Join(dir, "mkpcap"), filepath.Join(dir, name+".pcap")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = src
	if msg, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the generator: %v\n%s", err, msg)
	}
	var line bytes.Buffer
	gen := exec.Command(bin, append([]string{"-profile", name, "-o", out}, args...)...)
	gen.Stderr = &line
	if err := gen.Run(); err != nil {
		t.Fatalf("%v\n%s", err, line.Bytes())
	}
	var tr truth
	if err := json.Unmarshal(line.Bytes(), &tr); err != nil {
		t.Fatal(err)
	}
	return out, tr
}

// size keeps the generated captures near 20 MB.
func size(name string) []string {
	if name == "million" {
		return []string{"-conns", "20000"}
	}
	return []string{"-size", "20000000"}
}

func TestProfiles(t *testing.T) {
	for _, name := range []string{"bulk", "web", "api", "churn", "million"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, want := profile(t, name, size(name)...)
			res := check(t, path, runner.Options{Workers: 2})
			got := truth{res.Packets, res.TCPConnections, res.Requests, res.Responses}
			if res.Err != nil || got != want {
				t.Errorf("got %+v, truth %+v, error %v", got, want, res.Err)
			}
			for _, f := range res.Findings {
				if f.Severity > rules.Info && name != "churn" {
					t.Errorf("healthy traffic: %s %s frames %v: %s", f.Rule.Code, f.Severity, f.Frames, f.Message)
				}
			}
		})
	}
}

// TestMessy takes its target from what the damaged capture still holds, as
// found by reading its payloads without regard to order: a message counts
// when its start line is in the capture.
func TestMessy(t *testing.T) {
	path, tr := profile(t, "messy", size("messy")...)
	res := check(t, path, runner.Options{Workers: 2})
	requests, responses := startLines(t, path)
	t.Logf("requests %d of %d in the capture (%d sent); responses %d of %d (%d sent)",
		res.Requests, requests, tr.Requests, res.Responses, responses, tr.Transactions)
	if res.Err != nil || res.Requests > requests || float64(res.Requests) < 0.999*float64(requests) {
		t.Errorf("requests: %d of %d in the capture; error %v", res.Requests, requests, res.Err)
	}
	if res.Responses > responses || float64(res.Responses) < 0.998*float64(responses) {
		t.Errorf("responses: %d of %d in the capture", res.Responses, responses)
	}
}
