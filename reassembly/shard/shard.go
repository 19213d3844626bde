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
	// Progress, if set, is called every few thousand packets from Run's
	// goroutine.
	Progress func(capture.Info)
	// Tick, if set, is called for each worker, in its goroutine, whenever the
	// source is idle and every some thousand packets, with the same values for
	// all. No segment then waits for others to be handed over with.
	Tick func(worker int, t *Tick)
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
	progressEvery = 1 << 12
	tickEvery     = 1 << 14
)

// batch is a run of segments for all workers, with holds on the blocks their
// bytes are in. Packets are decoded into it, and nothing is copied from there:
// each worker has a list of which are its own.
type batch struct {
	segs   []capture.Segment
	n      int        // segments in use
	lists  [][]uint16 // by worker, indices of segs
	blocks []*capture.Block
	tick   *Tick        // that comes after the segments, nil for none
	left   atomic.Int32 // workers that are not done with it
}

func newBatch(workers int) *batch {
	b := &batch{segs: make([]capture.Segment, min(workers*batchSegments, batchMost)), lists: make([][]uint16, workers)}
	for i := range b.lists {
		b.lists[i] = make([]uint16, 0, len(b.segs))
	}
	return b
}

// deal puts the segment behind those in use on its worker's list.
func (b *batch) deal(block *capture.Block) {
	if block != nil && (len(b.blocks) == 0 || b.blocks[len(b.blocks)-1] != block) {
		block.Retain()
		b.blocks = append(b.blocks, block)
	}
	// Not by the segment's hash, which differs from run to run: what a cap drops
	// depends on who shares a worker. Scaled without a division.
	w := uint64(b.segs[b.n].Flow.Spread()) * uint64(len(b.lists)) >> 32
	b.lists[w] = append(b.lists[w], uint16(b.n))
	b.n++
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
	b.n, b.blocks, b.tick = 0, b.blocks[:0], nil
}

// Run reads src to its end. Each segment goes to the worker that its
// connection hashes to; with one worker it is called in Run's goroutine, else
// each has one. A segment's slices are borrowed: valid until the worker
// returns. Run returns when all workers are done, with the source's error, nil
// at its end.
func Run(src capture.Source, workers []func(*capture.Segment), opts Options) (Totals, error) {
	r := reader{src: src, opts: opts, dec: capture.NewDecoder(opts.Decoder), batch: newBatch(len(workers))}
	if len(workers) == 1 {
		r.hand = func(b *batch) *batch {
			b.work(0, workers[0], opts.Tick)
			b.release()
			return b
		}
		err := r.run()
		return r.totals, err
	}
	d := newDealer(workers, opts.Tick)
	r.hand = d.hand
	err := r.run()
	d.finish()
	return r.totals, err
}

// work does what a batch holds for worker i.
func (b *batch) work(i int, work func(*capture.Segment), tick func(int, *Tick)) {
	for _, n := range b.lists[i] {
		work(&b.segs[n])
	}
	if b.tick != nil {
		tick(i, b.tick)
	}
}

// reader turns packets into segments.
type reader struct {
	src    capture.Source
	opts   Options
	dec    *capture.Decoder
	copies capture.Copies
	twins  capture.Twins
	totals Totals
	came   int64 // see Segment.Came
	before int64 // time of the packet before
	batch  *batch
	hand   func(*batch) *batch // hands a batch over to the workers and returns an empty one
}

func (r *reader) run() error {
	var p capture.Packet
	t := &r.totals
	var err error
	for {
		if err = r.src.Next(&p); err != nil {
			if !errors.Is(err, capture.ErrIdle) {
				break
			}
			if r.opts.Tick != nil {
				r.flush(r.now(true))
			}
			continue
		}
		t.Packets++
		switch {
		case t.Packets == 1:
			t.First, t.Last = p.Time, p.Time
		case p.Time >= t.Last:
			t.Last = p.Time
		default:
			r.back(&p)
		}
		if t.Packets > 1 {
			r.came = max(r.came, min(p.Time, r.before))
		}
		r.before = p.Time
		if r.opts.Progress != nil && t.Packets%progressEvery == 0 {
			r.opts.Progress(r.src.Info())
		}
		if r.opts.Tick != nil && t.Packets%tickEvery == 0 {
			r.flush(r.now(false)) // before this packet's segment: it belongs behind
		}
		b := r.batch
		s := &b.segs[b.n]
		if !r.dec.Decode(&p, s) {
			continue
		}
		if r.copies.Seen(s) {
			r.dec.Skipped[capture.Copy]++
			continue
		}
		s.Now, s.Came = t.Last, r.came
		s.Twin = r.twins.Observe(s)
		t.Segments++
		if b.deal(p.Block); b.n == len(b.segs) {
			r.flush(nil)
		}
	}
	r.flush(nil)
	r.dec.Finish()
	t.Skipped = r.dec.Skipped
	if r.opts.Progress != nil {
		r.opts.Progress(r.src.Info())
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// flush hands over all that is there, followed by t unless that is nil.
func (r *reader) flush(t *Tick) {
	r.batch.tick = t
	r.batch = r.hand(r.batch)
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

func newDealer(workers []func(*capture.Segment), tick func(int, *Tick)) *dealer {
	n := len(workers)
	d := &dealer{full: make([]chan *batch, n), free: make(chan *batch, batchesAhead+1)}
	for range cap(d.free) {
		d.free <- newBatch(n)
	}
	for i, work := range workers {
		d.full[i] = make(chan *batch, batchesAhead+2)
		d.done.Go(func() {
			for b := range d.full[i] {
				b.work(i, work, tick)
				if b.left.Add(-1) == 0 {
					b.release()
					d.free <- b
				}
			}
		})
	}
	return d
}

func (d *dealer) hand(b *batch) *batch {
	b.left.Store(int32(len(d.full)))
	for _, full := range d.full {
		full <- b
	}
	return <-d.free
}

func (d *dealer) finish() {
	for _, full := range d.full {
		close(full)
	}
	d.done.Wait()
}
