// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// offers reads the offers and closes the backends of live ones (R9). It goes before the entries, which must know what is closed.
func (c *compiler) offers() {
	list := slices.Clone(c.in.Offers)
	slices.SortStableFunc(list, func(a, b registry.Offer) int { return strings.Compare(a.Name, b.Name) })
	c.in.Offers = list
	for i := range list {
		o := &list[i]
		if _, ok := c.offerID[o.Name]; ok {
			c.fatal(o.Origin, "offer %q is defined twice; offer names are unique over all files", o.Name)
			continue
		}
		c.offerID[o.Name] = int32(len(c.t.offers))
		id, ok := c.t.byName[o.Backend]
		if !ok {
			c.unknownBackend(o.Origin, o.Backend)
			id = NoBackend
		} else if o.State == registry.Live {
			c.t.backends[id].closed = true
		}
		if !o.Begin.IsZero() && !o.End.IsZero() && !o.Begin.Before(o.End) {
			c.fatal(o.Origin, "offer %q: begin %s is not before end %s; correct one of them", o.Name, date(o.Begin), date(o.End))
		}
		c.t.offers = append(c.t.offers, offer{
			name: o.Name, successor: o.Successor, live: o.State == registry.Live, backend: id, provider: o.Provider,
			span: index.SpanOf(o.Begin, o.End), origin: o.Origin,
		})
	}
	for i := range list {
		if s := list[i].Successor; s != "" {
			if _, ok := c.offerID[s]; !ok {
				c.fatal(list[i].Origin, "offer %q names the successor %q, which is not defined (offers: %s)", list[i].Name, s, c.offerNames())
			}
		}
	}
}

func (c *compiler) offerNames() string {
	names := slices.Sorted(maps.Keys(c.offerID))
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names[:min(len(names), 20)], ", ")
}

// adoptions makes a draft of each (adopted area, Leistung).
func (c *compiler) adoptions() {
	list := slices.Clone(c.in.Adoptions)
	slices.SortStableFunc(list, func(a, b registry.Adoption) int {
		return cmp.Or(compareOrigins(a.Origin, b.Origin), strings.Compare(a.Offer, b.Offer), strings.Compare(a.Contract, b.Contract))
	})
	for i := range list {
		c.adoption(&list[i])
	}
}

func (c *compiler) adoption(a *registry.Adoption) {
	id, ok := c.offerID[a.Offer]
	if !ok {
		c.fatal(a.Origin, "offer %q is not defined (offers: %s)", a.Offer, c.offerNames())
		return
	}
	o, made := c.offerOf(id), &c.t.offers[id]
	if made.backend == NoBackend {
		return // reported with the offer
	}
	if !a.Begin.IsZero() && !a.End.IsZero() && !a.Begin.Before(a.End) {
		c.fatal(a.Origin, "begin %s is not before end %s; correct one of them", date(a.Begin), date(a.End))
		return
	}
	own := index.SpanOf(a.Begin, a.End)
	both := own.And(made.span)
	if both.Begin >= both.End {
		c.disjoint(a, o, own.Begin >= made.span.End)
		return
	}
	for _, l := range a.Leistungen {
		if _, ok := o.Leistungen[l]; !ok {
			c.fatal(a.Origin, "offer %q has no leistung %s; name one of the offer's", a.Offer, l)
		}
	}
	if !made.live || a.State != registry.Live {
		return
	}
	n := adoption{offer: id, origin: a.Origin}
	for _, w := range a.Without {
		n.without = append(n.without, uint32(w))
	}
	slices.Sort(n.without)
	c.t.adoptions = append(c.t.adoptions, n)
	adopted := int32(len(c.t.adoptions))
	for l, t := range o.Leistungen {
		if len(a.Leistungen) > 0 && !slices.Contains(a.Leistungen, l) {
			continue
		}
		for j := range a.Areas {
			c.adopted(a, o, adopted, &a.Areas[j], l, t, both)
		}
	}
}

// offerOf is the offer as it came.
func (c *compiler) offerOf(id int32) *registry.Offer {
	name := c.t.offers[id].name
	i, _ := slices.BinarySearchFunc(c.in.Offers, name, func(o registry.Offer, n string) int { return strings.Compare(o.Name, n) })
	return &c.in.Offers[i]
}

// disjoint reports an adoption that never lives because its offer does not at that time.
func (c *compiler) disjoint(a *registry.Adoption, o *registry.Offer, ended bool) {
	if !ended {
		c.fatal(a.Origin, "offer %q begins on %s, after this adoption ends; correct end", o.Name, date(o.Begin))
		return
	}
	what := "remove the adoption"
	if o.Successor != "" {
		what = "successor: " + `"` + o.Successor + `"`
	}
	c.fatal(a.Origin, "offer %q ended on %s; %s", o.Name, lastDay(o.End), what)
}

// adopted makes the entry that an adoption is at one area for one Leistung.
func (c *compiler) adopted(
	a *registry.Adoption, o *registry.Offer, adopted int32, at *registry.AdoptedArea, l registry.Leistung, t registry.Template, s span,
) {
	from := at.Origin
	if from == (registry.Origin{}) {
		from = a.Origin
	}
	e := &registry.Entry{
		Leistung: l, Area: at.Area, AreaKey: at.Key, Kind: registry.Service, URL: t.String(), Template: true,
		Backend: o.Backend, OE: at.OE, Source: int(c.t.market), Origin: from,
	}
	d := draft{e: e, span: s, adopted: adopted}
	if !c.sound(e) || !c.target(&d) {
		return
	}
	c.finish(&d)
	d.flags |= flagAdopted
	c.drafts = append(c.drafts, d)
}

// date is a time as operators write it.
func date(t time.Time) string {
	t = t.In(registry.Berlin())
	if h, m, s := t.Clock(); h == 0 && m == 0 && s == 0 {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04")
}

// lastDay is an end as operators write it: a date-only end is inclusive (R7).
func lastDay(t time.Time) string {
	t = t.In(registry.Berlin())
	if h, m, s := t.Clock(); h == 0 && m == 0 && s == 0 {
		return t.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04")
}
