// Package cli is the command line of connlint.
package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/cmd/connlint/internal/suggest"
)

// The exit statuses.
const (
	exitClean    = 0 // nothing at or above --fail-on
	exitFindings = 1
	exitUsage    = 2 // a command line or configuration in error
	exitUnread   = 3 // a capture that could not be read to its end, output that could not be written
)

// Main runs the command with the arguments after its name and returns its exit
// status.
func Main(args []string, s Streams) int {
	a := &app{Streams: s, stdout: s.Out}
	out := &outlet{w: s.Out}
	a.Out = out
	root := a.root()
	root.SetArgs(args)
	err := root.Execute()
	if out.err != nil && !errors.Is(err, out.err) { // some who write there have no way to say so
		err = errors.Join(err, out.err)
	}
	err = butClosedPipes(err)
	if err == nil {
		return a.status
	}
	a.complain(err)
	if isUnwritten(err) || out.err != nil && errors.Is(err, out.err) {
		return exitUnread
	}
	return exitUsage
}

// app is one run of the command.
type app struct {
	Streams
	stdout  io.Writer // Out as it was given, for a command to inherit
	signals *interrupts
	status  int
}

// cannotRead says why a capture could not be read, or not to its end.
func (a *app) cannotRead(err error) {
	a.status = exitUnread
	a.complain(err)
}

// complain writes err to standard error, joined errors on a line each.
func (a *app) complain(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		said := ""
		for _, e := range joined.Unwrap() {
			if text := e.Error(); text != said { // two reports may go to one place
				a.complain(e)
				said = text
			}
		}
		return
	}
	fmt.Fprintf(a.Err, "connlint: %s\n", report.Text(err.Error()))
}

const start = `connlint finds where HTTP connection reuse goes wrong in packet captures.
  connlint check api.pcap       what is wrong, what it costs, what to change
  connlint why api.pcap:128     the connection of a finding's frame, drawn
  connlint explain LAT001       what a rule means and how to see it in Wireshark
  connlint rules                all rules
  connlint help                 every command, with examples
`

// The groups of commands in the help.
const (
	groupCheck = "check"
	groupRules = "rules"
	groupOther = "other"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "connlint COMMAND",
		Short: "Find where HTTP connection reuse goes wrong",
		Long: "connlint reads packet captures, follows every TCP connection, and says where HTTP\n" +
			"connection reuse goes wrong, what it costs and what to change.",
		Example: `  connlint check api.pcap
  tcpdump -w - port 8080 | connlint check -
  connlint explain nagle-delayed-ack`,
		Args:              cobra.ArbitraryArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := fmt.Fprint(a.Out, start)
				return err
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		about := cmd.Long
		if about == "" {
			about = cmd.Short + "."
		}
		fmt.Fprintf(a.Out, "%s\n\n", about)
		_ = cmd.Usage() // cobra has no way to say that help could not be written
	})
	root.AddGroup(
		&cobra.Group{ID: groupCheck, Title: "Check captures:"},
		&cobra.Group{ID: groupRules, Title: "Know the rules:"},
		&cobra.Group{ID: groupOther, Title: "More:"},
	)
	// In the order of the help; cobra has its own.
	commands := []*cobra.Command{a.checkCommand(), a.showCommand(), a.whyCommand(), a.statsCommand(), a.reportCommand(), a.liveCommand(),
		a.runCommand(), a.baselineCommand(), a.rulesCommand(), a.explainCommand(), a.configCommand(), a.completionCommand(), a.versionCommand()}
	help := a.helpCommand()
	root.AddCommand(append(commands, a.manCommand())...)
	root.SetHelpCommand(help)
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		if cmd == root {
			return a.usage(cmd, append(commands, help))
		}
		return a.usage(cmd, nil)
	})
	return root
}

func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	if hint := suggest.DidYouMean(name, names); hint != "" {
		return fmt.Errorf("unknown command %q%s", name, hint)
	}
	if st, err := os.Stat(name); err == nil && (st.IsDir() || st.Mode().IsRegular()) {
		return fmt.Errorf("unknown command %q; to check that capture: connlint check %s", name, name)
	}
	return fmt.Errorf("unknown command %q; connlint help lists the commands", name)
}

func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show how to use a command",
		GroupID: groupOther,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				if c.IsAvailableCommand() {
					names = append(names, c.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) == 0 {
				return root.Help()
			}
			for _, c := range root.Commands() {
				if c.Name() == args[0] {
					c.InitDefaultHelpFlag()
					return c.Help()
				}
			}
			return unknownCommand(root, args[0])
		},
	}
}

// flagGroup is the annotation that puts a flag under a heading of the help.
const flagGroup = "connlint/group"

// usage writes everything of a command's help but what it is about. commands
// are those below it.
func (a *app) usage(cmd *cobra.Command, commands []*cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	for _, g := range cmd.Groups() {
		fmt.Fprintf(&b, "\n%s\n", g.Title)
		for _, c := range commands {
			if c.GroupID == g.ID {
				fmt.Fprintf(&b, "  %-11s %s\n", c.Name(), c.Short)
			}
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	width := a.width()
	if width <= 0 || width > 100 {
		width = 100
	}
	var groups []string
	sets := map[string]*pflag.FlagSet{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		group := "Flags"
		if g := f.Annotations[flagGroup]; len(g) > 0 {
			group = g[0]
		}
		if sets[group] == nil {
			sets[group] = pflag.NewFlagSet("", pflag.ContinueOnError)
			sets[group].SortFlags = false
			groups = append(groups, group)
		}
		sets[group].AddFlag(f)
	})
	if i := slices.Index(groups, "Flags"); i >= 0 { // what belongs nowhere comes last
		groups = append(slices.Delete(groups, i, i+1), "Flags")
	}
	for _, g := range groups {
		if usages := sets[g].FlagUsagesWrapped(width); usages != "" {
			fmt.Fprintf(&b, "\n%s:\n%s", g, usages)
		}
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nconnlint help COMMAND says more.\n")
	}
	_, err := fmt.Fprint(a.Out, b.String())
	return err
}

// flagError makes one line of what pflag has to say: which flag, which value,
// what would have been right.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if e.GetFlag().Value.Type() == "bool" {
			return fmt.Errorf("--%s: %q is not one of true, false", e.GetFlag().Name, e.GetValue())
		}
		return fmt.Errorf("--%s: %w", e.GetFlag().Name, e.Unwrap())
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if e.GetSpecifiedShortnames() != "" {
			return fmt.Errorf("unknown flag -%s; %s --help lists the flags", e.GetSpecifiedName(), cmd.CommandPath())
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		name := "--" + e.GetSpecifiedName()
		if hint := suggest.DidYouMean(name, names); hint != "" {
			return fmt.Errorf("unknown flag %s%s", name, hint)
		}
		return fmt.Errorf("unknown flag %s; %s --help lists the flags", name, cmd.CommandPath())
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return fmt.Errorf("--%s: needs a value", e.GetFlag().Name)
	}
	return err
}

// noArgs is [cobra.NoArgs] with a message that says what to do.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// sayWhy shortens the errors of the file system, whose text repeats the path.
func sayWhy(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
