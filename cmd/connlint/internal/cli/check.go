package cli

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/filter"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/cmd/connlint/internal/config"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// checkFlags are the flags of check.
type checkFlags struct {
	settingsFlags
	selected, ignored, extended []string
	baseline                    string

	failOn   choice
	exitZero bool

	format     choice
	outputs    outputList
	all        bool
	maxPerRule whole
	statistics bool
	tui        bool
	quiet      bool
	color      choice
	progress   choice

	packets filterFlags
	join    bool
	watch   string
	ports   portList
	redact  choice
	workers whole
}

func (a *app) checkCommand() *cobra.Command {
	f := checkFlags{
		failOn:   choice{"warning", []string{"info", "warning", "error", "never"}},
		format:   choice{"text", report.Formats()},
		color:    choice{"auto", []string{"auto", "always", "never"}},
		progress: choice{"auto", []string{"auto", "always", "never"}},
		redact:   choice{"default", []string{"default", "all", "none"}},
	}
	cmd := &cobra.Command{
		Use:     "check [FLAGS] PATH... | -",
		Short:   "Find faults in capture files, directories or standard input",
		GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `check reads captures and reports what goes wrong on their HTTP connections: where,
what it costs, and what to change. It reads pcap and pcapng, plain or compressed
(gzip, zstd, lz4). A directory stands for the captures in it, - for standard input.

Exit status: 0 nothing at or above --fail-on; 1 findings; 2 wrong usage;
3 a capture could not be read, or not to its end, or a report not be written.`,
		Example: `  connlint check api.pcap
  connlint check --select LAT,FRM001 --fail-on error captures/
  connlint check --output sarif:findings.sarif --output markdown:summary.md captures/
  connlint check --baseline known.json api.pcapng.zst
  tcpdump -w - port 8080 | connlint check -`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if f.watch != "" {
				return a.watch(cmd, &f, paths)
			}
			if len(paths) == 0 {
				return errors.New("check needs a capture file or directory, or - for standard input")
			}
			return a.check(cmd, &f, paths)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.addSelection(cmd)
	f.addBaseline(fs)
	group(fs, "Rules")
	f.addTo(fs)
	group(fs, "Configuration")
	addChoice(cmd, "fail-on", &f.failOn, "lowest `severity` that makes the exit status 1: info, warning, error, never")
	fs.BoolVar(&f.exitZero, "exit-zero", false, "exit 0 in spite of findings")
	group(fs, "Exit status")
	addChoice(cmd, "format", &f.format, "output `format`: text, concise, json, jsonl, sarif, junit, github, gitlab, checkstyle, rdjson, markdown")
	fs.Var(&f.outputs, "output", "write to `FILE` instead of standard output; FORMAT:FILE, as often as you like, writes there as well")
	fs.BoolVar(&f.all, "all", false, "list each occurrence, not groups of alike ones")
	fs.Var(&f.maxPerRule, "max-per-rule", "list at most `N` findings of a rule, 0 for all")
	fs.BoolVar(&f.statistics, "statistics", false, "a table by rule in place of the findings (text)")
	fs.BoolVar(&f.tui, "tui", false, "look at one capture on the terminal while it is read: findings, servers, connections, one connection segment by segment")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "findings alone: no summary, no progress")
	addChoice(cmd, "color", &f.color, "colors, `when`: auto, always, never")
	f.addProgress(cmd)
	group(fs, "Output")
	f.packets.add(fs)
	f.addJoin(fs)
	fs.StringVar(&f.watch, "watch", "", "check the captures that come into `DIR`, each once nothing more is written to it, until interrupted")
	f.addPorts(fs)
	f.addRedact(cmd)
	f.addJobs(fs)
	group(fs, "Reading")
	return cmd
}

// addSelection adds the flags that pick rules.
func (f *checkFlags) addSelection(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringSliceVar(&f.selected, "select", nil, "only these `RULES`: codes, names or families such as LAT")
	fs.StringSliceVar(&f.ignored, "ignore", nil, "not these `RULES`")
	fs.StringSliceVar(&f.extended, "extend-select", nil, "these `RULES` besides those selected")
	for _, name := range []string{"select", "ignore", "extend-select"} {
		_ = cmd.RegisterFlagCompletionFunc(name, completeRules)
	}
}

func (f *checkFlags) addBaseline(fs *pflag.FlagSet) {
	fs.StringVar(&f.baseline, "baseline", "", "report only what is not in this `FILE`, which connlint baseline wrote")
}

func (f *checkFlags) addJoin(fs *pflag.FlagSet) {
	fs.BoolVar(&f.join, "join", false, "read all files as one capture, in time order (rotated sets)")
}

func (f *checkFlags) addPorts(fs *pflag.FlagSet) {
	fs.Var(&f.ports, "http-ports", "look for HTTP on these server `PORTS` alone, as in 80,8080,8000-8100 (default: on all, told by content)")
}

