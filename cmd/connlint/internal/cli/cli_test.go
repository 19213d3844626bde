package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// streams returns streams that are no terminals, and what is written to them.
func streams(env map[string]string) (s Streams, out, errs *bytes.Buffer) {
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	return Streams{In: strings.NewReader(""), Out: out, Err: errs, Env: func(k string) string { return env[k] }}, out, errs
}

func TestColor(t *testing.T) {
	for _, c := range []struct {
		when string
		env  map[string]string
		tty  bool
		want bool
	}{
		{when: "auto"},
		{when: "auto", tty: true, want: true},
		{when: "auto", tty: true, env: map[string]string{"NO_COLOR": "1"}},
		{when: "auto", tty: true, env: map[string]string{"NO_COLOR": ""}, want: true},
		{when: "auto", tty: true, env: map[string]string{"TERM": "dumb"}},
		{when: "auto", env: map[string]string{"CLICOLOR_FORCE": "1"}, want: true},
		{when: "auto", env: map[string]string{"CLICOLOR_FORCE": "0"}},
		{when: "auto", env: map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}},
		{when: "always", env: map[string]string{"NO_COLOR": "1"}, want: true},
		{when: "never", env: map[string]string{"CLICOLOR_FORCE": "1"}, tty: true},
	} {
		s, _, _ := streams(c.env)
		s.OutTTY = c.tty
		if got := s.color(c.when); got != c.want {
			t.Errorf("%s, terminal %v, %v: %v", c.when, c.tty, c.env, got)
		}
	}
}

func TestPorts(t *testing.T) {
	var p portList
	for _, s := range []string{"8080,80", "8000-8002,80", "65535"} {
		if err := p.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	if want := (portList{80, 8000, 8001, 8002, 8080, 65535}); !slices.Equal(p, want) {
		t.Errorf("ports %d, want %d", p, want)
	}
	for _, s := range []string{"", "0", "65536", "-", "1-", "80-79", "http", "80,", "1-65536", "+80"} {
		if err := new(portList).Set(s); err == nil {
			t.Errorf("%q is taken for ports", s)
		}
	}
}

func TestOutputs(t *testing.T) {
	for in, want := range map[string]output{
		"out.txt":        {"", "out.txt"},
		"json:out.json":  {"json", "out.json"},
		`C:\out.txt`:     {"", `C:\out.txt`},
		"text:a:b":       {"text", "a:b"},
		"./odd:name":     {"", "./odd:name"},
		"dir.d/odd:name": {"", "dir.d/odd:name"},
		"-":              {"", "-"},
	} {
		var o outputList
		if err := o.Set(in); err != nil {
			t.Errorf("%q: %v", in, err)
		} else if o[0] != want {
			t.Errorf("%q: %v, want %v", in, o[0], want)
		}
	}
	for _, in := range []string{"", "json:", "odd:name"} {
		if err := new(outputList).Set(in); err == nil {
			t.Errorf("%q is taken for an output", in)
		}
	}
}

// A bar appears after a second, is drawn ten times a second at most, never
// wider than the terminal, and is gone at the end.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	p := &progress{w: &b, width: 60, now: func() time.Time { return now }, wait: time.Second, began: now}
	p.file("dir/a-capture-with-quite-a-long-name-that-does-not-fit.pcap", 1, 2)
	p.update(1e6, 4e6)
	if b.Len() > 0 {
		t.Fatalf("drawn at once: %q", b.String())
	}
	p.clear()
	if b.Len() > 0 {
		t.Fatalf("erased though never drawn: %q", b.String())
	}
	now = now.Add(2 * time.Second)
	p.update(2e6, 4e6)
	p.update(3e6, 4e6)
	want := "\r[1/2] a-capture-wit… ██████████░░░░░░░░░░  50 %      1 MB/s\x1b[K"
	if b.String() != want {
		t.Errorf("%q\nwant\n%q", b.String(), want)
	}
	b.Reset()
	now = now.Add(redraw)
	p.update(3e6, -1)
	if !strings.Contains(b.String(), "3.0 MB") {
		t.Errorf("a source of unknown size: %q", b.String())
	}
	b.Reset()
	p.clear()
	if b.String() != "\r\x1b[K" {
		t.Errorf("not erased: %q", b.String())
	}

	var none *progress // --progress never
	none.file("x", 1, 1)
	none.clear()
}

