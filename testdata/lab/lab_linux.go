package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Lab is one scenario in the making: its hosts, its link and the processes
// started so far. Scenario functions read like a recipe because the methods do
// not return errors: they abort the scenario, and recordScenario reports why.
type Lab struct {
	Scenario *Scenario
	// Client and Server are always there; Proxy stands between them in the
	// topology client–link–proxy–link–server, else it is nil.
	Client, Server, Proxy *Namespace
	// V is the IP version the scenario talks.
	V int

	dir     string // scratch files: configurations, logs, documents
	middles []*Namespace
	links   []*link
	procs   []*Process
	after   []func() // what tearDown does once no process is left
}

// abort carries an error out of a scenario function.
type abort struct{ err error }

func (l *Lab) fail(format string, args ...any) { panic(abort{fmt.Errorf(format, args...)}) }

func (l *Lab) check(err error) {
	if err != nil {
		panic(abort{err})
	}
}

func buildLab(s *Scenario) (l *Lab, err error) {
	l = &Lab{Scenario: s, V: s.IPVersion}
	if l.V == 0 {
		l.V = 4
	}
	defer func() {
		if err != nil {
			l.tearDown()
			l = nil
		}
	}()
	if l.dir, err = os.MkdirTemp("", "lab"); err != nil {
		return l, err
	}
	// Daemons that drop root must be able to read their documents.
	if err = os.Chmod(l.dir, 0o755); err != nil {
		return l, err
	}
	if err = unpackPrograms(l.dir); err != nil {
		return l, err
	}
	hosts := []**Namespace{&l.Client, &l.Server}
	roles := []string{"client", "server"}
	if s.Proxied {
		hosts, roles = append(hosts, &l.Proxy), append(roles, "proxy")
	}
	for i, h := range hosts {
		if *h, err = newNamespace(roles[i]); err != nil {
			return l, err
		}
	}
	wires := [][2]*Namespace{{l.Client, l.Server}}
	if s.Proxied {
		wires = [][2]*Namespace{{l.Client, l.Proxy}, {l.Proxy, l.Server}}
	}
	for i, w := range wires {
		m, err := newNamespace(fmt.Sprintf("wire%d", i+1))
		if err != nil {
			return l, err
		}
		l.middles = append(l.middles, m)
		// The proxy's second interface is eth1; everyone else has eth0 only.
		near := "eth0"
		if i == 1 {
			near = "eth1"
		}
		if err := join(w[0], near, w[1], "eth0", m, i+1, s.Offload); err != nil {
			return l, err
		}
		cfg := s.Link
		if i == 1 {
			cfg = s.BackLink
		}
		lk, err := startLink(m, cfg)
		if err != nil {
			return l, err
		}
		l.links = append(l.links, lk)
	}
	return l, nil
}

// tearDown undoes everything, in the reverse order, ending only processes the
// lab started.
func (l *Lab) tearDown() {
	for i := len(l.procs) - 1; i >= 0; i-- {
		l.procs[i].Stop()
	}
	for _, f := range l.after {
		f()
	}
	for _, lk := range l.links {
		lk.close()
	}
	for _, n := range append([]*Namespace{l.Client, l.Server, l.Proxy}, l.middles...) {
		if n != nil {
			_ = n.remove()
		}
	}
	if l.dir != "" {
		_ = os.RemoveAll(l.dir)
	}
}

// host finds the namespace a Capture names.
func (l *Lab) host(at string) (*Namespace, error) {
	switch at {
	case "client":
		return l.Client, nil
	case "server":
		return l.Server, nil
	case "middle":
		return l.middles[0], nil
	case "proxy":
		if l.Proxy != nil {
			return l.Proxy, nil
		}
	}
	return nil, fmt.Errorf("scenario has no vantage point %q", at)
}

// Path names a file in the scratch directory.
func (l *Lab) Path(name string) string { return filepath.Join(l.dir, name) }

// File writes a file into the scratch directory and returns its path.
func (l *Lab) File(name, content string) string {
	p := l.Path(name)
	l.check(os.MkdirAll(filepath.Dir(p), 0o755))
	l.check(os.WriteFile(p, []byte(content), 0o644))
	return p
}

// Sleep lets the scenario's clock run; d is part of what is recorded.
func (l *Lab) Sleep(d time.Duration) { time.Sleep(d) }

// Sysctl sets a kernel key in one namespace.
func (l *Lab) Sysctl(n *Namespace, key, value string) { l.check(n.sysctl(key, value)) }

// A Process is a program the lab started and will end.
type Process struct {
	name string
	cmd  *exec.Cmd
	out  *safeBuffer
	done chan struct{}
	err  error
}

// Start runs argv in the background on host n, in a process group of its own
// so that the workers it forks end with it.
func (l *Lab) Start(n *Namespace, argv ...string) *Process {
	p := &Process{name: filepath.Base(argv[0]), out: &safeBuffer{}, done: make(chan struct{})}
	p.cmd = n.command(argv...)
	p.cmd.Dir = l.dir
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env = append(os.Environ(), "HOME="+l.dir, "LC_ALL=C", "no_proxy=", "NO_PROXY=", "http_proxy=", "https_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=")
	// A child may keep the pipe open after its parent ended.
	p.cmd.WaitDelay = 2 * time.Second
	l.check(p.cmd.Start())
	l.procs = append(l.procs, p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// Signal sends sig to the program itself, not to its group.
func (p *Process) Signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// Stop ends the process and whatever it forked.
func (p *Process) Stop() {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(2 * time.Second):
		}
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Wait waits for the program to end by itself and fails if it takes too long.
func (l *Lab) Wait(p *Process) {
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		l.fail("%s did not end: %s", p.name, p.out.String())
	}
}

// Run runs argv on host n to its end and returns its output; the program must
// succeed.
func (l *Lab) Run(n *Namespace, argv ...string) string {
	p := l.Start(n, argv...)
	l.Wait(p)
	if p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
		l.fail("%s: %w: %s", strings.Join(argv, " "), p.err, p.out.String())
	}
	return p.out.String()
}

// Try is Run for programs that are expected to fail, such as clients that lose
// their connection.
func (l *Lab) Try(n *Namespace, argv ...string) string {
	p := l.Start(n, argv...)
	l.Wait(p)
	return p.out.String()
}

// AwaitPort waits until p listens on port. It asks the kernel instead of
// connecting, which would leave a connection nobody ordered in the capture.
func (l *Lab) AwaitPort(n *Namespace, p *Process, port int) {
	deadline := time.Now().Add(60 * time.Second)
	for {
		out, err := n.command("ss", "-Hltn", fmt.Sprintf("sport = :%d", port)).Output()
		if err == nil && len(strings.TrimSpace(string(out))) > 0 {
			return
		}
		if p != nil {
			select {
			case <-p.done:
				l.fail("%s ended before it listened on %d: %v: %s", p.name, port, p.err, p.out.String())
			default:
			}
		}
		if time.Now().After(deadline) {
			l.fail("nothing listens on port %d", port)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// Serve starts argv on host n and waits for its port.
func (l *Lab) Serve(n *Namespace, port int, argv ...string) *Process {
	p := l.Start(n, argv...)
	l.AwaitPort(n, p, port)
	return p
}
