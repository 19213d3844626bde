package script

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/connlint/connlint/capture/wire"
)

// conn is the state of one connection while its lines run.
type conn struct {
	name string
	side [2]side // client, server
	ts   bool
}

// side is one end of a connection.
type side struct {
	addr   netip.AddrPort
	isn    wire.Seq
	nxt    wire.Seq // next sequence number to send
	rcv    wire.Seq // next one expected of the other side; valid with heard
	heard  bool
	later  []span // received beyond a hole
	last   segment
	win    uint16
	mss    int
	wscale int // -1: no option
	leg    time.Duration
	id     uint16
	tsval  uint32
	tsecr  uint32
}

// span is a run of sequence numbers received.
type span struct{ from, to wire.Seq }

// segment is what a side sent last that has a length.
type segment struct {
	flags   wire.Flags
	seq     wire.Seq
	payload []byte
}

// options of one packet line.
type options struct {
	seq, ack                                    string
	win, id, ttl, split, snap                   int
	retransmit, lost, drop, noack, badsum, data bool
	dup, skew                                   time.Duration
	dups                                        bool
}

// packetLine runs what follows time and name: a direction with flags and
// payload, or a shorthand.
func (p *parser) packetLine(args []token, run int) *Error {
	if args[0].text == "handshake" {
		return p.handshake(args[1:], run)
	}
	from := 0
	switch args[0].text {
	case ">":
	case "<":
		from = 1
	default:
		return p.errorf("%q: want > or < or handshake", args[0].text)
	}
	if len(args) < 2 || args[1].quoted {
		return p.errorf("no flags after the direction: want letters of SFRPUEWA., or close")
	}
	if args[1].text == "close" {
		return p.closing(from, args[2:], run)
	}
	flags, err := p.flags(args[1].text)
	if err != nil {
		return err
	}
	o := options{win: -1, id: -1, ttl: 64}
	var payload []byte
	for _, a := range args[2:] {
		if a.quoted {
			payload = append(payload, a.text...)
			o.data = true
			continue
		}
		n, err := p.option(&o, a.text)
		if err != nil {
			return err
		}
		payload = append(payload, bytes.Repeat([]byte("x"), n)...)
	}
	return p.send(from, flags, payload, &o, run)
}

func (p *parser) flags(s string) (wire.Flags, *Error) {
	var f wire.Flags
	for _, c := range s {
		switch c {
		case 'S':
			f |= wire.SYN
		case 'F':
			f |= wire.FIN | wire.ACK
		case 'R':
			f |= wire.RST
		case 'P':
			f |= wire.PSH | wire.ACK
		case 'U':
			f |= wire.URG
		case 'E':
			f |= wire.ECE
		case 'W':
			f |= wire.CWR
		case 'A', '.':
			f |= wire.ACK
		default:
			return 0, p.errorf("flags %q: %q is none of SFRPUEWA.", s, c)
		}
	}
	return f, nil
}

// option reads one option; it returns how many bytes of filler it adds.
func (p *parser) option(o *options, s string) (filler int, _ *Error) {
	key, val, has := strings.Cut(s, "=")
	var err error
	number := func(most int) int {
		n, e := strconv.Atoi(val)
		if e != nil || n < 0 || n > most {
			err = fmt.Errorf("not a number from 0 to %d", most)
		}
		return n
	}
	switch key {
	case "seq":
		o.seq = val
	case "ack":
		o.ack = val
	case "win":
		o.win = number(65535)
	case "id":
		o.id = number(65535)
	case "ttl":
		o.ttl = number(255)
	case "len":
		filler, o.data = number(1<<20), true
	case "split":
		o.split = number(65535)
	case "snap":
		o.snap = number(65535)
	case "retransmit":
		o.retransmit = true
	case "lost":
		o.lost = true
	case "drop":
		o.drop = true
	case "noack":
		o.noack = true
	case "badsum":
		o.badsum = true
	case "skew":
		o.skew, err = duration(val)
	case "dup":
		o.dups, o.dup = true, 50*time.Microsecond
		if has {
			o.dup, err = duration(val)
		}
	default:
		return 0, p.errorf("unknown option %q; known: len, seq, ack, win, id, ttl, retransmit, split, lost, drop, dup, skew, snap, noack, badsum", s)
	}
	if err != nil {
		return 0, p.errorf("%s: %v", s, err)
	}
	return filler, nil
}

