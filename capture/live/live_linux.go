package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/filter"
)

// Source captures from a packet socket. Its methods are for one goroutine, but
// for Stop.
type Source struct {
	opts    Options
	info    capture.Info
	fd      int
	wake    int // an eventfd: Stop was called
	ring    []byte
	blocks  int
	current int // block at hand or next to come

	left   uint32 // packets of the block at hand still to lend
	at     uint32 // offset in the ring of the next of them
	opened bool   // the block at hand is ours

	cooked   bool
	link     capture.LinkType
	after    filter.Program // for what the kernel does not filter
	keep     keep
	frame    uint64
	told     bool // Next said that it is idle
	stop     atomic.Bool
	draining bool
	broken   error // what ended the capture, once what was captured is lent
	err      error
}

// Hardware types of interfaces, from <linux/if_arp.h>.
const (
	hardwareEther    = 1
	hardwareRawIP    = 519
	hardwareLoopback = 772
	hardwareNone     = 65534
)

// Open begins to capture: packets from now on are in the source. The rights of
// the process are needed for this alone. An error may be a [PermissionError].
func Open(opts Options) (*Source, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	s := &Source{opts: opts, fd: -1, wake: -1, keep: newKeep()}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) open() error {
	indices, err := s.indices()
	if err != nil {
		return err
	}
	// Protocol 0 receives nothing until the socket is bound.
	kind := unix.SOCK_RAW
	s.cooked = len(indices) != 1
	if !s.cooked {
		s.link, err = linkOf(s.opts.Interfaces[0])
		if err != nil {
			return err
		}
		s.cooked = s.link == capture.LinkSLL2
	}
	if s.cooked {
		kind, s.link = unix.SOCK_DGRAM, capture.LinkSLL2
	}
	s.fd, err = unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return permission(err)
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if err := s.mapRing(); err != nil {
		return err
	}
	if err := s.attach(indices); err != nil {
		return err
	}
	index := 0
	if len(indices) == 1 {
		index = indices[0]
	}
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return fmt.Errorf("interface %s: %w", s.opts.name(), err)
	}
	if s.opts.Promiscuous {
		for _, i := range indices {
			err := unix.SetsockoptPacketMreq(s.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
				&unix.PacketMreq{Ifindex: int32(i), Type: unix.PACKET_MR_PROMISC})
			if err != nil {
				return fmt.Errorf("promiscuous: %w", err)
			}
		}
	}
	snap := s.opts.SnapLen
	if snap == defaultSnapLen {
		snap = 0
	}
	s.info = capture.Info{Name: s.opts.name(), Format: "live", LinkTypes: []capture.LinkType{s.link}, Size: -1, SnapLen: snap}
	return nil
}

// indices returns the numbers of the interfaces, none for all.
func (s *Source) indices() ([]int, error) {
	var list []int
	for _, name := range s.opts.Interfaces {
		if name == Any {
			return nil, nil
		}
		i, err := interfaceByName(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(list, i.Index) {
			list = append(list, i.Index)
		}
	}
	return list, nil
}

// linkOf returns how frames of the interface begin; LinkSLL2 if nothing but
// the kernel can tell.
func linkOf(name string) (capture.LinkType, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, req); err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	switch req.Uint16() {
	case hardwareEther, hardwareLoopback:
		return capture.LinkEthernet, nil
	case hardwareNone, hardwareRawIP:
		return capture.LinkRaw, nil
	}
	return capture.LinkSLL2, nil
}

func permission(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return &PermissionError{Err: err, Remedy: "once, let this program do so: sudo setcap cap_net_raw+ep " + executable()}
	}
	return fmt.Errorf("packet socket: %w", err)
}

func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// ringBlock is the size of the ring's blocks. The kernel hands over one when it
// is full or Wait is over, however little is in it: many small ones bridge more
// time in which nobody reads, 5 s by default. A packet must fit into one.
const ringBlock = 256 << 10

func (s *Source) mapRing() error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("TPACKET_V3: %w", err)
	}
	s.blocks = max(s.opts.Buffer/ringBlock, 4)
	for {
		err := unix.SetsockoptTpacketReq3(s.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
			Block_size: ringBlock, Block_nr: uint32(s.blocks), Frame_size: 2048, Frame_nr: uint32(s.blocks * ringBlock / 2048),
			Retire_blk_tov: uint32(max(s.opts.Wait.Milliseconds(), 1)),
		})
		if errors.Is(err, unix.ENOMEM) && s.blocks > 4 {
			s.blocks /= 2
			continue
		}
		if err != nil {
			return fmt.Errorf("capture buffer: %w", err)
		}
		break
	}
	var err error
	s.ring, err = unix.Mmap(s.fd, 0, s.blocks*ringBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("capture buffer: %w", err)
	}
	return nil
}

