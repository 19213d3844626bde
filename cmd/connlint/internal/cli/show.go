package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// showFlags are the flags of show and why.
type showFlags struct {
	format, color choice
}

func (f *showFlags) add(cmd *cobra.Command) {
	f.format = choice{"text", []string{"text", "json"}}
	f.color = choice{"auto", []string{"auto", "always", "never"}}
	addChoice(cmd, "format", &f.format, "output `format`: text, json")
	addChoice(cmd, "color", &f.color, "colors, `when`: auto, always, never")
}

func (a *app) showCommand() *cobra.Command {
	var f showFlags
	cmd := &cobra.Command{
		Use: "show FILE CONN", Short: "Draw one connection segment by segment", GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `show draws one connection as a ladder: time, frame, direction, flags, sequence
numbers, the messages that begin, and the findings on the frames they name. CONN is
the connection's number as in Wireshark's tcp.stream and in the JSON output's "conn".`,
		Example: `  connlint show api.pcap 3
  connlint show --format json api.pcap 3`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("show needs a capture file and the number of a connection")
			}
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 0 {
				return fmt.Errorf("%q is no connection number: they count from 0, as tcp.stream in Wireshark", args[1])
			}
			defer a.heed()()
			return a.show(&f, args[0], n, 0)
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) whyCommand() *cobra.Command {
	var f showFlags
	cmd := &cobra.Command{
		Use: "why FILE:FRAME", Short: "Draw the connection that a frame belongs to", GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `why draws the connection of a frame, as show does: paste the "file:frame" that a
finding begins with.`,
		Example: `  connlint why api.pcap:128`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("why needs a capture file and a frame, as in api.pcap:128")
			}
			i := strings.LastIndexByte(args[0], ':')
			var frame uint64
			var err error
			if i > 0 {
				frame, err = strconv.ParseUint(args[0][i+1:], 10, 64)
			}
			if i <= 0 || err != nil || frame == 0 {
				return fmt.Errorf("%q is no FILE:FRAME, as in api.pcap:128", args[0])
			}
			return a.why(&f, args[0][:i], frame)
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) why(f *showFlags, file string, frame uint64) error {
	if file == "-" {
		return errors.New("why reads its capture twice: save standard input to a file first")
	}
	defer a.heed()()
	src, err := a.open(file)
	if err != nil {
		a.status = exitUnread
		a.complain(err)
		return nil
	}
	n, broken := runner.Locate(src, frame)
	if err := src.Close(); err != nil {
		return err
	}
	if broken != nil && n < 0 { // else show will say so
		a.status = exitUnread
		a.complain(broken)
		return nil
	}
	if n < 0 {
		return fmt.Errorf("%s: frame %d belongs to no TCP connection: there is no such frame, it holds no TCP, or it repeats another", file, frame)
	}
	return a.show(f, file, n, frame)
}

// show draws connection n of a file. frame, if not 0, is what it is asked for.
func (a *app) show(f *showFlags, file string, n int, frame uint64) error {
	src, err := a.open(file)
	if err != nil {
		a.status = exitUnread
		a.complain(err)
		return nil
	}
	defer src.Close()
	t, err := runner.TraceConn(src, n, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults()})
	if t.Result.Err != nil {
		a.status = exitUnread
		a.complain(t.Result.Err)
	}
	switch {
	case err != nil && t.Result.Err != nil: // it may be in what was not read
		a.complain(err)
		return nil
	case err != nil:
		return err
	case f.format.value == "json":
		return report.LadderJSON(a.Out, t)
	}
	return report.Ladder(a.Out, t, frame, a.prose(f.color.value))
}
