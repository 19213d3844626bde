// Package runner takes a source of packets to findings: it decodes, shards,
// reassembles, analyzes and judges, and brings the shards' results together
// in one order, the same for any number of shards.
package runner

import (
	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/rules"
)

// Options of a run.
type Options struct {
	Rules []*rules.Rule
	// Precedence lists, for a rule's code, the codes it silences where both
	// found the same cause on one connection.
	Precedence map[string][]string
	Config     *rules.Config
	// Overrides hold in place of Config for connections to their servers: the
	// first that has the server, of at most [MaxOverrides].
	Overrides []rules.Override
	// Workers is the number of shards; 0 picks one for each processor.
	Workers int
	// All keeps each occurrence as a finding of its own.
	All bool
	// Adjust, if set, has the last word on each occurrence: it may change the
	// severity, drops the finding by returning false, or returns the number,
	// from 1, of what suppresses it. It is called from several goroutines and
	// must depend on its arguments alone.
	Adjust func(*rules.Rule, *rules.Finding) (suppressed int, keep bool)
	// HTTPPorts limits HTTP/1.x recognition to connections of these server
	// ports; empty: recognised by content on any port.
	HTTPPorts []uint16
	// Groups are aggregates to fill besides those of the rules; they are not
	// judged. One that equals a rule's is filled once for both.
	Groups []rules.Grouping
	// Progress, if set, is called now and then with the bytes read and the
	// size of the source in bytes (-1 if unknown), from Run's goroutine.
	Progress func(read, size int64)

	// Stream, if set, makes the run report as it goes, for sources that may
	// never end. It excludes All.
	Stream *Stream

	// Monitor, if set, lets others look on. It serves one run.
	Monitor *Monitor

	// watch, if set, is shown every message head. For traces.
	watch func(*analyzers.Conn, *http1.Head, *http1.Message)
}

// MaxOverrides is the greatest number of [Options.Overrides].
const MaxOverrides = 1 << 12

// Result is what one capture gave.
type Result struct {
	File        string
	Format      string
	LinkTypes   []string
	Packets     uint64
	Bytes       uint64 // of the file as stored
	First, Last int64  // capture times, nanoseconds since 1970-01-01 UTC; 0 without packets

	TCPConnections, HTTPConnections, TLSConnections, HTTP2Connections uint64
	Requests, Responses                                               uint64

	Skipped   map[string]uint64            // packets left out, by reason
	Abstained map[string]map[string]uint64 // rule name → reason → connections not judged
	Findings  []Finding                    // sorted by first frame, then code, then fingerprint
	Groups    []rules.Grouper              // as in Options, filled
	// Err says why the capture could not be read, or not to its end. What was
	// read before is in the other fields.
	Err error
}

// Finding is one group of alike findings, or with Options.All one occurrence.
type Finding struct {
	Rule *rules.Rule
	// Finding is the group's first occurrence, with Message, Fix and Refs
	// filled in; Measured also holds NAME_total for figures that add up, and
	// Cost is the sum.
	rules.Finding
	ConnNumber  int // as Wireshark's tcp.stream, -1 for none
	Occurrences int
	Connections int // distinct connections
	Fingerprint string
	// Suppressed is what Options.Adjust returned, 0 for a finding that stands.
	// Alike findings of which some are suppressed make two groups.
	Suppressed int
}
