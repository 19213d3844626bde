package accum

// A chunked list grows by chunks once it is longer than one: to double a slice
// copies all of it, and leaves as much to collect.
const (
	chunkBits = 8
	chunkLen  = 1 << chunkBits
)

// chunked is a list whose values stay where they are while it grows.
type chunked[T any] struct {
	list []T   // the first of them: fewer than chunkLen, or what was flattened or read
	more [][]T // those behind, all chunks but the last full
	n    int
}

// at returns the i-th value, valid until the list is flattened.
func (c *chunked[T]) at(i int) *T {
	if i < len(c.list) {
		return &c.list[i]
	}
	i -= len(c.list)
	return &c.more[i>>chunkBits][i&(chunkLen-1)]
}

// push appends v.
func (c *chunked[T]) push(v T) *T {
	c.n++
	if len(c.more) == 0 && (len(c.list) < cap(c.list) || len(c.list) < chunkLen) {
		c.list = append(c.list, v)
		return &c.list[len(c.list)-1]
	}
	last := len(c.more) - 1
	if last < 0 || len(c.more[last]) == chunkLen {
		c.more = append(c.more, make([]T, 0, chunkLen))
		last++
	}
	c.more[last] = append(c.more[last], v)
	return &c.more[last][len(c.more[last])-1]
}

// parts calls f with all values, a slice at a time, in order.
func (c *chunked[T]) parts(f func([]T)) {
	f(c.list)
	for _, m := range c.more {
		f(m)
	}
}

// flat brings the values together in one slice, and returns it.
func (c *chunked[T]) flat() []T {
	if len(c.more) > 0 {
		all := make([]T, 0, c.n)
		c.parts(func(s []T) { all = append(all, s...) })
		c.list, c.more = all, nil
	}
	return c.list
}

// shorten lets go of the values from the n-th on.
func (c *chunked[T]) shorten(n int) {
	c.n = n
	if n <= len(c.list) {
		clear(c.list[n:])
		c.list, c.more = c.list[:n], nil
		return
	}
	n -= len(c.list)
	full := (n + chunkLen - 1) >> chunkBits
	clear(c.more[full:])
	c.more = c.more[:full]
	if rest := n & (chunkLen - 1); rest != 0 {
		clear(c.more[full-1][rest:])
		c.more[full-1] = c.more[full-1][:rest]
	}
}
