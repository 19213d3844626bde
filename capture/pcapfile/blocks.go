package pcapfile

import (
	"io"
	"math/bits"

	"github.com/connlint/connlint/capture"
)

// blockSize leaves room in a core's cache: what the kernel has copied into a
// block is still there when its records are walked.
const blockSize = 1 << 18

// poolKeep is more blocks than are ever on their way.
const poolKeep = 64

// blockReader walks a stream through recycled blocks. What it shows are slices
// of the block at hand; only the record that straddles a block's end is moved,
// to the front of the next one.
type blockReader struct {
	buf  []byte // what has been read into blk
	pos  int    // start of the record at hand
	blk  *capture.Block
	base int64 // offset of buf[0] in the stream
	err  error // why src gives no more, io.EOF at its end

	src   io.Reader
	pool  *capture.BlockPool
	large *capture.BlockPool // for records beyond a block; made when first needed
	width int                // block size of large

	pieces  *pieces  // read ahead instead of src, nil if not
	stored  *counter // of what pieces were taken, if there are
	pauses  bool     // between pieces
	pausing bool     // before the next piece
	paused  bool     // has just paused
	sealed  bool     // must not pause
}

// has makes sure that n bytes stand at pos, and reports whether they do. They
// may have moved to another block: what was lent from the old one is no longer
// valid unless somebody holds it.
func (b *blockReader) has(n int) bool { return len(b.buf)-b.pos >= n || b.fill(n) }

func (b *blockReader) offset() int64 { return b.base + int64(b.pos) }

// fill reads until n bytes stand at pos, but waits for no more than that: a
// pipe's packets are seen as they come.
func (b *blockReader) fill(n int) bool {
	if b.err != nil {
		return false
	}
	if b.pieces != nil {
		return b.goOn(n)
	}
	if b.blk == nil || b.pos+n > len(b.blk.Buf) {
		b.turn(n)
	}
	for idle := 0; len(b.buf)-b.pos < n; {
		have := len(b.buf)
		got, err := b.src.Read(b.blk.Buf[have:])
		b.buf = b.blk.Buf[:have+got]
		if err != nil {
			b.err = err
			return len(b.buf)-b.pos >= n
		}
		if got > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			b.err = io.ErrNoProgress
			return false
		}
	}
	return true
}

// turn goes on to a block with room for n bytes at its front.
func (b *blockReader) turn(n int) {
	old, rest := b.blk, b.buf[b.pos:]
	if old != nil && len(rest) == 0 {
		old.Release() // first, so that it can be the next one, still warm
		old = nil
	}
	blk := b.pool.Get()
	if len(blk.Buf) < n {
		blk.Release()
		blk = b.largeBlock(n)
	}
	copy(blk.Buf, rest)
	if old != nil {
		old.Release()
	}
	b.base += int64(b.pos)
	b.blk, b.buf, b.pos = blk, blk.Buf[:len(rest)], 0
}

// largeBlock returns a block of at least n bytes, for a record beyond others.
func (b *blockReader) largeBlock(n int) *capture.Block {
	if b.width < n {
		b.width = 1 << bits.Len(uint(n-1))
		b.large = capture.NewBlockPool(b.width, 2)
	}
	return b.large.Get()
}

// skip passes over n bytes without holding them together.
func (b *blockReader) skip(n int64) bool {
	for n > 0 {
		if !b.has(1) {
			return false
		}
		step := min(n, int64(len(b.buf)-b.pos))
		b.pos += int(step)
		n -= step
	}
	return true
}

// stop makes every later has fail. What was lent stays valid.
func (b *blockReader) stop(err error) {
	b.err = err
	b.buf = b.buf[:b.pos]
}

func (b *blockReader) close() {
	b.stop(io.ErrClosedPipe)
	if b.pieces != nil {
		b.pieces.close()
	}
	if b.blk != nil {
		b.blk.Release()
		b.blk, b.buf, b.base, b.pos = nil, nil, b.offset(), 0
	}
}