func (f *checkFlags) addRedact(cmd *cobra.Command) {
	addChoice(cmd, "redact", &f.redact, "hide `what`: default (that is credentials and query values), all (paths and hosts too), none")
}

func (f *checkFlags) addProgress(cmd *cobra.Command) {
	addChoice(cmd, "progress", &f.progress, "progress bar, `when`: auto (on a terminal, after a second), always, never")
}

func (f *checkFlags) addJobs(fs *pflag.FlagSet) {
	fs.VarP(&f.workers, "jobs", "j", "work on `N` processors, 0 for all; the findings are the same")
}

func completeRules(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, r := range catalog.All() {
		words = append(words, r.Code+"\t"+r.Name, r.Name+"\t"+r.Doc.Title)
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) check(cmd *cobra.Command, f *checkFlags, paths []string) error {
	j, err := a.newJob(cmd, f, paths)
	if err != nil {
		return err
	}
	if err := a.checkStdin(paths); err != nil {
		return err
	}
	defer a.heed()()
	if f.tui {
		return j.look(paths)
	}
	r := j.newReport()
	j.read(r, paths)
	j.conclude(r)
	a.status = r.Status
	return j.write(r)
}

// job is a check: its settings, and what they make of captures.
type job struct {
	*app
	f        *checkFlags
	s        *config.Settings
	selected []*rules.Rule // those of the catalogue
	run      []*rules.Rule // and those of the budgets
	baseline *rules.Baseline
	packets  *filter.Filter // nil for all
	opts     runner.Options
	bar      *progress
	now      time.Time
}

// newJob returns the job for captures, if there are any, and further files
// that it will write.
func (a *app) newJob(cmd *cobra.Command, f *checkFlags, captures []string, files ...string) (*job, error) {
	j, err := a.settle(cmd, f)
	if err != nil {
		return nil, err
	}
	s := j.s
	j.run = append(j.run, j.budgets()...)
	j.opts.Rules = j.run
	for _, o := range f.outputs {
		files = append(files, o.file)
	}
	if err := checkOutputs(files, captures); err != nil {
		return nil, err
	}
	if j.baseline, err = readBaseline(s.Baseline); err != nil {
		return nil, err
	}
	if j.packets, err = f.packets.filter(); err != nil {
		return nil, err
	}
	j.bar = a.newProgress(f.progress.value, f.quiet)
	if j.bar != nil {
		j.opts.Progress = j.bar.update
	}
	return j, nil
}

// settle returns a job whose settings are in effect.
func (a *app) settle(cmd *cobra.Command, f *checkFlags) (*job, error) {
	s, err := f.load(cmd)
	if err != nil {
		return nil, err
	}
	f.override(cmd, s)
	f.failOn.value = s.FailOn
	j := &job{app: a, f: f, s: s, now: time.Now()}
	if j.selected, err = catalog.Select(s.Select, s.Ignore, s.ExtendSelect); err != nil {
		return nil, err
	}
	j.run = slices.Clone(j.selected)
	limits := *s.Rules
	limits.Redact = map[string]rules.Redaction{
		"default": rules.RedactDefault, "all": rules.RedactAll, "none": rules.RedactNone,
	}[s.Redact]
	j.opts = runner.Options{
		Rules: j.run, Precedence: catalog.Precedence(), Config: &limits, Overrides: s.Overrides(&limits),
		Workers: int(f.workers), All: f.all, HTTPPorts: s.HTTPPorts, Adjust: s.Adjust(j.now),
	}
	return j, nil
}

func (j *job) newReport() *report.Report {
	r := &report.Report{Version: thisBuild().Version, MaxPerRule: j.s.MaxPerRule, Rules: j.run, Suppressions: j.s.Reasons(),
		Failing: rules.Error + 1}
	if i := slices.Index(j.f.failOn.allowed, j.s.FailOn); i <= int(rules.Error) { // in the order of the severities
		r.Failing = rules.Severity(i)
	}
	if j.baseline != nil {
		r.Baselined = j.baseline.Has()
	}
	return r
}

func (a *app) checkStdin(paths []string) error {
	dashes := 0
	for _, p := range paths {
		if p == "-" {
			dashes++
		}
	}
	switch {
	case dashes > 1:
		return errors.New("standard input (-) can be read only once")
	case dashes == 1 && a.InTTY:
		return errors.New("standard input is a terminal; pipe a capture into it, as in: tcpdump -w - | connlint check -")
	}
	return nil
}

// read runs the rules over the captures.
func (j *job) read(r *report.Report, paths []string) {
	j.readWith(r, paths, func(src capture.Source, _ []string) *runner.Result { return j.judge(src) })
}

// readWith is read with judge in place of j.judge. It is given each capture
// with the files that it is made of.
func (j *job) readWith(r *report.Report, paths []string, judge func(capture.Source, []string) *runner.Result) {
	j.pace()
	files, err := pcapfile.Expand(paths)
	r.Unread = unread(r.Unread, "", err)
	run := func(src capture.Source, files []string) {
		result := judge(src, files)
		j.holdToBudgets(result)
		r.Captures = append(r.Captures, result)
		r.Unread = unread(r.Unread, result.File, result.Err)
		if err := src.Close(); err != nil && result.Err == nil {
			r.Unread = unread(r.Unread, result.File, fmt.Errorf("%s: %w", result.File, err))
		}
	}
	if j.f.join && len(files) > 0 {
		j.bar.file(files[0], 1, 1)
		run(j.join(files), files)
		files = nil
	}
	for i, file := range files {
		j.bar.file(file, i+1, len(files))
		if src, err := j.open(file); err != nil {
			r.Unread = unread(r.Unread, file, err)
		} else {
			run(src, files[i:i+1])
		}
		if err := j.notRead(i+1, len(files)); err != nil {
			r.Unread = unread(r.Unread, "", err)
			break
		}
	}
	j.bar.clear()
}

// pace lets the heap fill 28 MiB before a garbage collection, or a quarter more
// than lives, if that is more. Most captures end before the first, and what is
// kept of a large one takes little more room than a small one leaves behind. To
// collect costs little, since most of what is kept holds no pointers.
func (j *job) pace() {
	if j.Env("GOGC") != "" {
		return
	}
	live := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var again func(struct{})
	again = func(struct{}) {
		runtimemetrics.Read(live)
		n := max(int(live[0].Value.Uint64()), 1<<20)
		debug.SetGCPercent(100 * max(28<<20-n, n/4) / n)
		runtime.AddCleanup(new([64]byte), again, struct{}{})
	}
	debug.SetGCPercent(700) // of 4 MiB
	runtime.AddCleanup(new([64]byte), again, struct{}{})
}

// openCapture opens the files of one capture: a single one, or those that
// --join makes one.
func (j *job) openCapture(files []string) (capture.Source, error) {
	if j.f.join {
		return j.join(files), nil
	}
	return j.open(files[0])
}

// judge runs the rules over the packets of src that --filter takes.
func (j *job) judge(src capture.Source) *runner.Result {
	if j.packets == nil {
		return runner.Run(src, j.opts)
	}
	chosen := filter.Apply(src, j.packets)
	result := runner.Run(chosen, j.opts)
	if chosen.Left > 0 {
		result.Skipped["filter"] = chosen.Left
	}
	return result
}

// unread adds what err says about a file, joined errors each by itself.
func unread(list []report.Unread, file string, err error) []report.Unread {
	if err == nil {
		return list
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			list = unread(list, file, e)
		}
		return list
	}
	return append(list, report.Unread{File: file, Err: err})
}

