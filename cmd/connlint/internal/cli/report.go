package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/cmd/connlint/internal/report/html"
	"github.com/connlint/connlint/rules/runner"
)

// Bounds on the ladders of a report. A capture is read again for each.
const (
	laddersPerRule = 2
	rereadBytes    = 4 << 30
)

func (a *app) reportCommand() *cobra.Command {
	f := checkFlags{
		failOn:   choice{"never", []string{"info", "warning", "error", "never"}},
		progress: choice{"auto", []string{"auto", "always", "never"}},
		redact:   choice{"default", []string{"default", "all", "none"}},
	}
	var file string
	cmd := &cobra.Command{
		Use:     "report [FLAGS] PATH... | -",
		Short:   "Write a report to look at: one HTML file",
		GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `report writes what check finds and what stats sums up as one HTML file that needs
nothing else: findings with their fixes and the segments that show them, and for each
client and server how its connections were used over time. The file loads nothing from
anywhere. It stays below 5 MB for any capture.

Exit status: 0 the report is written, whatever it says; 2 wrong usage; 3 a capture
could not be read, or not to its end, or the report not be written.`,
		Example: `  connlint report api.pcap -o report.html
  connlint report --redact all captures/ -o report.html`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				return errors.New("report needs a capture file or directory, or - for standard input")
			}
			return a.report(cmd, &f, paths, file)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&file, "output", "o", "connlint-report.html", "write to `FILE`; - for standard output")
	f.addSelection(cmd)
	f.addTo(fs)
	addChoice(cmd, "progress", &f.progress, "progress bar, `when`: auto (on a terminal, after a second), always, never")
	addChoice(cmd, "redact", &f.redact, "hide `what`: default (that is credentials and query values), all\n(paths and hosts too), none")
	fs.Var(&f.ports, "http-ports", "look for HTTP on these server `PORTS` alone, as in 80,8080,8000-8100\n(default: on all, told by content)")
	fs.VarP(&f.workers, "jobs", "j", "work on `N` processors, 0 for all; the findings are the same")
	return cmd
}

func (a *app) report(cmd *cobra.Command, f *checkFlags, paths []string, file string) error {
	j, err := a.newJob(cmd, f, paths, file)
	if err != nil {
		return err
	}
	if err := a.checkStdin(paths); err != nil {
		return err
	}
	defer a.heed()()
	j.opts.Groups = html.Groups(j.opts.Config)
	page := &html.Report{Version: thisBuild().Version, Config: j.opts.Config}
	files, err := pcapfile.Expand(paths)
	problems := unread(nil, "", err)
	ladders := html.MaxLadders
	for i, name := range files {
		if err := a.notRead(i, len(files)); err != nil {
			problems = unread(problems, "", err)
			break
		}
		j.bar.file(name, i+1, len(files))
		src, err := a.open(name)
		if err != nil {
			problems = unread(problems, name, err)
			continue
		}
		opts := j.opts
		opts.Monitor = runner.NewMonitor(runner.MonitorOptions{Conns: 1, Findings: 1})
		result := runner.Run(src, opts)
		j.holdToBudgets(result)
		problems = unread(problems, result.File, result.Err)
		if err := src.Close(); err != nil && result.Err == nil {
			problems = unread(problems, name, fmt.Errorf("%s: %w", name, err))
		}
		c := html.Capture{Result: result, Pairs: opts.Monitor.Snapshot().Pairs, Ladders: map[int]*html.Figure{}}
		if name != "-" { // it cannot be read again
			ladders -= j.ladders(&c, name, ladders)
		}
		page.Captures = append(page.Captures, c)
	}
	j.bar.clear()
	for _, p := range problems {
		page.Unread = append(page.Unread, p.Err)
	}
	if len(problems) > 0 {
		a.status = exitUnread
	}
	var b bytes.Buffer
	if err := html.Write(&b, page); err != nil {
		return err
	}
	if file == "-" {
		_, err = a.Out.Write(b.Bytes())
	} else {
		err = writeFile(file, b.Bytes())
	}
	for _, p := range problems {
		a.complain(p.Err)
	}
	return err
}

// ladders traces connections for the first findings of each rule, at most n,
// and returns how many. A finding whose connection cannot be traced has none:
// the report says how to draw it.
func (j *job) ladders(c *html.Capture, name string, n int) int {
	if st, err := os.Stat(name); err == nil && st.Size() > 0 {
		n = min(n, max(1, int(rereadBytes/st.Size())))
	}
	perRule := map[string]int{}
	drawn := 0
	for _, i := range html.Ranked(c.Findings) {
		f := &c.Findings[i]
		if drawn >= n || j.interrupted() || len(f.Frames) == 0 || perRule[f.Rule.Code] >= laddersPerRule {
			continue
		}
		if l := j.ladder(f, name); l != nil {
			c.Ladders[i] = l
			perRule[f.Rule.Code]++
			drawn++
		}
	}
	return drawn
}

// ladder draws the connection of a finding, or that of its first frame, nil if
// it cannot be traced.
func (j *job) ladder(f *runner.Finding, name string) *html.Figure {
	c := runner.Connection{ID: f.Conn, A: f.Client, B: f.Server}
	if f.Conn == 0 || f.Client.Port() == 0 || f.Server.Port() == 0 {
		var ok bool
		if c.A, c.B, ok = endsOf(name, f.Frames[0]); !ok {
			return nil
		}
	}
	src, err := pcapfile.Open(name, pcapfile.Options{})
	if err != nil {
		return nil
	}
	opts := j.opts
	opts.Progress = nil
	t, err := runner.TraceOnly(src, c, opts)
	if src.Close() != nil || len(t.Rows) == 0 {
		return nil
	}
	if err != nil && t.Result.Err == nil { // a capture that breaks off has ladders of what there is
		return nil
	}
	// The addresses may have been used before, by another connection.
	if !slices.ContainsFunc(t.Rows, func(r runner.Row) bool { return slices.Contains(f.Frames, r.Frame) }) {
		return nil
	}
	t.Number = f.ConnNumber
	return html.Ladder(t, f.Frames)
}

// endsOf returns the ends of the connection that a frame belongs to, false if
// it holds no whole TCP segment.
func endsOf(name string, frame uint64) (a, b netip.AddrPort, ok bool) {
	src, err := pcapfile.Open(name, pcapfile.Options{})
	if err != nil {
		return a, b, false
	}
	defer src.Close()
	d := capture.NewDecoder(capture.DecoderOptions{})
	for {
		var p capture.Packet
		if src.Next(&p) != nil {
			return a, b, false
		}
		if p.Frame == frame {
			var s capture.Segment
			ok = d.Decode(&p, &s)
			return s.Flow.Source(), s.Flow.Dest(), ok
		}
	}
}
