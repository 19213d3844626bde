package catalog_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/rulestest"
)

func TestCatalogue(t *testing.T) { rulestest.Catalogue(t, catalog.All()) }

func codes(list []*rules.Rule) string {
	var s []string
	for _, r := range list {
		s = append(s, r.Code)
	}
	return strings.Join(s, " ")
}

// family lists the codes that begin with one of the prefixes.
func family(prefixes ...string) string {
	var list []*rules.Rule
	for _, r := range catalog.All() {
		if !r.Off && slices.Contains(prefixes, catalog.FamilyOf(r.Code)) {
			list = append(list, r)
		}
	}
	return codes(list)
}

func TestSelect(t *testing.T) {
	const caps = "CAP001 CAP002 CAP003 CAP004 CAP005 CAP006 CAP007"
	for _, tt := range []struct {
		sel, ignore, extend []string
		want, err           string
	}{
		{sel: []string{"LAT001"}, want: "LAT001"},
		{sel: []string{"cap"}, want: caps},
		{sel: []string{"time-wait-buildup,FRM"}, ignore: nil, want: family("FRM") + " TW001"},
		{sel: []string{"CAP"}, ignore: []string{"CAP003", "mid-stream"}, extend: []string{"CLS001"},
			want: "CLS001 CAP001 CAP002 CAP005 CAP006 CAP007"},
		{sel: []string{"all"}, ignore: []string{"CAP"}, extend: []string{"CAP001"},
			want: family("LAT", "REU", "KA", "FRM", "PIP", "HOP", "CLS", "TW", "TLS") + " CAP001"},
		{sel: []string{"LAT"}, ignore: []string{"all"}, want: family("LAT")},
		{sel: []string{"LAT"}, ignore: []string{"LAT"}, want: ""},
		{sel: []string{"TLS"}, want: family("TLS")},
		{sel: []string{"nagle-delay-ack"}, err: `unknown rule "nagle-delay-ack"; did you mean nagle-delayed-ack?`},
		{sel: []string{"nagle"}, err: `did you mean nagle-delayed-ack?`},
		{ignore: []string{"LAT01"}, err: `did you mean LAT001?`},
		{extend: []string{"something-else-altogether"}, err: `unknown rule "something-else-altogether"; "connlint rules"`},
	} {
		got, err := catalog.Select(tt.sel, tt.ignore, tt.extend)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v %v %v: error %v, want %q", tt.sel, tt.ignore, tt.extend, err, tt.err)
			}
		case err != nil:
			t.Errorf("%v %v %v: %v", tt.sel, tt.ignore, tt.extend, err)
		case codes(got) != tt.want:
			t.Errorf("%v %v %v: %s, want %s", tt.sel, tt.ignore, tt.extend, codes(got), tt.want)
		}
	}
	got, err := catalog.Select(nil, nil, nil)
	if err != nil || slices.ContainsFunc(got, func(r *rules.Rule) bool { return r.Off }) || len(got) == 0 {
		t.Errorf("by default %s, %v", codes(got), err)
	}
}

func TestFind(t *testing.T) {
	for _, r := range catalog.All() {
		for _, s := range []string{r.Code, r.Name, strings.ToLower(r.Code), strings.ToUpper(r.Name)} {
			if got, ok := catalog.Find(s); !ok || got != r {
				t.Errorf("Find(%q) = %v", s, got)
			}
		}
		if !slices.ContainsFunc(catalog.Families(), func(f catalog.Family) bool { return f.Prefix == catalog.FamilyOf(r.Code) }) {
			t.Errorf("%s is of no family", r.Code)
		}
	}
	if r, ok := catalog.Find("LAT"); ok {
		t.Errorf("Find(LAT) = %v", r)
	}
}

// TestPrecedence reads the table of the rules' definitions and compares.
func TestPrecedence(t *testing.T) {
	text, err := os.ReadFile("../../../shared/rules.md")
	if err != nil {
		t.Skip("the definitions are not here: ", err)
	}
	_, table, ok := strings.Cut(string(text), "\n## 12.")
	if !ok {
		t.Fatal("the definitions have no section 12")
	}
	have := catalog.Precedence()
	code := regexp.MustCompile(`[A-Z]+\d{3}`)
	pairs := 0
	want := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !code.MatchString(line) {
			continue
		}
		winners := code.FindAllString(cells[1], -1)
		losers := code.FindAllString(cells[2], -1)
		switch {
		case strings.HasPrefix(strings.TrimSpace(cells[1]), "extra bytes"):
			// Which of the three it is, the bytes say. The special ones win.
			want["FRM008"] = []string{"FRM002", "FRM006"}
			want["FRM006"] = []string{"FRM002", "FRM008"}
			pairs += 4
			continue
		case winners[0] == "REU001":
			losers = losers[:1] // it takes in the others' cost
		case winners[0] == "FRM001":
			losers = losers[:1] // it becomes the other's cause
		case winners[0] == "TW001":
			losers = losers[:1] // the other becomes its evidence
		}
		for _, w := range winners {
			want[w] = append(want[w], losers...)
			pairs += len(losers)
		}
	}
	if pairs < 40 {
		t.Fatalf("read only %d pairs", pairs)
	}
	for w, losers := range want {
		slices.Sort(losers)
		got := slices.Clone(have[w])
		slices.Sort(got)
		if !slices.Equal(got, losers) {
			t.Errorf("%s silences %v, want %v", w, got, losers)
		}
		delete(have, w)
	}
	for w, losers := range have {
		t.Errorf("%s silences %v: not in the definitions", w, losers)
	}
}
