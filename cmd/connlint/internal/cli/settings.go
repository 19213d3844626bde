package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/connlint/connlint/cmd/connlint/internal/config"
	"github.com/connlint/connlint/cmd/connlint/internal/outfile"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/budget"
	"github.com/connlint/connlint/rules/runner"
)

// settingsFlags are the flags that say which configuration holds.
type settingsFlags struct {
	config   string
	isolated bool
	set      []string
}

func (f *settingsFlags) addTo(fs *pflag.FlagSet) {
	fs.StringVar(&f.config, "config", "", "the configuration `FILE` (default: the nearest "+config.FileName+" from here upwards)")
	fs.BoolVar(&f.isolated, "isolated", false, "look for no configuration")
	fs.StringArrayVar(&f.set, "set", nil, "set `KEY=VALUE` of the configuration, as in nagle-min-delay=30ms; as often as you like")
}

// load returns the settings of the configuration and of --set.
func (f *settingsFlags) load(*cobra.Command) (*config.Settings, error) {
	s := config.Defaults()
	file := f.config
	switch {
	case file != "" && f.isolated:
		return nil, errors.New("--config and --isolated exclude each other")
	case file == "" && !f.isolated:
		var err error
		if file, err = config.Find("."); err != nil {
			return nil, err
		}
	}
	if file != "" {
		if err := s.Load(file); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("--config: cannot read %q: %w", file, sayWhy(err))
			}
			return nil, err
		}
	}
	var faults []error
	for _, a := range f.set {
		faults = append(faults, s.Set(a))
	}
	return s, errors.Join(faults...)
}

// override puts flags that were given over the configuration.
func (f *checkFlags) override(cmd *cobra.Command, s *config.Settings) {
	for _, x := range []struct {
		flag string
		set  func()
	}{
		{"select", func() { s.Select = f.selected }},
		{"ignore", func() { s.Ignore = f.ignored }},
		{"extend-select", func() { s.ExtendSelect = f.extended }},
		{"fail-on", func() { s.FailOn = f.failOn.value }},
		{"max-per-rule", func() { s.MaxPerRule = int(f.maxPerRule) }},
		{"http-ports", func() { s.HTTPPorts = f.ports }},
		{"redact", func() { s.Redact = f.redact.value }},
		{"baseline", func() { s.Baseline = f.baseline }},
	} {
		if fl := cmd.Flags().Lookup(x.flag); fl != nil && fl.Changed {
			x.set()
			s.From(x.flag, "--"+x.flag)
		}
	}
}

func readBaseline(file string) (*rules.Baseline, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--baseline: cannot read %q: %w; connlint baseline writes one", file, sayWhy(err))
	}
	b, err := rules.ReadBaseline(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("--baseline: %q: %w", file, err)
	}
	return b, nil
}

// gone returns the findings of the baseline that were not found again, of
// rules that were run.
func (j *job) gone(r *report.Report) []rules.Known {
	if j.baseline == nil {
		return nil
	}
	ran := map[string]bool{}
	for _, rule := range j.run {
		ran[rule.Code] = true
	}
	found := r.Fingerprints()
	var gone []rules.Known
	for _, k := range j.baseline.Known {
		if ran[k.Code] && !found[k.Fingerprint] {
			gone = append(gone, k)
		}
	}
	return gone
}

// budgets returns the rules of the configuration's budgets.
func (j *job) budgets() []*rules.Rule {
	var out []*rules.Rule
	b := &j.s.Budgets
	if b.MinReuseRatio >= 0 {
		out = append(out, budget.MinReuseRatio(b.MinReuseRatio))
	}
	if b.MaxConnectionsPerPair >= 0 {
		out = append(out, budget.MaxConnections(b.MaxConnectionsPerPair))
	}
	if len(b.MaxOccurrences) > 0 {
		out = append(out, budget.MaxOccurrences())
	}
	return out
}

// holdToBudgets adds findings for rules that found more than their budget.
// What is suppressed does not count.
func (j *job) holdToBudgets(res *runner.Result) {
	i := slices.IndexFunc(j.run, func(r *rules.Rule) bool { return r.Code == "BUD003" })
	if i < 0 {
		return
	}
	rule := j.run[i]
	var over []runner.Finding
	for _, b := range j.s.Budgets.MaxOccurrences {
		n, frame := 0, uint64(0)
		for k := range res.Findings {
			f := &res.Findings[k]
			if f.Suppressed > 0 || !slices.Contains(b.Codes, f.Rule.Code) {
				continue
			}
			n += f.Occurrences
			if frame == 0 {
				frame = firstFrame(f)
			}
		}
		if n > b.Max {
			f := budget.Occurrences(b.Rule, n, b.Max, frame)
			f.Fix = rule.Doc.Fix
			over = append(over, runner.Finding{Rule: rule, Finding: f, ConnNumber: -1, Occurrences: 1, Fingerprint: runner.Fingerprint(rule, &f)})
		}
	}
	if len(over) > 0 {
		res.Findings = append(res.Findings, over...)
		slices.SortStableFunc(res.Findings, func(a, b runner.Finding) int {
			return cmp.Or(cmp.Compare(firstFrame(&a), firstFrame(&b)), cmp.Compare(a.Rule.Code, b.Rule.Code))
		})
	}
}

