package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/connlint/connlint/capture"
)

// build writes capture files byte by byte, in either order.
type build struct {
	binary.AppendByteOrder
	b []byte
}

var (
	little = binary.LittleEndian
	big    = binary.BigEndian
)

func newBuild(o binary.AppendByteOrder) *build { return &build{AppendByteOrder: o} }

// put appends integers by their size, strings and byte slices as they are.
func (w *build) put(values ...any) *build {
	for _, v := range values {
		switch v := v.(type) {
		case uint8:
			w.b = append(w.b, v)
		case uint16:
			w.b = w.AppendUint16(w.b, v)
		case uint32:
			w.b = w.AppendUint32(w.b, v)
		case uint64:
			w.b = w.AppendUint64(w.b, v)
		case int:
			w.b = w.AppendUint32(w.b, uint32(v))
		case string:
			w.b = append(w.b, v...)
		case []byte:
			w.b = append(w.b, v...)
		default:
			panic(fmt.Sprintf("put %T", v))
		}
	}
	return w
}

func (w *build) pad() *build {
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
	return w
}

func (w *build) pcap(magic, snap, network uint32) *build {
	return w.put(magic, uint16(2), uint16(4), 0, 0, snap, network)
}

func (w *build) record(sec, frac, orig uint32, data string) *build {
	return w.put(sec, frac, len(data), orig, data)
}

// block puts a pcapng block around what values make.
func (w *build) block(typ uint32, values ...any) *build {
	body := newBuild(w.AppendByteOrder).put(values...).pad().b
	return w.put(typ, len(body)+12, body, len(body)+12)
}

func (w *build) option(code uint16, v any) []byte {
	value := newBuild(w.AppendByteOrder).put(v).b
	return newBuild(w.AppendByteOrder).put(code, uint16(len(value)), value).pad().b
}

func (w *build) shb() *build {
	return w.block(blockSection, byteOrderMagic, uint16(1), uint16(0), ^uint64(0))
}

func (w *build) idb(link uint16, snap uint32, options ...any) *build {
	return w.block(blockInterface, append([]any{link, uint16(0), snap}, options...)...)
}

func (w *build) epb(id uint32, ts uint64, orig int, data string, options ...any) *build {
	padded := newBuild(little).put(data).pad().b
	return w.block(blockEnhanced, append([]any{id, uint32(ts >> 32), uint32(ts), len(data), orig, padded}, options...)...)
}

// got is a packet, copied.
type got struct {
	Data    string
	OrigLen int
	Time    int64
	Link    capture.LinkType
}

// drain reads src to its end and returns the error other than io.EOF.
func drain(t testing.TB, src capture.Source) ([]got, error) {
	t.Helper()
	var all []got
	var p capture.Packet
	var last uint64
	ng, sparse := src.(*ngReader)
	if s, ok := src.(*impatient); ok {
		ng, sparse = s.Ahead.(*ngReader)
	}
	for {
		err := src.Next(&p)
		if err != nil {
			if again := src.Next(&p); again != err {
				t.Errorf("Next after %v: %v", err, again)
			}
			if err == io.EOF {
				err = nil
			}
			return all, err
		}
		if p.Frame != last+1 && !sparse || sparse && (p.Frame <= last || p.Frame != ng.frame) {
			t.Fatalf("frame %d after %d", p.Frame, last)
		}
		last = p.Frame
		if p.OrigLen < len(p.Data) || cap(p.Data) != len(p.Data) || p.Block == nil {
			t.Fatalf("frame %d: length %d, cap %d, on the wire %d, block %p", p.Frame, len(p.Data), cap(p.Data), p.OrigLen, p.Block)
		}
		all = append(all, got{string(p.Data), p.OrigLen, p.Time, p.Link})
	}
}

// read reads a whole file in memory.
func read(t testing.TB, r io.Reader, opts Options) ([]got, capture.Info, error) {
	t.Helper()
	src, err := NewReader(r, "x", -1, opts)
	if err != nil {
		checkReadError(t, err)
		return nil, capture.Info{}, err
	}
	all, err := drain(t, src)
	info := src.Info()
	if e := src.Close(); e != nil {
		t.Error(e)
	}
	if err != nil {
		if e := checkReadError(t, err); e != nil && e.Frame < uint64(len(all)) {
			t.Errorf("error after %d packets counts %d", len(all), e.Frame)
		}
	}
	return all, info, err
}

func readBytes(t testing.TB, b []byte) ([]got, capture.Info, error) {
	t.Helper()
	return read(t, bytes.NewReader(b), Options{})
}

func checkReadError(t testing.TB, err error) *capture.ReadError {
	t.Helper()
	e, ok := errors.AsType[*capture.ReadError](err)
	if !ok {
		t.Errorf("%T is no *capture.ReadError: %v", err, err)
		return nil
	}
	if e.File == "" || e.Reason == "" {
		t.Errorf("error without file or reason: %+v", e)
	}
	return e
}
