package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"
)

// Families of scenarios, by what a linter must say about them.
const (
	Firing  = "firing"  // the named rules must fire
	Silent  = "silent"  // easily mistaken for the fault of SilentFor; those rules must not fire
	Healthy = "healthy" // no error, no warning
)

// A Scenario is one experiment: who talks to whom over what, where it is
// recorded, what a reader must find, and the tshark query that proves it.
type Scenario struct {
	Name   string
	Family string
	Title  string
	// Story says what happens and why, for the note.
	Story string
	// Rules must fire; SilentFor must not; Also may fire besides and is right
	// by definition. Codes only.
	Rules, SilentFor, Also []string
	Expect                 string // the rough count, in words
	Programs               []string
	Proxied                bool
	IPVersion              int // 4 unless said otherwise
	Link, BackLink         LinkConfig
	Offload                bool // leave segmentation and checksum offload on
	Captures               []Capture
	// Serve brings up servers before the capture starts; Drive runs the
	// clients while it runs.
	Serve, Drive func(*Lab)
	// Settle is how long the capture goes on after Drive; default 400 ms.
	Settle   time.Duration
	Evidence []Evidence
}

// scenarios is the whole catalogue in the order it is recorded.
func scenarios() []*Scenario {
	var all []*Scenario
	for _, family := range [][]*Scenario{
		latencyScenarios(), framingScenarios(), pipeliningScenarios(),
		hopByHopScenarios(), timeWaitScenarios(), shutdownScenarios(),
		keepAliveScenarios(), reuseScenarios(), predictionScenarios(), messageScenarios(), endingScenarios(),
		waitingScenarios(), persistenceScenarios(), socketScenarios(),
		fieldScenarios(),
		healthyScenarios(), stockScenarios(),
	} {
		all = append(all, family...)
	}
	return all
}

// file is the recording's name for capture c, without directory.
func (s *Scenario) file(c Capture) string {
	if len(s.Captures) == 1 {
		return s.Name + c.ext()
	}
	return s.Name + "-at-" + c.suffix() + c.ext()
}

// recordScenario runs s and writes its captures, notes and index fragments to
// dir. What does not show the evidence is not kept, unless keep says so.
func recordScenario(s *Scenario, dir string, keep bool) (files []string, err error) {
	l, err := buildLab(s)
	if err != nil {
		return nil, err
	}
	defer l.tearDown()
	if err := l.protect(s.Serve); err != nil {
		return nil, fmt.Errorf("serving: %w", err)
	}
	var running []*capturing
	defer func() {
		for _, r := range running {
			_ = r.cmd.Process.Kill()
		}
	}()
	for _, c := range s.Captures {
		host, err := l.host(c.At)
		if err != nil {
			return nil, err
		}
		r, err := c.start(host, l.Path(s.file(c)))
		if err != nil {
			return nil, err
		}
		running = append(running, r)
	}
	driveErr := l.protect(s.Drive)
	settle := s.Settle
	if settle == 0 {
		settle = 400 * time.Millisecond
	}
	time.Sleep(settle)
	for _, r := range running {
		if err := r.stop(); err != nil {
			return nil, err
		}
	}
	running = nil
	if driveErr != nil {
		return nil, fmt.Errorf("driving: %w", driveErr)
	}
	var problems []error
	for _, c := range s.Captures {
		from := l.Path(s.file(c))
		shown, err := gather(s, from)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", s.file(c), err))
			if !keep {
				continue
			}
		}
		to := filepath.Join(dir, s.file(c))
		content, err := os.ReadFile(from)
		if err != nil {
			return files, err
		}
		if len(content) > 200<<10 {
			problems = append(problems, fmt.Errorf("%s: %d KiB is too large to commit", s.file(c), len(content)>>10))
			if !keep {
				continue
			}
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			return files, err
		}
		if err := writeNote(l, s, c, dir, shown); err != nil {
			return files, err
		}
		files = append(files, to)
	}
	return files, errors.Join(problems...)
}

// protect runs a scenario function and turns its abort into an error.
func (l *Lab) protect(f func(*Lab)) (err error) {
	if f == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			a, ok := r.(abort)
			if !ok {
				panic(r)
			}
			err = a.err
		}
	}()
	f(l)
	return nil
}

func sorted(m map[string]bool) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
