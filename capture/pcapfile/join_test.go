package pcapfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/connlint/connlint/capture"
)

// timed makes a capture of packets at the given seconds, each saying whose it is.
func timed(who string, seconds ...int) []byte {
	w := newBuild(little).pcap(magicMicro, 96, 1)
	for _, s := range seconds {
		w.record(uint32(s), 0, 0, fmt.Sprintf("%s%d", who, s))
	}
	return w.b
}

// lay writes files into a new directory and returns it.
func lay(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func in(dir string, names ...string) (paths []string) {
	for _, n := range names {
		paths = append(paths, filepath.Join(dir, n))
	}
	return paths
}

func said(all []got) string {
	var s []string
	for _, p := range all {
		s = append(s, p.Data)
	}
	return strings.Join(s, " ")
}

func TestJoin(t *testing.T) {
	dir := lay(t, map[string][]byte{
		"a":       timed("a", 1, 4, 4, 9),
		"b":       timed("b", 4, 5),
		"c":       timed("c", 20, 19, 30),
		"d":       pack(t, gzipped, timed("d", 2)),
		"ng":      newBuild(big).shb().idb(113, 64).epb(0, 6e6, 3, "ng6").block(blockStatistics, 0, 0, 0, newBuild(big).option(optionSystemDrops, uint64(5))).b,
		"none":    timed("none"),
		"cut":     timed("cut", 3, 7)[:24+20+10],
		"damaged": append(timed("dam", 8), bytes.Repeat([]byte{0xff}, 40)...),
		"empty":   nil,
	})
	t.Run("order", func(t *testing.T) {
		for _, names := range [][]string{{"c", "ng", "b", "none", "a", "d"}, {"a", "b", "c", "d", "none", "ng"}} {
			paths := in(dir, names...)
			src := Join(paths, Options{})
			all, err := drain(t, src)
			// Of equal times, those of the file named first come first.
			want := "a1 d2 b4 a4 a4 b5 ng6 a9 c20 c19 c30"
			if names[0] == "a" {
				want = "a1 d2 a4 a4 b4 b5 ng6 a9 c20 c19 c30"
			}
			if err != nil || said(all) != want {
				t.Errorf("%s, %v\nwant %s", said(all), err, want)
			}
			var size int64
			for _, p := range paths {
				st, _ := os.Stat(p)
				size += st.Size()
			}
			info := capture.Info{Name: paths[0] + " and 5 more", Format: "pcap,pcap+gzip,pcapng", LinkTypes: []capture.LinkType{1, 113},
				Bytes: uint64(size), Size: size, Dropped: 5, SnapLen: 96}
			if d := cmp.Diff(info, src.Info()); d != "" {
				t.Error(d)
			}
			if err := src.Close(); err != nil {
				t.Error(err)
			}
			var p capture.Packet
			if err := src.Next(&p); !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
		}
	})
	t.Run("errors", func(t *testing.T) {
		src := Join(in(dir, "absent", "damaged", "cut", "empty", "a"), Options{})
		defer src.Close()
		all, err := drain(t, src)
		if want := "a1 cut3 a4 a4 dam8 a9"; said(all) != want {
			t.Errorf("%s, want %s", said(all), want)
		}
		for _, want := range []string{"absent: cannot open", "empty: the file is empty", "cut: the file ends", "damaged: damaged"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nlacks %q", err, want)
			}
		}
		if n := strings.Count(fmt.Sprint(err), "\n"); n != 3 {
			t.Errorf("%d errors", n+1)
		}
	})
	t.Run("stdin", func(t *testing.T) {
		src := Join(append(in(dir, "a"), "-"), Options{Stdin: bytes.NewReader(timed("in", 3, 5))})
		defer src.Close()
		if all, err := drain(t, src); err != nil || said(all) != "a1 in3 a4 a4 in5 a9" {
			t.Errorf("%s, %v", said(all), err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		src := Join(nil, Options{})
		if all, err := drain(t, src); len(all) != 0 || err != nil {
			t.Errorf("%v, %v", all, err)
		}
	})
}

// TestJoinOpensLate: of files one after the other, one is open at a time.
func TestJoinOpensLate(t *testing.T) {
	files := make(map[string][]byte)
	var paths []string
	for i := range 40 {
		name := fmt.Sprintf("f%02d", i)
		files[name] = timed(name+".", i*10, i*10+5, i*10+9)
		paths = append(paths, name)
	}
	dir := lay(t, files)
	slices.Reverse(paths)
	j := Join(in(dir, paths...), Options{}).(*joined)
	defer j.Close()
	var p capture.Packet
	n := 0
	for ; j.Next(&p) == nil; n++ {
		if len(j.open) > 1 {
			t.Fatalf("%d files open at frame %d", len(j.open), p.Frame)
		}
	}
	if n != 120 {
		t.Errorf("%d packets", n)
	}
}

// TestJoinTooMany: files beyond the bound are left out by name.
func TestJoinTooMany(t *testing.T) {
	file := timed("x", 1, 2)
	dir := lay(t, map[string][]byte{"x": file})
	src := Join(slices.Repeat(in(dir, "x"), maxOpen+2), Options{Pool: capture.NewBlockPool(256, 4)})
	defer src.Close()
	all, err := drain(t, src)
	if len(all) != 2*maxOpen || strings.Count(fmt.Sprint(err), "too many files overlap") != 2 {
		t.Errorf("%d packets, %v", len(all), err)
	}
}

// TestJoinMerges: files sorted by time come out as a stable merge.
func TestJoinMerges(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		var paths []string
		var want []got
		for i := range rapid.IntRange(0, 5).Draw(t, "files") {
			times := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 10).Draw(t, "times")
			slices.Sort(times)
			path := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(path, timed(fmt.Sprint(i, "-"), times...), 0o600); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
			for _, s := range times {
				data := fmt.Sprint(i, "-", s)
				want = append(want, got{data, len(data), int64(s) * second, 1})
			}
		}
		slices.SortStableFunc(want, func(a, b got) int { return int(a.Time - b.Time) })
		src := Join(paths, Options{Pool: capture.NewBlockPool(100, 2)})
		defer src.Close()
		var all []got
		var p capture.Packet
		for {
			err := src.Next(&p)
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, got{string(p.Data), p.OrigLen, p.Time, p.Link})
		}
		if d := cmp.Diff(want, all); d != "" {
			t.Fatal(d)
		}
	})
}

