package pcapfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/connlint/connlint/capture"
)

// Block types (draft-ietf-opsawg-pcapng §11.1). Most others are passed over:
// names, secrets, journal entries, custom blocks, unknown ones.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockPacket     = 2 // obsolete
	blockSimple     = 3
	blockStatistics = 5
	blockEnhanced   = 6
	blockJournal    = 9
	blockCustom     = 0xbad
	blockCustomKept = 0x40000bad // not to be copied
)

// numbered reports whether Wireshark gives a block without a packet a frame
// number: journal entries, custom blocks, Sysdig's events.
func numbered(typ uint32) bool {
	switch typ {
	case blockJournal, blockCustom, blockCustomKept, 0x204, 0x208, 0x216, 0x217, 0x221, 0x222:
		return true
	}
	return false
}

const byteOrderMagic = 0x1a2b3c4d

// Lengths of blocks without data and options.
const (
	leastBlock      = 12
	leastSection    = 28
	leastInterface  = 20
	leastPacket     = 32 // the obsolete one too
	leastSimple     = 16
	leastStatistics = 24
)

const (
	// maxHeld bounds the blocks that must stand in memory as a whole: those
	// with packets and those with options we need.
	maxHeld = hugePacket + 64<<10
	// maxBlock bounds all others. They may hold whole key logs; a length
	// beyond this is as good as random.
	maxBlock = 128<<20 + 64<<10
	// maxInterfaces bounds what a section may make us remember.
	maxInterfaces = 1 << 16
)

func isPcapng(head []byte) bool {
	le := binary.LittleEndian
	if len(head) < 4 || le.Uint32(head) != blockSection {
		return false
	}
	return len(head) < 12 || le.Uint32(head[8:]) == byteOrderMagic || bits.ReverseBytes32(le.Uint32(head[8:])) == byteOrderMagic
}

type ngReader struct {
	*file
	swap       bool // the section is big-endian
	interfaces []iface
	last       int64  // time of the packet before
	dropped    uint64 // in sections that are over
}

// iface is what an Interface Description Block says, and what its packets and
// statistics add.
type iface struct {
	link    capture.LinkType
	snap    uint32 // 0 if unlimited
	most    uint32 // longest captured length
	clock   clock
	lost    uint64 // sum of what its packets say
	counted uint64 // as its last statistics say
}

// clock turns a time stamp into nanoseconds: ts·mul / div, or ts·mul >> shift.
type clock struct {
	mul, div uint64
	shift    uint
	offset   int64 // nanoseconds
}

func newPcapng(f *file) (capture.Source, error) {
	f.info.Format = "pcapng" + f.compression.suffix()
	r := &ngReader{file: f}
	if err := r.section(); err != nil {
		return nil, err
	}
	return r, nil
}

// Info describes what has been read so far. A packet's own drop counter and its
// interface's statistics count the same packets: the larger one of an interface
// is taken.
func (r *ngReader) Info() capture.Info {
	i := r.file.Info()
	i.Dropped = r.dropped + r.drops()
	return i
}

// drops sums up the section at hand.
func (r *ngReader) drops() (n uint64) {
	for i := range r.interfaces {
		n += max(r.interfaces[i].lost, r.interfaces[i].counted)
	}
	return n
}

