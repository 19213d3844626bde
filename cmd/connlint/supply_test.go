package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"debug/buildinfo"
)

// SECURITY.md lists what go.mod requires, and says of each module whether it is
// in the binary.
func TestDependencies(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+\.\S+/\S+) \| (yes|no) \| \S.* \|$`).FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = row[2] == "yes"
	}

	required := map[string]bool{}
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []any
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if !r.Indirect {
			required[r.Path] = false
		}
	}
	for _, d := range built(t).Deps {
		if _, direct := required[d.Path]; direct {
			required[d.Path] = true
		}
	}
	if d := cmp.Diff(required, listed); d != "" {
		t.Errorf("go.mod (-) and SECURITY.md (+), true for what is in the binary:\n%s", d)
	}
	if len(mod.Replace) > 0 {
		t.Error("go.mod replaces modules: go install of a version would not build the same")
	}
}

// The bill of materials has each module that is built in.
func TestBillOfMaterials(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("the script needs sh: ", err)
	}
	file := buildBinary(t)
	out, err := exec.Command(sh, filepath.Join(root, ".ci", "sbom"), file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SpecVersion string
		Metadata               struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Type, Name, Version, PURL string }
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	if err := dec.Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Errorf("more than a document: %v", err)
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"std@" + strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go")}
	for _, d := range info.Deps {
		want = append(want, d.Path+"@"+d.Version)
	}
	var got []string
	for _, c := range bom.Components {
		got = append(got, c.Name+"@"+c.Version)
		if c.PURL != "pkg:golang/"+c.Name+"@"+c.Version || c.Type != "library" {
			t.Errorf("%+v", c)
		}
	}
	if !slices.Equal(got, want) || bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Name != info.Main.Path {
		t.Errorf("%+v\nwant %q", bom, want)
	}
}

// built tells what the command is built of.
func built(t *testing.T) *buildinfo.BuildInfo {
	t.Helper()
	info, err := buildinfo.ReadFile(buildBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func buildBinary(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "connlint")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}
