// Package shard decodes a source's packets and deals the segments out to
// workers, each connection to one worker, in capture order. It knows nothing
// of what the workers do.
package shard

import (
	"errors"
	"io"
	"sync"

	"github.com/connlint/connlint/capture"
)

// Options of Run.
type Options struct {
	Decoder capture.DecoderOptions
	// Progress, if set, is called every few thousand packets from Run's
	// goroutine.
	Progress func(capture.Info)
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
)

// batch is a run of segments for one worker, with holds on the blocks their
// bytes are in.
type batch struct {
	segs   []capture.Segment
	blocks []*capture.Block
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
	clear(b.segs)
	b.segs, b.blocks = b.segs[:0], b.blocks[:0]
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
		err := r.run(func(s *capture.Segment, _ *capture.Block) { work(s) })
		return r.totals, err
	}
	d := newDealer(workers)
	err := r.run(d.deal)
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
}

func (r *reader) run(deal func(*capture.Segment, *capture.Block)) error {
	var p capture.Packet
	var s capture.Segment
	t := &r.totals
	var err error
	for {
		if err = r.src.Next(&p); err != nil {
			break
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
		if r.opts.Progress != nil && t.Packets%progressEvery == 0 {
			r.opts.Progress(r.src.Info())
		}
		if !r.dec.Decode(&p, &s) {
			continue
		}
		if r.copies.Seen(&s) {
			r.dec.Skipped[capture.Copy]++
			continue
		}
		s.Now = t.Last
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

func newDealer(workers []func(*capture.Segment)) *dealer {
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
				b.release()
				d.free <- b
			}
		})
	}
	return d
}

func (d *dealer) deal(s *capture.Segment, block *capture.Block) {
	// The table uses the low half of the hash; the shard the high half, scaled
	// without a division.
	i := int(uint64(uint32(s.Hash>>32)) * uint64(len(d.next)) >> 32)
	b := d.next[i]
	b.add(s, block)
	if len(b.segs) == batchSegments {
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
