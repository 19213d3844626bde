package capture

import (
	"errors"
	"io"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

func TestBlockPool(t *testing.T) {
	pool := NewBlockPool(64, 1)
	b := pool.Get()
	b.Retain()
	b.Release()
	if c := pool.Get(); c == b {
		t.Fatal("lent while still held")
	}
	b.Release()
	if c := pool.Get(); c != b {
		t.Error("not recycled after the last hold")
	}
	b.Buf = make([]byte, 128) // outgrown
	b.Release()
	if c := pool.Get(); c == b || len(c.Buf) != 64 {
		t.Errorf("block of %d bytes lent", len(c.Buf))
	}
	defer func() {
		if recover() == nil {
			t.Error("released too often without notice")
		}
	}()
	b.Release()
}

func TestReadError(t *testing.T) {
	err := error(&ReadError{File: "a.pcap", Offset: 120, Frame: 3, Reason: "cut inside a record", Cut: true, Err: io.ErrUnexpectedEOF})
	if want := "a.pcap: cut inside a record: unexpected EOF (at byte 120, after 3 packets)"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("cause is lost")
	}
	if got := (&ReadError{File: "-", Offset: -1, Reason: "no capture"}).Error(); got != "-: no capture" {
		t.Errorf("%q", got)
	}
}

func TestSegmentEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		s    Segment
		want wire.Seq
	}{
		"data":           {Segment{Seq: 10, Len: 5}, 15},
		"SYN":            {Segment{Seq: 10, Flags: wire.SYN}, 11},
		"data and FIN":   {Segment{Seq: 10, Len: 5, Flags: wire.FIN | wire.ACK}, 16},
		"over the wrap":  {Segment{Seq: 0xfffffffe, Len: 5}, 3},
		"cut by capture": {Segment{Seq: 10, Len: 1000, Payload: []byte("x")}, 1010},
	} {
		if got := tt.s.End(); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
