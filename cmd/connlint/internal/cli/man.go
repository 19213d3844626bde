package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes the manual pages that packages ship. It is hidden: who
// reads help has no use for it.
func (a *app) manCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:               "man [COMMAND]",
		Short:             "Write the manual page of connlint or of a command, or all into a directory",
		GroupID:           groupOther,
		Hidden:            true,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			pages := map[string]*cobra.Command{"connlint": root}
			names := []string{"connlint"}
			for _, c := range root.Commands() {
				if c.IsAvailableCommand() {
					pages["connlint-"+c.Name()] = c
					names = append(names, "connlint-"+c.Name())
				}
			}
			if dir != "" {
				if err := os.MkdirAll(dir, 0o777); err != nil {
					return err
				}
				var failed []error
				for _, name := range names {
					failed = append(failed, a.put(filepath.Join(dir, name+".1"), manPage(name, pages[name], names).Bytes()))
				}
				return errors.Join(failed...)
			}
			name := strings.Join(append([]string{"connlint"}, args...), "-")
			if pages[name] == nil {
				return unknownCommand(root, args[0])
			}
			_, err := a.Out.Write(manPage(name, pages[name], names).Bytes())
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "output", "", "write all pages into `DIR`")
	return cmd
}

// manPage returns a page in the macros of man(7).
func manPage(name string, cmd *cobra.Command, all []string) *bytes.Buffer {
	var b bytes.Buffer
	// No date: a page of the same source is the same.
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"connlint %s\" \"connlint manual\"\n", roff(strings.ToUpper(name)), roff(thisBuild().Version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	b.WriteString(".SH DESCRIPTION\n")
	for i, paragraph := range strings.Split(about, "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(paragraph) + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(c.Name()), roff(c.Short))
			}
		}
	}
	heading := ".SH OPTIONS\n"
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		b.WriteString(heading)
		heading = ""
		value, usage := pflag.UnquoteUsage(f)
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		if value != "" {
			names += " " + value
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(names), roff(usage))
	})
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	b.WriteString(".SH SEE ALSO\n")
	var others []string
	for _, other := range all {
		if other != name {
			others = append(others, ".BR "+roff(other)+" (1)")
		}
	}
	b.WriteString(strings.Join(others, ",\n") + "\n")
	return &b
}

// roff escapes text: backslashes, hyphens to be typed as such, and lines that
// would begin with a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	var lines []string
	for l := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			l = `\&` + l
		}
		lines = append(lines, l)
	}
	return strings.Join(lines, "\n")
}