func TestProgressWhen(t *testing.T) {
	for _, c := range []struct {
		when        string
		tty, quiet  bool
		term        string
		shown, wait bool
	}{
		{when: "auto"},
		{when: "auto", tty: true, shown: true, wait: true},
		{when: "auto", tty: true, quiet: true},
		{when: "auto", tty: true, term: "dumb"},
		{when: "never", tty: true},
		{when: "always", shown: true},
		{when: "always", quiet: true, shown: true},
	} {
		s, _, _ := streams(map[string]string{"TERM": c.term})
		s.ErrTTY = c.tty
		p := (&app{Streams: s}).newProgress(c.when, c.quiet)
		if (p != nil) != c.shown || p != nil && (p.wait > 0) != c.wait {
			t.Errorf("%+v: %+v", c, p)
		}
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

// Whoever reads the output may stop early, as head does.
func TestClosedPipe(t *testing.T) {
	for _, args := range [][]string{{}, {"rules"}, {"rules", "--format", "json"}, {"explain", "LAT001"}, {"version"}} {
		s, _, errs := streams(nil)
		s.Out = closedPipe{}
		if status := Main(args, s); status != 0 || errs.Len() > 0 {
			t.Errorf("%q: status %d, %q", args, status, errs)
		}
	}
}

func TestFullDisk(t *testing.T) {
	s, _, errs := streams(nil)
	s.Out = failing{}
	if status := Main([]string{"rules"}, s); status != exitUnread || errs.String() != "connlint: no space\n" {
		t.Errorf("status %d, %q", status, errs)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestStdinTerminal(t *testing.T) {
	s, out, errs := streams(nil)
	s.InTTY = true
	if status := Main([]string{"check", "-"}, s); status != exitUsage || out.Len() > 0 || !strings.Contains(errs.String(), "terminal") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
}

// What a message repeats of the command line cannot act on the terminal.
func TestMessagesAreEscaped(t *testing.T) {
	evil := "x\x1b[31m\u202e\ny"
	for _, args := range [][]string{
		{evil}, {"help", evil}, {"explain", evil}, {"rules", evil}, {"completion", evil}, {"check", evil}, {"check", "--" + evil},
		{"check", "--fail-on", evil, "x"}, {"check", "--select", evil, "x"}, {"check", "--output", evil + ":x", "x"},
		{"check", "--output", evil + "/x", "x"}, {"check", "--http-ports", evil, "x"}, {"check", "-j", evil, "x"},
		{"check", "--all=" + evil, "x"},
	} {
		s, _, errs := streams(nil)
		if status := Main(args, s); status < exitUsage {
			t.Errorf("%q: status %d", args, status)
		}
		text := errs.String()
		if strings.Count(text, "\n") != 1 || strings.ContainsAny(text, "\x1b\u202e") {
			t.Errorf("%q: %q", args, text)
		}
	}
}

// Every flag has a line in the help, under a heading; no line is wider than 100 columns.
func TestWidth(t *testing.T) {
	for _, c := range []struct {
		columns  string
		terminal bool
		want     int
	}{
		{"", false, 0}, {"", true, 90}, {"60", false, 60}, {"60", true, 60}, {"x", true, 90}, {"-1", false, 0},
	} {
		s := Streams{OutTTY: c.terminal, Width: 90, Env: func(name string) string { return map[string]string{"COLUMNS": c.columns}[name] }}
		if got := s.width(); got != c.want {
			t.Errorf("COLUMNS=%q, on a terminal: %v: %d columns, want %d", c.columns, c.terminal, got, c.want)
		}
	}
}

func TestHelp(t *testing.T) {
	s, _, _ := streams(nil)
	a := &app{Streams: s}
	root := a.root()
	for _, cmd := range root.Commands() {
		var b bytes.Buffer
		s.Out = &b
		if status := Main([]string{"help", cmd.Name()}, s); status != 0 {
			t.Errorf("help %s: status %d", cmd.Name(), status)
		}
		for l := range strings.Lines(b.String()) {
			if n := len([]rune(l)); n > 101 {
				t.Errorf("help %s: %d columns: %q", cmd.Name(), n, l)
			}
		}
		if !strings.Contains(b.String(), "\nExamples:\n  connlint ") && cmd.Name() != "help" && !cmd.Hidden && !strings.Contains(b.String(), "source <(connlint") {
			t.Errorf("help %s shows no example", cmd.Name())
		}
		if cmd.GroupID == "" {
			t.Errorf("%s stands in no group", cmd.Name())
		}
	}
	var b bytes.Buffer
	s.Out = &b
	Main([]string{"check", "--help"}, s)
	for _, flag := range []string{"select", "ignore", "extend-select", "fail-on", "exit-zero", "format", "output", "all", "max-per-rule",
		"http-ports", "redact", "jobs", "quiet", "color", "progress", "join", "statistics"} {
		if !strings.Contains(b.String(), fmt.Sprintf("--%s ", flag)) {
			t.Errorf("--%s is not in the help", flag)
		}
	}
}
