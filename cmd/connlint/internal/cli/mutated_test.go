package cli

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	gometrics "runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
)

var (
	mutations    = flag.Int("mutations", 500, "how many mutated captures `TestMutatedCaptures` makes")
	mutationSeed = flag.Uint64("mutation-seed", 1, "the `seed` of the first; each has the next one")
	mutationDir  = flag.String("mutation-dir", "", "keep the captures that fail in this `directory`")
)

// corpus is beside the repository, where there is one.
const corpus = repository + "/../shared/corpus"

// What one capture may take.
const (
	mutatedMemory = 256 << 20
	mutatedCPU    = 2 * time.Second // for each MB begun
)

// TestMutatedCaptures runs the commands over damaged copies of the corpus and
// of the recordings: bits flipped, bytes overwritten, parts cut out, doubled or
// moved, two captures spliced, lengths and headers changed where they matter,
// all of it plain or compressed.
//
//	go test ./cmd/connlint/internal/cli -run TestMutatedCaptures -mutations 50000 -timeout 0 -v
//	go test ./cmd/connlint/internal/cli -run TestMutatedCaptures -mutations 1 -mutation-seed 123 -mutation-dir .
//
// A seed makes the same capture as long as the corpus and the recordings stay
// as they are.
func TestMutatedCaptures(t *testing.T) {
	m := newMutator(t)
	dir := t.TempDir()
	var sum mutationSum
	began := time.Now()
	for i := range *mutations {
		seed := *mutationSeed + uint64(i)
		b, what := m.capture(seed)
		file := filepath.Join(dir, fmt.Sprintf("%d.pcap", seed))
		if err := os.WriteFile(file, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := sum.run(t, seed, file, b); err != nil {
			t.Errorf("seed %d (%s): %v", seed, what, err)
			if *mutationDir != "" {
				if err := os.WriteFile(filepath.Join(*mutationDir, fmt.Sprintf("mutated-%d.pcap", seed)), b, 0o666); err != nil {
					t.Error(err)
				}
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if n := i + 1; n%5000 == 0 {
			t.Logf("after %d in %v: %v", n, time.Since(began).Round(time.Second), &sum)
		}
	}
	t.Logf("seeds %d to %d: %v", *mutationSeed, *mutationSeed+uint64(*mutations)-1, &sum)
}

// TestBadCorpus runs check over each broken capture of the corpus.
func TestBadCorpus(t *testing.T) {
	files := capturesIn(t, filepath.Join(corpus, "bad"))
	if len(files) == 0 {
		t.Skip("no corpus beside the repository")
	}
	var sum mutationSum
	for i, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for format := range len(report.Formats()) { // each with all commands
			if err := sum.run(t, uint64(format*len(mutationCommands)+i), file, b); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	t.Logf("%d files: %v", len(files), &sum)
}

// mutationSum is what the runs took and came to.
type mutationSum struct {
	runs, unread, children int
	bytes                  int64
	status                 [4]int
	reasons                map[string]int
	mostAllocated          uint64
	mostResident           int64
	mostCPU                time.Duration
	cpu                    time.Duration
}

func (s *mutationSum) String() string {
	var reasons []string
	for r, n := range s.reasons {
		reasons = append(reasons, fmt.Sprintf("%d × %s", n, r))
	}
	slices.Sort(reasons)
	return fmt.Sprintf("%d captures, %.1f MB; exit status 0: %d, 1: %d, 2: %d, 3: %d; %d not read to their end; "+
		"at most %.1f MB allocated for one, %d ms of processor for one, %.1f s in all; "+
		"%d in a process of their own, at most %.1f MB resident\n\t%s",
		s.runs, float64(s.bytes)/1e6, s.status[0], s.status[1], s.status[2], s.status[3], s.unread,
		float64(s.mostAllocated)/1e6, s.mostCPU.Milliseconds(), s.cpu.Seconds(),
		s.children, float64(s.mostResident)/1e6, strings.Join(reasons, "\n\t"))
}

// mutationCommands are what is run over a capture, one each; check more often
// than the others.
var mutationCommands = [][]string{
	{"check"}, {"check", "--all"}, {"stats"}, {"check", "--extend-select", "KA009"}, {"report", "-o", "-"},
	{"check", "--redact", "none"}, {"baseline"}, {"check", "--join"}, {"show"},
}

// run runs a command over a capture and checks that it ends as it should.
func (s *mutationSum) run(t *testing.T, seed uint64, file string, content []byte) (failed error) {
	command := mutationCommands[seed%uint64(len(mutationCommands))]
	args := slices.Clone(command)
	format := ""
	switch command[0] {
	case "check":
		formats := report.Formats()
		format = formats[seed/uint64(len(mutationCommands))%uint64(len(formats))]
		args = append(args, "--isolated", "--format", format)
	case "report", "baseline":
		args = append(args, "--isolated")
	case "stats":
		format = "json"
		args = append(args, "--format", format)
	}
	if command[0] == "show" {
		args = append(args, file, fmt.Sprint(seed%5))
	} else {
		args = append(args, "-j", fmt.Sprint(1+seed%3), file)
	}

	// Nothing answers a loop without end but the end of the process.
	guard := time.AfterFunc(5*time.Minute, func() { panic(fmt.Sprintf("seed %d: %q takes minutes", seed, args)) })
	defer guard.Stop()
	defer func() {
		if r := recover(); r != nil {
			failed = fmt.Errorf("%q: panic: %v\n%s", args, r, debug.Stack())
		}
	}()
	st, out, errs := streams(nil)
	before, began := allocated(), processorTime()
	status := Main(args, st)
	took, bytesAllocated := processorTime()-began, allocated()-before
	s.runs++
	s.bytes += int64(len(content))
	s.cpu += took
	s.mostCPU = max(s.mostCPU, took)
	s.mostAllocated = max(s.mostAllocated, bytesAllocated)

	if limit := mutatedCPU * time.Duration(1+len(content)>>20); took > limit {
		return fmt.Errorf("%q: %v of processor time for %d bytes", args, took, len(content))
	}
	// What was allocated in all bounds what was held at any time.
	if bytesAllocated > mutatedMemory {
		return fmt.Errorf("%q: %d MB allocated", args, bytesAllocated>>20)
	}
	if status < exitClean || status > exitUnread {
		return fmt.Errorf("%q: exit status %d", args, status)
	}
	s.status[status]++
	if status == exitUsage && command[0] != "show" { // a connection of that number need not be there
		return fmt.Errorf("%q: exit status %d, %s", args, status, errs)
	}
	if err := s.said(file, status, errs.String(), command[0]); err != nil {
		return fmt.Errorf("%q: %w", args, err)
	}
	switch text := out.Bytes(); format {
	case "json", "sarif", "gitlab", "rdjson":
		if !json.Valid(text) {
			return fmt.Errorf("%q: no JSON: %.200q", args, text)
		}
	}
	if seed%8 == 0 && command[0] == "check" {
		// Neither the number of workers nor how the bytes come in shows.
		a, b := sameCheck(nil, "-j", "1", file), sameCheck(bytes.NewReader(content), "-j", "7", "-")
		if a != b {
			return fmt.Errorf("not the same (-1 worker and a file, +7 workers and standard input):\n%s", cmp.Diff(a, b))
		}
	}
	if seed%500 == 0 {
		return s.child(t, args, status)
	}
	return nil
}

// sameCheck returns what check finds, without what the file is called.
func sameCheck(stdin io.Reader, args ...string) string {
	st, out, errs := streams(nil)
	if stdin != nil {
		st.In = stdin
	}
	status := Main(append([]string{"check", "--isolated", "--format", "json"}, args...), st)
	file := args[len(args)-1]
	if file != "-" {
		return fmt.Sprintf("%d\n%s\n%s", status, strings.ReplaceAll(out.String(), file, "-"), strings.ReplaceAll(errs.String(), file, "-"))
	}
	return fmt.Sprintf("%d\n%s\n%s", status, out, errs)
}

var where = regexp.MustCompile(` \(at byte \d+, after \d+ packets\)$`)

// said compares what was said of a capture with what reading it comes to: one
// line with the file, the reason, and the offset of the fault.
func (s *mutationSum) said(file string, status int, errs, command string) error {
	err := readAll(file)
	if err == nil {
		if status == exitUnread || errs != "" && command == "check" {
			return fmt.Errorf("it can be read; exit status %d, %q", status, errs)
		}
		return nil
	}
	s.unread++
	e, ok := errors.AsType[*capture.ReadError](err)
	if !ok {
		return fmt.Errorf("no ReadError: %w", err)
	}
	if s.reasons == nil {
		s.reasons = map[string]int{}
	}
	s.reasons[numbers.ReplaceAllString(e.Reason, "#")]++
	if status != exitUnread {
		return fmt.Errorf("exit status %d, though it cannot be read: %w", status, err)
	}
	line, _, _ := strings.Cut(errs, "\n")
	if line != "connlint: "+report.Text(err.Error()) {
		return fmt.Errorf("%q, want what reading says: %w", line, err)
	}
	if command != "show" && strings.Count(errs, "\n") != 1 { // show says, too, that there is no such connection
		return fmt.Errorf("more than a line: %q", errs)
	}
	if !strings.HasPrefix(line, "connlint: "+file+": ") || e.Reason == "" {
		return fmt.Errorf("no file or no reason: %q", line)
	}
	if (e.Offset >= 0) != where.MatchString(line) || e.Offset < 0 && e.Frame > 0 {
		return fmt.Errorf("no offset: %q", line)
	}
	return nil
}

var numbers = regexp.MustCompile(`0x[0-9a-f]+|\d+(\.\d+)?`)

func readAll(file string) error {
	src, err := pcapfile.Open(file, pcapfile.Options{})
	if err != nil {
		return err
	}
	defer src.Close()
	for {
		var p capture.Packet
		switch err := src.Next(&p); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// child runs a command in a process of its own, whose memory can be told.
func (s *mutationSum) child(t *testing.T, args []string, status int) error {
	path, err := exec.LookPath("connlint-measured") // the test itself, see TestMain
	if err != nil {
		t.Fatal(err)
	}
	peak := filepath.Join(t.TempDir(), "peak")
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "CONNLINT_PEAK="+peak)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return err
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		return fmt.Errorf("%q: exit status %d in a process of its own, not %d", args, got, status)
	}
	s.children++
	b, err := os.ReadFile(peak)
	if err != nil {
		return err
	}
	resident, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return err
	}
	if resident > mutatedMemory {
		return fmt.Errorf("%q: %d MB resident", args, resident>>20)
	}
	s.mostResident = max(s.mostResident, resident)
	return nil
}

// measured is a run of the command that leaves in a file how much memory in
// bytes it had at most, 0 where the system does not say.
func measured() int {
	status := Main(os.Args[1:], System())
	kB := 0
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		_, rest, _ := strings.Cut(string(b), "VmHWM:")
		_, _ = fmt.Sscan(rest, &kB)
	}
	if err := os.WriteFile(os.Getenv("CONNLINT_PEAK"), []byte(strconv.Itoa(kB<<10)), 0o666); err != nil {
		return exitUsage
	}
	return status
}

// allocated is how much memory was allocated so far, in all.
func allocated() uint64 {
	s := []gometrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	gometrics.Read(s)
	return s[0].Value.Uint64()
}

// mutator makes broken captures of sound ones.
type mutator struct {
	names []string
	files [][]byte // as stored
	plain [][]byte // and uncompressed
}

func newMutator(t *testing.T) *mutator {
	t.Helper()
	m := &mutator{}
	names := capturesIn(t, corpus)
	for _, r := range recordings(t) {
		names = append(names, filepath.Join(recorded, r.File))
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 || len(b) > 1<<20 {
			continue
		}
		plain := b
		if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
			if all, err := io.ReadAll(io.LimitReader(z, 4<<20)); err == nil {
				plain = all
			}
		}
		m.names, m.files, m.plain = append(m.names, filepath.Base(name)), append(m.files, b), append(m.plain, plain)
	}
	return m
}

// capturesIn lists what lies in a directory and below, in the order of names.
func capturesIn(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.Type().IsRegular() && strings.Count(name, string(filepath.Separator)) > strings.Count(corpus, "/")+1 {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// capture makes the capture of a seed, and says how.
func (m *mutator) capture(seed uint64) ([]byte, string) {
	rng := rand.New(rand.NewPCG(seed, 7))
	i := rng.IntN(len(m.files))
	b, name := m.plain[i], m.names[i]
	asStored := rng.IntN(4) == 0
	if asStored {
		b = m.files[i]
	}
	b = slices.Clone(b)
	what := []string{name}
	first := 0
	if rng.IntN(2) == 0 {
		first = recordsStay
	}
	for range 1 + rng.IntN(3) {
		if len(b) == 0 {
			break
		}
		kind := first + rng.IntN(len(mutationKinds)-first)
		what = append(what, mutationKinds[kind].name)
		b = mutationKinds[kind].change(m, rng, b)
	}
	if !asStored && rng.IntN(8) == 0 {
		pack := rng.IntN(3)
		b = packed(b, pack)
		what = append(what, [...]string{"gzip", "zstd", "lz4"}[pack])
		if rng.IntN(2) == 0 && len(b) > 0 {
			kind := rng.IntN(len(mutationKinds))
			what = append(what, mutationKinds[kind].name)
			b = mutationKinds[kind].change(m, rng, b)
		}
	}
	return b, strings.Join(what, ", ")
}

// packed compresses. A bytes.Buffer takes everything.
func packed(b []byte, how int) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch how {
	case 0:
		w = gzip.NewWriter(&out)
	case 1:
		w, _ = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	default:
		w = lz4.NewWriter(&out)
	}
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// recordsStay is the first of the mutations that leave a file's records whole.
const recordsStay = 11

type mutation struct {
	name   string
	change func(m *mutator, rng *rand.Rand, b []byte) []byte
}

// odd values of a length, a number, an offset.
var oddValues = []uint32{0, 1, 2, 3, 4, 7, 8, 15, 16, 19, 20, 27, 28, 31, 32, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
	0x3ffff, 0x40000, 0x40001, 0xffffff, 0x1000000, 0x7ffffffc, 0x7fffffff, 0x80000000, 0xfffffff0, 0xfffffffc, 0xffffffff,
	0xa1b2c3d4, 0x0a0d0d0a, 0x1a2b3c4d, 0x184d2a50}

var mutationKinds = []mutation{
	{"bits flipped", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		for range 1 + rng.IntN(1<<rng.IntN(8)) {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		return b
	}},
	{"bytes overwritten", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		for range 1 + rng.IntN(16) {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		return b
	}},
	{"cut short", func(_ *mutator, rng *rand.Rand, b []byte) []byte { return b[:rng.IntN(len(b))] }},
	{"a part cut out", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		from, to := part(rng, b)
		return slices.Delete(b, from, to)
	}},
	{"a part doubled", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		from, to := part(rng, b)
		return slices.Insert(b, rng.IntN(len(b)+1), slices.Clone(b[from:to])...)
	}},
	{"a part zeroed", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		from, to := part(rng, b)
		clear(b[from:to])
		return b
	}},
	{"spliced", func(m *mutator, rng *rand.Rand, b []byte) []byte {
		other := m.plain[rng.IntN(len(m.plain))]
		return append(b[:rng.IntN(len(b)+1)], other[rng.IntN(len(other)+1):]...)
	}},
	{"another's part put in", func(m *mutator, rng *rand.Rand, b []byte) []byte {
		other := m.plain[rng.IntN(len(m.plain))]
		from, to := part(rng, other)
		return slices.Insert(b, rng.IntN(len(b)+1), other[from:to]...)
	}},
	{"an odd word", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		for range 1 + rng.IntN(4) {
			if len(b) < 8 {
				return b
			}
			at := rng.IntN(len(b)-4) &^ rng.IntN(4)
			putOdd(rng, b[at:])
		}
		return b
	}},
	{"an odd word in the header", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		if len(b) >= 8 {
			putOdd(rng, b[rng.IntN(min(len(b)-4, 64))&^3:])
		}
		return b
	}},
	{"a record's header changed", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		if r := pcapRecords(b); len(r) > 0 {
			at := r[rng.IntN(len(r))]
			putOdd(rng, b[at+4*rng.IntN(4):])
		}
		return b
	}},
	// From here on records stay whole, so that what is in them is read.
	{"records moved", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		r := pcapRecords(b)
		if len(r) < 4 {
			return b
		}
		i := 1 + rng.IntN(len(r)-2)
		j := i + 1 + rng.IntN(len(r)-i-1)
		var out []byte
		out = append(out, b[:r[i]]...)
		if rng.IntN(2) == 0 { // else it is lost
			out = append(out, b[r[j]:]...)
		}
		return append(out, b[r[i]:r[j]]...)
	}},
	{"another's records put in", func(m *mutator, rng *rand.Rand, b []byte) []byte {
		other := m.plain[rng.IntN(len(m.plain))]
		r, o := pcapRecords(b), pcapRecords(other)
		if len(r) == 0 || len(o) < 2 || b[0] != other[0] {
			return b
		}
		i := rng.IntN(len(o) - 1)
		return slices.Insert(b, r[rng.IntN(len(r))], other[o[i]:o[i+1+rng.IntN(len(o)-i-1)]]...)
	}},
	{"protocol headers changed", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		r := pcapRecords(b)
		if len(r) == 0 {
			return b
		}
		for range 1 + rng.IntN(8) { // link, IP and TCP headers stand in a packet's first 80 bytes
			at := r[rng.IntN(len(r))] + 16 + rng.IntN(80)
			if at < len(b)-4 {
				if rng.IntN(2) == 0 {
					b[at] ^= 1 << rng.IntN(8)
				} else {
					b[at] = [...]byte{0, 1, 4, 5, 6, 15, 0x10, 0x11, 0x14, 0x45, 0x50, 0x60, 0xf0, 0xff}[rng.IntN(14)]
				}
			}
		}
		return b
	}},
	{"HTTP's numbers and line ends changed", func(_ *mutator, rng *rand.Rand, b []byte) []byte {
		const odd = " \r\n\t:;,09f-/\x00\xff"
		for range 1 + rng.IntN(8) {
			at := rng.IntN(len(b))
			for _, mark := range []string{"Content-Length: ", "chunked", "\r\n", "HTTP/1.", "keep-alive", "GET ", "POST "}[rng.IntN(7):] {
				if i := bytes.Index(b[at:], []byte(mark)); i >= 0 {
					at += i + rng.IntN(len(mark)+2)
					if at < len(b) {
						b[at] = odd[rng.IntN(len(odd))]
					}
					break
				}
			}
		}
		return b
	}},
}

