package capture

import (
	"bytes"
	"time"

	"github.com/connlint/connlint/capture/wire"
)

// fragments puts IP packets together that came in pieces (RFC 791 §3.2,
// RFC 8200 §4.5). One table serves both versions; gopacket's ip4defrag knows
// only one, has no bound on memory and drops packets with any overlap.
//
// Fragments that overlap are accepted while they agree on every byte they
// share: a capture often holds a packet twice. Where they differ nobody can
// say what the receiver made of it, and the packet is given up.
//
// What is kept is bounded in bytes, packets and age. The oldest goes first.
type fragments struct {
	maxBytes   int
	maxPackets int
	maxAge     int64 // nanoseconds of packet time

	bytes int // capacity of all buffers
	byKey map[fragmentKey]*partial
	// Oldest first, linked through partial.next.
	oldest, newest *partial
}

// fragment is one piece, its data borrowed.
type fragment struct {
	v6     bool
	proto  wire.Proto
	id     uint32
	offset int // of data in the whole packet's data, in bytes
	more   bool
	data   []byte
}

type fragmentKey struct {
	src, dst wire.Addr
	id       uint32
	v6       bool
	proto    wire.Proto // IPv4 only: all of an IPv6 packet's fragments need not agree on it
}

// partial is an IP packet of which a part has come.
type partial struct {
	key        fragmentKey
	prev, next *partial
	time       int64 // of its first fragment; once done of its last
	state      partialState
	proto      wire.Proto // what the fragment at offset 0 says
	packets    uint64     // counted as Fragment
	total      int        // length of the whole, -1 until the last fragment came
	blocks     int        // set in have
	buf        []byte     // up to the highest byte that came
	have       [maxDatagram / 8 / 64]uint64
}

type partialState uint8

const (
	filling  partialState = iota
	finished              // kept for a moment, so that copies of its fragments start no new packet
	hopeless              // contradicts itself: what else comes of it is lost too
)

const (
	maxDatagram = 1 << 16
	// copyWindow is the time within which the same packet is one seen twice,
	// in nanoseconds.
	copyWindow = int64(50 * time.Millisecond)
)

func (f *fragments) init(o DecoderOptions) {
	f.maxBytes, f.maxPackets, f.maxAge = o.FragmentBytes, o.FragmentPackets, int64(o.FragmentAge)
	if f.maxBytes <= 0 {
		f.maxBytes = 8 << 20
	}
	if f.maxPackets <= 0 {
		f.maxPackets = 1024
	}
	if f.maxAge <= 0 {
		f.maxAge = int64(30 * time.Second)
	}
}

// fragment keeps g, or decodes the packet that g completes. The caller has set
// the addresses in s.
func (d *Decoder) fragment(g fragment, cut int, s *Segment) Reason {
	switch g.proto {
	case wire.ProtoTCP, wire.ProtoUDP, wire.ProtoGRE, wire.ProtoIPv4, wire.ProtoIPv6, wire.ProtoMPLS,
		wire.ProtoAH, wire.ProtoHopByHop, wire.ProtoRouting, wire.ProtoDestOpts:
	default:
		return NotTCP
	}
	end := g.offset + len(g.data)
	if g.more && (len(g.data)+cut)%8 != 0 || end+cut >= maxDatagram || g.more && len(g.data)+cut == 0 {
		return Malformed
	}
	if cut > 0 {
		return Truncated
	}
	whole, proto, r := d.frags.add(&g, s, d.now, &d.Skipped)
	if r != None {
		return r
	}
	if !d.enter() {
		return TunnelTooDeep
	}
	return d.transport(proto, whole, 0, s)
}

// add files g and returns the whole packet's data if it is complete now, in
// memory that is the caller's.
func (f *fragments) add(g *fragment, s *Segment, now int64, skipped *Skipped) ([]byte, wire.Proto, Reason) {
	for f.oldest != nil && now-f.oldest.time > f.maxAge {
		f.drop(f.oldest, skipped)
	}
	key := fragmentKey{src: s.Flow.Src, dst: s.Flow.Dst, id: g.id, v6: g.v6}
	if !g.v6 {
		key.proto = g.proto
	}
	p := f.byKey[key]
	if p != nil && p.state == finished {
		if age := now - p.time; -copyWindow <= age && age <= copyWindow {
			return nil, 0, Copy
		}
		f.drop(p, skipped) // the number is used again
		p = nil
	}
	if p == nil {
		if len(f.byKey) >= f.maxPackets {
			f.drop(f.oldest, skipped)
		}
		p = &partial{key: key, time: now, total: -1}
		f.push(p)
	}
	if p.state == hopeless {
		return nil, 0, FragmentLost
	}
	if !f.fill(p, g) {
		f.free(p)
		p.state = hopeless
		lose(p, skipped)
		return nil, 0, FragmentLost
	}
	if p.total >= 0 && p.blocks == (p.total+7)/8 {
		whole, proto := p.buf, p.proto
		f.free(p)
		p.state, p.time = finished, now
		f.unlink(p) // its time is new, and so is its place
		f.push(p)
		return whole, proto, None
	}
	p.packets++
	for f.bytes > f.maxBytes && f.oldest != p {
		f.drop(f.oldest, skipped)
	}
	return nil, 0, Fragment
}

// fill copies g's data to its place. It returns false where g contradicts what
// came before.
func (f *fragments) fill(p *partial, g *fragment) bool {
	end := g.offset + len(g.data)
	if !g.more {
		if p.total >= 0 && p.total != end || len(p.buf) > end {
			return false
		}
		p.total = end
	} else if p.total >= 0 && end > p.total {
		return false
	}
	if g.offset == 0 {
		p.proto = g.proto
	}
	if end > len(p.buf) {
		f.bytes -= cap(p.buf)
		p.buf = append(p.buf, make([]byte, end-len(p.buf))...)
		f.bytes += cap(p.buf)
	}
	for at, data := g.offset, g.data; len(data) > 0; at += 8 {
		n := min(8, len(data))
		word, bit := at/8/64, uint64(1)<<(at/8%64)
		if p.have[word]&bit == 0 {
			p.have[word] |= bit
			p.blocks++
			copy(p.buf[at:], data[:n])
		} else if !bytes.Equal(p.buf[at:at+n], data[:n]) {
			return false
		}
		data = data[n:]
	}
	return true
}

func (f *fragments) push(p *partial) {
	if f.byKey == nil {
		f.byKey = make(map[fragmentKey]*partial)
	}
	f.byKey[p.key] = p
	p.prev, p.next = f.newest, nil
	if f.newest != nil {
		f.newest.next = p
	} else {
		f.oldest = p
	}
	f.newest = p
}

func (f *fragments) unlink(p *partial) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		f.oldest = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		f.newest = p.prev
	}
	delete(f.byKey, p.key)
}

// free gives p's buffer out of the account.
func (f *fragments) free(p *partial) {
	f.bytes -= cap(p.buf)
	p.buf = nil
}

// drop forgets p, and counts what came of it as lost if it never became whole.
func (f *fragments) drop(p *partial, skipped *Skipped) {
	f.free(p)
	f.unlink(p)
	if p.state == filling {
		lose(p, skipped)
	}
}

func lose(p *partial, skipped *Skipped) {
	skipped[Fragment] -= p.packets
	skipped[FragmentLost] += p.packets
	p.packets = 0
}

func (f *fragments) clear(skipped *Skipped) {
	for f.oldest != nil {
		f.drop(f.oldest, skipped)
	}
}