// conclude says what the captures read mean together: what is gone since the
// baseline, which suppressions nobody needs, the exit status.
func (j *job) conclude(r *report.Report) {
	if len(r.Unread) == 0 { // what was not read may hold what seems gone
		r.Gone = j.gone(r)
		used := make([]int, len(j.s.Suppressions))
		for _, c := range r.Captures {
			for i := range c.Findings {
				if n := c.Findings[i].Suppressed; n > 0 {
					used[n-1]++
				}
			}
		}
		r.Notices = j.s.Notices(j.now, j.selected, used)
	}
	r.Status = j.f.status(r.Counts(), len(r.Unread) > 0)
}

// status returns the exit status for the findings counted.
func (f *checkFlags) status(n report.Counts, unread bool) int {
	if unread {
		return exitUnread
	}
	if f.exitZero || f.failOn.value == "never" {
		return exitClean
	}
	lowest := rules.Severity(slices.Index(f.failOn.allowed, f.failOn.value)) // in the order of the severities
	for s, found := range n {
		if found > 0 && rules.Severity(s) >= lowest {
			return exitFindings
		}
	}
	return exitClean
}

// write writes the report to all its destinations, files first. What follows
// it may fail or find nobody to read it; why a capture could not be read is
// said in any case.
func (j *job) write(r *report.Report) error {
	err := j.app.write(r, j.f)
	for _, u := range r.Unread {
		j.complain(u.Err)
	}
	if !j.f.quiet {
		for _, n := range r.Notices {
			j.complain(errors.New(n))
		}
	}
	return err
}

// write writes the report to all its destinations, files first.
func (a *app) write(r *report.Report, f *checkFlags) error {
	style := report.Style{Quiet: f.quiet, Statistics: f.statistics}
	toOut := true
	var failed []error
	for _, o := range f.outputs {
		format := o.format
		if format == "" {
			format, toOut = f.format.value, false
		}
		fileStyle := style
		fileStyle.Color = f.color.value == "always"
		var b bytes.Buffer
		if err := report.Write(&b, format, r, fileStyle); err != nil {
			return err
		}
		failed = append(failed, a.put(o.file, b.Bytes()))
	}
	if toOut {
		style.Color, style.Width = a.color(f.color.value), a.width()
		if err := report.Write(a.Out, f.format.value, r, style); err != nil { // to standard error, if a command has the other
			failed = append(failed, &unwritten{err})
		}
	}
	return errors.Join(failed...)
}
