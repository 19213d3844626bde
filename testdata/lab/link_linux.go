package main

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"math/rand"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// LinkConfig says what the wire between two hosts does to frames. The zero
// value forwards them at once and untouched.
type LinkConfig struct {
	Delay   time.Duration // one way, so a round trip takes twice as long
	Loss    float64       // share of frames dropped, each way
	Reorder float64       // share of frames held back by an extra ReorderBy
	// ReorderBy is how long a reordered frame is held beyond Delay.
	ReorderBy time.Duration
	// ForgetAfter makes the link a stateful middlebox: a TCP flow without a
	// frame for so long is forgotten, and later frames other than a SYN are
	// dropped, as NATs, firewalls and load balancers do.
	ForgetAfter time.Duration
	// ForgetWithReset answers frames of forgotten flows with a RST in the
	// name of the peer instead of dropping them silently.
	ForgetWithReset bool
}

// link forwards frames between the two ends of a middle namespace. It works on
// AF_PACKET sockets with virtio headers, so that segmentation and checksum
// offload pass through as they do on a real bridge, and needs no tc netem.
type link struct {
	cfg  LinkConfig
	fds  [2]int // 0 faces the first host, 1 the second
	stop chan struct{}
	wg   sync.WaitGroup
	down atomic.Bool // an outage: every frame is lost

	mu    sync.Mutex // guards flows and rng
	flows map[flowKey]time.Time
	rng   *rand.Rand
}

// vnetHdrLen is the length of struct virtio_net_hdr before each frame.
const vnetHdrLen = 10

func startLink(middle *Namespace, cfg LinkConfig) (*link, error) {
	l := &link{cfg: cfg, stop: make(chan struct{}), flows: map[flowKey]time.Time{},
		// A fixed seed: losing the same frames each time makes re-recording
		// predictable, as far as the hosts are.
		rng: rand.New(rand.NewSource(1))}
	err := middle.inside(func() error {
		for i, dev := range []string{"m0", "m1"} {
			fd, err := openPacketSocket(dev)
			if err != nil {
				return err
			}
			l.fds[i] = fd
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range l.fds {
		queue := make(chan held, 4096)
		l.wg.Add(2)
		go l.read(l.fds[i], queue, l.fds[i])
		go l.write(queue, l.fds[1-i])
	}
	return l, nil
}

func (l *link) close() {
	close(l.stop)
	l.wg.Wait()
	for _, fd := range l.fds {
		unix.Close(fd)
	}
}

func openPacketSocket(dev string) (int, error) {
	ifi, err := net.InterfaceByName(dev)
	if err != nil {
		return -1, err
	}
	all := binary.BigEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	proto := all<<8 | all>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		return -1, err
	}
	fail := func(err error) (int, error) { unix.Close(fd); return -1, err }
	for _, opt := range []int{unix.PACKET_VNET_HDR, unix.PACKET_IGNORE_OUTGOING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, opt, 1); err != nil {
			return fail(err)
		}
	}
	for _, opt := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, 8<<20); err != nil {
			return fail(err)
		}
	}
	// The reader wakes now and then to see whether the link was closed.
	tv := unix.NsecToTimeval(int64(100 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return fail(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifi.Index}); err != nil {
		return fail(err)
	}
	return fd, nil
}

// read takes frames off one end and decides their fate. back is where answers
// to the sender go.
func (l *link) read(fd int, queue chan<- held, back int) {
	defer l.wg.Done()
	defer close(queue)
	buf := make([]byte, vnetHdrLen+70000)
	for order := uint64(0); ; order++ {
		select {
		case <-l.stop:
			return
		default:
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		now := time.Now()
		frame := append([]byte(nil), buf[:n]...)
		due, ok := l.judge(frame, now, back)
		if !ok {
			continue
		}
		queue <- held{due: due, order: order, frame: frame}
	}
}

// judge says when the frame is due at the other end, or that it is lost.
func (l *link) judge(frame []byte, now time.Time, back int) (due time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seg, isTCP := parseFrame(frame[vnetHdrLen:])
	if isTCP && l.cfg.ForgetAfter > 0 {
		seen, known := l.flows[seg.flow]
		syn := seg.flags&tcpSYN != 0
		if !syn && (!known || now.Sub(seen) > l.cfg.ForgetAfter) {
			delete(l.flows, seg.flow)
			if l.cfg.ForgetWithReset && seg.flags&tcpRST == 0 {
				_, _ = unix.Write(back, seg.reset())
			}
			return time.Time{}, false
		}
		l.flows[seg.flow] = now
	}
	// Only TCP is harmed: losing an ARP answer would test the kernel's
	// neighbour table and cost a second of silence.
	if isTCP && (l.down.Load() || l.cfg.Loss > 0 && l.rng.Float64() < l.cfg.Loss) {
		return time.Time{}, false
	}
	due = now.Add(l.cfg.Delay)
	if isTCP && l.cfg.Reorder > 0 && l.rng.Float64() < l.cfg.Reorder {
		due = due.Add(l.cfg.ReorderBy)
	}
	return due, true
}

// write sends frames on when they are due.
func (l *link) write(queue <-chan held, fd int) {
	defer l.wg.Done()
	var waiting heldHeap
	timer := time.NewTimer(time.Hour)
	for {
		for len(waiting) > 0 && !waiting[0].due.After(time.Now()) {
			f := heap.Pop(&waiting).(held)
			// A frame the interface refuses is a frame lost, as on a wire.
			_, _ = unix.Write(fd, f.frame)
		}
		wait := time.Hour
		if len(waiting) > 0 {
			wait = time.Until(waiting[0].due)
		}
		timer.Reset(wait)
		select {
		case f, ok := <-queue:
			if !ok {
				return
			}
			heap.Push(&waiting, f)
		case <-timer.C:
		}
	}
}

// held is a frame under way; order keeps frames due at the same time in line.
type held struct {
	due   time.Time
	order uint64
	frame []byte
}

type heldHeap []held

func (h heldHeap) Len() int { return len(h) }
func (h heldHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].order < h[j].order
	}
	return h[i].due.Before(h[j].due)
}
func (h heldHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heldHeap) Push(x any)   { *h = append(*h, x.(held)) }
func (h *heldHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
