//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package live

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/filter"
)

// Source captures from a BPF device. Its methods are for one goroutine, but
// for Stop.
//
// gopacket's bsdbpf is not used: it tells neither the link type, nor the
// length on the wire, nor what was dropped.
type Source struct {
	opts  Options
	info  capture.Info
	fd    int
	link  capture.LinkType
	prog  filter.Program
	buf   []byte // what read returned
	rest  []byte // of it, still to lend
	keep  keep
	frame uint64
	stop  atomic.Bool
	err   error
}

// Open begins to capture: packets from now on are in the source. The rights of
// the process are needed for this alone. An error may be a [PermissionError].
func Open(opts Options) (*Source, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	if len(opts.Interfaces) > 1 || opts.Interfaces[0] == Any {
		return nil, errors.New("this system captures on one interface at a time: name one")
	}
	if _, err := interfaceByName(opts.Interfaces[0]); err != nil {
		return nil, err
	}
	s := &Source{opts: opts, fd: -1, keep: newKeep()}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) open() error {
	for i := 0; s.fd < 0; i++ {
		fd, err := syscall.Open(fmt.Sprintf("/dev/bpf%d", i), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		switch {
		case err == nil:
			s.fd = fd
		case errors.Is(err, syscall.EBUSY) && i < 256:
		case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
			return &PermissionError{Err: err, Remedy: "run it with sudo, or let your group read /dev/bpf*"}
		default:
			return fmt.Errorf("/dev/bpf%d: %w", i, err)
		}
	}
	size := min(s.opts.Buffer, 4<<20)
	for {
		// The kernel may set less than is asked for, or refuse.
		n, err := syscall.SetBpfBuflen(s.fd, size)
		if err == nil {
			size = n
			break
		}
		if size /= 2; size < 32<<10 {
			return fmt.Errorf("capture buffer: %w", err)
		}
	}
	s.buf = make([]byte, size)
	name := s.opts.Interfaces[0]
	if err := syscall.SetBpfInterface(s.fd, name); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	dlt, err := syscall.BpfDatalink(s.fd)
	if err != nil {
		return fmt.Errorf("interface %s: link type: %w", name, err)
	}
	s.link = capture.LinkType(dlt)
	if s.prog, err = s.opts.Filter.For(s.link); err != nil {
		return err
	}
	list := []syscall.BpfInsn{{Code: syscall.BPF_RET | syscall.BPF_K, K: uint32(s.opts.SnapLen)}}
	if s.prog != nil {
		list = list[:0]
		for _, i := range s.prog {
			if i.Op == syscall.BPF_RET|syscall.BPF_K && i.K != 0 {
				i.K = uint32(s.opts.SnapLen)
			}
			list = append(list, syscall.BpfInsn{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
		}
	}
	if err := syscall.SetBpf(s.fd, list); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	wait := syscall.NsecToTimeval(int64(s.opts.Wait))
	if err := syscall.SetBpfTimeout(s.fd, &wait); err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	if s.opts.Promiscuous {
		if err := syscall.SetBpfPromisc(s.fd, 1); err != nil {
			return fmt.Errorf("promiscuous: %w", err)
		}
	}
	if err := syscall.FlushBpf(s.fd); err != nil { // what came before the filter
		return fmt.Errorf("capture buffer: %w", err)
	}
	s.info = capture.Info{Name: s.opts.name(), Format: "live", LinkTypes: []capture.LinkType{s.link}, Size: -1}
	if s.opts.SnapLen < defaultSnapLen {
		s.info.SnapLen = s.opts.SnapLen
	}
	return nil
}

// Stop ends the capture: Next lends what was captured up to now, then returns
// io.EOF. Any goroutine may call it.
func (s *Source) Stop() { s.stop.Store(true) }

// Next fills p with the next packet. It returns [capture.ErrIdle] where there
// is none for now.
func (s *Source) Next(p *capture.Packet) error {
	if s.err != nil {
		return s.err
	}
	for len(s.rest) < int(unsafe.Sizeof(unix.BpfHdr{})) {
		stopping := s.stop.Load()
		n, err := syscall.Read(s.fd, s.buf) // returns when full, or Wait is over
		switch {
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.EAGAIN):
			return capture.ErrIdle
		case err != nil:
			s.err = &capture.ReadError{File: s.info.Name, Offset: -1, Frame: s.frame, Reason: "the interface is gone", Err: err}
			return s.err
		case n == 0 && stopping:
			s.err = io.EOF
			return s.err
		case n == 0:
			return capture.ErrIdle
		}
		s.rest = s.buf[:n]
	}
	h := (*unix.BpfHdr)(unsafe.Pointer(&s.rest[0]))
	start, end := int(h.Hdrlen), int(h.Hdrlen)+int(h.Caplen)
	if end > len(s.rest) {
		s.err = &capture.ReadError{File: s.info.Name, Offset: -1, Frame: s.frame, Reason: "the kernel's buffer is damaged"}
		return s.err
	}
	out := s.keep.room(end - start)
	copy(out, s.rest[start:end])
	s.frame++
	s.info.Bytes += uint64(len(out))
	*p = capture.Packet{Data: out, OrigLen: int(h.Datalen), Frame: s.frame, Link: s.link, Block: s.keep.block,
		Time: int64(h.Tstamp.Sec)*1e9 + int64(h.Tstamp.Usec)*1e3}
	// Records begin at multiples of a word, of 4 bytes on macOS.
	const align = int(alignment)
	s.rest = s.rest[min((end+align-1)&^(align-1), len(s.rest)):]
	return nil
}

// Info describes what has been captured so far.
func (s *Source) Info() capture.Info {
	if s.fd >= 0 {
		if st, err := syscall.BpfStats(s.fd); err == nil {
			s.info.Dropped = uint64(st.Drop)
		}
	}
	i := s.info
	i.LinkTypes = slices.Clone(i.LinkTypes)
	return i
}

// Close ends the capture at once.
func (s *Source) Close() error {
	if s.fd < 0 {
		return nil
	}
	_ = s.Info() // the last count of drops
	s.err = os.ErrClosed
	s.keep.close()
	err := syscall.Close(s.fd)
	s.fd = -1
	return err
}
