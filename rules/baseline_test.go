package rules

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestBaseline(t *testing.T) {
	b := Baseline{Known: []Known{
		{Fingerprint: "b2", Code: "LAT001", Rule: "nagle-delayed-ack", Server: "a", Method: "POST", Route: "/o/*", Side: "client"},
		{Fingerprint: "a1", Code: "CLS001", Rule: "rst-on-half-close", Server: "x\"\n\u202e", Side: "server"},
		{Fingerprint: "b2", Code: "LAT001", Rule: "nagle-delayed-ack", Server: "a", Method: "POST", Route: "/o/*", Side: "client"},
	}}
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 7 {
		t.Errorf("%d lines, want one for each finding:\n%s", n, &out)
	}
	back, err := ReadBaseline(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Known{b.Known[1], b.Known[0]}; !slices.Equal(back.Known, want) {
		t.Errorf("read back %+v, want %+v", back.Known, want)
	}
	if has := back.Has(); !has("a1") || !has("b2") || has("c3") {
		t.Error("it does not know its findings")
	}
	out.Reset()
	if err := (&Baseline{}).Write(&out); err != nil {
		t.Fatal(err)
	}
	if back, err := ReadBaseline(&out); err != nil || len(back.Known) > 0 {
		t.Errorf("an empty one: %v, %v", back, err)
	}
	for _, bad := range []string{"", "{}", "[]", `{"schema":2,"findings":[]}`, `{"schema":1,"findings":[{}]}`, `{"schema":1`} {
		if _, err := ReadBaseline(strings.NewReader(bad)); err == nil {
			t.Errorf("%s is taken for a baseline", bad)
		}
	}
}
