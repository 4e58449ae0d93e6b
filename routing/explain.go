// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// maxNearAdoptions is how many adoptions elsewhere an explanation names.
const maxNearAdoptions = 5

// Explain is Resolve with everything that led to the decision. It runs the same code and allocates.
func (t *Table) Explain(q *Query, asked Asked) *Explanation {
	d, rows, rec := t.record(q)
	e := &Explanation{
		Query: *q, Asked: asked, Decision: d, Keys: rec.keys, Chain: t.areas.Chain(nil, q.Area),
		Overrides: len(t.overrides), t: t,
	}
	if rec.differs {
		e.inside = &rec.inside
	}
	if d.Verdict == Handover {
		url, _ := t.AppendURL(nil, q, &d) // Resolve has ruled an error out
		e.URL = string(url)
	}
	var w walker
	w.ask(t, q, nil)
	for i := w.matching(q, 0); i >= 0; i = w.matching(q, i+1) {
		e.Matched = append(e.Matched, t.overrides[i].id)
	}
	for i := range rows {
		e.Candidates = append(e.Candidates, t.considered(q, &rows[i], i+1))
	}
	if d.Verdict == NotJoined {
		e.adoptions(rows)
	}
	return e
}

func (t *Table) considered(q *Query, s *settled, n int) Considered {
	c := Considered{
		N: n, Outcome: s.outcome, Why: s.why, Row: t.Row(RowID(s.row)), Area: registry.AreaID(s.area),
	}
	c.Title = t.rowTitle(c.Row.Leistung, s.at)
	if s.why == WhyExpired {
		c.Ended = time.Unix(0, s.ended).In(registry.Berlin())
	}
	if s.closed() {
		c.Offer, _ = t.offerBehind(q, s)
	}
	return c
}

// adoptions fills in who did join, if the asked area did not.
func (e *Explanation) adoptions(rows []settled) {
	t := e.t
	i := slices.IndexFunc(rows, func(s settled) bool { return s.closed() })
	if i < 0 {
		return
	}
	var live []uint32
	e.Offer, live = t.offerBehind(&e.Query, &rows[i])
	e.Joined = len(live)
	land := t.places.At(uint32(e.Query.Area)).Land()
	seen := map[*adoption]bool{}
	for _, row := range live {
		r := t.Row(RowID(row))
		if land != 0 && t.places.At(uint32(r.Area)).Land() != land {
			continue
		}
		if len(e.NearAdoptions) < maxNearAdoptions {
			e.NearAdoptions = append(e.NearAdoptions, r.AreaKey)
		}
		a := t.adoptionOf(row)
		inChain := slices.ContainsFunc(rows, func(s settled) bool { return s.row == row })
		if inChain || seen[a] || len(e.Aside) == maxNearAdoptions {
			continue
		}
		seen[a] = true
		r.Origin = a.origin
		e.Aside = append(e.Aside, Considered{N: len(rows) + len(e.Aside) + 1, Row: r, Area: r.Area})
	}
}

// areaKey is an area's key, "00" for the Bund.
func (t *Table) areaKey(id registry.AreaID) string {
	return cmp.Or(t.areas.ARS(id).String(), "00")
}

// short is an area's everyday name.
func (t *Table) short(id registry.AreaID) string {
	if id == registry.Bund {
		return "Bund"
	}
	return t.areas.Area(id).Short()
}

// placed is "Gemeinde 065340014014 Marburg, Universitätsstadt".
func (t *Table) placed(id registry.AreaID) string {
	if id == registry.Bund {
		return "Bund"
	}
	a := t.areas.Area(id)
	return a.ARS.Level().String() + " " + a.ARS.String() + " " + a.Name
}

// sameAs are the other keys of an area's territory, if one of them is that of a Kreis or above: a Gemeindeverband of
// one Gemeinde surprises nobody (R3).
func (t *Table) sameAs(id registry.AreaID) []registry.ARS {
	if id == registry.Bund {
		return nil
	}
	same := t.areas.SameAs(id)
	if len(same) == 0 || same[0].Level() > registry.LevelKreis {
		return nil
	}
	return same
}

// title of the asked Leistung, "" if unknown.
func (e *Explanation) title() string { return e.t.cat.Title(e.Query.Leistung) }

// detail says in words what a loser's cause does not; "" if the cause says it all.
func (e *Explanation) detail(c *Considered) string {
	t := e.t
	switch c.Why {
	case WhyLessLocal:
		return t.areaKey(e.Decision.Area) + " is deeper"
	case WhyNotYet:
		return "from " + date(c.Row.Begin)
	case WhyOtherKey:
		return c.Row.Leistung.String()
	case WhyLeft:
		return "the adoption takes " + t.short(e.Query.Area) + " out"
	case WhySourceOrder:
		return t.sourceName(c.Row.Source) + " comes after " + t.sourceName(t.Row(e.winner()).Source)
	case WhyAlias:
		return "registered at " + c.Row.AreaKey
	case WhyRole:
		return "role " + c.Row.Role
	}
	return ""
}

// winner is the first winner's row; only asked if there is one.
func (e *Explanation) winner() RowID {
	if len(e.Candidates) > 0 {
		return e.Candidates[0].Row.ID
	}
	return NoRow
}

func (t *Table) sourceName(i int) string {
	if i < len(t.sources) {
		return t.sources[i]
	}
	return "source " + string(rune('0'+i%10))
}

// lost is the detail column of the text.
func (e *Explanation) lost(c *Considered) string {
	switch c.Why {
	case WhyNotJoined:
		if len(e.NearAdoptions) == 0 {
			return "not_joined: no adoption covers " + e.t.short(e.Query.Area)
		}
		list := strings.Join(e.NearAdoptions, ", ")
		if e.Joined > len(e.NearAdoptions) {
			list += ", …"
		}
		return "not_joined: adoptions " + list + " do not cover " + e.t.areaKey(e.Query.Area)
	case WhyExpired:
		return "expired " + lastDay(c.Ended)
	}
	if d := e.detail(c); d != "" {
		return c.Why.String() + ": " + d
	}
	return c.Why.String()
}
