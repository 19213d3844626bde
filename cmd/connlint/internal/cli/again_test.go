package cli

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// another is a capture as another recording of the same traffic would be:
// later, with other frame numbers and other ephemeral ports of clients.
type another struct {
	capture.Source
	began bool
}

const ephemeral = 32768 // of the machines that recorded

func (s *another) Next(p *capture.Packet) error {
	if !s.began { // a packet that is none of it
		s.began = true
		if err := s.Source.Next(p); err != nil {
			return err
		}
		later := *p
		*p = capture.Packet{Data: make([]byte, 60), OrigLen: 60, Time: later.Time + s.shift() - 1, Frame: 1, Link: later.Link}
		s.Source = &first{Source: s.Source, p: later}
		return nil
	}
	if err := s.Source.Next(p); err != nil {
		return err
	}
	p.Data, p.Block = slices.Clone(p.Data), nil
	p.Frame++
	p.Time += s.shift()
	if p.Link == 1 {
		otherPorts(p.Data)
	}
	return nil
}

func (*another) shift() int64 { return int64(26*time.Hour + 1234567) }

// first gives one packet back before the others.
type first struct {
	capture.Source
	p    capture.Packet
	past bool
}

func (s *first) Next(p *capture.Packet) error {
	if !s.past {
		s.past = true
		*p = s.p
		return nil
	}
	return s.Source.Next(p)
}

// otherPorts changes ephemeral ports of an Ethernet frame, each into another,
// and leaves all else.
func otherPorts(b []byte) {
	if len(b) < 14 {
		return
	}
	at := 14
	switch binary.BigEndian.Uint16(b[12:]) {
	case 0x0800:
		if len(b) < at+20 || b[at+9] != 6 {
			return
		}
		at += int(b[at]&15) * 4
	case 0x86dd:
		if len(b) < at+40 || b[at+6] != 6 {
			return
		}
		at += 40
	default:
		return
	}
	for _, i := range []int{at, at + 2} {
		if len(b) >= i+2 {
			if port := int(binary.BigEndian.Uint16(b[i:])); port >= ephemeral {
				binary.BigEndian.PutUint16(b[i:], uint16(ephemeral+((port-ephemeral)*7+1234)%32767))
			}
		}
	}
}

// known returns the findings of a source by fingerprint: those of the rules
// that are on, and of others by code.
func known(t *testing.T, src capture.Source, others ...string) map[string]string {
	t.Helper()
	selected, err := catalog.Select(nil, nil, others)
	if err != nil {
		t.Fatal(err)
	}
	res := runner.Run(src, runner.Options{Rules: selected, Precedence: catalog.Precedence()})
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	found := map[string]string{}
	for i := range res.Findings {
		f := &res.Findings[i]
		found[f.Fingerprint] = fmt.Sprintf("%s %v:%d %s", f.Rule.Code, f.Severity, firstFrame(f), f.Message)
	}
	return found
}

func open(t *testing.T, file string) capture.Source {
	t.Helper()
	src, err := pcapfile.Open(file, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

// compare reports findings that only one of two recordings has.
func compare(t *testing.T, before, after map[string]string) {
	t.Helper()
	for f, what := range after {
		if _, ok := before[f]; !ok {
			t.Errorf("new: %s", what)
		}
	}
	for f, what := range before {
		if _, ok := after[f]; !ok {
			t.Errorf("gone: %s", what)
		}
	}
}

// Findings are known again when the same traffic is recorded at another time,
// with other ports and frame numbers.
func TestKnownAgain(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(strings.TrimSuffix(r.File, ".pcap"), func(t *testing.T) {
			file := filepath.Join(recorded, r.File)
			compare(t, known(t, open(t, file)), known(t, &another{Source: open(t, file)}))
		})
	}
}

// recordAgain holds what TestRecordAgain records: patterns of scenarios, or
// the directory of what was recorded already.
const recordAgain = "CONNLINT_RECORD_AGAIN"

// The lab's scenarios, recorded again, have the findings of the recordings: a
// few here; testdata/lab/README.md says how to try all.
func TestRecordAgain(t *testing.T) {
	dir := os.Getenv(recordAgain)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		dir = record(t, strings.Fields(dir))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.pcap*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing was recorded: %v", err)
	}
	expected := map[string][]string{}
	for _, r := range recordings(t) {
		expected[r.File] = r.Rules
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			before := filepath.Join(recorded, filepath.Base(file))
			if _, err := os.Stat(before); err != nil {
				t.Skip("not recorded before")
			}
			others := expected[filepath.Base(file)]
			compare(t, known(t, open(t, before), others...), known(t, open(t, file), others...))
		})
	}
}

// record records scenarios into a directory.
func record(t *testing.T, patterns []string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("recording needs root")
	}
	if len(patterns) == 0 {
		if testing.Short() {
			t.Skip("-short")
		}
		patterns = []string{"lat001-python-two-writes", "cls001-go-server-resets", "frm001-java-client-node-raw", "tls001-curl-full-handshakes"}
	}
	dir := t.TempDir()
	lab := filepath.Join(dir, "lab")
	if out, err := exec.Command("go", "build", "-o", lab, repository+"/testdata/lab").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(lab, append([]string{"record", "-o", dir}, patterns...)...).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "not permitted") || strings.Contains(string(out), "not found") {
			t.Skipf("cannot record here: %s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}
