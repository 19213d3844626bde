package runner

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/reassembly/shard"
	"github.com/connlint/connlint/rules"
)

// MaxRows bounds the segments of a Trace.
const MaxRows = 200_000

// Row is one segment of a traced connection.
type Row struct {
	Frame    uint64
	Time     int64 // nanoseconds since 1970-01-01 UTC
	Side     http1.Side
	Flags    wire.Flags
	Seq, Ack int64 // counted from the side's first sequence number, as Wireshark does; Ack with the ACK flag
	Len      int   // payload bytes
	Window   uint32
	Kind     reassembly.Kind
	Heads    []string // start lines of the messages that begin in it, redacted as configured
	Findings []int    // those that name its frame, as indices into Trace.Findings
}

// Trace is one connection, segment by segment.
type Trace struct {
	Number int // as Wireshark's tcp.stream
	Conn   lifecycle.Conn
	Rows   []Row
	More   int // segments beyond MaxRows
	// Findings are those about the connection or one of its frames, a group
	// each; Measured is the first occurrence's.
	Findings []Finding
	Result   *Result // of the whole capture, each occurrence apart
}

// TraceConn judges src as Run does, and returns the connection with that
// number segment by segment. It is an error if there is none; what was read
// is in the Trace's Result all the same.
func TraceConn(src capture.Source, number int, opts Options) (*Trace, error) {
	opts.Workers, opts.All = 1, true // each occurrence has frames to mark
	t := &tracer{want: number, redact: &opts}
	opts.watch = t.head
	j := newJudge(&opts, 1)
	t.Tracker = j.track
	j.table = reassembly.NewTable[analyzers.State](t, reassembly.DefaultOptions())
	totals, err := shard.Run(src, []func(*capture.Segment){j.table.Feed}, shard.Options{})
	j.track.CaptureEnds(totals.Last)
	j.table.Finish()
	res := conclude(src.Info(), totals, err, []*judge{j}, &opts)
	tr := &t.trace
	tr.Number, tr.Result = number, res
	if t.id == 0 {
		switch t.opened {
		case 0:
			return tr, fmt.Errorf("%s has no TCP connection", res.File)
		case 1:
			return tr, fmt.Errorf("%s has no connection %d: its only one is number 0", res.File, number)
		}
		return tr, fmt.Errorf("%s has no connection %d: its %d connections are numbered from 0", res.File, number, t.opened)
	}
	tr.mark(res.Findings, t.id)
	return tr, nil
}

// Connection names one connection of a capture.
type Connection struct {
	ID   uint64 // frame of its first segment
	A, B netip.AddrPort
}

// TraceOnly traces the connection c of src as TraceConn does, but looks at its
// segments alone: it is quick, and finds only what rules about one connection
// find. Where src no longer has the connection's first segment, as a buffer of
// the latest packets may not, it is traced from the first that is left. The
// caller knows its number.
func TraceOnly(src capture.Source, c Connection, opts Options) (*Trace, error) {
	traces, err := TraceEach(src, []Connection{c}, opts)
	if tr := traces[0]; len(tr.Rows) > 0 || err != nil {
		return tr, err
	}
	return traces[0], errors.New("its packets are no longer there")
}

// TraceEach traces connections as TraceOnly does, all in one reading of src.
// The Trace of a connection that is not there has no Rows.
func TraceEach(src capture.Source, conns []Connection, opts Options) ([]*Trace, error) {
	opts.Workers, opts.All = 1, true
	opts.Monitor, opts.Stream, opts.Groups = nil, nil, nil
	opts.Rules = slices.DeleteFunc(slices.Clone(opts.Rules), func(r *rules.Rule) bool { return r.Group != nil || r.Capture != nil })
	tracers := make([]*tracer, len(conns))
	judges := make([]*judge, len(conns))
	byEnds := map[ends][]*judge{}
	for i := range conns {
		t := &tracer{want: -1, from: conns[i].ID, redact: &opts}
		own := opts
		own.watch = t.head
		j := newJudge(&own, 1)
		t.Tracker = j.track
		j.table = reassembly.NewTable[analyzers.State](t, reassembly.DefaultOptions())
		tracers[i], judges[i] = t, j
		a, b := flowAddr(conns[i].A), flowAddr(conns[i].B)
		to := ends{a, b, conns[i].A.Port(), conns[i].B.Port()}
		fro := ends{b, a, to.bPort, to.aPort}
		byEnds[to] = append(byEnds[to], j)
		if fro != to {
			byEnds[fro] = append(byEnds[fro], j)
		}
	}
	totals, err := shard.Run(src, []func(*capture.Segment){func(s *capture.Segment) {
		for _, j := range byEnds[ends{s.Flow.Src, s.Flow.Dst, s.Flow.SrcPort, s.Flow.DstPort}] {
			j.table.Feed(s)
		}
	}}, shard.Options{})
	traces := make([]*Trace, len(conns))
	for i, t := range tracers {
		judges[i].table.Finish()
		t.trace.Result = conclude(src.Info(), totals, err, judges[i:i+1], judges[i].opts)
		if t.id != 0 {
			t.trace.mark(t.trace.Result.Findings, t.id)
		}
		traces[i] = &t.trace
	}
	return traces, err
}

// ends are those of a segment.
type ends struct {
	a, b         wire.Addr
	aPort, bPort uint16
}

func flowAddr(a netip.AddrPort) wire.Addr { return wire.Addr(a.Addr().As16()) }

// tracer is a Tracker that writes down one connection's segments.
type tracer struct {
	*analyzers.Tracker
	want, opened int    // its number, -1 to take the first connection from a frame on
	from         uint64 // that frame
	id           uint64 // of the connection, once met
	bases        [2]base
	redact       *Options
	trace        Trace
}

