package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/capture"
)

// impatient is a source that goes on where another one pauses. Two goroutines
// read ahead for it, sometimes what nobody needs any more.
type impatient struct {
	capture.Ahead
	pauses int
	others sync.WaitGroup
}

func (s *impatient) Next(p *capture.Packet) error {
	for {
		err := s.Ahead.Next(p)
		if !errors.Is(err, capture.ErrPause) {
			if err != nil {
				s.others.Wait()
			}
			return err
		}
		s.pauses++
		n := s.Piece()
		for k := range uint64(2) {
			s.others.Go(func() { s.ReadAhead(n + k) })
		}
		if n%3 == 0 {
			s.others.Wait()
		}
	}
}

// readAhead reads b in pieces of the given size, but for what opening it takes.
func readAhead(t testing.TB, b []byte, size, margin int) (all []got, info capture.Info, pauses int, err error) {
	t.Helper()
	src, err := NewReader(iotest.OneByteReader(bytes.NewReader(b)), "x", -1, Options{})
	if err != nil {
		return nil, capture.Info{}, 0, err
	}
	var f *file
	switch src := src.(type) {
	case *pcapReader:
		f = src.file
	case *ngReader:
		f = src.file
	}
	if f.compression != plain {
		all, err = drain(t, src)
		return all, src.Info(), 0, err
	}
	f.inPieces(bytes.NewReader(b), size, margin)
	s := &impatient{Ahead: src.(capture.Ahead)}
	if !s.Pieces() {
		t.Error("no pieces")
	}
	all, err = drain(t, s)
	info = src.Info()
	if e := src.Close(); e != nil {
		t.Error(e)
	}
	return all, info, s.pauses, err
}

// TestAhead reads every sample in pieces read ahead: nothing may depend on it.
func TestAhead(t *testing.T) {
	for _, s := range append(samples(), longRecords(little), longRecords(big)) {
		want, wantInfo, wantErr := readBytes(t, s.file)
		for _, size := range []int{1, 24, 37, 1000, 70_000} {
			if len(s.file)/size > 1<<16 {
				continue
			}
			for _, margin := range []int{0, 20, 3000} {
				all, info, _, err := readAhead(t, s.file, size, margin)
				if !cmp.Equal(want, all) || fmt.Sprint(err) != fmt.Sprint(wantErr) || wantErr == nil && !cmp.Equal(wantInfo, info) {
					t.Fatalf("%s, pieces of %d, margin of %d: %d packets, %v, %v; want %d, %v, %v",
						s.name, size, margin, len(all), info, err, len(want), wantInfo, wantErr)
				}
			}
		}
	}
}

// longRecords has records of all lengths beside those of pieces and margins.
func longRecords(order binary.AppendByteOrder) sample {
	w := newBuild(order).pcap(magicMicro, 262144, 1)
	for i := range 60 {
		n := []int{0, 20, 60, 1514, 2990, 66_000}[i*i%6] + i%3
		w.record(uint32(1e9+i), 0, uint32(n), strings.Repeat(string(rune('a'+i%26)), n))
	}
	return sample{name: "long records", file: w.b}
}

// TestDamageAhead checks that a damaged file shows the same whether it is read
// ahead or not.
func TestDamageAhead(t *testing.T) {
	w := newBuild(little).pcap(magicMicro, 262144, 1)
	for i := 0; len(w.b) < 2*blockSize+1000; i++ {
		w.record(uint32(1e9+i), 0, 1000, strings.Repeat("x", 1000))
	}
	w.put(bytes.Repeat([]byte{0xee}, 4*blockSize))
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, w.b, 0o600); err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, ask := range []bool{false, true} {
		src, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := &impatient{Ahead: src.(capture.Ahead)}
		if ask && !s.Pieces() {
			t.Error("no pieces")
		}
		all, err := drain(t, s)
		shown = append(shown, fmt.Sprint(len(all), err, src.Info()))
		src.Close()
	}
	if shown[0] != shown[1] || !strings.Contains(shown[0], "damaged") {
		t.Errorf("read ahead %s; else %s", shown[1], shown[0])
	}
}

// TestPause checks that a file pauses once a piece, and only if asked to.
func TestPause(t *testing.T) {
	const packet = 1000
	w := newBuild(little).pcap(magicMicro, 262144, 1)
	packets := 0
	for ; len(w.b) < piecesAhead*blockSize; packets++ {
		w.record(uint32(1e9+packets), 0, packet, strings.Repeat("x", packet))
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, w.b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		pool       *capture.BlockPool
		ask, pause bool
	}{{nil, false, false}, {nil, true, true}, {capture.NewBlockPool(blockSize, 4), true, false}} {
		src, err := Open(path, Options{Pool: test.pool})
		if err != nil {
			t.Fatal(err)
		}
		s := &impatient{Ahead: src.(capture.Ahead)}
		if test.ask && s.Pieces() != test.pause {
			t.Fatalf("%+v: pieces are not as they should", test)
		}
		if !test.pause { // Next shows that there is none
			if all, err := drain(t, src); len(all) != packets || err != nil {
				t.Errorf("%+v: %d packets, %v; want %d", test, len(all), err, packets)
			}
			src.Close()
			continue
		}
		all, err := drain(t, s)
		if between := len(w.b) / blockSize; len(all) != packets || err != nil || s.pauses != between {
			t.Errorf("%d packets, %d pauses, %v; want %d, %d", len(all), s.pauses, err, packets, between)
		}
		if info := src.Info(); info.Bytes != uint64(len(w.b)) {
			t.Errorf("%d bytes read of %d", info.Bytes, len(w.b))
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}
