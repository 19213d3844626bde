package tui

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// row is a row of a table: one of the fields is set.
type row struct {
	key     key
	finding *runner.Finding
	rule    *rules.Rule       // findings by rule
	of      []*runner.Finding // those of the rule
	sum     sums
	pair    *runner.PairRow
	conn    *runner.ConnRow
}

// key tells a row from the others of its table, from one snapshot to the next.
type key struct {
	rule   *rules.Rule
	print  string // a finding's fingerprint
	client netip.Addr
	server netip.AddrPort
	conn   uint64
}

// sums are what findings are sorted by.
type sums struct {
	severity           rules.Severity
	cost               int64
	times, conns, line int64
}

// column is a column of a table. Its cells are safe for a terminal.
type column struct {
	name  string
	width int // columns of the screen
	flex  bool
	right bool
	from  int // least width of the screen at which it is shown
	sort  int // index into the table's sorts, from 1; 0 for none
	cell  func(m *Model, r *row) (string, style)
}

// order is a way to sort a table.
type order struct {
	name string
	less func(a, b *row) int
}

// maxRows bounds the rows of a table.
const maxRows = 5000

// rows makes the rows of a table.
func (m *Model) rows(v view) []row {
	var out []row
	switch v {
	case findings:
		list := worst(m.Snap.Findings)
		if m.ByRule {
			return byRule(list)
		}
		out = make([]row, 0, len(list))
		for _, f := range list {
			out = append(out, row{key: key{rule: f.Rule, print: f.Fingerprint}, finding: f,
				sum: sums{f.Severity, f.Cost, int64(f.Occurrences), int64(f.Connections), line0(f)}})
		}
	case servers:
		list := m.Snap.Pairs
		if m.ByServer {
			list = byServer(list)
		}
		out = make([]row, 0, len(list))
		for i := range list {
			p := &list[i]
			out = append(out, row{key: key{client: p.Client, server: p.Server}, pair: p})
		}
	case connections:
		out = make([]row, 0, len(m.Snap.Conns))
		for i := range m.Snap.Conns {
			c := &m.Snap.Conns[i]
			out = append(out, row{key: key{conn: c.ID}, conn: c})
		}
	}
	return out
}

// total counts the rows of a table before its filter.
func (m *Model) total(v view) int {
	switch {
	case v == findings && m.ByRule:
		met := map[*rules.Rule]bool{}
		for i := range m.Snap.Findings {
			if f := &m.Snap.Findings[i]; f.Suppressed == 0 {
				met[f.Rule] = true
			}
		}
		return len(met)
	case v == findings:
		n := 0
		for i := range m.Snap.Findings {
			if m.Snap.Findings[i].Suppressed == 0 {
				n++
			}
		}
		return n
	case v == servers && m.ByServer:
		met := map[netip.AddrPort]bool{}
		for i := range m.Snap.Pairs {
			met[m.Snap.Pairs[i].Server] = true
		}
		return len(met)
	case v == servers:
		return len(m.Snap.Pairs)
	}
	return len(m.Snap.Conns)
}

// worst returns the findings, the most severe and costly ones if there are
// too many.
func worst(all []runner.Finding) []*runner.Finding {
	list := make([]*runner.Finding, 0, len(all))
	for i := range all {
		if all[i].Suppressed == 0 {
			list = append(list, &all[i])
		}
	}
	if len(list) > maxRows {
		slices.SortFunc(list, func(a, b *runner.Finding) int {
			return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Cost, a.Cost), cmp.Compare(b.Occurrences, a.Occurrences), cmp.Compare(line0(a), line0(b)))
		})
		list = list[:maxRows]
	}
	return list
}

func line0(f *runner.Finding) int64 {
	if len(f.Frames) == 0 {
		return 0
	}
	return int64(f.Frames[0])
}

func byRule(list []*runner.Finding) []row {
	var out []row
	at := map[*rules.Rule]int{}
	for _, f := range list {
		i, ok := at[f.Rule]
		if !ok {
			i = len(out)
			at[f.Rule] = i
			out = append(out, row{key: key{rule: f.Rule}, rule: f.Rule, sum: sums{line: line0(f)}})
		}
		r := &out[i]
		r.of = append(r.of, f)
		r.sum.severity = max(r.sum.severity, f.Severity)
		r.sum.cost += f.Cost
		r.sum.times += int64(f.Occurrences)
		r.sum.conns += int64(f.Connections)
		r.sum.line = min(r.sum.line, line0(f))
	}
	return out
}

