//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package live

import (
	"errors"
	"io"

	"github.com/connlint/connlint/capture"
)

// Source would capture.
type Source struct{}

// Open returns an error: on this system captures are read from files.
func Open(Options) (*Source, error) {
	return nil, errors.New("connlint cannot capture on this system; capture with Wireshark or dumpcap, and check the file")
}

// Next returns io.EOF.
func (*Source) Next(*capture.Packet) error { return io.EOF }

// Info describes nothing.
func (*Source) Info() capture.Info { return capture.Info{} }

// Stop does nothing.
func (*Source) Stop() {}

// Close does nothing.
func (*Source) Close() error { return nil }
