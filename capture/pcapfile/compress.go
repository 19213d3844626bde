package pcapfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compression is how a file is compressed.
type compression uint8

const (
	plain compression = iota
	gzipped
	zstandard
	lz4Frame
)

func (c compression) String() string {
	return [...]string{"plain", "gzip", "zstd", "lz4"}[c]
}

// suffix is what Info.Format ends in.
func (c compression) suffix() string {
	if c == plain {
		return ""
	}
	return "+" + c.String()
}

// maxWindow bounds the memory a zstd frame may ask for. It is what the zstd
// program accepts without being told to.
const maxWindow = 128 << 20

// How much a compressed file may expand to: a size that is always allowed, and
// then so many times what was read of it. gzip and lz4 cannot reach that (1032
// and 255 times), zstd can, by far; captures do not.
const (
	freeExpansion = 16 << 20
	maxExpansion  = 1100
)

var errExpands = errors.New("expands without end")

// expanding passes on what r decompresses of the file read by stored, as long as
// it is in proportion.
type expanding struct {
	r      io.Reader
	stored *counter
	n      uint64
}

func (e *expanding) Read(b []byte) (int, error) {
	if e.n > freeExpansion && e.n-freeExpansion > maxExpansion*e.stored.n {
		return 0, errExpands
	}
	n, err := e.r.Read(b)
	e.n += uint64(n)
	return n, err
}

// compressionOf tells a compressed stream by its first bytes. Skippable frames,
// which zstd and lz4 share (RFC 8878 §3.1.2), are looked behind.
func compressionOf(head []byte) compression {
	le := binary.LittleEndian
	for len(head) >= 4 {
		switch m := le.Uint32(head); {
		case head[0] == 0x1f && head[1] == 0x8b:
			return gzipped
		case m == 0xfd2fb528:
			return zstandard
		case m == 0x184d2204 || m == 0x184c2102:
			return lz4Frame
		case skippable(head) && len(head) >= 8:
			n := uint64(le.Uint32(head[4:])) + 8
			if n+4 > uint64(len(head)) {
				return zstandard // pzstd and seekable zstd begin so; lz4 files do not
			}
			head = head[n:]
		default:
			return plain
		}
	}
	return plain
}

// skippable reports whether b begins as a skippable frame.
func skippable(b []byte) bool {
	return len(b) >= 4 && binary.LittleEndian.Uint32(b)&^0xf == 0x184d2a50
}

// decompress returns a reader of what r holds, and what to call once it is no
// longer needed. It starts no goroutine.
func decompress(c compression, r io.Reader) (io.Reader, func(), error) {
	switch c {
	case gzipped:
		z, err := gzip.NewReader(bufio.NewReaderSize(r, 64<<10))
		if err != nil {
			return nil, nil, noEOF(err)
		}
		return z, nil, nil
	case zstandard:
		z, err := zstd.NewReader(bufio.NewReaderSize(r, 64<<10), zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(1<<63))
		if err != nil {
			return nil, nil, noEOF(err)
		}
		return z, z.Close, nil
	case lz4Frame:
		z := lz4.NewReader(bufio.NewReaderSize(r, 64<<10))
		if err := z.Apply(lz4.ConcurrencyOption(1)); err != nil {
			return nil, nil, err
		}
		return z, func() { z.Reset(nil) }, nil
	}
	return nil, nil, fmt.Errorf("unknown compression %d", c)
}

// noEOF turns an end inside a header into what it is.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