// byServer adds up the pairs of each server.
func byServer(list []runner.PairRow) []runner.PairRow {
	var out []runner.PairRow
	at := map[netip.AddrPort]int{}
	for _, p := range list {
		i, ok := at[p.Server]
		if !ok {
			at[p.Server] = len(out)
			p.Client = netip.Addr{}
			p.Series.Open, p.Series.Idle, p.Series.TimeWait = slices.Clone(p.Series.Open), slices.Clone(p.Series.Idle), slices.Clone(p.Series.TimeWait)
			out = append(out, p)
			continue
		}
		o := &out[i]
		o.Conns, o.Open, o.Idle = o.Conns+p.Conns, o.Open+p.Open, o.Idle+p.Idle
		o.Used, o.Fresh = o.Used+p.Used, o.Fresh+p.Fresh
		o.Requests, o.Answered, o.TimeWait = o.Requests+p.Requests, o.Answered+p.Answered, o.TimeWait+p.TimeWait
		o.ClosedByServer, o.Resets, o.Last = o.ClosedByServer+p.ClosedByServer, o.Resets+p.Resets, max(o.Last, p.Last)
		o.TLS, o.Host = o.TLS || p.TLS, cmp.Or(o.Host, p.Host)
		o.Series.Open, o.Series.Idle, o.Series.TimeWait = plus(o.Series.Open, p.Series.Open), plus(o.Series.Idle, p.Series.Idle), plus(o.Series.TimeWait, p.Series.TimeWait)
		if o.Series.Width == 0 {
			o.Series.Start, o.Series.Width = p.Series.Start, p.Series.Width
		}
	}
	return out
}

// plus adds up two series of one axis; either may be missing.
func plus(a, b []int64) []int64 {
	if len(a) < len(b) {
		a, b = slices.Clone(b), a
	}
	for i, n := range b {
		a[i] += n
	}
	return a
}

// filter is what a row must hold: words, and whole addresses of its ends.
type filter []term

type term struct {
	word string // lower case
	host netip.Addr
	port netip.AddrPort
}

func parseFilter(s string) filter {
	var f filter
	for w := range strings.FieldsSeq(strings.ToLower(s)) {
		t := term{word: w}
		if a, err := netip.ParseAddr(w); err == nil {
			t.host = a
		} else if p, err := netip.ParseAddrPort(w); err == nil {
			t.port = p
		}
		f = append(f, t)
	}
	return f
}

func (f filter) match(r *row) bool {
	text := strings.ToLower(r.search())
	ends := r.ends()
	for _, t := range f {
		switch {
		case t.host.IsValid():
			if ends[0].Addr() != t.host && ends[1].Addr() != t.host {
				return false
			}
		case t.port.IsValid():
			if ends[0] != t.port && ends[1] != t.port {
				return false
			}
		case !strings.Contains(text, t.word):
			return false
		}
	}
	return true
}

// ends are a row's client and server, as far as it has them.
func (r *row) ends() [2]netip.AddrPort {
	switch {
	case r.finding != nil:
		return [2]netip.AddrPort{r.finding.Client, r.finding.Server}
	case r.pair != nil:
		return [2]netip.AddrPort{netip.AddrPortFrom(r.pair.Client, 0), r.pair.Server}
	case r.conn != nil:
		return [2]netip.AddrPort{r.conn.Client, r.conn.Server}
	}
	return [2]netip.AddrPort{}
}

// search is the text that a filter looks in.
func (r *row) search() string {
	switch {
	case r.finding != nil:
		f := r.finding
		return strings.Join([]string{f.Rule.Code, f.Rule.Name, f.Severity.String(), f.Side, f.Client.String(), f.Server.String(), f.Host, f.Method, f.Target, f.Message}, " ")
	case r.rule != nil:
		return strings.Join([]string{r.rule.Code, r.rule.Name, r.sum.severity.String(), r.rule.Doc.Title}, " ")
	case r.pair != nil:
		return strings.Join([]string{r.pair.Client.String(), r.pair.Server.String(), r.pair.Host, protocolTLS(r.pair.TLS)}, " ")
	}
	c := r.conn
	return strings.Join([]string{c.Client.String(), c.Server.String(), c.Host, state(c), protocol(c)}, " ")
}

