package budget

import (
	"fmt"
	"strings"
	"testing"

	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/rulestest"
	"github.com/connlint/connlint/rules/runner"
)

// traffic is three connections of one pair with a request each, one of
// another with three, and one without any.
func traffic(wants ...string) string {
	var b strings.Builder
	request := func(name string) {
		fmt.Fprintf(&b, "+0.001 %s > P %q\n+0.001 %s < P %q\n+0 %s > A\n", name, "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			name, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", name)
	}
	for i := range 5 {
		client, n := "10.0.0.1", 1
		switch i {
		case 3:
			client, n = "10.0.0.2", 3
		case 4:
			n = 0
		}
		name := fmt.Sprintf("c%d", i)
		fmt.Fprintf(&b, "conn %s %s:%d > 10.0.0.9:80 at=%d\n+0 %s handshake\n", name, client, 40000+i, i, name)
		for range n {
			request(name)
		}
		fmt.Fprintf(&b, "+0.010 %s > close\n", name)
	}
	for _, w := range wants {
		b.WriteString("# want " + w + "\n")
	}
	if len(wants) == 0 {
		b.WriteString("# silent\n")
	}
	return b.String()
}

func TestBudgets(t *testing.T) {
	for _, c := range []struct {
		rule  *rules.Rule
		wants []string
	}{
		{MinReuseRatio(0.5), []string{`BUD001 error "3 requests on 3 connections, a reuse ratio of 0.00; the budget is 0.50"`}},
		{MinReuseRatio(0), nil},
		{MinReuseRatio(0.9), []string{`BUD001 error "10.0.0.1"`, `BUD001 error "10.0.0.2 → 10.0.0.9:80: 3 requests on 1 connection,"`}},
		{MaxConnections(3), nil},
		{MaxConnections(2), []string{`BUD002 error "client 10.0.0.1 → 10.0.0.9:80: 3 connections, the budget is 2"`}},
		{MaxOccurrences(), nil},
	} {
		s, err := script.Parse("traffic", traffic(c.wants...))
		if err != nil {
			t.Fatal(err)
		}
		rulestest.Script(t, s, runner.Options{Rules: []*rules.Rule{c.rule}})
	}
}

func TestOccurrences(t *testing.T) {
	f := Occurrences("LAT", 1204, 10, 7)
	if f.Message != "LAT occurred 1,204 times, the budget is 10" || len(f.Frames) != 1 || f.Severity != rules.Error {
		t.Errorf("%+v", f)
	}
}
