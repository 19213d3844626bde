package runner_test

import (
	"bytes"
	"testing"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/wire"
)

// startLines counts the request and response heads that a generated capture
// holds, by looking at where segments begin: the generator never puts a start
// line behind other bytes of its stream's segment. A repeated packet counts
// once.
func startLines(t *testing.T, path string) (requests, responses uint64) {
	t.Helper()
	src, err := pcapfile.Open(path, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	type place struct {
		flow wire.Flow
		seq  wire.Seq
	}
	met := map[place]bool{}
	dec := capture.NewDecoder(capture.DecoderOptions{})
	var p capture.Packet
	var s capture.Segment
	for src.Next(&p) == nil {
		if !dec.Decode(&p, &s) || len(s.Payload) == 0 {
			continue
		}
		at := place{s.Flow, s.Seq}
		if met[at] {
			continue
		}
		switch {
		case bytes.HasPrefix(s.Payload, []byte("HTTP/1.1 ")):
			responses++
		case bytes.HasPrefix(s.Payload, []byte("GET /")), bytes.HasPrefix(s.Payload, []byte("POST /")), bytes.HasPrefix(s.Payload, []byte("HEAD /")):
			requests++
		default:
			continue
		}
		met[at] = true
	}
	return requests, responses
}
