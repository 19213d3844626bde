package filter

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"

	"github.com/connlint/connlint/capture"
)

// header says where a packet tells what it carries, and where that begins.
type header struct {
	kind headerKind
	typ  uint32 // offset of the EtherType
	net  uint32 // offset of the network header
}

type headerKind uint8

const (
	etherType  headerKind = iota // 16 bits at typ
	kernelType                   // the kernel knows it
	ipVersion                    // the first four bits at net
	family                       // BSD's number of the protocol family, in either byte order
)

func headerOf(l capture.LinkType) (header, bool) {
	switch l {
	case capture.LinkEthernet:
		return header{etherType, 12, 14}, true
	case capture.LinkSLL:
		return header{etherType, 14, 16}, true
	case capture.LinkSLL2:
		return header{etherType, 0, 20}, true
	case capture.LinkNull, capture.LinkLoop:
		return header{kind: family, net: 4}, true
	case capture.LinkRaw, capture.LinkIPv4, capture.LinkIPv6, 12, 14: // the last two are DLT_RAW of the BSDs
		return header{kind: ipVersion}, true
	}
	return header{}, false
}

// behind returns the header with n VLAN tags passed, and whether there can be
// any.
func (h header) behind(n int) (header, bool) {
	if n > 0 && h.kind != etherType {
		return h, false
	}
	for range n {
		h.typ, h.net = h.net+2, h.net+4
	}
	return h, true
}

// EtherTypes.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

// The tree of an expression. Nodes carry in depth how many VLAN tags the
// words vlan before them have passed.
type (
	node interface {
		// emit puts the code before what is there, and returns where it is
		// entered: it goes on at t if the node holds, at f if not.
		emit(a *assembler, t, f int) int
	}
	pair struct {
		a, b node
		and  bool
	}
	not      struct{ n node }
	protocol struct {
		name  string
		depth int
	}
	vlan struct {
		id    int // -1 for any
		depth int
	}
	host struct {
		proto string
		dir   direction
		net   netip.Prefix
		depth int
	}
	port struct {
		proto  string
		dir    direction
		lo, hi uint16
		depth  int
	}
)

// assembler writes a program from its end, where all targets are known. A
// place is counted from the end.
type assembler struct {
	head header
	code []bpf.RawInstruction // in reverse
}

// What the kernel takes at most.
const maxInstructions = 4096

func compile(n node, h header) (Program, error) {
	a := &assembler{head: h}
	f := a.put(bpf.RetConstant{Val: 0})
	t := a.put(bpf.RetConstant{Val: 262144})
	a.at(n.emit(a, t, f))
	if len(a.code) > maxInstructions {
		return nil, errors.New("the filter is too long for the kernel's 4096 instructions")
	}
	slices.Reverse(a.code)
	return a.code, nil
}

// put writes an instruction and returns its place. All that are put here can
// be assembled.
func (a *assembler) put(i bpf.Instruction) int {
	raw, err := i.Assemble()
	if err != nil {
		panic(err)
	}
	a.code = append(a.code, raw)
	return len(a.code)
}

// skip returns how far it is from the instruction written next to a place.
func (a *assembler) skip(place int) uint32 { return uint32(len(a.code) - place) }

// at makes sure that the code is entered at place when run through.
func (a *assembler) at(place int) {
	if place != len(a.code) {
		a.put(bpf.Jump{Skip: a.skip(place)})
	}
}

// test writes a comparison of the accumulator.
func (a *assembler) test(op bpf.JumpTest, val uint32, t, f int) int {
	// Conditional jumps reach 255 instructions far; one that is put in below
	// moves the other target one further away.
	if a.skip(t) > 254 {
		t = a.put(bpf.Jump{Skip: a.skip(t)})
	}
	if a.skip(f) > 255 {
		f = a.put(bpf.Jump{Skip: a.skip(f)})
	}
	return a.put(bpf.JumpIf{Cond: op, Val: val, SkipTrue: uint8(a.skip(t)), SkipFalse: uint8(a.skip(f))})
}

// equal tests size bytes at an offset, under a mask if that is not 0.
func (a *assembler) equal(off uint32, size int, mask, val uint32, t, f int) int {
	a.test(bpf.JumpEqual, val, t, f)
	if mask != 0 && mask != ^uint32(0) {
		a.put(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask})
	}
	return a.put(bpf.LoadAbsolute{Off: off, Size: size})
}

