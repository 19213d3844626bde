package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/connlint/connlint/cmd/connlint/internal/suggest"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
)

// maxSize bounds what is read of a configuration, in bytes.
const maxSize = 1 << 20

// Find returns the nearest configuration file in dir or above, or an empty
// string if there is none.
func Find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		file := filepath.Join(dir, FileName)
		switch st, err := os.Stat(file); {
		case err == nil && st.Mode().IsRegular():
			return file, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", nil
		}
		dir = up
	}
}

// Load reads a configuration file over s.
func (s *Settings) Load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return s.Decode(shown(file), file, text)
}

// shown is how messages name a file: from the working directory, if it is
// below it.
func shown(file string) string {
	if wd, err := os.Getwd(); err == nil && filepath.IsAbs(file) {
		if rel, err := filepath.Rel(wd, file); err == nil && len(rel) < len(file) {
			return rel
		}
	}
	return file
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)

// Decode reads a configuration over s. Messages call it name; paths in it are
// relative to file's directory. The error lists every fault, with line and
// column.
func (s *Settings) Decode(name, file string, text []byte) error {
	if len(text) > maxSize {
		return fmt.Errorf("%s: a configuration of more than %d KB", name, maxSize>>10)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) { // nothing but comments
			return nil
		}
		m := yamlLine.FindStringSubmatch(err.Error())
		if m == nil {
			return fmt.Errorf("%s: no YAML: %w", name, err)
		}
		return fmt.Errorf("%s:%s:1: no YAML: %s", name, cmp.Or(m[1], "1"), m[2])
	}
	d := decoder{s: s, name: name, file: file, thresholdAt: map[string]string{}}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.fault(&doc, "", "a second document follows; expected one")
	}
	d.root(doc.Content[0])
	return d.finish()
}

// Set applies KEY=VALUE as of a command line. KEY is a key of the
// configuration, with dots between levels; thresholds need no level.
func (s *Settings) Set(assignment string) error {
	key, value, ok := strings.Cut(assignment, "=")
	if !ok {
		return fmt.Errorf("--set %s: expected KEY=VALUE, as in --set nagle-min-delay=30ms", assignment)
	}
	key = strings.TrimSpace(key)
	var doc yaml.Node
	err := yaml.Unmarshal([]byte(value), &doc)
	if err != nil && strings.ContainsAny(value[:1], "[{") {
		return fmt.Errorf("--set %s: no YAML: %s", assignment, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err != nil || len(doc.Content) != 1 {
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}}}
	}
	path := strings.Split(key, ".")
	if _, known := threshold(key); known {
		path = []string{"thresholds", key}
	}
	if len(path) == 1 && !slices.Contains(topKeys(), key) {
		known := topKeys()
		for _, t := range rules.Thresholds() {
			known = append(known, t.Name)
		}
		hint := suggest.DidYouMean(key, known)
		if hint == "" {
			hint = "; connlint config lists them"
		}
		return fmt.Errorf("--set %s: unknown key %q%s", assignment, key, hint)
	}
	node := doc.Content[0]
	for _, part := range slices.Backward(path) {
		node = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: part}, node}}
	}
	d := decoder{s: s, name: "--set " + assignment, flag: true, thresholdAt: map[string]string{}}
	d.root(node)
	return d.finish()
}

// decoder reads nodes into settings and collects faults.
type decoder struct {
	s          *Settings
	name, file string
	flag       bool // from a command line: no lines and columns
	faults     []error
	// thresholdAt is where thresholds were set, by name.
	thresholdAt map[string]string
}

func (d *decoder) finish() error {
	if len(d.faults) > 0 {
		return errors.Join(d.faults...)
	}
	if err := d.s.Rules.Check(); err != nil {
		return fmt.Errorf("%s: thresholds: %w", d.blame(err), err)
	}
	return d.s.checkServers()
}

// blame returns the place of the first threshold set here that err names.
func (d *decoder) blame(err error) string {
	for word := range strings.FieldsFuncSeq(err.Error(), func(r rune) bool { return r == ' ' || r == ',' }) {
		if place := d.thresholdAt[word]; place != "" {
			return place
		}
	}
	return d.name
}

