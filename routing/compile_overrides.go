// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// override is an operator's rule as the table keeps it (R6).
type override struct {
	id       int32  // into Input.Overrides
	area     uint32 // native
	depth    uint8
	length   uint8 // of what names the Leistung: 0, 5 or 14 digits
	dated    bool  // a dated change touches the area itself (R4)
	leistung uint64
	sender   string
	span     span
	priority int

	backend BackendID // of to; NoBackend with weights and gone
	url     uint32    // address, 0 = backend alone
	weights []part
	gone    string
	text    string // of to, as written, for explain and comparison
	by, why string
	origin  registry.Origin
}

// part is one backend of a split: it answers below the bound, from the bound of the part before it.
type part struct {
	below   uint8
	backend BackendID
}

func (c *compiler) overrides() {
	for i := range c.in.Overrides {
		if o, ok := c.override(int32(i)); ok {
			c.t.overrides = append(c.t.overrides, o)
		}
	}
}

// rank orders the overrides and refuses what R6 and R9 forbid.
func (c *compiler) rank() {
	slices.SortStableFunc(c.t.overrides, compareRank)
	c.overlaps()
	for i := range c.t.overrides {
		c.closedTarget(&c.t.overrides[i])
	}
}

// compareRank puts the override that wins first (R6): priority, area depth, Leistung length, sender named.
func compareRank(a, b override) int {
	return cmp.Or(
		cmp.Compare(b.priority, a.priority), cmp.Compare(b.depth, a.depth), cmp.Compare(b.length, a.length),
		cmp.Compare(min(len(b.sender), 1), min(len(a.sender), 1)),
	)
}

func (c *compiler) override(id int32) (override, bool) {
	in := &c.in.Overrides[id]
	o := override{
		id: id, area: uint32(in.Area), sender: in.Sender, span: index.SpanOf(in.From, in.Until), priority: in.Priority,
		backend: NoBackend, gone: in.Gone, text: in.To, by: in.By, why: in.Why,
		origin: in.Origin,
	}
	set := 0
	for _, is := range [3]bool{in.To != "", len(in.Weights) > 0, in.Gone != ""} {
		if is {
			set++
		}
	}
	switch {
	case int(in.Area) >= c.t.places.Len():
		c.fatal(in.Origin, "the override's area is none of this table's; this is a fault of the loader")
		return o, false
	case in.Until.IsZero():
		c.fatal(in.Origin, "until is missing; every override ends, e.g. until: 2026-12-31")
		return o, false
	case o.span.Begin >= o.span.End:
		c.fatal(in.Origin, "from %s is not before until %s; correct one of them", date(in.From), date(in.Until))
		return o, false
	case set != 1:
		c.fatal(in.Origin, "an override has exactly one of to, weights and gone; this one has %d", set)
		return o, false
	}
	o.depth, o.dated = c.t.places.At(o.area).Depth(), c.in.Areas.Changed(in.Area)
	return o, c.overrideKey(in, &o) && c.overrideTarget(in, &o)
}

// overrideKey reads which Leistungen an override is about.
func (c *compiler) overrideKey(in *Override, o *override) bool {
	switch {
	case !in.Leistung.IsZero() && in.Group != "":
		c.fatal(in.Origin, "an override names one leistung or one group, not both")
		return false
	case !in.Leistung.IsZero():
		o.leistung, o.length = in.Leistung.Number(), 14
	case in.Group != "":
		n, err := strconv.ParseUint(in.Group, 10, 32)
		if err != nil || len(in.Group) != 5 || n/1000 != 99 {
			c.fatal(in.Origin, "leistung %q is no group; write 99 and three digits, or all 14", in.Group)
			return false
		}
		o.leistung, o.length = n, 5
	}
	return true
}