// any goes to t for the first test that holds.
func (a *assembler) any(t, f int, tests ...func(t, f int) int) int {
	for _, test := range slices.Backward(tests) {
		f = test(t, f)
	}
	return f
}

// all goes to f for the first test that does not hold.
func (a *assembler) all(t, f int, tests ...func(t, f int) int) int {
	for _, test := range slices.Backward(tests) {
		t = test(t, f)
	}
	return t
}

// never goes to f.
func (a *assembler) never(f int) int { return f }

// carries tests for a network protocol behind depth VLAN tags.
func (a *assembler) carries(depth int, typ uint32, t, f int) int {
	h, ok := a.head.behind(depth)
	if !ok {
		return a.never(f)
	}
	switch h.kind {
	case etherType:
		return a.equal(h.typ, 2, 0, typ, t, f)
	case kernelType:
		a.test(bpf.JumpEqual, typ, t, f)
		return a.put(bpf.LoadExtension{Num: bpf.ExtProto})
	case ipVersion:
		switch typ {
		case typeIPv4:
			return a.equal(0, 1, 0xf0, 0x40, t, f)
		case typeIPv6:
			return a.equal(0, 1, 0xf0, 0x60, t, f)
		}
		return a.never(f)
	}
	var numbers []uint32
	switch typ {
	case typeIPv4:
		numbers = []uint32{2}
	case typeIPv6:
		numbers = []uint32{24, 28, 30, 10} // NetBSD and OpenBSD, FreeBSD, macOS; Linux
	default:
		return a.never(f)
	}
	next := f
	for _, n := range numbers {
		little := n << 24 // as a little-endian host writes it
		next = a.test(bpf.JumpEqual, n, t, next)
		next = a.test(bpf.JumpEqual, little, t, next)
	}
	a.at(next)
	return a.put(bpf.LoadAbsolute{Off: 0, Size: 4})
}

// network returns the offset of the network header behind depth VLAN tags.
func (a *assembler) network(depth int) uint32 {
	h, _ := a.head.behind(depth)
	return h.net
}

func (n pair) emit(a *assembler, t, f int) int {
	b := n.b.emit(a, t, f)
	if n.and {
		return n.a.emit(a, b, f)
	}
	return n.a.emit(a, t, b)
}

func (n not) emit(a *assembler, t, f int) int { return n.n.emit(a, f, t) }

func (n protocol) emit(a *assembler, t, f int) int {
	switch n.name {
	case "ip":
		return a.carries(n.depth, typeIPv4, t, f)
	case "ip6":
		return a.carries(n.depth, typeIPv6, t, f)
	case "arp":
		return a.carries(n.depth, typeARP, t, f)
	}
	v := uint32(6)
	if n.name == "udp" {
		v = 17
	}
	ip := a.network(n.depth)
	return a.any(t, f,
		func(t, f int) int {
			return a.all(t, f,
				func(t, f int) int { return a.carries(n.depth, typeIPv4, t, f) },
				func(t, f int) int { return a.equal(ip+9, 1, 0, v, t, f) })
		},
		func(t, f int) int {
			return a.all(t, f,
				func(t, f int) int { return a.carries(n.depth, typeIPv6, t, f) },
				func(t, f int) int {
					return a.any(t, f,
						func(t, f int) int { return a.equal(ip+6, 1, 0, v, t, f) },
						func(t, f int) int { // behind a fragment header
							return a.all(t, f,
								func(t, f int) int { return a.equal(ip+6, 1, 0, 44, t, f) },
								func(t, f int) int { return a.equal(ip+40, 1, 0, v, t, f) })
						})
				})
		})
}

func (n vlan) emit(a *assembler, t, f int) int {
	h, ok := a.head.behind(n.depth)
	if !ok || h.kind != etherType {
		return a.never(f)
	}
	if n.id >= 0 {
		t = a.equal(h.net, 2, 0x0fff, uint32(n.id), t, f)
	}
	next := a.test(bpf.JumpEqual, 0x9100, t, f)
	next = a.test(bpf.JumpEqual, 0x88a8, t, next)
	a.at(a.test(bpf.JumpEqual, 0x8100, t, next))
	return a.put(bpf.LoadAbsolute{Off: h.typ, Size: 2})
}

