package runner_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
)

// write writes packets of one link type to a pcap file.
func write(t *testing.T, path string, frames []frame) {
	t.Helper()
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b23c4d)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(b, 262144)
	b = le.AppendUint32(b, uint32(frames[0].Link))
	for _, f := range frames {
		b = le.AppendUint32(b, uint32(f.Time/1e9))
		b = le.AppendUint32(b, uint32(f.Time%1e9))
		b = le.AppendUint32(b, uint32(len(f.Data)))
		b = le.AppendUint32(b, uint32(f.OrigLen))
		b = append(b, f.Data...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// told is all that a run says, but for the files' names.
func told(t *testing.T, src capture.Source, workers int) string {
	t.Helper()
	res := runner.Run(src, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: workers})
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	return rulestest.Describe(res)
}

// What a recording shows does not depend on the number of workers, on the
// blocks it is read in, on whether it lies in one file or in several, of a
// rotated set or of two capture points, and in which order these are named.
func TestOrder(t *testing.T) {
	tried, apart := 0, 0
	for _, r := range recordings(t) {
		if !chosen(r.File, "order") || !chosen("order", r.File) {
			continue
		}
		t.Run(r.File, func(t *testing.T) {
			path := filepath.Join(recorded, r.File)
			frames, err := load(path)
			if err != nil || len(frames) < 4 {
				return // cut: its parts would not be
			}
			sorted, distinct := true, true
			for i := 1; i < len(frames); i++ {
				sorted = sorted && frames[i].Time >= frames[i-1].Time
				distinct = distinct && frames[i].Time > frames[i-1].Time
				if frames[i].Link != frames[0].Link {
					return
				}
			}
			tmp := t.TempDir()
			whole := filepath.Join(tmp, "whole.pcap")
			write(t, whole, frames)
			open := func(opts pcapfile.Options) capture.Source {
				src, err := pcapfile.Open(whole, opts)
				if err != nil {
					t.Fatal(err)
				}
				return src
			}
			want := told(t, open(pcapfile.Options{}), 1)
			same := func(what, got string) {
				t.Helper()
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s:\n%s", what, d)
				}
			}
			for _, workers := range []int{2, 7} {
				same("several workers", told(t, open(pcapfile.Options{}), workers))
			}
			same("small blocks", told(t, open(pcapfile.Options{Pool: capture.NewBlockPool(100, 2)}), 1))
			same("small blocks, 3 workers", told(t, open(pcapfile.Options{Pool: capture.NewBlockPool(700, 3)}), 3))

			first, second := filepath.Join(tmp, "1.pcap"), filepath.Join(tmp, "2.pcap")
			join := func(what string) {
				t.Helper()
				same(what, told(t, pcapfile.Join([]string{first, second}, pcapfile.Options{}), 1))
				same(what+", the second named first", told(t, pcapfile.Join([]string{second, first}, pcapfile.Options{}), 2))
			}
			if !sorted {
				return
			}
			tried++
			half := len(frames) / 2
			for half < len(frames)-1 && frames[half].Time == frames[half-1].Time {
				half++
			}
			write(t, first, frames[:half])
			write(t, second, frames[half:])
			join("rotated")
			if !distinct {
				return
			}
			apart++
			var parts [2][]frame
			for i, f := range frames {
				n := 0
				if f.toSrv || f.tcp == 0 && i%2 == 0 {
					n = 1
				}
				parts[n] = append(parts[n], f)
			}
			if len(parts[0]) > 0 && len(parts[1]) > 0 {
				write(t, first, parts[0])
				write(t, second, parts[1])
				join("a file for each direction")
			}
		})
	}
	if !testing.Short() && (tried < 30 || apart < 10) {
		t.Errorf("only %d recordings were split in time, %d by direction", tried, apart)
	}
}
