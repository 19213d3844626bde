package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/capture/pcapfile"
)

// How often --watch looks, and how long a capture must stay as it is to be
// taken for finished where no later one shows that it is.
const (
	watchEvery  = 500 * time.Millisecond
	watchSettle = 3 * time.Second
)

// watched is a capture that --watch has seen.
type watched struct {
	size    int64
	changed time.Time // last seen to change
	done    bool
}

// watch checks the captures of a directory as they come, until interrupted.
// The exit status is the gravest of all.
func (a *app) watch(cmd *cobra.Command, f *checkFlags, paths []string) error {
	if len(paths) > 0 {
		return fmt.Errorf("--watch takes the place of other paths; leave out %q", paths[0])
	}
	if st, err := os.Stat(f.watch); err != nil || !st.IsDir() {
		return fmt.Errorf("--watch: %q is no directory", f.watch)
	}
	if len(f.outputs) > 0 {
		return errors.New("--watch writes to standard output as captures come; leave out --output")
	}
	j, err := a.newJob(cmd, f, nil)
	if err != nil {
		return err
	}
	defer a.heed()()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := map[string]*watched{}
	for {
		files, err := pcapfile.Expand([]string{f.watch})
		if err != nil && len(seen) == 0 && len(files) == 0 {
			files = nil // an empty directory is what a watch may begin with
		}
		for _, file := range settled(files, seen, time.Now()) {
			r := j.newReport()
			j.read(r, []string{file})
			j.conclude(r)
			r.Gone, r.Notices = nil, nil // one capture of many says nothing of what is not in it
			a.status = max(a.status, r.Status)
			if err := j.write(r); err != nil {
				return err
			}
		}
		select {
		case <-a.signals.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// settled returns the files that are finished and were not before, and notes
// what it sees: a file is finished when it has not changed for a while, or
// when a later one has been begun.
func settled(files []string, seen map[string]*watched, now time.Time) []string {
	var newest time.Time
	var newestFile string
	times := map[string]time.Time{}
	for _, file := range files {
		st, err := os.Stat(file)
		if err != nil {
			continue // gone again: rotated away
		}
		times[file] = st.ModTime()
		if st.ModTime().After(newest) || st.ModTime().Equal(newest) && filepath.Base(file) > filepath.Base(newestFile) {
			newest, newestFile = st.ModTime(), file
		}
		w := seen[file]
		if w == nil {
			w = &watched{size: -1}
			seen[file] = w
		}
		if st.Size() != w.size {
			if st.Size() < w.size {
				w.done = false // the ring came round: another capture of that name
			}
			w.size, w.changed = st.Size(), now
		}
	}
	for file := range seen {
		if _, ok := times[file]; !ok {
			delete(seen, file)
		}
	}
	var out []string
	for _, file := range files {
		w := seen[file]
		if w == nil || w.done || w.size == 0 {
			continue
		}
		quiet := now.Sub(w.changed)
		if quiet >= watchSettle || quiet >= watchEvery && newestFile != file && newest.After(times[file]) {
			w.done = true
			out = append(out, file)
		}
	}
	return out
}
