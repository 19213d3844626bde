package runner

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/reassembly/shard"
	"github.com/connlint/connlint/rules"
)

// Run reads src to its end and judges what it holds. It does not close src.
// The result is never nil: Result.Err says if src could not be read to its
// end.
func Run(src capture.Source, opts Options) *Result {
	if opts.Config == nil {
		opts.Config = rules.Defaults()
	}
	n := opts.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	judges := make([]*judge, n)
	workers := make([]func(*capture.Segment), n)
	bounds := reassembly.DefaultOptions()
	bounds.MaxConns = max(bounds.MaxConns/n, 1024)
	bounds.MaxTombs = max(bounds.MaxTombs/n, 1024)
	bounds.MaxHeld = max(bounds.MaxHeld/n, 1<<20)
	if opts.Stream != nil {
		opts.All = false
		bounds.IdleTimeout = cmp.Or(opts.Stream.IdleTimeout, streamIdle)
	}
	for i := range judges {
		j := newJudge(&opts, n)
		j.table = reassembly.NewTable(j.track, bounds)
		judges[i], workers[i] = j, j.table.Feed
	}
	if opts.Monitor != nil {
		opts.Monitor.attach(judges)
	}
	for _, j := range judges {
		if j.monitor != nil {
			j.table.PackAtRest(j.monitor.pack, j.monitor.unpack)
		} else {
			j.table.PackAtRest(j.track.Pack, j.track.Unpack)
		}
	}
	var st *stream
	if opts.Stream != nil {
		st = newStream(&opts, judges)
		if opts.Monitor != nil {
			opts.Monitor.stream.Store(st)
		}
	}
	for i, j := range judges {
		if j.monitor != nil {
			workers[i] = j.monitor.feed(j.table.Feed)
		}
	}
	so := shard.Options{Ahead: func(i int, segs []capture.Segment, next []uint16) { judges[i].table.Ahead(segs, next) }}
	if opts.Progress != nil {
		so.Progress = func(i capture.Info) { opts.Progress(int64(i.Bytes), i.Size) }
	}
	switch {
	case st != nil:
		so.Tick = func(i int, t *shard.Tick) { judges[i].tick(st, t) }
		so.Clock = opts.Stream.Clock
	case opts.Monitor != nil: // who looks on is not to wait for a batch to fill
		so.Tick = func(int, *shard.Tick) {}
	}
	totals, err := shard.Run(src, workers, so)
	var wg sync.WaitGroup
	for _, j := range judges {
		j.track.CaptureEnds(totals.Last)
		if j.monitor != nil {
			wg.Go(j.monitor.finish)
		} else {
			wg.Go(j.table.Finish)
		}
	}
	wg.Wait()
	info := src.Info()
	if st != nil {
		st.dropped = info.Dropped
		for _, j := range judges {
			j.deliver(st, nil)
		}
		maps.Copy(judges[0].servers, st.servers)
	}
	res := conclude(info, totals, err, judges, &opts)
	if st != nil {
		res.finish(st, judges[0])
	}
	res.doubt(info.Dropped)
	if opts.Monitor != nil {
		opts.Monitor.Conclude(res)
	}
	return res
}

