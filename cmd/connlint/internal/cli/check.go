package cli

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// checkFlags are the flags of check.
type checkFlags struct {
	selected, ignored, extended []string

	failOn   choice
	exitZero bool

	format     choice
	outputs    outputList
	all        bool
	maxPerRule whole
	statistics bool
	quiet      bool
	color      choice
	progress   choice

	join    bool
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
3 a capture could not be read, or not to its end.`,
		Example: `  connlint check api.pcap
  connlint check --select LAT,FRM001 --fail-on error captures/
  connlint check --format json --output findings.json api.pcapng.zst
  tcpdump -w - port 8080 | connlint check -`,
		RunE: func(_ *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				return errors.New("check needs a capture file or directory, or - for standard input")
			}
			return a.check(&f, paths)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringSliceVar(&f.selected, "select", nil, "only these `RULES`: codes, names or families such as LAT")
	fs.StringSliceVar(&f.ignored, "ignore", nil, "not these `RULES`")
	fs.StringSliceVar(&f.extended, "extend-select", nil, "these `RULES` besides those selected")
	for _, name := range []string{"select", "ignore", "extend-select"} {
		_ = cmd.RegisterFlagCompletionFunc(name, completeRules)
	}
	group(fs, "Rules")
	addChoice(cmd, "fail-on", &f.failOn, "lowest `severity` that makes the exit status 1: info, warning, error, never")
	fs.BoolVar(&f.exitZero, "exit-zero", false, "exit 0 in spite of findings")
	group(fs, "Exit status")
	addChoice(cmd, "format", &f.format, "output `format`: text, concise, json, jsonl")
	fs.Var(&f.outputs, "output", "write to `FILE` instead of standard output; FORMAT:FILE, as often as\nyou like, writes there as well")
	fs.BoolVar(&f.all, "all", false, "list each occurrence, not groups of alike ones")
	fs.Var(&f.maxPerRule, "max-per-rule", "list at most `N` findings of a rule, 0 for all")
	fs.BoolVar(&f.statistics, "statistics", false, "a table by rule in place of the findings (text)")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "findings alone: no summary, no progress")
	addChoice(cmd, "color", &f.color, "colors, `when`: auto, always, never")
	addChoice(cmd, "progress", &f.progress, "progress bar, `when`: auto (on a terminal, after a second), always, never")
	group(fs, "Output")
	fs.BoolVar(&f.join, "join", false, "read all files as one capture, in time order (rotated sets)")
	fs.Var(&f.ports, "http-ports", "look for HTTP on these server `PORTS` alone, as in 80,8080,8000-8100\n(default: on all, told by content)")
	addChoice(cmd, "redact", &f.redact, "hide `what`: default (that is credentials and query values), all\n(paths and hosts too), none")
	fs.VarP(&f.workers, "jobs", "j", "work on `N` processors, 0 for all; the findings are the same")
	group(fs, "Reading")
	return cmd
}

func completeRules(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, r := range catalog.All() {
		words = append(words, r.Code+"\t"+r.Name, r.Name+"\t"+r.Doc.Title)
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) check(f *checkFlags, paths []string) error {
	selected, err := catalog.Select(f.selected, f.ignored, f.extended)
	if err != nil {
		return err
	}
	for _, o := range f.outputs {
		if err := checkOutput(o.file); err != nil {
			return err
		}
	}
	if err := a.checkStdin(paths); err != nil {
		return err
	}
	config := rules.Defaults()
	config.Redact = map[string]rules.Redaction{
		"default": rules.RedactDefault, "all": rules.RedactAll, "none": rules.RedactNone,
	}[f.redact.value]

	bar := a.newProgress(f.progress.value, f.quiet)
	opts := runner.Options{
		Rules: selected, Precedence: catalog.Precedence(), Config: config, Workers: int(f.workers), All: f.all, HTTPPorts: f.ports,
	}
	if bar != nil {
		opts.Progress = bar.update
	}
	r := &report.Report{Version: thisBuild().Version, MaxPerRule: int(f.maxPerRule)}
	unread := a.readAll(r, paths, f.join, opts, bar)
	bar.clear()

	a.status = f.status(r.Counts(), unread != nil)
	// What follows may fail or find nobody to read it; why a capture could not
	// be read is said in any case.
	err = a.write(r, f)
	if unread != nil {
		a.complain(unread)
	}
	return err
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

// readAll runs the rules over the captures and returns what could not be read.
func (a *app) readAll(r *report.Report, paths []string, join bool, opts runner.Options, bar *progress) error {
	files, err := pcapfile.Expand(paths)
	unread := []error{err}
	open := pcapfile.Options{Stdin: a.In}
	run := func(src capture.Source) {
		result := runner.Run(src, opts)
		r.Captures = append(r.Captures, result)
		unread = append(unread, result.Err)
		if err := src.Close(); err != nil && result.Err == nil {
			unread = append(unread, fmt.Errorf("%s: %w", result.File, err))
		}
	}
	if join && len(files) > 0 {
		bar.file(files[0], 1, 1)
		run(pcapfile.Join(files, open))
		files = nil
	}
	for i, file := range files {
		bar.file(file, i+1, len(files))
		src, err := pcapfile.Open(file, open)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		run(src)
	}
	return errors.Join(unread...)
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
		write := writeFile
		if o.file == "-" {
			write = func(string, *bytes.Buffer) error { _, err := a.Out.Write(b.Bytes()); return err }
		}
		if err := write(o.file, &b); err != nil {
			failed = append(failed, fmt.Errorf("--output: cannot write %q: %w", o.file, sayWhy(err)))
		}
	}
	if toOut {
		style.Color, style.Width = a.color(f.color.value), a.Width
		if !a.OutTTY {
			style.Width = 0
		}
		failed = append(failed, report.Write(a.Out, f.format.value, r, style))
	}
	return errors.Join(failed...)
}
