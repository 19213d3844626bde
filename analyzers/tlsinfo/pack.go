package tlsinfo

import "github.com/connlint/connlint/reassembly"

// Pack writes the state. What there is of TLS stays where it is: its place is
// written.
func (t *State) Pack(p *reassembly.Packer, pool *Pool) {
	if t.s == nil {
		p.Uint(0)
		return
	}
	if len(pool.parked) == 0 {
		pool.parked = append(pool.parked, nil) // 0 is none
	}
	i := len(pool.parked)
	if n := len(pool.places); n > 0 {
		i, pool.places = int(pool.places[n-1]), pool.places[:n-1]
		pool.parked[i] = t.s
	} else {
		pool.parked = append(pool.parked, t.s)
	}
	p.Uint(uint64(i))
	t.s = nil
}

// Unpack reads what Pack wrote, into a zero state.
func (t *State) Unpack(u *reassembly.Unpacker, pool *Pool) {
	if i := u.Uint(); i != 0 {
		t.s, pool.parked[i] = pool.parked[i], nil
		pool.places = append(pool.places, uint32(i))
	}
}