func (d *decoder) place(n *yaml.Node) string {
	if d.flag {
		return d.name
	}
	return fmt.Sprintf("%s:%d:%d", d.name, max(n.Line, 1), max(n.Column, 1))
}

func (d *decoder) fault(n *yaml.Node, key, format string, args ...any) {
	if key != "" {
		key += ": "
	}
	d.faults = append(d.faults, fmt.Errorf("%s: %s%s", d.place(n), key, fmt.Sprintf(format, args...)))
}

// wrong says what was expected in place of n.
func (d *decoder) wrong(n *yaml.Node, key, expected string) {
	d.fault(n, key, "expected %s, found %s", expected, describe(n))
}

// describe names a node's kind and value.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return n.Value + ", a truth value"
	}
	return strconv.Quote(n.Value)
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// entries calls f for each entry of a map; an unknown key is a fault that
// names the nearest known one.
func (d *decoder) entries(n *yaml.Node, in string, known []string, f func(key string, k, v *yaml.Node)) {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return // a heading with all below it commented out
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, in, "a map")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolve(n.Content[i+1])
		if k.Kind != yaml.ScalarNode {
			d.wrong(k, in, "a key")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			d.fault(k, in, "%q is there already, in line %d", k.Value, line)
			continue
		}
		seen[k.Value] = k.Line
		if known != nil && !slices.Contains(known, k.Value) {
			d.unknown(k, in, known)
			continue
		}
		f(k.Value, k, v)
	}
}

func (d *decoder) unknown(k *yaml.Node, in string, known []string) {
	hint := suggest.DidYouMean(k.Value, known)
	if _, ok := threshold(k.Value); ok && in == "" {
		hint = "; it belongs under thresholds"
	} else if hint == "" && in != "thresholds" {
		hint = "; known are " + strings.Join(known, ", ")
	} else if hint == "" {
		hint = "; connlint config lists them"
	}
	d.fault(k, in, "unknown key %q%s", k.Value, hint)
}

// from notes where a key's setting comes from.
func (d *decoder) from(key string, n *yaml.Node) {
	d.s.origins[key] = d.line(n)
}

func (d *decoder) line(n *yaml.Node) string {
	if d.flag {
		return d.name
	}
	return fmt.Sprintf("%s:%d", d.name, n.Line)
}

// topKeys are the keys of a configuration, in the order in which it is
// written.
func topKeys() []string {
	return []string{"select", "ignore", "extend-select", "fail-on", "max-per-rule", "http-ports", "redact", "baseline",
		"severity", "thresholds", "servers", "suppress", "budgets"}
}

func (d *decoder) root(n *yaml.Node) {
	s := d.s
	d.entries(n, "", topKeys(), func(key string, k, v *yaml.Node) {
		d.from(key, k)
		switch key {
		case "select":
			s.Select = d.selection(v, key)
		case "ignore":
			s.Ignore = d.selection(v, key)
		case "extend-select":
			s.ExtendSelect = d.selection(v, key)
		case "fail-on":
			s.FailOn = d.word(v, key, s.FailOn, FailOn())
		case "max-per-rule":
			s.MaxPerRule = d.whole(v, key, s.MaxPerRule)
		case "http-ports":
			s.HTTPPorts = d.ports(v, key)
		case "redact":
			s.Redact = d.word(v, key, s.Redact, Redactions())
		case "baseline":
			if name, ok := d.text(v, key, "the path of a file"); ok {
				s.Baseline = baselinePath(d.file, name)
			}
		case "severity":
			d.severities(v, key, s.Severity)
		case "thresholds":
			d.thresholds(v, key, s.Rules, func(t rules.Threshold, value any, k, v *yaml.Node) {
				d.from("thresholds."+t.Name, k)
				d.thresholdAt[t.Name] = d.place(v)
				t.Set(s.Rules, value)
			})
		case "servers":
			s.Servers = nil
			d.list(v, key, "server", func(i int, n *yaml.Node) { s.Servers = append(s.Servers, d.server(n)) })
		case "suppress":
			s.Suppressions = nil
			d.list(v, key, "suppression", func(i int, n *yaml.Node) { s.Suppressions = append(s.Suppressions, d.suppression(n)) })
		case "budgets":
			d.budgets(v)
		}
	})
}

