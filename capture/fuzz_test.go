package capture

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/connlint/connlint/capture/wire"
)

func FuzzDecode(f *testing.F) {
	for _, tt := range decodeTests {
		b := unhex(tt.bytes)
		f.Add(uint32(tt.link), b, uint32(max(tt.orig-len(b), 0)))
	}
	for l := range LinkType(300) {
		f.Add(uint32(l), unhex(ethV4+ip4+tcp), uint32(0))
	}
	files, err := filepath.Glob("../testdata/recorded/*.pcap")
	if err != nil || len(files) == 0 {
		f.Fatal("no recordings: ", err)
	}
	corpus, _ := filepath.Glob(corpusDir + "/*/*.pcap")
	for i, path := range slices.Concat(files, corpus) {
		if i%25 != 0 && i < len(files) {
			continue
		}
		for k, p := range readCapture(f, path) {
			if k%5 == 3 && k < 20 && len(p.Data) < 400 {
				f.Add(uint32(p.Link), p.Data, uint32(p.OrigLen-len(p.Data)))
			}
		}
	}
	d := NewDecoder(DecoderOptions{})
	n, segments := uint64(0), uint64(0)
	f.Fuzz(func(t *testing.T, link uint32, b []byte, cut uint32) {
		b = slices.Clip(b)
		p := Packet{Data: b, OrigLen: len(b) + int(cut), Frame: n, Time: int64(n) * 1e6, Link: LinkType(link)}
		var s Segment
		n++
		if d.Decode(&p, &s) {
			segments++
			checkSegment(t, &p, &s)
			for o := wire.Options(s.Options); o.Next(); {
				o.SACKBlocks()
			}
		}
		if total(&d.Skipped)+segments != n {
			t.Errorf("skipped %v and %d segments of %d packets", d.Skipped, segments, n)
		}
		if compare(t, NewDecoder(DecoderOptions{}), &p, true) && t.Failed() {
			t.Logf("%x", b)
		}
	})
}

// Every packet of the corpus, damaged in one byte, cut, and taken for another
// link type, must pass without a panic.
func TestDecodeDamaged(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	for _, f := range corpus(t) {
		packets := readCapture(t, filepath.Join(corpusDir, f.file))
		for i := range packets[:min(len(packets), 40)] {
			p := packets[i]
			whole := p.Data
			var s Segment
			for at := range min(len(whole), 120) {
				p.Data = slices.Clone(whole)
				for _, v := range []byte{0, 1, 0x7f, 0xff} {
					p.Data[at] = v
					d.Decode(&p, &s)
				}
				p.Data = whole[:at:at]
				d.Decode(&p, &s)
			}
			p.Data = whole
			for l := range LinkType(280) {
				p.Link = l
				d.Decode(&p, &s)
			}
		}
	}
}
