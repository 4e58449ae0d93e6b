// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"slices"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// closedRows warns of what an operator easily overlooks: an offer closes its
// backend (R9), and with it every row that Kommunen already have there and for
// which nobody has written an adoption. Rows above the Kreise are meant to be
// closed so; they are not counted.
func closedRows(built *routes, now time.Time) config.Errors {
	if len(built.offers) == 0 {
		return nil
	}
	type count struct {
		rows  int
		first routing.Row
	}
	counts := make([]count, len(built.offers))
	for id := range built.table.Rows() {
		row := built.table.Row(routing.RowID(id))
		if row.Offer != "" || !built.table.Closed(row.Backend) || !liveAt(row.Begin, row.End, now) || row.Inactive ||
			built.areas.ARS(row.Area).Level() < registry.LevelKreis || adopted(built, &row, now) {
			continue
		}
		c := &counts[closedBy(built, &row)]
		if c.rows++; c.rows == 1 {
			c.first = row
		}
	}
	var out config.Errors
	for i, c := range counts {
		if c.rows == 0 {
			continue
		}
		o := &built.offers[i]
		out = append(out, config.At(configOrigin(o.Origin), "offer %s would close %d live rows without an adoption, the first at %s (leistung %s, area %s); add adoptions for them",
			o.Name, c.rows, c.first.Origin, c.first.Leistung, built.areas.ARS(c.first.Area)))
	}
	return out
}

func liveAt(begin, end, t time.Time) bool {
	return (begin.IsZero() || !t.Before(begin)) && (end.IsZero() || t.Before(end))
}

// closedBy is the offer that closes a row's backend: the one with its Leistung,
// else the first that names the backend.
func closedBy(built *routes, row *routing.Row) int {
	name, found := built.table.BackendName(row.Backend), -1
	for i := range built.offers {
		o := &built.offers[i]
		if o.Backend != name {
			continue
		}
		if _, has := o.Leistungen[row.Leistung]; has {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}

// adopted reports whether a live adoption opens the row's backend in its area.
func adopted(built *routes, row *routing.Row, now time.Time) bool {
	name := built.table.BackendName(row.Backend)
	inside := func(outer registry.AreaID) bool { return built.areas.Contains(outer, row.Area) }
	for i := range built.adoptions {
		a := &built.adoptions[i]
		o := slices.IndexFunc(built.offers, func(o registry.Offer) bool { return o.Name == a.Offer })
		if o < 0 || built.offers[o].Backend != name || !liveAt(built.offers[o].Begin, built.offers[o].End, now) || !liveAt(a.Begin, a.End, now) {
			continue
		}
		if _, has := built.offers[o].Leistungen[row.Leistung]; !has || len(a.Leistungen) > 0 && !slices.Contains(a.Leistungen, row.Leistung) {
			continue
		}
		if slices.ContainsFunc(a.Areas, func(at registry.AdoptedArea) bool { return inside(at.Area) }) && !slices.ContainsFunc(a.Without, inside) {
			return true
		}
	}
	return false
}
