package http1

import (
	"path/filepath"
	"testing"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/wire"
)

// seedRecorded adds what the first connections of some recordings said, as
// FuzzSession takes it.
func seedRecorded(f *testing.F) {
	files, err := filepath.Glob("../../testdata/recorded/*.pcap")
	if err != nil || len(files) == 0 {
		f.Fatal("no recordings: ", err)
	}
	for i := 0; i < len(files); i += 15 {
		if b := recorded(f, files[i]); len(b) > 0 && len(b) < 4000 {
			f.Add(b, false, uint64(i))
		}
	}
}

func recorded(f *testing.F, path string) (out []byte) {
	src, err := pcapfile.Open(path, pcapfile.Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer src.Close()
	var p capture.Packet
	var s capture.Segment
	var client wire.Flow
	d := capture.NewDecoder(capture.DecoderOptions{})
	for src.Next(&p) == nil {
		if !d.Decode(&p, &s) {
			continue
		}
		if s.Flags&(wire.SYN|wire.ACK) == wire.SYN && client == (wire.Flow{}) {
			client = s.Flow
		}
		side := byte(Client)
		if s.Flow == client.Reverse() {
			side = byte(Server)
		} else if s.Flow != client {
			continue
		}
		for b := s.Payload; len(b) > 0; {
			n := min(len(b), 255)
			out = append(append(out, side, byte(n)), b[:n]...)
			b = b[n:]
		}
		if s.Flags&wire.FIN != 0 {
			out = append(out, side|4, 0)
		}
	}
	return out
}
