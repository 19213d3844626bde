package cli

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
)

// Without these flags the tests of load are short and slow enough for any
// machine. A measurement takes a quiet one with two processors:
//
//	go test ./cmd/connlint/internal/cli -run TestLiveLoad -v -load-mbit 1000 -load-time 30s
var (
	loadMbit = flag.Int("load-mbit", 100, "traffic that TestLiveLoad sends, in Mbit/s of frames; 0 for as much as the machine sends")
	loadTime = flag.Duration("load-time", 2*time.Second, "how long TestLiveLoad sends")
)

// The processors that senders, and the command, keep to.
const (
	senderCPU  = 0
	commandCPU = 1
)

// profile makes a capture of one kind of traffic.
func profile(t *testing.T, name string, bytes int) string {
	t.Helper()
	generator, err := filepath.Abs(repository + "/../shared/bench/mkpcap")
	if err == nil {
		_, err = os.Stat(generator)
	}
	if err != nil {
		if os.Getenv("CONNLINT_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip("the capture generator is not beside this checkout: ", err)
	}
	dir := t.TempDir()
	bin, out := filepath.Join(dir, "mkpcap"), filepath.Join(dir, name+".pcap")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = generator
	if msg, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the generator: %v\n%s", err, msg)
	}
	if msg, err := exec.Command(bin, "-profile", name, "-size", strconv.Itoa(bytes), "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// traffic is a capture in memory, to be sent again and again, each time from
// other ports of the same clients.
type traffic struct {
	frames [][]byte
	ports  []clientPort
}

// clientPort is where a frame has its client's port, and which it is in the
// capture.
type clientPort struct {
	at   uint8
	port uint16
}

// Offsets in a frame of IPv4 without options.
const (
	tcpSource = 34
	tcpDest   = 36
)

// portsPerRound is more than the connections of one client in a capture.
const portsPerRound = 64

// load reads a capture of IPv4 clients of one server port.
func load(t *testing.T, file string, server uint16) *traffic {
	t.Helper()
	src, err := pcapfile.Open(file, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	tr, all := &traffic{}, make([]byte, 0, src.Info().Size)
	for p := (capture.Packet{}); ; {
		if err := src.Next(&p); err == io.EOF {
			return tr
		} else if err != nil {
			t.Fatal(err)
		}
		at := len(all)
		all = append(all, p.Data...)
		frame := all[at:len(all):len(all)]
		c := clientPort{at: tcpDest}
		if binary.BigEndian.Uint16(frame[tcpDest:]) == server {
			c.at = tcpSource
		}
		c.port = binary.BigEndian.Uint16(frame[c.at:])
		tr.frames, tr.ports = append(tr.frames, frame), append(tr.ports, c)
	}
}

// frame returns a frame as it is in a round. Checksums are not looked at.
func (tr *traffic) frame(i, round int) []byte {
	f, c := tr.frames[i], tr.ports[i]
	binary.BigEndian.PutUint16(f[c.at:], c.port+uint16(round*portsPerRound))
	return f
}

// gun sends frames on an interface, in batches past its queue.
type gun struct {
	fd   int
	vecs [64]unix.Iovec
	msgs [64]mmsghdr
	n    int
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	head unix.Msghdr
	sent uint32
	_    [4]byte
}

// newGun opens a socket on an interface of the thread's namespace.
func newGun(name string) (*gun, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	g := &gun{}
	if g.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	err = errors.Join(unix.Bind(g.fd, &unix.SockaddrLinklayer{Ifindex: i.Index}),
		unix.SetsockoptInt(g.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptInt(g.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20))
	for i := range g.msgs {
		g.msgs[i].head.Iov = &g.vecs[i]
		g.msgs[i].head.Iovlen = 1
	}
	return g, err
}

func (g *gun) put(frame []byte) error {
	g.vecs[g.n].Base = unsafe.SliceData(frame)
	g.vecs[g.n].SetLen(len(frame))
	if g.n++; g.n == len(g.msgs) {
		return g.fire()
	}
	return nil
}

func (g *gun) fire() error {
	for done := 0; done < g.n; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(g.fd), uintptr(unsafe.Pointer(&g.msgs[done])), uintptr(g.n-done), 0, 0, 0)
		switch errno {
		case 0:
			done += int(n)
		case unix.EINTR, unix.EAGAIN, unix.ENOBUFS:
		default:
			return errno
		}
	}
	g.n = 0
	return nil
}

// sent says what was sent.
type sent struct {
	packets, bytes int
	took           time.Duration
}

func (s sent) mbit() float64 { return float64(s.bytes) * 8 / s.took.Seconds() / 1e6 }

// send sends traffic for so long, or a bit longer to end its last round if
// whole, at a rate in Mbit/s, 0 for no limit. It belongs on a locked thread of
// the namespace.
func (tr *traffic) send(name string, mbit int, d time.Duration, whole bool) (sent, error) {
	cpu := unix.CPUSet{}
	cpu.Set(senderCPU)
	_ = unix.SchedSetaffinity(0, &cpu) // one processor will do, if there is no other
	g, err := newGun(name)
	if err != nil {
		return sent{}, err
	}
	defer unix.Close(g.fd)
	var s sent
	began := time.Now()
	for round := 0; ; round++ {
		for i := range tr.frames {
			f := tr.frame(i, round)
			if err := g.put(f); err != nil {
				return s, err
			}
			s.packets++
			s.bytes += len(f)
			if g.n > 0 {
				continue
			}
			s.took = time.Since(began)
			if s.took >= d && !whole {
				return s, nil
			}
			if mbit > 0 {
				early := time.Duration(s.bytes)*8*time.Microsecond/time.Duration(mbit) - s.took
				if early > 100*time.Microsecond {
					ts := unix.NsecToTimespec(int64(early))
					_ = unix.Nanosleep(&ts, nil)
				}
			}
		}
		if time.Since(began) >= d {
			err := g.fire()
			s.took = time.Since(began)
			return s, err
		}
	}
}

// spawned is the command in a process of its own.
type spawned struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  safe
	errs safe
	done chan struct{} // closed when it has ended
}

// spawn starts the command in the namespace, and waits until it captures.
func (n *network) spawn(set func(*exec.Cmd), args ...string) *spawned {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	p := &spawned{t: n.t, cmd: exec.Command(self), done: make(chan struct{})}
	p.cmd.Args = append([]string{"connlint"}, args...) // which makes this program the command
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	p.cmd.Env = os.Environ()
	if set != nil {
		set(p.cmd)
	}
	n.inside(p.cmd.Start)
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its status is asked for
	}()
	n.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended, if all is well
	})
	return p
}

