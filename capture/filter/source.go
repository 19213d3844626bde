package filter

import (
	"github.com/connlint/connlint/capture"
)

// Source lends the packets of another source that a filter takes. Frame
// numbers stay what they were.
type Source struct {
	capture.Source
	Left uint64 // packets left out so far

	filter *Filter
	link   capture.LinkType // of the last packet
	known  bool
	prog   Program
	err    error
}

// Apply returns a source of the packets of src that f takes. Closing it closes
// src.
func Apply(src capture.Source, f *Filter) *Source {
	return &Source{Source: src, filter: f}
}

// Next fills p with the next packet that the filter takes. A packet of a link
// type that filters do not know ends the source with a [capture.ReadError].
func (s *Source) Next(p *capture.Packet) error {
	if s.err != nil {
		return s.err
	}
	for {
		if err := s.Source.Next(p); err != nil {
			return err
		}
		if p.Link != s.link || !s.known {
			prog, err := s.filter.For(p.Link)
			if err != nil {
				s.err = &capture.ReadError{File: s.Info().Name, Offset: -1, Frame: p.Frame, Reason: err.Error()}
				return s.err
			}
			s.prog, s.link, s.known = prog, p.Link, true
		}
		if s.prog.Match(p.Data, p.OrigLen) {
			return nil
		}
		s.Left++
	}
}
