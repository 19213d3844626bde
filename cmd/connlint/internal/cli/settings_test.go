package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stall is a capture with one fault.
const stall = `
conn 10.0.0.5:40000 > 10.0.0.9:8080
+0     handshake
+0.010 > P "POST /orders/17 HTTP/1.1\r\nHost: api.example\r\nContent-Length: 5\r\n\r\n"
+0.040 < A
+0.0002 > P "hello"
+0.005 < P "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
+0.0001 > A
+0.100 > close
`

// setting is a configuration and what it does to the report of stall.
type setting struct {
	name   string
	config string
	flags  []string // that do the same
	lacks  []string // what else stands in the report
}

func settingsThatHold() []setting {
	fault := []string{"LAT001"}
	return []setting{
		{"nothing", "fail-on: warning\n", nil, nil},
		{"ignore", "ignore: [LAT]\n", []string{"--ignore", "LAT"}, fault},
		{"select", "select: [FRM, REU]\n", []string{"--select", "FRM,REU"}, fault},
		{"http-ports", "http-ports: [80, 9000-9010]\n", []string{"--http-ports", "80,9000-9010"}, fault},
		{"redact", "redact: all\n", []string{"--redact", "all"}, []string{"/orders", "api.example"}},
		{"thresholds", "thresholds: {nagle-min-delay: 50ms}\n", []string{"--set", "nagle-min-delay=50ms"}, fault},
		{"server-thresholds", "servers:\n  - server: 10.0.0.0/24\n    thresholds: {nagle-min-delay: 50ms}\n",
			[]string{"--set", "servers=[{server: \":8080\", thresholds: {nagle-min-delay: 50ms}}]"}, fault},
		{"server-ignore", "servers:\n  - server: 10.0.0.9\n    ignore: [LAT001]\n",
			[]string{"--set", "servers=[{host: api.example, ignore: [LAT]}]"}, fault},
		{"server-select", "servers:\n  - server: 10.0.0.9:8080\n    select: [FRM]\n",
			[]string{"--set", "servers=[{server: 10.0.0.9, select: KA}]"}, fault},
	}
}

// holds looks for what a report of stall must show, and must not.
func (s *setting) holds(t *testing.T, text string) {
	t.Helper()
	for _, word := range []string{"LAT001", "/orders", "api.example"} {
		if lacks := slices.Contains(s.lacks, word) || len(s.lacks) > 0 && s.lacks[0] == "LAT001"; lacks && strings.Contains(text, word) {
			t.Errorf("%s shows in\n%s", word, text)
		} else if !lacks && !strings.Contains(text, word) {
			t.Errorf("%s does not show in\n%s", word, text)
		}
	}
}

// Settings mean the same for every command that judges captures, in the
// configuration and as flags.
func TestSettingsHold(t *testing.T) {
	dir := t.TempDir()
	capture := writeCapture(t, dir, "stall.pcap", stall)
	for _, s := range settingsThatHold() {
		config := filepath.Join(dir, s.name+".yml")
		if err := os.WriteFile(config, []byte(s.config), 0o666); err != nil {
			t.Fatal(err)
		}
		for how, flags := range map[string][]string{"config": {"--config", config}, "flags": append([]string{"--isolated"}, s.flags...)} {
			for name, args := range map[string][]string{
				"check":    {"check", "--format", "jsonl", "--exit-zero", capture},
				"baseline": {"baseline", capture},
				"report":   {"report", "-o", "-", capture},
				"show":     {"show", "--format", "json", capture, "0"},
				"why":      {"why", "--format", "json", capture + ":4"},
			} {
				t.Run(s.name+"/"+how+"/"+name, func(t *testing.T) {
					streams, out, errs := streams(nil)
					if status := Main(append(append([]string{args[0]}, flags...), args[1:]...), streams); status != exitClean {
						t.Fatalf("status %d: %s", status, errs)
					}
					text := out.String()
					if name == "report" || name == "show" || name == "why" {
						// They tell of traffic beside the findings, and the
						// former of all rules' documents.
						if len(s.lacks) > 0 && s.lacks[0] != "LAT001" {
							s.holds(t, text+"LAT001")
							return
						}
						if has := strings.Contains(text, `LAT001`); has != (len(s.lacks) == 0) {
							t.Errorf("LAT001 shows: %v", has)
						}
						return
					}
					if name == "baseline" {
						text = strings.ReplaceAll(text, `"route":"/orders/*"`, `"route":"/orders/17"`)
					}
					s.holds(t, text)
				})
			}
		}
	}
	for how, args := range map[string][]string{"config": {"--config", filepath.Join(dir, "http-ports.yml")}, "flags": {"--http-ports", "80"}} {
		streams, out, _ := streams(nil)
		if status := Main(append(append([]string{"stats"}, args...), capture), streams); status != exitClean || !strings.Contains(out.String(), "0 pairs") {
			t.Errorf("stats, http-ports by %s: status %d\n%s", how, status, out)
		}
	}
}
