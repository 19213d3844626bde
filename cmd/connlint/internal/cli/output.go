package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// checkOutput reports early, before hours of reading, what would keep a file
// from being written.
func checkOutput(file string) error {
	if st, err := os.Stat(file); err == nil && st.IsDir() {
		return fmt.Errorf("--output: %q is a directory", file)
	}
	dir := filepath.Dir(file)
	switch st, err := os.Stat(dir); {
	case err != nil:
		return fmt.Errorf("--output: cannot write %q: %w", file, sayWhy(err))
	case !st.IsDir():
		return fmt.Errorf("--output: cannot write %q: %q is no directory", file, dir)
	}
	return nil
}

// writeFile puts content into a file in whole or not at all: it is written
// beside it and then renamed. What is not a regular file, such as a pipe or
// /dev/stdout, is written to.
func writeFile(file string, content *bytes.Buffer) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	mode := fs.FileMode(0o666) // less what the umask takes
	st, err := os.Stat(file)
	switch {
	case err == nil && !st.Mode().IsRegular():
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(content.Bytes())
		return errors.Join(err, f.Close())
	case err == nil:
		mode = st.Mode().Perm()
	}
	f, err := createBeside(file, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content.Bytes())
	if err == nil && st != nil {
		err = f.Chmod(mode) // the umask is not for a file that was there before
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func createBeside(file string, mode fs.FileMode) (*os.File, error) {
	for {
		name := filepath.Join(filepath.Dir(file), fmt.Sprintf(".%s.%08x", filepath.Base(file), rand.Uint32()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}
