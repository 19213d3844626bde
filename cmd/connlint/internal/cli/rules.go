package cli

import (
	"errors"
	"fmt"

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
		Long: `explain shows a rule's whole document: what happens on the wire, why it hurts, how
to fix it, how to see it in Wireshark and when the rule keeps silent. RULE is a
code, a name, a family such as LAT, or all.`,
		Example: `  connlint explain LAT001
  connlint explain nagle-delayed-ack
  connlint explain TW`,
		ValidArgsFunction: completeRules,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("explain needs the code or name of a rule, or a family such as LAT; connlint rules lists them")
			}
			asked, err := catalog.Select(args, nil, nil)
			if err != nil {
				return err
			}
			for i, rule := range asked {
				if i > 0 {
					if _, err := fmt.Fprintln(a.Out); err != nil {
						return err
					}
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

// prose is the style of text that is not a report.
func (a *app) prose(color string) report.Style {
	return report.Style{Color: a.color(color), Width: a.width()}
}
