package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/reuse"
	"github.com/connlint/connlint/rules/runner"
)

func (a *app) statsCommand() *cobra.Command {
	f := checkFlags{
		format: choice{"text", []string{"text", "json"}},
		color:  choice{"auto", []string{"auto", "always", "never"}},
		redact: choice{"default", []string{"default", "all", "none"}},
	}
	cmd := &cobra.Command{
		Use:     "stats [FLAGS] PATH... | -",
		Short:   "Show how connections are reused, and what reuse would gain",
		GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `stats sums up, for each client and server, how many connections there were and what
they carried, who closed them, what their handshakes and slow start took, and how long
the same requests would take over an ideal pool: one that opens a connection only when
none is idle. On TLS an exchange of data counts as a request.`,
		Example: `  connlint stats api.pcap
  connlint stats --format json api.pcap | jq '.captures[].pairs[0].avoidable'`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				return errors.New("stats needs a capture file or directory, or - for standard input")
			}
			return a.stats(cmd, &f, paths)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	addChoice(cmd, "format", &f.format, "output `format`: text, json")
	addChoice(cmd, "color", &f.color, "colors, `when`: auto, always, never")
	addChoice(cmd, "redact", &f.redact, "hide `what`: default, all (hosts), none")
	f.addPorts(fs)
	f.addTo(fs)
	fs.VarP(&f.workers, "jobs", "j", "work on `N` processors, 0 for all; the figures are the same")
	return cmd
}

func (a *app) stats(cmd *cobra.Command, f *checkFlags, paths []string) error {
	j, err := a.settle(cmd, f)
	if err != nil {
		return err
	}
	if err := a.checkStdin(paths); err != nil {
		return err
	}
	defer a.heed()()
	files, err := pcapfile.Expand(paths)
	problems := unread(nil, "", err)
	c := j.opts.Config
	var captures []report.Usage
	for i, file := range files {
		if err := a.notRead(i, len(files)); err != nil {
			problems = unread(problems, "", err)
			break
		}
		src, err := a.open(file)
		if err != nil {
			problems = unread(problems, file, err)
			continue
		}
		result := runner.Run(src, runner.Options{Workers: int(f.workers), HTTPPorts: j.opts.HTTPPorts, Groups: []rules.Grouping{reuse.Grouping()}})
		problems = unread(problems, file, result.Err)
		if err := src.Close(); err != nil && result.Err == nil {
			problems = unread(problems, file, fmt.Errorf("%s: %w", file, err))
		}
		pairs := reuse.All(result.Groups[0], c.PoolIdle)
		for i := range pairs {
			pairs[i].Host = c.Redact.Host(pairs[i].Host)
		}
		captures = append(captures, report.Usage{File: result.File, Pairs: pairs})
	}
	if len(problems) > 0 {
		a.status = exitUnread
	}
	if f.format.value == "json" {
		err = report.StatsJSON(a.Out, captures)
	} else {
		err = report.Stats(a.Out, captures, a.prose(f.color.value))
	}
	for _, p := range problems {
		a.complain(p.Err)
	}
	return err
}