// attach gives the kernel its program: which interfaces, which packets, how
// much of each.
func (s *Source) attach(indices []int) error {
	prog, err := s.opts.Filter.Kernel(s.link, s.cooked)
	if err != nil {
		return err
	}
	if !s.opts.Filter.InKernel() {
		if s.after, err = s.opts.Filter.For(s.link); err != nil {
			return err
		}
	}
	var raw []bpf.RawInstruction
	if len(indices) > 1 {
		list := []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtInterfaceIndex}}
		if len(indices) > 200 {
			return fmt.Errorf("%d interfaces: name fewer, or %s", len(indices), Any)
		}
		for n, i := range indices {
			list = append(list, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(i), SkipTrue: uint8(len(indices) - n)})
		}
		list = append(list, bpf.RetConstant{Val: 0})
		if raw, err = bpf.Assemble(list); err != nil {
			return err
		}
	}
	if prog == nil {
		prog = filter.Program{{Op: unix.BPF_RET | unix.BPF_K, K: defaultSnapLen}}
	}
	for _, i := range prog {
		if i.Op == unix.BPF_RET|unix.BPF_K && i.K != 0 {
			i.K = uint32(s.opts.SnapLen)
		}
		raw = append(raw, i)
	}
	return s.setFilter(raw)
}

func (s *Source) setFilter(raw []bpf.RawInstruction) error {
	list := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		list[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]})
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	return nil
}

// Stop ends the capture: Next lends what was captured up to now, then returns
// io.EOF. Any goroutine may call it, before Close.
func (s *Source) Stop() {
	if s.stop.Swap(true) {
		return
	}
	one := [8]byte{}
	binary.NativeEndian.PutUint64(one[:], 1)
	// It fails only if the counter is full: then it has been woken.
	_, _ = unix.Write(s.wake, one[:])
}

// Next fills p with the next packet. It returns [capture.ErrIdle] where there
// is none for now, having waited at most a tenth of a second.
func (s *Source) Next(p *capture.Packet) error {
	if s.err != nil {
		return s.err
	}
	for {
		for s.left > 0 {
			if s.take(p) {
				return nil
			}
		}
		if s.opened {
			atomic.StoreUint32(s.status(), unix.TP_STATUS_KERNEL)
			s.opened = false
			s.current = (s.current + 1) % s.blocks
		}
		if atomic.LoadUint32(s.status())&unix.TP_STATUS_USER != 0 {
			base := uint32(s.current) * ringBlock
			head := (*unix.TpacketHdrV1)(unsafe.Pointer(&s.ring[base+8])) // behind version and offset_to_priv
			s.opened, s.left, s.at = true, head.Num_pkts, base+head.Offset_to_first_pkt
			s.told = false
			continue
		}
		if !s.told {
			s.told = true
			return capture.ErrIdle
		}
		s.told = false // say so again if nothing comes
		if err := s.wait(); err != nil {
			s.err = err
			return err
		}
	}
}

// status returns the word of the current block that says whose it is.
func (s *Source) status() *uint32 {
	return (*uint32)(unsafe.Pointer(&s.ring[s.current*ringBlock+8]))
}

// wait waits for a block. Once stopped it returns io.EOF when no more come.
func (s *Source) wait() error {
	timeout := idleWait
	if !s.draining && s.stop.Load() {
		// Nothing more gets in; what is in an open block comes when its time
		// is over.
		if err := s.setFilter([]bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}}); err != nil {
			return &capture.ReadError{File: s.info.Name, Offset: -1, Frame: s.frame, Reason: "cannot stop", Err: err}
		}
		s.draining = true
	}
	if s.draining {
		timeout = 3*s.opts.Wait + 20*time.Millisecond
	}
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN | unix.POLLERR}, {Fd: int32(s.wake), Events: unix.POLLIN}}
	if s.draining {
		fds = fds[:1]
	}
	n, err := unix.Poll(fds, int(timeout.Milliseconds()))
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return &capture.ReadError{File: s.info.Name, Offset: -1, Frame: s.frame, Reason: "cannot wait for packets", Err: err}
	case fds[0].Revents&unix.POLLERR != 0:
		code, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if code == 0 {
			return nil
		}
		// What is in an open block comes all the same.
		s.broken, s.draining = s.ended(unix.Errno(code)), true
	case s.draining && n == 0 && atomic.LoadUint32(s.status())&unix.TP_STATUS_USER == 0:
		if s.broken != nil {
			return s.broken
		}
		return io.EOF
	}
	return nil
}

