// Package outfile writes files in whole or not at all: what is at a path is
// what was there before, or all that was to be written, even if the disk is
// full or the process is killed.
//
// A symbolic link is replaced, not followed, so that nobody can direct output
// to a file by a link left where it is expected. What is neither file nor link
// to one, such as a pipe or /dev/stdout, is written to as it is.
package outfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

var errDirectory = errors.New("is a directory")

// Check returns early what would keep the file at path from being written: a
// path that leads nowhere, or a right that is lacking. That a disk is full may
// pass.
func Check(path string) error {
	if err := check(path); err != nil {
		return err
	}
	if st, err := os.Stat(path); err == nil && isStream(path, st) {
		return nil
	}
	f, err := create(path, 0o600)
	switch {
	case err == nil:
		return errors.Join(f.Close(), os.Remove(f.Name()))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return err
	}
	return nil
}

func check(path string) error {
	st, err := os.Stat(path)
	if err == nil && st.IsDir() {
		return errDirectory
	}
	if err == nil && isStream(path, st) {
		return nil
	}
	dir := filepath.Dir(path)
	switch st, err := os.Stat(dir); {
	case err != nil:
		return err
	case !st.IsDir():
		return fmt.Errorf("%q is no directory", dir)
	}
	_, err = replaced(path)
	return err
}

// isStream reports whether what is at path, of which st is the target, is
// written to instead of replaced.
func isStream(path string, st fs.FileInfo) bool {
	if !st.Mode().IsRegular() {
		return true
	}
	// /dev/stdout may lead to a file.
	p := filepath.Clean(path)
	return runtime.GOOS != "windows" && (strings.HasPrefix(p, "/dev/") || strings.HasPrefix(p, "/proc/")) && !strings.HasPrefix(p, "/dev/shm/")
}

// replaced returns the mode of the file that path stands for: that of the file
// there, which must be writable. A link counts for nothing.
func replaced(path string) (fs.FileMode, error) {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !st.Mode().IsRegular():
		return 0, nil
	case err != nil:
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	return st.Mode().Perm(), f.Close()
}

// Write puts content into the file at path. One that was there keeps its
// permissions.
func Write(path string, content []byte) error {
	put := func(w io.Writer) error { _, err := w.Write(content); return err }
	if st, err := os.Stat(path); err == nil && !st.IsDir() && isStream(path, st) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		return errors.Join(put(f), f.Close())
	}
	if err := check(path); err != nil {
		return err
	}
	mode, err := replaced(path)
	if err != nil {
		return err
	}
	temp, err := beside(path, mode, put)
	if err != nil {
		return err
	}
	return orRemove(temp, os.Rename(temp, path))
}

// Create writes a new file, of these permissions. It leaves one that is there
// alone: the error is [fs.ErrExist] then.
func Create(path string, mode fs.FileMode, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	temp, err := beside(path, mode, write)
	if err != nil {
		return err
	}
	err = os.Link(temp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return orRemove(temp, errors.Join(err, os.Remove(temp)))
	}
	// The file system has no links.
	if _, err := os.Lstat(path); err == nil {
		return orRemove(temp, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist})
	}
	return orRemove(temp, os.Rename(temp, path))
}

// Stream opens an empty file in the place of one at path, for what is read
// while it grows and is of use in part.
func Stream(path string, mode fs.FileMode) (*os.File, error) {
	if st, err := os.Stat(path); err == nil && !st.IsDir() && isStream(path, st) {
		return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	}
	if err := check(path); err != nil {
		return nil, err
	}
	f, err := create(path, mode)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, orRemove(f.Name(), errors.Join(err, f.Close()))
	}
	return f, nil
}

// beside writes a file in the directory of path and returns its name. It has
// the mode, or if that is 0 the one of new files.
func beside(path string, mode fs.FileMode, write func(io.Writer) error) (string, error) {
	f, err := create(path, mode)
	if err != nil {
		return "", err
	}
	err = write(f)
	if err == nil && mode != 0 {
		err = f.Chmod(mode) // the umask is not for it
	}
	if err == nil {
		err = f.Sync() // full disks may show no earlier
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", orRemove(f.Name(), err)
	}
	return f.Name(), nil
}

// create makes a file in the directory of path under a name that nobody can
// foresee.
func create(path string, mode fs.FileMode) (*os.File, error) {
	if mode == 0 {
		mode = 0o666 // less what the umask takes
	}
	for {
		name := filepath.Join(filepath.Dir(path), fmt.Sprintf(".connlint-%016x", rand.Uint64()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// orRemove returns err, if it is one after removing a file.
func orRemove(name string, err error) error {
	if err != nil {
		_ = os.Remove(name) // it may be gone already
	}
	return err
}
