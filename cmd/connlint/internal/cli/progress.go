package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
)

// progress is a bar on a terminal for work that takes long. A nil progress
// shows nothing.
type progress struct {
	w     io.Writer
	width int
	now   func() time.Time
	wait  time.Duration // how long work may take without a bar

	began   time.Time // all work
	name    string    // of the file at hand, as shown
	started time.Time // the file at hand
	drawn   time.Time // zero while no bar is shown
}

// redraw is the time between two pictures of the bar.
const redraw = 100 * time.Millisecond

// newProgress returns the bar that --progress asks for.
func (a *app) newProgress(when string, quiet bool) *progress {
	p := &progress{w: a.Err, width: a.Width, now: time.Now, wait: time.Second}
	switch {
	case when == "always":
		p.wait = 0
	case when == "never", quiet, !a.ErrTTY, a.Env("TERM") == "dumb":
		return nil
	}
	if p.width <= 0 {
		p.width = 80
	}
	p.began = p.now()
	return p
}

// file begins the i-th of n files.
func (p *progress) file(name string, i, n int) {
	if p == nil {
		return
	}
	p.name = report.Text(filepath.Base(name))
	if name == "-" {
		p.name = "standard input"
	}
	if n > 1 {
		p.name = fmt.Sprintf("[%d/%d] %s", i, n, p.name)
	}
	p.started = p.now()
	p.draw(0, -1)
}

// update shows how many bytes are read, of size if that is not negative.
func (p *progress) update(read, size int64) {
	if p.now().Sub(p.drawn) >= redraw {
		p.draw(read, size)
	}
}

func (p *progress) draw(read, size int64) {
	now := p.now()
	if now.Sub(p.began) < p.wait {
		return
	}
	p.drawn = now
	right := fmt.Sprintf(" %6.1f MB", float64(read)/1e6)
	if size > 0 {
		const cells = 20
		done := min(max(float64(read)/float64(size), 0), 1)
		full := int(done * cells)
		right = fmt.Sprintf(" %s%s %3.0f %%", strings.Repeat("█", full), strings.Repeat("░", cells-full), done*100)
	}
	if s := now.Sub(p.started).Seconds(); s > 0 && read > 0 {
		right += fmt.Sprintf(" %6.0f MB/s", float64(read)/1e6/s)
	}
	room := p.width - utf8.RuneCountInString(right) - 1
	name := []rune(p.name)
	if len(name) > room {
		name = append(name[:max(room-1, 0)], '…')
	}
	// The bar is an ornament: what cannot be drawn is left out.
	_, _ = fmt.Fprintf(p.w, "\r%s%s\x1b[K", string(name), right)
}

// clear takes the bar off the terminal, before anything else is written there.
func (p *progress) clear() {
	if p == nil || p.drawn.IsZero() {
		return
	}
	p.drawn = time.Time{}
	_, _ = io.WriteString(p.w, "\r\x1b[K")
}
