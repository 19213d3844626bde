package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A report of a hostile capture shows its findings and no secret, and none of
// its words acts.
func TestReportOfHostileCapture(t *testing.T) {
	dir := t.TempDir()
	args := []string{"report", "--isolated", "-o", "-"}
	for name, text := range hostileScripts() {
		args = append(args, writeCapture(t, dir, name, text))
	}
	for _, more := range [][]string{nil, {"--redact", "all"}} {
		s, out, errs := streams(nil)
		if status := Main(append(args, more...), s); status != exitClean {
			t.Fatalf("status %d, %s", status, errs)
		}
		page := out.String()
		if strings.Contains(strings.ToLower(page), secret) {
			t.Error("a secret shows")
		}
		for _, no := range []string{"<script>alert", "\x1b", "\u202e", "<b>|"} {
			if strings.Contains(page, no) {
				t.Errorf("%q gets out", no)
			}
		}
		if n := strings.Count(page, "<script"); n != 1 {
			t.Errorf("%d scripts", n)
		}
		if !strings.Contains(page, "LAT001") || !strings.Contains(page, "tcp.stream eq") {
			t.Error("the fault, or its ladder, is not shown")
		}
	}
}

// Each recording makes a report, findings about a connection with a ladder.
func TestReportOfRecordings(t *testing.T) {
	var args []string
	for _, r := range recordings(t) {
		args = append(args, filepath.Join(recorded, r.File))
	}
	file := filepath.Join(t.TempDir(), "report.html")
	s, out, errs := streams(nil)
	if status := Main(append([]string{"report", "--isolated", "-o", file}, args...), s); status != exitClean {
		t.Fatalf("status %d, %s", status, errs)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 || len(page) < 100_000 || len(page) > 5<<20 {
		t.Errorf("%d bytes of report, and on standard output %q", len(page), out)
	}
	if n := strings.Count(string(page), "Ladder diagram"); n < 10 {
		t.Errorf("%d ladders", n)
	}
}

// What check takes to choose packets, files and findings, report takes too.
func TestReportChoosesAsCheck(t *testing.T) {
	stall := filepath.Join(recorded, "lat001-java-httpserver-at-client.pcap")
	churn := filepath.Join(recorded, "tw001-requests-without-session-at-client-snap200.pcap")
	known := filepath.Join(t.TempDir(), "known.json")
	s, _, errs := streams(nil)
	if status := Main([]string{"baseline", "--isolated", "-o", known, stall}, s); status != exitClean {
		t.Fatalf("status %d, %s", status, errs)
	}
	for _, c := range []struct {
		name      string
		args      []string
		want, not []string
	}{
		{"all", []string{stall, churn}, []string{"2 captures", "LAT001", "REU001", `class="ladder"`}, nil},
		{"filter", []string{"--filter", "ip6", stall, churn}, []string{"LAT001", `class="ladder"`}, []string{"REU001"}},
		{"join", []string{"--join", stall, churn}, []string{"LAT001", "REU001", `class="ladder"`}, []string{"2 captures"}},
		{"baseline", []string{"--baseline", known, stall, churn}, []string{"REU001", "1 finding of the baseline left out"}, []string{"LAT001"}},
		{"gone", []string{"--baseline", known, churn}, []string{"1 finding of the baseline not found again"}, []string{"LAT001"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, out, errs := streams(nil)
			if status := Main(append([]string{"report", "--isolated", "-o", "-"}, c.args...), s); status != exitClean {
				t.Fatalf("status %d, %s", status, errs)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("it lacks %q", w)
				}
			}
			for _, n := range c.not {
				if strings.Contains(out.String(), n) {
					t.Errorf("it says %q", n)
				}
			}
		})
	}
}

func TestReportUsage(t *testing.T) {
	capture := filepath.Join(recorded, "reu001-requests-without-session-at-client.pcap")
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, exitUsage, "report needs a capture file"},
		{[]string{"-o", t.TempDir(), capture}, exitUsage, "is a directory"},
		{[]string{"-o", "none/x.html", capture}, exitUsage, "cannot write"},
		{[]string{"-o", "-", "none.pcap"}, exitUnread, "none.pcap"},
	} {
		s, out, errs := streams(nil)
		if status := Main(append([]string{"report", "--isolated"}, c.args...), s); status != c.status || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%q: status %d, %s", c.args, status, errs)
		}
		if c.status == exitUnread && !strings.Contains(out.String(), "Not read, or not to its end") {
			t.Errorf("the report does not say what was not read")
		}
	}
}