// conclude brings the shards' results together.
func conclude(info capture.Info, totals shard.Totals, err error, judges []*judge, opts *Options) *Result {
	res := &Result{File: info.Name, Format: info.Format, Packets: totals.Packets, Bytes: info.Bytes,
		First: totals.First, Last: totals.Last, Skipped: map[string]uint64{}, Abstained: map[string]map[string]uint64{}, Err: err}
	for _, l := range info.LinkTypes {
		res.LinkTypes = append(res.LinkTypes, l.String())
	}
	totals.Skipped.Reasons(func(r capture.Reason, n uint64) { res.Skipped[r.String()] = n })

	facts := &rules.CaptureFacts{Packets: totals.Packets, Bytes: info.Bytes, First: totals.First, Last: totals.Last,
		Dropped: info.Dropped, ClockBack: totals.ClockBack, ClockBackFrame: totals.ClockBackFrame,
		ClockBackMax: totals.ClockBackMax, MissingConns: map[lifecycle.Evidence]uint64{},
		FirstMissing: map[lifecycle.Evidence]uint64{}}
	var late, capped, evicted, idle, outOfWindow, ambiguous uint64
	for _, j := range judges {
		st := &j.table.Stats
		facts.Connections += st.Conns
		facts.Gaps += st.Gaps
		facts.GapBytes += st.GapBytes
		facts.GapFrame = firstOf(facts.GapFrame, st.FirstGap)
		facts.SnapCut += st.CutSegments
		facts.SnapCutFrame = firstOf(facts.SnapCutFrame, st.FirstCut)
		facts.HTTPConns += j.track.Totals.HTTPConns
		facts.TLSConns += j.track.Totals.TLSConns
		res.HTTP2Connections += j.track.Totals.HTTP2Conns
		http := j.track.HTTPStats()
		res.Requests += http.Requests
		res.Responses += http.Responses
		late += st.Late
		capped += st.HeldTooMuch
		evicted += st.Evicted
		idle += st.IdleEvicted
		outOfWindow += st.OutOfWindow
		ambiguous += st.Ambiguous
	}
	res.TCPConnections, res.HTTPConnections, res.TLSConnections = facts.Connections, facts.HTTPConns, facts.TLSConns
	for _, c := range []struct {
		name string
		n    uint64
	}{
		{"after-close", late}, {"buffer-cap", capped}, {"connection-cap", evicted}, {"idle-timeout", idle}, {"out-of-window", outOfWindow},
		{"ambiguous", ambiguous},
	} {
		if c.n > 0 {
			res.Skipped[c.name] = c.n
		}
	}
	var re *capture.ReadError
	if errors.As(err, &re) {
		facts.Cut, facts.CutFrame, facts.CutReason = true, totals.Packets, re.Reason
	}

	total := judges[0]
	for _, j := range judges[1:] {
		total.merge(j)
		if opts.Monitor == nil {
			*j = judge{firsts: j.firsts} // all else may be collected
		}
	}
	for missing, l := range total.missing {
		for m := missing; m != 0; m &= m - 1 {
			bit := m & -m
			facts.MissingConns[bit] += l.conns
			facts.FirstMissing[bit] = firstOf(facts.FirstMissing[bit], l.first)
		}
	}
	facts.Servers = total.servers
	total.judgeAcross(facts, true)
	res.Groups = total.extra
	for a, n := range total.abstains {
		name := opts.Rules[a.rule].Name
		if res.Abstained[name] == nil {
			res.Abstained[name] = map[string]uint64{}
		}
		a.why.Reasons(func(why string) { res.Abstained[name][why] += n })
	}
	res.Findings = total.found.list(opts.Rules)
	if opts.Stream == nil {
		number(res.Findings, judges)
	}
	return res
}

// judgeAcross judges across connections, and the capture itself if that is
// over, and settles what hung on it.
func (j *judge) judgeAcross(facts *rules.CaptureFacts, over bool) {
	j.at(nil)
	for i, r := range j.opts.Rules {
		p := &j.passes[i]
		p.Conn, p.Last, p.Totals = nil, nil, facts
		if g := j.groupers[i]; g != nil {
			p.Withdraw = func(conn uint64) { j.undecided.withdraw(i, conn) }
			g.Judge(p)
			p.Withdraw = nil
		}
		if r.Capture != nil && over {
			r.Capture(p, facts)
		}
	}
	for k := range j.undecided.list {
		j.settle(&j.undecided.list[k].pending)
	}
	j.found.across(j.across, &j.held, j.opts)
}

// finish reports what became certain at the end of a stream, and adds to the
// result what its windows found.
func (res *Result) finish(st *stream, total *judge) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.report(total.out.found)
	total.found.merge(&st.found)
	res.Findings = total.found.list(st.opts.Rules)
	st.number(res.Findings)
	if n := total.found.over; n > 0 {
		res.Skipped["finding-cap"] = n
	}
}

// firstOf returns the earlier of two frame numbers, 0 standing for none.
func firstOf(a, b uint64) uint64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// number fills in the connections' numbers: the rank of a connection's first
// frame among all, which is how Wireshark counts tcp.stream.
func number(list []Finding, judges []*judge) {
	rank := map[uint64]int{}
	for i := range list {
		if c := list[i].Conn; c != 0 {
			rank[c] = 0
		}
	}
	if len(rank) == 0 {
		return
	}
	ids := make([]uint64, 0, len(rank))
	for id := range rank {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, j := range judges {
		n, at, rest := 0, uint64(0), j.firsts
		for _, id := range ids {
			for len(rest) > 0 {
				d, size := binary.Uvarint(rest)
				if at+d >= id {
					break
				}
				at += d
				rest = rest[size:]
				n++
			}
			rank[id] += n
		}
	}
	for i := range list {
		if c := list[i].Conn; c != 0 {
			list[i].ConnNumber = rank[c]
		}
	}
}
