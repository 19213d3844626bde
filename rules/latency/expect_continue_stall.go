package latency

import (
	"fmt"
	"time"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// ExpectContinueStall reports requests whose body waited in vain for a
// 100 (Continue).
var ExpectContinueStall = &rules.Rule{
	Code: "LAT005",
	Name: "expect-continue-stall",
	Doc: rules.Doc{
		Title:    "a request's body waited for a 100 (Continue) that did not come",
		Severity: rules.Warning,
		Wire: "The client sends a head with Expect: 100-continue and holds the body back until the server says 100 (Continue), or refuses. " +
			"The server says neither. A client must not wait forever (RFC 9110 §10.1.1), so it sends the body after a while: curl and Go after 1 s, others after 3 to 5 s.",
		Harm: "Every such request takes a second or more longer, with server and network idle meanwhile.",
		Fix:  "have the server or the proxy in front of it answer Expect: 100-continue at once, or have the client not send it",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "It answers 100 itself when it reads the body; with proxy_request_buffering off it still does. A module or njs handler that never reads the body does not."},
			{Program: "haproxy", Text: "It passes Expect on: the server behind must answer. \"http-request del-header Expect\" with \"option http-buffer-request\" ends the wait only if the client is answered some other way."},
			{Program: "Apache", Text: "httpd answers 100 when the handler reads the body. ProxyPass with ping=N sends an Expect of its own: leave it out for servers that ignore it."},
			{Program: "Node", Text: "http.Server answers 100 itself unless there is a 'checkContinue' listener: that one must call writeContinue()."},
			{Program: "Java", Text: "HttpClient: expectContinue(false), the default. Servlets: read the body, or answer; Jetty and Tomcat send 100 at the first read."},
			{Program: "Go", Text: "Transport.ExpectContinueTimeout is what is waited; servers send 100 at the handler's first Read of the body."},
			{Program: "Python", Text: "http.server answers 100 for HTTP/1.1 (protocol_version). curl: -H 'Expect:' leaves it out."},
		},
		Confirm: "Filter http.expect == \"100-continue\" and follow the stream: nothing moves for about a second between head and body, and no 100 comes before the body.",
		Silent: "The body left less than 300 ms after the head, or after a 100, 417 or any final status that the client had. " +
			"The server spoke, but the client's bytes show that it had not seen that yet: that counts as none. Bytes of either side are missing.",
		Refs: []string{"RFC 9110 §10.1.1", "RFC 9110 §15.2.1"},
	},
	Needs:       lifecycle.OneDirection | lifecycle.Gap,
	Transaction: expectStall,
	Odd:         rules.Expecting,
}

func expectStall(p *rules.Pass, t *http1.Transaction) {
	r := &t.Req
	if !r.Bits.Any(http1.HasExpect100) || r.HeadEnd.Frame == 0 || r.BodyFirst.Frame == 0 || r.Gaps > 0 {
		return
	}
	wait := time.Duration(r.BodyFirst.Time - r.HeadEnd.Time)
	if wait < p.Config.ExpectMinWait {
		return
	}
	// What the client knew when the body left.
	had := func(m http1.Mark) bool { return m.Frame != 0 && m.Seq.Less(r.BodyFirst.Ack) }
	if had(t.FirstInterim) || had(t.Resp.First) || p.Conn().Missing&(lifecycle.OneDirection|lifecycle.Gap) != 0 {
		return
	}
	subj := p.Subject(t)
	p.Report(rules.Finding{
		Severity: rules.Warning,
		Frames:   rules.Frames(r.First.Frame, r.BodyFirst.Frame, t.FirstInterim.Frame, t.Resp.First.Frame),
		Time:     r.First.Time,
		Subject:  subj,
		Side:     "server",
		Message:  fmt.Sprintf("%s: body held %s for a 100 (Continue) that did not come", subj.Where(), rules.Span(wait)),
		Measured: []rules.Measure{{Name: "wait_ms", Value: rules.Millis(wait), Sum: true}},
		Cost:     int64(wait),
		Cause:    r.First.Frame,
	})
}