func (p *parser) handshake(args []token, run int) *Error {
	if len(args) > 0 {
		return p.errorf("handshake takes no options: legs stand on the conn line")
	}
	c := p.cur
	for i, f := range [3]wire.Flags{wire.SYN, wire.SYN | wire.ACK, wire.ACK} {
		o := options{win: -1, id: -1, ttl: 64}
		switch i {
		case 1:
			p.now += c.side[1].leg
		case 2:
			p.now += c.side[0].leg
		}
		if err := p.send(i&1, f, nil, &o, run); err != nil {
			return err
		}
	}
	return nil
}

// closing sends FINs both ways, the first from side from.
func (p *parser) closing(from int, args []token, run int) *Error {
	if len(args) > 0 {
		return p.errorf("close takes no options")
	}
	c := p.cur
	for i, who := range [3]int{from, 1 - from, from} {
		o := options{win: -1, id: -1, ttl: 64}
		f := wire.FIN | wire.ACK
		if i > 0 {
			p.now += c.side[who].leg
		}
		if i == 2 {
			f = wire.ACK
		}
		if err := p.send(who, f, nil, &o, run); err != nil {
			return err
		}
	}
	return nil
}

// position resolves a seq= or ack= value against next and the ISN it counts
// from.
func (p *parser) position(key, val string, next, isn wire.Seq) (wire.Seq, *Error) {
	if val == "" {
		return next, nil
	}
	n, err := strconv.ParseInt(val, 10, 64)
	if err != nil || n > 1<<32 || n < -1<<32 {
		return 0, p.errorf("%s=%s: not a number", key, val)
	}
	if val[0] == '+' || val[0] == '-' {
		return next + wire.Seq(uint32(n)), nil
	}
	return isn + wire.Seq(uint32(n)), nil
}

// send sends one segment, or several with split.
func (p *parser) send(from int, flags wire.Flags, payload []byte, o *options, run int) *Error {
	c := p.cur
	s, r := &c.side[from], &c.side[1-from]
	next := s.nxt
	if o.retransmit {
		if s.last.flags == 0 {
			return p.errorf("nothing to retransmit: this side has sent nothing yet")
		}
		next = s.last.seq
		if !o.data {
			payload = s.last.payload
			flags |= s.last.flags & (wire.SYN | wire.FIN)
		}
	}
	seq, err := p.position("seq", o.seq, next, s.isn)
	if err != nil {
		return err
	}
	ack, err := p.position("ack", o.ack, s.rcv, r.isn)
	if err != nil {
		return err
	}
	if o.noack {
		flags &^= wire.ACK
	}
	if flags&wire.ACK != 0 && !s.heard && o.ack == "" {
		return p.errorf("this side has nothing to acknowledge yet: handshake first, conn ... midstream, or give ack=")
	}
	if flags&wire.RST != 0 && flags&wire.ACK == 0 && o.seq == "" && s.heard {
		// A bare RST takes its sequence number from the acknowledgement of
		// the segment it answers (RFC 9293 §3.10.7.1): what the other side
		// expects.
		seq = r.rcv
		if !r.heard {
			seq = s.nxt
		}
	}
	for first := true; first || len(payload) > 0; first = false {
		part := payload
		if o.split > 0 && len(part) > o.split {
			part = part[:o.split]
		}
		payload = payload[len(part):]
		f := flags
		if len(payload) > 0 {
			f &^= wire.FIN | wire.PSH
		}
		if err := p.emit(from, f, seq, ack, part, o, run); err != nil {
			return err
		}
		end := seq.Add(len(part))
		if f.Any(wire.SYN) {
			end++
		}
		if f.Any(wire.FIN) {
			end++
		}
		if end != seq && !o.lost {
			r.receive(seq, end, f.Any(wire.SYN))
		}
		if end != seq {
			s.last = segment{f, seq, part}
			s.nxt = s.nxt.Max(end)
		}
		seq = end
	}
	return nil
}

// receive notes bytes that arrived, in order or beyond a hole.
func (s *side) receive(from, to wire.Seq, syn bool) {
	if syn && !s.heard {
		s.rcv, s.heard = to, true
		return
	}
	if !s.heard {
		return
	}
	s.later = append(s.later, span{from, to})
	for moved := true; moved; {
		moved = false
		for i, sp := range s.later {
			if sp.from.LessEq(s.rcv) {
				s.rcv = s.rcv.Max(sp.to)
				s.later = append(s.later[:i], s.later[i+1:]...)
				moved = true
				break
			}
		}
	}
}