func (r *ngReader) u32(b []byte) uint32 {
	if r.swap {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *ngReader) u16(b []byte) uint16 {
	if r.swap {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (r *ngReader) u64(b []byte) uint64 {
	if r.swap {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

// damaged returns the error for the block at hand.
func (r *ngReader) damaged(format string, a ...any) error {
	return r.fail(r.in.offset(), "damaged: "+fmt.Sprintf(format, a...))
}

// Next implements [capture.Source].
func (r *ngReader) Next(p *capture.Packet) error {
	in := &r.in
	for {
		if !in.has(8) {
			return r.end()
		}
		h := in.buf[in.pos:]
		typ, total := r.u32(h), r.u32(h[4:])
		var err error
		switch typ {
		case blockEnhanced, blockPacket:
			return r.packet(p, typ, total)
		case blockSimple:
			return r.simple(p, total)
		case blockSection:
			err = r.section()
		case blockInterface:
			err = r.iface(total)
		case blockStatistics:
			err = r.statistics(total)
		default:
			if err = r.checkTotal(total, leastBlock, maxBlock); err == nil {
				err = r.pass(total)
			}
			if err == nil && numbered(typ) {
				r.frame++
			}
		}
		if err != nil {
			return err
		}
	}
}

// checkTotal proves the total length of the block at hand.
func (r *ngReader) checkTotal(total, least, most uint32) error {
	switch {
	case total < least:
		return r.damaged("a block of %d bytes, fewer than the %d of its header", total, least)
	case total&3 != 0:
		return r.damaged("a block of %d bytes, which is no multiple of 4", total)
	case total > most:
		return r.damaged("a block of %d bytes, more than the %d possible", total, most)
	}
	return nil
}

// whole makes the block at hand stand in memory and returns it, its two total
// lengths proven equal.
func (r *ngReader) whole(total uint32) ([]byte, error) {
	in := &r.in
	n := int(total)
	if !in.has(n) {
		return nil, r.end()
	}
	b := in.buf[in.pos : in.pos+n : in.pos+n]
	if t := r.u32(b[n-4:]); t != total {
		return nil, r.damaged("a block's two lengths differ: %d and %d", total, t)
	}
	return b, nil
}

// held is checkTotal and whole for a block of bounded size.
func (r *ngReader) held(total, least uint32) ([]byte, error) {
	if err := r.checkTotal(total, least, maxHeld); err != nil {
		return nil, err
	}
	return r.whole(total)
}

// pass goes on behind the block at hand, which may be larger than memory.
func (r *ngReader) pass(total uint32) error {
	in := &r.in
	start := in.offset()
	in.sealed = true // begun anew it would begin elsewhere
	defer func() { in.sealed = false }()
	if !in.skip(int64(total)-4) || !in.has(4) {
		return r.short(start)
	}
	if t := r.u32(in.buf[in.pos:]); t != total {
		return r.fail(start, fmt.Sprintf("damaged: a block's two lengths differ: %d and %d", total, t))
	}
	in.pos += 4
	return nil
}

// section starts a section: its byte order holds for all its blocks, its
// interfaces are its own. The section's length is not needed.
func (r *ngReader) section() error {
	in := &r.in
	if !in.has(leastSection - 4) {
		return r.end()
	}
	h := in.buf[in.pos:]
	switch binary.LittleEndian.Uint32(h[8:]) {
	case byteOrderMagic:
		r.swap = false
	case bits.ReverseBytes32(byteOrderMagic):
		r.swap = true
	default:
		return r.damaged("a section without byte order")
	}
	total := r.u32(h[4:])
	if err := r.checkTotal(total, leastSection, maxBlock); err != nil {
		return err
	}
	if major, minor := r.u16(h[12:]), r.u16(h[14:]); major != 1 || minor != 0 && minor != 2 {
		return r.fail(in.offset(), fmt.Sprintf("pcapng version %d.%d is not known", major, minor))
	}
	r.dropped += r.drops()
	r.interfaces = r.interfaces[:0]
	return r.pass(total)
}

// option takes the first option off b. Its code is 0 after the last; ok is false
// where b contradicts itself.
func (r *ngReader) option(b []byte) (code uint16, value, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, nil, true
	}
	if len(b) < 4 {
		return 0, nil, nil, false
	}
	code, n := r.u16(b), int(r.u16(b[2:]))
	if code == 0 {
		return 0, nil, nil, true
	}
	padded := 4 + (n+3)&^3
	if padded > len(b) {
		return 0, nil, nil, false
	}
	return code, b[4 : 4+n], b[padded:], true
}

const (
	optionResolution     = 9  // if_tsresol
	optionOffset         = 14 // if_tsoffset
	optionInterfaceDrops = 5  // isb_ifdrop
	optionSystemDrops    = 7  // isb_osdrop
	optionPacketDrops    = 4  // epb_dropcount
)

func (r *ngReader) iface(total uint32) error {
	b, err := r.held(total, leastInterface)
	if err != nil {
		return err
	}
	if len(r.interfaces) == maxInterfaces {
		return r.damaged("more than %d interfaces", maxInterfaces)
	}
	i := iface{link: capture.LinkType(r.u16(b[8:])), snap: r.u32(b[12:])}
	i.most = maxPacket(i.link)
	resolution, offset := byte(6), int64(0)
	for rest := b[16 : len(b)-4]; ; {
		code, v, next, ok := r.option(rest)
		if !ok {
			return r.damaged("options of an interface run past its block")
		}
		if code == 0 {
			break
		}
		rest = next
		switch {
		case code == optionResolution && len(v) == 1:
			resolution = v[0]
		case code == optionOffset && len(v) == 8:
			offset = int64(r.u64(v))
		case code == optionResolution, code == optionOffset:
			return r.damaged("an interface's option %d has %d bytes", code, len(v))
		}
	}
	i.clock = newClock(resolution, offset)
	r.interfaces = append(r.interfaces, i)
	r.addLink(i.link, i.snap)
	r.in.pos += len(b)
	return nil
}

// newClock takes if_tsresol, a negative power of ten or, with the top bit, of
// two, and if_tsoffset in seconds.
func newClock(resolution byte, offset int64) clock {
	c := clock{mul: 1, div: 1}
	switch n := uint(resolution & 0x7f); {
	case resolution&0x80 != 0:
		c.mul, c.shift = 1e9, n
	case n <= 9:
		c.mul = power10(9 - n)
	case n <= 9+19:
		c.div = power10(n - 9)
	default:
		c.mul = 0 // a unit so small that 64 bits of it are no nanosecond
	}
	const most = math.MaxInt64 / int64(1e9)
	c.offset = min(max(offset, -most), most) * 1e9
	return c
}

func power10(n uint) uint64 {
	v := uint64(1)
	for range n {
		v *= 10
	}
	return v
}

// time returns nanoseconds since 1970. Time stamps are unsigned, but some
// programs write small negative ones: one that lies beyond what fits is taken
// for such. What still does not fit becomes the last moment that does.
func (c *clock) time(ts uint64) int64 {
	n := c.span(ts)
	t := int64(n)
	if n > math.MaxInt64 {
		t = math.MaxInt64
		if back := c.span(-ts); int64(ts) < 0 && back <= math.MaxInt64 {
			t = -int64(back)
		}
	}
	if c.offset > 0 && t > math.MaxInt64-c.offset {
		return math.MaxInt64
	}
	if c.offset < 0 && t < math.MinInt64-c.offset {
		return math.MinInt64
	}
	return t + c.offset
}

// span returns how many nanoseconds ts units last, or all that fit.
func (c *clock) span(ts uint64) uint64 {
	hi, lo := bits.Mul64(ts, c.mul)
	if c.div != 1 {
		lo /= c.div // mul is 1: hi is 0
	} else if c.shift >= 64 {
		hi, lo = 0, hi>>(c.shift-64)
	} else if c.shift > 0 {
		hi, lo = hi>>c.shift, lo>>c.shift|hi<<(64-c.shift)
	}
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

// packet lends the packet of an Enhanced Packet Block or of its obsolete
// predecessor, which differ in their first four bytes.
func (r *ngReader) packet(p *capture.Packet, typ, total uint32) error {
	in := &r.in
	if err := r.checkTotal(total, leastPacket, maxHeld); err != nil {
		return err
	}
	if !in.has(leastPacket - 4) {
		return r.end()
	}
	// The data's length first: a wrong one is damage, not a file cut short.
	h := in.buf[in.pos : in.pos+leastPacket-4]
	id, drops := r.u32(h[8:]), uint64(0)
	if typ == blockPacket {
		id = uint32(r.u16(h[8:]))
		if d := r.u16(h[10:]); d != 0xffff { // unknown
			drops = uint64(d)
		}
	}
	if id >= uint32(len(r.interfaces)) {
		return r.damaged("a packet of interface %d, but the section has %d", id, len(r.interfaces))
	}
	i := &r.interfaces[id]
	captured, original := r.u32(h[20:]), r.u32(h[24:])
	if captured > total-leastPacket {
		return r.damaged("a packet of %d bytes in a block of %d", captured, total)
	}
	if captured > i.most {
		return r.damaged("a packet of %d bytes, more than the %d possible", captured, i.most)
	}
	ts := uint64(r.u32(h[12:]))<<32 | uint64(r.u32(h[16:]))
	b, err := r.whole(total)
	if err != nil {
		return err
	}
	end := leastPacket - 4 + captured
	if rest := b[(end+3)&^3 : total-4]; typ == blockEnhanced && len(rest) > 0 {
		drops = r.packetDrops(rest)
	}
	i.lost += drops
	r.last = i.clock.time(ts)
	r.lend(p, i.link, b[leastPacket-4:end:end], original, total)
	return nil
}

// packetDrops looks for epb_dropcount. Options that run past their block do the
// packet no harm and are left out.
func (r *ngReader) packetDrops(b []byte) uint64 {
	for {
		code, v, rest, ok := r.option(b)
		if !ok || code == 0 {
			return 0
		}
		if code == optionPacketDrops && len(v) == 8 {
			return r.u64(v)
		}
		b = rest
	}
}

// simple lends the packet of a Simple Packet Block. It is the first interface's,
// as long as that one's snapshot length allows, and has no time of its own: it
// gets that of the packet before, 0 if there is none.
func (r *ngReader) simple(p *capture.Packet, total uint32) error {
	in := &r.in
	if err := r.checkTotal(total, leastSimple, maxHeld); err != nil {
		return err
	}
	if !in.has(leastSimple - 4) {
		return r.end()
	}
	if len(r.interfaces) == 0 {
		return r.damaged("a packet without an interface")
	}
	i := &r.interfaces[0]
	original := r.u32(in.buf[in.pos+8:])
	captured := original
	if i.snap != 0 {
		captured = min(captured, i.snap)
	}
	if captured > total-leastSimple {
		return r.damaged("a packet of %d bytes in a block of %d", captured, total)
	}
	if captured > i.most {
		return r.damaged("a packet of %d bytes, more than the %d possible", captured, i.most)
	}
	b, err := r.whole(total)
	if err != nil {
		return err
	}
	end := leastSimple - 4 + captured
	r.lend(p, i.link, b[leastSimple-4:end:end], original, total)
	return nil
}

func (r *ngReader) lend(p *capture.Packet, link capture.LinkType, data []byte, original, total uint32) {
	r.in.pos += int(total)
	r.frame++
	p.Data = data
	p.OrigLen = max(int(min(original, math.MaxInt32)), len(data))
	p.Time = r.last
	p.Frame = r.frame
	p.Link = link
	p.Block = r.in.blk
}

// statistics takes an interface's drop counters, which run from its start: the
// last ones hold. Statistics of no interface are passed over.
func (r *ngReader) statistics(total uint32) error {
	b, err := r.held(total, leastStatistics)
	if err != nil {
		return err
	}
	r.in.pos += len(b)
	id := r.u32(b[8:])
	if id >= uint32(len(r.interfaces)) {
		return nil
	}
	var drops uint64
	var seen bool
	for rest := b[20 : len(b)-4]; ; {
		code, v, next, ok := r.option(rest)
		if !ok || code == 0 {
			break
		}
		rest = next
		if (code == optionInterfaceDrops || code == optionSystemDrops) && len(v) == 8 {
			drops, seen = drops+r.u64(v), true
		}
	}
	if seen {
		r.interfaces[id].counted = drops
	}
	return nil
}
