// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bytes is a number of bytes, written as such or with KiB, MiB, GiB or TiB.
type Bytes int64

var byteUnits = []struct {
	suffix string
	size   int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes the number with the largest unit that needs no fraction.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if u.size > 1 && b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

func parseBytes(text string) (Bytes, error) {
	number, size := text, int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			number, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/size {
		return 0, errors.New("is no number of bytes, such as 1048576 or 1MiB")
	}
	return Bytes(n * size), nil
}

// set gives the setting a value that was read as text; only lists take other than one.
func (s Setting) set(c *Config, values []string) error {
	if list, ok := s.field(c).(*[]string); ok {
		*list = splitList(values)
		return nil
	}
	if len(values) != 1 {
		return errors.New("is a list, and takes one value only")
	}
	text := values[0]
	var err error
	switch p := s.field(c).(type) {
	case *string:
		*p = text
	case *int:
		if *p, err = strconv.Atoi(text); err != nil {
			return errors.New("is no whole number")
		}
	case *bool:
		if *p, err = strconv.ParseBool(text); err != nil {
			return errors.New("is neither true nor false")
		}
	case *time.Duration:
		if *p, err = time.ParseDuration(text); err != nil {
			return errors.New("is no duration, such as 30s or 2m")
		}
	case *Bytes:
		*p, err = parseBytes(text)
	}
	return err
}

// kind names the setting's type, as help shows it.
func (s Setting) kind() string {
	switch s.field(new(Config)).(type) {
	case *int:
		return "int"
	case *bool:
		return "bool"
	case *time.Duration:
		return "duration"
	case *Bytes:
		return "bytes"
	case *[]string:
		return "list"
	default:
		return "string"
	}
}

// value is what a file holds for the setting: numbers, booleans and lists as such, all else as text.
func (s Setting) value(c *Config) any {
	switch p := s.field(c).(type) {
	case *int:
		return *p
	case *bool:
		return *p
	case *time.Duration:
		return p.String()
	case *Bytes:
		return p.String()
	case *[]string:
		return slices.Clone(*p)
	case *string:
		return *p
	}
	return nil
}

// splitList takes items that are repeated, separated by commas, or both. Empty ones are dropped.
func splitList(values []string) []string {
	var items []string
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	return items
}

// texts turns what a layer holds for the setting into text. YAML makes numbers and booleans of what looks like them, and doesn't
// keep how they were written (0123 is 83): where text is wanted nothing else is taken.
func (s Setting) texts(v any) ([]string, error) {
	kind := s.kind()
	switch v := v.(type) {
	case []string:
		return v, nil
	case []any:
		if kind != "list" {
			return nil, errors.New("is a list, and takes one value only")
		}
		var all []string
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, errors.New("has an item that is not text; put it between quotes")
			}
			all = append(all, text)
		}
		return all, nil
	case string:
		return []string{v}, nil
	case bool, int, int64, uint64, float64:
		if kind == "string" || kind == "list" {
			return nil, errors.New("is not text; put it between quotes")
		}
		return []string{fmt.Sprint(v)}, nil
	case nil:
		return nil, errors.New("has no value")
	default:
		return nil, errors.New("is neither text, number, boolean nor list")
	}
}
