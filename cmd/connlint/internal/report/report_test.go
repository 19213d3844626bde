package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const schemaFile = "../../../../testdata/schema/findings.schema.json"

var (
	nagle = &rules.Rule{Code: "LAT001", Name: "nagle-delayed-ack", Doc: rules.Doc{
		Title: "a small write waits for a delayed ACK", Severity: rules.Warning,
		Wire: "Head and body leave in two writes. Nagle's algorithm holds the second one back until the first is " +
			"acknowledged.\n\n  P  head, 200 bytes\n  A  40 ms later\n\nThe receiver is in no hurry.",
		Harm:  "40 ms for each request.",
		Fix:   "write head and body in one call",
		Fixes: []rules.Fix{{Program: "nginx", Text: "tcp_nodelay on;"}},
		Refs:  []string{"RFC 896", "RFC 1122 §4.2.3.2"},
	}}
	rstOnHalfClose = &rules.Rule{Code: "CLS001", Name: "rst-on-half-close", Doc: rules.Doc{
		Title: "a half-close is answered by a reset", Severity: rules.Error}}
	clockBack = &rules.Rule{Code: "CAP006", Name: "clock-went-back", Off: true, Doc: rules.Doc{
		Title: "the capture's clock went back", Severity: rules.Info}}
)

// sample is a report of a fault, a sound capture and one without HTTP.
func sample() *Report {
	const second = 1_000_000_000
	start := int64(1_700_000_000) * second
	return &Report{Version: "v1.2.3", Rules: []*rules.Rule{nagle, rstOnHalfClose, clockBack}, Failing: rules.Warning, Status: 3,
		Unread: []Unread{{"gone.pcap", errors.New("gone.pcap: no such file")}}, Captures: []*runner.Result{
			{
				File: "api.pcap", Format: "pcapng+zstd", LinkTypes: []string{"Ethernet", "Linux SLL2"},
				Packets: 12345, Bytes: 9_876_543, First: start, Last: start + 61*second + 5,
				TCPConnections: 21, HTTPConnections: 17, TLSConnections: 3, HTTP2Connections: 1, Requests: 1204, Responses: 1203,
				Skipped: map[string]uint64{"not-tcp": 30, "not-ip": 1200},
				Abstained: map[string]map[string]uint64{
					"nagle-delayed-ack": {"gap": 1, "mid-stream": 2}, "rst-on-half-close": {"gap": 1, "mid-stream": 2},
					"missing-content-length": {"gap": 1},
				},
				Findings: []runner.Finding{
					{Rule: clockBack, ConnNumber: -1, Occurrences: 1, Fingerprint: "c0",
						Finding: rules.Finding{Severity: rules.Info, Message: "the clock went back 3 times"}},
					{Rule: nagle, ConnNumber: 4, Occurrences: 1204, Connections: 17, Fingerprint: "a1",
						Finding: rules.Finding{
							Severity: rules.Warning, Frames: []uint64{128, 131, 132}, Time: start + 40_000_001,
							Subject: rules.Subject{
								Client: netip.MustParseAddrPort("10.0.0.5:40000"), Server: netip.MustParseAddrPort("10.0.0.9:8080"),
								Host: "api.example", Method: "POST", Target: "/orders?id=***", Status: 201,
							},
							Message: "client 10.0.0.5 → 10.0.0.9:8080 POST /orders?id=***: body held 40.1 ms behind an unacknowledged head", Side: "client",
							Fix:      "write head and body in one call, or set TCP_NODELAY on the socket before the first request is sent",
							Measured: []rules.Measure{{Name: "release_ms", Value: 0.1 + 0.2}, {Name: "ack_delay_ms", Value: 40.1, Sum: true}, {Name: "ratio", Value: math.NaN()}},
							Refs:     []string{"RFC 896"}, Cost: 48_200_000_000,
						}},
					{Rule: rstOnHalfClose, ConnNumber: 5, Occurrences: 1, Connections: 1, Fingerprint: "b2",
						Finding: rules.Finding{
							Severity: rules.Error, Frames: []uint64{200}, Time: start + 2*second,
							Subject: rules.Subject{
								Client: netip.MustParseAddrPort("[2001:db8::1]:50000"), Server: netip.MustParseAddrPort("[2001:db8::2]:80"),
							},
							Message: "server [2001:db8::2]:80 → 2001:db8::1: answered the client's FIN with a reset", Side: "server", Fix: "read to the end",
						}},
				},
			},
			{File: "sound.pcap", Format: "pcap", LinkTypes: []string{"Ethernet"}, Packets: 10, First: start, Last: start + 250_000,
				TCPConnections: 1, HTTPConnections: 1, Requests: 1, Responses: 1},
			{File: "dns.pcap", Format: "pcap", Packets: 1, First: start, Last: start},
			{File: "gone.pcap", Err: errors.New("no such file")},
		}}
}

