// SPDX-License-Identifier: EUPL-1.2

package registry

import "time"

// Berlin is Europe/Berlin, from the zone data built into the program.
func Berlin() *time.Location { panic("not yet") }

// ParseTime reads a begin (R7): YYYY-MM-DD (00:00 Europe/Berlin), YYYY-MM-DD HH:MM[:SS] (Europe/Berlin, "T" allowed) or
// RFC 3339. 1970-01-01 and 2999-12-31 are the zero time, which means open. A local time that the clocks leave out or
// pass twice is an error that says what to write.
func ParseTime(text string) (time.Time, error) { panic("not yet") }

// ParseEnd is [ParseTime] for an end: a date alone is inclusive, so it gives 00:00 of the next day.
func ParseEnd(text string) (time.Time, error) { panic("not yet") }
