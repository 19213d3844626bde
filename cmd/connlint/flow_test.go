package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/connlint/connlint/cmd/connlint/internal/config"
	"github.com/connlint/connlint/cmd/connlint/internal/report/reporttest"
)

// The flow of docs/ci.md works as it is written: a baseline, the same captures
// again, then one with a new fault. So does its configuration.
func TestCIFlow(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("the flow needs bash: ", err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	bin, dir := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	record := func(name string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, "testdata", "recorded", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "captures"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "captures", name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run := func(command string, status int) {
		t.Helper()
		cmd := exec.Command(bash, "-e", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
			t.Fatalf("%s: %v, want status %d\n%s", command, err, status, out)
		}
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of commands in docs/ci.md", len(blocks))
	}
	record("lat001-python-two-writes-at-client.pcap")
	run(blocks[0][1], 0)
	run(blocks[1][1], 0)
	record("cls001-go-server-resets-at-client.pcap")
	run(blocks[1][1], 1)
	check := reporttest.New(t, filepath.Join(root, "testdata", "schema"))
	for format, name := range map[string]string{"sarif": "connlint.sarif", "junit": "connlint.xml", "markdown": "summary.md"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		check.Check(t, format, string(text))
		if !strings.Contains(string(text), "CLS001") {
			t.Errorf("%s does not know the new fault", name)
		}
	}

	configured := false
	for _, b := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(doc), -1) {
		if strings.HasPrefix(b[1], "fail-on:") {
			configured = true
			if err := config.Defaults().Decode("docs/ci.md", "docs/ci.md", []byte(b[1])); err != nil {
				t.Error(err)
			}
		}
	}
	if !configured {
		t.Error("docs/ci.md shows no configuration")
	}
}
