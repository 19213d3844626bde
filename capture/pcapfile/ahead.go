package pcapfile

import (
	"io"
	"sync"

	"github.com/connlint/connlint/capture"
)

const (
	// piecesAhead is how many pieces are read before they are gone on to.
	piecesAhead = 4
	// pieceMargin is room for the record that straddles the end of the piece
	// before, as long as those of most captures can be.
	pieceMargin = 64 << 10
)

// pieces reads a file ahead. A piece is what a block has room for behind its
// margin; the first is cut so that the others begin where pages do.
type pieces struct {
	file   io.ReaderAt
	pool   *capture.BlockPool
	start  int64 // offset of the first
	first  int   // its length
	size   int
	margin int

	mu   sync.Mutex
	came sync.Cond // a piece was read
	next uint64    // the piece to go on to
	at   [piecesAhead]piece
}

type piece struct {
	claimed, read bool
	blk           *capture.Block
	got           []byte // of blk
	err           error
}

func newPieces(file io.ReaderAt, start int64, size, margin int) *pieces {
	p := &pieces{file: file, start: start, first: size - int(start%int64(size)), size: size, margin: margin}
	p.pool = capture.NewBlockPool(size+margin, poolKeep)
	p.came.L = &p.mu
	return p
}

// readAhead reads piece n unless that was done, or n is out of reach.
func (p *pieces) readAhead(n uint64) {
	p.mu.Lock()
	at := &p.at[n%piecesAhead]
	if n < p.next || n-p.next >= piecesAhead || at.claimed {
		p.mu.Unlock()
		return
	}
	at.claimed = true
	p.mu.Unlock()
	blk := p.pool.Get()
	got, off := blk.Buf[p.margin:], p.start+int64(p.first)+int64(n-1)*int64(p.size)
	if n == 0 {
		got, off = got[:p.first], p.start
	}
	read, err := p.file.ReadAt(got, off)
	p.mu.Lock()
	at.blk, at.got, at.err, at.read = blk, got[:read], err, true
	p.mu.Unlock()
	p.came.Broadcast()
}

// take returns the next piece, and reads it if nobody did.
func (p *pieces) take() piece {
	p.readAhead(p.next) // which nobody else moves
	p.mu.Lock()
	defer p.mu.Unlock()
	at := &p.at[p.next%piecesAhead]
	for !at.read {
		p.came.Wait()
	}
	taken := *at
	*at = piece{}
	p.next++
	return taken
}

func (p *pieces) close() {
	for i := range p.at {
		if p.at[i].read {
			p.at[i].blk.Release()
			p.at[i] = piece{}
		}
	}
}

// Pieces implements [capture.Ahead].
func (f *file) Pieces() bool {
	f.in.pauses = f.in.pieces != nil
	return f.in.pauses
}

// inPieces goes on with pieces of size bytes behind what was read so far.
func (f *file) inPieces(at io.ReaderAt, size, margin int) {
	f.in.pieces, f.in.stored = newPieces(at, int64(f.stored.n), size, margin), f.stored
}

// ReadAhead implements [capture.Ahead].
func (f *file) ReadAhead(n uint64) { f.in.pieces.readAhead(n) }

// Piece implements [capture.Ahead].
func (f *file) Piece() uint64 { return f.in.pieces.next }

// goOn is fill where pieces are read ahead.
func (b *blockReader) goOn(n int) bool {
	if b.pauses && b.pausing && !b.sealed {
		b.pausing, b.paused = false, true
		return false
	}
	b.pausing = true
	old, rest := b.blk, b.buf[b.pos:]
	b.base += int64(b.pos)
	p := b.piece()
	if margin := b.pieces.margin; len(rest) <= margin && (len(rest)+len(p.got) >= n || p.err != nil) {
		b.blk, b.pos = p.blk, margin-len(rest)
		b.buf = p.blk.Buf[:margin+len(p.got)]
		copy(b.buf[b.pos:], rest)
		b.base -= int64(b.pos)
	} else {
		b.gather(n, rest, p)
	}
	if old != nil {
		old.Release()
	}
	return len(b.buf)-b.pos >= n
}

// gather puts rest, p and the pieces behind it into a block of their own until
// there are n bytes.
func (b *blockReader) gather(n int, rest []byte, p piece) {
	b.blk, b.pos = b.largeBlock(n+b.pieces.size), 0
	b.buf = b.blk.Buf[:copy(b.blk.Buf, rest)]
	for {
		b.buf = append(b.buf, p.got...)
		p.blk.Release()
		if len(b.buf) >= n || b.err != nil {
			return
		}
		p = b.piece()
	}
}

// piece takes the next piece.
func (b *blockReader) piece() piece {
	p := b.pieces.take()
	b.stored.n += uint64(len(p.got))
	if b.err = p.err; p.err != io.EOF {
		b.stored.err = p.err
	}
	return p
}
