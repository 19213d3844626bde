package runner_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

const corpus = "../../../shared/corpus"

// index reads the corpus' table: one map a line, by column.
func index(t *testing.T) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(corpus, "INDEX.tsv"))
	if err != nil {
		if os.Getenv("CONNLINT_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip("the corpus of third-party captures is not beside this checkout:", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, v := range row {
			m[rows[0][i]] = v
		}
		out = append(out, m)
	}
	return out
}

func check(t *testing.T, path string, opts runner.Options) *runner.Result {
	t.Helper()
	src, err := pcapfile.Open(path, pcapfile.Options{})
	if err != nil {
		return &runner.Result{File: path, Err: err}
	}
	defer src.Close()
	opts.Rules, opts.Precedence = nil, nil
	opts.Config = rules.Defaults()
	return runner.Run(src, opts)
}

func TestCorpusCounts(t *testing.T) {
	for _, row := range index(t) {
		if row["class"] != "dev" || row["confidence"] != "high" && row["confidence"] != "medium" {
			continue
		}
		t.Run(row["file"], func(t *testing.T) {
			res := check(t, filepath.Join(corpus, row["file"]), runner.Options{Workers: 1})
			if res.Err != nil {
				t.Error(res.Err)
			}
			for _, c := range []struct {
				name, column string
				got          uint64
			}{
				{"requests", "truth_requests", res.Requests},
				{"responses", "truth_responses", res.Responses},
				{"tcp_connections", "tcp_streams", res.TCPConnections},
			} {
				want, err := strconv.ParseUint(row[c.column], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if c.got != want {
					t.Errorf("%s: got %d, truth %d (%s)", c.name, c.got, want, row["features"])
				}
			}
		})
	}
}
