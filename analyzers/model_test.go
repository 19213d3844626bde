package analyzers_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/connlint/connlint/analyzers"
	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/capture/wire"
	"github.com/connlint/connlint/reassembly"
	"github.com/connlint/connlint/reassembly/shard"
)

// account is what a connection comes to: what the model and the analyzers must
// agree on.
type account struct {
	Exchanges []string
	Client    string
	Bytes     [2]int64    // unique bytes, by side
	SYN, FIN  [2]bool     // seen
	FINAt     [2]wire.Seq // valid with FIN
	Outcome   lifecycle.Outcome
	Acked     [2]bool // the FIN was acknowledged
}

// converse writes a script of one connection: exchanges of any kind, one by one
// or pipelined, in segments of any size, some lost and sent again, some seen
// twice; and an end, perhaps in the middle of a response.
func converse(t *rapid.T) string {
	var b strings.Builder
	isn := rapid.SampledFrom([]string{"", " isn=4294967000/4294960000", " isn=2147483600/4294967295"}).Draw(t, "isn")
	fmt.Fprintf(&b, "conn 10.0.0.1:40000 > 10.0.0.2:80%s\n+0 handshake\n", isn)
	say := func(dir, text string) {
		for len(text) > 0 {
			n := min(len(text), rapid.SampledFrom([]int{1, 7, 60, 500, 4000}).Draw(t, "write"))
			line := fmt.Sprintf("+%g %s P %q", rapid.SampledFrom([]float64{0, 0.0001, 0.003, 0.05}).Draw(t, "after"), dir, text[:n])
			if rapid.IntRange(0, 2).Draw(t, "split") == 0 {
				line += fmt.Sprintf(" split=%d", rapid.IntRange(1, 300).Draw(t, "segment"))
			}
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0:
				line += " dup"
			case 1:
				if !strings.Contains(line, "split") {
					line += fmt.Sprintf(" lost\n+0.2 %s P retransmit", dir)
				}
			case 2:
				if !strings.Contains(line, "split") {
					line += fmt.Sprintf("\n+0.06 %s P retransmit", dir) // for nothing
				}
			}
			b.WriteString(line + "\n")
			text = text[n:]
		}
	}
	chunked := func(body string) string {
		var c strings.Builder
		for len(body) > 0 {
			n := min(len(body), rapid.IntRange(1, 90).Draw(t, "chunk"))
			fmt.Fprintf(&c, "%x%s\r\n%s\r\n", n, rapid.SampledFrom([]string{"", ";x=y"}).Draw(t, "extension"), body[:n])
			body = body[n:]
		}
		return c.String() + "0\r\n" + rapid.SampledFrom([]string{"", "X-Trailer: 1\r\n"}).Draw(t, "trailer") + "\r\n"
	}
	framed := func(body string, mayClose bool) (string, bool) {
		switch k := rapid.IntRange(0, 3).Draw(t, "framing"); {
		case k == 0:
			return "Transfer-Encoding: chunked\r\n\r\n" + chunked(body), false
		case k == 1 && mayClose:
			return "\r\n" + body, true
		}
		return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), false
	}
	n := rapid.IntRange(0, 6).Draw(t, "exchanges")
	end := rapid.SampledFrom([]string{"", "> close", "< close", "> R.", "< R."}).Draw(t, "end")
	for i := 0; i < n; {
		depth := min(n-i, rapid.SampledFrom([]int{1, 1, 1, 3}).Draw(t, "pipelined"))
		var requests string
		var responses []string
		for range depth {
			i++
			method := rapid.SampledFrom([]string{"GET", "HEAD", "POST", "DELETE", "PURGE"}).Draw(t, "method")
			body := strings.Repeat("b", rapid.SampledFrom([]int{0, 3, 700}).Draw(t, "body"))
			requests += fmt.Sprintf("%s /%d HTTP/1.1\r\nHost: h\r\n", method, i)
			if method == "POST" {
				text, _ := framed(body, false)
				requests += text
			} else {
				requests += "\r\n"
			}
			var r string
			for range rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "interim") {
				r += "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
			}
			body = strings.Repeat("r", rapid.SampledFrom([]int{0, 5, 3000}).Draw(t, "length"))
			switch status := rapid.SampledFrom([]int{200, 200, 404, 204, 304}).Draw(t, "status"); {
			case method == "HEAD" || status == 304:
				r += fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n", status, len(body))
			case status == 204:
				r += "HTTP/1.1 204 X\r\n\r\n"
			default:
				text, closes := framed(body, i == n && end == "< close")
				r += fmt.Sprintf("HTTP/1.1 %d X\r\n%s", status, text)
				if !closes && i == n && rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
					r = r[:rapid.IntRange(0, len(r)).Draw(t, "at")]
				}
			}
			responses = append(responses, r)
		}
		say(">", requests)
		for _, r := range responses {
			say("<", r)
		}
	}
	if end != "" {
		fmt.Fprintf(&b, "+%g %s\n", rapid.SampledFrom([]float64{0.001, 2}).Draw(t, "idle"), end)
	}
	return b.String()
}

