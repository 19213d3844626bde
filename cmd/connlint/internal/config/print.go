package config

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules"
)

// doc says what a key of the first level means.
func doc(key string) string {
	switch key {
	case "select":
		return "Only these rules: codes, names, families such as LAT, or all."
	case "ignore":
		return "Not these rules."
	case "extend-select":
		return "These rules besides, such as those that are off unless named."
	case "fail-on":
		return "The lowest severity that makes the exit status 1: info, warning, error, never."
	case "max-per-rule":
		return "List at most so many findings of a rule, 0 for all."
	case "http-ports":
		return "Look for HTTP on these server ports alone; otherwise it is told by content on all."
	case "redact":
		return "What is hidden: default (credentials and query values), all (paths and hosts too), none."
	case "baseline":
		return "A file written by connlint baseline: findings in it are known. Relative to this file."
	case "severity":
		return "Severities other than the rules' own, by code, name or family."
	case "thresholds":
		return "From where on something counts as a fault."
	case "servers":
		return "What differs for some servers: address, network or port, or the name that clients ask for. thresholds need an address."
	case "suppress":
		return "Findings that are known and accepted. reason is a must; after the day of expires they are findings again."
	case "budgets":
		return "Limits that fail like findings, for each capture."
	}
	return ""
}

// Write writes the settings in effect as a configuration, with where each came
// from.
func (s *Settings) Write(w io.Writer) error {
	var b strings.Builder
	line := func(indent, key, value, origin string) {
		text := indent + key + ":"
		if value != "" {
			text += " " + value
		}
		fmt.Fprintf(&b, "%-48s # %s\n", text, report.Text(origin))
	}
	for _, key := range topKeys() {
		origin := s.Origin(key)
		switch key {
		case "select":
			value := flow(s.Select)
			if len(s.Select) == 0 {
				value = "[all]"
			}
			line("", key, value, origin)
		case "ignore":
			line("", key, flow(s.Ignore), origin)
		case "extend-select":
			line("", key, flow(s.ExtendSelect), origin)
		case "fail-on":
			line("", key, s.FailOn, origin)
		case "max-per-rule":
			line("", key, strconv.Itoa(s.MaxPerRule), origin)
		case "http-ports":
			line("", key, flow(ranges(s.HTTPPorts)), origin)
		case "redact":
			line("", key, s.Redact, origin)
		case "baseline":
			if s.Baseline != "" {
				line("", key, quote(s.Baseline), origin)
			}
		case "severity":
			writeSeverities(line, "", s.Severity, origin)
		case "thresholds":
			line("", key, "", origin)
			for _, t := range rules.Thresholds() {
				line("  ", t.Name, value(t.Get(s.Rules)), s.Origin("thresholds."+t.Name))
			}
		case "servers":
			for i, x := range s.Servers {
				if i == 0 {
					line("", key, "", origin)
				}
				fmt.Fprintf(&b, "  - # %s\n", report.Text(x.place))
				writeServer(&b, &x, line)
			}
		case "suppress":
			for i, x := range s.Suppressions {
				if i == 0 {
					line("", key, "", origin)
				}
				fmt.Fprintf(&b, "  - rule: %s # %s\n", flow(x.Rules), report.Text(x.place))
				writeMatch(&b, &x.Match)
				fmt.Fprintf(&b, "    reason: %s\n", quote(x.Reason))
				if !x.Expires.IsZero() {
					fmt.Fprintf(&b, "    expires: %s\n", x.Expires.AddDate(0, 0, -1).Format(time.DateOnly))
				}
			}
		case "budgets":
			s.writeBudgets(line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Settings) writeBudgets(line func(indent, key, value, origin string)) {
	b := &s.Budgets
	if len(b.MaxOccurrences) == 0 && b.MinReuseRatio < 0 && b.MaxConnectionsPerPair < 0 {
		return
	}
	line("", "budgets", "", s.Origin("budgets"))
	if len(b.MaxOccurrences) > 0 {
		origin := s.Origin("budgets.max-occurrences")
		line("  ", "max-occurrences", "", origin)
		for _, x := range b.MaxOccurrences {
			line("    ", x.Rule, strconv.Itoa(x.Max), origin)
		}
	}
	if b.MinReuseRatio >= 0 {
		line("  ", "min-reuse-ratio", value(b.MinReuseRatio), s.Origin("budgets.min-reuse-ratio"))
	}
	if b.MaxConnectionsPerPair >= 0 {
		line("  ", "max-connections-per-pair", strconv.Itoa(b.MaxConnectionsPerPair), s.Origin("budgets.max-connections-per-pair"))
	}
}

func writeSeverities(line func(indent, key, value, origin string), indent string, by map[string]rules.Severity, origin string) {
	for i, code := range slices.Sorted(maps.Keys(by)) {
		if i == 0 {
			line(indent, "severity", "", origin)
		}
		line(indent+"  ", code, by[code].String(), origin)
	}
}

func writeServer(b *strings.Builder, x *Server, line func(indent, key, value, origin string)) {
	writeMatch(b, &x.Match)
	if x.Select != nil {
		fmt.Fprintf(b, "    select: %s\n", flow(x.Select))
	}
	if len(x.Ignore) > 0 {
		fmt.Fprintf(b, "    ignore: %s\n", flow(x.Ignore))
	}
	for i, code := range slices.Sorted(maps.Keys(x.Severity)) {
		if i == 0 {
			b.WriteString("    severity:\n")
		}
		fmt.Fprintf(b, "      %s: %s\n", code, x.Severity[code])
	}
	for i, t := range x.Thresholds {
		if i == 0 {
			b.WriteString("    thresholds:\n")
		}
		line("      ", t.Name, value(t.Value), t.place)
	}
}

func writeMatch(b *strings.Builder, m *Match) {
	for _, x := range []struct{ key, value string }{
		{"server", m.Server.String()}, {"client", m.Client.String()}, {"host", m.Host}, {"route", m.Route},
	} {
		if x.value != "" {
			fmt.Fprintf(b, "    %s: %s\n", x.key, quote(x.value))
		}
	}
}

func quote(s string) string {
	text, _ := json.Marshal(s) // a string always has a form in JSON, and JSON is YAML
	return report.Text(string(text))
}

func flow(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = report.Text(w)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// ranges returns sorted ports with neighbours drawn together.
func ranges(ports []uint16) []string {
	var out []string
	for i := 0; i < len(ports); {
		j := i
		for j+1 < len(ports) && ports[j+1] == ports[j]+1 {
			j++
		}
		word := strconv.Itoa(int(ports[i]))
		if j > i {
			word += "-" + strconv.Itoa(int(ports[j]))
		}
		out = append(out, word)
		i = j + 1
	}
	return out
}

// value returns a threshold as a configuration spells it.
func value(v any) string {
	switch v := v.(type) {
	case time.Duration:
		s := v.String()
		for _, zero := range []string{"m0s", "h0m"} { // 1m0s is 1m
			if strings.HasSuffix(s, zero) {
				s = s[:len(s)-2]
			}
		}
		return strings.ReplaceAll(s, "µ", "u")
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// WriteInit writes a configuration in which everything is said and commented
// out.
func WriteInit(w io.Writer) error {
	s := Defaults()
	var b strings.Builder
	b.WriteString("# The configuration of connlint. It holds for this directory and those below it.\n" +
		"# What is commented out shows the default, or an example. connlint config prints what is in effect.\n")
	for _, key := range topKeys() {
		fmt.Fprintf(&b, "\n# %s\n", doc(key))
		switch key {
		case "select":
			b.WriteString("#select: [all]\n")
		case "ignore", "extend-select":
			fmt.Fprintf(&b, "#%s: []\n", key)
		case "fail-on":
			fmt.Fprintf(&b, "#fail-on: %s\n", s.FailOn)
		case "max-per-rule":
			b.WriteString("#max-per-rule: 0\n")
		case "http-ports":
			b.WriteString("#http-ports: [80, 8000-8100]\n")
		case "redact":
			b.WriteString("#redact: default\n")
		case "baseline":
			b.WriteString("#baseline: connlint-baseline.json\n")
		case "severity":
			b.WriteString("#severity:\n#  LAT001: error\n#  CAP: info\n")
		case "thresholds":
			b.WriteString("#thresholds:\n")
			for _, t := range rules.Thresholds() {
				about := t.Doc
				if t.Code != "" {
					about = strings.TrimSuffix(t.Code+": "+about, ": ")
				}
				fmt.Fprintf(&b, "%-36s # %s\n", "#  "+t.Name+": "+value(t.Get(s.Rules)), about)
			}
		case "servers":
			b.WriteString("#servers:\n#  - server: 10.0.0.9:8080\n#    ignore: [TW002]\n#    severity: {FRM001: info}\n#    thresholds: {max-parallel: 20}\n")
		case "suppress":
			b.WriteString("#suppress:\n#  - rule: LAT001\n#    host: api.example\n#    route: /orders/*\n#    client: 10.0.0.0/8\n" +
				"#    reason: the old client is replaced in spring (OPS-17)\n#    expires: 2027-03-31\n")
		case "budgets":
			b.WriteString("#budgets:\n#  max-occurrences: {LAT001: 10, FRM: 0}\n#  min-reuse-ratio: 0.9           # requests that needed no connection of their own, of all\n" +
				"#  max-connections-per-pair: 20   # of a client and a server\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteSchema writes the JSON Schema of configurations, for editors.
func WriteSchema(w io.Writer) error {
	type object = map[string]any
	text := object{"type": "string", "minLength": 1}
	rule := object{"$ref": "#/$defs/rule"}
	list := object{"$ref": "#/$defs/rules"}
	count := object{"type": "integer", "minimum": 0}
	severities := object{"type": []string{"object", "null"}, "propertyNames": rule,
		"additionalProperties": object{"enum": severityNames()}}
	thresholds, differing := object{}, object{} // in general, and of servers
	defaults := rules.Defaults()
	for _, t := range rules.Thresholds() {
		x := object{"default": t.Get(defaults)}
		switch t.Kind {
		case rules.DurationThreshold:
			x["$ref"] = "#/$defs/duration"
			x["default"] = value(t.Get(defaults))
		case rules.CountThreshold:
			x["type"], x["minimum"] = "integer", 0
		case rules.PartThreshold:
			x["type"], x["minimum"] = "number", 0
		}
		if about := strings.TrimSuffix(strings.TrimPrefix(t.Code+": "+t.Doc, ": "), ": "); about != "" {
			x["description"] = about
		}
		thresholds[t.Name] = x
		own := maps.Clone(x)
		delete(own, "default")
		differing[t.Name] = own
	}
	endpoint := object{"type": "string", "description": "An address, network or port, as in 10.0.0.9:8080, 10.0.0.0/8 or :8080."}
	properties := object{
		"select": list, "ignore": list, "extend-select": list,
		"fail-on":      object{"enum": FailOn(), "default": "warning"},
		"max-per-rule": count,
		"http-ports": object{"type": []string{"array", "string", "integer", "null"}, "items": object{
			"anyOf": []object{{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string", "pattern": "^[0-9]+(-[0-9]+)?$"}}}},
		"redact":     object{"enum": Redactions(), "default": "default"},
		"baseline":   text,
		"severity":   severities,
		"thresholds": object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": thresholds},
		"servers": object{"type": []string{"array", "null"}, "items": object{"type": "object", "additionalProperties": false,
			"anyOf": []object{{"required": []string{"server"}}, {"required": []string{"host"}}},
			"not":   object{"required": []string{"host", "thresholds"}},
			"properties": object{"server": endpoint, "host": text, "select": list, "ignore": list, "severity": severities,
				"thresholds": object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": differing}}}},
		"suppress": object{"type": []string{"array", "null"}, "items": object{"type": "object", "additionalProperties": false,
			"required": []string{"rule", "reason"},
			"properties": object{"rule": list, "server": endpoint, "client": endpoint, "host": text,
				"route":   object{"type": "string", "pattern": `^[/*]`, "description": "* for any characters but /, ** for any."},
				"reason":  text,
				"expires": object{"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "description": "The last day on which it holds."}}}},
		"budgets": object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": object{
			"max-occurrences":          object{"type": []string{"object", "null"}, "propertyNames": rule, "additionalProperties": count},
			"min-reuse-ratio":          object{"type": "number", "minimum": 0, "maximum": 1},
			"max-connections-per-pair": count}},
	}
	for key, p := range properties {
		x := maps.Clone(p.(object))
		x["description"] = doc(key)
		properties[key] = x
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"$id":         "https://github.com/connlint/connlint/testdata/schema/config.schema.json",
		"title":       "Configuration of connlint (" + FileName + ")",
		"description": "Generated by go test ./cmd/connlint/internal/config -update.",
		"type":        []string{"object", "null"}, "additionalProperties": false, "properties": properties,
		"$defs": object{
			"rule":     object{"type": "string", "minLength": 1, "description": "A code, a name, a family such as LAT, or all."},
			"rules":    object{"type": []string{"array", "string", "null"}, "items": rule},
			"duration": object{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)? *(ns|us|µs|ms|s|m|h) *)+$`},
		},
	})
}
