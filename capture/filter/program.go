package filter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// Program is a BPF program in the kernel's form. Those of this package are
// valid: every jump leads forward to an instruction, and the last returns.
type Program []bpf.RawInstruction

// Parts of an instruction's code, as in <linux/bpf_common.h>.
const (
	classLD = iota
	classLDX
	classST
	classSTX
	classALU
	classJMP
	classRET
	classMISC

	modeIMM = 0x00
	modeABS = 0x20
	modeIND = 0x40
	modeMEM = 0x60
	modeLEN = 0x80
	modeMSH = 0xa0

	sizeW = 0x00
	sizeH = 0x08
	sizeB = 0x10

	sourceX = 0x08
	retA    = 0x10
	miscTXA = 0x80
)

// Match runs the program on the captured bytes of a packet that had wire bytes.
// A load beyond them ends it: no match. It does not allocate.
func (p Program) Match(data []byte, wire int) bool {
	if len(p) == 0 {
		return true
	}
	return p.run(data, wire) != 0
}

func (p Program) run(data []byte, wire int) uint32 {
	var a, x uint32
	var mem [16]uint32
	for pc := 0; pc < len(p); pc++ {
		i := &p[pc]
		switch i.Op & 7 {
		case classLD:
			switch i.Op & 0xe0 {
			case modeIMM:
				a = i.K
			case modeMEM:
				a = mem[i.K&15]
			case modeLEN:
				a = uint32(wire)
			default:
				off := uint64(i.K)
				if i.Op&0xe0 == modeIND {
					off += uint64(x)
				}
				switch i.Op & 0x18 {
				case sizeW:
					if off+4 > uint64(len(data)) {
						return 0
					}
					a = binary.BigEndian.Uint32(data[off:])
				case sizeH:
					if off+2 > uint64(len(data)) {
						return 0
					}
					a = uint32(binary.BigEndian.Uint16(data[off:]))
				default:
					if off >= uint64(len(data)) {
						return 0
					}
					a = uint32(data[off])
				}
			}
		case classLDX:
			switch i.Op & 0xe0 {
			case modeIMM:
				x = i.K
			case modeMEM:
				x = mem[i.K&15]
			case modeLEN:
				x = uint32(wire)
			default: // modeMSH
				if uint64(i.K) >= uint64(len(data)) {
					return 0
				}
				x = uint32(data[i.K]&0xf) << 2
			}
		case classST:
			mem[i.K&15] = a
		case classSTX:
			mem[i.K&15] = x
		case classALU:
			v := i.K
			if i.Op&sourceX != 0 {
				v = x
			}
			switch i.Op & 0xf0 {
			case 0x00:
				a += v
			case 0x10:
				a -= v
			case 0x20:
				a *= v
			case 0x30:
				if v == 0 {
					return 0
				}
				a /= v
			case 0x40:
				a |= v
			case 0x50:
				a &= v
			case 0x60:
				a <<= v
			case 0x70:
				a >>= v
			case 0x80:
				a = -a
			case 0x90:
				if v == 0 {
					return 0
				}
				a %= v
			case 0xa0:
				a ^= v
			}
		case classJMP:
			if i.Op&0xf0 == 0 {
				pc += int(i.K)
				continue
			}
			v := i.K
			if i.Op&sourceX != 0 {
				v = x
			}
			var yes bool
			switch i.Op & 0xf0 {
			case 0x10:
				yes = a == v
			case 0x20:
				yes = a > v
			case 0x30:
				yes = a >= v
			default:
				yes = a&v != 0
			}
			if yes {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		case classRET:
			if i.Op&0x18 == retA {
				return a
			}
			return i.K
		default:
			if i.Op&0xf8 == miscTXA {
				a = x
			} else {
				x = a
			}
		}
	}
	return 0
}

// validate reports why a program cannot be run.
func (p Program) validate() error {
	if len(p) == 0 || len(p) > maxInstructions {
		return fmt.Errorf("a program has 1 to %d instructions, this %d", maxInstructions, len(p))
	}
	for n, i := range p {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("instruction %d: %s", n, fmt.Sprintf(format, args...))
		}
		left := uint64(len(p) - n - 1)
		ok := true
		switch i.Op & 7 {
		case classLD:
			switch i.Op & 0xe0 {
			case modeABS:
				if i.K >= 0xffe00000 { // SKF_LL_OFF and up
					return fail("it asks the kernel about a live packet (offset %d): compile it for a file of the same link type", int32(i.K))
				}
				ok = i.Op&0x18 != 0x18
			case modeIND:
				ok = i.Op&0x18 != 0x18
			case modeMEM:
				ok = i.K < 16
			case modeIMM, modeLEN:
				ok = i.Op&0x18 == 0
			default:
				ok = false
			}
		case classLDX:
			switch i.Op {
			case classLDX | modeIMM, classLDX | modeLEN, classLDX | modeMSH | sizeB:
			case classLDX | modeMEM:
				ok = i.K < 16
			default:
				ok = false
			}
		case classST, classSTX:
			ok = i.Op < 8 && i.K < 16
		case classALU:
			op := i.Op & 0xf0
			ok = op <= 0xa0 && i.Op < 0x100
			if (op == 0x30 || op == 0x90) && i.Op&sourceX == 0 && i.K == 0 {
				return fail("it divides by zero")
			}
		case classJMP:
			ok = i.Op < 0x50 && (i.Op&0xf0 != 0 || i.Op == classJMP)
			if ok && (i.Op == classJMP && uint64(i.K) >= left || i.Op != classJMP && uint64(max(i.Jt, i.Jf)) >= left) {
				return fail("it jumps behind the end")
			}
		case classRET:
			ok = i.Op == classRET || i.Op == classRET|retA
		default:
			ok = i.Op == classMISC || i.Op == classMISC|miscTXA
		}
		if !ok || i.Op > 0xff {
			return fail("no BPF instruction has code %d", i.Op)
		}
	}
	if p[len(p)-1].Op&7 != classRET {
		return errors.New("the last instruction does not return")
	}
	return nil
}

