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
	for i := range t.hot {
		h := &t.index.traits[t.hot[i].traits]
		c.Entries[Bin{t.places[t.hot[i].area].land(), h.kind()}]++
		if h.flags&flagBlocked != 0 {
			c.Blocked++
		}
	}
	return c
}

// OverridesAt returns how many overrides are in force at a time and when the next of them ends, zero without one.
func (t *Table) OverridesAt(at time.Time) (active int, next time.Time) {
	for i := range t.overrides {
		o := &t.overrides[i]
		if now := nanos(at); now < o.span.begin || now >= o.span.end {
			continue
		}
		active++
		if end := time.Unix(0, o.span.end); next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return active, next
}
