package cli

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
)

// needRoot skips a test that opens packet sockets and namespaces, where it
// may not.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CONNLINT_NO_SKIP") != "" {
		t.Fatal("live capture is tested by root")
	}
	t.Skip("live capture is tested by root")
}

// network is a network namespace of the test's own: lo, and a veth pair.
type network struct {
	t  *testing.T
	ns *os.File
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	needRoot(t)
	n := &network{t: t}
	n.inside(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("no network namespace: %w", err)
		}
		// No neighbour discovery: packets are the test's alone.
		for _, f := range []string{"all", "default"} {
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+f+"/disable_ipv6", []byte("1"), 0)
		}
		for _, args := range []string{"link set lo up", "link add name a type veth peer name b", "link set dev a mtu 65535 up", "link set dev b mtu 65535 up"} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", args, err, out)
			}
		}
		var err error
		n.ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	t.Cleanup(func() { n.ns.Close() })
	return n
}

// inside runs f as enter does, and ends the test if it fails.
func (n *network) inside(f func() error) {
	n.t.Helper()
	if err := n.enter(f); err != nil {
		n.t.Fatal(err)
	}
}

// enter runs f on a thread of its own in the namespace. Sockets that it opens
// belong there for good.
func (n *network) enter(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if n.ns != nil {
			if err := unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNET); err != nil {
				done <- err
				return
			}
		}
		done <- f()
	}()
	return <-done
}

// safe is a buffer that one writes while others look at it.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// command is a run of the command in the namespace.
type command struct {
	t         *testing.T
	out, errs safe
	status    chan int
}

// start runs the command and returns once it says that it captures.
func (n *network) start(args ...string) *command {
	n.t.Helper()
	return n.run("capturing on", args...)
}

// run runs the command and returns once it says something.
func (n *network) run(says string, args ...string) *command {
	n.t.Helper()
	c := &command{t: n.t, status: make(chan int, 1)}
	s := Streams{In: strings.NewReader(""), Out: &c.out, Err: &c.errs, Env: func(string) string { return "" }}
	go func() {
		if err := n.enter(func() error { c.status <- Main(args, s); return nil }); err != nil {
			n.t.Error(err)
			c.status <- -1
		}
	}()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(c.errs.String(), says); time.Sleep(time.Millisecond) {
		if time.Now().After(end) || len(c.status) > 0 {
			n.t.Fatalf("%v does not begin: %s", args, c.errs.String())
		}
	}
	return c
}

// wait waits for the command's end.
func (c *command) wait() int {
	c.t.Helper()
	select {
	case status := <-c.status:
		return status
	case <-time.After(60 * time.Second):
		c.t.Fatalf("the command does not end: %s", c.errs.String())
		return 0
	}
}

// sender sends frames on an interface.
type sender struct {
	fd   int
	addr unix.SockaddrLinklayer
}

