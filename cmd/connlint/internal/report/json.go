package report

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/netip"
	"time"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// The types below are the JSON output, described and held by
// testdata/schema/findings.schema.json. Field order is part of it.

type jsonReport struct {
	Schema   int           `json:"schema"`
	Tool     jsonTool      `json:"tool"`
	Captures []jsonCapture `json:"captures"`
	Findings []jsonFinding `json:"findings"`
	Summary  jsonSummary   `json:"summary"`
}

type jsonTool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type jsonCapture struct {
	File             string                       `json:"file"`
	Format           string                       `json:"format"`
	LinkTypes        []string                     `json:"link_types"`
	Packets          uint64                       `json:"packets"`
	Bytes            uint64                       `json:"bytes"`
	First            *string                      `json:"first"`
	Last             *string                      `json:"last"`
	Duration         float64                      `json:"duration_s"`
	TCPConnections   uint64                       `json:"tcp_connections"`
	HTTPConnections  uint64                       `json:"http_connections"`
	Requests         uint64                       `json:"requests"`
	Responses        uint64                       `json:"responses"`
	TLSConnections   uint64                       `json:"tls_connections"`
	HTTP2Connections uint64                       `json:"http2_connections"`
	Skipped          map[string]uint64            `json:"skipped"`
	Abstained        map[string]map[string]uint64 `json:"abstained"`
}

type jsonFinding struct {
	Code        string   `json:"code"`
	Rule        string   `json:"rule"`
	Severity    string   `json:"severity"`
	File        string   `json:"file"`
	Frames      []uint64 `json:"frames"`
	Time        *string  `json:"time"`
	Conn        int      `json:"conn"`
	Client      string   `json:"client"`
	Server      string   `json:"server"`
	Host        string   `json:"host"`
	Method      string   `json:"method"`
	Target      string   `json:"target"`
	Status      int      `json:"status"`
	Message     string   `json:"message"`
	Fix         string   `json:"fix"`
	Side        string   `json:"side"`
	Measured    measures `json:"measured"`
	Occurrences int      `json:"occurrences"`
	Connections int      `json:"connections"`
	Fingerprint string   `json:"fingerprint"`
	Refs        []string `json:"refs"`
}

type jsonSummary struct {
	Errors     int `json:"errors"`
	Warnings   int `json:"warnings"`
	Infos      int `json:"infos"`
	Suppressed int `json:"suppressed"`
	Baselined  int `json:"baselined"`
}

func writeJSON(w io.Writer, r *Report) error {
	n := r.Counts()
	out := jsonReport{
		Schema:   1,
		Tool:     jsonTool{"connlint", r.Version},
		Captures: []jsonCapture{},
		Findings: []jsonFinding{},
		Summary:  jsonSummary{Errors: n[rules.Error], Warnings: n[rules.Warning], Infos: n[rules.Info]},
	}
	out.Summary.Suppressed, out.Summary.Baselined = r.Held()
	for _, c := range r.Captures {
		if c.Format == "" {
			continue // never opened: standard error says why
		}
		out.Captures = append(out.Captures, captureJSON(c))
	}
	for c, f := range r.listed() {
		out.Findings = append(out.Findings, findingJSON(c, f))
	}
	return encode(w, out, "  ")
}

// writeJSONLines writes each finding as an object on a line of its own.
func writeJSONLines(w io.Writer, r *Report) error {
	for c, f := range r.listed() {
		if err := encode(w, findingJSON(c, f), ""); err != nil {
			return err
		}
	}
	return nil
}

func encode(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(b.Bytes()))
	return err
}

func captureJSON(c *runner.Result) jsonCapture {
	j := jsonCapture{
		File: c.File, Format: c.Format, LinkTypes: orEmpty(c.LinkTypes),
		Packets: c.Packets, Bytes: c.Bytes,
		TCPConnections: c.TCPConnections, HTTPConnections: c.HTTPConnections,
		Requests: c.Requests, Responses: c.Responses,
		TLSConnections: c.TLSConnections, HTTP2Connections: c.HTTP2Connections,
		Skipped: c.Skipped, Abstained: c.Abstained,
	}
	if c.Packets > 0 {
		j.First, j.Last = timestamp(c.First), timestamp(c.Last)
		j.Duration = round(float64(c.Last-c.First) / 1e9)
	}
	if j.Skipped == nil {
		j.Skipped = map[string]uint64{}
	}
	if j.Abstained == nil {
		j.Abstained = map[string]map[string]uint64{}
	}
	return j
}

func findingJSON(c *runner.Result, f *runner.Finding) jsonFinding {
	j := jsonFinding{
		Code: f.Rule.Code, Rule: f.Rule.Name, Severity: f.Severity.String(),
		File: c.File, Frames: orEmpty(f.Frames), Conn: f.ConnNumber,
		Client: endpoint(f.Client), Server: endpoint(f.Server),
		Host: f.Host, Method: f.Method, Target: f.Target, Status: f.Status,
		Message: f.Message, Fix: f.Fix, Side: f.Side, Measured: f.Measured,
		Occurrences: f.Occurrences, Connections: f.Connections,
		Fingerprint: f.Fingerprint, Refs: orEmpty(f.Refs),
	}
	if f.Time != 0 {
		j.Time = timestamp(f.Time)
	}
	return j
}

// measures are written as an object, in the rule's order.
type measures []rules.Measure

func (m measures) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for _, v := range m {
		if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
			continue // JSON has no such numbers
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		name, err := json.Marshal(v.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(round(v.Value))
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// round takes off what sums of floating point numbers owe to their order.
func round(v float64) float64 {
	if math.Abs(v) > 1e9 {
		return v
	}
	return math.Round(v*1e6) / 1e6
}

// timestamp returns t, in nanoseconds since 1970, as RFC 3339 with all nine
// digits of the second's fraction.
func timestamp(t int64) *string {
	s := time.Unix(0, t).UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
	return &s
}

// endpoint leaves out a port that is unknown or of no matter.
func endpoint(a netip.AddrPort) string {
	switch {
	case !a.IsValid():
		return ""
	case a.Port() == 0:
		return a.Addr().String()
	}
	return a.String()
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
