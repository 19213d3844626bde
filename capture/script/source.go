package script

import (
	"io"

	"github.com/connlint/connlint/capture"
)

// Ethernet is the link type of the packets.
const Ethernet capture.LinkType = 1

// Packets returns how many packets were captured.
func (s *Script) Packets() int { return len(s.packets) }

// Source returns a source of the script's packets. With blockSize 0 they stay
// valid for good and have no block. Otherwise they are lent from recycled
// blocks of that size, filled with 0xDB before each use: whoever keeps a slice
// without a hold on its block reads garbage.
func (s *Script) Source(blockSize int) capture.Source {
	src := &source{script: s}
	if blockSize > 0 {
		src.pool, src.size = capture.NewBlockPool(blockSize, 4), blockSize
	}
	return src
}

type source struct {
	script *Script
	next   int
	pool   *capture.BlockPool
	size   int // of its blocks
	block  *capture.Block
	used   int
}

// Next lends the next packet.
func (s *source) Next(p *capture.Packet) error {
	if s.next == len(s.script.packets) {
		if s.script.truncated {
			return &capture.ReadError{File: s.script.Name, Offset: -1, Frame: uint64(s.next),
				Reason: "the file ends inside a packet record", Cut: true, Err: io.ErrUnexpectedEOF}
		}
		return io.EOF
	}
	pk := &s.script.packets[s.next]
	s.next++
	*p = capture.Packet{Data: pk.data, OrigLen: pk.origLen, Time: pk.stamp, Frame: uint64(s.next), Link: Ethernet}
	if s.pool != nil {
		s.lend(p)
	}
	return nil
}

// lend copies the packet into the current block, or a new one.
func (s *source) lend(p *capture.Packet) {
	if s.block == nil || s.used+len(p.Data) > len(s.block.Buf) {
		s.drop()
		if len(p.Data) > s.size {
			s.block = capture.NewBlockPool(len(p.Data), 0).Get()
		} else {
			s.block = s.pool.Get()
		}
		for i := range s.block.Buf {
			s.block.Buf[i] = 0xDB
		}
		s.used = 0
	}
	buf := s.block.Buf[s.used : s.used+len(p.Data) : s.used+len(p.Data)]
	copy(buf, p.Data)
	s.used += len(buf)
	p.Data, p.Block = buf, s.block
}

func (s *source) drop() {
	if s.block != nil {
		s.block.Release()
		s.block = nil
	}
}

// Info describes what has been lent so far.
func (s *source) Info() capture.Info {
	info := capture.Info{Name: s.script.Name, Format: "script", Size: -1, Dropped: s.script.dropped, SnapLen: s.script.snapLen}
	if s.next > 0 {
		info.LinkTypes = []capture.LinkType{Ethernet}
	}
	for i := range s.script.packets[:s.next] {
		info.Bytes += uint64(len(s.script.packets[i].data))
	}
	return info
}

// Close gives the last block back.
func (s *source) Close() error {
	s.drop()
	return nil
}
