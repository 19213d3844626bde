package framing

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/rules"
)

// LengthMismatch reports messages that are not as long as they say.
var LengthMismatch = &rules.Rule{
	Code: "FRM002",
	Name: "content-length-mismatch",
	Doc: rules.Doc{
		Title:    "a message is shorter or longer than its Content-Length says",
		Severity: rules.Error,
		Wire: "The server ended the connection, by FIN or RST, before as many body bytes had come as its Content-Length promises. " +
			"Or bytes follow a complete message that begin no other message: its Content-Length is too small, or something was written twice.",
		Harm: "A short body is an incomplete message, and the client must not take it for the whole (RFC 9112 §8). Many do: they store half a file, or cache it. " +
			"Bytes too many are read as the beginning of the next message: the connection is lost, and at worst the next response goes to the wrong request.",
		Fix: "compute Content-Length from the bytes that are sent, after encoding and compression, and leave it to the server library where that can be done",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "Look for \"upstream prematurely closed connection while reading upstream\" in the error log: the upstream gave up. proxy_max_temp_file_size, a full disk and proxy_read_timeout cut bodies too."},
			{Program: "haproxy", Text: "Termination states SD-- and sD-- in the log are bodies that the server cut, by close and by timeout server."},
			{Program: "Apache", Text: "Do not set Content-Length in a CGI whose output mod_deflate compresses, and let ProxyTimeout be longer than the slowest response."},
			{Program: "Node", Text: "Use Buffer.byteLength(text), not text.length; http.Server's strictContentLength makes the mistake an error."},
			{Program: "Java", Text: "Servlets: getBytes(charset).length, not String.length(); do not write more after setContentLength."},
			{Program: "Go", Text: "net/http refuses to write more than was declared (http.ErrContentLength) and closes where less was written: look for that error."},
			{Program: "Python", Text: "len(body.encode()), not len(body); in WSGI leave Content-Length out and let the server count."},
		},
		Confirm: "Filter tcp.stream eq N && http: Wireshark shows no complete response though tcp.flags.fin == 1 of the server has come. For bytes too many: data behind the response that is not dissected as HTTP.",
		Silent: "The client's FIN or RST came first: it gave the body up. The capture ended first, or lost or dropped bytes of the connection. " +
			"Bytes behind a response that may have no body are body-not-allowed, a status line behind one is unsolicited-response. An empty line behind a message is let pass.",
		Refs: []string{"RFC 9112 §6.3", "RFC 9112 §8", "RFC 9110 §8.6"},
	},
	Needs:       lifecycle.Gap | lifecycle.OneDirection | lifecycle.BadFraming | lifecycle.Capped,
	Transaction: tooShort,
	Odd:         rules.NotAnswered,
	Anomaly:     tooLong,
}

// lossy is what leaves doubt about how many bytes were sent.
const lossy = lifecycle.Gap | lifecycle.OneDirection | lifecycle.Capped

func tooShort(p *rules.Pass, t *http1.Transaction) {
	r := &t.Resp
	if r.Framing != http1.Length || r.Declared <= r.Body {
		return
	}
	end := cutBy(p, t)
	if end == nil {
		return
	}
	subj := p.Subject(t)
	missing := r.Declared - r.Body
	p.Report(rules.Finding{
		Severity: rules.Error,
		Frames:   rules.Frames(end.Frame, r.First.Frame, t.Req.First.Frame),
		Time:     end.Time,
		Subject:  subj,
		Message: fmt.Sprintf("%s: the server ended the connection after %s of %s body bytes of response %d, %s short",
			subj.WhereServer(), rules.Count(r.Body), rules.Count(r.Declared), r.Status, rules.Count(missing)),
		Side:  "server",
		Cause: end.Frame,
		Measured: []rules.Measure{
			{Name: "declared_bytes", Value: float64(r.Declared)},
			{Name: "body_bytes", Value: float64(r.Body)},
			{Name: "missing_bytes", Value: float64(missing), Sum: true},
		},
	})
}

// cutBy returns the server's FIN or RST that cut off the response of t, nil if
// that is not proven: the client ended the connection first, the connection
// did not end, or the capture may miss bytes before the end.
func cutBy(p *rules.Pass, t *http1.Transaction) *lifecycle.Mark {
	r := &t.Resp
	switch t.Outcome {
	case http1.Incomplete, http1.Open: // Open: the end may be there all the same
	default:
		return nil
	}
	if r.Complete || r.HeadEnd.Frame == 0 || r.Bits.Any(http1.Truncated|http1.Cut) {
		return nil
	}
	c := p.Conn()
	if c == nil || c.Missing&lossy != 0 {
		return nil
	}
	s := &c.End[http1.Server]
	if c.First != http1.Server {
		return nil
	}
	if s.FIN.Seen() {
		// The FIN stands right behind the last byte, or bytes are missing.
		if s.FIN.Seq != r.Last.Seq {
			return nil
		}
		return &s.FIN
	}
	// Nor may a later segment, the RST's own place or an acknowledgement of the
	// client's tell of more bytes.
	end := r.Last.Seq
	if !s.RST.Seen() || end.Less(s.RST.Seq) || s.Nxt != end || end.Less(s.Acked) {
		return nil
	}
	return &s.RST
}

func tooLong(p *rules.Pass, a *http1.Anomaly, t *http1.Transaction) {
	if a.Kind != http1.ExtraBytes {
		return
	}
	c := p.Conn()
	if c == nil || c.Missing&lossy != 0 {
		return
	}
	subj := p.Subject(t)
	last := &c.LastExchange
	f := rules.Finding{
		Severity: rules.Error,
		Time:     a.At.Time,
		Shape:    "extra",
	}
	if a.Side == http1.Client {
		before := last.ReqStart
		switch {
		case t != nil && t.Req.Bits.Has(http1.HasUpgrade):
			return // it may speak the other protocol already
		case t != nil:
			before = t.Req.First
		case last.ReqBits.Has(http1.HasUpgrade):
			return
		}
		if t == nil && last.ReqStart.Frame != 0 {
			subj.Method = last.Method.String()
		}
		f.Side = "client"
		f.Frames = rules.Frames(a.At.Frame, before.Frame)
		what := "a request"
		if subj.Method != "" {
			what = "a " + subj.Method + " request"
		}
		f.Message = fmt.Sprintf("client %v → %v: bytes follow %s that begin no other request", subj.Client.Addr(), subj.Server, what)
		// Where requests cannot be told apart any more, so the connection's
		// end is of this: no cause of its own.
	} else {
		f.Side = "server"
		f.Frames = rules.Frames(a.At.Frame, last.RespStart.Frame)
		f.Cause = a.At.Frame
		what := "a response"
		if last.RespEnd.Frame != 0 && last.RespEnd.Seq.LessEq(a.At.Seq) {
			f.Cause = last.RespStart.Frame
			what = fmt.Sprintf("response %d", last.Status)
			subj.Status = int(last.Status)
		}
		f.Message = fmt.Sprintf("%s: bytes follow %s that begin no other response", subj.WhereServer(), what)
	}
	f.Subject = subj
	p.Report(f)
}