// FailOn lists what fail-on can be.
func FailOn() []string { return []string{"info", "warning", "error", "never"} }

// Redactions lists what redact can be.
func Redactions() []string { return []string{"default", "all", "none"} }

// severityNames are in the order of the severities.
func severityNames() []string { return []string{"info", "warning", "error"} }

func (d *decoder) text(n *yaml.Node, key, expected string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || n.ShortTag() == "!!bool" || n.Value == "" {
		d.wrong(n, key, expected)
		return "", false
	}
	return n.Value, true
}

func (d *decoder) word(n *yaml.Node, key, fallback string, allowed []string) string {
	if n.Kind != yaml.ScalarNode || !slices.Contains(allowed, n.Value) {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = suggest.DidYouMean(n.Value, allowed)
		}
		d.wrong(n, key, "one of "+strings.Join(allowed, ", "))
		last := len(d.faults) - 1
		d.faults[last] = fmt.Errorf("%w%s", d.faults[last], hint)
		return fallback
	}
	return n.Value
}

func (d *decoder) whole(n *yaml.Node, key string, fallback int) int {
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < 0 {
		d.wrong(n, key, "a whole number from 0 on")
		return fallback
	}
	return v
}

func (d *decoder) number(n *yaml.Node, key string, fallback float64) float64 {
	v, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		expected := "a number from 0 on"
		if part, ok := strings.CutSuffix(n.Value, "%"); ok {
			if p, err := strconv.ParseFloat(strings.TrimSpace(part), 64); err == nil && p >= 0 {
				expected += fmt.Sprintf(", as in %v for %s", p/100, n.Value)
			}
		}
		d.wrong(n, key, expected)
		return fallback
	}
	return v
}

// units are those of a duration, with names that others give them.
func units() map[string]string {
	return map[string]string{"": "", "ns": "ns", "us": "us", "µs": "us", "ms": "ms", "s": "s", "m": "m", "h": "h",
		"sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
		"hour": "h", "hours": "h", "usec": "us", "milliseconds": "ms", "microseconds": "us"}
}

