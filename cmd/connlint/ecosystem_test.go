package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

// action is the part of action.yml that is tried here.
type action struct {
	Inputs map[string]struct {
		Default  string
		Required bool
	}
	Outputs map[string]struct{ Value string }
	Runs    struct {
		Using string
		Steps []step
	}
}

type step struct {
	Name, ID, If, Shell, Run, Uses string
	Env, With                      map[string]string
}

var expression = regexp.MustCompile(`\$\{\{ *([a-z_.-]+) *\}\}`)

// The shell steps of action.yml run as GitHub runs them, with inputs through
// the environment: nothing of them is pasted into a script.
func TestAction(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("the steps need bash: ", err)
	}
	text, err := os.ReadFile(filepath.Join(root, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var a action
	if err := yaml.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	if a.Runs.Using != "composite" {
		t.Fatalf("it runs by %q", a.Runs.Using)
	}
	source, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	paths := []string{
		filepath.Join(source, "testdata", "recorded", "lat001-python-two-writes-at-client.pcap"),
		filepath.Join(source, "testdata", "recorded", "cls001-silent-bare-reset.pcap"),
	}
	for _, c := range []struct {
		name   string
		inputs map[string]string
		status string
	}{
		{"findings", map[string]string{"paths": paths[0]}, "1"},
		{"lenient", map[string]string{"paths": "\n" + paths[1] + "\n" + paths[0] + "\n", "fail-on": "error", "junit": "out dir.xml", "args": "--select\nLAT"}, "0"},
		{"hostile", map[string]string{"paths": "$(touch pwned)`touch pwned`;touch pwned"}, "3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			values := map[string]string{"github.action_path": source}
			for name, in := range a.Inputs {
				values["inputs."+name] = in.Default
				if v, ok := c.inputs[name]; ok {
					values["inputs."+name] = v
				} else if in.Required {
					t.Fatalf("no %s", name)
				}
			}
			expand := func(s string) string {
				return expression.ReplaceAllStringFunc(s, func(x string) string {
					v, ok := values[expression.FindStringSubmatch(x)[1]]
					if !ok {
						t.Fatalf("%s has no value", x)
					}
					return v
				})
			}
			output, summary := filepath.Join(dir, "output"), filepath.Join(dir, "summary")
			status := "0"
			for _, s := range a.Runs.Steps {
				if s.Uses != "" {
					continue // another's action
				}
				if strings.Contains(s.Run, "${{") {
					t.Errorf("%s: an input is pasted into the script", s.Name)
				}
				cmd := exec.Command(bash, "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "RUNNER_TEMP="+temp, "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+summary)
				for k, v := range s.Env {
					cmd.Env = append(cmd.Env, k+"="+expand(v))
				}
				out, err := cmd.CombinedOutput()
				if err != nil && s.Name != "Exit status" {
					t.Fatalf("%s: %v\n%s", s.Name, err, out)
				}
				if s.ID == "" {
					if s.Name == "Exit status" && cmd.ProcessState.ExitCode() != int(c.status[0]-'0') {
						t.Errorf("the step ends with %v, want %s", err, c.status)
					}
					continue
				}
				text, err := os.ReadFile(output)
				if err != nil {
					t.Fatal(err)
				}
				for l := range strings.Lines(string(text)) {
					k, v, _ := strings.Cut(strings.TrimSpace(l), "=")
					values["steps."+s.ID+".outputs."+k] = v
					status = v
				}
				if c.name == "findings" && !strings.Contains(string(out), "::warning file=") {
					t.Errorf("no annotation in %s", out)
				}
			}
			if status != c.status {
				t.Errorf("status %s, want %s", status, c.status)
			}
			for name, o := range a.Outputs {
				if expand(o.Value) == "" {
					t.Errorf("output %s is empty", name)
				}
			}
			for _, file := range []string{summary, filepath.Join(dir, "connlint.sarif")} {
				if st, err := os.Stat(file); err != nil || st.Size() == 0 {
					t.Errorf("%s: %v", file, err)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "out dir.xml")); (err == nil) != (c.inputs["junit"] != "") {
				t.Errorf("JUnit: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
				t.Error("an input was run")
			}
		})
	}
}

// GitLab's template, with its variables, runs as it stands.
func TestGitLabTemplate(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("the script needs bash: ", err)
	}
	text, err := os.ReadFile(filepath.Join(root, ".ci", "templates", "gitlab.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Connlint struct {
			Variables map[string]string
			Script    []string
			Artifacts struct{ Reports map[string]string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	bin, dir := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	recorded, err := filepath.Abs(filepath.Join(root, "testdata", "recorded", "lat001-python-two-writes-at-client.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bash, "-e", "-c", strings.Join(file.Connlint.Script, "\n"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for k, v := range file.Connlint.Variables {
		if k == "CONNLINT_PATHS" {
			v = recorded
		}
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	for kind, name := range file.Connlint.Artifacts.Reports {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// The files that a pre-commit hook is for are those that check reads.
func TestPreCommitHook(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, ".pre-commit-hooks.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var hooks []struct{ ID, Entry, Files, Language string }
	if err := yaml.Unmarshal(text, &hooks); err != nil {
		t.Fatal(err)
	}
	if len(hooks) != 1 || !strings.HasPrefix(hooks[0].Entry, "connlint check") || hooks[0].Language != "golang" {
		t.Fatalf("%+v", hooks)
	}
	files, err := regexp.Compile(hooks[0].Files)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a.pcap": true, "d/a.pcapng.zst": true, "a.cap.gz": true, "a.pcap.txt": false, "pcap.go": false} {
		if files.MatchString(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// What the image is built of: one static binary, run as nobody.
func TestImage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split(string(text), "\nFROM ")
	last := stages[len(stages)-1]
	if !strings.HasPrefix(last, "scratch\n") || !regexp.MustCompile(`(?m)^USER [1-9][0-9]*:[1-9][0-9]*$`).MatchString(last) {
		t.Errorf("the last stage is not scratch, or runs as root:\n%s", last)
	}
	build := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*) -o /connlint (\./cmd/connlint)$`).FindStringSubmatch(string(text))
	if build == nil {
		t.Fatal("no command that builds")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the binary is looked at on Linux")
	}
	file := filepath.Join(t.TempDir(), "connlint")
	cmd := exec.Command("sh", "-c", build[1]+" -o "+file+" "+build[2])
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary wants a dynamic linker")
		}
	}
	if os.Geteuid() != 0 {
		return // the rest needs a root directory of its own
	}
	user := regexp.MustCompile(`(?m)^USER (.*)$`).FindStringSubmatch(last)[1]
	if out, err := exec.Command("chroot", "--userspec="+user, filepath.Dir(file), "/connlint", "help").CombinedOutput(); err != nil {
		t.Errorf("alone, as %s: %v\n%s", user, err, out)
	}
}

// The release runs commands that there are.
func TestRelease(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var release struct {
		Version int
		Before  struct{ Hooks []string }
		Builds  []struct {
			Main string
			Env  []string
		}
	}
	if err := yaml.Unmarshal(text, &release); err != nil {
		t.Fatal(err)
	}
	if release.Version != 2 || len(release.Builds) != 1 || release.Builds[0].Main != "./cmd/connlint" {
		t.Errorf("%+v", release)
	}
	dir := t.TempDir()
	if runtime.GOOS == "windows" {
		t.Skip("the hooks need sh")
	}
	for _, hook := range release.Before.Hooks {
		hook = strings.ReplaceAll(hook, "share/", filepath.ToSlash(dir)+"/share/")
		cmd := exec.Command("sh", "-c", hook)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", hook, err, out)
		}
	}
	for _, file := range []string{"man/connlint.1", "man/connlint-check.1", "completions/connlint.bash", "completions/connlint.powershell"} {
		if st, err := os.Stat(filepath.Join(dir, "share", file)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Log("no groff: the pages are not typeset")
		return
	}
	pages, _ := filepath.Glob(filepath.Join(dir, "share", "man", "*.1"))
	out, err := exec.Command(groff, append([]string{"-man", "-Tutf8", "-z", "-ww"}, pages...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}