func (n *network) sender(name string) *sender {
	s := &sender{}
	n.inside(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		s.addr.Ifindex = i.Index
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	n.t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

func (s *sender) send(frame []byte) error {
	for {
		err := unix.Sendto(s.fd, frame, 0, &s.addr)
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// replayed is a packet to be sent.
type replayed struct {
	frame []byte
	at    time.Duration
}

// read returns the packets of a capture of whole Ethernet frames, and how long
// it is; false if it is none.
func read(t *testing.T, file string) ([]replayed, bool) {
	t.Helper()
	src, err := pcapfile.Open(file, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var list []replayed
	var p capture.Packet
	first := int64(0)
	for {
		if err := src.Next(&p); err == io.EOF {
			return list, len(list) > 0
		} else if err != nil {
			return nil, false
		}
		if p.Link != capture.LinkEthernet || len(p.Data) != p.OrigLen || len(p.Data) > 60000 {
			return nil, false
		}
		if first == 0 {
			first = p.Time
		}
		list = append(list, replayed{slices.Clone(p.Data), time.Duration(p.Time - first)})
	}
}

// replay sends packets at their times.
func (s *sender) replay(t *testing.T, list []replayed) {
	t.Helper()
	began := time.Now()
	for _, r := range list {
		time.Sleep(r.at - time.Since(began))
		if err := s.send(r.frame); err != nil {
			t.Fatal(err)
		}
	}
}

// lines returns findings, one a line of JSON, without the file's name and in
// one order.
func lines(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	for l := range strings.Lines(text) {
		var m map[string]any
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		delete(m, "file")
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	slices.Sort(out)
	return out
}

// asCheck compares what a live run has found with what check finds in the
// packets it kept.
func asCheck(t *testing.T, live string, files ...string) int {
	t.Helper()
	s, out, errs := streams(nil)
	Main(append([]string{"check", "--isolated", "--all", "--format", "jsonl", "--join"}, files...), s)
	if errs.Len() > 0 {
		t.Fatalf("check: %s", errs)
	}
	got, want := lines(t, live), lines(t, out.String())
	if !slices.Equal(got, want) {
		t.Errorf("live found %d:\n%s\ncheck %d:\n%s", len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
	return len(got)
}

// TestLiveAsCheck replays recordings over a wire: the findings are those of
// the packets that were kept.
func TestLiveAsCheck(t *testing.T) {
	needRoot(t)
	files, err := filepath.Glob("../../../../testdata/recorded/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	n := newNetwork(t)
	b := n.sender("b")
	done, found := 0, 0
	families := map[string]int{}
	for _, file := range files {
		family, _, _ := strings.Cut(filepath.Base(file), "-")
		if families[family] >= 2 || done == 24 {
			continue
		}
		list, ok := read(t, file)
		if !ok || list[len(list)-1].at > 1500*time.Millisecond || len(list) > 3000 {
			continue
		}
		families[family]++
		done++
		t.Run(filepath.Base(file), func(t *testing.T) {
			kept := filepath.Join(t.TempDir(), "kept.pcapng")
			n.t = t
			c := n.start("live", "-i", "a", "--isolated", "--format", "jsonl", "--write", kept, "--fail-on", "never",
				"--count", fmt.Sprint(len(list)), "--duration", "30s")
			b.replay(t, list)
			if status := c.wait(); status != 0 {
				t.Errorf("status %d: %s", status, c.errs.String())
			}
			again, _ := read(t, kept)
			if len(again) != len(list) {
				t.Fatalf("%d packets sent, %d kept", len(list), len(again))
			}
			for i := range list {
				if !bytes.Equal(list[i].frame, again[i].frame) {
					t.Fatalf("packet %d is %x, sent as %x", i+1, again[i].frame, list[i].frame)
				}
			}
			found += asCheck(t, c.out.String(), kept)
		})
	}
	t.Logf("%d recordings, %d findings", done, found)
	if done < 10 || found == 0 {
		t.Errorf("%d recordings, %d findings: too few to say anything", done, found)
	}
}

// TestLiveSettingsHold is TestSettingsHold for live and run.
func TestLiveSettingsHold(t *testing.T) {
	n := newNetwork(t)
	b := n.sender("b")
	dir := t.TempDir()
	list, ok := read(t, writeCapture(t, dir, "stall.pcap", stall))
	if !ok {
		t.Fatal("no packets")
	}
	for _, s := range settingsThatHold() {
		config := filepath.Join(dir, s.name+".yml")
		if err := os.WriteFile(config, []byte(s.config), 0o666); err != nil {
			t.Fatal(err)
		}
		t.Run("live/"+s.name, func(t *testing.T) {
			n.t = t
			c := n.start("live", "-i", "a", "--config", config, "--format", "jsonl", "--exit-zero", "--count", fmt.Sprint(len(list)), "--duration", "30s")
			b.replay(t, list)
			if status := c.wait(); status != exitClean {
				t.Errorf("status %d: %s", status, c.errs.String())
			}
			s.holds(t, c.out.String())
		})
		t.Run("run/"+s.name, func(t *testing.T) {
			n.t = t
			out := filepath.Join(t.TempDir(), "findings.jsonl")
			c := n.run("ready", append(append([]string{"run", "-i", "a", "--isolated"}, s.flags...), "--exit-zero", "--grace", "0s", "--output", "jsonl:"+out,
				"--", "sh", "-c", "echo ready >&2; sleep 0.5")...)
			b.replay(t, list)
			if status := c.wait(); status != exitClean {
				t.Errorf("status %d: %s", status, c.errs.String())
			}
			text, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			s.holds(t, string(text))
		})
	}
}

// talk opens connections to a server that closes without saying so.
func (n *network) talk(connections int) {
	var l net.Listener
	n.inside(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:0"); return err })
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			c.Close()
		}
	}()
	n.inside(func() error {
		for range connections {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return err
			}
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
			if _, err := io.Copy(io.Discard, c); err != nil {
				return err
			}
			c.Close()
		}
		return nil
	})
}

// TestLiveInterfaces captures real traffic on lo, on all interfaces and on
// several, once each packet; in files of a set too.
func TestLiveInterfaces(t *testing.T) {
	n := newNetwork(t)
	for _, args := range [][]string{
		{"-i", "lo"}, {"-i", "any"}, {"-i", "lo,a"}, {"-i", "any", "--filter", "tcp and host 127.0.0.1"},
		{"-i", "lo", "--filter", "tcp and not vlan"}, {"-i", "lo", "--rotate-size", "2k"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			n.t = t
			dir := t.TempDir()
			c := n.start(append([]string{"live", "--isolated", "--format", "jsonl", "--write", dir + "/kept.pcapng", "--duration", "1500ms"}, args...)...)
			n.talk(5)
			if status := c.wait(); status != exitFindings {
				t.Errorf("status %d: %s", status, c.errs.String())
			}
			files, _ := filepath.Glob(dir + "/*.pcapng")
			if rotates := slices.Contains(args, "--rotate-size"); rotates != (len(files) > 1) {
				t.Errorf("files %v", files)
			}
			if n := asCheck(t, c.out.String(), files...); n < 5 {
				t.Errorf("%d findings on 5 connections closed unannounced", n)
			}
			s, out, _ := streams(nil)
			Main(append([]string{"check", "--isolated", "--join", "--format", "json"}, files...), s)
			var r struct {
				Captures []struct {
					Packets int            `json:"packets"`
					Conns   int            `json:"tcp_connections"`
					Skipped map[string]int `json:"skipped"`
				}
			}
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			if k := r.Captures[0]; k.Conns != 5 || k.Skipped["copy"] != 0 {
				t.Errorf("%+v: a loopback's packet came twice, or not at all", k)
			}
		})
	}
}

// TestLiveVLAN sends a frame with a tag, which the kernel takes off, and finds
// it as it was sent.
func TestLiveVLAN(t *testing.T) {
	n := newNetwork(t)
	b := n.sender("b")
	frame := binary.BigEndian.AppendUint16([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0x20, 100}, 0x0800)
	frame = append(frame, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x1f, 0x90, 0, 80)
	frame = append(frame, make([]byte, 60)...)
	for _, filter := range []string{"", "vlan 100 and tcp port 80", "vlan 7", "tcp port 80"} {
		kept := filepath.Join(t.TempDir(), "kept.pcapng")
		c := n.start("live", "-i", "a", "--isolated", "--write", kept, "--duration", "300ms", "--filter", filter)
		if err := b.send(frame); err != nil {
			t.Fatal(err)
		}
		if status := c.wait(); status != 0 {
			t.Fatalf("status %d: %s", status, c.errs.String())
		}
		list, _ := read(t, kept)
		switch {
		case filter == "vlan 7":
			if len(list) != 0 {
				t.Errorf("%q took %d packets", filter, len(list))
			}
		case len(list) != 1 || !bytes.Equal(list[0].frame, frame):
			t.Errorf("%q: sent %x, got %v", filter, frame, list)
		}
	}
}

// TestLiveOverload sends more than fits, as the disk, a pipe, takes nothing for
// a while: what was dropped is counted, kept in the file, reported, and makes
// no finding beside.
func TestLiveOverload(t *testing.T) {
	n := newNetwork(t)
	b := n.sender("b")
	list := healthy(t)
	kept := filepath.Join(t.TempDir(), "kept.pcapng")
	pipe := kept + ".pipe"
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	sent, copied := make(chan struct{}), make(chan error, 1)
	go func() {
		in, err := os.Open(pipe)
		if err != nil {
			copied <- err
			return
		}
		defer in.Close()
		<-sent
		out, err := os.Create(kept)
		if err != nil {
			copied <- err
			return
		}
		_, err = io.Copy(out, in)
		copied <- errors.Join(err, out.Close())
	}()
	c := n.start("live", "-i", "a", "--isolated", "--format", "jsonl", "--buffer", "1", "--duration", "2s", "--fail-on", "never", "--write", pipe)
	for round, bytes := 0, 0; bytes < 64<<20; round++ {
		bytes += b.burst(t, list, round)
	}
	close(sent)
	if status := c.wait(); status != 0 {
		t.Fatalf("status %d: %s", status, c.errs.String())
	}
	for _, l := range lines(t, c.out.String()) {
		if !strings.Contains(l, `"severity":"info"`) {
			t.Errorf("found on healthy traffic with drops: %s", l)
		}
	}
	if !strings.Contains(c.out.String(), "CAP005") {
		t.Error("64 MiB went through 1 MiB, and nothing was dropped")
	}
	if err := <-copied; err != nil {
		t.Fatal(err)
	}
	asCheck(t, c.out.String(), kept)
}

// burst sends packets as fast as it goes, with the addresses of hosts that are
// others in each round, and returns how many bytes they have.
func (s *sender) burst(t *testing.T, list []replayed, round int) (sent int) {
	t.Helper()
	for _, r := range list {
		// 10.77.1.1 becomes 10.77+x.y.1; checksums are not looked at.
		for _, at := range []int{26, 30} {
			r.frame[at+1], r.frame[at+2] = byte(77+round>>8), byte(round)
		}
		if err := s.send(r.frame); err != nil {
			t.Fatal(err)
		}
		sent += len(r.frame)
	}
	return sent
}

// healthy returns the packets of a recording without a fault.
func healthy(t *testing.T) []replayed {
	t.Helper()
	list, ok := read(t, "../../../../testdata/recorded/healthy-ab-keep-alive-at-client.pcap")
	if !ok {
		t.Fatal("no recording to send")
	}
	return list
}

// TestLiveBurst replays requests on connections of their own as fast as one
// processor sends them: nothing is dropped of what the buffer holds, however
// late it is read.
func TestLiveBurst(t *testing.T) {
	n := newNetwork(t)
	b := n.sender("b")
	list := healthy(t)
	c := n.start("live", "-i", "a", "--isolated", "--fail-on", "never", "--duration", "50s", "--count", fmt.Sprint(100*len(list)))
	began, sent := time.Now(), 0
	for round := range 100 {
		sent += b.burst(t, list, round)
	}
	took := time.Since(began)
	if status := c.wait(); status != 0 {
		t.Fatalf("status %d: %s", status, c.errs.String())
	}
	t.Logf("%d packets, %.0f Mbit/s", 100*len(list), float64(sent)*8/took.Seconds()/1e6)
	if strings.Contains(c.out.String(), "CAP005") {
		t.Errorf("packets were dropped:\n%s", c.out.String())
	}
}

// TestLiveMetrics asks for the figures while traffic goes on.
func TestLiveMetrics(t *testing.T) {
	n := newNetwork(t)
	var addr string
	n.inside(func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addr = l.Addr().String()
		return l.Close()
	})
	c := n.start("live", "-i", "lo", "--isolated", "--quiet=false", "--metrics", addr, "--duration", "3s", "--window", "100ms", "--fail-on", "never", "--filter", "not port "+addr[len("127.0.0.1:"):])
	n.talk(4)
	time.Sleep(1500 * time.Millisecond) // for the window to be over
	var text string
	n.inside(func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(conn)
		text = string(b)
		return err
	})
	for _, want := range []string{"connlint_requests_total 4", "connlint_connections_total 4", "connlint_reuse_ratio 0", "connlint_dropped_packets_total 0",
		`connlint_findings_total{rule="KA005"} 4`, `connlint_server_requests{server="127.0.0.1:`, "connlint_packets_total", "connlint_time_wait 4"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	c.wait()
}

// TestRun runs commands that end well and badly.
func TestRun(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		command string
		status  int
		out     string
	}{
		{"cat; echo told >&2", 0, "input"}, {"exit 7", 7, ""}, {"kill -TERM $$", 128 + int(syscall.SIGTERM), ""},
	} {
		s, out, errs := streams(nil)
		s.In = strings.NewReader("input")
		status := Main([]string{"run", "--isolated", "--filter", "port 1", "--grace", "0s", "--", "sh", "-c", c.command}, s)
		if status != c.status || out.String() != c.out {
			t.Errorf("%s: status %d, output %q, errors %s", c.command, status, out, errs)
		}
	}
	s, _, errs := streams(nil)
	if status := Main([]string{"run", "--isolated", "--", "/no/such/command"}, s); status != exitNotFound {
		t.Errorf("status %d: %s", status, errs)
	}
}

// hold keeps a connection open for a time.
func (n *network) hold(d time.Duration) {
	n.inside(func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		other, err := l.Accept()
		if err != nil {
			return err
		}
		time.Sleep(d)
		return errors.Join(c.Close(), other.Close())
	})
}
