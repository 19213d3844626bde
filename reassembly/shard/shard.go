// Package shard decodes a source's packets and deals the segments out to
// workers, each connection to one worker, in capture order. It knows nothing
// of what the workers do.
package shard

import (
	"errors"
	"io"
	"sync"
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
	batchSegments = 256
	batchesAhead  = 4
	progressEvery = 1 << 12
	tickEvery     = 1 << 14
)

// batch is a run of segments for one worker, with holds on the blocks their
// bytes are in.
type batch struct {
	segs   []capture.Segment
	blocks []*capture.Block
	tick   *Tick // that comes after the segments, nil for none
}

func (b *batch) add(s *capture.Segment, block *capture.Block) {
	if block != nil && (len(b.blocks) == 0 || b.blocks[len(b.blocks)-1] != block) {
		block.Retain()
		b.blocks = append(b.blocks, block)
	}
	b.segs = append(b.segs, *s)
}

// release lets go of the blocks and empties the batch.
func (b *batch) release() {
	for i, bl := range b.blocks {
		bl.Release()
		b.blocks[i] = nil
	}
	b.segs, b.blocks, b.tick = b.segs[:0], b.blocks[:0], nil
}

// Run reads src to its end. Each segment goes to the worker that its
// connection hashes to; with one worker it is called in place, else each has
// a goroutine. A segment's slices are borrowed: valid until the worker
// returns. Run returns when all workers are done, with the source's error, nil
// at its end.
func Run(src capture.Source, workers []func(*capture.Segment), opts Options) (Totals, error) {
	r := reader{src: src, opts: opts, dec: capture.NewDecoder(opts.Decoder)}
	if len(workers) == 1 {
		work := workers[0]
		err := r.run(func(s *capture.Segment, _ *capture.Block) { work(s) }, func(t *Tick) { opts.Tick(0, t) })
		return r.totals, err
	}
	d := newDealer(workers, opts.Tick)
	err := r.run(d.deal, d.tick)
	d.finish()
	return r.totals, err
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
}

func (r *reader) run(deal func(*capture.Segment, *capture.Block), tick func(*Tick)) error {
	var p capture.Packet
	var s capture.Segment
	t := &r.totals
	var err error
	for {
		if err = r.src.Next(&p); err != nil {
			if !errors.Is(err, capture.ErrIdle) {
				break
			}
			if r.opts.Tick != nil {
				tick(r.now(true))
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
			tick(r.now(false)) // before this packet's segment: it belongs behind
		}
		if !r.dec.Decode(&p, &s) {
			continue
		}
		if r.copies.Seen(&s) {
			r.dec.Skipped[capture.Copy]++
			continue
		}
		s.Now, s.Came = t.Last, r.came
		s.Twin = r.twins.Observe(&s)
		t.Segments++
		deal(&s, p.Block)
	}
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
	next []*batch      // being filled, by worker
	full []chan *batch // to each worker
	free chan *batch
	done sync.WaitGroup
}

func newDealer(workers []func(*capture.Segment), tick func(int, *Tick)) *dealer {
	n := len(workers)
	d := &dealer{next: make([]*batch, n), full: make([]chan *batch, n), free: make(chan *batch, n*(batchesAhead+2))}
	for range cap(d.free) {
		d.free <- &batch{segs: make([]capture.Segment, 0, batchSegments)}
	}
	for i, work := range workers {
		d.next[i] = <-d.free
		d.full[i] = make(chan *batch, batchesAhead)
		d.done.Go(func() {
			for b := range d.full[i] {
				for j := range b.segs {
					work(&b.segs[j])
				}
				if b.tick != nil {
					tick(i, b.tick)
				}
				b.release()
				d.free <- b
			}
		})
	}
	return d
}

func (d *dealer) deal(s *capture.Segment, block *capture.Block) {
	// Not by the segment's hash, which differs from run to run: what a cap drops
	// depends on who shares a worker. Scaled without a division.
	i := int(uint64(s.Flow.Spread()) * uint64(len(d.next)) >> 32)
	b := d.next[i]
	b.add(s, block)
	if len(b.segs) == batchSegments {
		d.full[i] <- b
		d.next[i] = <-d.free
	}
}

// tick hands over all that is there, followed by t.
func (d *dealer) tick(t *Tick) {
	for i, b := range d.next {
		b.tick = t
		d.full[i] <- b
		d.next[i] = <-d.free
	}
}

func (d *dealer) finish() {
	for i, b := range d.next {
		d.full[i] <- b
		close(d.full[i])
	}
	d.done.Wait()
}
