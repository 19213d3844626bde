package pcapfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/connlint/connlint/capture"
)

// magic is what the first four bytes of a pcap file say.
type magic struct {
	variant string // as in Info.Format; "" if it is no pcap file
	swap    bool   // big-endian
	header  int    // length of a record header
	unit    int64  // nanoseconds that the second word of a time stamp counts
}

// Magic numbers (draft-ietf-opsawg-pcap §4).
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Kuznetzov's: interface, protocol and packet type follow the lengths
)

const (
	pcapHeader     = 24
	recordHeader   = 16
	modifiedHeader = 24
)

func pcapMagic(head []byte) magic {
	if len(head) < 4 {
		return magic{}
	}
	n := binary.LittleEndian.Uint32(head)
	m := magic{header: recordHeader, unit: 1000}
	for range 2 {
		switch n {
		case magicMicro:
			m.variant = "pcap"
			return m
		case magicNano:
			m.variant, m.unit = "pcap-ns", 1
			return m
		case magicModified:
			m.variant, m.header = "pcap-modified", modifiedHeader
			return m
		}
		n, m.swap = bits.ReverseBytes32(n), true
	}
	return magic{}
}

// lengths says in which order a record's two lengths stand. libpcap changed its
// mind in version 2.3, and some programs wrote that number before they did.
type lengths uint8

const (
	capturedFirst lengths = iota
	originalFirst
	smallerCaptured
)

type pcapReader struct {
	*file
	magic
	most    uint32 // longest captured length
	link    capture.LinkType
	lengths lengths
	began   uint32 // seconds of the first packet
}

func newPcap(f *file, m magic) (capture.Source, error) {
	in := &f.in
	f.info.Format = m.variant + f.compression.suffix()
	if !in.has(pcapHeader) {
		return nil, f.end()
	}
	var order binary.ByteOrder = binary.LittleEndian
	if m.swap {
		order = binary.BigEndian
	}
	h := in.buf[in.pos : in.pos+pcapHeader]
	r := &pcapReader{file: f, magic: m}
	major, minor := order.Uint16(h[4:]), order.Uint16(h[6:])
	switch {
	case major == 543 && minor == 0: // Navtel's, in libpcap's words
		r.lengths = originalFirst
	case major != 2: // minor versions beyond 4 are taken for 4, as Wireshark does
		return nil, f.fail(0, fmt.Sprintf("pcap version %d.%d is not known", major, minor))
	case minor < 3:
		r.lengths = originalFirst
	case minor == 3:
		r.lengths = smallerCaptured
	}
	// The upper half of the network field: length of the frame check sequence
	// in its top four bits, then a reserved bit, a bit saying that the length
	// is valid, and ten bits that must be zero. A check sequence stays with
	// the packet, behind what IP says is its end.
	network := order.Uint32(h[20:])
	if network&0x03ff0000 != 0 {
		return nil, f.fail(0, fmt.Sprintf("reserved bits of the network type are set (%#08x)", network))
	}
	r.link = capture.LinkType(network & 0xffff)
	if major == 2 && minor == 2 {
		if l, ok := aixLink(r.link); ok {
			f.info.Format = "pcap-aix" + f.compression.suffix()
			r.link, r.unit = l, 1
			r.lengths = capturedFirst
		}
	}
	r.most = maxPacket(r.link)
	f.addLink(r.link, order.Uint32(h[16:]))
	in.pos += pcapHeader
	return r, nil
}

// aixLink translates AIX's network types, which are interface types (RFC 1573):
// its tcpdump writes version 2.2, and nanoseconds in spite of the magic number.
func aixLink(l capture.LinkType) (capture.LinkType, bool) {
	switch l {
	case 6:
		return 1, true // Ethernet
	case 9:
		return 6, true // token ring
	case 15:
		return 10, true // FDDI
	case 24:
		return 0, true // loopback
	}
	return l, false
}

// record is a record header's words.
type record struct{ sec, frac, captured, original uint32 }

func (r *pcapReader) record(h []byte) (v record) {
	_ = h[recordHeader-1]
	le := binary.LittleEndian
	v = record{le.Uint32(h), le.Uint32(h[4:]), le.Uint32(h[8:]), le.Uint32(h[12:])}
	if r.swap {
		v = record{bits.ReverseBytes32(v.sec), bits.ReverseBytes32(v.frac),
			bits.ReverseBytes32(v.captured), bits.ReverseBytes32(v.original)}
	}
	if r.lengths == originalFirst || r.lengths == smallerCaptured && v.captured > v.original {
		v.captured, v.original = v.original, v.captured
	}
	return v
}

// Next implements [capture.Source].
func (r *pcapReader) Next(p *capture.Packet) error {
	in := &r.in
	if !in.has(r.header) {
		return r.end()
	}
	v := r.record(in.buf[in.pos:])
	if r.frame < 2 {
		if r.frame == 0 {
			r.began = v.sec
		} else if err := r.checkLayout(); err != nil {
			return err
		}
	}
	if v.captured > r.most {
		return r.fail(in.offset(), fmt.Sprintf("damaged: a record of %d bytes, more than the %d possible", v.captured, r.most))
	}
	n := r.header + int(v.captured)
	if !in.has(n) {
		return r.end()
	}
	start, end := in.pos+r.header, in.pos+n
	in.pos = end
	r.frame++
	p.Data = in.buf[start:end:end]
	p.OrigLen = int(min(max(v.original, v.captured), math.MaxInt32))
	p.Time = int64(v.sec)*1e9 + int64(v.frac)*r.unit
	p.Frame = r.frame
	p.Link = r.link
	p.Block = in.blk
	return nil
}

// checkLayout looks at the second record. Some makers lengthened the record
// header but kept the magic number: there, what follows the first packet only
// makes sense a few bytes later.
func (r *pcapReader) checkLayout() error {
	in := &r.in
	in.sealed = true
	defer func() { in.sealed = false }()
	// Times near 1970 are made up, and too much like other small numbers.
	if r.began < 1e8 || r.plausible(in.buf[in.pos:]) || !in.has(12+recordHeader) {
		return nil
	}
	next := in.buf[in.pos:]
	for _, extra := range [...]struct {
		bytes int
		maker string
	}{{4, "Nokia's"}, {8, "a modified"}, {12, "a modified"}} {
		if r.plausible(next[extra.bytes:]) {
			return r.fail(in.offset(), extra.maker+" variant of pcap is not supported: "+editcap)
		}
	}
	return nil
}

// plausible reports whether h begins a record header like those of real files.
func (r *pcapReader) plausible(h []byte) bool {
	v := r.record(h)
	const day = 86400
	return v.captured > 0 && v.captured <= r.most && v.captured <= v.original && int64(v.frac)*r.unit < 1e9 &&
		int64(v.sec) > int64(r.began)-day && int64(v.sec) < int64(r.began)+day
}