// captures waits until the process says that it captures.
func (p *spawned) captures() {
	p.t.Helper()
	p.until("capturing", func() bool { return strings.Contains(p.errs.String(), "capturing on") })
}

func (p *spawned) until(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) || p.ended() && !ok() {
			p.t.Fatalf("waited for it in vain: %s\n%s%s", what, p.out.String(), p.errs.String())
		}
	}
}

func (p *spawned) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for the process to end and returns its exit status.
func (p *spawned) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(60 * time.Second):
		p.t.Fatalf("the command does not end: %s", p.errs.String())
		return 0
	}
}

// end stops the process by a signal, as its user would.
func (p *spawned) end(sig unix.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	if status := p.wait(); status != 0 {
		p.t.Errorf("status %d: %s", status, p.errs.String())
	}
}

// pin binds a process to a processor, and makes it use no more than one.
func pin(c *exec.Cmd) { c.Env = append(c.Env, "GOMAXPROCS=1") }

func (p *spawned) pinned() {
	cpu := unix.CPUSet{}
	cpu.Set(commandCPU)
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	for _, task := range tasks { // those to come inherit it
		if tid, err := strconv.Atoi(filepath.Base(task)); err == nil {
			_ = unix.SchedSetaffinity(tid, &cpu) // one processor will do, if there is no other
		}
	}
}

// resident returns the process's resident memory, in bytes: its own, the
// program's text and the ring, of 64 MiB unless --buffer says otherwise.
func (p *spawned) resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// samples are sizes of the process at equal intervals.
func (p *spawned) samples(every time.Duration, stop <-chan struct{}) []int64 {
	var list []int64
	for {
		select {
		case <-stop:
			return list
		case <-time.After(every):
			if n := p.resident(); n > 0 {
				list = append(list, n)
			}
		}
	}
}

func mean(list []int64) float64 {
	sum := int64(0)
	for _, n := range list {
		sum += n
	}
	return float64(sum) / float64(max(len(list), 1))
}

// reported is what a report in JSON says.
type reported struct {
	Captures []struct {
		Packets int
		Conns   int `json:"tcp_connections"`
		Skipped map[string]int
	}
	Findings []struct {
		Code, Severity, Message string
		Measured                map[string]float64
	}
}

func readReport(t *testing.T, file string) reported {
	t.Helper()
	var r reported
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil || len(r.Captures) != 1 {
		t.Fatalf("%s: %v %s", file, err, b)
	}
	return r
}

func (r *reported) codes() []string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, f.Code)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestLiveLoad sends the traffic of an API to the command, which has one
// processor: it loses nothing, and does not grow.
func TestLiveLoad(t *testing.T) {
	n := newNetwork(t)
	size := 20_000_000
	if *loadMbit == 0 || *loadMbit > 400 {
		size = 300_000_000
	}
	tr := load(t, profile(t, "api", size), 8080)
	for _, screen := range []bool{false, true} {
		t.Run(map[bool]string{false: "lines", true: "screen"}[screen], func(t *testing.T) {
			n.t = t
			out := filepath.Join(t.TempDir(), "report.json")
			args := []string{"live", "-i", "a", "--isolated", "--fail-on", "never", "--window", "5s", "--output", "json:" + out}
			var p *spawned
			if screen {
				tty := newTerminal(t, 50, 200)
				p = n.spawn(func(c *exec.Cmd) { pin(c); tty.attach(c) }, args...)
				go tty.read()
				p.until("the screen", func() bool { return strings.Contains(tty.String(), "packets") })
			} else {
				p = n.spawn(pin, args...)
				p.captures()
			}
			p.pinned()
			stop, sizes := make(chan struct{}), make(chan []int64)
			go func() { sizes <- p.samples(*loadTime/20, stop) }()
			var s sent
			n.inside(func() (err error) { s, err = tr.send("b", *loadMbit, *loadTime, true); return err })
			close(stop)
			memory := <-sizes
			cpu := p.cpu()
			time.Sleep(300 * time.Millisecond)
			p.end(unix.SIGTERM)
			r := readReport(t, out)
			half := len(memory) / 2
			t.Logf("%d packets, %.0f Mbit/s for %.1f s; %.2f s of CPU; memory %.1f MiB, then %.1f MiB, at most %.1f MiB; found %v", s.packets, s.mbit(), s.took.Seconds(),
				cpu.Seconds(), mean(memory[:half])/(1<<20), mean(memory[half:])/(1<<20), float64(slices.Max(memory))/(1<<20), r.codes())
			if got := r.Captures[0].Packets; got != s.packets {
				t.Errorf("%d packets sent, %d captured", s.packets, got)
			}
			for _, f := range r.Findings {
				if f.Severity != "info" || strings.HasPrefix(f.Code, "CAP") {
					t.Errorf("found in healthy traffic, all of it: %s %s", f.Code, f.Message)
				}
			}
			slack := 16.0 * (1 << 20) // until garbage is collected for the first time
			if screen {
				slack += 2 * keptBytes
			}
			if a, b := mean(memory[:half]), mean(memory[half:]); b > 1.1*a+slack {
				t.Errorf("memory grows from %.0f bytes to %.0f", a, b)
			}
		})
	}
}

// TestLiveDrops sends the traffic of an API to a command that is held up again
// and again, with a small buffer, or with -load-mbit 0 as fast as it goes to
// one that has one processor: what was dropped is counted to the packet, and
// nothing is found that the whole traffic does not show.
func TestLiveDrops(t *testing.T) {
	n := newNetwork(t)
	out := filepath.Join(t.TempDir(), "report.json")
	size, buffer := 20_000_000, "1M"
	if *loadMbit == 0 {
		size, buffer = 300_000_000, "64M"
	}
	tr := load(t, profile(t, "api", size), 8080)
	p := n.spawn(pin, "live", "-i", "a", "--isolated", "--fail-on", "never", "--buffer", buffer, "--output", "json:"+out)
	p.captures()
	p.pinned()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for *loadMbit > 0 {
			select {
			case <-stop:
				return
			case <-time.After(70 * time.Millisecond):
			}
			_ = p.cmd.Process.Signal(unix.SIGSTOP) // it is there until stop
			time.Sleep(130 * time.Millisecond)
			_ = p.cmd.Process.Signal(unix.SIGCONT)
		}
	}()
	var s sent
	n.inside(func() (err error) { s, err = tr.send("b", 2**loadMbit, *loadTime, true); return err })
	close(stop)
	<-stopped
	time.Sleep(300 * time.Millisecond)
	p.end(unix.SIGTERM)
	r := readReport(t, out)
	dropped := 0
	for _, f := range r.Findings {
		switch {
		case f.Code == "CAP005":
			dropped = int(f.Measured["dropped_packets"])
		case !strings.HasPrefix(f.Code, "CAP") && f.Code != "REU002" || f.Severity != "info":
			t.Errorf("found because of what was dropped: %s %s %s", f.Code, f.Severity, f.Message)
		}
	}
	t.Logf("%d packets, %.0f Mbit/s: %d captured, %d dropped; found %v", s.packets, s.mbit(), r.Captures[0].Packets, dropped, r.codes())
	if !strings.Contains(p.errs.String(), " packets dropped so far") {
		t.Errorf("it says nothing of drops while they go on: %s", p.errs.String())
	}
	if got := r.Captures[0].Packets; dropped == 0 || got+dropped != s.packets {
		t.Errorf("%d packets sent; %d captured and %d dropped are %d", s.packets, got, dropped, got+dropped)
	}
}

// cpu returns the processor time that the process has taken.
func (p *spawned) cpu() time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := bytes.Cut(b, []byte(") "))
	f := strings.Fields(string(rest))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // in ticks of a hundredth of a second
}
