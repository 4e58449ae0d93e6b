// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Where says what kind of place a value came from.
type Where uint8

// The places a value can come from, in rising order of precedence.
const (
	FromDefault Where = iota
	FromFile
	FromEnv
	FromFlag
)

// Origin is the place of one value: a default, a position in a file, an
// environment variable or a flag. The zero Origin is "default".
type Origin struct {
	Where Where
	Name  string // file relative to the folder of pvgate.yaml, variable, or flag
	Line  int    // 1-based; 0 when the place has no lines
	Col   int    // 1-based, in characters
}

// String returns "default", "routes.d/06.yaml:13:5", "env PVGATE_DOMAIN" or
// "flag --domain".
func (o Origin) String() string {
	switch o.Where {
	case FromDefault:
		return "default"
	case FromEnv:
		return "env " + o.Name
	case FromFlag:
		return "flag --" + o.Name
	case FromFile:
	}
	switch {
	case o.Line == 0:
		return o.Name
	case o.Col == 0: // a row of a table
		return o.Name + ":" + strconv.Itoa(o.Line)
	}
	return o.Name + ":" + strconv.Itoa(o.Line) + ":" + strconv.Itoa(o.Col)
}

// compare orders origins as an operator reads them: by file, line and column,
// what comes from outside the files last.
func (o Origin) compare(p Origin) int {
	return cmp.Or(
		cmp.Compare(o.Where, p.Where),
		compareFiles(o.Name, p.Name),
		cmp.Compare(o.Line, p.Line),
		cmp.Compare(o.Col, p.Col),
	)
}

// compareFiles puts pvgate.yaml and its neighbours before the route files.
func compareFiles(a, b string) int {
	return cmp.Or(
		cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")),
		cmp.Compare(a, b),
	)
}

// Value is one setting with the place it came from. The zero value is the zero
// of T, by default.
type Value[T any] struct {
	V      T
	Origin Origin
}

// Set reports whether somebody wrote the value, in a file or elsewhere.
func (v Value[T]) Set() bool { return v.Origin.Where != FromDefault }

// The kinds of single values a configuration is made of.
type (
	// Text is any text, also keys, areas and times: they are judged by those
	// who know them.
	Text = Value[string]
	// Int is a whole decimal number.
	Int = Value[int]
	// Bool is true or false.
	Bool = Value[bool]
	// Duration is a positive time span such as 500ms, 2s or 1h30m.
	Duration = Value[time.Duration]
	// Rate is a number of requests per second, minute or hour.
	Rate = Value[PerTime]
)

// PerTime is Count events per Per. The zero value means no rate.
type PerTime struct {
	Count int
	Per   time.Duration // time.Second, time.Minute or time.Hour
}

// String returns the form a configuration uses, such as "50/s"; "" for none.
func (p PerTime) String() string {
	if p.Count == 0 {
		return ""
	}
	unit := "s"
	switch p.Per {
	case time.Minute:
		unit = "m"
	case time.Hour:
		unit = "h"
	}
	return fmt.Sprintf("%d/%s", p.Count, unit)
}

// PerSecond returns the rate in events per second.
func (p PerTime) PerSecond() float64 {
	if p.Per == 0 {
		return 0
	}
	return float64(p.Count) / p.Per.Seconds()
}

// Named is one member of a mapping whose keys an operator chose.
type Named[T any] struct {
	Name Text
	V    T
}

// Map is such a mapping in the order of the file.
type Map[T any] []Named[T]

// Find returns the member of that name.
func (m Map[T]) Find(name string) (*T, bool) {
	for i := range m {
		if m[i].Name.V == name {
			return &m[i].V, true
		}
	}
	return nil, false
}
