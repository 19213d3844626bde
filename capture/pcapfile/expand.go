package pcapfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/connlint/connlint/capture"
)

// Expand replaces each directory among paths by the capture files in it and
// below, in the order of their names; other paths are kept as they are, to be
// tried by [Open]. A path met twice is named once.
//
// In a directory a capture is a regular file that ends in .pcap, .pcapng, .cap
// or .dmp, with .gz, .zst or .lz4 or a number of rotation behind it, or that
// begins as a capture does. Everything else is left out silently. The error
// joins what went wrong, a directory without captures included; the paths
// found beside it are good.
func Expand(paths []string) ([]string, error) {
	var found []string
	var errs []error
	seen := make(map[string]bool)
	add := func(path string) {
		if clean := filepath.Clean(path); !seen[clean] {
			seen[clean] = true
			found = append(found, path)
		}
	}
	for _, path := range paths {
		st, err := os.Stat(path)
		if path == "-" || err != nil || !st.IsDir() {
			add(path)
			continue
		}
		captures := 0
		err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				errs = append(errs, openError(name, err))
				return nil // what cannot be listed hides nothing else
			}
			if !d.IsDir() && isCapture(name, d) {
				captures++
				add(name)
			}
			return nil
		})
		if err != nil {
			errs = append(errs, openError(path, err))
		}
		if captures == 0 {
			errs = append(errs, &capture.ReadError{File: path, Offset: -1, Reason: "no captures in this directory"})
		}
	}
	return found, errors.Join(errs...)
}

func isCapture(path string, d fs.DirEntry) bool {
	mode := d.Type()
	if mode&fs.ModeSymlink != 0 {
		st, err := os.Stat(path)
		if err != nil {
			return false
		}
		mode = st.Mode()
	}
	// Opening a pipe would wait for its writer.
	return mode.IsRegular() && (namedCapture(filepath.Base(path)) || beginsCapture(path))
}

func namedCapture(name string) bool {
	name = strings.ToLower(name)
	for _, packed := range [...]string{".gz", ".zst", ".lz4"} {
		name = strings.TrimSuffix(name, packed)
	}
	name = strings.TrimRight(name, "0123456789") // tcpdump -C writes x.pcap1
	switch filepath.Ext(name) {
	case ".pcap", ".pcapng", ".cap", ".dmp":
		return true
	}
	return false
}

// beginsCapture looks into the file at path, through its compression.
func beginsCapture(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head, err := readHead(f)
	if err != nil {
		return false
	}
	if c := compressionOf(head); c != plain {
		z, release, err := decompress(c, prefix(head, io.Reader(f)))
		if err != nil {
			return false
		}
		if release != nil {
			defer release()
		}
		head, _ = readHead(z)
	}
	return pcapMagic(head).variant != "" || isPcapng(head)
}
