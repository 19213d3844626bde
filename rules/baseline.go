package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Baseline is a list of known findings. It holds nothing that differs when the
// same traffic is recorded again.
type Baseline struct {
	Known []Known
}

// Known is one finding of a baseline. Its fingerprint alone tells whether
// another is the same; the rest is for who reads the file.
type Known struct {
	Fingerprint string `json:"fingerprint"`
	Code        string `json:"code"`
	Rule        string `json:"rule"`
	Server      string `json:"server"` // its Host, or else its address
	Method      string `json:"method"`
	Route       string `json:"route"`
	Side        string `json:"side"`
}

// baselineFile is the file's layout, which
// testdata/schema/baseline.schema.json describes.
type baselineFile struct {
	Schema   int     `json:"schema"`
	Findings []Known `json:"findings"`
}

const baselineSchema = 1

// maxBaseline bounds what is read of a baseline file, in bytes.
const maxBaseline = 256 << 20

// Write writes the baseline as JSON, a line for each finding, sorted and each
// once: what is committed to a repository has readable differences.
func (b *Baseline) Write(w io.Writer) error {
	known := slices.Clone(b.Known)
	slices.SortFunc(known, func(a, b Known) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Method, b.Method),
			cmp.Compare(a.Route, b.Route), cmp.Compare(a.Side, b.Side), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	known = slices.CompactFunc(known, func(a, b Known) bool { return a.Fingerprint == b.Fingerprint })
	text := fmt.Appendf(nil, "{\n  \"schema\": %d,\n  \"findings\": [", baselineSchema)
	for i, k := range known {
		line, err := json.Marshal(k)
		if err != nil {
			return err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(text, "\n    "...), line...)
	}
	if len(known) > 0 {
		text = append(text, "\n  "...)
	}
	_, err := w.Write(append(text, "]\n}\n"...))
	return err
}

// ReadBaseline reads what [Baseline.Write] wrote.
func ReadBaseline(r io.Reader) (*Baseline, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBaseline+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxBaseline {
		return nil, fmt.Errorf("a baseline of more than %d MB", maxBaseline>>20)
	}
	var f baselineFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("no baseline: %w", err)
	}
	if f.Schema != baselineSchema {
		return nil, fmt.Errorf("no baseline, or of another version: \"schema\" is %d, not %d", f.Schema, baselineSchema)
	}
	for i, k := range f.Findings {
		if k.Fingerprint == "" {
			return nil, fmt.Errorf("no baseline: finding %d has no fingerprint", i+1)
		}
	}
	return &Baseline{Known: f.Findings}, nil
}

// Has reports for fingerprints whether they are in the baseline.
func (b *Baseline) Has() func(fingerprint string) bool {
	known := make(map[string]bool, len(b.Known))
	for _, k := range b.Known {
		known[k.Fingerprint] = true
	}
	return func(f string) bool { return known[f] }
}
