package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Capture is one place where a scenario is recorded. A scenario may have
// several: the same traffic looks different at each vantage point, and rules
// must judge it alike.
type Capture struct {
	At      string // client, server, proxy or middle
	Iface   string // default: eth0, m0 in the middle
	Format  string // pcap (default), pcap-ns or pcapng
	Snaplen int    // default: whole frames
	SLL1    bool   // on interface any: Linux cooked v1 instead of v2
	Filter  string // default: tcp; "-" captures everything, ARP included
}

// suffix tells the captures of one scenario apart in their file names.
func (c Capture) suffix() string {
	s := c.At
	if c.Iface == "any" || c.Iface == "lo" {
		s += "-" + c.Iface
	}
	if c.Snaplen > 0 {
		s += "-snap" + strconv.Itoa(c.Snaplen)
	}
	return s
}

func (c Capture) ext() string {
	if c.Format == "pcapng" {
		return ".pcapng"
	}
	return ".pcap"
}

func (c Capture) iface() string {
	switch {
	case c.Iface != "":
		return c.Iface
	case c.At == "middle":
		return "m0"
	}
	return "eth0"
}

// linkType is the name index.json gives the capture's link layer.
func (c Capture) linkType() string {
	switch {
	case c.iface() != "any":
		return "EN10MB"
	case c.SLL1 || c.Format == "pcapng": // dumpcap keeps to v1
		return "LINUX_SLL"
	}
	return "LINUX_SLL2"
}

// vantage describes the place in a note.
func (c Capture) vantage() string {
	v := c.At + ", interface " + c.iface()
	if c.Snaplen > 0 {
		v += fmt.Sprintf(", snaplen %d", c.Snaplen)
	}
	return v
}

// argv is the capturing command; file may be a placeholder for the note.
func (c Capture) argv(file string) []string {
	filter := c.Filter
	switch filter {
	case "":
		filter = "tcp"
	case "-":
		filter = ""
	}
	snap := c.Snaplen
	if snap == 0 {
		snap = 262144
	}
	var argv []string
	if c.Format == "pcapng" {
		argv = []string{"dumpcap", "-i", c.iface(), "-s", strconv.Itoa(snap), "-B", "16", "-w", file}
		if filter != "" {
			argv = append(argv, "-f", filter)
		}
		return argv
	}
	argv = []string{"tcpdump", "-i", c.iface(), "-s", strconv.Itoa(snap), "-B", "16384", "-U", "--immediate-mode", "-Z", "root", "-w", file}
	if c.Format == "pcap-ns" {
		argv = append(argv, "--time-stamp-precision=nano")
	}
	if c.iface() == "any" && c.SLL1 {
		argv = append(argv, "-y", "LINUX_SLL")
	}
	if filter != "" {
		argv = append(argv, filter)
	}
	return argv
}

// capturing is a running Capture.
type capturing struct {
	file   string
	cmd    *exec.Cmd
	stderr *safeBuffer
	done   chan error
}

func (c Capture) start(ns *Namespace, file string) (*capturing, error) {
	r := &capturing{file: file, stderr: &safeBuffer{}, done: make(chan error, 1)}
	r.cmd = ns.command(c.argv(file)...)
	r.cmd.Stderr = r.stderr
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { r.done <- r.cmd.Wait() }()
	// Both say so once the socket is open; what is sent later is seen.
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(r.stderr.String(), "listening on") && !strings.Contains(r.stderr.String(), "File:") {
		select {
		case err := <-r.done:
			return nil, fmt.Errorf("%s: %v: %s", c.argv("FILE")[0], err, r.stderr.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = r.cmd.Process.Kill()
			return nil, fmt.Errorf("%s did not start: %s", c.argv("FILE")[0], r.stderr.String())
		}
	}
	time.Sleep(100 * time.Millisecond)
	return r, nil
}

// stop ends the capture and fails when the kernel dropped packets: a hole
// nobody asked for makes the recording say something else.
func (r *capturing) stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-r.done:
	case <-time.After(20 * time.Second):
		_ = r.cmd.Process.Kill()
		return errors.New("capture did not stop")
	}
	for _, line := range strings.Split(r.stderr.String(), "\n") {
		if n, ok := strings.CutSuffix(strings.TrimSpace(line), " packets dropped by kernel"); ok && n != "0" {
			return fmt.Errorf("kernel dropped %s packets", n)
		}
	}
	if st, err := os.Stat(r.file); err != nil || st.Size() <= 24 {
		return fmt.Errorf("%s is empty", filepath.Base(r.file))
	}
	return nil
}

// safeBuffer is a bytes.Buffer that a process writes while others read it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
