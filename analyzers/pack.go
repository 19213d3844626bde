package analyzers

import (
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
)

// Pack writes what is kept of a connection at rest, for a table's PackAtRest,
// and returns true. In the middle of a message, with a request outstanding or a
// window closed it returns false.
func (t *Tracker) Pack(c *Conn, p *reassembly.Packer) bool {
	s := &c.State
	if s.sniff != nil || !s.HTTP.AtRest() || !s.hops.AtRest() || !s.shut.Open() {
		return false
	}
	v := uint64(s.flags)
	if s.Twin {
		v |= 1 << 8
	}
	p.Uint(v | uint64(s.Tag)<<9)
	s.Life.Pack(p, known(c))
	n := nearTo(c)
	s.HTTP.Pack(p, &n.side, &n.request)
	s.stall.Pack(p, &n.data)
	s.turns.Pack(p, &t.times, &n.data[n.client], &n.data[n.client.Flip()])
	s.tls.Pack(p, &t.tls)
	return true
}

// Unpack reads what Pack wrote.
func (t *Tracker) Unpack(c *Conn, u *reassembly.Unpacker) {
	s := &c.State
	v := u.Uint()
	s.flags, s.Twin, s.Tag = stateFlags(v), v&(1<<8) != 0, uint32(v>>9)
	s.Life.Unpack(u, known(c))
	n := nearTo(c)
	s.HTTP.Unpack(u, &n.side, &n.request)
	s.stall.Unpack(u, &n.data)
	s.turns.Unpack(u, &t.times, &n.data[n.client], &n.data[n.client.Flip()])
	s.tls.Unpack(u, &t.tls)
}

func known(c *Conn) *lifecycle.Known {
	return &lifecycle.Known{ID: c.ID, LastFrame: c.LastFrame, Start: c.Start, Last: c.Last, Streams: &c.Streams}
}

// near is what the packed numbers of a connection are close to.
type near struct {
	side    [2]http1.Near // by side
	data    [2]http1.Mark
	request http1.Mark
	client  wire.Dir
}

func nearTo(c *Conn) (n near) {
	n.client, _ = c.State.Life.Client()
	n.data, n.request = c.State.Life.Near(c.ID)
	for side := range n.side {
		d := n.client ^ wire.Dir(side)
		n.side[side] = http1.Near{Seq: c.Streams[d].Nxt, Frame: n.data[d].Frame}
	}
	return n
}
