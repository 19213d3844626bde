package latency

import (
	"fmt"

	"github.com/connlint/connlint/analyzers/http1"
	"github.com/connlint/connlint/analyzers/lifecycle"
	"github.com/connlint/connlint/analyzers/timing"
	"github.com/connlint/connlint/rules"
)

// ZeroWindowStall reports messages whose receiver did not read.
var ZeroWindowStall = &rules.Rule{
	Code: "LAT007",
	Name: "zero-window-stall",
	Doc: rules.Doc{
		Title:    "a message stood still because its receiver's window was closed",
		Severity: rules.Info,
		Wire: "The receiver's program reads more slowly than bytes arrive. Its socket buffer fills, and it advertises a window of 0. " +
			"The sender may only probe until the window opens again.",
		Harm: "The transfer runs at the reader's speed, and the sender keeps buffers and perhaps a worker for it. It looks like a slow network and is none.",
		Fix:  "read faster, or in parallel with what is done with the data; then look at the receive buffer",
		Fixes: []rules.Fix{
			{Program: "nginx", Text: "proxy_buffers and proxy_max_temp_file_size take a response off a slow client's hands; proxy_buffering off makes the upstream wait for the client."},
			{Program: "haproxy", Text: "tune.bufsize is all it holds of a response: a slow client slows the server down. Look at the client."},
			{Program: "Node", Text: "Handle 'data' or pipe() the stream: a paused stream closes the window. Work that blocks the event loop does too."},
			{Program: "Java", Text: "Read the body to its end in a thread of its own; a BodySubscriber must request(n) more in time."},
			{Program: "Go", Text: "Read from resp.Body without waiting for other work in between; a full channel behind the reader is the usual cause."},
			{Program: "Python", Text: "Iterate with a large chunk_size, and hand work to other threads; asyncio: do not block the loop."},
		},
		Confirm: "Filter tcp.analysis.zero_window || tcp.analysis.window_update; the time between the two is the stall.",
		Silent: "The window was closed for less than 200 ms, or not in the middle of a message. The receiver had closed the connection, or was resetting it. " +
			"Data passed meanwhile: the capture missed the window's opening. Of TLS only records cut in two are known to be unfinished.",
		Refs: []string{"RFC 9293 §3.8.6", "RFC 1122 §4.2.2.17"},
	},
	Needs:  lifecycle.OneDirection,
	Window: zeroWindow,
}

func zeroWindow(p *rules.Pass, w *timing.Closure, inside bool, t *http1.Transaction) {
	if !inside || w.Duration < p.Config.ZeroWindowMin {
		return
	}
	conn := p.Conn()
	e := &conn.End[w.Receiver]
	if e.FIN.Seen() && e.FIN.Frame <= w.From.Frame || e.RST.Seen() && w.To.Frame == 0 {
		return // it will not read any more
	}
	subj := p.Subject(t)
	f := rules.Finding{
		Severity: rules.Info,
		Frames:   rules.Frames(w.From.Frame, w.To.Frame),
		Time:     w.From.Time,
		Subject:  subj,
		Side:     "client",
		Measured: []rules.Measure{{Name: "closed_ms", Value: rules.Millis(w.Duration), Sum: true}, {Name: "probes", Value: float64(w.Probes)}},
		Cost:     int64(w.Duration),
		Cause:    w.From.Frame,
	}
	if w.Duration >= p.Config.ZeroWindowWarn {
		f.Severity = rules.Warning
	}
	where, what := subj.Where(), "response"
	if w.Receiver == http1.Server {
		f.Side, where, what = "server", subj.WhereServer(), "request"
	}
	end := ""
	if w.To.Frame == 0 {
		end = ", and had not opened by the end"
	}
	f.Message = fmt.Sprintf("%s: window closed for %s inside a %s%s", where, rules.Span(w.Duration), what, end)
	p.Report(f)
}
