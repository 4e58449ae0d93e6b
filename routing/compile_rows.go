// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// rows sorts the drafts and writes the table's rows and index.
func (c *compiler) rows() {
	slices.SortFunc(c.drafts, c.compare)
	n := len(c.drafts)
	t := c.t
	t.cold = make([]coldRow, n)
	x := newIndexer(t.places, t.index.ends, n)
	for i := range c.drafts {
		d := &c.drafts[i]
		if d.url&isTemplate != 0 {
			d.flags |= flagTemplate
		}
		x.add(d.e.Leistung, uint32(d.e.Area), d.url, traits{
			backend: uint32(d.backend), valid: c.span(d.span), source: uint16(d.e.Source), flags: d.flags,
		})
		t.cold[i] = c.cold(d)
	}
	t.index = x.done()
	t.hot = t.index.hot
	if c.strings.full() {
		c.fatal(registry.Origin{}, "the registry's texts are larger than 4 GiB; load fewer sources")
	}
	c.drafts = nil
}

// compare is the order of rows: by (Leistung, area) for the index, then services before pages, then R10's order, then
// title and URL, then everything else that a row can differ in. Nothing in it depends on the order of the input.
func (c *compiler) compare(a, b draft) int {
	x, y := a.e, b.e
	if n := cmp.Or(x.Leistung.Compare(y.Leistung), cmp.Compare(x.Area, y.Area)); n != 0 {
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
		cmp.Compare(a.span.begin, b.span.begin), cmp.Compare(a.span.end, b.span.end),
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

func (c *compiler) span(s span) uint32 {
	n, ok := c.spans[s]
	if !ok {
		n = uint32(len(c.t.valid))
		c.t.valid = append(c.t.valid, s)
		c.spans[s] = n
	}
	return n
}

func (c *compiler) cold(d *draft) coldRow {
	e := d.e
	r := coldRow{
		title: c.strings.put(e.Title), oe: c.strings.put(e.OE), lb: c.strings.put(e.LB), od: c.strings.put(e.OD),
		line: uint32(max(e.Origin.Line, 0)), col: uint16(min(max(e.Origin.Col, 0), math.MaxUint16)),
		origin: c.origin(e.Origin),
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
		x.lang = c.strings.put(e.Lang)
	}
	if e.Role != "01" {
		x.role = c.strings.put(e.Role)
	}
	if len(e.Others) > 0 {
		x.othersAt, x.othersN = c.others(e)
	}
	if x == (extraRow{}) {
		return r
	}
	n, ok := c.extras[x]
	if !ok {
		n = uint32(len(c.t.extra))
		c.t.extra = append(c.t.extra, x)
		c.extras[x] = n
	}
	r.extra = n
	return r
}

func (c *compiler) others(e *registry.Entry) (at, n uint32) {
	at = uint32(len(c.t.others))
	for _, o := range e.Others {
		url, ok := c.strings.put(o.URL), true
		if e.Template {
			url, ok = c.template(e.Origin, o.URL)
		}
		if ok {
			c.t.others = append(c.t.others, otherURL{c.strings.put(o.Lang), url})
		}
	}
	return at, uint32(len(c.t.others)) - at
}

func (c *compiler) origin(o registry.Origin) uint16 {
	base := originBase{o.Source, o.File}
	n, ok := c.originID[base]
	if !ok {
		if len(c.t.origins) > math.MaxUint16 {
			return 0 // more than 65 535 files; rows of the rest show no file
		}
		n = uint16(len(c.t.origins))
		c.t.origins = append(c.t.origins, base)
		c.originID[base] = n
	}
	return n
}
