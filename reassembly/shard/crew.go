package shard

import (
	"sync"

	"github.com/connlint/connlint/capture"
)

const (
	crewBatches = 4
	crewPieces  = 3 // read ahead
)

// crew is two workers that take turns at reading and decoding: a goroutine of
// its own for that would share their cores, and hand over every byte to another
// core's cache. So half of the segments are worked where they were read.
//
// Whoever decodes is alone in that, and has the lead. Who has nothing else to
// do reads ahead meanwhile, where the source can do that, and sleeps only if
// enough was. A worker that sleeps costs as much to wake as a small batch.
type crew struct {
	r       *reader
	ahead   capture.Ahead // r.src, nil if nothing is read ahead
	workers []func(*capture.Segment)

	mu      sync.Mutex // held for moments: not while reading or working
	batches [crewBatches]*batch
	decoded uint64    // batches so far
	done    [2]uint64 // of these, by each worker
	leading bool
	ended   bool
	within  bool   // the piece at hand is not at its end
	turn    uint64 // the piece behind that
	claimed uint64 // pieces that are read or being read
	ready   [crewPieces]bool
	asleep  [2]bool
	wake    [2]chan struct{}
}

// pair works with a crew of two.
func pair(r *reader, workers []func(*capture.Segment)) {
	c := &crew{r: r, workers: workers}
	if a, ok := r.src.(capture.Ahead); ok && a.Pieces() {
		c.ahead, r.pausing = a, true
	}
	for i := range c.batches {
		c.batches[i] = newBatch(len(workers))
	}
	for i := range c.wake {
		c.wake[i] = make(chan struct{}, 1)
	}
	var other sync.WaitGroup
	other.Go(func() { c.run(1) })
	c.run(0)
	other.Wait()
}

func (c *crew) run(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		mine, others := c.decoded-c.done[i], c.decoded-c.done[1-i]
		switch {
		// Who has work left decodes only if the other has none.
		case (mine == 0 || others == 0) && max(mine, others) < crewBatches && c.decodable():
			c.lead()
			c.rouse(1 - i)
		case mine > 0:
			c.work(i)
			if mine == crewBatches {
				c.rouse(1 - i)
			}
		case c.ended:
			return
		case c.ahead != nil && c.claimed < c.turn+crewPieces:
			c.read()
		default:
			c.asleep[i] = true
			c.mu.Unlock()
			<-c.wake[i]
			c.mu.Lock()
		}
	}
}

// The methods below are called with c.mu held.

func (c *crew) rouse(i int) {
	if c.asleep[i] {
		c.asleep[i] = false
		c.wake[i] <- struct{}{}
	}
}

func (c *crew) decodable() bool {
	if c.leading || c.ended {
		return false
	}
	return c.ahead == nil || c.within || c.turn < c.claimed && c.ready[c.turn%crewPieces]
}

// lead decodes the next batch.
func (c *crew) lead() {
	b := c.batches[c.decoded%crewBatches]
	c.leading = true
	c.mu.Unlock()
	more := c.r.fill(b)
	b.left.Store(2)
	c.mu.Lock()
	c.leading, c.ended = false, !more
	c.decoded++
	if c.ahead != nil {
		c.within, c.turn = !c.r.paused, c.ahead.Piece()
		c.claimed = max(c.claimed, c.turn)
	}
}

// work does worker i's part of its next batch.
func (c *crew) work(i int) {
	b := c.batches[c.done[i]%crewBatches]
	c.mu.Unlock()
	b.work(i, c.workers[i], &c.r.opts)
	if b.left.Add(-1) == 0 {
		b.release()
	}
	c.mu.Lock()
	c.done[i]++
}

// read reads a piece ahead.
func (c *crew) read() {
	n := c.claimed
	c.claimed++
	c.ready[n%crewPieces] = false
	c.mu.Unlock()
	c.ahead.ReadAhead(n)
	c.mu.Lock()
	c.ready[n%crewPieces] = true
}