// ReadDDD reads a program as tcpdump -ddd prints it: the number of
// instructions, then on a line each the code, both jumps and the constant. The
// program is for packets of the link type that tcpdump compiled it for.
func ReadDDD(r io.Reader) (Program, error) {
	in := bufio.NewScanner(io.LimitReader(r, 1<<20))
	var p Program
	want, line := -1, 0
	for in.Scan() {
		line++
		f := strings.Fields(in.Text())
		if len(f) == 0 {
			continue
		}
		if want < 0 {
			n, err := strconv.ParseUint(f[0], 10, 16)
			if err != nil || len(f) != 1 || n == 0 || n > maxInstructions {
				return nil, fmt.Errorf("line %d: %q is no number of instructions; is this the output of tcpdump -ddd?", line, in.Text())
			}
			want = int(n)
			continue
		}
		var v [4]uint64
		ok := len(f) == 4
		for i, bits := range []int{16, 8, 8, 32} {
			if !ok {
				break
			}
			var err error
			v[i], err = strconv.ParseUint(f[i], 10, bits)
			ok = err == nil
		}
		if !ok {
			return nil, fmt.Errorf("line %d: %q is no instruction: four numbers are", line, in.Text())
		}
		if len(p) == want {
			return nil, fmt.Errorf("line %d: more instructions than the %d announced", line, want)
		}
		p = append(p, bpf.RawInstruction{Op: uint16(v[0]), Jt: uint8(v[1]), Jf: uint8(v[2]), K: uint32(v[3])})
	}
	switch {
	case in.Err() != nil:
		return nil, in.Err()
	case want < 0:
		return nil, errors.New("it is empty; the output of tcpdump -ddd is expected")
	case len(p) < want:
		return nil, fmt.Errorf("%d instructions announced, %d there", want, len(p))
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}
