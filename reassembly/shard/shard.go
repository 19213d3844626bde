// Package shard decodes a source's packets and deals the segments out to
// workers, each connection to one worker, in capture order. It knows nothing
// of what the workers do.
package shard

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/connlint/connlint/capture"
)

// Options of Run.
type Options struct {
	Decoder capture.DecoderOptions
	// Progress, if set, is called every few thousand packets by whoever reads.
	Progress func(capture.Info)
	// Tick, if set, is called for each worker, in its goroutine, whenever the
	// source is idle and every some thousand packets, with the same values for
	// all. No segment then waits for others to be handed over with.
	Tick func(worker int, t *Tick)
	// Ahead, if set, is told which of segs a worker is given next, in its
	// goroutine: it may fetch for all of them at once what they will be looked
	// up in. Both are borrowed until it returns.
	Ahead func(worker int, segs []capture.Segment, next []uint16)
	// Clock, if set, gives the time, in nanoseconds since 1970-01-01 UTC, that
	// Tick.Now is to follow while the source is idle.
	Clock func() int64
}

// Tick is a point in the capture that all workers pass: all segments of the
// packets up to it were worked on, none of those behind it.
type Tick struct {
	Packets    uint64
	First, Now int64 // time of the first packet, and the latest time that has come; 0 before any
	Source     capture.Info
}

// Totals describe what was read.
type Totals struct {
	Packets     uint64
	Segments    uint64 // TCP segments dealt out
	First, Last int64  // earliest and latest capture time, nanoseconds since 1970-01-01 UTC
	Skipped     capture.Skipped

	ClockBack      uint64 // packets with an earlier time than one before them
	ClockBackFrame uint64 // the first of them
	ClockBackMax   int64  // largest step back, nanoseconds
}

// Sizes of batches: large enough that handing one over costs little against
// its segments, small enough that a few fit into a cache.
const (
	batchSegments = 256 // for each worker
	batchMost     = 2048
	batchesAhead  = 4
	aheadSegments = 32
	batchBytes    = 1 << 18 // of packets, unless the source is read in pieces
	inPlace       = 2       // workers up to which who reads a packet decodes it
	progressEvery = 1 << 12
	tickEvery     = 1 << 14
)

// batch is a run of segments for all workers, with holds on the blocks their
// bytes are in. Packets are decoded into it, and nothing is copied from there:
// each worker has a list of which are its own.
type batch struct {
	packets []lent // not decoded yet, where that is not done by the reader
	read    int    // packets in use
	segs    []capture.Segment
	n       int        // segments in use
	lists   [][]uint16 // by worker, indices of segs
	blocks  []*capture.Block
	tick    *Tick        // that comes after the segments, nil for none
	left    atomic.Int32 // workers that are not done with it
}

// lent is a packet with the clock's two hands as it came, see capture.Segment.
type lent struct {
	capture.Packet
	now, came int64
}

func newBatch(workers int) *batch {
	n := min(workers*batchSegments, batchMost)
	b := &batch{segs: make([]capture.Segment, n), lists: make([][]uint16, workers)}
	if workers > inPlace {
		b.packets = make([]lent, n)
	}
	for i := range b.lists {
		b.lists[i] = make([]uint16, 0, n)
	}
	return b
}

// hold keeps a block from being read into until the batch is released.
func (b *batch) hold(block *capture.Block) {
	if block != nil && (len(b.blocks) == 0 || b.blocks[len(b.blocks)-1] != block) {
		block.Retain()
		b.blocks = append(b.blocks, block)
	}
}

// release lets go of the blocks and empties the batch.
func (b *batch) release() {
	for i, bl := range b.blocks {
		bl.Release()
		b.blocks[i] = nil
	}
	for i := range b.lists {
		b.lists[i] = b.lists[i][:0]
	}
	b.read, b.n, b.blocks, b.tick = 0, 0, b.blocks[:0], nil
}

// Run reads src to its end. Each segment goes to the worker that its
// connection hashes to; with one worker it is called in Run's goroutine, else
// each has one, and with two they read in turns. A segment's slices are
// borrowed: valid until the worker returns. Run returns when all workers are
// done, with the source's error, nil at its end.
func Run(src capture.Source, workers []func(*capture.Segment), opts Options) (Totals, error) {
	v := &sieve{dec: capture.NewDecoder(opts.Decoder)}
	r := &reader{src: src, opts: opts}
	switch len(workers) {
	case 1:
		r.sieve = v
		r.run(newBatch(1), func(b *batch) *batch {
			b.work(0, workers[0], &opts)
			b.release()
			return b
		})
	case 2:
		r.sieve = v
		pair(r, workers)
	default:
		newDealer(workers, &opts).run(r, v)
	}
	v.dec.Finish()
	r.totals.Segments, r.totals.Skipped = v.segments, v.dec.Skipped
	return r.totals, r.err
}

// sieve makes segments of packets, leaves out what the capture holds twice and
// deals out the rest.
type sieve struct {
	dec      *capture.Decoder
	copies   capture.Copies
	twins    capture.Twins
	segments uint64
}

// take takes the next packet of the capture into b. The clock shows now, and
// came has surely come.
func (v *sieve) take(b *batch, p *capture.Packet, now, came int64) {
	s := &b.segs[b.n]
	if !v.dec.Decode(p, s) {
		return
	}
	if v.copies.Seen(s) {
		v.dec.Skipped[capture.Copy]++
		return
	}
	s.Now, s.Came = now, came
	s.Twin = v.twins.Observe(s)
	v.segments++
	// Not by the segment's hash, which differs from run to run: what a cap drops
	// depends on who shares a worker. Scaled without a division.
	w := uint64(s.Flow.Spread()) * uint64(len(b.lists)) >> 32
	b.lists[w] = append(b.lists[w], uint16(b.n))
	b.n++
}

