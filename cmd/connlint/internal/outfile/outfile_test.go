package outfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// names lists a directory.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func content(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "out")
	for _, text := range []string{"first", "second"} {
		if err := Write(file, []byte(text)); err != nil || content(t, file) != text {
			t.Fatalf("%v, %q", err, content(t, file))
		}
		if runtime.GOOS != "windows" {
			if err := os.Chmod(file, 0o604); err != nil {
				t.Fatal(err)
			}
		}
	}
	if st, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o604 {
		t.Errorf("mode %v, %v: should have stayed", st.Mode(), err)
	}
	for _, none := range []string{filepath.Join(dir, "none", "out"), filepath.Join(file, "out"), dir} {
		if Check(none) == nil || Write(none, nil) == nil {
			t.Errorf("%s can be written", none)
		}
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("there are %q", got)
	}
}

// A link is replaced: what it leads to stays as it is.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	precious, link := filepath.Join(dir, "precious"), filepath.Join(dir, "link")
	for _, write := range []func() error{
		func() error { return Write(link, []byte("new")) },
		func() error {
			f, err := Stream(link, 0o600)
			if err != nil {
				return err
			}
			_, err = f.WriteString("new")
			return errors.Join(err, f.Close())
		},
	} {
		if err := os.WriteFile(precious, []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(link)
		if err := os.Symlink("precious", link); err != nil {
			t.Skip(err)
		}
		if err := Create(link, 0o600, func(io.Writer) error { return nil }); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a link counts for no file: %v", err)
		}
		if err := write(); err != nil {
			t.Fatal(err)
		}
		if content(t, precious) != "old" || content(t, link) != "new" {
			t.Errorf("%q, %q", content(t, precious), content(t, link))
		}
		if st, err := os.Lstat(link); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%v, %v", st.Mode(), err)
		}
		// Nor is a file that does not exist made by a link to it.
		_, _ = os.Remove(precious), os.Remove(link)
		if err := os.Symlink("precious", link); err != nil {
			t.Fatal(err)
		}
		if err := write(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(precious); err == nil {
			t.Error("a file was made where a link leads")
		}
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("there are %q", got)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "out")
	failed := errors.New("no space")
	err := Create(file, 0o600, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return failed
	})
	if !errors.Is(err, failed) || len(names(t, dir)) > 0 {
		t.Errorf("%v; there are %q", err, names(t, dir))
	}
	put := func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err }
	if err := Create(file, 0o600, put); err != nil || content(t, file) != "whole" {
		t.Errorf("%v, %q", err, content(t, file))
	}
	if st, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := Create(file, 0o600, put); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("there are %q", got)
	}
}
