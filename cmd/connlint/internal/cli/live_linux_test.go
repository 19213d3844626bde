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
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"golang.org/x/sys/unix"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/rules/catalog"
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
func asCheck(t *testing.T, live string, args ...string) int {
	t.Helper()
	s, out, errs := streams(nil)
	Main(append([]string{"check", "--all", "--format", "jsonl", "--join"}, args...), s)
	if errs.Len() > 0 {
		t.Fatalf("check: %s", errs)
	}
	got, want := lines(t, live), lines(t, out.String())
	if !slices.Equal(got, want) {
		t.Errorf("live found %d:\n%s\ncheck %d:\n%s", len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
	return len(got)
}

// TestLiveAsCheck replays recordings of many rules over a wire, seen at one of
// its ends, at both by any, and over the loopback: the findings are those of
// the packets that were kept.
func TestLiveAsCheck(t *testing.T) {
	needRoot(t)
	files, err := filepath.Glob("../../../../testdata/recorded/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	n := newNetwork(t)
	from := map[string]*sender{"a": n.sender("b"), "any": n.sender("b"), "lo": n.sender("lo")}
	const most = 30
	done, found := map[string]int{}, 0
	rules := map[string]bool{}
	for _, file := range files {
		rule, _, _ := strings.Cut(filepath.Base(file), "-")
		if rules[rule] || len(rules) == most {
			continue
		}
		list, ok := read(t, file)
		if !ok || list[len(list)-1].at > time.Second || len(list) > 1000 {
			continue
		}
		rules[rule] = true
		name := []string{"a", "any", "lo"}[len(rules)%3]
		done[name]++
		t.Run(name+" "+filepath.Base(file), func(t *testing.T) {
			kept := filepath.Join(t.TempDir(), "kept.pcapng")
			n.t = t
			copies := map[string]int{"a": 1, "any": 2, "lo": 1}[name] // any sees both ends
			c := n.start("live", "-i", name, "--isolated", "--format", "jsonl", "--write", kept, "--fail-on", "never",
				"--count", fmt.Sprint(copies*len(list)), "--duration", "30s")
			from[name].replay(t, list)
			if status := c.wait(); status != 0 {
				t.Errorf("status %d: %s", status, c.errs.String())
			}
			again, _ := read(t, kept)
			switch {
			case name == "any": // frames have another head
			case len(again) != len(list):
				t.Errorf("%d packets sent, %d kept", len(list), len(again))
			default:
				for i := range list {
					if !bytes.Equal(list[i].frame, again[i].frame) {
						t.Fatalf("packet %d is %x, sent as %x", i+1, again[i].frame, list[i].frame)
					}
				}
			}
			found += asCheck(t, c.out.String(), "--isolated", kept)
		})
	}
	t.Logf("%v recordings of %d rules, %d findings", done, len(rules), found)
	if min(done["a"], done["any"], done["lo"]) < 5 || found < 20 {
		t.Errorf("%v recordings, %d findings: too few to say anything", done, found)
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
			if n := asCheck(t, c.out.String(), append([]string{"--isolated"}, files...)...); n < 5 {
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
	asCheck(t, c.out.String(), "--isolated", kept)
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

// metric is a figure for Prometheus.
type metric struct {
	label, of string // at most one
	value     float64
}

var sampleLine = regexp.MustCompile(`^(\w+)(?:\{(\w+)="([^"]*)"\})? (\S+)$`)

// scrape returns what the command serves at an address, by name.
func (n *network) scrape(addr string) map[string][]metric {
	n.t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: n.dialer(), DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: %v", resp.Status, err)
	}
	// It reads the text with Prometheus's own parser.
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		n.t.Errorf("%v, error %v", problems, err)
	}
	found := map[string][]metric{}
	for l := range strings.Lines(string(text)) {
		if strings.HasPrefix(l, "#") {
			continue
		}
		m := sampleLine.FindStringSubmatch(strings.TrimSpace(l))
		if m == nil {
			n.t.Fatalf("a line of another kind: %s", l)
		}
		value, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			n.t.Fatal(err)
		}
		found[m[1]] = append(found[m[1]], metric{m[2], m[3], value})
	}
	return found
}

// TestLiveMetrics asks for the figures while traffic goes on, with more servers
// than have figures of their own.
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
	c := n.start("live", "-i", "lo", "--isolated", "--quiet=false", "--metrics", addr, "--metrics-servers", "3", "--duration", "4s", "--window", "100ms",
		"--fail-on", "never", "--filter", "not port "+addr[len("127.0.0.1:"):])
	for range 5 { // servers
		n.talk(4)
	}
	n.talk(6)
	time.Sleep(1500 * time.Millisecond) // for the window to be over
	figures := n.scrape(addr)
	for name, want := range map[string]float64{
		"connlint_requests_total": 26, "connlint_connections_total": 26, "connlint_reuse_ratio": 0,
		"connlint_dropped_packets_total": 0, "connlint_time_wait": 26, "connlint_connections_open": 0,
	} {
		if f := figures[name]; len(f) != 1 || f[0].value != want {
			t.Errorf("%s is %v, not %v", name, f, want)
		}
	}
	if f := figures["connlint_packets_total"]; len(f) != 1 || f[0].value < 26*8 {
		t.Errorf("packets: %v", f)
	}
	busiest := 0.0
	for name, list := range figures {
		switch {
		case !strings.HasPrefix(name, "connlint_"):
			t.Errorf("%s is not ours", name)
		case strings.HasPrefix(name, "connlint_server_") && len(list) != 3:
			t.Errorf("%s of %d servers", name, len(list))
		}
		for _, f := range list {
			switch f.label {
			case "", "server":
				if name == "connlint_server_requests" {
					busiest = max(busiest, f.value)
				}
			case "rule":
				if f.of == "KA005" && f.value != 26 {
					t.Errorf("%v findings of KA005", f.value)
				}
			default:
				t.Errorf("%s has a label %s", name, f.label)
			}
		}
	}
	if busiest != 6 {
		t.Errorf("the busiest server had 6 requests, not %v", busiest)
	}
	if got, all := len(figures["connlint_findings_total"]), len(catalog.All()); got > all || got < all/2 {
		t.Errorf("%d rules have a counter, of %d", got, all)
	}
	c.wait()
}

// TestLiveRing keeps the latest files of a set, and ends by itself.
func TestLiveRing(t *testing.T) {
	n := newNetwork(t)
	dir := t.TempDir()
	c := n.start("live", "-i", "lo", "--isolated", "--format", "jsonl", "--write", dir+"/kept.pcapng", "--rotate-size", "3k", "--ring", "3", "--count", "200", "--fail-on", "never")
	n.talk(30)
	if status := c.wait(); status != 0 {
		t.Errorf("status %d: %s", status, c.errs.String())
	}
	files, _ := filepath.Glob(dir + "/*")
	if len(files) != 3 {
		t.Fatalf("files %v", files)
	}
	total := 0
	for _, file := range files {
		list, ok := read(t, file) // each can be read by itself
		if !ok {
			t.Errorf("%s: no packets", file)
		}
		total += len(list)
	}
	if total < 20 || total > 150 {
		t.Errorf("%d packets in the latest files of 200", total)
	}
}

// TestLiveConfiguration takes its settings from the file as check does.
func TestLiveConfiguration(t *testing.T) {
	n := newNetwork(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".connlint.yml"), []byte("ignore: [KA005]\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, isolated := range []bool{false, true} {
		args := []string{"live", "-i", "lo", "--format", "jsonl", "--duration", "1s", "--fail-on", "never"}
		if isolated {
			args = append(args, "--isolated")
		}
		p := n.spawn(func(cmd *exec.Cmd) { cmd.Dir = dir }, args...)
		p.captures()
		n.talk(3)
		if status := p.wait(); status != 0 {
			t.Errorf("status %d: %s", status, p.errs.String())
		}
		if found := strings.Contains(p.out.String(), "KA005"); found != isolated {
			t.Errorf("isolated %v: found %s", isolated, p.out.String())
		}
	}
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

// hold opens a connection, which end closes.
func (n *network) hold() (end func()) {
	n.t.Helper()
	var here, there net.Conn
	n.inside(func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
			return err
		}
		there, err = l.Accept()
		return err
	})
	return func() {
		here.Close()
		there.Close()
	}
}
