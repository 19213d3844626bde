package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A capture is finished when a later one is begun, or when it stays as it is.
func TestSettled(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1_700_000_000, 0)
	write := func(name, content string, at time.Time) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		return file
	}
	seen := map[string]*watched{}
	expect := func(after time.Duration, files []string, want ...string) {
		t.Helper()
		now = now.Add(after)
		if got := settled(files, seen, now); !slices.Equal(got, want) {
			t.Errorf("finished %q, want %q", got, want)
		}
	}
	a := write("a", "1", now)
	expect(0, []string{a})
	expect(watchEvery, []string{a})
	a = write("a", "12", now)
	expect(watchSettle, []string{a}) // it grew
	b := write("b", "1", now.Add(time.Second))
	expect(watchEvery, []string{a, b}, a) // b is begun
	expect(watchEvery, []string{a, b})
	expect(watchSettle, []string{a, b}, b) // quiet for long
	write("a", "1", now.Add(2*time.Second))
	expect(0, []string{a, b})
	expect(watchSettle, []string{a, b}, a) // the ring came round
	empty := write("c", "", now)
	expect(watchSettle, []string{empty})
	expect(watchSettle, []string{empty})
	if len(seen) != 1 {
		t.Errorf("%d captures are remembered, two of them gone", len(seen))
	}
}
