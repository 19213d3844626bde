package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/cmd/connlint/internal/suggest"
)

// build says what program this is. It comes from what the Go command noted in
// the binary.
type build struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Commit   string `json:"commit"`   // empty if unknown
	Time     string `json:"time"`     // of the commit, RFC 3339
	Modified bool   `json:"modified"` // built from a tree with changes
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func thisBuild() build {
	b := build{Name: "connlint", Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	s := b.Name + " " + b.Version
	if b.Commit != "" {
		s += " (" + b.Commit[:min(len(b.Commit), 12)]
		if b.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return fmt.Sprintf("%s %s %s/%s", s, b.Go, b.OS, b.Arch)
}

func (a *app) versionCommand() *cobra.Command {
	format := choice{"text", []string{"text", "json"}}
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Show which connlint this is",
		Example:           "  connlint version\n  connlint version --format json",
		GroupID:           groupOther,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if format.value == "json" {
				return a.json(b)
			}
			_, err := fmt.Fprintln(a.Out, b)
			return err
		},
	}
	addChoice(cmd, "format", &format, "output `format`: text or json")
	return cmd
}

// json writes v to standard output, indented.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.Out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:     "completion SHELL",
		Short:   "Write a completion script for bash, zsh, fish or powershell",
		GroupID: groupOther,
		Example: `  source <(connlint completion bash)
  connlint completion zsh > "${fpath[1]}/_connlint"
  connlint completion fish > ~/.config/fish/completions/connlint.fish
  connlint completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("completion needs the name of one shell: bash, zsh, fish or powershell")
			}
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Out, true)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			case "fish":
				return root.GenFishCompletion(a.Out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.Out)
			}
			return fmt.Errorf("completion: %q is not one of bash, zsh, fish, powershell%s", args[0],
				cmp.Or(suggest.DidYouMean(args[0], shells)))
		},
	}
}
