package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/connlint/connlint/"

// floor returns the floor a package stands on: it may import only from floors
// below. Packages of one floor know nothing of each other, but for those that
// a parent bundles or that stand on a step of their own.
func floor(path string) (n int, ok bool) {
	p := strings.TrimPrefix(path, module)
	switch {
	case p == "capture/wire":
		return 0, true
	case p == "capture":
		return 10, true
	case p == "capture/pcapfile", p == "capture/filter", p == "capture/script":
		return 11, true
	case p == "capture/live": // filters in the kernel
		return 12, true
	case p == "reassembly":
		return 20, true
	case p == "reassembly/shard":
		return 21, true
	case p == "analyzers/http1":
		return 30, true
	case p == "analyzers/timing", p == "analyzers/tlsinfo", p == "analyzers/hop":
		return 31, true
	case p == "analyzers/lifecycle":
		return 32, true
	case p == "analyzers":
		return 33, true
	case p == "rules/accum":
		return 40, true
	case p == "rules":
		return 41, true
	case p == "rules/runner":
		return 60, true
	case p == "rules/catalog":
		return 61, true
	case p == "rules/rulestest":
		return 62, true
	case strings.HasPrefix(p, "rules/"): // the families
		return 50, true
	case p == "cmd/connlint/internal/suggest", p == "cmd/connlint/internal/outfile":
		return 69, true
	case p == "cmd/connlint/internal/config":
		return 71, true
	case p == "cmd/connlint/internal/report/reporttest":
		return 69, true
	case p == "cmd/connlint/internal/report/html": // what the formats say, to look at
		return 71, true
	case strings.HasPrefix(p, "cmd/connlint/internal/report"):
		return 70, true
	case strings.HasPrefix(p, "cmd/connlint/internal/tui"):
		return 71, true
	case strings.HasPrefix(p, "cmd/connlint/internal/cli"):
		return 72, true
	case p == "cmd/connlint":
		return 73, true
	case strings.HasPrefix(p, "testdata/"): // the recorder is a program of its own
		return 80, true
	}
	return 0, false
}

// TestFloors holds the direction of imports.
func TestFloors(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from, ok := floor(p.ImportPath)
		if !ok {
			t.Errorf("%s has no floor: give it one here, and in the design", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			switch to, ok := floor(i); {
			case !strings.HasPrefix(i, module):
				if p.ImportPath == module+"capture/wire" && strings.Contains(i, ".") {
					t.Errorf("capture/wire imports %s: it stands on the standard library alone", i)
				}
			case !ok || to >= from:
				t.Errorf("%s imports %s, which is not on a floor below", p.ImportPath, i)
			}
		}
	}
	if packages < 20 {
		t.Errorf("only %d packages were looked at", packages)
	}
}
