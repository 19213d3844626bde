package catalog_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every aggregate that is grouped by anywhere is held to its laws by a test of
// its package, itself or as what it embeds.
func TestLawsCoverAll(t *testing.T) {
	var (
		grouped = regexp.MustCompile(`GroupBy\[[^]]*\]+\((\w+)\{`)
		laws    = regexp.MustCompile(`rulestest\.Laws\(t, (?:\w+\.)?(\w+)\{`)
		embeds  = regexp.MustCompile(`(?m)^type (\w+) struct ?\{\s*(\w+)\s*\}`)
	)
	type code struct {
		grouped, held map[string]bool
		embeds        map[string]string
	}
	packages := map[string]*code{}
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			dir := filepath.Dir(path)
			c := packages[dir]
			if c == nil {
				c = &code{map[string]bool{}, map[string]bool{}, map[string]string{}}
				packages[dir] = c
			}
			if strings.HasSuffix(path, "_test.go") {
				for _, m := range laws.FindAllStringSubmatch(string(b), -1) {
					c.held[m[1]] = true
				}
				return nil
			}
			for _, m := range grouped.FindAllStringSubmatch(string(b), -1) {
				c.grouped[m[1]] = true
			}
			for _, m := range embeds.FindAllStringSubmatch(string(b), -1) {
				c.embeds[m[1]] = m[2]
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for dir, c := range packages {
		for name := range c.grouped {
			n++
			if !c.held[name] && !c.held[c.embeds[name]] {
				t.Errorf("%s: no test holds %s to the laws of aggregates", dir, name)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d aggregates were found", n)
	}
}
