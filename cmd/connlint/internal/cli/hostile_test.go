package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/cmd/connlint/internal/report/reporttest"
)

const schemas = repository + "/testdata/schema"

// evil tries to get out of whatever it is written to. It holds no blank and no
// line end, which would end a request target.
const evil = "\x1b[31m\x1b]0;pwned\a\x9b2J\u202ecod\u2066\u200b\u2028\xff\xfe<script>alert(1)</script>]]>--><!--``~~~|\\|" +
	"[x](http://evil/)![y](z){0}@octocat&amp;\"'%0A%0D::error::pwned\\u001b"

// The secrets that no output may show.
const secret = "s3cr3t"

// hostileScripts are captures in which every word that a report may repeat is
// hostile or secret.
func hostileScripts() map[string]string {
	q := strconv.Quote
	credentials := "Authorization: Basic " + secret + "\r\nProxy-Authorization: Bearer " + secret + "\r\nCookie: id=" + secret + "\r\n" +
		"X-Evil: " + evil + "\r\nProxy-Connection: " + evil + "\r\nVia: 1.1 " + evil + "\r\n"
	target := "/" + evil + "?token=" + secret + "&" + secret
	head := "POST " + target + " HTTP/1.1\r\nHost: " + evil + "\r\n" + credentials + "Content-Length: 5\r\n\r\n"
	conn := func(name string, port int, lines ...string) string {
		return fmt.Sprintf("conn %s 10.0.0.5:%d > 10.0.0.9:80 at=%d\n+0 %s handshake\n", name, port, port-40000, name) + strings.Join(lines, "\n") + "\n"
	}
	line := func(name, at, dir, flags, text string) string {
		if text != "" {
			text = " " + text
		}
		return fmt.Sprintf("%s %s %s %s%s", at, name, dir, flags, text)
	}
	one := conn("a", 40001,
		line("a", "+0.010", ">", "P", q(head)), line("a", "+0.040", "<", "A", ""), line("a", "+0.0002", ">", "P", q("hello")),
		line("a", "+0.005", "<", "P", q("HTTP/1.1 200 "+evil+"\r\nSet-Cookie: "+secret+"\r\nX: "+evil+"\r\n\r\nbody")),
		line("a", "+0.001", "<", "F.", "")) +
		conn("b", 40002,
			line("b", "+0", ">", "P", q("GET http://user:"+secret+"@"+evil+"/"+evil+"?"+secret+" HTTP/1.1\r\nHost: user:"+secret+"@"+evil+"\r\n"+credentials+"\r\n")),
			line("b", "+0", ">", "F.", ""), line("b", "+0.005", "<", "R.", "")) +
		conn("c", 40003,
			line("c", "+0", ">", "P", q("POST "+target+" HTTP/1.1\r\nHost: "+evil+"\r\nContent-Length: 1\r\n\r\nx")),
			line("c", "+0", ">", "P", q(strings.ToUpper(secret)[:1]+"EVIL"+"@<b>|`::error::"+" "+target+" HTTP/1.1\r\nHost: "+evil+"\r\n\r\n")),
			line("c", "+0.005", "<", "P", q("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"))) +
		conn("d", 40004,
			line("d", "+0", ">", "P", q("GET /a HTTP/1.1\r\nHost: a\r\n"+evil+": "+secret+"\r\n "+evil+"\r\nConnection: close, "+evil+"\r\n\r\n")),
			line("d", "+0.005", "<", "P", q("HTTP/1.1 "+evil+"\r\n\r\n")))
	return map[string]string{"x<b>|`::error,file=y`%0A[z](u).pcap": one}
}

