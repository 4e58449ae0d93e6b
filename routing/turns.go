// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"fmt"
	"slices"

	"github.com/pvgate/pvgate/registry"
)

// A comparison or a count over all Gemeinden need not ask each of them: what a Leistung's answer depends on lies at few
// areas, its turns. Two Gemeinden without a dated change about them that lie in the same turns get the same answer, but
// for what a template makes of the Gemeinde's own key.

// appendTurns appends the areas at which the answers to one key can change: those of its rows, and those that the
// adoptions among them take out. In any order; an area may come twice.
func (t *Table) appendTurns(dst []uint32, l registry.Leistung) []uint32 {
	if l.IsZero() {
		return dst
	}
	at := t.find(l)
	if n := at[partIndex]; n != none {
		for area := range t.index.All(n) {
			dst = append(dst, area)
		}
	}
	if n := at[partPolicy]; n != none {
		last := int32(0)
		b := &t.policy.blocks[n]
		for i := range t.policy.rows[b.first:b.end] {
			r := &t.policy.rows[int(b.first)+i]
			dst = append(dst, r.area)
			if a := t.extraOf(r).adoption; a != 0 && a != last {
				dst = append(dst, t.adoptions[a-1].without...)
				last = a
			}
		}
	}
	return dst
}

// appendTurnsOf appends all turns of a Leistung, which is asked by one sender: also those of the keys that may stand in
// for it (R8) and of the overrides about it (R6).
func (t *Table) appendTurnsOf(dst []uint32, l registry.Leistung, sender string) []uint32 {
	dst = t.appendTurns(dst, l)
	if s := t.successor(l); !s.IsZero() && s != l {
		dst = t.appendTurns(dst, s)
	}
	if p := l.Parent(); p != l && slices.Contains(t.parentKey[:], true) {
		dst = t.appendTurns(dst, p)
	}
	for i := range t.overrides {
		if o := &t.overrides[i]; o.about(l) && (o.sender == "" || o.sender == sender) {
			dst = append(dst, o.area)
		}
	}
	return dst
}

// lands are the Bund and the Länder: turns of every Leistung, since parent_key is said for a Land (R8).
func (t *Table) lands() (list []uint32) {
	for id := range uint32(t.areas.Len()) {
		if t.areas.ARS(registry.AreaID(id)).Level() <= registry.LevelLand {
			list = append(list, id)
		}
	}
	return list
}

// questions are the keys that somebody may ask for and get different answers: those that have rows, those of the
// catalogue, and those that an override names. Ascending.
func questions(tables ...*Table) []registry.Leistung {
	var list []registry.Leistung
	for _, t := range tables {
		list = append(list, t.Leistungen()...)
		t.cat.All(func(l registry.Leistung, _ registry.LeistungInfo) { list = append(list, l) })
		for i := range t.overrides {
			if o := &t.overrides[i]; o.length == 14 {
				if l, err := registry.ParseLeistung(fmt.Sprintf("%014d", o.leistung)); err == nil {
					list = append(list, l)
				}
			}
		}
	}
	slices.SortFunc(list, registry.Leistung.Compare)
	return slices.Compact(list)
}

// sweep goes over the numbered Gemeinden in runs of which each lies in the same turns. within gives the numbers of the
// Gemeinden in an area, turns ascend by id and begin with the Bund, so that what contains comes before what is inside.
// answer is asked once for each area that has Gemeinden of its own, about the first of them; emit gets the runs in order.
func sweep[A any](turns []uint32, within func(area uint32) (first, end uint32), answer func(number uint32) A, emit func(first, end uint32, a A)) {
	type open struct {
		end  uint32
		done bool
		a    A
	}
	var stack [2 * nDepths]open
	depth, at := 0, uint32(0)
	upTo := func(next uint32) {
		if next <= at {
			return
		}
		top := &stack[depth-1]
		if !top.done {
			top.a, top.done = answer(at), true
		}
		emit(at, next, top.a)
		at = next
	}
	for _, id := range turns {
		first, end := within(id)
		if first == end {
			continue
		}
		for depth > 0 && stack[depth-1].end <= first {
			upTo(stack[depth-1].end)
			depth--
		}
		if depth > 0 {
			upTo(first)
		}
		stack[depth] = open{end: end}
		depth++
	}
	for ; depth > 0; depth-- {
		upTo(stack[depth-1].end)
	}
}
