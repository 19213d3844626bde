package rules

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Threshold is a field of [Config] that a configuration can set.
type Threshold struct {
	Name string // "nagle-min-delay" for NagleMinDelay
	Code string // of the rule it belongs to, empty if there are several
	Doc  string // what it means, as the field's comment says
	Kind ThresholdKind

	field int
}

// ThresholdKind says what values a threshold takes.
type ThresholdKind uint8

// The kinds of thresholds.
const (
	DurationThreshold ThresholdKind = iota // a time.Duration from 0 on
	CountThreshold                         // an int from 0 on
	PartThreshold                          // a float64 from 0 on: a part, or how many times as much
)

// Thresholds returns all thresholds, in the order of Config's fields.
func Thresholds() []Threshold {
	var out []Threshold
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		f := t.Field(i)
		th := Threshold{Name: kebab(f.Name), field: i}
		switch f.Type {
		case reflect.TypeFor[time.Duration]():
			th.Kind = DurationThreshold
		case reflect.TypeFor[int]():
			th.Kind = CountThreshold
		case reflect.TypeFor[float64]():
			th.Kind = PartThreshold
		default:
			continue // Redact has a setting of its own
		}
		th.Code, th.Doc = thresholdDoc(f.Name)
		out = append(out, th)
	}
	return out
}

// Get returns the threshold's value in c: a time.Duration, int or float64 as
// its kind says.
func (t *Threshold) Get(c *Config) any {
	return reflect.ValueOf(c).Elem().Field(t.field).Interface()
}

// Set sets the threshold in c. The value must have the type that its kind
// says.
func (t *Threshold) Set(c *Config, value any) {
	reflect.ValueOf(c).Elem().Field(t.field).Set(reflect.ValueOf(value))
}

// Check reports thresholds that contradict each other: a smallest value above
// the largest.
func (c *Config) Check() error {
	byName := map[string]Threshold{}
	for _, t := range Thresholds() {
		byName[t.Name] = t
	}
	for _, low := range Thresholds() {
		for _, pair := range [][2]string{{"-min-", "-max-"}, {"-min", "-max"}} {
			if !strings.Contains(low.Name, pair[0]) {
				continue
			}
			high, ok := byName[strings.Replace(low.Name, pair[0], pair[1], 1)]
			if !ok || high.Kind != low.Kind {
				continue
			}
			if number(low.Get(c)) > number(high.Get(c)) {
				return fmt.Errorf("%s is %v, above %s, which is %v", low.Name, low.Get(c), high.Name, high.Get(c))
			}
		}
	}
	switch {
	case c.PortMin < 1:
		return fmt.Errorf("port-min is %d, below the first port, 1", c.PortMin)
	case c.PortMax > 65535:
		return fmt.Errorf("port-max is %d, above the last port, 65535", c.PortMax)
	}
	return nil
}

func number(v any) float64 {
	switch v := v.(type) {
	case time.Duration:
		return float64(v)
	case int:
		return float64(v)
	}
	return v.(float64)
}

// kebab returns a field's name as a configuration spells it.
func kebab(s string) string {
	var b strings.Builder
	r := []rune(s)
	for i, c := range r {
		if unicode.IsUpper(c) && i > 0 && (!unicode.IsUpper(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
