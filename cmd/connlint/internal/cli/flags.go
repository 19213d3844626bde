package cli

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/cmd/connlint/internal/suggest"
)

// choice is a flag with one of a few values.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("%q is not one of %s%s", s, strings.Join(c.allowed, ", "), suggest.DidYouMean(s, c.allowed))
	}
	c.value = s
	return nil
}

// addChoice adds a flag of which c holds the default.
func addChoice(cmd *cobra.Command, name string, c *choice, usage string) {
	cmd.Flags().Var(c, name, usage)
	if c.value == "default" { // the help need not say "default default"
		cmd.Flags().Lookup(name).DefValue = ""
	}
	// The only error is a flag completed twice, which the tests of completion would show.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.allowed, cobra.ShellCompDirectiveNoFileComp))
}

// whole is a flag that takes a number from 0 on.
type whole int

func (n *whole) String() string { return strconv.Itoa(int(*n)) }
func (n *whole) Type() string   { return "N" }

func (n *whole) Set(s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no whole number from 0 on", s)
	}
	*n = whole(v)
	return nil
}

// portList is a flag that takes ports and ranges of them; given again, it adds.
type portList []uint16

func (p *portList) String() string { return "" }
func (p *portList) Type() string   { return "PORTS" }

func (p *portList) Set(s string) error {
	for item := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(item, "-")
		low, err := strconv.ParseUint(from, 10, 16)
		high := low
		if err == nil && isRange {
			high, err = strconv.ParseUint(to, 10, 16)
		}
		if err != nil || low == 0 || high < low {
			return fmt.Errorf("%q is no port or range; allowed are ports from 1 to 65535, as in 80,8080,8000-8100", item)
		}
		for port := low; port <= high; port++ {
			*p = append(*p, uint16(port))
		}
	}
	slices.Sort(*p)
	*p = slices.Compact(*p)
	return nil
}

// output is where a report goes.
type output struct {
	format string // empty for that of --format
	file   string
}

// outputList is the --output flag.
type outputList []output

func (o *outputList) String() string { return "" }
func (o *outputList) Type() string   { return "[FORMAT:]FILE" }

func (o *outputList) Set(s string) error {
	formats := report.Formats()
	out := output{file: s}
	// One letter and a colon begin a path on Windows; no format is that short.
	if prefix, file, ok := strings.Cut(s, ":"); ok && len(prefix) > 1 && !strings.ContainsAny(prefix, `/\.`) {
		if !slices.Contains(formats, prefix) {
			return fmt.Errorf("%q: %q is not one of the formats %s%s (a file of that name is ./%s)",
				s, prefix, strings.Join(formats, ", "), suggest.DidYouMean(prefix, formats), s)
		}
		out = output{prefix, file}
	}
	if out.file == "" {
		return fmt.Errorf("%q names no file", s)
	}
	if slices.ContainsFunc(*o, func(other output) bool { return filepath.Clean(other.file) == filepath.Clean(out.file) }) {
		return fmt.Errorf("%q: the file is named twice", s)
	}
	*o = append(*o, out)
	return nil
}

// group puts the flags added since the last call under a heading of the help.
func group(fs *pflag.FlagSet, heading string) {
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Annotations[flagGroup] == nil {
			f.Annotations = map[string][]string{flagGroup: {cmp.Or(heading, "Flags")}}
		}
	})
}
