package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The README's examples are run and their output compared. An example is a
// block marked ```console: lines that begin with "$ " are commands for bash,
// run in the repository's root one after another with connlint in the PATH;
// the lines below a command are what it prints to both outputs. A line "..."
// stands for any lines. A last line "[exit N]" is the exit status where it
// is not 0. Blocks marked ```sh are not run.
//
// Commands that capture are run by root, each in a network namespace with
// nothing but its loopback. Their figures differ from run to run, so that any
// number and unit stands for any other.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if os.IsNotExist(err) {
		t.Skip("there is no README.md")
	}
	if err != nil {
		t.Fatal(err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("the examples need bash: ", err)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, x := range examples(string(text)) {
		t.Run(fmt.Sprintf("line %d", x.line), func(t *testing.T) {
			argv := []string{bash, "-c", x.command}
			captures := strings.Contains(x.command, "connlint live") || strings.Contains(x.command, "connlint run")
			if captures {
				argv = slices.Concat(alone(t), argv)
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_COLOR=1")
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			got := strings.TrimRight(string(out), "\n")
			if n := cmd.ProcessState.ExitCode(); n != 0 {
				got = strings.TrimPrefix(fmt.Sprintf("%s\n[exit %d]", got, n), "\n")
			}
			want, have := x.output, strings.Split(got, "\n")
			if captures {
				want, have = anyFigures(want), anyFigures(have)
			}
			if !matches(want, have) {
				t.Errorf("$ %s\nprints\n%s\nREADME.md says\n%s", x.command, got, strings.Join(x.output, "\n"))
			}
		})
	}
}

// alone is a command that runs another one in a network namespace.
func alone(t *testing.T) []string {
	switch {
	case runtime.GOOS == "linux" && os.Geteuid() == 0:
		return []string{"unshare", "--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh"}
	case os.Getenv("CONNLINT_NO_SKIP") != "":
		t.Fatal("capturing takes root on Linux")
	}
	t.Skip("capturing takes root on Linux")
	return nil
}

var figure = regexp.MustCompile(`[0-9][0-9.,]*( [mµ]?s\b)?`)

// anyFigures joins lines that were broken because of their length, and makes
// all figures the same.
func anyFigures(lines []string) []string {
	var out []string
	for _, l := range lines {
		folded := strings.Join(strings.Fields(figure.ReplaceAllString(l, "#")), " ")
		if n := len(out); n > 0 && strings.HasPrefix(l, "    ") {
			out[n-1] += " " + folded
		} else {
			out = append(out, folded)
		}
	}
	return out
}

type example struct {
	line    int
	command string
	output  []string
}

func examples(text string) []example {
	var found []example
	inside := false
	for i, l := range strings.Split(text, "\n") {
		switch {
		case strings.TrimSpace(l) == "```console":
			inside = true
		case strings.HasPrefix(l, "```"):
			inside = false
		case !inside:
		case strings.HasPrefix(l, "$ "):
			found = append(found, example{line: i + 1, command: l[2:]})
		case len(found) > 0:
			x := &found[len(found)-1]
			if strings.HasSuffix(x.command, `\`) { // goes on
				x.command += "\n" + strings.TrimPrefix(l, "> ")
				continue
			}
			x.output = append(x.output, l)
		}
	}
	for i := range found { // an empty line before the next command is layout
		found[i].output = strings.Split(strings.TrimRight(strings.Join(found[i].output, "\n"), "\n"), "\n")
	}
	return found
}

// matches compares lines, where "..." in want stands for any number of them.
func matches(want, got []string) bool {
	for i, l := range want {
		if l == "..." {
			for skip := 0; skip <= len(got)-i; skip++ {
				if matches(want[i+1:], got[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(got) || got[i] != l {
			return false
		}
	}
	return len(want) == len(got)
}

func TestExamples(t *testing.T) {
	x := examples("```console\n$ a \\\n> b\none\n\ntwo\n\n$ c\n```\ntext\n$ no\n```sh\n$ no\n```\n")
	if len(x) != 2 || x[0].command != "a \\\nb" || strings.Join(x[0].output, "|") != "one||two" || x[1].command != "c" || x[1].line != 8 {
		t.Errorf("%+v", x)
	}
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"", "", true}, {"a", "a", true}, {"a", "b", false}, {"a", "a\nb", false}, {"a\nb", "a", false},
		{"...", "a\nb", true}, {"a\n...\nd", "a\nb\nc\nd", true}, {"a\n...\nd", "a\nd", true}, {"a\n...\nd", "a\nb", false},
		{"a\n...", "a", true},
	} {
		if got := matches(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")); got != c.ok {
			t.Errorf("matches(%q, %q) = %v", c.want, c.got, got)
		}
	}
}