var duration = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)[ ]*([^0-9. ]*)$`)

func (d *decoder) duration(n *yaml.Node, key string, fallback time.Duration) time.Duration {
	const expected = "a duration with its unit (us, ms, s, m, h)"
	if n.Kind == yaml.ScalarNode {
		if v, err := time.ParseDuration(strings.ReplaceAll(n.Value, " ", "")); err == nil && v >= 0 && n.Value != "0" {
			return v
		}
		if m := duration.FindStringSubmatch(n.Value); m != nil {
			if unit, ok := units()[m[2]]; ok && unit != m[2] {
				d.wrong(n, key, fmt.Sprintf("%s, as in %s%s", expected, m[1], unit))
				return fallback
			}
			if m[2] == "" {
				d.wrong(n, key, fmt.Sprintf("%s, as in %sms", expected, m[1]))
				return fallback
			}
		}
	}
	d.wrong(n, key, expected)
	return fallback
}

// list calls f for each item of a list.
func (d *decoder) list(n *yaml.Node, key, of string, f func(int, *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, key, "a list, each "+of+" behind a dash")
		return
	}
	for i, item := range n.Content {
		item = resolve(item)
		if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!null" { // a dash is no heading
			d.wrong(item, key, "a "+of)
			continue
		}
		f(i, item)
	}
}

// words reads a list of words, or one that is a list with commas itself.
func (d *decoder) words(n *yaml.Node, key, of string, f func(*yaml.Node, string)) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		for part := range strings.SplitSeq(n.Value, ",") {
			f(n, strings.TrimSpace(part))
		}
		return
	}
	d.list(n, key, of, func(_ int, item *yaml.Node) {
		if word, ok := d.text(item, key, "a "+of); ok {
			f(item, word)
		}
	})
}

// selection reads rules as --select takes them.
func (d *decoder) selection(n *yaml.Node, key string) []string {
	var out []string
	d.words(n, key, "rule", func(n *yaml.Node, word string) {
		if _, err := codes(word); err != nil {
			d.fault(n, key, "%v", err)
			return
		}
		out = append(out, word)
	})
	return out
}

// ruleCodes reads rules as codes.
func (d *decoder) ruleCodes(n *yaml.Node, key string) []string {
	var out []string
	for _, word := range d.selection(n, key) {
		list, _ := codes(word) // selection has tried it
		out = append(out, list...)
	}
	return out
}

func (d *decoder) ports(n *yaml.Node, key string) []uint16 {
	var out []uint16
	d.words(n, key, "port", func(n *yaml.Node, word string) {
		from, to, isRange := strings.Cut(word, "-")
		low, err := strconv.ParseUint(from, 10, 16)
		high := low
		if err == nil && isRange {
			high, err = strconv.ParseUint(to, 10, 16)
		}
		if err != nil || low == 0 || high < low {
			d.wrong(n, key, "a port from 1 to 65535, or a range as in 8000-8100")
			return
		}
		for p := low; p <= high; p++ {
			out = append(out, uint16(p))
		}
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// severities reads a map of rules to severities.
func (d *decoder) severities(n *yaml.Node, key string, into map[string]rules.Severity) {
	type entry struct {
		codes    []string
		severity rules.Severity
		wide     int // how many rules: families first, for a rule to override them
	}
	var list []entry
	d.entries(n, key, nil, func(word string, k, v *yaml.Node) {
		c, err := codes(word)
		if err != nil {
			d.fault(k, key, "%v", err)
			return
		}
		name := d.word(v, key+"."+word, "", severityNames())
		if i := slices.Index(severityNames(), name); i >= 0 {
			wide := len(c)
			if _, single := catalog.Find(word); single {
				wide = 0
			}
			list = append(list, entry{c, rules.Severity(i), wide})
		}
	})
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(b.wide, a.wide) })
	for _, e := range list {
		for _, c := range e.codes {
			into[c] = e.severity
		}
	}
}

// threshold returns the threshold of that name.
func threshold(name string) (rules.Threshold, bool) {
	for _, t := range rules.Thresholds() {
		if t.Name == name {
			return t, true
		}
	}
	return rules.Threshold{}, false
}

// thresholds calls set for each threshold of a map. Those that are wrong are
// as in c.
func (d *decoder) thresholds(n *yaml.Node, in string, c *rules.Config, set func(t rules.Threshold, value any, k, v *yaml.Node)) {
	var known []string
	for _, t := range rules.Thresholds() {
		known = append(known, t.Name)
	}
	d.entries(n, in, known, func(name string, k, v *yaml.Node) {
		t, _ := threshold(name) // entries has passed the known ones alone
		switch old := t.Get(c).(type) {
		case time.Duration:
			set(t, d.duration(v, name, old), k, v)
		case int:
			set(t, d.whole(v, name, old), k, v)
		case float64:
			set(t, d.number(v, name, old), k, v)
		}
	})
}

func (d *decoder) server(n *yaml.Node) Server {
	x := Server{Severity: map[string]rules.Severity{}, place: d.line(n)}
	faults := len(d.faults)
	var thresholds *yaml.Node
	d.entries(n, "servers", []string{"server", "host", "select", "ignore", "severity", "thresholds"}, func(key string, k, v *yaml.Node) {
		switch in := "servers." + key; key {
		case "select":
			x.Select = d.ruleCodes(v, in)
		case "ignore":
			x.Ignore = d.ruleCodes(v, in)
		case "severity":
			d.severities(v, in, x.Severity)
		case "thresholds":
			thresholds = k
			d.thresholds(v, in, d.s.Rules, func(t rules.Threshold, value any, _, v *yaml.Node) {
				x.Thresholds = append(x.Thresholds, Threshold{t, value, d.place(v)})
			})
		default:
			d.match(&x.Match, in, key, v)
		}
	})
	switch {
	case n.Kind == yaml.MappingNode && len(d.faults) == faults && x.Match.Empty():
		d.fault(n, "servers", "expected server or host, to say which is meant")
	case thresholds != nil && x.Match.Host != "":
		d.fault(thresholds, "servers.thresholds", "they hold for whole connections, and one may be used for several hosts; name the server by its address alone")
	}
	return x
}

func (d *decoder) match(m *Match, in, key string, v *yaml.Node) {
	switch key {
	case "server":
		m.Server = d.endpoints(v, in, "an address, network or port, as in 10.0.0.9:8080, 10.0.0.0/8 or :8080")
	case "client":
		m.Client = d.endpoints(v, in, "an address or network, as in 10.0.0.5 or 10.0.0.0/8")
	case "host":
		m.Host, _ = d.text(v, in, "a name, as in api.example or *.example")
	case "route":
		if s, ok := d.text(v, in, "a path, as in /orders/*"); ok {
			if !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "*") {
				d.wrong(v, in, "a path that begins with / or *")
			}
			m.Route = s
		}
	}
}

func (d *decoder) endpoints(n *yaml.Node, key, expected string) rules.Endpoints {
	s, ok := d.text(n, key, expected)
	if !ok {
		return rules.Endpoints{}
	}
	if port, ok := strings.CutPrefix(s, ":"); ok {
		if p, err := strconv.ParseUint(port, 10, 16); err == nil && p > 0 {
			return rules.Endpoints{Port: uint16(p)}
		}
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return rules.Endpoints{Net: netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen())}
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return rules.Endpoints{Net: p.Masked()}
	}
	if a, err := netip.ParseAddrPort(s); err == nil && a.Port() > 0 {
		ip := a.Addr().Unmap().WithZone("")
		return rules.Endpoints{Net: netip.PrefixFrom(ip, ip.BitLen()), Port: a.Port()}
	}
	d.wrong(n, key, expected)
	if key != "suppress.client" && hostname.MatchString(s) {
		last := len(d.faults) - 1
		d.faults[last] = fmt.Errorf("%w; a name goes under host", d.faults[last])
	}
	return rules.Endpoints{}
}

var hostname = regexp.MustCompile(`^[A-Za-z*][-A-Za-z0-9_.*]*$`)

func (d *decoder) suppression(n *yaml.Node) Suppression {
	x := Suppression{place: d.place(n)}
	keys := []string{"rule", "server", "host", "route", "client", "reason", "expires"}
	faults := len(d.faults)
	d.entries(n, "suppress", keys, func(key string, k, v *yaml.Node) {
		switch in := "suppress." + key; key {
		case "rule":
			x.Rules, x.rule = d.ruleCodes(v, in), v.Value
			if v.Kind == yaml.SequenceNode {
				x.rule = strings.Join(x.Rules, ", ")
			}
		case "reason":
			x.Reason, _ = d.text(v, in, "a sentence that says why")
			x.Reason = strings.TrimSpace(x.Reason)
		case "expires":
			day, err := time.Parse(time.DateOnly, v.Value)
			if v.Kind != yaml.ScalarNode || err != nil {
				d.wrong(v, in, "a day, as in 2026-12-31")
				return
			}
			x.Expires = day.AddDate(0, 0, 1) // it holds on that day still
		default:
			d.match(&x.Match, in, key, v)
		}
	})
	if n.Kind == yaml.MappingNode && len(d.faults) == faults {
		if len(x.Rules) == 0 {
			d.fault(n, "suppress", "expected rule, to say what is suppressed")
		}
		if x.Reason == "" {
			d.fault(n, "suppress", "expected reason, to say why")
		}
	}
	return x
}

func (d *decoder) budgets(n *yaml.Node) {
	b := &d.s.Budgets
	keys := []string{"max-occurrences", "min-reuse-ratio", "max-connections-per-pair"}
	d.entries(n, "budgets", keys, func(key string, k, v *yaml.Node) {
		d.from("budgets."+key, k)
		switch in := "budgets." + key; key {
		case "max-occurrences":
			b.MaxOccurrences = nil
			d.entries(v, in, nil, func(word string, k, v *yaml.Node) {
				c, err := codes(word)
				if err != nil {
					d.fault(k, in, "%v", err)
					return
				}
				b.MaxOccurrences = append(b.MaxOccurrences, Budget{word, c, d.whole(v, in+"."+word, 0)})
			})
		case "min-reuse-ratio":
			b.MinReuseRatio = d.number(v, in, b.MinReuseRatio)
			if b.MinReuseRatio > 1 {
				d.wrong(v, in, "a number from 0 to 1")
			}
		case "max-connections-per-pair":
			b.MaxConnectionsPerPair = d.whole(v, in, b.MaxConnectionsPerPair)
		}
	})
}