// part picks a part of b, short ones more often than long ones.
func part(rng *rand.Rand, b []byte) (from, to int) {
	from = rng.IntN(len(b) + 1)
	return from, from + rng.IntN(1+(len(b)-from)>>rng.IntN(12))
}

func putOdd(rng *rand.Rand, b []byte) {
	v := oddValues[rng.IntN(len(oddValues))]
	if len(b) < 4 {
		return
	}
	if rng.IntN(2) == 0 {
		binary.LittleEndian.PutUint32(b, v)
	} else {
		binary.BigEndian.PutUint32(b, v)
	}
}

// pcapRecords returns where the records of a pcap file begin, those before the
// first damage.
func pcapRecords(b []byte) (at []int) {
	if len(b) < 24 {
		return nil
	}
	var order binary.ByteOrder
	switch binary.LittleEndian.Uint32(b) {
	case 0xa1b2c3d4, 0xa1b23c4d:
		order = binary.LittleEndian
	case 0xd4c3b2a1, 0x4d3cb2a1:
		order = binary.BigEndian
	default:
		return nil
	}
	for i := 24; i+16 <= len(b); {
		n := int(order.Uint32(b[i+8:]))
		if n < 0 || n > len(b)-i-16 {
			break
		}
		at = append(at, i)
		i += 16 + n
	}
	return at
}
