// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"slices"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// What an answer tells beyond its target. All of this allocates and is for answers that have none.

// Candidates are the equal targets of an Ambiguous decision, sorted by title, then URL, as registered (R10); or the
// organisation units between which a template that requires one cannot decide (R11).
func (t *Table) Candidates(q *Query, d *Decision) []Candidate {
	if d.Verdict != Ambiguous {
		return nil
	}
	again, rows, _ := t.record(q)
	var list []Candidate
	for i := range rows {
		if rows[i].outcome == Tied {
			list = append(list, t.candidate(q, &again, rows[i].at))
		}
	}
	return list
}

// candidate is one row as if it alone had won.
func (t *Table) candidate(q *Query, d *Decision, at index.At) Candidate {
	one := *d
	one.Verdict, one.Row, one.Backend, one.url, one.native = Handover, RowID(at.Row), t.traitsOf(at.Row).backendID(), 0, at.Area
	one.oe, one.lb, one.od = t.contextOf(at.Row)
	made := Candidate{
		Title: t.rowTitle(one.Key, at), Backend: one.Backend, OE: t.id(one.oe), Row: one.Row, Refused: t.refusedAt(at),
	}
	url, err := t.AppendURL(nil, q, &one)
	made.URL = string(url)
	if err != nil && made.Refused == "" {
		made.Refused = err.Error()
	}
	return made
}

// rowTitle is what a row is called: its title, the catalogue's, the backend's name.
func (t *Table) rowTitle(l registry.Leistung, at index.At) string {
	return cmp.Or(t.titleAt(at), t.cat.Title(l), t.BackendName(t.traitsOf(at.Row).backendID()))
}

// Choices are the areas of the next level down inside the asked one (R12), in order of their keys. A level at which
// there is nothing to choose is skipped.
func (t *Table) Choices(q *Query) []registry.AreaID {
	var w walker
	w.ask(t, q, nil)
	for at := uint32(q.Area); ; {
		var list []registry.AreaID
		for id := at + 1; id < t.places.End(at); id = t.places.End(id) {
			if w.inForce(id) {
				list = append(list, registry.AreaID(id))
			}
		}
		if len(list) != 1 || t.places.End(uint32(list[0])) == uint32(list[0])+1 {
			return list
		}
		at = uint32(list[0])
	}
}

const (
	maxNear  = 5  // other keys that an answer names (R13)
	maxTried = 50 // of those with the same eight digits; each costs a decision
)

// Near are at most five other keys with the same first eight digits that lead somewhere for the same question (R13),
// ascending.
func (t *Table) Near(q *Query) []registry.Leistung {
	if q.Leistung.IsZero() {
		return nil
	}
	group := q.Leistung.Number() / 1e6
	t = t.Bulk() // a look-up for help would be dear
	var list []registry.Leistung
	tried := 0
	for l := range t.leistungenFrom(group * 1e6) {
		if tried++; l.Number()/1e6 != group || tried > maxTried || len(list) == maxNear {
			break
		}
		other := *q
		other.Leistung = l
		if l == q.Leistung {
			continue
		}
		if d := t.Resolve(&other); d.Verdict == Handover || d.Verdict == Ambiguous {
			list = append(list, l)
		}
	}
	return list
}

// HelpFor is what the Land of the area offers where nothing is found (R13), with defaults filled in: Portal may be "".
func (t *Table) HelpFor(area registry.AreaID) Help {
	h := t.help[t.places.At(uint32(area)).Land()]
	h.Phone = cmp.Or(h.Phone, "115")
	h.Title = cmp.Or(h.Title, hostOf(h.Portal))
	return h
}

// NotJoined names the offer behind a not_joined or a NoteNotJoined, and how many areas have a live adoption of it.
func (t *Table) NotJoined(q *Query) (offer string, joined int) {
	_, rows, _ := t.record(q)
	for i := range rows {
		if rows[i].closed() {
			name, live := t.offerBehind(q, &rows[i])
			return name, len(live)
		}
	}
	return "", 0
}

// offerBehind is the offer that a row to a closed backend belongs to, and the rows of its live adoptions for the same
// Leistung in order of area.
func (t *Table) offerBehind(q *Query, s *settled) (name string, live []uint32) {
	h := t.traitsOf(s.row)
	at := index.Nanos(q.At)
	if n := t.policy.grid.Find(s.at.Leistung); n != none {
		for row := t.policy.blocks[n].first; row < t.policy.blocks[n].end; row++ {
			row := t.policy.first + row
			o := t.traitsOf(row)
			if o.flags&flagAdopted == 0 || o.backend != h.backend {
				continue
			}
			if name == "" {
				name = t.offers[t.adoptionOf(row).offer].name
			}
			if t.spanOf(o).Has(at) {
				live = append(live, row)
			}
		}
		slices.SortStableFunc(live, func(a, b uint32) int { return cmp.Compare(t.own(a).area, t.own(b).area) })
	}
	for i := range t.offers {
		if name == "" && t.offers[i].live && t.offers[i].backend == h.backendID() {
			name = t.offers[i].name
		}
	}
	return name, live
}

// adoptionOf is what made a row with flagAdopted.
func (t *Table) adoptionOf(row uint32) *adoption {
	return &t.adoptions[t.extraOf(t.own(row)).adoption-1]
}

// Successors of what has ended: the Leistung's own by the catalogue (R8), and that of the offer (S66); zero and "" if
// there is none.
func (t *Table) Successors(q *Query) (registry.Leistung, string) {
	_, rows, _ := t.record(q)
	offer := ""
	for i := range rows {
		h := t.traitsOf(rows[i].row)
		if rows[i].why != WhyExpired || h.flags&flagClosed == 0 || offer != "" {
			continue
		}
		if h.flags&flagAdopted != 0 {
			offer = t.offers[t.adoptionOf(rows[i].row).offer].successor
			continue
		}
		for j := range t.offers {
			if t.offers[j].live && t.offers[j].backend == h.backendID() && offer == "" {
				offer = t.offers[j].successor
			}
		}
	}
	return t.successor(q.Leistung), offer
}

// GoneWhy is the text of the override that answered Gone.
func (t *Table) GoneWhy(d *Decision) string {
	if o := t.overrideByID(d.Override); o != nil {
		return o.gone
	}
	return ""
}

func (t *Table) overrideByID(id int32) *override {
	for i := range t.overrides {
		if t.overrides[i].id == id {
			return &t.overrides[i]
		}
	}
	return nil
}

// Blocked is why the target of a TargetRefused decision is refused, and where it was read.
func (t *Table) Blocked(d *Decision) (cause string, from registry.Origin) {
	if d.Row == NoRow {
		if o := t.overrideByID(d.Override); o != nil {
			return "the backend has no hosts and no entry leads there", o.origin
		}
		return "", registry.Origin{}
	}
	row := t.Row(d.Row)
	return cmp.Or(row.Refused, registry.ErrEmptyValue.Error()), row.Origin
}
