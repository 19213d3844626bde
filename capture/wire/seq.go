// Package wire views the bytes of a packet as the headers they are: Ethernet,
// VLAN tags, Linux cooked captures, IPv4, IPv6 and TCP.
//
// A header is a named byte slice with one accessor a field. Bounds are proven
// once, where a view is made; accessors then trust them. Nothing here copies
// or allocates.
package wire

// Seq is a TCP sequence number. It wraps: compare with the methods, never
// with < (RFC 9293 §3.4).
type Seq uint32

// Less reports whether s comes before t, less than half the space away.
func (s Seq) Less(t Seq) bool { return int32(s-t) < 0 }

// LessEq reports whether s is t or comes before it.
func (s Seq) LessEq(t Seq) bool { return int32(s-t) <= 0 }

// Add returns the sequence number n bytes after s.
func (s Seq) Add(n int) Seq { return s + Seq(uint32(n)) }

// Sub returns how many bytes s is after t; negative when it is before.
func (s Seq) Sub(t Seq) int { return int(int32(s - t)) }

// Max returns the later of s and t.
func (s Seq) Max(t Seq) Seq {
	if s.Less(t) {
		return t
	}
	return s
}

// Flags are the control bits of a TCP header (RFC 9293 §3.1).
type Flags uint8

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Has reports whether all bits of m are set.
func (f Flags) Has(m Flags) bool { return f&m == m }

// Any reports whether a bit of m is set.
func (f Flags) Any(m Flags) bool { return f&m != 0 }

// String spells the flags as tcpdump does, "S", "S.", "P.", "F.", "R.".
func (f Flags) String() string {
	var b [8]byte
	n := 0
	for i, c := range [...]byte{'F', 'S', 'R', 'P', 0, 'U', 'E', 'W'} {
		if c != 0 && f&(1<<i) != 0 {
			b[n] = c
			n++
		}
	}
	if f&ACK != 0 {
		b[n] = '.'
		n++
	}
	if n == 0 {
		return "none"
	}
	return string(b[:n])
}