func (c *compiler) overrideTarget(in *Override, o *override) bool {
	at := in.ToOrigin
	if at == (registry.Origin{}) {
		at = in.Origin
	}
	if len(in.Weights) > 0 {
		return c.weights(in, o, at)
	}
	if in.Gone != "" {
		return true
	}
	if id, ok := c.t.byName[in.To]; ok {
		o.backend = id
		return true
	}
	if !strings.Contains(in.To, "://") {
		c.unknownBackend(at, in.To)
		return false
	}
	backend := int32(-1)
	if cause := c.check(in.To, &backend); cause != "" {
		c.fatal(at, "%s cannot be a target: %s", quoted(in.To), cause)
		return false
	}
	o.backend, o.url = BackendID(backend), c.strings.put(in.To)
	return true
}

func (c *compiler) weights(in *Override, o *override, at registry.Origin) bool {
	sum := 0
	for _, w := range in.Weights {
		id, ok := c.t.byName[w.Backend]
		if !ok {
			c.unknownBackend(at, w.Backend)
			return false
		}
		if w.Percent < 1 || w.Percent > 100 {
			c.fatal(at, "weight %d of backend %q: allowed are 1 to 100", w.Percent, w.Backend)
			return false
		}
		sum += w.Percent
		o.weights = append(o.weights, part{uint8(min(sum, 255)), id})
		o.text += fmt.Sprintf("%s %d ", w.Backend, w.Percent)
	}
	o.text = strings.TrimSuffix(o.text, " ")
	if sum != 100 {
		c.fatal(at, "the weights sum to %d; they must sum to 100", sum)
		return false
	}
	return true
}

// overlaps refuses two overrides of equal rank that have a request and a time in common (R6).
func (c *compiler) overlaps() {
	list := make([]*override, 0, len(c.t.overrides))
	for i := range c.t.overrides {
		list = append(list, &c.t.overrides[i])
	}
	slices.SortStableFunc(list, func(a, b *override) int {
		return cmp.Or(
			compareRank(*a, *b), cmp.Compare(a.leistung, b.leistung), strings.Compare(a.sender, b.sender),
			compareOrigins(a.origin, b.origin), cmp.Compare(a.id, b.id),
		)
	})
	for i, a := range list {
		for _, b := range list[i+1:] {
			if compareRank(*a, *b) != 0 || a.leistung != b.leistung || a.sender != b.sender {
				break // sorted: no further one is like a
			}
			if both := a.span.And(b.span); both.Begin < both.End && c.sameArea(a, b, both) {
				c.overlap(a, b, both)
			}
		}
	}
}

// sameArea says whether two overrides are about one area at some time of a span (R4).
func (c *compiler) sameArea(a, b *override, s span) bool {
	if a.area == b.area {
		return true
	}
	if !a.dated || !b.dated {
		return false
	}
	_, end := s.Times()
	last := end.Add(-1)
	x, y := registry.AreaID(a.area), registry.AreaID(b.area)
	return slices.Contains(c.in.Areas.Formerly(x, last), y) || slices.Contains(c.in.Areas.Formerly(y, last), x)
}

func (c *compiler) overlap(a, b *override, both span) {
	from, until := both.Times()
	when := "until " + lastDay(until)
	if !from.IsZero() {
		when = "from " + date(from) + " to " + lastDay(until)
	}
	in := &c.in.Overrides[a.id]
	what := "all leistungen"
	if a.length > 0 {
		what = "leistung " + cmp.Or(in.Group, in.Leistung.String())
	}
	rank := fmt.Sprintf("area %s, %s, priority %d", c.areaText(in), what, a.priority)
	if a.sender != "" {
		rank += ", sender " + a.sender
	}
	c.fatal(a.origin, "overlaps %s with equal rank (%s) %s; change a priority or a time", b.origin, rank, when)
}

// areaText is an override's area as written.
func (c *compiler) areaText(in *Override) string {
	return cmp.Or(in.AreaKey, c.in.Areas.ARS(in.Area).String(), "00")
}

