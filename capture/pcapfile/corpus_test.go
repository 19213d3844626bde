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

	"github.com/connlint/connlint/capture"
	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"
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

// knownToUs are files that TShark 4.0 refuses for link types it does not know.
// That is for the decoder to say: their packets are lent. The counts are those
// of the records, checked by hand against the files' lengths.
var knownToUs = map[string]int{
	"brcm-tag-prepend.pcap": 3,
	"hoobr_juniper3.pcap":   0,
	"kday6.pcap":            0,
}

func TestCorpus(t *testing.T) {
	for _, f := range corpusFiles(t) {
		name := filepath.Base(f.path)
		src, err := Open(f.path, Options{})
		var all []got
		if err == nil {
			all, err = drain(t, src)
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
		if n, ok := knownToUs[name]; ok {
			want, broken = n, err != nil
		}
		if len(all) != want || (err != nil) != broken {
			t.Errorf("%s: %d packets, %v; want %d", f.path, len(all), err, want)
		}
		if err != nil {
			if e := checkReadError(t, err); e != nil && e.Offset < 0 {
				t.Errorf("%s: no offset: %v", name, err)
			}
		}
	}
}

// TestPcapgo compares with gopacket's readers where they are right: they take
// one byte order of SPB, no modified variants, and a cut pcapng for a whole one.
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
		n := min(len(ours), len(theirs))
		if d := cmp.Diff(theirs[:n], ours[:n]); d != "" {
			t.Errorf("%s (-pcapgo +ours):\n%.1500s", f.path, d)
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
