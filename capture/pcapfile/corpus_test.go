package pcapfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"

	"github.com/connlint/connlint/capture"
)

// corpus is beside the repository, where there is one.
const corpus = "../../../shared/corpus"

type corpusFile struct {
	path, format string
	packets      int
	broken       bool // TShark stops in it
}

func corpusFiles(t testing.TB) (files []corpusFile) {
	index, err := os.ReadFile(filepath.Join(corpus, "INDEX.tsv"))
	if err != nil {
		t.Skip("no corpus: ", err)
	}
	lines := strings.Split(strings.TrimSpace(string(index)), "\n")
	columns := strings.Split(lines[0], "\t")
	for _, line := range lines[1:] {
		row := make(map[string]string)
		for i, v := range strings.Split(line, "\t") {
			row[columns[i]] = v
		}
		packets, err := strconv.Atoi(row["packets"])
		if err != nil {
			t.Fatal(line)
		}
		files = append(files, corpusFile{filepath.Join(corpus, row["file"]), row["format"], packets, row["tool_exit"] != "0"})
	}
	return files
}

// differ are files that TShark 4.0 reads otherwise; tcpdump 4.99 agrees with us
// on each. The first three have link types that TShark does not know, which is
// for the decoder to say. In the last, two sound records come before the
// damage; TShark takes that for a sign of longer record headers.
var differ = map[string]struct {
	packets int
	broken  bool
}{
	"brcm-tag-prepend.pcap":                   {15, false},
	"hoobr_juniper3.pcap":                     {1, false},
	"kday6.pcap":                              {1, false},
	"crash-exception-cast-constructed-record": {2, true},
}

func TestCorpus(t *testing.T) {
	for _, f := range corpusFiles(t) {
		name := filepath.Base(f.path)
		src, err := Open(f.path, Options{})
		frames := 0 // of which a packet each, but for pcapng's blocks of other kinds
		if err == nil {
			var all []got
			all, err = drain(t, src)
			frames = len(all)
			if ng, ok := src.(*ngReader); ok {
				frames = int(ng.frame)
			}
			if i := src.Info(); i.Bytes != uint64(i.Size) && err == nil {
				t.Errorf("%s: read %d of %d bytes", name, i.Bytes, i.Size)
			}
			src.Close()
		}
		want, broken := f.packets, f.broken
		if f.format == "snoop" {
			if err == nil || !strings.Contains(err.Error(), "snoop") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if d, ok := differ[name]; ok {
			want, broken = d.packets, d.broken
		}
		if frames != want || (err != nil) != broken {
			t.Errorf("%s: %d packets, %v; want %d", f.path, frames, err, want)
		}
		if err != nil {
			if e := checkReadError(t, err); e != nil && e.Offset < 0 {
				t.Errorf("%s: no offset: %v", name, err)
			}
		}
	}
}

// TestPcapgo compares with gopacket's readers where they are right. They are
// not where a packet is longer than the snapshot length (refused), for SLL2
// (its number is cut to a byte), for the time of a Simple Packet Block (year 1)
// and for microseconds beyond a second (they overflow).
func TestPcapgo(t *testing.T) {
	for _, f := range corpusFiles(t) {
		raw, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		if f.broken || compressionOf(raw) != plain || f.format == "snoop" {
			continue
		}
		ours, _, err := readBytes(t, raw)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
			continue
		}
		theirs, err := pcapgoRead(raw)
		if err != nil {
			t.Logf("%s: pcapgo: %v", f.path, err)
		}
		if len(theirs) < len(ours) && err == nil {
			t.Errorf("%s: %d packets, pcapgo has %d", f.path, len(ours), len(theirs))
		}
		for i := range theirs {
			want := theirs[i]
			if want.Link == 276&0xff {
				want.Link = 276
			}
			if want.Time == (time.Time{}).UnixNano() || strings.HasSuffix(f.path, "4672344017862656") {
				want.Time = ours[i].Time
			}
			if d := cmp.Diff(want, ours[i]); d != "" {
				t.Fatalf("%s, packet %d (-pcapgo +ours):\n%.1500s", f.path, i+1, d)
			}
		}
	}
}

func pcapgoRead(raw []byte) (all []got, err error) {
	var next func() ([]byte, gopacket.CaptureInfo, capture.LinkType, error)
	if isPcapng(raw) {
		r, err := pcapgo.NewNgReader(bytes.NewReader(raw), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return nil, err
		}
		next = func() ([]byte, gopacket.CaptureInfo, capture.LinkType, error) {
			b, ci, err := r.ReadPacketData()
			if err != nil {
				return nil, ci, 0, err
			}
			i, err := r.Interface(ci.InterfaceIndex)
			return b, ci, capture.LinkType(i.LinkType), err
		}
	} else {
		r, err := pcapgo.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		next = func() ([]byte, gopacket.CaptureInfo, capture.LinkType, error) {
			b, ci, err := r.ReadPacketData()
			return b, ci, capture.LinkType(r.LinkType()), err
		}
	}
	for {
		b, ci, link, err := next()
		if errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all = append(all, got{string(b), ci.Length, ci.Timestamp.UnixNano(), link})
	}
}
