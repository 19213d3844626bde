package cli

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/cmd/connlint/internal/outfile"
)

// saver writes packets to pcapng files: one, or a set that begins a new file
// by size or time.
type saver struct {
	path  string
	size  int64         // of a file at which the next begins, 0 for no limit
	every time.Duration // likewise, in capture time
	ring  int           // files kept, 0 for all

	f       *os.File
	file    string // its path
	w       *bufio.Writer
	link    capture.LinkType
	name    string // of the interface
	snap    int
	started int64 // time of the file's first packet
	last    int64 // and of the latest
	written int64
	packets uint64
	dropped uint64 // reported in the files before
	serial  int
	kept    []string
}

// Blocks and options of pcapng (draft-ietf-opsawg-pcapng).
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6
	byteOrderMagic  = 0x1a2b3c4d

	optionEnd         = 0
	optionApplication = 4 // of a section
	optionName        = 2 // of an interface
	optionResolution  = 9
	optionReceived    = 4 // of statistics
	optionDropped     = 5
)

func (s *saver) rotates() bool { return s.size > 0 || s.every > 0 }

// next opens the next file.
func (s *saver) next(l capture.LinkType) error {
	path := s.path
	if s.rotates() {
		s.serial++
		ext := filepath.Ext(path)
		path = fmt.Sprintf("%s-%05d%s", strings.TrimSuffix(path, ext), s.serial, ext)
	}
	// A capture may hold passwords: it is for its owner.
	f, err := outfile.Stream(path, 0o600)
	if err != nil {
		return s.failed(path, err)
	}
	s.f, s.file, s.link, s.started, s.written, s.packets = f, path, l, 0, 0, 0
	if s.w == nil {
		s.w = bufio.NewWriterSize(f, 1<<20)
	} else {
		s.w.Reset(f)
	}
	s.kept = append(s.kept, path)
	if s.ring > 0 && len(s.kept) > s.ring {
		if err := os.Remove(s.kept[0]); err != nil {
			return s.failed(s.kept[0], err)
		}
		s.kept = s.kept[1:]
	}
	le := binary.LittleEndian
	section := le.AppendUint32(nil, byteOrderMagic)
	section = le.AppendUint16(section, 1)
	section = le.AppendUint16(section, 0)
	section = le.AppendUint64(section, ^uint64(0)) // length unknown
	section = option(section, optionApplication, []byte("connlint"))
	section = option(section, optionEnd, nil)
	s.block(blockSection, section, nil)
	iface := le.AppendUint16(nil, uint16(l))
	iface = le.AppendUint16(iface, 0)
	iface = le.AppendUint32(iface, uint32(s.snap))
	iface = option(iface, optionName, []byte(s.name))
	iface = option(iface, optionResolution, []byte{9}) // nanoseconds
	iface = option(iface, optionEnd, nil)
	s.block(blockInterface, iface, nil)
	return nil
}

func (s *saver) failed(path string, err error) error {
	return fmt.Errorf("--write: cannot write %q: %w", path, sayWhy(err))
}

// option appends an option, padded.
func option(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

// block writes a block made of two parts. Errors show when it is flushed.
func (s *saver) block(kind uint32, head, data []byte) {
	pad := -len(data) & 3
	total := uint32(12 + len(head) + len(data) + pad)
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:], kind)
	binary.LittleEndian.PutUint32(b[4:], total)
	_, _ = s.w.Write(b[:])
	_, _ = s.w.Write(head)
	_, _ = s.w.Write(data)
	_, _ = s.w.Write(make([]byte, pad))
	_, _ = s.w.Write(b[4:])
	s.written += int64(total)
}

// packet writes a packet. Dropped is how many the kernel has dropped so far.
func (s *saver) packet(p *capture.Packet, dropped func() uint64) error {
	full := s.f != nil && s.packets > 0 && (s.size > 0 && s.written >= s.size || s.every > 0 && p.Time-s.started >= int64(s.every))
	if full {
		if err := s.end(dropped()); err != nil {
			return err
		}
	}
	if s.f == nil {
		if err := s.next(p.Link); err != nil {
			return err
		}
	}
	if s.packets == 0 {
		s.started = p.Time
	}
	s.packets++
	s.last = p.Time
	var h [20]byte
	le := binary.LittleEndian
	le.PutUint32(h[4:], uint32(uint64(p.Time)>>32))
	le.PutUint32(h[8:], uint32(p.Time))
	le.PutUint32(h[12:], uint32(len(p.Data)))
	le.PutUint32(h[16:], uint32(p.OrigLen))
	s.block(blockPacket, h[:], p.Data)
	return nil
}

// flush writes out what is buffered.
func (s *saver) flush() error {
	if s.f == nil {
		return nil
	}
	if err := s.w.Flush(); err != nil {
		return s.failed(s.file, err)
	}
	return nil
}

// end closes the file at hand, with what was dropped since the one before it.
func (s *saver) end(dropped uint64) error {
	if s.f == nil {
		return nil
	}
	le := binary.LittleEndian
	st := le.AppendUint32(nil, 0)
	st = le.AppendUint32(st, uint32(uint64(s.last)>>32))
	st = le.AppendUint32(st, uint32(s.last))
	st = option(st, optionReceived, le.AppendUint64(nil, s.packets))
	st = option(st, optionDropped, le.AppendUint64(nil, dropped-s.dropped))
	st = option(st, optionEnd, nil)
	s.block(blockStatistics, st, nil)
	s.dropped = dropped
	err := s.w.Flush()
	if err = errors.Join(err, s.f.Close()); err != nil {
		err = s.failed(s.file, err)
	}
	s.f = nil
	return err
}
