package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Namespace is one host of the lab: a named network namespace. Its
// interfaces carry fixed MAC and IP addresses, so that two recordings of a
// scenario differ only in ports, sequence numbers and times.
type Namespace struct {
	name string // as `ip netns` knows it; holds the lab's pid so that labs do not collide
	IP4  string // the address peers use; on the proxy, the one clients see
	IP6  string
}

// Addr is the namespace's address in the IP version v.
func (n *Namespace) Addr(v int) string {
	if v == 6 {
		return n.IP6
	}
	return n.IP4
}

// addrOnWire is the second end's IPv4 address on the numbered wire: with a
// proxy in between the server stands on wire 2.
func (n *Namespace) addrOnWire(wire int) string { return fmt.Sprintf("10.77.%d.2", wire) }

// ip runs iproute2 and returns what it complained about.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func newNamespace(role string) (*Namespace, error) {
	n := &Namespace{name: fmt.Sprintf("cl-%d-%s", os.Getpid(), role)}
	if err := ip("netns", "add", n.name); err != nil {
		return nil, err
	}
	if err := ip("-n", n.name, "link", "set", "lo", "up"); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Namespace) remove() error { return ip("netns", "del", n.name) }

// sysctl sets a key of the namespace, for instance net.ipv4.tcp_fin_timeout.
func (n *Namespace) sysctl(key, value string) error {
	return n.inside(func() error {
		return os.WriteFile("/proc/sys/"+strings.ReplaceAll(key, ".", "/"), []byte(value), 0)
	})
}

// inside runs f on a thread that has entered the namespace. Sockets f opens
// belong to the namespace for good, whichever thread uses them later.
func (n *Namespace) inside(f func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer unix.Close(home)
	there, err := unix.Open("/run/netns/"+n.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer unix.Close(there)
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	ferr := f()
	// A thread that cannot find home stays locked: the runtime then ends it
	// with its goroutine instead of lending it to others.
	if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
		return err
	}
	runtime.UnlockOSThread()
	return ferr
}

// command is argv as it runs inside the namespace. `ip netns exec` replaces
// itself by the program, so the process id is the program's own.
func (n *Namespace) command(argv ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.name}, argv...)...)
}

// join connects interface ifA of a and ifB of b through a middle namespace,
// where the link will forward between m0 (towards a) and m1 (towards b).
// subnet numbers the network; it appears in every address.
func join(a *Namespace, ifA string, b *Namespace, ifB string, middle *Namespace, subnet int, offload bool) error {
	// The middle must not answer ARP or neighbour solicitations, nor send
	// router solicitations: it is a wire, not a host.
	for _, k := range []string{"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6"} {
		if err := middle.sysctl(k, "1"); err != nil {
			return err
		}
	}
	ends := []struct {
		ns    *Namespace
		dev   string
		m     string
		digit int
	}{{a, ifA, "m0", 1}, {b, ifB, "m1", 2}}
	for _, e := range ends {
		ip4 := fmt.Sprintf("10.77.%d.%d", subnet, e.digit)
		ip6 := fmt.Sprintf("fd77:%d::%d", subnet, e.digit)
		mac := fmt.Sprintf("02:77:00:00:%02d:%02d", subnet, e.digit)
		steps := [][]string{
			{"link", "add", e.dev, "netns", e.ns.name, "type", "veth", "peer", "name", e.m, "netns", middle.name},
			{"-n", e.ns.name, "link", "set", e.dev, "address", mac},
			{"-n", e.ns.name, "addr", "add", ip4 + "/24", "dev", e.dev},
			{"-n", e.ns.name, "addr", "add", ip6 + "/64", "dev", e.dev, "nodad"},
			{"-n", e.ns.name, "link", "set", e.dev, "up"},
			{"-n", middle.name, "link", "set", e.m, "up"},
		}
		for _, s := range steps {
			if err := ip(s...); err != nil {
				return err
			}
		}
		if e.ns.IP4 == "" {
			e.ns.IP4, e.ns.IP6 = ip4, ip6
		}
		if !offload {
			for _, side := range []struct {
				ns  *Namespace
				dev string
			}{{e.ns, e.dev}, {middle, e.m}} {
				out, err := side.ns.command("ethtool", "-K", side.dev, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "sg", "off").CombinedOutput()
				if err != nil {
					return fmt.Errorf("ethtool -K %s: %w: %s", side.dev, err, out)
				}
			}
		}
	}
	return nil
}
