package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules/runner"
)

// newShowFlags adds the flags of show and why.
func newShowFlags(cmd *cobra.Command, f *checkFlags) {
	f.format = choice{"text", []string{"text", "json"}}
	f.color = choice{"auto", []string{"auto", "always", "never"}}
	f.redact = choice{"default", []string{"default", "all", "none"}}
	fs := cmd.Flags()
	fs.SortFlags = false
	addChoice(cmd, "format", &f.format, "output `format`: text, json")
	addChoice(cmd, "color", &f.color, "colors, `when`: auto, always, never")
	f.addRedact(cmd)
	f.addSelection(cmd)
	f.addPorts(fs)
	f.addTo(fs)
}

func (a *app) showCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use: "show FILE CONN", Short: "Draw one connection segment by segment", GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `show draws one connection as a ladder: time, frame, direction, flags, sequence
numbers, the messages that begin, and the findings on the frames they name. CONN is
the connection's number as in Wireshark's tcp.stream and in the JSON output's "conn".`,
		Example: `  connlint show api.pcap 3
  connlint show --format json api.pcap 3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("show needs a capture file and the number of a connection")
			}
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 0 {
				return fmt.Errorf("%q is no connection number: they count from 0, as tcp.stream in Wireshark", args[1])
			}
			defer a.heed()()
			j, err := a.settle(cmd, &f)
			if err != nil {
				return err
			}
			return j.show(args[0], n, 0)
		},
	}
	newShowFlags(cmd, &f)
	return cmd
}

func (a *app) whyCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use: "why FILE:FRAME", Short: "Draw the connection that a frame belongs to", GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `why draws the connection of a frame, as show does: paste the "file:frame" that a
finding begins with.`,
		Example: `  connlint why api.pcap:128`,
		RunE: func(cmd *cobra.Command, args []string) error {
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
			j, err := a.settle(cmd, &f)
			if err != nil {
				return err
			}
			return j.why(args[0][:i], frame)
		},
	}
	newShowFlags(cmd, &f)
	return cmd
}

func (j *job) why(file string, frame uint64) error {
	if file == "-" {
		return errors.New("why reads its capture twice: save standard input to a file first")
	}
	defer j.heed()()
	src, err := j.open(file)
	if err != nil {
		j.cannotRead(err)
		return nil
	}
	n, broken := runner.Locate(src, frame)
	if err := src.Close(); err != nil {
		return err
	}
	if broken != nil && n < 0 { // else show will say so
		j.cannotRead(broken)
		return nil
	}
	if n < 0 {
		return fmt.Errorf("%s: frame %d belongs to no TCP connection: there is no such frame, it holds no TCP, or it repeats another", file, frame)
	}
	return j.show(file, n, frame)
}

// show draws connection n of a file. frame, if not 0, is what it is asked for.
func (j *job) show(file string, n int, frame uint64) error {
	src, err := j.open(file)
	if err != nil {
		j.cannotRead(err)
		return nil
	}
	defer src.Close()
	t, err := runner.TraceConn(src, n, j.opts)
	if t.Result.Err != nil {
		j.cannotRead(t.Result.Err)
	}
	switch {
	case err != nil && t.Result.Err != nil: // it may be in what was not read
		j.complain(err)
		return nil
	case err != nil:
		return err
	case j.f.format.value == "json":
		return report.LadderJSON(j.Out, t)
	}
	return report.Ladder(j.Out, t, frame, j.prose(j.f.color.value))
}
