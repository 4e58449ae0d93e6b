// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"errors"
	"math/bits"
	"slices"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Moment is a table at a time.
type Moment struct {
	Table *Table
	At    time.Time
}

// NoArea is the area of a [Plot] at a moment that has no such Gemeinde.
const NoArea registry.AreaID = none

// Plot is a piece of land that lies in one Gemeinde at each of two moments: most plots are a Gemeinde that stays what it
// is. A Gemeinde that gets another key is one plot; two that are merged are two, and so are the parts of one that is
// divided.
type Plot struct {
	Old, New registry.AreaID // in the areas of the two tables, or NoArea
	// Inhabitants at the old moment, or at the new one where only that knows them; 0 if neither does.
	Inhabitants int
}

// plots are the plots of two moments by number. Plain ones come first, in the order of their old areas: no dated change is
// about them, and the areas around them have the same keys in both tables.
type plots struct {
	old, new     Moment
	list         []Plot
	plain        uint32
	before       []uint32 // by old area: the number of plain plots in areas before it
	toNew, toOld []uint32 // by area: the other table's area with the same key, or none
	people       []int    // by number: the inhabitants of all plots before it
}

// layOut finds the plots of two moments.
func layOut(old, new Moment) *plots {
	p := &plots{old: old, new: new}
	p.toNew, p.toOld = translate(old.Table.areas, new.Table.areas), translate(new.Table.areas, old.Table.areas)
	hasOld, hasNew := make([]bool, len(p.toNew)), make([]bool, len(p.toOld))
	var others []Plot
	add := func(list *[]Plot, a, b registry.AreaID) {
		*list = append(*list, Plot{Old: a, New: b})
		hasOld[a], hasNew[b] = true, true
	}
	for a := range registry.AreaID(len(p.toNew)) {
		p.before = append(p.before, uint32(len(p.list)))
		if !old.isGemeinde(a) {
			continue
		}
		if p.stays(uint32(a)) {
			add(&p.list, a, registry.AreaID(p.toNew[a]))
			continue
		}
		for _, b := range new.find(old.Table.areas.ARS(a)) {
			add(&others, a, b)
		}
	}
	p.before = append(p.before, uint32(len(p.list)))
	p.plain = uint32(len(p.list))
	for b := range registry.AreaID(len(p.toOld)) {
		if hasNew[b] || !new.isGemeinde(b) {
			continue
		}
		from := old.find(new.Table.areas.ARS(b)) // the new moment may be the earlier one
		for _, a := range from {
			add(&others, a, b)
		}
		if len(from) == 0 {
			others = append(others, Plot{Old: NoArea, New: b})
		}
	}
	for a := range registry.AreaID(len(p.toNew)) {
		if !hasOld[a] && old.isGemeinde(a) {
			others = append(others, Plot{Old: a, New: NoArea})
		}
	}
	slices.SortFunc(others, func(x, y Plot) int { return cmp.Or(cmp.Compare(x.Old, y.Old), cmp.Compare(x.New, y.New)) })
	p.list = append(p.list, others...)
	p.count()
	return p
}

// isGemeinde says whether an area is a Gemeinde that exists at the moment.
func (m Moment) isGemeinde(id registry.AreaID) bool {
	areas := m.Table.areas
	return areas.ARS(id).Level() == registry.LevelGemeinde && !areas.Retired(id, m.At) && !areas.Future(id, m.At)
}

// find lists the Gemeinden that a Gemeinde's key means at the moment.
func (m Moment) find(key registry.ARS) []registry.AreaID {
	var ids []registry.AreaID
	place, err := m.Table.areas.Locate(key.String(), m.At, registry.LocateOptions{})
	if split := (*registry.SplitArea)(nil); errors.As(err, &split) {
		ids = slices.Clone(split.Choices)
	} else if err == nil {
		ids = append(ids, place.ID)
	}
	return slices.DeleteFunc(ids, func(id registry.AreaID) bool { return !m.isGemeinde(id) })
}

// translate finds for each area the one of others with the same key, or none.
func translate(areas, others *registry.Areas) []uint32 {
	to := make([]uint32, areas.Len())
	i := registry.AreaID(0) // both ascend by key
	for id := range to {
		key := areas.ARS(registry.AreaID(id))
		for int(i) < others.Len() && others.ARS(i).Compare(key) < 0 {
			i++
		}
		to[id] = none
		if int(i) < others.Len() && others.ARS(i) == key {
			to[id] = uint32(i)
		}
	}
	return to
}

// stays says whether an old area is a plain plot.
func (p *plots) stays(a uint32) bool {
	old, new := p.old.Table, p.new.Table
	b := p.toNew[a]
	if b == none || old.isDated(a) || new.isDated(b) {
		return false
	}
	for a != 0 {
		if p.toNew[a] != b {
			return false
		}
		a, b = uint32(old.areas.Parent(registry.AreaID(a))), uint32(new.areas.Parent(registry.AreaID(b)))
	}
	return b == 0
}

// count fills in the inhabitants.
func (p *plots) count() {
	parts := map[[2]registry.AreaID]int{} // {area, 0} of the old moment, {area, 1} of the new: its plots
	for _, x := range p.list[p.plain:] {
		parts[[2]registry.AreaID{x.Old, 0}]++
		parts[[2]registry.AreaID{x.New, 1}]++
	}
	of := func(m Moment, id, which registry.AreaID) int {
		if id == NoArea || parts[[2]registry.AreaID{id, which}] > 1 {
			return 0 // nobody knows who lives in which part
		}
		return m.Table.areas.Inhabitants(id, m.At)
	}
	p.people = make([]int, 1, len(p.list)+1)
	for i := range p.list {
		x := &p.list[i]
		x.Inhabitants = cmp.Or(of(p.old, x.Old, 0), of(p.new, x.New, 1))
		p.people = append(p.people, p.people[i]+x.Inhabitants)
	}
}

// within gives the numbers of the plain plots in an old area: first ≤ n < end.
func (p *plots) within(area uint32) (first, end uint32) {
	_, after := p.old.Table.areas.Inside(registry.AreaID(area))
	return p.before[area], p.before[after]
}

// land is a plot's Land, 1 to 16.
func (p *plots) land(number uint32) uint8 {
	if x := p.list[number]; x.Old != NoArea {
		return p.old.Table.areas.LandOf(x.Old)
	}
	return p.new.Table.areas.LandOf(p.list[number].New)
}

// turnSet collects the turns of one Leistung as a set of old areas.
type turnSet struct {
	words   []uint64
	scratch []uint32
	list    []uint32
}

func newTurnSet(areas *registry.Areas) *turnSet {
	return &turnSet{words: make([]uint64, areas.Len()/64+1)}
}

// add takes areas up that appendTurnsOf has put into scratch; to translates them if it is not nil.
func (s *turnSet) add(to []uint32) {
	for _, id := range s.scratch {
		if to != nil {
			if id = to[id]; id == none {
				continue // no plain plot lies in it
			}
		}
		s.words[id/64] |= 1 << (id % 64)
	}
	s.scratch = s.scratch[:0]
}

// take gives the areas in order and empties the set. The list is valid until the next take.
func (s *turnSet) take() []uint32 {
	s.list = s.list[:0]
	for i, w := range s.words {
		for ; w != 0; w &= w - 1 {
			s.list = append(s.list, uint32(i*64+bits.TrailingZeros64(w)))
		}
		s.words[i] = 0
	}
	return s.list
}
