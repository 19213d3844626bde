// Package pcapfile reads capture files: pcap and pcapng in all their variants,
// plain or compressed with gzip, zstd or lz4, one by one or a rotated set as
// one capture.
//
// A file's format is told from its content, never from its name. Packets are
// slices of recycled blocks: nothing is copied or allocated per packet, and
// memory does not grow with the file.
//
// A capture file is hostile input. A record longer than [maxPacket] allows is
// damage, and so is whatever contradicts the format; the error then says where.
// A file that ends inside a record is read up to there. A file that grows while
// it is read ends where its end was met.
//
// A compressed file is never held as a whole, however much it expands to: its
// packets are read as it is unpacked. A bomb is read up to 16 MiB and 1,100
// times what was read of the file, then given up with an error that says so:
// the time a file takes is in proportion to its size. gzip and lz4 cannot
// expand further than that (1032 and 255 times) unless a file is compressed
// twice, which is refused. A zstd frame may ask for a window of 128 MiB.
package pcapfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/connlint/connlint/capture"
)

// Options says how to read. The zero value will do.
type Options struct {
	// Stdin is what "-" reads; os.Stdin if nil.
	Stdin io.Reader
	// Pool is where blocks are taken from, by the goroutine that calls Next.
	// Files read one after another can share one. If nil, each source has
	// its own, of 256 KiB blocks, or one block as large as a smaller file.
	Pool *capture.BlockPool
}

// Open opens the capture file at path, or standard input for "-". An error is
// a [capture.ReadError]: what is not a capture is told apart here, by content.
//
// The source's Next and Info must not be called at once from two goroutines.
// It returns a [capture.ReadError] where the file cannot be read further, the
// same again when called again.
func Open(path string, opts Options) (capture.Source, error) {
	if path == "-" {
		in := opts.Stdin
		if in == nil {
			in = os.Stdin
		}
		size := int64(-1)
		if f, ok := in.(*os.File); ok {
			size, _ = regularSize(f)
		}
		return NewReader(in, path, size, opts)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	size, err := regularSize(f)
	if err != nil {
		f.Close()
		return nil, openError(path, err)
	}
	src, err := newReader(f, path, size, opts, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return src, nil
}

// NewReader returns a source of the capture that r holds, plain or compressed.
// The name is for messages; size is that of the file as stored, -1 if unknown.
// Closing the source does not close r.
func NewReader(r io.Reader, name string, size int64, opts Options) (capture.Source, error) {
	return newReader(r, name, size, opts, nil)
}

var errDirectory = errors.New("is a directory")

// regularSize returns the size of a regular file and -1 for a pipe or device.
func regularSize(f *os.File) (int64, error) {
	st, err := f.Stat()
	switch {
	case err != nil:
		return -1, err
	case st.IsDir():
		return -1, errDirectory
	case !st.Mode().IsRegular():
		return -1, nil
	}
	return st.Size(), nil
}

func openError(path string, err error) error {
	return &capture.ReadError{File: path, Offset: -1, Reason: "cannot open", Err: withoutPath(err)}
}

// withoutPath returns what err says of a path that stands before it already.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// headSize is how much of a stream is looked at to tell what it is that is no
// capture: a tar archive's magic is the farthest, at byte 257. A capture shows
// in headMin bytes, so that no more is waited for: that is a pcap header.
const (
	headSize = 512
	headMin  = 24
)

// readHead reads the first bytes of r, at least headMin of them, and headSize
// where a skippable frame comes first, unless r ends or fails before; the end
// is no error.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, headSize)
	n := 0
	for idle := 0; n < headMin || n < headSize && skippable(head[:n]); {
		got, err := r.Read(head[n:])
		n += got
		if err == io.EOF {
			break
		} else if err != nil {
			return head[:n], err
		}
		if got > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return head[:n], io.ErrNoProgress
		}
	}
	return head[:n], nil
}

func newReader(r io.Reader, name string, size int64, opts Options, closer io.Closer) (capture.Source, error) {
	stored := &counter{r: r}
	f := file{stored: stored, closer: closer, info: capture.Info{Name: name, Size: size}}
	head, err := readHead(stored)
	if err != nil {
		return nil, f.broken(0, err)
	}
	f.in.src = prefix(head, stored)
	if c := compressionOf(head); c != plain {
		f.compression = c
		f.in.src, f.release, err = decompress(c, f.in.src)
		if err != nil {
			return nil, f.broken(0, err)
		}
		f.in.src = &expanding{r: f.in.src, stored: stored}
		head, err = readHead(f.in.src)
		if err != nil && len(head) < 4 {
			f.free()
			return nil, f.broken(0, err)
		}
		f.in.src = prefix(head, f.in.src)
		if err != nil {
			f.in.src = prefix(head, failing{err})
		}
		size = -1 // unknown, uncompressed
	}
	f.in.pool = opts.Pool
	if f.in.pool == nil {
		f.in.pool = ownPool(size)
	}
	src, err := f.detect(head)
	if err != nil {
		f.in.close()
		f.free()
		return nil, err
	}
	// In pieces even if nobody reads ahead: how much was read of a damaged file
	// does not depend on that.
	if at, ok := closer.(io.ReaderAt); ok && opts.Pool == nil && f.compression == plain && size >= piecesAhead*blockSize {
		f.inPieces(at, blockSize, pieceMargin)
	}
	return src, nil
}

func ownPool(size int64) *capture.BlockPool {
	if size >= 0 && size < blockSize {
		return capture.NewBlockPool(int(size)+headSize, 2)
	}
	return capture.NewBlockPool(blockSize, poolKeep)
}

// prefix puts the bytes already read back before the rest.
func prefix(head []byte, r io.Reader) io.Reader {
	return &prefixed{head: head, r: r}
}

type prefixed struct {
	head []byte
	r    io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	n := copy(b, p.head)
	p.head = p.head[n:]
	if n > 0 {
		return n, nil
	}
	return p.r.Read(b)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// detect returns the reader for what head begins.
func (f *file) detect(head []byte) (capture.Source, error) {
	if len(head) == 0 {
		if f.compression != plain {
			return nil, f.fail(-1, "nothing inside")
		}
		return nil, f.fail(-1, "the file is empty")
	}
	if len(head) < 4 {
		return nil, f.fail(-1, "too short to be a capture")
	}
	if m := pcapMagic(head); m.variant != "" {
		return newPcap(f, m)
	}
	if isPcapng(head) {
		return newPcapng(f)
	}
	// What to say must not depend on how much came in the first piece.
	f.in.has(headSize)
	head = f.in.buf[:min(len(f.in.buf), headSize)]
	return nil, f.fail(-1, unsupported(head, f.compression))
}

// file is what the readers of both formats share.
type file struct {
	in    blockReader
	info  capture.Info // all but Bytes and Dropped
	frame uint64       // of the packet lent last, or of what Wireshark counts as one behind it
	err   error        // why Next fails, once it does

	stored      *counter
	compression compression
	release     func()    // frees the decompressor, may be nil
	closer      io.Closer // may be nil
	closed      bool
}

// Info describes what has been read so far.
func (f *file) Info() capture.Info {
	i := f.info
	i.LinkTypes = slices.Clone(i.LinkTypes)
	i.Bytes = f.stored.n
	return i
}

// Close closes the file. Packets that nobody holds are no longer valid.
func (f *file) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	f.err = os.ErrClosed
	f.in.close()
	f.free()
	if f.closer != nil {
		return f.closer.Close()
	}
	return nil
}

func (f *file) free() {
	if f.release != nil {
		f.release()
		f.release = nil
	}
}

// end returns why no whole record stands at the place at hand: io.EOF if the
// file ends right there.
func (f *file) end() error {
	if f.err != nil {
		return f.err
	}
	if f.in.paused {
		f.in.paused = false
		return capture.ErrPause
	}
	if len(f.in.buf) == f.in.pos && f.in.err == io.EOF {
		f.err = io.EOF
		return io.EOF
	}
	return f.short(f.in.offset())
}

// short returns why the record at offset start cannot be read to its end.
func (f *file) short(start int64) error {
	if f.in.err == io.EOF {
		reason := "the file ends inside a record"
		if f.frame == 0 && start == 0 {
			reason = "the file ends inside its header"
		}
		return f.stop(&capture.ReadError{Offset: start, Reason: reason, Cut: true})
	}
	return f.broken(start, f.in.err)
}

// broken returns the error for a stream that gave err instead of the record at
// offset start.
func (f *file) broken(start int64, err error) error {
	e := &capture.ReadError{Offset: start, Err: err}
	switch {
	case f.stored.err != nil:
		e.Reason, e.Err = "cannot read", withoutPath(f.stored.err)
	case f.compression == plain:
		e.Reason, e.Err = "cannot read", withoutPath(err)
	case errors.Is(err, errExpands):
		e.Reason, e.Err = fmt.Sprintf("the %v data expand to more than %d times their size: the rest is left out", f.compression, maxExpansion), nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Reason, e.Err, e.Cut = "the "+f.compression.String()+" data end early", nil, true
	default:
		e.Reason = "the " + f.compression.String() + " data are damaged"
	}
	return f.stop(e)
}

// fail returns the error for a fault at offset start.
func (f *file) fail(start int64, reason string) error {
	return f.stop(&capture.ReadError{Offset: start, Reason: reason})
}

func (f *file) stop(e *capture.ReadError) error {
	e.File, e.Frame = f.info.Name, f.frame
	f.err = e
	f.in.stop(io.EOF)
	return e
}

// addLink notes a link type and the snapshot length that goes with it.
func (f *file) addLink(l capture.LinkType, snap uint32) {
	first := len(f.info.LinkTypes) == 0
	if len(f.info.LinkTypes) < maxLinks && !slices.Contains(f.info.LinkTypes, l) {
		f.info.LinkTypes = append(f.info.LinkTypes, l)
	}
	switch {
	case snap == 0 || snap > hugePacket: // unlimited, in effect
		f.info.SnapLen = 0
	case first:
		f.info.SnapLen = int(snap)
	case f.info.SnapLen != 0:
		f.info.SnapLen = max(f.info.SnapLen, int(snap))
	}
}

// maxLinks is how many link types a source lists. Real captures have a few.
const maxLinks = 64

const (
	mostPacket = 256 << 10
	hugePacket = 16 << 20
)

// maxPacket returns the captured length beyond which a record is damaged. It is
// libpcap's and Wireshark's 256 KiB: no capturing program writes more, and a
// stray length is found at once instead of after megabytes of nonsense. The
// link types for which both allow more, USB and D-Bus, get 16 MiB.
func maxPacket(l capture.LinkType) uint32 {
	switch l {
	case 186, 189, 220, 249, 266, 231, 279: // USB, in five ways; D-Bus; EBHSCR
		return hugePacket
	}
	return mostPacket
}

// counter counts the bytes read of a file as stored, and keeps apart what went
// wrong there from what a decompressor makes of it.
type counter struct {
	r   io.Reader
	n   uint64
	err error // other than io.EOF
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += uint64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