// work does what a batch holds for worker i.
func (b *batch) work(i int, work func(*capture.Segment), opts *Options) {
	for list := b.lists[i]; len(list) > 0; {
		next := list[:min(len(list), aheadSegments)]
		list = list[len(next):]
		if opts.Ahead != nil {
			opts.Ahead(i, b.segs, next)
		}
		for _, n := range next {
			work(&b.segs[n])
		}
	}
	if b.tick != nil {
		opts.Tick(i, b.tick)
	}
}

// reader reads packets, and decodes them if nobody else does.
type reader struct {
	src     capture.Source
	opts    Options
	sieve   *sieve // nil where another goroutine decodes
	pausing bool   // src says where batches end

	totals Totals
	came   int64 // see Segment.Came
	before int64 // time of the packet before
	packet capture.Packet
	kept   bool  // packet belongs to the next batch
	paused bool  // src has just said so
	err    error // why src ended, nil at its end
}

// run reads to the end, batch by batch. It calls hand to hand a batch over and
// get an empty one.
func (r *reader) run(b *batch, hand func(*batch) *batch) {
	for r.fill(b) {
		b = hand(b)
	}
	hand(b)
}

// fill reads packets into b until it holds enough, or is to be handed over with
// what it holds. It returns false when the source has ended.
func (r *reader) fill(b *batch) bool {
	p, t := &r.packet, &r.totals
	bytes := 0
	r.paused = false
	if r.kept {
		r.kept = false
		bytes += r.take(b)
	}
	for {
		if err := r.src.Next(p); err != nil {
			switch {
			case errors.Is(err, capture.ErrPause):
				r.paused = true
				return true
			case errors.Is(err, capture.ErrIdle):
				if r.opts.Tick == nil {
					continue
				}
				b.tick = r.now(true)
				return true
			}
			if r.opts.Progress != nil {
				r.opts.Progress(r.src.Info())
			}
			if !errors.Is(err, io.EOF) {
				r.err = err
			}
			return false
		}
		t.Packets++
		switch {
		case t.Packets == 1:
			t.First, t.Last = p.Time, p.Time
		case p.Time >= t.Last:
			t.Last = p.Time
		default:
			r.back(p)
		}
		if t.Packets > 1 {
			r.came = max(r.came, min(p.Time, r.before))
		}
		r.before = p.Time
		if r.opts.Progress != nil && t.Packets%progressEvery == 0 {
			r.opts.Progress(r.src.Info())
		}
		if r.opts.Tick != nil && t.Packets%tickEvery == 0 {
			b.tick, r.kept = r.now(false), true // before this packet's segment: it belongs behind
			return true
		}
		bytes += r.take(b)
		if max(b.n, b.read) == len(b.segs) || bytes >= batchBytes && !r.pausing {
			return true
		}
	}
}

// take puts the packet at hand into b, and returns its length.
func (r *reader) take(b *batch) int {
	p := &r.packet
	b.hold(p.Block)
	if r.sieve != nil {
		r.sieve.take(b, p, r.totals.Last, r.came)
	} else {
		b.packets[b.read] = lent{*p, r.totals.Last, r.came}
		b.read++
	}
	return len(p.Data)
}

// now returns the tick at hand.
func (r *reader) now(idle bool) *Tick {
	t := &Tick{Packets: r.totals.Packets, First: r.totals.First, Now: r.totals.Last, Source: r.src.Info()}
	if idle && r.opts.Clock != nil && t.Packets > 0 {
		// Packets may lie in the kernel for a moment: time has not come for them.
		const late = int64(time.Second)
		t.Now = max(t.Now, r.opts.Clock()-late)
	}
	return t
}

// back notes a packet whose time lies before that of an earlier one.
func (r *reader) back(p *capture.Packet) {
	t := &r.totals
	t.ClockBack++
	if t.ClockBackFrame == 0 {
		t.ClockBackFrame = p.Frame
	}
	t.ClockBackMax = max(t.ClockBackMax, t.Last-p.Time)
	t.First = min(t.First, p.Time)
}

// dealer hands batches to workers' goroutines.
type dealer struct {
	full []chan *batch // to each worker
	free chan *batch
	done sync.WaitGroup
}

func newDealer(workers []func(*capture.Segment), opts *Options) *dealer {
	n := len(workers)
	d := &dealer{full: make([]chan *batch, n), free: make(chan *batch, batchesAhead+2)}
	for range cap(d.free) {
		d.free <- newBatch(n)
	}
	for i, work := range workers {
		d.full[i] = make(chan *batch, batchesAhead+2)
		d.done.Go(func() {
			for b := range d.full[i] {
				b.work(i, work, opts)
				if b.left.Add(-1) == 0 {
					b.release()
					d.free <- b
				}
			}
		})
	}
	return d
}

// give hands a batch to the workers.
func (d *dealer) give(b *batch) {
	b.left.Store(int32(len(d.full)))
	for _, full := range d.full {
		full <- b
	}
}

// run reads in this goroutine, and decodes for the workers in one of its own.
// Many workers wait for the reader: what it need not do itself is done beside
// it.
func (d *dealer) run(r *reader, v *sieve) {
	full := make(chan *batch, 1)
	d.done.Go(func() {
		for b := range full {
			for i := range b.packets[:b.read] {
				p := &b.packets[i]
				v.take(b, &p.Packet, p.now, p.came)
			}
			d.give(b)
		}
		for _, full := range d.full {
			close(full)
		}
	})
	r.run(<-d.free, func(b *batch) *batch {
		full <- b
		return <-d.free
	})
	close(full)
	d.done.Wait()
}
