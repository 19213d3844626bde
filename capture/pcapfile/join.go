package pcapfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/connlint/connlint/capture"
)

const (
	// joinBlockSize is smaller than a lone file's blocks: many may be open.
	joinBlockSize = 256 << 10
	// maxOpen bounds the files open at once, below common limits.
	maxOpen = 512
)

// Join returns a source that reads the captures at paths as one. The files are
// put in the order of their first packets' times; where they overlap they are
// merged by time, packets of one time in the order of their files. Within a
// file packets keep their order, even where its clock went back. Frames are
// numbered through.
//
// A file that cannot be read, or only in part, does not keep the others from
// being read. Its error is kept: after the last packet Next returns all of them
// joined, or io.EOF if there were none. Each is a [capture.ReadError] that
// names the file and counts its own packets.
//
// Each file is opened twice: here for its first packet's time, and again once
// that time is reached, so that few are open at once; beyond 512 that overlap
// in time, a file is left out with an error. Standard input, pipes and devices
// are opened once and stay open.
func Join(paths []string, opts Options) capture.Source {
	if opts.Pool == nil {
		opts.Pool = capture.NewBlockPool(joinBlockSize, 8)
	}
	j := &joined{opts: opts}
	switch len(paths) {
	case 0:
	case 1:
		j.total.Name = paths[0]
	default:
		j.total.Name = fmt.Sprintf("%s and %d more", paths[0], len(paths)-1)
	}
	for i, path := range paths {
		j.look(path, i)
	}
	slices.SortFunc(j.waiting, func(a, b *part) int { return a.compare(b) })
	return j
}

// part is one file of a joined capture.
type part struct {
	path  string
	order int            // among the paths given
	src   capture.Source // nil while waiting to be opened again
	next  capture.Packet // the one to lend next
}

// compare orders parts by the packets they would lend next.
func (a *part) compare(b *part) int {
	if c := cmp.Compare(a.next.Time, b.next.Time); c != 0 {
		return c
	}
	return cmp.Compare(a.order, b.order)
}

type joined struct {
	opts    Options
	waiting []*part // not yet reached, by first time
	open    []*part // a heap by compare
	lent    bool    // the packet of open[0] was lent: it is to be replaced
	frame   uint64
	link    capture.LinkType // of the packet lent last
	errs    []error
	end     error
	total   capture.Info // Size and LinkTypes of all files, the rest of those closed
	formats []string     // of those closed
	closed  int
}

// look reads the first packet of the file at path.
func (j *joined) look(path string, order int) {
	src, err := Open(path, j.opts)
	if err != nil {
		j.errs = append(j.errs, err)
		return
	}
	if size := src.Info().Size; size < 0 || j.total.Size < 0 {
		j.total.Size = -1
	} else {
		j.total.Size += size
	}
	p := &part{path: path, order: order, src: src}
	if err := src.Next(&p.next); err != nil {
		j.finish(p, err)
		return
	}
	if path != "-" && src.Info().Size >= 0 { // a regular file
		src.Close()
		p.src, p.next = nil, capture.Packet{Time: p.next.Time}
	}
	j.waiting = append(j.waiting, p)
}

// finish takes leave of a part whose source returned err.
func (j *joined) finish(p *part, err error) {
	if err != io.EOF {
		j.errs = append(j.errs, err)
	}
	j.total, j.formats = addInfo(j.total, j.formats, j.closed, p.src.Info())
	j.closed++
	p.src.Close()
	p.src = nil
}

// Next implements [capture.Source].
func (j *joined) Next(p *capture.Packet) error {
	if j.end != nil {
		return j.end
	}
	if j.lent {
		j.lent = false
		j.advance()
	}
	for len(j.waiting) > 0 && (len(j.open) == 0 || j.waiting[0].compare(j.open[0]) <= 0) {
		w := j.waiting[0]
		j.waiting = j.waiting[1:]
		j.start(w)
	}
	if len(j.open) == 0 {
		j.end = io.EOF
		if len(j.errs) > 0 {
			j.end = errors.Join(j.errs...)
		}
		return j.end
	}
	j.frame++
	j.lent = true
	*p = j.open[0].next
	p.Frame = j.frame
	if p.Link != j.link || j.frame == 1 {
		j.link = p.Link
		if l := j.total.LinkTypes; len(l) < maxLinks && !slices.Contains(l, p.Link) {
			j.total.LinkTypes = append(l, p.Link)
		}
	}
	return nil
}

// advance replaces the packet that was lent.
func (j *joined) advance() {
	top := j.open[0]
	if err := top.src.Next(&top.next); err != nil {
		j.finish(top, err)
		last := len(j.open) - 1
		j.open[0], j.open[last] = j.open[last], nil
		j.open = j.open[:last]
	}
	j.down()
}

// start opens a part whose time has come.
func (j *joined) start(p *part) {
	if p.src == nil {
		if len(j.open) >= maxOpen {
			j.errs = append(j.errs, &capture.ReadError{File: p.path, Offset: -1, Reason: "left out: too many files overlap in time"})
			return
		}
		src, err := Open(p.path, j.opts)
		if err != nil {
			j.errs = append(j.errs, err)
			return
		}
		p.src = src
		if err := src.Next(&p.next); err != nil {
			j.finish(p, err)
			return
		}
	}
	j.open = append(j.open, p)
	for i := len(j.open) - 1; i > 0; {
		up := (i - 1) / 2
		if j.open[up].compare(j.open[i]) <= 0 {
			break
		}
		j.open[up], j.open[i] = j.open[i], j.open[up]
		i = up
	}
}

// down restores the heap after its top changed.
func (j *joined) down() {
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(j.open); c++ {
			if j.open[c].compare(j.open[least]) < 0 {
				least = c
			}
		}
		if least == i {
			return
		}
		j.open[i], j.open[least] = j.open[least], j.open[i]
		i = least
	}
}

// addInfo puts what one file's info counts to that of n others.
func addInfo(to capture.Info, formats []string, n int, i capture.Info) (capture.Info, []string) {
	if n == 0 {
		to.SnapLen = i.SnapLen
	} else if to.SnapLen != 0 && i.SnapLen != 0 {
		to.SnapLen = max(to.SnapLen, i.SnapLen)
	} else {
		to.SnapLen = 0
	}
	to.Bytes += i.Bytes
	to.Dropped += i.Dropped
	if !slices.Contains(formats, i.Format) {
		formats = append(slices.Clip(formats), i.Format)
	}
	return to, formats
}

// Info sums up the files read so far; Size is that of all. Format lists those
// of the files, LinkTypes those of the packets.
func (j *joined) Info() capture.Info {
	to, formats, n := j.total, j.formats, j.closed
	for _, parts := range [...][]*part{j.open, j.waiting} {
		for _, p := range parts {
			if p.src != nil {
				to, formats = addInfo(to, formats, n, p.src.Info())
				n++
			}
		}
	}
	to.LinkTypes = slices.Clone(to.LinkTypes)
	to.Format = strings.Join(slices.Sorted(slices.Values(formats)), ",")
	return to
}

// Close closes the files still open. Packets that nobody holds are no longer
// valid.
func (j *joined) Close() error {
	var errs []error
	for _, parts := range [...][]*part{j.open, j.waiting} {
		for _, p := range parts {
			if p.src != nil {
				errs = append(errs, p.src.Close())
			}
		}
	}
	j.open, j.waiting, j.end = nil, nil, os.ErrClosed
	return errors.Join(errs...)
}
