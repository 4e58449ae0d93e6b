// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
)

// rivalOffers warns of areas that adopt one Leistung from two offers: neither
// goes before the other (R10), so the citizen is asked to choose.
func rivalOffers(built *routes, now time.Time) config.Errors {
	type place struct {
		leistung registry.Leistung
		area     registry.AreaID
	}
	type pair struct{ a, b string }
	type rivals struct {
		places int
		first  place
		at     *registry.Adoption
	}
	seen := map[place][]*registry.Adoption{}
	found := map[pair]*rivals{}
	eachAdopted(built, now, func(a *registry.Adoption, l registry.Leistung, area registry.AreaID) {
		p := place{l, area}
		for _, other := range seen[p] {
			if other.Offer == a.Offer || !together(built.offers, a, other) {
				continue
			}
			k := pair{min(a.Offer, other.Offer), max(a.Offer, other.Offer)}
			r := found[k]
			if r == nil {
				r = &rivals{first: p, at: a}
				found[k] = r
			}
			if r.places++; p.area < r.first.area || p.area == r.first.area && l.Compare(r.first.leistung) < 0 {
				r.first, r.at = p, a
			}
		}
		seen[p] = append(seen[p], a)
	})
	var out config.Errors
	for k, r := range found {
		area := built.areas.Area(r.first.area)
		out = append(out, config.At(configOrigin(r.at.Origin), "offers %s and %s are both adopted in %s for one leistung, the first %s %s for %s: the citizen is asked to choose; narrow one adoption by leistungen: or without:",
			k.a, k.b, counted(r.places, "place", "places"), area.ARS, area.Short(), r.first.leistung))
	}
	slices.SortFunc(out, func(a, b *config.Error) int { return strings.Compare(a.Text, b.Text) })
	return out
}

// eachAdopted visits what adoptions that are live and not over open: each
// Leistung in each area.
func eachAdopted(built *routes, now time.Time, visit func(a *registry.Adoption, l registry.Leistung, area registry.AreaID)) {
	for i := range built.adoptions {
		a := &built.adoptions[i]
		o := offerNamed(built.offers, a.Offer)
		if o == nil || o.State != registry.Live || a.State != registry.Live || ended(o.End, now) || ended(a.End, now) {
			continue
		}
		for l := range o.Leistungen {
			if !a.Adopts(l) {
				continue
			}
			for _, at := range a.Areas {
				visit(a, l, at.Area)
			}
		}
	}
}

// together says whether two adoptions are in force at the same time at some time.
func together(offers []registry.Offer, a, b *registry.Adoption) bool {
	begin, end := time.Time{}, time.Time{}
	for _, s := range [...][2]time.Time{{a.Begin, a.End}, {b.Begin, b.End}, ofOffer(offers, a), ofOffer(offers, b)} {
		if s[0].After(begin) {
			begin = s[0]
		}
		if end.IsZero() || !s[1].IsZero() && s[1].Before(end) {
			end = s[1]
		}
	}
	return end.IsZero() || begin.Before(end)
}

func ofOffer(offers []registry.Offer, a *registry.Adoption) [2]time.Time {
	o := offerNamed(offers, a.Offer)
	return [2]time.Time{o.Begin, o.End}
}