// hostile is a report whose strings try to break out.
func hostile() *Report {
	r := sample()
	evil := "x<script>alert(1)</script>]]>--><!-- `` ``` | \\| [a](http://evil) {0} @octocat &amp; \"'%0A,::\x1b[31m\x1b]0;pwned\a\r\n::error::y\u202ecod\u2066\u200b\u009b2J\xff\x00\u2028\U000e0041é漢"
	r.Captures[0].File = evil
	r.Captures[0].LinkTypes[0] = evil
	r.Unread[0] = Unread{evil, errors.New(evil)}
	r.Notices = []string{evil}
	r.Gone = []rules.Known{{Fingerprint: "d3", Code: "FRM001", Rule: "missing-content-length", Server: evil, Method: evil, Route: evil}}
	r.Suppressions = []string{evil}
	r.Baselined = func(f string) bool { return f == "b2" }
	r.Captures[0].Findings[0].Suppressed = 1
	r.Captures[0].Findings[0].Message = evil
	f := &r.Captures[0].Findings[1]
	f.Method, f.Target, f.Host, f.Message, f.Fix, f.Side = evil, evil, evil, evil, evil, "server"
	return r
}

// withHeld is the sample with a finding suppressed, one in the baseline and one
// gone from it.
func withHeld() *Report {
	r := sample()
	r.Captures[0].Findings[1].Suppressed = 1
	r.Suppressions = []string{"the client is replaced in May (OPS-17)"}
	r.Baselined = func(f string) bool { return f == "b2" }
	r.Gone = []rules.Known{{Fingerprint: "d3", Code: "FRM001", Rule: "missing-content-length", Server: "old.example", Method: "GET",
		Route: "/a/*", Side: "server"}}
	r.Notices = []string{".connlint.yml:7:5: the suppression of KA001 has expired on 2026-01-31"}
	return r
}

func render(t *testing.T, format string, r *Report, s Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, r, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	capped := sample()
	capped.Captures[0].Findings = append(capped.Captures[0].Findings, capped.Captures[0].Findings[1])
	capped.MaxPerRule = 1
	tests := map[string]string{
		"narrow":     render(t, "text", sample(), Style{Width: 50}),
		"color":      render(t, "text", sample(), Style{Color: true}),
		"quiet":      render(t, "text", sample(), Style{Quiet: true}),
		"statistics": render(t, "text", sample(), Style{Statistics: true}),
		"capped":     render(t, "text", capped, Style{}),
	}
	for _, format := range Formats() {
		tests[format] = render(t, format, sample(), Style{})
		tests[format+"-held"] = render(t, format, withHeld(), Style{})
		tests[format+"-hostile"] = render(t, format, hostile(), Style{})
		tests[format+"-empty"] = render(t, format, &Report{Version: "v1.2.3"}, Style{})
	}
	var b bytes.Buffer
	if err := errors.Join(Rules(&b, []*rules.Rule{nagle, clockBack}, Style{Width: 80}), Explain(&b, nagle, Style{Width: 60})); err != nil {
		t.Fatal(err)
	}
	tests["catalog"] = b.String()
	for name, got := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("differs from %s, which -update rewrites (-want +got):\n%s", file, d)
			}
		})
	}
}

func TestJSONFollowsSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Report{
		"findings": sample(),
		"hostile":  hostile(),
		"nothing":  {Version: "devel"},
		"empty":    {Version: "devel", Captures: []*runner.Result{{File: "-", Format: "pcap"}}},
	} {
		t.Run(name, func(t *testing.T) {
			text := render(t, "json", r, Style{})
			if strings.Contains(text, "null") && name == "findings" && strings.Count(text, "null") != 1 {
				t.Errorf("null beyond the time of the finding without one:\n%s", text)
			}
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}

// A line is the same object as the one in the findings of the JSON format.
func TestJSONLines(t *testing.T) {
	var whole struct{ Findings []json.RawMessage }
	if err := json.Unmarshal([]byte(render(t, "json", sample(), Style{})), &whole); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(render(t, "jsonl", sample(), Style{})), "\n")
	if len(lines) != len(whole.Findings) {
		t.Fatalf("%d lines for %d findings", len(lines), len(whole.Findings))
	}
	for i, l := range lines {
		var b bytes.Buffer
		if err := json.Compact(&b, whole.Findings[i]); err != nil {
			t.Fatal(err)
		}
		if b.String() != l {
			t.Errorf("line %d:\n%s\nwant\n%s", i, l, b.String())
		}
	}
}

// No format lets a control or bidirectional character from a packet through.
func TestNothingBreaksOut(t *testing.T) {
	for _, format := range Formats() {
		out := render(t, format, hostile(), Style{})
		if !utf8.ValidString(out) {
			t.Errorf("%s: not UTF-8", format)
		}
		for _, r := range out {
			if r != '\n' && r != utf8.RuneError && unprintable(r) {
				t.Errorf("%s: %U in %q", format, r, out)
			}
		}
		for l := range strings.Lines(out) {
			if strings.HasPrefix(l, "::") && format != "github" {
				t.Errorf("%s: a line begins with a workflow command: %q", format, l)
			}
		}
		if !strings.Contains(out, "é漢") {
			t.Errorf("%s: printable characters are lost", format)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"GET /a?b=c":                 "GET /a?b=c",
		"é漢🎉 e\u0301":                "é漢🎉 e\u0301",
		"\x1b[31m":                   `\x1b[31m`,
		"a\nb\r\tc\x7f":              `a\x0ab\x0d\x09c\x7f`,
		"\u202eevil\u2066\u200f":     `\u202eevil\u2066\u200f`,
		"\u009b2J":                   `\u009b2J`,
		"\xff\xc3(":                  `\xff\xc3(`,
		"\ufffd":                     `\ufffd`,
		"\u2028\u00a0\ufeff\ue000":   `\u2028\u00a0\ufeff\ue000`,
		"\U000e0041":                 `\U000e0041`,
		`C:\captures\api.pcap "x" '`: `C:\captures\api.pcap "x" '`,
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %s, want %s", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1bb\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Text(s)
		if i := strings.IndexFunc(got, unprintable); i >= 0 {
			t.Errorf("Text(%q) = %q", s, got)
		}
		doc, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var want, back string
		if err := errors.Join(json.Unmarshal(doc, &want), json.Unmarshal(escapeJSON(doc), &back)); err != nil {
			t.Fatal(err)
		}
		if back != want {
			t.Errorf("escapeJSON turned %q into %q", want, back)
		}
	})
}

func TestMaxPerRule(t *testing.T) {
	r := sample()
	c := r.Captures[0]
	c.Findings = nil
	for i, cost := range []int64{5, 50, 7, 50} {
		c.Findings = append(c.Findings, runner.Finding{Rule: nagle, Occurrences: 1,
			Finding: rules.Finding{Severity: rules.Warning, Frames: []uint64{uint64(i) + 1}, Cost: cost}})
	}
	r.MaxPerRule = 2
	var got []uint64
	for _, f := range r.listed() {
		got = append(got, f.Frames[0])
	}
	if want := []uint64{2, 4}; !slices.Equal(got, want) {
		t.Errorf("listed frames %d, want the costly ones in their order: %d", got, want)
	}
	if n := r.Counts(); n[rules.Warning] != 4 {
		t.Errorf("%d counted, want all 4", n[rules.Warning])
	}
}

// Text stays within its width unless a word is longer.
func TestWidth(t *testing.T) {
	for width := 45; width <= 130; width++ {
		for l := range strings.Lines(render(t, "text", sample(), Style{Width: width})) {
			l = strings.TrimSuffix(l, "\n")
			row := strings.Contains(l, ".pcap:") || strings.HasSuffix(l, ".pcap") // of the ranking: one line, whatever it takes
			if n := utf8.RuneCountInString(l); n > width && !row {
				t.Errorf("%d columns at width %d: %q", n, width, l)
			}
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteFails(t *testing.T) {
	for _, format := range Formats() {
		if err := Write(full{}, format, sample(), Style{}); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%s: error %v", format, err)
		}
	}
	if err := Write(io.Discard, "sarf", sample(), Style{}); err == nil {
		t.Error("an unknown format gave no error")
	}
}
