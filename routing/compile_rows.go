// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// rows sorts the drafts and writes the policy's rows.
func (c *compiler) rows() {
	slices.SortFunc(c.drafts, c.compare)
	t := c.t
	p := &t.policy
	p.rows = make([]policyRow, len(c.drafts))
	grid := index.NewGridBuilder(t.places)
	for i := range c.drafts {
		d := &c.drafts[i]
		if d.url&isTemplate != 0 {
			d.flags |= flagTemplate
		}
		p.rows[i] = c.row(d)
		grid.Add(d.e.Leistung, uint32(d.e.Area), uint32(i))
	}
	p.grid = grid.Grid()
	if c.strings.full() {
		c.fatal(registry.Origin{}, "the files' texts are larger than 4 GiB; load fewer entries")
	}
	c.drafts = nil
	c.blocks()
}

// blocks finds what the rows of each Leistung have in common.
func (c *compiler) blocks() {
	p := &c.t.policy
	for first := uint32(0); int(first) < len(p.rows); {
		b := policyBlock{first: first, end: first, uniform: none}
		several := false
		for l := p.rows[first].leistung; int(b.end) < len(p.rows) && p.rows[b.end].leistung == l; b.end++ {
			h := &c.t.traits[p.rows[b.end].traits]
			b.adopted = b.adopted || h.flags&flagAdopted != 0
			b.open = b.open || !h.needsCover()
			if h.flags&flagPage != 0 {
				continue
			}
			row := p.first + b.end
			several = several || h.flags&flagClosed != 0 ||
				b.uniform != none && !c.t.sameTarget(index.At{Row: row}, index.At{Row: b.uniform})
			b.uniform = row
		}
		if several {
			b.uniform = none
		}
		p.blocks = append(p.blocks, b)
		first = b.end
	}
}

// compare is the order of rows: by (Leistung, area) as a grid has them, then services before pages, then R10's order, then
// title and URL, then everything else that a row can differ in. Nothing in it depends on the order of the input.
func (c *compiler) compare(a, b draft) int {
	x, y := a.e, b.e
	if n := cmp.Or(x.Leistung.Compare(y.Leistung), c.t.places.Compare(uint32(x.Area), uint32(y.Area))); n != 0 {
		return n
	}
	n := cmp.Or(
		cmp.Compare(x.Kind, y.Kind),
		cmp.Compare(x.Source, y.Source),
		cmp.Compare(a.flags&flagGeneral, b.flags&flagGeneral),
		cmp.Compare(a.flags&flagOtherRole, b.flags&flagOtherRole),
		cmp.Compare(y.Priority, x.Priority),
		strings.Compare(x.Title, y.Title),
		strings.Compare(c.text(a.url), c.text(b.url)),
		cmp.Compare(a.backend, b.backend),
		compareOrigins(x.Origin, y.Origin),
	)
	if n != 0 {
		return n
	}
	return cmp.Or(
		strings.Compare(x.OE, y.OE), strings.Compare(x.LB, y.LB), strings.Compare(x.OD, y.OD),
		cmp.Compare(a.span.Begin, b.span.Begin), cmp.Compare(a.span.End, b.span.End),
		strings.Compare(x.AreaKey, y.AreaKey), strings.Compare(x.Lang, y.Lang), strings.Compare(x.Role, y.Role),
		strings.Compare(a.refused, b.refused), cmp.Compare(a.flags, b.flags), cmp.Compare(a.adopted, b.adopted),
		slices.CompareFunc(x.Others, y.Others, func(o, p registry.LangURL) int {
			return cmp.Or(strings.Compare(o.Lang, p.Lang), strings.Compare(o.URL, p.URL))
		}),
	)
}

func compareOrigins(a, b registry.Origin) int {
	return cmp.Or(
		strings.Compare(a.Source, b.Source), strings.Compare(a.File, b.File),
		cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
	)
}

// text is the address as written, while the table is not yet made.
func (c *compiler) text(url uint32) string {
	if url&isTemplate != 0 {
		return c.t.templates[url&^isTemplate].t.String()
	}
	return c.strings.get(url)
}

// number gives a value its number: that of an equal one before it, or the next.
func number[T comparable](numbers map[T]uint32, list *[]T, v T) uint32 {
	n, ok := numbers[v]
	if !ok {
		n = uint32(len(*list))
		*list = append(*list, v)
		numbers[v] = n
	}
	return n
}

// id gives the number of an id: the index's, if it has it.
func (c *compiler) id(s string) uint32 {
	if n, ok := c.t.index.FindID(s); ok {
		return n
	}
	return c.t.index.IDs() + c.strings.put(s)
}

func (c *compiler) row(d *draft) policyRow {
	e := d.e
	r := policyRow{
		leistung: e.Leistung, area: uint32(e.Area), url: d.url, title: c.strings.put(e.Title),
		oe: c.id(e.OE), lb: c.id(e.LB), od: c.id(e.OD),
		origin: number(c.originID, &c.t.origins, originBase{e.Origin.Source, e.Origin.File}),
		line:   uint32(max(e.Origin.Line, 0)), col: uint32(max(e.Origin.Col, 0)),
		traits: number(c.traitsID, &c.t.traits, traits{
			backend: uint32(d.backend), valid: number(c.spans, &c.t.valid, d.span), source: uint16(e.Source), flags: d.flags,
		}),
	}
	x := extraRow{
		refused:  c.strings.put(d.refused),
		priority: int32(min(max(e.Priority, math.MinInt32), math.MaxInt32)),
		adoption: d.adopted,
	}
	if e.AreaKey != c.in.Areas.ARS(e.Area).String() {
		x.areaKey = c.strings.put(e.AreaKey)
	}
	if e.Lang != "de" {
		x.lang = c.id(e.Lang)
	}
	if e.Role != "01" {
		x.role = c.strings.put(e.Role)
	}
	if len(e.Others) > 0 {
		x.othersAt, x.othersN = c.others(e)
	}
	r.extra = number(c.extras, &c.t.policy.extra, x)
	return r
}

func (c *compiler) others(e *registry.Entry) (at, n uint32) {
	at = uint32(len(c.t.policy.others))
	for _, o := range e.Others {
		url, ok := c.strings.put(o.URL), true
		if e.Template {
			url, ok = c.template(e.Origin, o.URL)
		}
		if ok {
			c.t.policy.others = append(c.t.policy.others, otherURL{c.id(o.Lang), url})
		}
	}
	return at, uint32(len(c.t.policy.others)) - at
}
