package cli

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/filter"
	"github.com/connlint/connlint/cmd/connlint/internal/report/html"
	"github.com/connlint/connlint/rules/runner"
)

// laddersPerRule is how many findings of a rule have ladders in a report.
const laddersPerRule = 2

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
  connlint report --baseline known.json --join captures/ -o report.html`,
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
	f.addBaseline(fs)
	f.addTo(fs)
	f.addProgress(cmd)
	f.packets.add(fs)
	f.addJoin(fs)
	f.addPorts(fs)
	f.addRedact(cmd)
	f.addJobs(fs)
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
	page := &html.Report{Report: j.newReport(), Config: j.opts.Config}
	var files [][]string // by capture
	j.readWith(page.Report, paths, func(src capture.Source, of []string) *runner.Result {
		j.opts.Monitor = runner.NewMonitor(runner.MonitorOptions{Conns: 1, Findings: 1})
		result := j.judge(src)
		page.Extras = append(page.Extras, html.Extra{Pairs: j.opts.Monitor.Snapshot().Pairs})
		files = append(files, of)
		return result
	})
	j.conclude(page.Report)
	for i, findings := range evidence(page) {
		page.Extras[i].Ladders = j.ladders(page.Captures[i], findings, files[i])
	}
	var b bytes.Buffer
	if err := html.Write(&b, page); err != nil {
		return err
	}
	err = a.put(file, b.Bytes())
	for _, u := range page.Unread {
		a.cannotRead(u.Err)
	}
	for _, n := range page.Notices {
		a.complain(errors.New(n))
	}
	return err
}

// evidence picks the findings that get ladders, the most costly of each rule,
// by their captures.
func evidence(page *html.Report) map[int][]int {
	perRule := map[string]int{}
	picked := map[int][]int{}
	left := html.MaxLadders
	for _, l := range page.Listed() {
		f := &page.Captures[l.Capture].Findings[l.Finding]
		if left > 0 && len(f.Frames) > 0 && perRule[f.Rule.Code] < laddersPerRule {
			left--
			perRule[f.Rule.Code]++
			picked[l.Capture] = append(picked[l.Capture], l.Finding)
		}
	}
	return picked
}

// ladders draws the connections of findings of a capture, by their indices. A
// finding whose connection cannot be traced has none: the report says how to
// draw it.
func (j *job) ladders(c *runner.Result, findings []int, files []string) map[int]*html.Ladder {
	if j.interrupted() || slices.Contains(files, "-") { // it cannot be read again
		return nil
	}
	conns := j.connections(c, findings, files)
	src, err := j.reopen(files)
	if err != nil {
		return nil
	}
	opts := j.opts
	opts.Progress = nil
	// What a capture that breaks off holds can be drawn.
	traces, _ := runner.TraceEach(src, conns, opts)
	if src.Close() != nil {
		return nil
	}
	out := map[int]*html.Ladder{}
	for k, t := range traces {
		f := &c.Findings[findings[k]]
		// The addresses may have been used before, by another connection.
		if !slices.ContainsFunc(t.Rows, func(r runner.Row) bool { return slices.Contains(f.Frames, r.Frame) }) {
			continue
		}
		t.Number = f.ConnNumber
		out[findings[k]] = html.DrawLadder(t, f.Frames)
	}
	return out
}

// reopen opens what a capture was read from, once more.
func (j *job) reopen(files []string) (src capture.Source, err error) {
	src, err = j.openCapture(files)
	if err == nil && j.packets != nil {
		return filter.Apply(src, j.packets), nil
	}
	return src, err
}

// connections returns those that findings are about, or that their first
// frames belong to.
func (j *job) connections(c *runner.Result, findings []int, files []string) []runner.Connection {
	conns := make([]runner.Connection, len(findings))
	wanted := map[uint64]bool{} // frames whose ends are to be looked up
	for k, i := range findings {
		f := &c.Findings[i]
		conns[k] = runner.Connection{ID: f.Conn, A: f.Client, B: f.Server}
		if f.Conn == 0 || f.Client.Port() == 0 || f.Server.Port() == 0 {
			wanted[f.Frames[0]] = true
		}
	}
	if len(wanted) == 0 {
		return conns
	}
	ends := j.endsOf(files, wanted)
	for k, i := range findings {
		if e, ok := ends[c.Findings[i].Frames[0]]; ok {
			conns[k].A, conns[k].B = e[0], e[1]
		}
	}
	return conns
}

// endsOf returns the ends of the connections that frames belong to; a frame
// that holds no whole TCP segment has none.
func (j *job) endsOf(files []string, frames map[uint64]bool) map[uint64][2]netip.AddrPort {
	out := map[uint64][2]netip.AddrPort{}
	src, err := j.reopen(files)
	if err != nil {
		return out
	}
	defer src.Close()
	d := capture.NewDecoder(capture.DecoderOptions{})
	for met := 0; met < len(frames); {
		var p capture.Packet
		if src.Next(&p) != nil {
			break
		}
		if !frames[p.Frame] {
			continue
		}
		met++
		var s capture.Segment
		if d.Decode(&p, &s) {
			out[p.Frame] = [2]netip.AddrPort{s.Flow.Source(), s.Flow.Dest()}
		}
	}
	return out
}
