// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Bin is what a Census counts entries by.
type Bin struct {
	Land uint8 // 0 Bund, 1 to 16
	Kind registry.Kind
}

// Census is a count of a table's content. It reads every row: take it when a table is put in service, not at a scrape.
type Census struct {
	Entries map[Bin]int
	Blocked int // rows whose target is refused (R7)
}

// Census counts the rows.
func (t *Table) Census() Census {
	c := Census{Entries: map[Bin]int{}}
	for i := range t.Rows() {
		r := t.Row(RowID(i))
		c.Entries[Bin{t.areas.LandOf(r.Area), r.Kind}]++
		if r.Refused != "" {
			c.Blocked++
		}
	}
	return c
}

// OverridesAt returns how many overrides are in force at a time and when the next of them ends, zero without one.
func (t *Table) OverridesAt(at time.Time) (active int, next time.Time) {
	for i := range t.overrides {
		o := &t.overrides[i]
		if now := at.Unix(); now < o.span.begin || now >= o.span.end {
			continue
		}
		active++
		if end := time.Unix(o.span.end, 0); next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return active, next
}
