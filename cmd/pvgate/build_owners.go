// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
)

// ownedAreas are the owners of a configuration by their areas; nil if it has none.
type ownedAreas map[registry.AreaID]string

// owned reads the areas of the owners.
func (b *routesBuilder) owned() {
	o := b.cfg.Root.Ownership
	if o == nil {
		return
	}
	b.owners = ownedAreas{}
	for i := range o.Owners {
		id, ok := b.lookUp(o.Owners[i].V.Area)
		if !ok {
			continue
		}
		if other, twice := b.owners[id]; twice {
			b.fail(o.Owners[i].V.Area.Origin, "area %s is owner %s's already; one owner may have several keys", b.named(id), other)
			continue
		}
		b.owners[id] = o.Owners[i].Name.V
	}
}

// ownerOf is the deepest owner around an area; "" if it has none.
func (b *routesBuilder) ownerOf(id registry.AreaID) (owner string, area registry.AreaID) {
	for up := id; ; up = b.out.areas.Parent(up) {
		if name, ok := b.owners[up]; ok {
			return name, up
		}
		if up == registry.Bund {
			return "", 0
		}
	}
}

// signer holds that a file's area is the area of who signed it, and of no owner further down.
func (b *routesBuilder) signer(own fileArea) {
	if own.owner == "" {
		return
	}
	right, at := b.ownerOf(own.id)
	if right == own.owner {
		return
	}
	hint := "no owner has that area; add one, or correct the file's area"
	if right != "" {
		hint = "it is owner " + right + "'s (" + b.named(at) + "), who must sign it in a folder of its own"
	}
	b.fail(own.text.Origin, "owner %s signed this file, but its area %s is not owner %s's: %s", own.owner, b.named(own.id), own.owner, hint)
}

// outsider is the end of a message about a rule outside its file's area: whose files both are.
func (b *routesBuilder) outsider(own fileArea, id registry.AreaID) string {
	right, _ := b.ownerOf(id)
	if own.owner == "" || right == own.owner {
		return ""
	}
	return " (" + config.OwnerText(own.owner) + " signed this file, " + config.OwnerText(right) + " has that area)"
}

// ownBackend holds that an offer closes no backend of another owner.
func (b *routesBuilder) ownBackend(own fileArea, c *config.Named[config.Offer]) bool {
	if b.owners == nil || c.V.Backend.V == "" {
		return true
	}
	for _, f := range b.cfg.Files {
		i := slices.IndexFunc(f.Blocks.Backends, func(x config.Named[config.Backend]) bool { return x.Name.V == c.V.Backend.V })
		if i >= 0 && f.Owner != own.owner {
			b.fail(c.V.Backend.Origin, "an offer closes its backend, and %q is %s's (%s), the offer %s's; offer a backend of your own",
				c.V.Backend.V, config.OwnerText(f.Owner), f.Blocks.Backends[i].Name.Origin, config.OwnerText(own.owner))
			return false
		}
	}
	return true
}

// overlapping is the end of routing's message about two overrides of equal rank: whose they are.
func (b *routesBuilder) overlapping(at config.Origin, text string) string {
	rest, ok := strings.CutPrefix(text, "overlaps ")
	if !ok {
		return ""
	}
	there, _, _ := strings.Cut(rest, ":")
	return b.cfg.Owners(at.Name, there)
}

// ownRule is what an owner says about a Leistung in an area.
type ownRule struct {
	owner      string
	begin, end time.Time
	at         registry.Origin
}

type ruled struct {
	leistung registry.Leistung
	area     registry.AreaID
	kind     registry.Kind
}

// rivals holds that no two owners say who answers for the same Leistung in the same area at the same time: neither may
// outrank or spoil what is the other's. What lies deeper is another area (R8), and overrides have ranks of their own (R6).
func (b *routesBuilder) rivals() {
	if b.owners == nil {
		return
	}
	signed := map[string]string{} // by file: a file has many rules
	owner := func(o registry.Origin) string {
		name, known := signed[o.File]
		if !known {
			name = b.cfg.OwnerOf(o.File)
			signed[o.File] = name
		}
		return name
	}
	said := map[ruled][]ownRule{}
	say := func(k ruled, r ownRule) {
		for _, other := range said[k] {
			if other.owner != r.owner && overlap(other, r) {
				b.fail(configOrigin(r.at), "leistung %s in %s: %s says who answers, and %s does at %s; one of them must give way",
					k.leistung, b.named(k.area), config.OwnerText(r.owner), config.OwnerText(other.owner), other.at)
				return
			}
		}
		said[k] = append(said[k], r)
	}
	for i := range b.in.Entries {
		e := &b.in.Entries[i]
		say(ruled{e.Leistung, e.Area, e.Kind}, ownRule{owner(e.Origin), e.Begin, e.End, e.Origin})
	}
	for i := range b.in.Adoptions {
		a := &b.in.Adoptions[i]
		o := offerNamed(b.in.Offers, a.Offer)
		if o == nil || o.State != registry.Live || a.State != registry.Live {
			continue
		}
		for l := range o.Leistungen {
			if !a.Adopts(l) {
				continue
			}
			for _, at := range a.Areas {
				say(ruled{l, at.Area, registry.Service}, ownRule{owner(a.Origin), a.Begin, a.End, a.Origin})
			}
		}
	}
}

// overlap says whether two rules are in force at the same time at some time.
func overlap(a, b ownRule) bool {
	over := func(end, begin time.Time) bool { return !end.IsZero() && !begin.IsZero() && !begin.Before(end) }
	return !over(a.end, b.begin) && !over(b.end, a.begin)
}

// checkOwners holds the areas of files to those of their owners, and looks at nothing else.
func checkOwners(cfg *config.Config) error {
	b := &routesBuilder{cfg: cfg, out: &routes{}}
	if b.readAreas(); b.out.areas != nil {
		b.owned()
		for _, f := range cfg.Files {
			if id, ok := b.lookUp(f.Area); ok {
				b.signer(fileArea{id, f.Area, f.Owner})
			}
		}
	}
	if len(b.errs) == 0 {
		return nil
	}
	return b.errs
}
