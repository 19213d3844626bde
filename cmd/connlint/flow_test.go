package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/connlint/connlint/cmd/connlint/internal/config"
	"github.com/connlint/connlint/cmd/connlint/internal/report/reporttest"
)

// TestMain is also the program whose traffic the flow of the README looks at.
func TestMain(m *testing.M) {
	if how := os.Getenv("CONNLINT_SAMPLE"); how != "" {
		if err := talk(how == "faulty"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// talk is a client and its server that open a connection for each request. If
// it is faulty, there is a response without length too.
func talk(faulty bool) error {
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				if req.URL.Path == "/new" {
					fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nok")
				} else {
					fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
				}
			}
			c.Close()
		}
	}()
	paths := slices.Repeat([]string{"/items"}, 8)
	if faulty {
		paths = append(paths, "/new")
	}
	for _, path := range paths {
		req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:8080"+path, nil)
		if err != nil {
			return err
		}
		req.Close = path == "/items"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		resp.Body.Close()
	}
	return nil
}

// The README's lines for CI, and those of the workflow in docs/ci.md, work in
// an empty directory with a sample project, as they are written.
func TestReadmeFlow(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("the flow needs bash: ", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("the flow captures: it needs root")
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, b := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		if strings.Contains(b[1], "integration-tests") {
			lines = append(lines, strings.Split(strings.TrimSpace(b[1]), "\n")...)
		}
	}
	if len(lines) != 3 {
		t.Fatalf("%d lines for CI in README.md", len(lines))
	}
	bin, dir := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script(filepath.Join(bin, "sudo"), `exec "$@"`) // root is here
	project := func(how string) {
		t.Helper()
		script(filepath.Join(dir, "integration-tests"), fmt.Sprintf("CONNLINT_SAMPLE=%s exec %q", how, self))
	}
	summary := filepath.Join(dir, "step-summary")
	run := func(line string, status int) {
		t.Helper()
		// A network of its own: all that it captures is the project's.
		cmd := exec.Command("unshare", "--net", bash, "-e", "-c", "ip link set lo up; "+line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "GITHUB_STEP_SUMMARY="+summary)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
			if strings.Contains(string(out), "unshare failed") && os.Getenv("CONNLINT_NO_SKIP") == "" {
				t.Skipf("no network namespaces here: %s", out)
			}
			t.Fatalf("%s\n%v, want status %d\n%s", line, err, status, out)
		}
	}
	check := reporttest.New(t, filepath.Join(root, "testdata", "schema"))
	reports := func(want string) {
		t.Helper()
		for format, name := range map[string]string{"sarif": "connlint.sarif", "junit": "connlint.xml"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			check.Check(t, format, string(text))
			if format == "sarif" && states(t, text) != want {
				t.Errorf("%s says %s, want %s", name, states(t, text), want)
			}
		}
	}
	project("sound")
	run(lines[0], 0)
	run(lines[1], 0)
	run(lines[2], 0)
	reports("REU001 unchanged")
	project("faulty")
	run(lines[2], 1)
	reports("FRM001 new, REU001 unchanged")

	doc, err := os.ReadFile(filepath.Join(root, "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for _, b := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(doc), -1) {
		var workflow struct {
			Jobs map[string]struct{ Steps []step }
		}
		if err := yaml.Unmarshal([]byte(b[1]), &workflow); err != nil {
			t.Error(err)
		}
		for _, s := range workflow.Jobs["connections"].Steps {
			if s.Run == "" || strings.HasPrefix(s.Run, "go install ") {
				continue
			}
			steps++
			status := 0
			if strings.Contains(s.Run, "connlint") {
				status = 1
			}
			run(s.Run, status)
		}
	}
	if text, err := os.ReadFile(summary); steps != 2 || err != nil || !strings.Contains(string(text), "FRM001") {
		t.Errorf("%d steps of the workflow in docs/ci.md gave the summary %s, %v", steps, text, err)
	}
}

// states lists the rules of a SARIF report's results, each with how it stands
// to the baseline.
func states(t *testing.T, text []byte) string {
	t.Helper()
	var doc struct {
		Runs []struct {
			Results []struct{ RuleID, BaselineState, Level string }
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, run := range doc.Runs {
		for _, r := range run.Results {
			if r.Level == "error" || r.Level == "warning" {
				out = append(out, r.RuleID+" "+r.BaselineState)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

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
