// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"fmt"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
)

// facts follow from the rows. They are found anew whenever an index is read, so that no file can lie about them.
type facts struct {
	rows     int
	byTraits []uint32 // rows, by number of traits
	byLand   [bundle.Lands][2]int
	uniform  []uniform // by block
}

// uniform says what the services of a block have in common.
type uniform struct {
	row   uint32 // of a service, if all lead to one target that does not depend on the area; else None
	pages bool   // the block has pages
}

// derive goes through all rows once.
func (x *Index) derive() {
	x.facts = facts{byTraits: make([]uint32, len(x.traits)), uniform: make([]uniform, len(x.blocks))}
	for b := range uint32(len(x.blocks)) {
		u, several := uniform{row: None}, false
		for area, group := range x.All(b) {
			land := x.places.list[area].Land()
			for row, end := x.Rows(group); row < end; row++ {
				r := x.Record(row)
				t := &x.traits[r.Traits]
				x.rows++
				x.byTraits[r.Traits]++
				kind := registry.Service
				switch {
				case t.Flags&Page != 0:
					kind, u.pages = registry.Page, true
				case t.Flags&Keyed != 0:
					several = true
				case u.row == None:
					u.row = row
				default:
					several = several || !x.sameRecord(r, x.Record(u.row))
				}
				x.byLand[land][kind]++
			}
		}
		if several {
			u.row = None
		}
		x.uniform[b] = u
	}
}

// sameRecord says whether two records lead to the same place, if their URLs are not keyed.
func (x *Index) sameRecord(a, b *Record) bool {
	t, u := &x.traits[a.Traits], &x.traits[b.Traits]
	return a.URL == b.URL && t.Hosts == u.Hosts && (t.Flags^u.Flags)&(Refused|Fragment) == 0
}

// Len is the number of rows.
func (x *Index) Len() int { return x.rows }

// Uniform gives a service of a block if all of its services lead to one target, which no area changes; else [None].
// pages says whether the block has pages.
func (x *Index) Uniform(block uint32) (row uint32, pages bool) {
	u := &x.uniform[block]
	return u.row, u.pages
}

// RowsOf is how many rows have traits of that number.
func (x *Index) RowsOf(traits int) int { return int(x.byTraits[traits]) }

// RowsIn is how many rows of a kind areas of a Land have (0 the Bund).
func (x *Index) RowsIn(land uint8, k registry.Kind) int { return x.byLand[land][k] }

// Confirm says whether the facts about a bundle are those of its rows. Whoever judges a bundle judges its facts.
func (x *Index) Confirm(m *bundle.Meta) error {
	if len(m.Sources) != len(x.sources) {
		return fmt.Errorf("it has rows of %d sources, and its facts are about %d", len(x.sources), len(m.Sources))
	}
	found := make([][2]int, len(x.sources)) // by kind
	for i, t := range x.traits {
		if n := x.RowsOf(i); n > 0 {
			kind := registry.Service
			if t.Flags&Page != 0 {
				kind = registry.Page
			}
			found[t.Source][kind] += n
		}
	}
	for i, s := range m.Sources {
		if s.Name != x.sources[i] {
			return fmt.Errorf("source %d is %q in its rows and %q in its facts", i, x.sources[i], s.Name)
		}
		if found[i] != [2]int{s.Services, s.Pages} {
			return fmt.Errorf("source %q has %d services and %d pages, its facts say %d and %d", s.Name, found[i][0], found[i][1], s.Services, s.Pages)
		}
	}
	for land, found := range x.byLand {
		said := [2]int{}
		for i := range m.Sources {
			said[0], said[1] = said[0]+m.Sources[i].Lands[land].Services, said[1]+m.Sources[i].Lands[land].Pages
		}
		if found != said {
			return fmt.Errorf("the Land %02d has %d services and %d pages, its facts say %d and %d", land, found[0], found[1], said[0], said[1])
		}
	}
	return nil
}
