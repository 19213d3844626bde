package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules/catalog"
)

func (a *app) rulesCommand() *cobra.Command {
	format := choice{"text", []string{"text", "json"}}
	color := choice{"auto", []string{"auto", "always", "never"}}
	cmd := &cobra.Command{
		Use:     "rules",
		Short:   "List the rules",
		GroupID: groupRules,
		Example: `  connlint rules
  connlint rules --format json | jq -r '.rules[].name'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if format.value == "json" {
				return report.RulesJSON(a.Out, catalog.All())
			}
			return report.Rules(a.Out, catalog.All(), a.prose(color.value))
		},
	}
	addChoice(cmd, "format", &format, "output `format`: text or json")
	addChoice(cmd, "color", &color, "colors, `when`: auto, always, never")
	return cmd
}

func (a *app) explainCommand() *cobra.Command {
	color := choice{"auto", []string{"auto", "always", "never"}}
	cmd := &cobra.Command{
		Use:     "explain RULE...",
		Short:   "Explain a rule: what it sees, why it matters, how to fix it",
		GroupID: groupRules,
		Example: `  connlint explain LAT001
  connlint explain nagle-delayed-ack`,
		ValidArgsFunction: completeRules,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("explain needs the code or name of a rule; connlint rules lists them")
			}
			for i, name := range args {
				rule, ok := catalog.Find(name)
				if !ok {
					return unknownRule(name)
				}
				if i > 0 {
					fmt.Fprintln(a.Out)
				}
				if err := report.Explain(a.Out, rule, a.prose(color.value)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	addChoice(cmd, "color", &color, "colors, `when`: auto, always, never")
	return cmd
}

// unknownRule is the error for a word that is neither code nor name.
func unknownRule(word string) error {
	var codes, names []string
	for _, r := range catalog.All() {
		codes, names = append(codes, r.Code), append(names, r.Name)
	}
	candidates := names
	if strings.ContainsAny(word, "0123456789") { // codes have digits, names have none
		candidates = codes
	}
	if hint := didYouMean(word, candidates); hint != "" {
		return fmt.Errorf("unknown rule %q%s", word, hint)
	}
	return fmt.Errorf("unknown rule %q; connlint rules lists them", word)
}

// prose is the style of text that is not a report.
func (a *app) prose(color string) report.Style {
	s := report.Style{Color: a.color(color)}
	if a.OutTTY {
		s.Width = a.Width
	}
	return s
}