// emit builds one packet and puts it among the captured ones.
func (p *parser) emit(from int, flags wire.Flags, seq, ack wire.Seq, payload []byte, o *options, run int) *Error {
	c := p.cur
	s, r := &c.side[from], &c.side[1-from]
	if flags&wire.ACK == 0 {
		ack = 0
	}
	win := s.win
	if o.win >= 0 {
		win = uint16(o.win)
	}
	id := s.id
	s.id++
	if o.id >= 0 {
		id = uint16(o.id)
	}
	var opts []byte
	if flags.Any(wire.SYN) {
		if s.mss > 0 {
			opts = append(opts, 2, 4, byte(s.mss>>8), byte(s.mss))
		}
		if s.wscale >= 0 {
			opts = append(opts, 1, 3, 3, byte(s.wscale))
		}
	}
	if c.ts {
		s.tsval++
		r.tsecr = s.tsval
		opts = append(opts, 1, 1, 8, 10)
		opts = binary.BigEndian.AppendUint32(opts, s.tsval)
		opts = binary.BigEndian.AppendUint32(opts, s.tsecr)
	}
	data, err := frame(s.addr, r.addr, flags, seq, ack, win, id, byte(o.ttl), opts, payload, from == 1)
	if err != nil {
		return p.errorf("%v", err)
	}
	if o.badsum {
		data[14+ipLen(data)+17] ^= 0x55
	}
	if o.drop {
		return nil
	}
	if len(p.script.packets) >= maxPackets {
		return p.errorf("more than %d packets", maxPackets)
	}
	pk := packet{data: data, origLen: len(data), clock: p.now, line: run,
		stamp: p.start.Add(p.now + p.offset + o.skew).UnixNano()}
	if o.snap > 0 && o.snap < len(data) {
		pk.data = data[:o.snap]
	}
	p.script.packets = append(p.script.packets, pk)
	if o.dups {
		pk.clock += o.dup
		pk.stamp += int64(o.dup)
		p.script.packets = append(p.script.packets, pk)
	}
	return nil
}

// ipLen returns the length of the network header of an Ethernet frame we
// built.
func ipLen(data []byte) int {
	if data[14]>>4 == 6 {
		return 40
	}
	return 20
}

// frame builds an Ethernet frame with IPv4 or IPv6 and TCP.
func frame(src, dst netip.AddrPort, flags wire.Flags, seq, ack wire.Seq, win, id uint16, ttl byte,
	opts, payload []byte, reverse bool) ([]byte, error) {
	tcpLen := 20 + len(opts) + len(payload)
	v4 := src.Addr().Is4()
	if v4 && tcpLen+20 > 65535 || !v4 && tcpLen > 65535 {
		return nil, fmt.Errorf("%d bytes of payload do not fit into one IP packet: use split=", len(payload))
	}
	be := binary.BigEndian
	b := make([]byte, 0, 54+tcpLen)
	macs := [2][]byte{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
	if reverse {
		macs[0], macs[1] = macs[1], macs[0]
	}
	b = append(append(b, macs[1]...), macs[0]...)
	var pseudo uint32
	s, d := src.Addr().AsSlice(), dst.Addr().AsSlice()
	if v4 {
		b = append(b, 8, 0, 0x45, 0)
		b = be.AppendUint16(b, uint16(20+tcpLen))
		b = be.AppendUint16(b, id)
		b = append(b, 0x40, 0, ttl, 6, 0, 0)
		b = append(append(b, s...), d...)
		be.PutUint16(b[24:], checksum(b[14:34], 0))
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
		b = be.AppendUint16(b, uint16(tcpLen))
		b = append(b, 6, ttl)
		b = append(append(b, s...), d...)
	}
	pseudo = sum(s, sum(d, uint32(6)+uint32(tcpLen)))
	at := len(b)
	b = be.AppendUint16(b, src.Port())
	b = be.AppendUint16(b, dst.Port())
	b = be.AppendUint32(b, uint32(seq))
	b = be.AppendUint32(b, uint32(ack))
	b = append(b, byte(20+len(opts))/4<<4, byte(flags))
	b = be.AppendUint16(b, win)
	b = append(b, 0, 0, 0, 0)
	b = append(append(b, opts...), payload...)
	be.PutUint16(b[at+16:], checksum(b[at:], pseudo))
	return b, nil
}

// sum adds up b as 16-bit words (RFC 1071).
func sum(b []byte, acc uint32) uint32 {
	for len(b) >= 2 {
		acc += uint32(b[0])<<8 | uint32(b[1])
		if acc > 0xffff {
			acc = acc&0xffff + acc>>16
		}
		b = b[2:]
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	return acc
}

func checksum(b []byte, acc uint32) uint16 {
	acc = sum(b, acc)
	for acc > 0xffff {
		acc = acc&0xffff + acc>>16
	}
	return ^uint16(acc)
}
