// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// closedRows warns of what an operator easily overlooks: an offer closes its
// backend (R9), and with it every row that Kommunen already have there and for
// which nobody has written an adoption.
func closedRows(built *routes, now time.Time) config.Errors {
	type count struct {
		rows  int
		first routing.Row
	}
	counts := make([]count, len(built.offers))
	eachClosed(built, now, func(backend string, row *routing.Row) {
		c := &counts[closedBy(built.offers, backend, row.Leistung)]
		if c.rows++; c.rows == 1 {
			c.first = *row
		}
	})
	var out config.Errors
	for i, c := range counts {
		if c.rows == 0 {
			continue
		}
		o := &built.offers[i]
		when := ""
		if o.State != registry.Live {
			when = fmt.Sprintf(" once it is live (it is %s)", o.State)
		}
		out = append(out, config.At(configOrigin(o.Origin), "offer %s would close %s without an adoption%s, the first at %s (leistung %s, area %s); pvgate marktplatz adopt --from-registry %s prints adoptions for them",
			o.Name, counted(c.rows, "live row", "live rows"), when, c.first.Origin, c.first.Leistung, built.areas.ARS(c.first.Area), o.Name))
	}
	return out
}

// eachClosed visits the live rows that an offer closes, or will once it is
// live, because no adoption covers them. Rows above the Kreise are meant to be
// closed so; they are left out. The row is the visitor's only until it returns.
func eachClosed(built *routes, now time.Time, visit func(backend string, row *routing.Row)) {
	if len(built.offers) == 0 {
		return
	}
	offered := map[string]bool{}
	for i := range built.offers {
		offered[built.offers[i].Backend] = true
	}
	names := make([]bool, built.table.Backends())
	for id := range names {
		names[id] = offered[built.table.BackendName(routing.BackendID(id))]
	}
	open := coversOf(built, now)
	offers := func(id routing.BackendID) bool { return id != routing.NoBackend && names[id] }
	for row := range built.table.RowsTo(offers) {
		if row.Offer != "" || row.Inactive || !liveAt(row.Begin, row.End, now) ||
			built.areas.ARS(row.Area).Level() < registry.LevelKreis {
			continue
		}
		if backend := built.table.BackendName(row.Backend); !open.cover(built.areas, backend, row.Leistung, row.Area) {
			visit(backend, &row)
		}
	}
}

func liveAt(begin, end, t time.Time) bool {
	return (begin.IsZero() || !t.Before(begin)) && (end.IsZero() || t.Before(end))
}

// closedBy is the offer that closes a backend to a Leistung: the one that has
// it, else the first that names the backend, live ones before the others.
func closedBy(offers []registry.Offer, backend string, l registry.Leistung) int {
	found, best := -1, 0
	for i := range offers {
		o := &offers[i]
		if o.Backend != backend {
			continue
		}
		rank := 1
		if _, has := o.Leistungen[l]; has {
			rank += 2
		}
		if o.State == registry.Live {
			rank++
		}
		if rank > best {
			found, best = i, rank
		}
	}
	return found
}

// covers are the places at which live adoptions open backends.
type covers map[coverKey][]*registry.Adoption

type coverKey struct {
	backend  string
	leistung registry.Leistung
	area     registry.AreaID
}

// coversOf lists what is open, or will be once its offer is live.
func coversOf(built *routes, now time.Time) covers {
	out := covers{}
	for i := range built.adoptions {
		a := &built.adoptions[i]
		o := offerNamed(built.offers, a.Offer)
		if o == nil || a.State != registry.Live || !liveAt(a.Begin, a.End, now) || o.State == registry.Live && !liveAt(o.Begin, o.End, now) {
			continue
		}
		for l := range o.Leistungen {
			if !a.Adopts(l) {
				continue
			}
			for _, at := range a.Areas {
				k := coverKey{o.Backend, l, at.Area}
				out[k] = append(out[k], a)
			}
		}
	}
	return out
}

// cover says whether an adoption opens the backend for a Leistung in an area.
func (c covers) cover(areas *registry.Areas, backend string, l registry.Leistung, area registry.AreaID) bool {
	inside := func(outer registry.AreaID) bool { return areas.Contains(outer, area) }
	for up := area; ; up = areas.Parent(up) {
		for _, a := range c[coverKey{backend, l, up}] {
			if !slices.ContainsFunc(a.Without, inside) {
				return true
			}
		}
		if up == registry.Bund {
			return false
		}
	}
}

func offerNamed(offers []registry.Offer, name string) *registry.Offer {
	i := slices.IndexFunc(offers, func(o registry.Offer) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return &offers[i]
}

func ended(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }
