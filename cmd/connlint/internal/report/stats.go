package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/reuse"
)

// Usage is how the connections of one capture were used.
type Usage struct {
	File  string
	Pairs []reuse.Stats
}

// The types below are the JSON output of stats, described and held by
// testdata/schema/stats.schema.json. Field order is part of it.

type jsonStats struct {
	Schema   int                 `json:"schema"`
	Captures []jsonStatsCaptures `json:"captures"`
}

type jsonStatsCaptures struct {
	File  string     `json:"file"`
	Pairs []jsonPair `json:"pairs"`
}

type jsonPair struct {
	Client       string           `json:"client"`
	Server       string           `json:"server"`
	Host         string           `json:"host"`
	TLS          bool             `json:"tls"`
	Connections  int64            `json:"connections"`
	Transactions int64            `json:"transactions"`
	ReuseRatio   float64          `json:"reuse_ratio"`
	MaxParallel  int              `json:"max_parallel"`
	Avoidable    int64            `json:"avoidable"`
	Setup        float64          `json:"setup_ms"`
	SlowStart    float64          `json:"slow_start_ms"`
	Busy         float64          `json:"busy_ms"`
	Idle         float64          `json:"idle_ms"`
	Observed     float64          `json:"observed_total_ms"`
	Estimated    float64          `json:"estimated_total_with_reuse_ms"`
	ClosedBy     jsonClosedBy     `json:"closed_by"`
	Causes       map[string]int64 `json:"causes"`
}

type jsonClosedBy struct {
	Client int64 `json:"client"`
	Server int64 `json:"server"`
	Reset  int64 `json:"reset"`
	Open   int64 `json:"open"`
}

// StatsJSON writes usage as JSON.
func StatsJSON(w io.Writer, captures []Usage) error {
	out := jsonStats{Schema: 1, Captures: []jsonStatsCaptures{}}
	for _, c := range captures {
		jc := jsonStatsCaptures{File: c.File, Pairs: []jsonPair{}}
		for i := range c.Pairs {
			s := &c.Pairs[i]
			jc.Pairs = append(jc.Pairs, jsonPair{
				Client: s.Client.String(), Server: s.Server.String(), Host: s.Host, TLS: s.TLS,
				Connections: s.Connections, Transactions: s.Transactions, ReuseRatio: rounded(s.Reuse, 1e6),
				MaxParallel: s.MaxParallel, Avoidable: s.Avoidable,
				Setup: millis(s.Setup), SlowStart: millis(s.Slow), Busy: millis(s.Busy), Idle: millis(s.Idle),
				Observed: millis(s.Observed), Estimated: millis(s.Estimated),
				ClosedBy: jsonClosedBy{s.ClosedBy[reuse.ByClient], s.ClosedBy[reuse.ByServer], s.ClosedBy[reuse.ByReset], s.ClosedBy[reuse.StillOpen]},
				Causes:   s.Causes,
			})
		}
		out.Captures = append(out.Captures, jc)
	}
	return encode(w, out, "  ")
}

func millis(d time.Duration) float64 { return rounded(rules.Millis(d), 1e6) }

func rounded(v, to float64) float64 { return math.Round(v*to) / to }

// Stats writes usage as a table a capture.
func Stats(w io.Writer, captures []Usage, s Style) error {
	p := newPage(s)
	for i, c := range captures {
		if i > 0 {
			p.line()
		}
		p.line(p.paint(bold, Text(c.File)), ": ", Count(len(c.Pairs), "pair"), " of client and server")
		if len(c.Pairs) == 0 {
			continue
		}
		p.line()
		rows := [][]string{{"", "conns", "requests", "reuse", "at" + glue + "once", "avoidable", "set-up", "took", "with" + glue + "reuse"}}
		for i := range rows[0] {
			rows[0][i] = p.paint(faint, rows[0][i])
		}
		for i := range c.Pairs {
			rows = append(rows, statsRow(p, &c.Pairs[i]))
		}
		p.table("  ", "lrrrrrrrr", rows)
		for i := range c.Pairs {
			describePair(p, &c.Pairs[i])
		}
	}
	return p.flush(w)
}

func pairName(s *reuse.Stats) string {
	return s.Client.String() + glue + "→" + glue + s.Server.String()
}

func statsRow(p *page, s *reuse.Stats) []string {
	avoidable := rules.Count(s.Avoidable)
	if s.Avoidable > 0 {
		avoidable = p.paint(yellow, avoidable)
	}
	return []string{pairName(s), rules.Count(s.Connections), rules.Count(s.Transactions), fmt.Sprintf("%.0f%s%%", 100*s.Reuse, glue),
		rules.Count(int64(s.MaxParallel)), avoidable, Duration(int64(s.Setup + s.Slow)), Duration(int64(s.Observed)), Duration(int64(s.Estimated))}
}

// describePair says what has no room in the table.
func describePair(p *page, s *reuse.Stats) {
	p.line()
	name := pairName(s)
	if s.Host != "" {
		name += " " + Text(s.Host)
	}
	if s.TLS {
		name += " (TLS)"
	}
	p.line("  ", p.paint(bold, name))
	var closed []string
	for _, e := range []struct {
		by   reuse.Ender
		says string
	}{{reuse.ByClient, "the client"}, {reuse.ByServer, "the server"}, {reuse.ByReset, "reset"}, {reuse.StillOpen, "nobody"}} {
		if n := s.ClosedBy[e.by]; n > 0 {
			closed = append(closed, rules.Count(n)+" by "+e.says)
		}
	}
	p.wrap("    ", fmt.Sprintf("handshakes %s, slow start %s, busy %s, idle %s; closed: %s", Duration(int64(s.Setup)),
		Duration(int64(s.Slow)), Duration(int64(s.Busy)), Duration(int64(s.Idle)), strings.Join(closed, ", ")), 6)
	if s.Avoidable > 0 {
		p.wrap("    ", "why connections were not used again: "+strings.Join(causes(s.Causes), "; "), 6)
	}
}

// causes lists the causes in words, the most frequent first.
func causes(m map[string]int64) (out []string) {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(cmp.Compare(m[b], m[a]), strings.Compare(a, b)) })
	for _, n := range names {
		out = append(out, rules.Count(m[n])+" "+reuse.CauseNamed(n).Text())
	}
	return out
}