func TestExpand(t *testing.T) {
	one := timed("x", 1)
	dir := lay(t, map[string][]byte{
		"b.pcap":          one,
		"a.pcap.gz":       pack(t, gzipped, one),
		"sub/deep/z":      one,
		"sub/packed":      pack(t, zstandard, newBuild(big).shb().b),
		"sub/trace.pcap2": nil,
		"sub/old.CAP":     nil,
		"sub/x.dmp.lz4":   nil,
		"sub/notes.txt":   []byte("pcap"),
		"sub/notes.gz":    pack(t, gzipped, []byte("pcap")),
		"sub/empty":       nil,
		"sub/broken.gz":   {0x1f, 0x8b, 8, 0xff},
		"sub/dir.pcap/y":  nil,
		"text/readme":     []byte("nothing here"),
		"other/c.pcapng":  nil,
	})
	if err := os.Symlink(filepath.Join(dir, "b.pcap"), filepath.Join(dir, "sub", "link")); err != nil {
		t.Log(err)
	}
	rel := func(paths []string) (names []string) {
		for _, p := range paths {
			r, err := filepath.Rel(dir, p)
			if err != nil || strings.HasPrefix(r, "..") {
				r = p
			}
			names = append(names, r)
		}
		return names
	}
	paths, err := Expand(append(in(dir, "text/readme", "absent", "sub", "text", "b.pcap"), "-", dir))
	want := []string{"text/readme", "absent", "sub/deep/z", "sub/link", "sub/old.CAP", "sub/packed", "sub/trace.pcap2", "sub/x.dmp.lz4",
		"b.pcap", "-", "a.pcap.gz", "other/c.pcapng"}
	if d := cmp.Diff(want, rel(paths)); d != "" {
		t.Error(d)
	}
	if e := checkReadError(t, err); e == nil || e.File != filepath.Join(dir, "text") || e.Reason != "no captures in this directory" {
		t.Errorf("%v", err)
	}
	if paths, err := Expand(nil); len(paths) != 0 || err != nil {
		t.Errorf("%v, %v", paths, err)
	}
}
