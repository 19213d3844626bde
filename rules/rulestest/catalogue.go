package rulestest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/connlint/connlint/rules"
)

// Catalogue checks a list of rules: codes and names are unique and well
// formed, each document is complete, and each rule listens to something.
func Catalogue(t *testing.T, list []*rules.Rule) {
	t.Helper()
	code := regexp.MustCompile(`^[A-Z]{2,3}\d{3}$`)
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
	ref := regexp.MustCompile(`^(RFC \d+|draft-[a-z-]+)( §[0-9A-Z.]+)?$`)
	seen := map[string]string{}
	for _, r := range list {
		fault := func(format string, args ...any) {
			t.Helper()
			t.Errorf(r.Code+" "+r.Name+": "+format, args...)
		}
		if !code.MatchString(r.Code) {
			fault("bad code")
		}
		if !name.MatchString(r.Name) {
			fault("the name is not in kebab case")
		}
		for _, id := range []string{r.Code, r.Name} {
			if other := seen[id]; other != "" {
				fault("%s is that of %s too", id, other)
			}
			seen[id] = r.Code
		}
		d := &r.Doc
		for what, text := range map[string]string{"Title": d.Title, "Wire": d.Wire, "Harm": d.Harm, "Fix": d.Fix,
			"Confirm": d.Confirm, "Silent": d.Silent} {
			switch {
			case text == "":
				fault("Doc.%s is empty", what)
			case strings.TrimSpace(text) != text || strings.Contains(text, "  ") || strings.Contains(text, "\n"):
				fault("Doc.%s has white space to spare", what)
			case what == "Title" || what == "Fix":
				if strings.HasSuffix(text, ".") || text[0] >= 'A' && text[0] <= 'Z' && !allCaps(text) {
					fault("Doc.%s is a phrase, lower case, without a full stop: %q", what, text)
				}
			case !strings.HasSuffix(text, "."):
				fault("Doc.%s does not end in a full stop", what)
			}
		}
		if len(d.Title) > 120 {
			fault("Doc.Title has %d bytes", len(d.Title))
		}
		if len(d.Refs) == 0 {
			fault("Doc.Refs is empty")
		}
		for _, s := range d.Refs {
			if !ref.MatchString(s) {
				fault("reference %q is not like \"RFC 9112 §9.3\"", s)
			}
		}
		programs := map[string]bool{}
		for _, f := range d.Fixes {
			if f.Program == "" || f.Text == "" || programs[f.Program] {
				fault("fix %q is empty or there twice", f.Program)
			}
			programs[f.Program] = true
		}
		if !strings.HasPrefix(r.Code, "CAP") && len(d.Fixes) < 5 {
			fault("fixes for %d programs only", len(d.Fixes))
		}
		if r.Head == nil && r.Transaction == nil && r.Anomaly == nil && r.Stall == nil && r.Turn == nil && r.Window == nil && r.Closed == nil &&
			r.Capture == nil && r.Group == nil {
			fault("listens to nothing")
		}
	}
}

// allCaps reports whether text begins with an abbreviation.
func allCaps(text string) bool {
	return len(text) > 1 && text[1] >= 'A' && text[1] <= 'Z'
}
