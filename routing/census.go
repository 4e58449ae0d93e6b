// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// Bin is what a Census counts entries by.
type Bin struct {
	Land uint8 // 0 Bund, 1 to 16
	Kind registry.Kind
}

// Census is a count of a table's content.
type Census struct {
	Entries map[Bin]int
	Blocked int // rows whose target is refused (R7)
}

// Census counts the rows.
func (t *Table) Census() Census {
	c := Census{Entries: map[Bin]int{}}
	for land := range uint8(17) {
		for _, k := range [...]registry.Kind{registry.Service, registry.Page} {
			if n := t.index.RowsIn(land, k); n > 0 {
				c.Entries[Bin{land, k}] = n
			}
		}
	}
	for i := range t.index.Traits() {
		if t.traits[i].flags&flagBlocked != 0 {
			c.Blocked += t.index.RowsOf(i)
		}
	}
	for i := range t.policy.rows {
		r := &t.policy.rows[i]
		h := &t.traits[r.traits]
		c.Entries[Bin{t.places.At(r.area).Land(), h.kind()}]++
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
		if !o.span.Has(index.Nanos(at)) {
			continue
		}
		active++
		if end := time.Unix(0, o.span.End); next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return active, next
}
