// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// R12: an answer for an area above Gemeinde must hold everywhere inside. One range scan per key over the groups
// strictly inside, which are neighbours in the index, and a look at the overrides and at the areas that the winner's
// adoption takes out.

// differs says whether some area strictly inside the asked one would be answered with another target. r and won are
// what the walk found, for an override what the walk to its backend did; answered is the place of the override that
// answered, -1 if none did.
func (w *walker) differs(q *Query, d *Decision, r *result, won bool, answered int) bool {
	w.rec = nil
	first, end := w.area+1, w.t.places.End(w.area)
	switch {
	case first >= end:
		return false
	case w.overriddenInside(q, d, answered):
		return true
	case !won && answered >= 0:
		return false // the override answers the whole area whatever rows there are
	case !won:
		return w.rowInside(first, end, w.nKeys-1, nowhere, false) || w.parentInside(q.Leistung)
	}
	h := w.t.traitsOf(r.row)
	if !r.tied && h.flags&flagClosed != 0 && w.holeInside(q, r) {
		return true
	}
	same := r.place(w.keys[r.key])
	if d.Verdict == Ambiguous {
		same = nowhere // no single answer: any candidate inside is another one
	}
	if r.key > 0 && w.keys[r.key] == w.t.successor(q.Leistung) && w.liveInside(first, end) {
		return true
	}
	return w.rowInside(first, end, r.key, same, h.flags&flagPage == 0)
}

// overriddenInside looks for an override strictly inside that outranks the answer and says something else.
func (w *walker) overriddenInside(q *Query, d *Decision, answered int) bool {
	for i := range w.t.overrides {
		if i == answered {
			return false // the rest rank lower
		}
		o := &w.t.overrides[i]
		if !o.applies(q, w.at) || !w.isInside(o.area) {
			continue
		}
		if answered >= 0 {
			a := &w.t.overrides[answered]
			if a.gone != o.gone || a.text != o.text {
				w.found = inside{area: o.area, row: none, override: o.id}
				return true
			}
			continue
		}
		same := d.Verdict == Handover && o.gone == "" && len(o.weights) == 0 &&
			o.backend == d.Backend && (o.url == 0 || w.t.leadsTo(d, o.url))
		if !same {
			w.found = inside{area: o.area, row: none, override: o.id}
			return true
		}
	}
	return false
}

// isInside says whether a native area is, at the asked time, strictly inside the walker's.
func (w *walker) isInside(native uint32) bool {
	t := w.t
	if !t.isDated(native) {
		return native > w.area && native < t.places.End(w.area)
	}
	if w.strictly(native) && w.inForce(native) {
		return true
	}
	for _, to := range t.turned {
		if w.strictly(to) && w.means(native, to) {
			return true
		}
	}
	return false
}

func (w *walker) strictly(id uint32) bool { return id > w.area && id < w.t.places.End(w.area) }

// inForce says whether an area's own key means it at the asked time (R4).
func (w *walker) inForce(id uint32) bool {
	return !w.t.isDated(id) ||
		!w.t.areas.Retired(registry.AreaID(id), w.time) && !w.t.areas.Future(registry.AreaID(id), w.time)
}

// means says whether the old area's key means the other one at the asked time (R4).
func (w *walker) means(old, to uint32) bool {
	for _, id := range w.t.areas.Formerly(registry.AreaID(to), w.time) {
		if uint32(id) == old {
			return true
		}
	}
	return false
}

// nowhere is the place of no row.
var nowhere = index.At{Row: none}

// rowInside looks for a candidate at the areas first ≤ x < end, among the walker's keys up to last, whose target is
// not the given one. A page of the last key counts only where a page won; any row of an earlier key would go before
// the winner.
func (w *walker) rowInside(first, end uint32, last int, same index.At, service bool) bool {
	for i := 0; i <= last; i++ {
		like := same
		if i < last {
			like = nowhere
		}
		if !w.begin(w.keys[i]) {
			continue
		}
		look := scan{same: like, noPages: service && i == last}
		for _, look.covered = range [2]bool{false, true} {
			for part := range partFound {
				if w.hasOther(part, &look) && w.anyInside(part, first, end, func(at, after, native, area uint32) bool {
					return w.otherTarget(at, after, native, area, &look)
				}) {
					return true
				}
			}
		}
	}
	return false
}

// scan is what rowInside looks for. Rows of a closed backend that need the cover of an adoption cost a walk each and
// are looked at last: a registry may have thousands of them inside, and most scans end before.
type scan struct {
	same    index.At // not this row's target; nowhere = any
	noPages bool
	covered bool // rows that need a cover, else all others
}

// hasOther says whether a part of the walked key may have what a scan looks for; if not, nothing need be looked at.
func (w *walker) hasOther(part int, look *scan) bool {
	t, n := w.t, w.block[part]
	switch {
	case n == none:
		return false
	case look.covered:
		return t.adopted(w.block) // if nobody has joined anywhere, what is closed is closed to all
	}
	like, open := uint32(none), true
	if part == partPolicy {
		like, open = t.policy.blocks[n].uniform, t.policy.blocks[n].open
	} else if row, pages := t.index.Uniform(n); row != none {
		closed := t.traitsOf(row).needsCover()
		if open = !closed || pages; !closed {
			like = row
		}
	}
	theOnly := look.noPages && look.same.Row != none && like != none &&
		t.sameTarget(index.At{Row: like, Leistung: w.key}, look.same) // the winner's target
	return open && !theOnly
}