// closedTarget refuses an override into a closed backend unless adoptions cover its whole area (R6, R9), Gemeinde by
// Gemeinde.
func (c *compiler) closedTarget(o *override) {
	targets := []BackendID{o.backend}
	for _, p := range o.weights {
		targets = append(targets, p.backend)
	}
	_, until := o.span.Times()
	last := until.Add(-1)
	areas := c.in.Areas
	for _, id := range targets {
		if !c.t.Closed(id) {
			continue
		}
		covers := c.coversOf(id, o)
		for g := o.area; g < c.t.places.End(o.area); g++ {
			gem := registry.AreaID(g)
			if c.t.places.At(g).Depth() != gemeinde || areas.Retired(gem, last) || areas.Future(gem, last) {
				continue
			}
			if !c.covered(covers, gem, o.span, last) {
				in := &c.in.Overrides[o.id]
				at := in.ToOrigin
				if at == (registry.Origin{}) {
					at = in.Origin
				}
				c.fatal(at, "%q is closed (offer %s) and %s %s in area %s has not joined; narrow the area or add an adoption",
					c.t.backends[id].name, c.offersOf(id), areas.ARS(gem), areas.Area(gem).Short(), c.areaText(in))
				break
			}
		}
	}
}

// cover is one adopted area of a closed backend.
type cover struct {
	area    registry.AreaID
	without []uint32
	span    span
}

// coversOf lists what opens a closed backend for an override's Leistungen.
func (c *compiler) coversOf(id BackendID, o *override) []cover {
	var covers []cover
	for i := range c.in.Adoptions {
		a := &c.in.Adoptions[i]
		of, ok := c.offerID[a.Offer]
		if !ok || c.t.offers[of].backend != id || !c.t.offers[of].live || a.State != registry.Live || !c.isFor(a, c.offerOf(of), o) {
			continue
		}
		s := index.SpanOf(a.Begin, a.End).And(c.t.offers[of].span)
		without := make([]uint32, 0, len(a.Without))
		for _, w := range a.Without {
			without = append(without, uint32(w))
		}
		for _, at := range a.Areas {
			covers = append(covers, cover{at.Area, without, s})
		}
	}
	slices.SortFunc(covers, func(x, y cover) int { return cmp.Compare(x.span.Begin, y.span.Begin) })
	return covers
}

// isFor says whether an adoption has a Leistung that the override is about.
func (c *compiler) isFor(a *registry.Adoption, of *registry.Offer, o *override) bool {
	for l := range of.Leistungen {
		if len(a.Leistungen) > 0 && !slices.Contains(a.Leistungen, l) {
			continue
		}
		if o.about(l) {
			return true
		}
	}
	return false
}

// covered says whether covers hold for a Gemeinde during the span without a gap. An override that has index.Always been in
// force asks only from the first cover on.
func (c *compiler) covered(covers []cover, gem registry.AreaID, s span, last time.Time) bool {
	reached, open := s.Begin, s.Begin == index.Always.Begin
	for _, v := range covers { // by begin
		if !c.in.Areas.ContainsAt(v.area, gem, last) || slices.ContainsFunc(v.without, func(w uint32) bool {
			return c.in.Areas.ContainsAt(registry.AreaID(w), gem, last)
		}) {
			continue
		}
		if open {
			reached, open = v.span.Begin, false
		}
		if v.span.Begin <= reached {
			reached = max(reached, v.span.End)
		}
	}
	return !open && reached >= s.End
}

// offersOf names the offers of a closed backend.
func (c *compiler) offersOf(id BackendID) string {
	var names []string
	for i := range c.t.offers {
		if c.t.offers[i].live && c.t.offers[i].backend == id {
			names = append(names, c.t.offers[i].name)
		}
	}
	return strings.Join(names, ", ")
}

// about says whether the override is about a Leistung.
func (o *override) about(l registry.Leistung) bool {
	switch o.length {
	case 14:
		return o.leistung == l.Number()
	case 5:
		return l.Federal() && o.leistung == l.GroupNumber()
	}
	return true
}