// ends tests source and destination as a direction says.
func (a *assembler) ends(dir direction, t, f int, test func(dst bool, t, f int) int) int {
	source := func(t, f int) int { return test(false, t, f) }
	destination := func(t, f int) int { return test(true, t, f) }
	switch dir {
	case src:
		return source(t, f)
	case dst:
		return destination(t, f)
	case both:
		return a.all(t, f, source, destination)
	}
	return a.any(t, f, source, destination)
}

func (n host) emit(a *assembler, t, f int) int {
	ip := a.network(n.depth)
	// in tests the addresses of a protocol, at two offsets.
	in := func(typ, srcOff, dstOff uint32) func(t, f int) int {
		return func(t, f int) int {
			return a.all(t, f,
				func(t, f int) int { return a.carries(n.depth, typ, t, f) },
				func(t, f int) int {
					return a.ends(n.dir, t, f, func(dst bool, t, f int) int {
						if dst {
							return a.prefix(ip+dstOff, n.net, t, f)
						}
						return a.prefix(ip+srcOff, n.net, t, f)
					})
				})
		}
	}
	if !n.net.Addr().Is4() {
		return in(typeIPv6, 8, 24)(t, f)
	}
	switch n.proto {
	case "ip":
		return in(typeIPv4, 12, 16)(t, f)
	case "arp":
		return in(typeARP, 14, 24)(t, f)
	}
	return a.any(t, f, in(typeIPv4, 12, 16), in(typeARP, 14, 24), in(0x8035, 14, 24)) // the last is RARP
}

// prefix tests the address at an offset, 32 bits at a time.
func (a *assembler) prefix(off uint32, net netip.Prefix, t, f int) int {
	b := net.Addr().AsSlice()
	var tests []func(t, f int) int
	for i := 0; i < len(b); i += 4 {
		at, val, mask := off+uint32(i), binary.BigEndian.Uint32(b[i:]), ^uint32(0)
		switch left := net.Bits() - 8*i; {
		case left <= 0: // the address must be there all the same
			tests = append(tests, func(t, _ int) int {
				a.at(t)
				return a.put(bpf.LoadAbsolute{Off: at, Size: 4})
			})
			continue
		case left < 32:
			mask <<= 32 - left
		}
		tests = append(tests, func(t, f int) int { return a.equal(at, 4, mask, val, t, f) })
	}
	return a.all(t, f, tests...)
}

func (n port) emit(a *assembler, t, f int) int {
	protos := []uint32{6, 17, 132}
	switch n.proto {
	case "tcp":
		protos = []uint32{6}
	case "udp":
		protos = []uint32{17}
	}
	ip := a.network(n.depth)
	// is goes on at t if the protocol number at an offset is one of protos.
	is := func(off uint32, t, f int) int {
		for _, v := range slices.Backward(protos) {
			f = a.test(bpf.JumpEqual, v, t, f)
		}
		a.at(f)
		return a.put(bpf.LoadAbsolute{Off: off, Size: 1})
	}
	within := func(load bpf.Instruction, t, f int) int {
		if n.lo == n.hi {
			a.test(bpf.JumpEqual, uint32(n.lo), t, f)
		} else {
			a.at(a.test(bpf.JumpGreaterOrEqual, uint32(n.lo), a.test(bpf.JumpGreaterThan, uint32(n.hi), f, t), f))
		}
		return a.put(load)
	}
	v4 := func(t, f int) int {
		t = a.ends(n.dir, t, f, func(dst bool, t, f int) int {
			off := ip
			if dst {
				off += 2
			}
			return within(bpf.LoadIndirect{Off: off, Size: 2}, t, f)
		})
		a.at(t)
		t = a.put(bpf.LoadMemShift{Off: ip})
		a.test(bpf.JumpBitsSet, 0x1fff, f, t)
		t = a.put(bpf.LoadAbsolute{Off: ip + 6, Size: 2})
		t = is(ip+9, t, f)
		return a.carries(n.depth, typeIPv4, t, f)
	}
	v6 := func(t, f int) int {
		t = a.ends(n.dir, t, f, func(dst bool, t, f int) int {
			off := ip + 40
			if dst {
				off += 2
			}
			return within(bpf.LoadAbsolute{Off: off, Size: 2}, t, f)
		})
		t = is(ip+6, t, f)
		return a.carries(n.depth, typeIPv6, t, f)
	}
	return a.any(t, f, v4, v6)
}