// liveInside looks for a live row of the asked key, open or not: where one is, the successor is not asked (R8).
func (w *walker) liveInside(first, end uint32) bool {
	if !w.begin(w.keys[0]) {
		return false
	}
	for part := range partFound {
		if w.block[part] != none && w.anyInside(part, first, end, func(at, after, _, area uint32) bool {
			for row := at; row < after; row++ {
				if h := w.t.traitsOf(row); h.flags&flagInactive == 0 && w.t.spanOf(h).Has(w.at) {
					w.found = inside{area: area, row: row, override: -1}
					return true
				}
			}
			return false
		}) {
			return true
		}
	}
	return false
}

// anyInside shows the groups of a part of the walked key that count at an area of first ≤ id < end at the asked time,
// until one is seen. There is one group for each area at most.
func (w *walker) anyInside(part int, first, end uint32, seen func(at, after, native, area uint32) bool) bool {
	grid := w.t.grid(part)
	for area, group := range grid.Inside(w.block[part], first, end) {
		if !w.inForce(area) {
			continue
		}
		if at, after := w.t.rows(part, group); seen(at, after, area, area) {
			return true
		}
	}
	for _, to := range w.t.turned {
		if to < first || to >= end {
			continue
		}
		for _, old := range w.t.areas.Formerly(registry.AreaID(to), w.time) {
			if group := grid.Exact(w.block[part], uint32(old)); group != none {
				if at, after := w.t.rows(part, group); seen(at, after, uint32(old), to) {
					return true
				}
			}
		}
	}
	return false
}

// parentInside looks for a candidate of the parent key in Länder that allow it, where the asked area is the Bund:
// nothing was found for the whole, but something would be there.
func (w *walker) parentInside(asked registry.Leistung) bool {
	if w.area != uint32(registry.Bund) || w.t.parentKey[0] {
		return false
	}
	for land := w.area + 1; land < w.t.places.End(w.area); land = w.t.places.End(land) {
		if p := w.t.parentOf(asked, land); !p.IsZero() {
			w.keys[0] = p
			if w.rowInside(land, w.t.places.End(land), 0, nowhere, false) {
				return true
			}
		}
	}
	return false
}

// otherTarget looks through rows of a native area that count at area.
func (w *walker) otherTarget(first, end, native, area uint32, look *scan) bool {
	for row := first; row < end; row++ {
		h := w.t.traitsOf(row)
		if look.noPages && h.flags&flagPage != 0 || w.only != NoBackend && h.backend != uint32(w.only) ||
			look.covered != h.needsCover() ||
			look.same.Row != none && w.t.sameTarget(index.At{Row: row, Leistung: w.key, Area: native}, look.same) {
			continue
		}
		if w.isCandidate(row, h, area) {
			w.found = inside{area: area, row: row, override: -1}
			return true
		}
	}
	return false
}

// isCandidate says whether a row could win at an area.
func (w *walker) isCandidate(row uint32, h *traits, area uint32) bool {
	if h.flags&flagClosed == 0 { // the same everywhere
		why, _ := w.state(row, h)
		return why == WhyNone
	}
	there := *w
	there.area, there.dated = area, w.t.isDated(area)
	why, _ := there.state(row, h)
	return why == WhyNone
}

// holeInside looks for an area strictly inside that an adoption takes out of the winner's closed backend (R9), and
// where the walk ends elsewhere for it.
func (w *walker) holeInside(q *Query, r *result) bool {
	if !w.begin(w.keys[r.key]) {
		return false
	}
	backend := w.t.traitsOf(r.row).backend
	c := cursor{parts: partPolicy + 1}
	for c.next(w) {
		for row := c.first; row < c.end; row++ {
			h := w.t.traitsOf(row)
			if h.flags&flagAdopted == 0 || h.backend != backend || !w.t.spanOf(h).Has(w.at) || w.excluded(row) {
				continue
			}
			for _, out := range w.t.adoptionOf(row).without {
				if w.isInside(out) && w.elsewhere(q, out, r) {
					w.found = inside{area: out, row: none, override: -1}
					return true
				}
			}
		}
	}
	return false
}

// elsewhere says whether the walk for a native area, where that lies at the asked time, ends at another target.
func (w *walker) elsewhere(q *Query, native uint32, r *result) bool {
	if w.strictly(native) && w.inForce(native) && w.otherAt(q, native, r) {
		return true
	}
	for _, to := range w.t.turned {
		if w.strictly(to) && w.means(native, to) && w.otherAt(q, to, r) {
			return true
		}
	}
	return false
}

func (w *walker) otherAt(q *Query, area uint32, r *result) bool {
	there := walker{t: w.t, at: w.at, time: w.time, area: area, only: w.only, dated: w.t.isDated(area)}
	var got result
	won := there.walk(q.Leistung, &got)
	return !won || got.tied || !w.t.sameTarget(got.place(there.keys[got.key]), r.place(w.keys[r.key]))
}