// writeCapture writes a script's packets to a file of dir.
func writeCapture(t *testing.T, dir, name, text string) string {
	t.Helper()
	s, err := script.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	f, err := os.Create(file)
	if err != nil {
		t.Skipf("the file system takes no such name: %v", err)
	}
	w := pcapgo.NewWriterNanos(f)
	if err := w.WriteFileHeader(262144, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	src := s.Source(0)
	for {
		var p capture.Packet
		if err := src.Next(&p); err != nil {
			break
		}
		info := gopacket.CaptureInfo{Timestamp: time.Unix(0, p.Time), CaptureLength: len(p.Data), Length: p.OrigLen}
		if err := w.WritePacket(info, p.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

// Whatever a capture holds, no format lets it out of its place, and no secret
// shows.
func TestHostileCapture(t *testing.T) {
	dir := t.TempDir()
	check := reporttest.New(t, schemas)
	var args []string
	for name, text := range hostileScripts() {
		args = append(args, writeCapture(t, dir, name, text))
	}
	for _, format := range report.Formats() {
		for _, more := range [][]string{nil, {"--all"}, {"--redact", "all"}} {
			t.Run(format+strings.Join(more, ""), func(t *testing.T) {
				s, out, errs := streams(nil)
				run := append(append([]string{"check", "--isolated", "--format", format, "--fail-on", "info"}, more...), args...)
				if status := Main(run, s); status != exitFindings {
					t.Fatalf("status %d, %s", status, errs)
				}
				text := out.String()
				check.Check(t, format, text)
				if strings.Contains(strings.ToLower(text), secret) {
					at := strings.Index(strings.ToLower(text), secret)
					t.Errorf("a secret shows: …%s…", text[max(0, at-200):min(len(text), at+50)])
				}
				if n := strings.Count(text, "LAT001"); n == 0 {
					t.Error("the fault is not reported")
				}
				if format == "jsonl" {
					for l := range strings.Lines(text) {
						if !json.Valid([]byte(l)) {
							t.Errorf("no JSON: %q", l)
						}
					}
				}
				if format == "concise" {
					for l := range strings.Lines(text) {
						if !strings.HasPrefix(l, dir) {
							t.Errorf("a line that is none of ours: %q", l)
						}
					}
				}
			})
		}
	}
	for name, run := range map[string][]string{
		"stats": {"stats", args[0]}, "stats-json": {"stats", "--format", "json", args[0]},
		"show": {"show", args[0], "0"}, "show-json": {"show", "--format", "json", args[0], "0"}, "why": {"why", args[0] + ":4"},
	} {
		t.Run(name, func(t *testing.T) {
			s, out, errs := streams(nil)
			if status := Main(run, s); status != exitClean {
				t.Fatalf("status %d, %s", status, errs)
			}
			check.Check(t, name, out.String())
			if strings.Contains(strings.ToLower(out.String()), secret) {
				t.Errorf("a secret shows:\n%s", out)
			}
		})
	}
	t.Run("baseline", func(t *testing.T) {
		s, out, _ := streams(nil)
		if status := Main(append([]string{"baseline", "--isolated"}, args...), s); status != 0 {
			t.Fatal(status)
		}
		check.Check(t, "baseline", out.String())
		if strings.Contains(out.String(), secret) {
			t.Errorf("a secret shows in %s", out)
		}
	})
}

// Every format follows its schema for every recording.
func TestRecordingsInAllFormats(t *testing.T) {
	check := reporttest.New(t, schemas)
	var args []string
	for _, r := range recordings(t) {
		args = append(args, filepath.Join(recorded, r.File))
	}
	dir := t.TempDir()
	run := []string{"check", "--isolated", "--exit-zero", "--format", "concise"}
	for _, format := range report.Formats() {
		run = append(run, "--output", format+":"+filepath.Join(dir, format))
	}
	s, _, errs := streams(nil)
	if status := Main(append(run, args...), s); status != exitClean {
		t.Fatalf("status %d, %s", status, errs)
	}
	for _, format := range report.Formats() {
		text, err := os.ReadFile(filepath.Join(dir, format))
		if err != nil {
			t.Fatal(err)
		}
		check.Check(t, format, string(text))
	}
}