func firstFrame(f *runner.Finding) uint64 {
	if len(f.Frames) == 0 {
		return 0
	}
	return f.Frames[0]
}

func (a *app) baselineCommand() *cobra.Command {
	f := checkFlags{
		failOn:   choice{"never", []string{"info", "warning", "error", "never"}},
		progress: choice{"auto", []string{"auto", "always", "never"}},
		redact:   choice{"default", []string{"default", "all", "none"}},
	}
	var file string
	cmd := &cobra.Command{
		Use:     "baseline [FLAGS] PATH... -o FILE",
		Short:   "Write down what is known, for check --baseline to report only what is new",
		GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `baseline reads captures as check does and writes what it finds to a file. Findings
are known again by rule, server, method, route and side at fault, so that another
recording of the same traffic has the same ones.

Exit status: 0; 2 wrong usage; 3 a capture could not be read, or not to its end, or
the file not be written.`,
		Example: `  connlint baseline captures/ -o known.json
  connlint check --baseline known.json captures/`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				return errors.New("baseline needs a capture file or directory, or - for standard input")
			}
			return a.writeBaseline(cmd, &f, file, paths)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&file, "output", "o", "-", "write to `FILE`")
	f.addSelection(cmd)
	f.addTo(fs)
	f.addJoin(fs)
	fs.Var(&f.ports, "http-ports", "look for HTTP on these server `PORTS` alone, as in 80,8080,8000-8100")
	f.addRedact(cmd)
	f.addProgress(cmd)
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing of how many there are; no progress")
	f.addJobs(fs)
	return cmd
}

func (a *app) writeBaseline(cmd *cobra.Command, f *checkFlags, file string, paths []string) error {
	j, err := a.newJob(cmd, f, paths, file)
	if err != nil {
		return err
	}
	if err := a.checkStdin(paths); err != nil {
		return err
	}
	defer a.heed()()
	j.baseline = nil // the one that the configuration names is what is written
	r := j.newReport()
	j.read(r, paths)
	j.conclude(r)
	b := r.Baseline()
	var text bytes.Buffer
	if err := b.Write(&text); err != nil {
		return err
	}
	for _, u := range r.Unread {
		a.cannotRead(u.Err)
	}
	if a.interrupted() && file != "-" {
		return nil // what is known from before is worth more than a part
	}
	if err := a.put(file, text.Bytes()); err != nil {
		return err
	}
	if !f.quiet && file != "-" {
		what := "findings"
		if len(b.Known) == 1 {
			what = "finding"
		}
		fmt.Fprintf(a.Err, "connlint: %s %s written to %s\n", rules.Count(int64(len(b.Known))), what, report.Text(file))
	}
	return nil
}

func (a *app) configCommand() *cobra.Command {
	var f settingsFlags
	var initialize, schema bool
	cmd := &cobra.Command{
		Use:     "config [--init]",
		Short:   "Show the settings in effect and where each comes from, or begin a " + config.FileName,
		GroupID: groupOther,
		Long: `config prints the settings in effect as a configuration file, with where each came
from. With --init it writes a ` + config.FileName + ` into the working directory, in which all is
explained and commented out.`,
		Example: `  connlint config
  connlint config --init
  connlint config --set nagle-min-delay=30ms
  connlint config --schema > connlint.schema.json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case schema:
				return config.WriteSchema(a.Out)
			case initialize:
				return a.initConfig()
			}
			s, err := f.load(cmd)
			if err != nil {
				return err
			}
			return s.Write(a.Out)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&initialize, "init", false, "write a "+config.FileName+" to begin with")
	fs.BoolVar(&schema, "schema", false, "print the JSON Schema of configurations, for editors")
	f.addTo(fs)
	return cmd
}

func (a *app) initConfig() error {
	var text bytes.Buffer
	if err := config.WriteInit(&text); err != nil {
		return err
	}
	err := outfile.Create(config.FileName, 0, func(w io.Writer) error { _, err := w.Write(text.Bytes()); return err })
	if err != nil {
		failed := fmt.Errorf("cannot write %q: %w", config.FileName, sayWhy(err))
		if errors.Is(err, fs.ErrExist) { // that is for the user to decide
			return failed
		}
		return &unwritten{failed}
	}
	_, err = fmt.Fprintf(a.Out, "wrote %s\n", config.FileName)
	return err
}
