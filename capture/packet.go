// Package capture turns captured packets into TCP segments.
//
// A [Source] lends packets one by one, from a file, a live interface or a
// script. A [Decoder] strips link and network headers and yields the TCP
// segment inside, by value, its payload borrowed from the packet. What holds
// no TCP segment is counted by reason; it is never an error.
//
// # Ambiguity
//
// What the receiver made of a packet is not always known:
//
//   - Checksums and hop limits are not looked at. Packets captured where they
//     were sent mostly carry a checksum not yet filled in, and the way to the
//     receiver is not known.
//   - IP fragments that overlap count while they agree on every byte they share.
//     Where they differ, or disagree on the packet's length, receivers differ
//     too: the packet is given up and its fragments are counted as
//     [FragmentLost]. So are those of packets that do not become whole within 30
//     seconds of packet time, or beyond 1024 packets or 8 MiB at once, the oldest
//     first. A TCP header may be spread over fragments of any size.
//   - A packet seen twice is one ([Copies]). The bytes of the payload are not
//     compared: the first counts, as in reassembly.
package capture

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Packet is one captured packet. Its Data is borrowed: valid until the next
// call of the source's Next, or for as long as Block is retained.
type Packet struct {
	Data    []byte
	OrigLen int      // length on the wire in bytes; at least len(Data)
	Time    int64    // capture time in nanoseconds since 1970-01-01 UTC
	Frame   uint64   // number within the capture, from 1, as Wireshark's frame.number
	Link    LinkType // how Data begins
	Block   *Block   // what holds Data; nil where the garbage collector does
}

// ErrIdle is what a live source's Next returns when it has no packet for now:
// time to hand on what was held back. The next call waits a little.
var ErrIdle = errors.New("no packet for now")

// Source lends packets. Next fills p with the next packet and returns io.EOF
// after the last. Any other error means that the rest of the source cannot be
// read; what was lent before it stays valid.
type Source interface {
	Next(p *Packet) error
	// Info describes what has been read so far.
	Info() Info
	Close() error
}

// ErrPause is what Next returns where it would go on to the next piece of a
// source that is read ahead. The next call does.
var ErrPause = errors.New("end of a piece")

// Ahead is a source that can be read ahead, in pieces: by several goroutines,
// beside one that calls Next. What a processor's core has read is then still in
// its cache when that core calls Next.
type Ahead interface {
	Source
	// Pieces says that pieces are wanted, before the first call of Next: from
	// then on it pauses. It reports whether the source can do that.
	Pieces() bool
	// ReadAhead reads piece n, counted from 0. Of those that Next has not gone on
	// to, it reads but the first few, and each once.
	ReadAhead(n uint64)
	// Piece returns the number of the piece that Next goes on to. It must not be
	// called at once with Next.
	Piece() uint64
}

// Info describes a source.
type Info struct {
	Name      string     // file name as the user gave it, "-" for standard input
	Format    string     // "pcap", "pcap-ns", "pcapng", "live", ...; with "+gzip" and so on where compressed
	LinkTypes []LinkType // in order of first appearance
	Bytes     uint64     // bytes read of the file as stored (compressed, if it is)
	Size      int64      // of the file as stored, -1 if unknown
	Dropped   uint64     // packets that the capturing kernel or interface says it dropped
	SnapLen   int        // largest snapshot length of an interface, 0 if unlimited or unknown
}

// ReadError says where and why reading a capture file stopped.
type ReadError struct {
	File   string
	Offset int64  // of the record, block or header at fault, in the uncompressed stream; -1 if unknown
	Frame  uint64 // packets read before it
	Reason string // what is wrong there, without the file's name
	Cut    bool   // the file ends inside a record: all before it was read
	Err    error  // cause, may be nil
}

func (e *ReadError) Error() string {
	s := e.File + ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Offset >= 0 {
		s += fmt.Sprintf(" (at byte %d, after %d packets)", e.Offset, e.Frame)
	}
	return s
}

func (e *ReadError) Unwrap() error { return e.Err }

// Block is a piece of memory that packets are read into, recycled once nobody
// holds it. A new block is held once, by who took it from its pool.
type Block struct {
	Buf  []byte
	refs atomic.Int32
	pool *BlockPool
}

// Retain holds the block once more.
func (b *Block) Retain() { b.refs.Add(1) }

// Release gives one hold back. After the last the bytes are reused: whoever
// kept a slice of them without a hold reads another packet.
func (b *Block) Release() {
	n := b.refs.Add(-1)
	if n == 0 {
		b.pool.put(b)
	} else if n < 0 {
		panic("capture: block released too often")
	}
}

// BlockPool recycles blocks of one size. Any goroutine may release its blocks;
// one takes them.
type BlockPool struct {
	size, keep int
	mu         sync.Mutex
	free       []*Block // the one released last is taken first: it is still in a cache
}

// NewBlockPool returns a pool of blocks of size bytes that keeps at most keep
// free ones.
func NewBlockPool(size, keep int) *BlockPool {
	return &BlockPool{size: size, keep: keep}
}

// Get returns a block, held once. Its contents are undefined.
func (p *BlockPool) Get() *Block {
	b := p.take()
	if b == nil {
		b = &Block{Buf: make([]byte, p.size), pool: p}
	}
	b.refs.Store(1)
	return b
}

func (p *BlockPool) take() (b *Block) {
	p.mu.Lock()
	if last := len(p.free) - 1; last >= 0 {
		b = p.free[last]
		p.free = p.free[:last]
	}
	p.mu.Unlock()
	return b
}

func (p *BlockPool) put(b *Block) {
	if len(b.Buf) != p.size {
		return // outgrown by an odd packet: let it go
	}
	p.mu.Lock()
	if len(p.free) < p.keep {
		p.free = append(p.free, b)
	}
	p.mu.Unlock()
}