func protocolTLS(tls bool) string {
	if tls {
		return "tls"
	}
	return ""
}

func descending[T cmp.Ordered](of func(*row) T) func(a, b *row) int {
	return func(a, b *row) int { return cmp.Compare(of(b), of(a)) }
}

// sorts lists the orders of a table, the first one first. What is equal stays
// as the snapshot has it.
func sorts(v view) []order {
	switch v {
	case findings:
		bySeverity := descending(func(r *row) rules.Severity { return r.sum.severity })
		byCost := descending(func(r *row) int64 { return r.sum.cost })
		return []order{
			{"cost", func(a, b *row) int { return cmp.Or(byCost(a, b), bySeverity(a, b)) }},
			{"severity", func(a, b *row) int { return cmp.Or(bySeverity(a, b), byCost(a, b)) }},
			{"times", descending(func(r *row) int64 { return r.sum.times })},
			{"connections", descending(func(r *row) int64 { return r.sum.conns })},
			{"frame", func(a, b *row) int { return cmp.Compare(a.sum.line, b.sum.line) }},
		}
	case servers:
		return []order{
			{"connections", descending(func(r *row) int64 { return r.pair.Conns })},
			{"requests", descending(func(r *row) int64 { return r.pair.Requests })},
			{"reuse, least first", func(a, b *row) int {
				x, okX := a.pair.Reuse()
				y, okY := b.pair.Reuse()
				if okX != okY {
					return cmp.Compare(btoi(okY), btoi(okX))
				}
				return cmp.Compare(x, y)
			}},
			{"open", descending(func(r *row) int64 { return r.pair.Open })},
			{"TIME_WAIT", descending(func(r *row) int64 { return r.pair.TimeWait })},
			{"server", func(a, b *row) int {
				return cmp.Or(a.pair.Server.Compare(b.pair.Server), a.pair.Client.Compare(b.pair.Client))
			}},
		}
	}
	return []order{
		{"latest", descending(func(r *row) int64 { return r.conn.Last })},
		{"age", func(a, b *row) int { return cmp.Compare(a.conn.Start, b.conn.Start) }},
		{"idle", func(a, b *row) int {
			return cmp.Or(cmp.Compare(btoi(a.conn.Closed), btoi(b.conn.Closed)), cmp.Compare(a.conn.Last, b.conn.Last))
		}},
		{"requests", descending(func(r *row) uint32 { return r.conn.Requests })},
		{"findings", descending(func(r *row) int { return r.conn.Findings })},
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// over reports whether a connection ended before the capture did.
func over(c *runner.ConnRow) bool { return c.Closed && c.Outcome != lifecycle.StillOpen }

// state names what a connection is doing.
func state(c *runner.ConnRow) string {
	if over(c) {
		return [...]string{lifecycle.Finished: "closed", lifecycle.HalfClosed: "half closed", lifecycle.Reset: "reset", lifecycle.Refused: "refused",
			lifecycle.NoAnswer: "no answer", lifecycle.Evicted: "forgotten", lifecycle.Replaced: "replaced"}[c.Outcome]
	}
	switch {
	case c.Outcome == lifecycle.Finished:
		return "closed"
	case c.Outcome == lifecycle.HalfClosed:
		return "closing"
	case c.Outcome == lifecycle.Reset:
		return "reset"
	case !c.Established:
		return "opening"
	case c.Outstanding > 0:
		return "waiting"
	case c.Requests > 0:
		return "idle"
	}
	return "open"
}

func protocol(c *runner.ConnRow) string {
	return [...]string{http1.Undecided: "?", http1.HTTP1: "http/1", http1.TLS: "tls", http1.HTTP2: "http/2", http1.WebSocket: "websocket",
		http1.Tunnel: "tunnel", http1.OtherProtocol: "other"}[c.Protocol]
}

// now is the time that ages are counted to.
func (m *Model) now() int64 {
	if m.Live && m.Snap.Result == nil && !m.Stats.At.IsZero() {
		return max(m.Snap.Now, m.Stats.At.UnixNano())
	}
	return m.Snap.Now
}

// number is a column of counts: w columns wide, wide ones where there is room.
func (m *Model) number(name string, w, from, sort int, of func(*row) int64) column {
	if m.Width >= 120 {
		w = max(w, 9)
	}
	return column{name: name, width: w, right: true, from: from, sort: sort, cell: func(_ *Model, r *row) (string, style) {
		n := of(r)
		if n == 0 {
			return "–", faint
		}
		return fit(n, w), plain
	}}
}

// happened is a finding's message without the addresses it begins with.
func happened(f *runner.Finding) string {
	ends := rules.Subject{Client: f.Client, Server: f.Server}
	for _, where := range []string{ends.Where(), ends.WhereServer()} {
		if rest, ok := strings.CutPrefix(f.Message, where); ok && strings.TrimLeft(rest, ": ") != "" {
			return strings.TrimLeft(rest, ": ")
		}
	}
	return f.Message
}

// columns lists the columns of a table.
func (m *Model) columns(v view) []column {
	switch v {
	case findings:
		what := column{name: "what happened", flex: true, cell: func(_ *Model, r *row) (string, style) { return report.Text(happened(r.finding)), plain }}
		if m.ByRule {
			what = column{name: "fault", flex: true, cell: func(_ *Model, r *row) (string, style) { return r.rule.Doc.Title, plain }}
		}
		ruleOf := func(r *row) *rules.Rule {
			if r.rule != nil {
				return r.rule
			}
			return r.finding.Rule
		}
		server := column{name: "server", width: 24, from: 130, cell: func(_ *Model, r *row) (string, style) {
			if !r.finding.Server.IsValid() {
				return "", plain
			}
			return r.finding.Server.String(), plain
		}}
		if m.ByRule {
			server.from = 1 << 30 // a rule has many
		}
		return []column{
			{name: "severity", width: 8, sort: 2, cell: func(_ *Model, r *row) (string, style) {
				return r.sum.severity.String(), severityStyle(r.sum.severity)
			}},
			{name: "rule", width: 6, cell: func(_ *Model, r *row) (string, style) { return ruleOf(r).Code, bold }},
			{name: "", width: 28, from: 120, cell: func(_ *Model, r *row) (string, style) { return ruleOf(r).Name, plain }},
			{name: "cost", width: 8, right: true, sort: 1, cell: func(_ *Model, r *row) (string, style) {
				if r.sum.cost <= 0 {
					return "–", faint
				}
				return duration(r.sum.cost), plain
			}},
			{name: "times", width: 7, right: true, from: 60, sort: 3, cell: func(_ *Model, r *row) (string, style) { return "×" + fit(r.sum.times, 6), plain }},
			m.number("conns", 7, 100, 4, func(r *row) int64 { return r.sum.conns }),
			m.number("frame", 9, 140, 5, func(r *row) int64 { return r.sum.line }),
			server,
			what,
		}
	case servers:
		cols := []column{
			{name: "server", width: 21, flex: true, sort: 6, cell: func(_ *Model, r *row) (string, style) { return r.pair.Server.String(), bold }},
		}
		idle, client := 66, 15
		if m.Width >= 150 {
			client = 30
		}
		if !m.ByServer {
			cols = append(cols, column{name: "client", width: client, from: 60, cell: func(_ *Model, r *row) (string, style) { return r.pair.Client.String(), plain }})
			idle = 90
		}
		return append(cols,
			column{name: "host", width: 24, from: 120, cell: func(_ *Model, r *row) (string, style) { return report.Text(r.pair.Host), plain }},
			column{name: "tls", width: 3, from: 150, cell: func(_ *Model, r *row) (string, style) { return protocolTLS(r.pair.TLS), plain }},
			m.number("conns", 6, 0, 1, func(r *row) int64 { return r.pair.Conns }),
			m.number("reqs", 6, 56, 2, func(r *row) int64 { return r.pair.Requests }),
			column{name: "req/conn", width: 8, right: true, from: 72, cell: func(_ *Model, r *row) (string, style) {
				if r.pair.Used == 0 {
					return "–", faint
				}
				return fmt.Sprintf("%.1f", float64(r.pair.Requests)/float64(r.pair.Used)), plain
			}},
			column{name: "reuse", width: 5, right: true, sort: 3, cell: func(_ *Model, r *row) (string, style) {
				reuse, ok := r.pair.Reuse()
				switch {
				case !ok:
					return "–", faint
				case reuse < 0.5 && r.pair.Requests > 1:
					return fmt.Sprintf("%.0f %%", reuse*100), yellow
				}
				return fmt.Sprintf("%.0f %%", reuse*100), plain
			}},
			m.number("open", 5, 66, 4, func(r *row) int64 { return r.pair.Open }),
			m.number("idle", 5, idle, 0, func(r *row) int64 { return r.pair.Idle }),
			m.number("t_wait", 6, 76, 5, func(r *row) int64 { return r.pair.TimeWait }),
			m.number("resets", 6, 130, 0, func(r *row) int64 { return r.pair.Resets }),
			column{name: "open over time", width: 32, from: 160, cell: func(_ *Model, r *row) (string, style) { return spark(r.pair.Series.Open, 32), cyan }},
		)
	}
	client := 21
	if m.Width >= 150 {
		client = 36 // most IPv6 addresses
	}
	return []column{
		{name: "frame", width: 9, right: true, from: 96, cell: func(_ *Model, r *row) (string, style) { return fmt.Sprint(r.conn.ID), faint }},
		{name: "client", width: client, cell: func(_ *Model, r *row) (string, style) { return r.conn.Client.String(), plain }},
		{name: "server", width: 14, flex: true, cell: func(_ *Model, r *row) (string, style) { return r.conn.Server.String(), plain }},
		{name: "host", width: 24, from: 130, cell: func(_ *Model, r *row) (string, style) { return report.Text(r.conn.Host), plain }},
		{name: "protocol", width: 9, from: 110, cell: func(_ *Model, r *row) (string, style) { return protocol(r.conn), plain }},
		{name: "state", width: 11, cell: func(_ *Model, r *row) (string, style) {
			s := state(r.conn)
			switch s {
			case "reset", "refused", "no answer":
				return s, red
			case "waiting":
				return s, yellow
			case "idle", "open":
				return s, green
			}
			return s, plain
		}},
		{name: "age", width: 7, right: true, from: 60, sort: 2, cell: func(m *Model, r *row) (string, style) {
			end := m.now()
			if over(r.conn) {
				end = r.conn.Last
			}
			return duration(end - r.conn.Start), plain
		}},
		{name: "idle", width: 7, right: true, from: 68, sort: 3, cell: func(m *Model, r *row) (string, style) {
			if over(r.conn) {
				return "–", faint
			}
			return duration(m.now() - r.conn.Last), plain
		}},
		{name: "max idle", width: 8, right: true, from: 150, cell: func(_ *Model, r *row) (string, style) { return duration(r.conn.LongestIdle), plain }},
		m.number("reqs", 6, 60, 4, func(r *row) int64 { return int64(r.conn.Requests) }),
		{name: "bytes", width: 8, right: true, from: 120, cell: func(_ *Model, r *row) (string, style) { return bytesOf(r.conn.Bytes[0] + r.conn.Bytes[1]), plain }},
		m.number("resent", 6, 160, 0, func(r *row) int64 { return r.conn.Retransmits }),
		{name: "found", width: 5, right: true, from: 50, sort: 5, cell: func(_ *Model, r *row) (string, style) {
			if r.conn.Findings == 0 {
				return "", plain
			}
			return rules.Count(int64(r.conn.Findings)), red
		}},
	}
}

// placed is a column on the screen.
type placed struct {
	column
	x int
}

// layout places the columns of a table that there is room for.
func (m *Model) layout(v view) []placed {
	var out []placed
	used, flex := 0, -1
	for _, c := range m.columns(v) {
		if c.from > m.Width {
			continue
		}
		if c.flex {
			flex = len(out)
		} else {
			used += c.width
		}
		used++
		out = append(out, placed{column: c})
	}
	if flex >= 0 {
		out[flex].width = max(m.Width-used-1, 10)
	}
	x := 1
	for i := range out {
		out[i].x = x
		x += out[i].width + 1
	}
	return out
}
