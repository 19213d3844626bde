package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	"github.com/gdamore/tcell/v2"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/cmd/connlint/internal/tui"
	"github.com/connlint/connlint/rules/runner"
)

// keptBytes is the memory for the latest packets of a capture that cannot be
// read again.
const keptBytes = 64 << 20

// look shows one capture on the terminal while it is read. Its findings decide
// on the exit status as those of check do.
func (j *job) look(paths []string) error {
	if !j.OutTTY {
		return errors.New("--tui needs a terminal on standard output")
	}
	if j.f.all {
		return errors.New("--tui shows groups of findings; leave out --all")
	}
	files, err := pcapfile.Expand(paths)
	if err != nil {
		j.cannotRead(err)
		return nil
	}
	again := func() (capture.Source, error) { return pcapfile.Open(files[0], pcapfile.Options{}) }
	switch {
	case j.f.join:
		again = func() (capture.Source, error) { return pcapfile.Join(files, pcapfile.Options{}), nil }
	case len(files) != 1:
		return fmt.Errorf("--tui shows one capture, not %d; --join makes them one", len(files))
	}
	src, err := j.openCapture(files)
	if err != nil {
		j.cannotRead(err)
		return nil
	}
	feed := tui.Feed{Title: src.Info().Name, Version: thisBuild().Version, Color: j.color(j.f.color.value),
		Monitor: runner.NewMonitor(runner.MonitorOptions{}), Packets: again}
	kept := 0
	for _, f := range files {
		if f == "-" { // it cannot be read again
			kept, feed.Packets = keptBytes, nil
		}
	}
	feed.Tap = tui.NewTap(src, kept)
	j.opts.Monitor, j.opts.Progress = feed.Monitor, nil
	feed.Options = j.opts

	if os.Getenv("GOGC") == "" {
		// Pictures are garbage ten times a second. The heap is not to grow to
		// twice the tables for them.
		debug.SetGCPercent(40)
	}
	r := j.newReport()
	var reading sync.WaitGroup
	reading.Go(func() {
		result := runner.Run(feed.Tap, j.opts)
		j.holdToBudgets(result)
		feed.Monitor.Conclude(result)
		debug.FreeOSMemory() // the tables are gone; the user may stay for long
		r.Captures = append(r.Captures, result)
		r.Unread = unread(r.Unread, result.File, result.Err)
	})
	err = show(j.signals.ctx, feed)
	feed.Tap.Stop()
	j.signals.stop()
	reading.Wait()
	err = errors.Join(err, src.Close())
	j.conclude(r)
	j.status = r.Status
	if len(j.f.outputs) > 0 {
		return errors.Join(err, j.write(r))
	}
	for _, u := range r.Unread {
		j.complain(u.Err)
	}
	return err
}

// show shows feed on the terminal's screen until the user quits or ctx ends.
func show(ctx context.Context, feed tui.Feed) error {
	screen, err := tcell.NewScreen()
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	return tui.Run(ctx, screen, feed)
}
