package tlsinfo

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/wire"
)

// seedRecorded adds what the two sides of recorded TLS connections said first.
func seedRecorded(f *testing.F) {
	files, err := filepath.Glob("../../testdata/recorded/*tls*.pcap")
	if err != nil || len(files) == 0 {
		f.Fatal("no recordings: ", err)
	}
	for i := 0; i < len(files); i += 3 {
		if c, s := hellos(f, files[i]); len(c) > 0 && len(s) > 0 {
			f.Add(c[:min(len(c), 2000)], s[:min(len(s), 2000)], uint8(200), uint16(0))
		}
	}
}

// hellos returns the bytes of the first connection of a recording whose first
// byte is that of a TLS handshake.
func hellos(f *testing.F, path string) (client, server []byte) {
	src, err := pcapfile.Open(path, pcapfile.Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer src.Close()
	var p capture.Packet
	var s capture.Segment
	var first wire.Flow
	d := capture.NewDecoder(capture.DecoderOptions{})
	for src.Next(&p) == nil {
		if !d.Decode(&p, &s) || len(s.Payload) == 0 {
			continue
		}
		if first == (wire.Flow{}) && bytes.HasPrefix(s.Payload, []byte{22, 3}) {
			first = s.Flow
		}
		switch s.Flow {
		case first:
			client = append(client, s.Payload...)
		case first.Reverse():
			server = append(server, s.Payload...)
		}
	}
	return client, server
}