// ended says how an interface stopped to capture.
func (s *Source) ended(code unix.Errno) error {
	e := &capture.ReadError{File: s.info.Name, Offset: -1, Frame: s.frame, Reason: "cannot capture any more", Err: code}
	if code != unix.ENETDOWN {
		return e
	}
	// One that is taken away goes down first.
	time.Sleep(50 * time.Millisecond)
	e.Reason = "the interface is gone"
	if _, err := net.InterfaceByName(s.opts.Interfaces[0]); err == nil {
		e.Reason = "the interface went down"
	}
	return e
}

// Layout of a packet in the ring: tpacket3_hdr, then sockaddr_ll.
const (
	ringHeader = 48
	sll2Len    = 20
	vlanLen    = 4
	ethAddrs   = 12
)

// take copies the next packet of the block, or returns false for one to leave
// out.
func (s *Source) take(p *capture.Packet) bool {
	h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&s.ring[s.at]))
	from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&s.ring[s.at+ringHeader]))
	start := s.at + uint32(h.Mac)
	data := s.ring[start : start+h.Snaplen]
	s.left--
	s.at += h.Next_offset
	// A loopback's packet comes as sent, then as received.
	if from.Hatype == hardwareLoopback && from.Pkttype == unix.PACKET_OUTGOING {
		return false
	}
	var tag []byte
	if h.Status&unix.TP_STATUS_VLAN_VALID != 0 {
		tpid := uint16(unix.ETH_P_8021Q)
		if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 && h.Hv1.Vlan_tpid != 0 {
			tpid = h.Hv1.Vlan_tpid
		}
		var b [vlanLen]byte
		binary.BigEndian.PutUint16(b[:], tpid)
		binary.BigEndian.PutUint16(b[2:], uint16(h.Hv1.Vlan_tci))
		tag = b[:]
	}
	var out []byte
	more := len(tag)
	switch {
	case s.cooked:
		more += sll2Len
		out = s.keep.room(len(data) + more)
		var number [2]byte
		binary.NativeEndian.PutUint16(number[:], from.Protocol) // which is in network order
		protocol := number[:]
		body := out[sll2Len:]
		if tag != nil {
			copy(body, tag[2:])
			copy(body[2:], protocol)
			protocol, body = tag[:2], body[vlanLen:]
		}
		copy(out, protocol)
		out[2], out[3] = 0, 0
		binary.BigEndian.PutUint32(out[4:], uint32(from.Ifindex))
		binary.BigEndian.PutUint16(out[8:], from.Hatype)
		out[10], out[11] = from.Pkttype, from.Halen
		copy(out[12:sll2Len], from.Addr[:])
		copy(body, data)
	case tag != nil && len(data) >= ethAddrs && s.link == capture.LinkEthernet:
		out = s.keep.room(len(data) + vlanLen)
		copy(out, data[:ethAddrs])
		copy(out[ethAddrs:], tag)
		copy(out[ethAddrs+vlanLen:], data[ethAddrs:])
	default:
		more = 0
		out = s.keep.room(len(data))
		copy(out, data)
	}
	if !s.after.Match(out, int(h.Len)+more) {
		s.keep.used -= len(out)
		return false
	}
	s.frame++
	s.info.Bytes += uint64(len(out))
	*p = capture.Packet{Data: out, OrigLen: int(h.Len) + more, Time: int64(h.Sec)*1e9 + int64(h.Nsec),
		Frame: s.frame, Link: s.link, Block: s.keep.block}
	return true
}

// Info describes what has been captured so far.
func (s *Source) Info() capture.Info {
	if s.fd >= 0 {
		// Reading the counters sets them to zero.
		if st, err := unix.GetsockoptTpacketStatsV3(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			s.info.Dropped += uint64(st.Drops)
		}
	}
	i := s.info
	i.LinkTypes = slices.Clone(i.LinkTypes)
	return i
}

// Close ends the capture at once and frees its memory, but for packets whose
// block is held.
func (s *Source) Close() error {
	if s.fd >= 0 {
		_ = s.Info() // the last count of drops
	}
	s.err = os.ErrClosed
	s.keep.close()
	var errs []error
	if s.ring != nil {
		errs = append(errs, unix.Munmap(s.ring))
		s.ring = nil
	}
	for _, fd := range []*int{&s.fd, &s.wake} {
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}