type base struct {
	seq wire.Seq
	set bool
}

func (t *tracer) Segment(c *analyzers.Conn, d wire.Dir, s *reassembly.Segment, k reassembly.Kind) {
	if k&reassembly.First != 0 {
		if t.opened == t.want || t.want < 0 && t.id == 0 && c.ID >= t.from {
			t.id = c.ID
		}
		t.opened++
	}
	t.Tracker.Segment(c, d, s, k)
	if c.ID != t.id {
		return
	}
	if len(t.trace.Rows) >= MaxRows {
		t.trace.More++
		return
	}
	row := Row{Frame: s.Frame, Time: s.Time, Side: http1.Side(d), Flags: s.Flags, Len: s.Len, Window: c.Streams[d].Window, Kind: k}
	row.Seq = t.bases[d].relative(s.Seq, s.Flags&wire.SYN != 0)
	if s.Flags&wire.ACK != 0 {
		row.Ack = t.bases[d.Flip()].relative(s.Ack, false)
	}
	t.trace.Rows = append(t.trace.Rows, row)
}

// relative counts a sequence number from the first one met, which is that of
// the SYN, or makes that 1 where there was no SYN.
func (b *base) relative(s wire.Seq, syn bool) int64 {
	if !b.set {
		b.set = true
		if b.seq = s; !syn {
			b.seq = s.Add(-1)
		}
	}
	return int64(s.Sub(b.seq))
}

func (t *tracer) head(c *analyzers.Conn, h *http1.Head, m *http1.Message) {
	if c.ID != t.id {
		return
	}
	rows := t.trace.Rows
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].Frame == m.First.Frame {
			rows[i].Heads = append(rows[i].Heads, t.startLine(h, m))
			return
		}
	}
}

func (t *tracer) startLine(h *http1.Head, m *http1.Message) string {
	version := fmt.Sprintf("HTTP/%d.%d", m.Version/10, m.Version%10)
	if h.Side == http1.Client {
		return string(h.MethodName) + " " + t.redact.Config.Redact.Target(string(h.Target)) + " " + version
	}
	return fmt.Sprintf("%s %d %s", version, m.Status, h.Reason)
}

func (t *tracer) Close(c *analyzers.Conn, why reassembly.CloseReason) uint8 {
	if c.ID == t.id {
		t.trace.Conn = *t.Record(c)
		for i := range t.trace.Rows {
			t.trace.Rows[i].Side = c.State.Life.Side(wire.Dir(t.trace.Rows[i].Side))
		}
	}
	return t.Tracker.Close(c, why)
}

// Explain adds those of the findings across connections, of a whole capture,
// that are about the connection or name one of its frames.
func (t *Trace) Explain(all []Finding) {
	t.mark(slices.DeleteFunc(slices.Clone(all), func(f Finding) bool { return f.Rule.Group == nil }), t.Conn.ID)
}

// mark picks the findings that are about the connection, or name one of its
// frames, and marks the rows they name.
func (t *Trace) mark(all []Finding, id uint64) {
	rows := map[uint64]int{}
	for i, r := range t.Rows {
		rows[r.Frame] = i
	}
	for _, f := range all {
		mine := f.Finding.Conn == id
		if _, covered := slices.BinarySearch(f.Covers, id); covered {
			mine = true
		}
		for _, frame := range f.Frames {
			if _, ok := rows[frame]; ok {
				mine = true
			}
		}
		if !mine {
			continue
		}
		n := slices.IndexFunc(t.Findings, func(g Finding) bool { return g.Rule == f.Rule && g.Fingerprint == f.Fingerprint })
		if n < 0 {
			n = len(t.Findings)
			t.Findings = append(t.Findings, f)
		} else {
			g := &t.Findings[n]
			g.Occurrences += f.Occurrences
			g.Cost += f.Cost
		}
		for _, frame := range f.Frames {
			if i, ok := rows[frame]; ok && !slices.Contains(t.Rows[i].Findings, n) {
				t.Rows[i].Findings = append(t.Rows[i].Findings, n)
			}
		}
	}
}

// Locate returns the number of the connection that a frame belongs to, or -1
// if it belongs to none: it holds no TCP segment, or is a packet seen twice.
func Locate(src capture.Source, frame uint64) (int, error) {
	l := &locator{frame: frame, number: -1, numbers: map[uint64]int{}}
	table := reassembly.NewTable[struct{}](l, reassembly.DefaultOptions())
	_, err := shard.Run(src, []func(*capture.Segment){table.Feed}, shard.Options{})
	return l.number, err
}

type locator struct {
	frame   uint64
	number  int
	numbers map[uint64]int // of live connections, by first frame
	opened  int
}

func (l *locator) Segment(c *reassembly.Conn[struct{}], _ wire.Dir, s *reassembly.Segment, k reassembly.Kind) {
	if k&reassembly.First != 0 {
		l.numbers[c.ID] = l.opened
		l.opened++
	}
	if s.Frame == l.frame {
		l.number = l.numbers[c.ID]
	}
}

func (*locator) Data(*reassembly.Conn[struct{}], wire.Dir, *reassembly.Span) {}
func (*locator) Gap(*reassembly.Conn[struct{}], wire.Dir, *reassembly.Gap)   {}
func (*locator) FIN(*reassembly.Conn[struct{}], wire.Dir, *reassembly.Span)  {}

func (l *locator) Close(c *reassembly.Conn[struct{}], _ reassembly.CloseReason) uint8 {
	delete(l.numbers, c.ID)
	return 0
}
