package main

import (
	"bytes"
	"container/heap"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	scenarioName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	ruleCode     = regexp.MustCompile(`^[A-Z]{2,4}\d{3}$`)
)

// A scenario that says nothing, or says it about the wrong thing, makes a
// recording nobody can judge.
func TestCatalogue(t *testing.T) {
	names, files := map[string]bool{}, map[string]bool{}
	for _, s := range scenarios() {
		if !scenarioName.MatchString(s.Name) || names[s.Name] {
			t.Errorf("%q: name is malformed or taken", s.Name)
		}
		names[s.Name] = true
		if s.Title == "" || s.Story == "" || s.Drive == nil || len(s.Captures) == 0 || len(s.Evidence) == 0 || len(s.Programs) == 0 {
			t.Errorf("%s: lacks a title, story, drive, capture, program or evidence", s.Name)
		}
		switch s.Family {
		case Firing:
			if len(s.Rules) == 0 {
				t.Errorf("%s: fires nothing", s.Name)
			}
		case Silent:
			if len(s.Rules) != 0 || len(s.SilentFor) == 0 {
				t.Errorf("%s: a near-miss names the rule it misses and fires none", s.Name)
			}
		case Healthy:
			if len(s.Rules) != 0 {
				t.Errorf("%s: healthy, yet fires %v", s.Name, s.Rules)
			}
		default:
			t.Errorf("%s: family %q", s.Name, s.Family)
		}
		for _, codes := range [][]string{s.Rules, s.SilentFor, s.Also} {
			for _, c := range codes {
				if !ruleCode.MatchString(c) {
					t.Errorf("%s: %q is no rule code", s.Name, c)
				}
			}
		}
		for _, p := range s.Programs {
			if _, ok := catalogue[p]; !ok {
				t.Errorf("%s: program %q is not in the catalogue", s.Name, p)
			}
		}
		for _, c := range s.Captures {
			if files[s.file(c)] {
				t.Errorf("%s: %s is recorded twice", s.Name, s.file(c))
			}
			files[s.file(c)] = true
			if c.At == "proxy" && !s.Proxied {
				t.Errorf("%s: captures at a proxy it does not have", s.Name)
			}
		}
	}
}

// Every recording is in the index, every indexed file is there, and each has
// its note: the three are written by one program but committed by hand.
func TestRecordedIndex(t *testing.T) {
	dir := filepath.Join("..", "recorded")
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	if err := json.Unmarshal(raw, &entries); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.File] = true
		for _, f := range []string{e.File, strings.TrimSuffix(e.File, filepath.Ext(e.File)) + ".md"} {
			if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
				t.Errorf("indexed: %v", err)
			}
		}
	}
	for _, pattern := range []string{"*.pcap", "*.pcapng"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range found {
			if !listed[filepath.Base(f)] {
				t.Errorf("%s is not in index.json", filepath.Base(f))
			}
		}
	}
}

func TestChoose(t *testing.T) {
	all := []*Scenario{{Name: "lat001-a"}, {Name: "frm001-b"}, {Name: "lat001-c"}}
	got, err := choose(all, []string{"lat001-c", "lat*"})
	if err != nil || len(got) != 2 || got[0] != all[0] || got[1] != all[2] {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := choose(all, []string{"nope"}); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("an unknown name must be named, got %v", err)
	}
}

func TestUsage(t *testing.T) {
	var out, errw bytes.Buffer
	if code := cli([]string{"rekord"}, &out, &errw); code != 2 || !strings.Contains(errw.String(), "record") {
		t.Errorf("exit %d, %q", code, errw.String())
	}
	if code := cli([]string{"list"}, &out, &errw); code != 0 || !strings.Contains(out.String(), "lat001-") {
		t.Errorf("exit %d, %q", code, out.String())
	}
}

func TestRecordNeedsRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("runs as root, which recording is allowed to")
	}
	var out, errw bytes.Buffer
	if code := cli([]string{"record", "-o", t.TempDir()}, &out, &errw); code != 2 || !strings.Contains(errw.String(), "root") {
		t.Errorf("exit %d, %q", code, errw.String())
	}
}

// Frames due at the same time keep their order: reordering is for scenarios
// that ask for it.
func TestHeldOrder(t *testing.T) {
	now := time.Now()
	var h heldHeap
	for _, f := range []held{{due: now.Add(2), order: 0}, {due: now, order: 3}, {due: now, order: 1}, {due: now.Add(1), order: 2}} {
		heap.Push(&h, f)
	}
	var got []uint64
	for len(h) > 0 {
		got = append(got, heap.Pop(&h).(held).order)
	}
	if want := []uint64{1, 3, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestQuote(t *testing.T) {
	got := quote([]string{"tshark", "-Y", "tcp.len == 0 && x", "-e", "a.b"})
	if want := "tshark -Y 'tcp.len == 0 && x' -e a.b"; got != want {
		t.Errorf("got %s", got)
	}
}