// segments returns a script's segments, with bytes of their own.
func segments(t *rapid.T, text string) (list []capture.Segment) {
	s, err := script.Parse("model", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	src := s.Source(0)
	defer src.Close()
	_, err = shard.Run(src, []func(*capture.Segment){func(s *capture.Segment) {
		x := *s
		x.Payload, x.Options = bytes.Clone(s.Payload), bytes.Clone(s.Options)
		list = append(list, x)
	}}, shard.Options{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return list
}

// shuffled exchanges segments that are close in time, as several queues of a
// card do; times stay with the places.
func shuffled(t *rapid.T, list []capture.Segment) []capture.Segment {
	out := slices.Clone(list)
	for i := 3; i+1 < len(out); i++ { // behind the handshake
		a, b := &out[i], &out[i+1]
		if b.Time-a.Time < 1e6 && (a.Flags|b.Flags)&(wire.RST|wire.SYN|wire.FIN) == 0 && rapid.IntRange(0, 3).Draw(t, "swap") == 0 {
			*a, *b = *b, *a
			a.Time, b.Time = b.Time, a.Time
			a.Frame, b.Frame = b.Frame, a.Frame
			a.Now, b.Now = b.Now, a.Now
		}
	}
	return out
}

// model keeps everything: it puts each side's bytes in order by a map and lets
// net/http read them.
func model(t *rapid.T, list []capture.Segment) (a account) {
	client := list[0].Flow // the first segment is a SYN
	a.Client = client.Source().String()
	var first [2]map[wire.Seq]byte
	var isn, acked [2]wire.Seq
	reset := false
	for d := range first {
		first[d] = map[wire.Seq]byte{}
	}
	for i := range list {
		s := &list[i]
		d := 0
		if s.Flow != client {
			d = 1
		}
		seq := s.Seq
		if s.Flags&wire.SYN != 0 {
			a.SYN[d], isn[d] = true, s.Seq
			seq = seq.Add(1)
		}
		for k, b := range s.Payload {
			if _, known := first[d][seq.Add(k)]; !known {
				first[d][seq.Add(k)] = b
			}
		}
		if s.Flags&wire.FIN != 0 {
			a.FIN[d], a.FINAt[d] = true, seq.Add(s.Len)
		}
		if s.Flags&wire.ACK != 0 && (acked[1-d] == 0 || acked[1-d].Less(s.Ack)) {
			acked[1-d] = s.Ack
		}
		reset = reset || s.Flags&wire.RST != 0
	}
	var text [2][]byte
	for d := range text {
		a.Bytes[d] = int64(len(first[d]))
		for at := isn[d].Add(1); ; at = at.Add(1) {
			b, ok := first[d][at]
			if !ok {
				break
			}
			text[d] = append(text[d], b)
		}
		a.Acked[d] = a.FIN[d] && a.FINAt[d].Less(acked[d])
	}
	switch {
	case reset:
		a.Outcome = lifecycle.Reset
	case a.FIN[0] && a.FIN[1]:
		a.Outcome = lifecycle.Finished
	case a.FIN[0] || a.FIN[1]:
		a.Outcome = lifecycle.HalfClosed
	}
	a.Exchanges = exchanges(t, text, reset || a.Acked[0] && a.Acked[1])
	return a
}

// stream is one side's bytes and how far they were read.
type stream struct {
	*bufio.Reader
	text []byte
	rest *bytes.Reader
}

func newStream(text []byte) *stream {
	rest := bytes.NewReader(text)
	return &stream{bufio.NewReader(rest), text, rest}
}

func (s *stream) at() int { return len(s.text) - s.rest.Len() - s.Buffered() }

// exchanges reads what the sides of a connection said, and says how each
// exchange came out. Bodies are counted with their framing.
func exchanges(t *rapid.T, text [2][]byte, ended bool) (list []string) {
	client, server := newStream(text[0]), newStream(text[1])
	stuck := false // the server said no more
	for {
		req, err := http.ReadRequest(client.Reader)
		if err != nil {
			return list
		}
		from := client.at()
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			t.Fatalf("request: %v", err)
		}
		line := fmt.Sprintf("%s %s body=%d", req.Method, req.RequestURI, client.at()-from)
		begun, answered := false, false
		for !stuck && !answered {
			rest := text[1][server.at():]
			resp, err := http.ReadResponse(server.Reader, req)
			if err != nil {
				// Of what is cut, three digits tell an interim response.
				begun = len(rest) > 0 && (len(rest) < len("HTTP/1.1 103") || !bytes.HasPrefix(rest, []byte("HTTP/1.1 1")))
				stuck = true
				break
			}
			if resp.StatusCode < 200 {
				continue
			}
			begun = true
			line += fmt.Sprintf(" %d", resp.StatusCode)
			from := server.at()
			_, err = io.Copy(io.Discard, resp.Body)
			if stuck = err != nil; stuck {
				break
			}
			answered = true
			line += fmt.Sprintf(" body=%d answered", server.at()-from)
		}
		switch {
		case answered:
		case !ended:
			line += " open"
		case begun:
			line += " incomplete"
		default:
			line += " unanswered"
		}
		list = append(list, line)
	}
}

// followed follows the segments by the analyzers.
func followed(t *rapid.T, list []capture.Segment) (a account) {
	var rec lifecycle.Conn
	conns := 0
	tr := analyzers.NewTracker(analyzers.Facts{
		Transaction: func(_ *analyzers.Conn, t *http1.Transaction) {
			line := fmt.Sprintf("%s %s body=%d", t.MethodName, t.Target, t.Req.Body)
			if t.Resp.HeadEnd.Frame != 0 {
				line += fmt.Sprintf(" %d", t.Resp.Status)
			}
			switch t.Outcome {
			case http1.Answered:
				line += fmt.Sprintf(" body=%d answered", t.Resp.Body)
			case http1.Incomplete:
				line += " incomplete"
			case http1.Unanswered:
				line += " unanswered"
			case http1.Open:
				line += " open"
			}
			a.Exchanges = append(a.Exchanges, line)
		},
		Closed: func(_ *analyzers.Conn, r *lifecycle.Conn) { rec = *r; conns++ },
	}, analyzers.Options{})
	table := reassembly.NewTable[analyzers.State](tr, reassembly.DefaultOptions())
	for i := range list {
		table.Feed(&list[i])
	}
	table.Finish()
	if conns != 1 {
		t.Fatalf("%d connections", conns)
	}
	a.Client, a.Outcome = rec.Client.String(), rec.Outcome
	for d := range a.Bytes {
		e := &rec.End[d]
		a.Bytes[d], a.SYN[d], a.FIN[d] = e.Bytes, e.SYN.Seen(), e.FIN.Seen()
		if a.FIN[d] {
			a.FINAt[d] = e.FIN.Seq
		}
		a.Acked[d] = e.FINAcked.Seen()
	}
	if rec.Missing != 0 {
		t.Fatalf("missing: %b", rec.Missing)
	}
	return a
}

// Random connections come to the same by the analyzers and by the model, and do
// so too when segments are captured out of order.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := converse(t)
		list := segments(t, text)
		want := model(t, list)
		if d := cmp.Diff(want, followed(t, list)); d != "" {
			t.Fatalf("model and analyzers differ:\n%s\n%s", d, text)
		}
		if d := cmp.Diff(want, followed(t, shuffled(t, list))); d != "" {
			t.Fatalf("model and analyzers differ, segments out of order:\n%s\n%s", d, text)
		}
	})
}
