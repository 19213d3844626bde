package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/connlint/connlint/capture/wire"
)

const corpusDir = "../../shared/corpus"

// corpusFile is a line of the corpus' INDEX.tsv.
type corpusFile struct {
	class, file, confidence string
	streams                 int // TShark's count of tcp.stream
}

func corpus(t testing.TB) []corpusFile {
	b, err := os.ReadFile(filepath.Join(corpusDir, "INDEX.tsv"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no corpus of captures beside the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	column := map[string]int{}
	for i, name := range strings.Split(lines[0], "\t") {
		column[name] = i
	}
	var files []corpusFile
	for _, line := range lines[1:] {
		f := strings.Split(line, "\t")
		n, _ := strconv.Atoi(f[column["tcp_streams"]])
		files = append(files, corpusFile{
			class: f[column["class"]], file: f[column["file"]], confidence: f[column["confidence"]], streams: n,
		})
	}
	return files
}

// readCapture returns the packets of a capture file up to the first error, as
// far as a test needs them: the package's own readers stand on a higher floor.
func readCapture(t testing.TB, path string) []Packet {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
		b, _ = io.ReadAll(z)
	}
	if len(b) < 24 {
		return nil
	}
	var order binary.ByteOrder
	unit := int64(1000)
	switch binary.LittleEndian.Uint32(b) {
	case 0xa1b2c3d4:
		order = binary.LittleEndian
	case 0xa1b23c4d:
		order, unit = binary.LittleEndian, 1
	case 0xd4c3b2a1:
		order = binary.BigEndian
	case 0x4d3cb2a1:
		order, unit = binary.BigEndian, 1
	default:
		return readPcapng(b)
	}
	var packets []Packet
	link := LinkType(order.Uint32(b[20:]) & 0xffff) // above it is the length of frame check sequences
	for b = b[24:]; len(b) >= 16; {
		n := order.Uint32(b[8:])
		if uint64(n) > uint64(len(b)-16) {
			break
		}
		packets = append(packets, Packet{
			Data: b[16 : 16+n], OrigLen: int(max(order.Uint32(b[12:]), n)), Link: link, Frame: uint64(len(packets) + 1),
			Time: int64(order.Uint32(b))*1e9 + int64(order.Uint32(b[4:]))*unit,
		})
		b = b[16+n:]
	}
	return packets
}

func readPcapng(b []byte) (packets []Packet) {
	opts := pcapgo.DefaultNgReaderOptions
	opts.WantMixedLinkType = true
	r, err := pcapgo.NewNgReader(bytes.NewReader(b), opts)
	if err != nil {
		return nil
	}
	for {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			return packets
		}
		packets = append(packets, Packet{
			Data: data, OrigLen: max(ci.Length, len(data)), Frame: uint64(len(packets) + 1),
			Time: ci.Timestamp.UnixNano(), Link: LinkType(ci.AncillaryData[0].(layers.LinkType)),
		})
	}
}

// streams counts connections as TShark's tcp.stream: a SYN with another number
// than the one its flow began with begins a new one.
type streams struct {
	n    int
	isns map[wire.Flow]*[2]*wire.Seq
}

func (c *streams) add(s *Segment) {
	flow, dir := s.Flow.Canonical()
	e := c.isns[flow]
	if e == nil || s.Flags&(wire.SYN|wire.ACK) == wire.SYN && e[dir] != nil && *e[dir] != s.Seq {
		c.n++
		e = new([2]*wire.Seq)
		c.isns[flow] = e
	}
	if e[dir] == nil {
		seq := s.Seq
		e[dir] = &seq
	}
}

func TestCorpusStreams(t *testing.T) {
	for _, f := range corpus(t) {
		if f.confidence != "high" && f.confidence != "medium" && f.file != "arkime-arkime/gre-erspan-vxlan.pcap" {
			continue
		}
		t.Run(f.file, func(t *testing.T) {
			d := NewDecoder(DecoderOptions{})
			got := streams{isns: map[wire.Flow]*[2]*wire.Seq{}}
			packets := readCapture(t, filepath.Join(corpusDir, f.file))
			for i := range packets {
				var s Segment
				if d.Decode(&packets[i], &s) {
					got.add(&s)
				}
			}
			d.Finish()
			if got.n != f.streams {
				t.Errorf("%d TCP connections in %d packets, TShark counts %d; skipped %v", got.n, len(packets), f.streams, d.Skipped)
			}
		})
	}
}

func TestCorpusBad(t *testing.T) {
	for _, f := range corpus(t) {
		if !strings.HasPrefix(f.class, "bad:") {
			continue
		}
		t.Run(f.file, func(t *testing.T) {
			d := NewDecoder(DecoderOptions{})
			packets := readCapture(t, filepath.Join(corpusDir, f.file))
			segments := uint64(0)
			got := streams{isns: map[wire.Flow]*[2]*wire.Seq{}}
			for i := range packets {
				var s Segment
				if d.Decode(&packets[i], &s) {
					segments++
					got.add(&s)
					checkSegment(t, &packets[i], &s)
				}
			}
			d.Finish()
			if n := segments + total(&d.Skipped); n != uint64(len(packets)) {
				t.Errorf("%d of %d packets accounted for", n, len(packets))
			}
			t.Logf("%d packets, %d segments, %d streams (TShark: %d), skipped %v", len(packets), segments, got.n, f.streams, d.Skipped)
		})
	}
}

func total(s *Skipped) (n uint64) {
	for _, c := range s {
		n += c
	}
	return n
}

// checkSegment tests what holds for any segment of any packet.
func checkSegment(t testing.TB, p *Packet, s *Segment) {
	t.Helper()
	if len(s.Payload) > s.Len {
		t.Errorf("payload of %d bytes, length %d", len(s.Payload), s.Len)
	}
	if len(s.Options) > 40 {
		t.Errorf("%d bytes of options", len(s.Options))
	}
	if s.Time != p.Time || s.Frame != p.Frame {
		t.Errorf("time %d, frame %d; packet's are %d, %d", s.Time, s.Frame, p.Time, p.Frame)
	}
	if s.Hash != s.Flow.Hash() {
		t.Errorf("hash %x is not the flow's", s.Hash)
	}
}
