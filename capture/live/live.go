// Package live captures packets from network interfaces: on Linux from an
// AF_PACKET socket with a TPACKET_V3 ring, on macOS and the BSDs from /dev/bpf.
// It needs no C library.
//
// A source lends packets as a file does, numbered from 1, and [capture.ErrIdle]
// where there are none for now. Packets are as on the wire: VLAN tags that the
// card took off are put back, and a loopback's packets come once, not as sent
// and as received.
package live

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/filter"
)

// Any stands for all interfaces, those that appear later too.
const Any = "any"

// Options say what to capture.
type Options struct {
	// Interfaces are names, at least one, or [Any]. Several need Linux.
	Interfaces []string
	Filter     *filter.Filter // nil for all packets
	SnapLen    int            // bytes kept of a packet, 0 for all
	// Promiscuous asks for packets between other hosts too. It is not for Any.
	Promiscuous bool
	// Buffer is the memory, in bytes, for packets that the kernel has captured
	// and nobody has read: what does not fit is dropped, and counted. 0 for
	// 64 MiB; systems other than Linux may give less.
	Buffer int
	// Wait is how long a packet may wait in the kernel for others to be handed
	// over with; 0 for 20 ms.
	Wait time.Duration
}

const (
	defaultBuffer  = 64 << 20
	defaultWait    = 20 * time.Millisecond
	defaultSnapLen = 262144
	// idleWait is how long Next waits for a packet at most.
	idleWait = 100 * time.Millisecond
)

func (o *Options) complete() error {
	if len(o.Interfaces) == 0 {
		return fmt.Errorf("no interface to capture on; there are %s", interfaceNames())
	}
	for _, name := range o.Interfaces {
		if name == Any {
			if len(o.Interfaces) > 1 {
				return fmt.Errorf("interface %s stands for all: no other beside it", Any)
			}
			if o.Promiscuous {
				return fmt.Errorf("interface %s cannot be promiscuous: name the interface", Any)
			}
		}
	}
	if o.SnapLen <= 0 || o.SnapLen > defaultSnapLen {
		o.SnapLen = defaultSnapLen
	}
	if o.Buffer <= 0 {
		o.Buffer = defaultBuffer
	}
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	return nil
}

func (o *Options) name() string { return strings.Join(o.Interfaces, ",") }

// interfaceByName is net.InterfaceByName with an error that helps.
func interfaceByName(name string) (*net.Interface, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("no interface %s; there are %s", name, interfaceNames())
	}
	return i, nil
}

func interfaceNames() string {
	list, err := net.Interfaces()
	if err != nil {
		return "none that can be listed: " + err.Error()
	}
	names := []string{Any}
	for _, i := range list {
		names = append(names, i.Name)
	}
	slices.Sort(names[1:])
	return strings.Join(names, ", ")
}

// PermissionError says that the system does not let this process capture, and
// what would make it.
type PermissionError struct {
	Err    error
	Remedy string
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("no right to capture: %v; %s", e.Err, e.Remedy)
}

func (e *PermissionError) Unwrap() error { return e.Err }

// executable returns the path of this program as a shell takes it.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return "/path/to/connlint"
	}
	if strings.ContainsAny(path, " \t\n'\"\\$`&;|<>()*?[]#~!{}") {
		path = "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// keep is where captured packets are copied to, out of the kernel's memory:
// blocks that are recycled once nobody holds a packet of theirs.
type keep struct {
	pool  *capture.BlockPool
	block *capture.Block
	used  int
}

const keepSize = 1 << 20

func newKeep() keep { return keep{pool: capture.NewBlockPool(keepSize, 16)} }

// room returns n bytes of the block at hand, or of a new one.
func (k *keep) room(n int) []byte {
	if k.block == nil || k.used+n > len(k.block.Buf) {
		k.close()
		k.block, k.used = k.pool.Get(), 0
	}
	b := k.block.Buf[k.used : k.used+n : k.used+n]
	k.used += n
	return b
}

func (k *keep) close() {
	if k.block != nil {
		k.block.Release()
		k.block = nil
	}
}
