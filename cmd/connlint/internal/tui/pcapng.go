package tui

import (
	"bufio"
	"encoding/binary"

	"github.com/connlint/connlint/capture"
)

// packetFile writes packets as pcapng (draft-ietf-opsawg-pcapng): a section,
// an interface for each link type, enhanced packet blocks with times in
// nanoseconds. Errors show when w is flushed.
type packetFile struct {
	w     *bufio.Writer
	links map[capture.LinkType]uint32 // interfaces
	buf   []byte
}

func (f *packetFile) packet(p *capture.Packet) {
	le := binary.LittleEndian
	if len(f.links) == 0 {
		b := le.AppendUint32(f.buf[:0], 0x1a2b3c4d)
		b = le.AppendUint16(b, 1)
		b = le.AppendUint16(b, 0)
		f.block(0x0a0d0d0a, le.AppendUint64(b, ^uint64(0))) // length unknown
	}
	id, ok := f.links[p.Link]
	if !ok {
		id = uint32(len(f.links))
		f.links[p.Link] = id
		b := le.AppendUint16(f.buf[:0], uint16(p.Link))
		b = le.AppendUint16(b, 0)
		b = le.AppendUint32(b, 0)
		b = append(b, 9, 0, 1, 0, 9, 0, 0, 0) // if_tsresol: 10^-9 s
		f.block(1, append(b, 0, 0, 0, 0))     // opt_endofopt
	}
	b := le.AppendUint32(f.buf[:0], id)
	b = le.AppendUint32(b, uint32(uint64(p.Time)>>32))
	b = le.AppendUint32(b, uint32(p.Time))
	b = le.AppendUint32(b, uint32(len(p.Data)))
	b = le.AppendUint32(b, uint32(p.OrigLen))
	f.block(6, append(b, p.Data...))
}

func (f *packetFile) block(kind uint32, body []byte) {
	body = append(body, make([]byte, -len(body)&3)...)
	f.buf = body
	le := binary.LittleEndian
	total := uint32(len(body) + 12)
	var ends [8]byte
	le.PutUint32(ends[:], kind)
	le.PutUint32(ends[4:], total)
	_, _ = f.w.Write(ends[:])
	_, _ = f.w.Write(body)
	_, _ = f.w.Write(ends[4:])
}
