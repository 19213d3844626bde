package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
)

var update = flag.Bool("update", false, "rewrite golden and generated files")

const (
	schemaFile = "../../../../testdata/schema/config.schema.json"
	wrongFiles = "testdata/wrong.txt"
)

// testdata/wrong.txt holds wrong configurations, each below a line "=== NAME",
// and what is said of them behind "--- says". -update writes what is said.
func TestWrongFiles(t *testing.T) {
	text, err := os.ReadFile(wrongFiles)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	n := 0
	for _, part := range strings.Split(string(text), "=== ")[1:] {
		name, body, _ := strings.Cut(part, "\n")
		file, want, _ := strings.Cut(body, "--- says\n")
		got := "nothing\n"
		if err := Defaults().Decode(FileName, FileName, []byte(file)); err != nil {
			got = err.Error() + "\n"
		} else {
			t.Errorf("%s: taken", name)
		}
		if !strings.HasPrefix(got, FileName+":") {
			t.Errorf("%s: no place in %q", name, got)
		}
		if want = strings.TrimRight(want, "\n") + "\n"; got != want && !*update {
			t.Errorf("%s: (-want +got)\n%s", name, cmp.Diff(want, got))
		}
		out.WriteString("=== " + name + "\n" + file + "--- says\n" + got + "\n")
		n++
	}
	if n < 30 {
		t.Errorf("%d wrong files, want at least 30", n)
	}
	if *update {
		if err := os.WriteFile(wrongFiles, []byte(out.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

const full = `
select: [LAT, frm001]
ignore: CAP
extend-select: FRM001,CLS
fail-on: error
max-per-rule: 3
http-ports: [80, 8000-8002]
redact: all
baseline: known.json
severity:
  LAT001: error
  LAT: info
thresholds:
  nagle-min-delay: 30 ms
  nagle-release-part: 0.2
  port-min: 1024
servers:
  - server: 10.0.0.9:8080
    select: [LAT, TW, FRM001]
    ignore: [TW]
    severity: {FRM001: info}
    thresholds: {max-parallel: 20, pool-idle: 30s}
suppress:
  - rule: LAT001
    host: "*.example"
    route: /orders/*
    client: 10.0.0.0/8
    reason: "known: OPS-17"
    expires: 2026-03-31
  - rule: [FRM, CLS001]
    server: "[2001:db8::1]:80"
    reason: all
budgets:
  max-occurrences: {LAT001: 10, FRM: 0}
  min-reuse-ratio: 0.9
  max-connections-per-pair: 20
`

func decode(t *testing.T, text string) *Settings {
	t.Helper()
	s := Defaults()
	if err := s.Decode(FileName, "dir/"+FileName, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecode(t *testing.T) {
	s := decode(t, full)
	if s.Rules.NagleMinDelay != 30*time.Millisecond || s.Rules.PortMin != 1024 || s.Rules.NagleReleasePart != 0.2 {
		t.Errorf("thresholds %+v", s.Rules)
	}
	if s.Severity["LAT001"] != rules.Error {
		t.Error("a family's severity overrides that of a rule")
	}
	if s.Baseline != filepath.Join("dir", "known.json") {
		t.Errorf("the baseline is %s", s.Baseline)
	}
	if d := cmp.Diff([]uint16{80, 8000, 8001, 8002}, s.HTTPPorts); d != "" {
		t.Error(d)
	}
	if got, want := s.Origin("thresholds.port-min"), FileName+":16"; got != want {
		t.Errorf("port-min comes from %s, want %s", got, want)
	}
	for _, empty := range []string{"", "# nothing\n", "thresholds:\nsuppress:\nselect:\n", "---\n"} {
		decode(t, empty)
	}
}

// What is printed is a configuration that means the same.
func TestWriteReadsBack(t *testing.T) {
	for _, text := range []string{"", full} {
		s := decode(t, text)
		var first, second bytes.Buffer
		if err := s.Write(&first); err != nil {
			t.Fatal(err)
		}
		again := Defaults()
		if err := again.Decode(FileName, FileName, first.Bytes()); err != nil {
			t.Fatalf("%v\n%s", err, &first)
		}
		if err := again.Write(&second); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(plain(first.String()), plain(second.String())); d != "" {
			t.Errorf("printed twice:\n%s", d)
		}
	}
}

// plain leaves out comments, which say where settings come from.
func plain(s string) string {
	var out []string
	for l := range strings.Lines(s) {
		l, _, _ = strings.Cut(l, " #")
		out = append(out, strings.TrimSpace(l))
	}
	return strings.Join(out, "\n")
}

// The file of --init is one as it stands, and with all of it in force.
func TestInit(t *testing.T) {
	var b bytes.Buffer
	if err := WriteInit(&b); err != nil {
		t.Fatal(err)
	}
	s := decode(t, b.String())
	if len(s.origins) > 0 {
		t.Errorf("it sets %v", s.origins)
	}
	var in []string
	for l := range strings.Lines(b.String()) {
		if rest, ok := strings.CutPrefix(l, "#"); ok && !strings.HasPrefix(rest, " ") || strings.HasPrefix(l, "#  ") {
			l = rest
		}
		in = append(in, l)
	}
	s = decode(t, strings.Join(in, ""))
	for _, key := range topKeys() {
		if s.Origin(key) == "default" {
			t.Errorf("%s is not in it", key)
		}
	}
	if *s.Rules != *rules.Defaults() {
		t.Error("its thresholds are not the defaults")
	}
}

func TestSchema(t *testing.T) {
	var b bytes.Buffer
	if err := WriteSchema(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is out of date, -update writes it: %v", schemaFile, err)
	}
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{full: true, "": true, "fail-on: never\n": true, "fail_on: never\n": false,
		"thresholds: {nagle-min-delay: 30}\n": false, "servers: [{server: ':80', thresholds: {max-parallel: 2}}]\n": true,
		"servers: [{host: a, thresholds: {max-parallel: 2}}]\n": false, "servers: [{server: ':80', thresholds: {max-parallels: 2}}]\n": false, "suppress: [{rule: LAT001}]\n": false} {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		doc, err := json.Marshal(stringDates(v))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(parsed); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// stringDates undoes what YAML makes of a day.
func stringDates(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = stringDates(x)
		}
	case []any:
		for i, x := range v {
			v[i] = stringDates(x)
		}
	case time.Time:
		return v.Format(time.DateOnly)
	}
	return v
}

func TestSet(t *testing.T) {
	s := Defaults()
	for _, a := range []string{"nagle-min-delay=30ms", "thresholds.port-min=1024", "fail-on=never", "select=[LAT,FRM001]", "ignore=CAP,TW",
		"severity.LAT001=info", "budgets.min-reuse-ratio=0.5", "max-per-rule=2", "http-ports=80,8080"} {
		if err := s.Set(a); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if s.Rules.NagleMinDelay != 30*time.Millisecond || s.Rules.PortMin != 1024 || s.FailOn != "never" || len(s.Select) != 2 ||
		len(s.Ignore) != 2 || s.Severity["LAT001"] != rules.Info || s.Budgets.MinReuseRatio != 0.5 || s.MaxPerRule != 2 || len(s.HTTPPorts) != 2 {
		t.Errorf("%+v", s)
	}
	if got := s.Origin("thresholds.nagle-min-delay"); got != "--set nagle-min-delay=30ms" {
		t.Errorf("origin %q", got)
	}
	for a, want := range map[string]string{
		"nagle-min-delay":         `--set nagle-min-delay: expected KEY=VALUE, as in --set nagle-min-delay=30ms`,
		"nagle-min-delay=30":      `--set nagle-min-delay=30: nagle-min-delay: expected a duration with its unit (us, ms, s, m, h), as in 30ms, found "30"`,
		"nagel-min-delay=1s":      `--set nagel-min-delay=1s: unknown key "nagel-min-delay"`,
		"servers=[{server: :80}]": `--set servers=[{server: :80}]: no YAML: `,
		"fail-on=a: b: c":         `--set fail-on=a: b: c: fail-on: expected one of info, warning, error, never, found "a: b: c"`,
	} {
		if err := s.Set(a); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", a, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(deep, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(deep, FileName), 0o777); err != nil { // a directory is none
		t.Fatal(err)
	}
	want := filepath.Join(dir, FileName)
	if err := os.WriteFile(want, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(deep); err != nil || got != want {
		t.Errorf("found %q, %v; want %q", got, err, want)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"/a", "/a", true}, {"/a", "/ab", false}, {"/a/*", "/a/b", true}, {"/a/*", "/a/b/c", false}, {"/a/**", "/a/b/c", true},
		{"/*/c", "/b/c", true}, {"/*/c", "/b/b/c", false}, {"**/c", "/b/b/c", true}, {"/a*c/d", "/abbc/d", true}, {"*", "", true},
		{"**a*b", "/a/ab", true}, {"**a*b", "/a/b", false}, {"", "", true}, {"", "x", false}, {"/**x/*y", "/1/2x/3/4x/5y", true},
	} {
		if got := glob(c.pattern, c.s, '/'); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
	long := strings.Repeat("a", maxRoute)
	if glob("**a*a*a*b", long, '/') {
		t.Error("it fits")
	}
}

func TestAdjustAndNotices(t *testing.T) {
	s := decode(t, full)
	lat, _ := catalog.Find("LAT001")
	tw, _ := catalog.Find("TW001")
	reu, _ := catalog.Find("REU001")
	find := func(host, target string) *rules.Finding {
		return &rules.Finding{Severity: rules.Warning, Subject: rules.Subject{Host: host, Target: target,
			Client: netip.MustParseAddrPort("10.1.2.3:4000"), Server: netip.MustParseAddrPort("10.0.0.9:8080")}}
	}
	march := time.Date(2026, 3, 31, 23, 0, 0, 0, time.UTC)
	adjust := s.Adjust(march)
	for _, c := range []struct {
		rule         *rules.Rule
		host, target string
		suppressed   int
		keep         bool
	}{
		{lat, "api.example:8080", "/orders/17?x=***", 1, true},
		{lat, "api.example", "/orders", 0, true},
		{lat, "example", "/orders/17", 0, true},
		{tw, "", "", 0, false},
		{reu, "", "", 0, false},
	} {
		f := find(c.host, c.target)
		got, keep := adjust(c.rule, f)
		if got != c.suppressed || keep != c.keep {
			t.Errorf("%s %s %s: %d, %v; want %d, %v", c.rule.Code, c.host, c.target, got, keep, c.suppressed, c.keep)
		}
		if c.rule == lat && f.Severity != rules.Error {
			t.Errorf("severity %v", f.Severity)
		}
	}
	april := march.Add(time.Hour)
	if n, _ := s.Adjust(april)(lat, find("api.example", "/orders/17")); n != 0 {
		t.Error("a suppression holds after its day")
	}
	for now, want := range map[time.Time]string{
		march: ".connlint.yml:24:5: the suppression of LAT001 (known: OPS-17) is unused: nothing that it fits was found; remove it",
		april: ".connlint.yml:24:5: the suppression of LAT001 (known: OPS-17) expired on 2026-03-31; remove it, or say until when it holds",
	} {
		if got := s.Notices(now, []*rules.Rule{lat}, []int{0, 0}); len(got) != 1 || got[0] != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
	if got := s.Notices(march, []*rules.Rule{lat}, []int{1, 0}); len(got) > 0 {
		t.Errorf("used or of no rule that ran: %q", got)
	}
	if Defaults().Adjust(march) != nil {
		t.Error("nothing to adjust, and yet a function")
	}
}

// A server's thresholds are the general ones but for those that its entries
// set, later ones over earlier ones.
func TestOverrides(t *testing.T) {
	s := decode(t, `
thresholds: {max-parallel: 7, pool-idle: 7s}
servers:
  - server: 10.0.0.0/8
    thresholds: {max-parallel: 10, unused-after: 1s}
  - server: :8080
    thresholds: {max-parallel: 80}
  - server: 10.1.0.0/16
    thresholds: {unused-after: 2s}
  - server: 10.1.2.3:9090
    thresholds: {max-parallel: 90}
  - server: 2001:db8::/32
    thresholds: {max-parallel: 6}
  - host: api.example
    ignore: [LAT]
`)
	list := s.Overrides(s.Rules)
	for server, want := range map[string]struct {
		parallel int
		unused   time.Duration
	}{
		"192.0.2.1:80":         {7, 10 * time.Second},
		"192.0.2.1:8080":       {80, 10 * time.Second},
		"10.0.0.1:80":          {10, time.Second},
		"10.0.0.1:8080":        {80, time.Second},
		"10.1.0.1:80":          {10, 2 * time.Second},
		"10.1.0.1:8080":        {80, 2 * time.Second},
		"10.1.2.3:9090":        {90, 2 * time.Second},
		"10.1.2.3:8080":        {80, 2 * time.Second},
		"[2001:db8::1]:80":     {6, 10 * time.Second},
		"[2001:db8::1]:8080":   {6, 10 * time.Second},
		"[::ffff:10.0.0.1]:80": {10, time.Second},
	} {
		c := s.Rules
		for _, o := range list {
			if o.Servers.Has(netip.MustParseAddrPort(server)) {
				c = o.Config
				break
			}
		}
		if c.MaxParallel != want.parallel || c.UnusedAfter != want.unused || c.PoolIdle != 7*time.Second {
			t.Errorf("%s: max-parallel %d, unused-after %v, pool-idle %v", server, c.MaxParallel, c.UnusedAfter, c.PoolIdle)
		}
	}
	if Defaults().Overrides(rules.Defaults()) != nil {
		t.Error("overrides without servers")
	}
	var many strings.Builder
	many.WriteString("servers:\n")
	for i := range maxServers + 1 {
		fmt.Fprintf(&many, "  - {server: ':%d', thresholds: {max-parallel: 2}}\n", i+1)
	}
	if err := Defaults().Decode(FileName, FileName, []byte(many.String())); err == nil || !strings.Contains(err.Error(), "more than 500 servers") {
		t.Errorf("too many: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full)
	f.Add("a: &a [*a]\n<<: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := Defaults()
		if err := s.Decode(FileName, FileName, []byte(text)); err != nil {
			return
		}
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			t.Fatal(err)
		}
		if err := Defaults().Decode(FileName, FileName, b.Bytes()); err != nil {
			t.Errorf("%q is printed as\n%s\nwhich gives %v", text, &b, err)
		}
	})
}
