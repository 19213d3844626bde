//go:build unix

package outfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Pipes and devices are written to and stay what they are.
func TestStreams(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		b, err := os.ReadFile(pipe)
		if err != nil {
			t.Error(err)
		}
		read <- string(b)
	}()
	if err := errors.Join(Check(pipe), Write(pipe, []byte("text"))); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "text" {
		t.Errorf("%q came through the pipe", got)
	}
	if err := errors.Join(Check(os.DevNull), Write(os.DevNull, []byte("text"))); err != nil {
		t.Error(err)
	}
	if f, err := Stream(os.DevNull, 0o600); err != nil {
		t.Error(err)
	} else if err := f.Close(); err != nil {
		t.Error(err)
	}
	for _, path := range []string{pipe, os.DevNull} {
		if st, err := os.Lstat(path); err != nil || st.Mode().IsRegular() {
			t.Errorf("%s is now %v, %v", path, st.Mode(), err)
		}
	}
}

// What stands in /dev is never replaced, even if it leads to a file.
func TestStandardOutput(t *testing.T) {
	if _, err := os.Stat("/dev/fd/0"); err != nil {
		t.Skip(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("before "); err != nil {
		t.Fatal(err)
	}
	old, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(old)
	path := filepath.Join("/dev/fd", strconv.Itoa(old))
	if err := errors.Join(Check(path), Write(path, []byte("after"))); err != nil {
		t.Fatal(err)
	}
	if got := content(t, f.Name()); got != "before after" {
		t.Errorf("%q", got)
	}
}

// A file that may not be written is not replaced, though its directory may be;
// nor is one made where none may be.
func TestReadOnly(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everything")
	}
	file := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(file, []byte("old"), 0o444); err != nil {
		t.Fatal(err)
	}
	if Check(file) == nil || !errors.Is(Write(file, []byte("new")), fs.ErrPermission) || content(t, file) != "old" {
		t.Errorf("%q", content(t, file))
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "out")
	if !errors.Is(Check(file), fs.ErrPermission) || !errors.Is(Write(file, nil), fs.ErrPermission) {
		t.Error("a file can be written in a directory that can not")
	}
}
