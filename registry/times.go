// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // one static binary: the zone must not depend on the machine
)

var berlin = loadBerlin()

func loadBerlin() *time.Location {
	l, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic("registry: zone data is not linked in: " + err.Error()) // tzdata above makes it impossible
	}
	return l
}

// Berlin is Europe/Berlin.
func Berlin() *time.Location { return berlin }

// The two dates that exports write for "no limit" (R7).
const (
	openBegin = "1970-01-01"
	openEnd   = "2999-12-31"
)

// errTime says what a time looks like.
var errTime = errors.New("want YYYY-MM-DD, YYYY-MM-DD HH:MM (Europe/Berlin) or RFC 3339, e.g. 2026-12-31, 2026-12-31 18:00, 2026-12-31T18:00:00+01:00")

// ParseTime reads a begin (R7): YYYY-MM-DD (00:00 Europe/Berlin), YYYY-MM-DD HH:MM[:SS] (Europe/Berlin; "T" allowed,
// an offset may follow) or RFC 3339. 1970-01-01 and 2999-12-31 are the zero time, which means open. A local time that
// the clocks leave out or pass twice is an error that says what to write instead.
func ParseTime(text string) (time.Time, error) { return parseTime(text, 0) }

// ParseEnd is [ParseTime] for an end: a date alone is inclusive, so it gives 00:00 of the next day.
func ParseEnd(text string) (time.Time, error) { return parseTime(text, 1) }

func parseTime(text string, dateAddsDays int) (time.Time, error) {
	text = strings.TrimSpace(text)
	if len(text) < len(time.DateOnly) {
		return time.Time{}, fmt.Errorf("time %q: %w", clip(text), errTime)
	}
	date, rest := text[:len(time.DateOnly)], text[len(time.DateOnly):]
	day, err := time.ParseInLocation(time.DateOnly, date, berlin)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: %w", clip(text), errTime)
	}
	if rest == "" {
		if date == openBegin || date == openEnd {
			return time.Time{}, nil
		}
		return day.AddDate(0, 0, dateAddsDays), nil
	}
	t, err := parseClock(day, date, rest)
	if errors.Is(err, errTime) {
		return time.Time{}, fmt.Errorf("time %q: %w", clip(text), err)
	}
	if err != nil {
		return time.Time{}, err // names the time itself
	}
	if date == openBegin || date == openEnd || t.In(berlin).Format(time.DateOnly) == openEnd {
		return time.Time{}, nil
	}
	return t, nil
}

// parseClock reads what follows the date: a separator, HH:MM with optional seconds, an optional offset.
func parseClock(day time.Time, date, rest string) (time.Time, error) {
	if rest[0] != ' ' && rest[0] != 'T' && rest[0] != 't' {
		return time.Time{}, errTime
	}
	clock, zone := rest[1:], ""
	if i := strings.IndexAny(clock, "Zz+-"); i >= 0 {
		clock, zone = clock[:i], strings.ToUpper(clock[i:])
	}
	layout := "15:04"
	if len(clock) > len(layout) {
		layout = time.TimeOnly // takes fractions of any length too, and exports have them
	}
	if len(clock) < len("15:04") || clock[2] != ':' { // Parse would take 9:30
		return time.Time{}, errTime
	}
	c, err := time.Parse(layout, clock)
	if err != nil {
		return time.Time{}, errTime
	}
	if zone != "" {
		z, err := time.Parse("Z07:00", zone)
		if err != nil {
			return time.Time{}, errTime
		}
		return time.Date(day.Year(), day.Month(), day.Day(), c.Hour(), c.Minute(), c.Second(), c.Nanosecond(), z.Location()), nil
	}
	return localTime(day, c, date)
}

// localTime refuses the hour that is missing in March and the one that comes twice in October.
func localTime(day, c time.Time, date string) (time.Time, error) {
	t := time.Date(day.Year(), day.Month(), day.Day(), c.Hour(), c.Minute(), c.Second(), c.Nanosecond(), berlin)
	if t.Hour() != c.Hour() || t.Minute() != c.Minute() {
		before, after := transition(day)
		return time.Time{}, fmt.Errorf("%s %s does not exist in Europe/Berlin (clocks go %s → %s); write %s",
			date, c.Format("15:04"), before, after, after)
	}
	for _, other := range [...]time.Time{t.Add(-time.Hour), t.Add(time.Hour)} {
		if other.Day() == t.Day() && other.Hour() == t.Hour() {
			first, second := t, other
			if other.Before(t) {
				first, second = other, t
			}
			return time.Time{}, fmt.Errorf("%s %s comes twice in Europe/Berlin; add %s or %s",
				date, c.Format("15:04"), first.Format("-07:00"), second.Format("-07:00"))
		}
	}
	return t, nil
}

// transition is the wall clock before and after the jump of that day.
func transition(day time.Time) (before, after string) {
	t := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, berlin)
	for range 24 * 60 {
		next := t.Add(time.Minute)
		if next.Hour()*60+next.Minute() > t.Hour()*60+t.Minute()+1 {
			return fmt.Sprintf("%02d:%02d", t.Hour()+(t.Minute()+1)/60, (t.Minute()+1)%60), next.Format("15:04")
		}
		t = next
	}
	return "?", "?"
}
