package html_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/connlint/connlint/cmd/connlint/internal/report/html"
)

// A browser accepts the page under its own policy, and runs its script.
func TestBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	c := busy(2, 50)
	findings(&c, 2)
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	page := write(t, &html.Report{Captures: []html.Capture{c}})
	if err := os.WriteFile(file, []byte(page), 0o666); err != nil {
		t.Fatal(err)
	}
	browse := func(mode ...string) (dom, log string) {
		t.Helper()
		// A browser that hangs is not what is tested here.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, chromium, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--no-first-run", "--user-data-dir=" + filepath.Join(dir, "profile"), "--enable-logging=stderr"},
			append(mode, "file://"+file)...)...)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("chromium does not run here: %v", err)
		}
		return string(out), errs.String()
	}
	dom, log := browse("--dump-dom")
	for line := range strings.Lines(log) {
		if strings.Contains(line, "CONSOLE") || strings.Contains(line, "Content Security Policy") {
			t.Errorf("the console says %q", line)
		}
	}
	if n := strings.Count(dom, "<button"); n != 2 || strings.Contains(dom, "<button type=\"button\" hidden") {
		t.Errorf("of %d buttons some are hidden: the script did not run", n)
	}
	shot := filepath.Join(dir, "page.png")
	browse("--window-size=420,1600", "--screenshot="+shot)
	if st, err := os.Stat(shot); err != nil || st.Size() < 20_000 {
		t.Errorf("no picture of the page, or an empty one: %v, %v", st, err)
	}
}
