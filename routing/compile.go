// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// Compile makes a table. If any problem is fatal, the table is nil: an operator's file with a fault refuses the whole
// load. Rows of sources that cannot be used are left out or blocked (R7) with a warning. The order of Input's slices
// does not change what the table answers; only Sources and the configured backends are numbered by it.
func Compile(in Input) (*Table, []Problem) {
	c := &compiler{in: &in, t: &Table{areas: in.Areas, cat: in.Catalogue, index: in.Index}, strings: newInterner()}
	c.sources()
	if c.geography(); c.failed {
		return nil, c.problems
	}
	c.backends()
	c.offers()
	c.entries()
	c.adoptions()
	c.overrides()
	c.hostsOfIndex()
	c.implicit()
	c.traitsOfIndex()
	c.rows()
	c.rank()
	c.help()
	c.t.strings, c.t.hosts, c.t.lookups = c.strings.table(), c.hosts, slices.Clone(c.in.Lookups)
	if !c.failed {
		c.warn()
	}
	slices.SortStableFunc(c.problems, compareProblems)
	if c.failed {
		return nil, c.problems
	}
	return c.t, c.problems
}

func compareProblems(a, b Problem) int {
	return cmp.Or(
		strings.Compare(a.Origin.File, b.Origin.File), strings.Compare(a.Origin.Source, b.Origin.Source),
		cmp.Compare(a.Origin.Line, b.Origin.Line), cmp.Compare(a.Origin.Col, b.Origin.Col), strings.Compare(a.Text, b.Text),
	)
}

// compiler holds what only the making of a table needs.
type compiler struct {
	in       *Input
	t        *Table
	strings  *interner
	problems []Problem
	failed   bool

	hosts     map[string]int32 // host → backend; implicit backends are numbered from len(in.Backends) as they come
	implicits []string
	byText    map[string]uint32 // template text → address
	offerID   map[string]int32
	drafts    []draft
	traitsID  map[traits]uint32
	spans     map[span]uint32
	extras    map[extraRow]uint32
	originID  map[originBase]uint32
}

// draft is a row before it is sorted.
type draft struct {
	e       *registry.Entry
	url     uint32
	backend int32 // -1: could not be read
	flags   rowFlags
	span    span
	adopted int32 // into t.adoptions + 1
	refused string
}

// problem reports a fault: fatal where an operator wrote it, a warning where a source did.
func (c *compiler) problem(at registry.Origin, format string, args ...any) {
	c.report(at, at.Source == "", format, args...)
}

func (c *compiler) fatal(at registry.Origin, format string, args ...any) {
	c.report(at, true, format, args...)
}

func (c *compiler) warning(at registry.Origin, format string, args ...any) {
	c.report(at, false, format, args...)
}

func (c *compiler) report(at registry.Origin, fatal bool, format string, args ...any) {
	c.problems = append(c.problems, Problem{Origin: at, Text: fmt.Sprintf(format, args...), Fatal: fatal})
	c.failed = c.failed || fatal
}

func (c *compiler) sources() {
	c.t.sources = slices.Clone(c.in.Sources)
	c.t.market = uint16(c.in.Marktplatz)
	c.hosts = map[string]int32{}
	c.byText = map[string]uint32{}
	c.offerID = map[string]int32{}
	c.spans = map[span]uint32{index.Always: 0}
	c.traitsID = map[traits]uint32{}
	c.extras = map[extraRow]uint32{{}: 0}
	c.originID = map[originBase]uint32{{}: 0}
	c.t.valid = []span{index.Always}
	c.t.policy.extra = []extraRow{{}}
	for _, s := range c.in.SelfHosts {
		c.t.selfHosts = append(c.t.selfHosts, strings.ToLower(s))
	}
	c.t.origins = []originBase{{}}
}

// geography takes the index's view of the areas, if they are those that the index was built with.
func (c *compiler) geography() {
	t, areas := c.t, c.in.Areas
	if t.index == nil {
		t.index, _ = index.NewBuilder(areas, nil).Finish()
	}
	switch t.places = t.index.Places(); {
	case t.places == nil:
		c.fatal(registry.Origin{}, "there are more than %d areas; this is a fault of the areas file", index.MaxAreas)
		return
	case t.index.Areas() != areas && t.index.AreasDigest() != index.AreasDigest(areas):
		c.fatal(registry.Origin{}, "%v", index.ErrAreas)
		return
	case t.index.Areas() != areas:
		t.places = index.NewPlaces(areas) // the days of changes may be others
	}
	for i := range areas.Len() {
		if areas.Changed(registry.AreaID(i)) {
			t.turned = append(t.turned, uint32(i))
		}
	}
	t.policy.first = t.index.Limit()
}

func (t *Table) isDated(id uint32) bool { return t.places.At(id).Dated() }

func (c *compiler) backends() {
	t := c.t
	t.byName = make(map[string]BackendID, len(c.in.Backends))
	t.nConf = len(c.in.Backends)
	for i := range c.in.Backends {
		b := &c.in.Backends[i]
		if _, ok := t.byName[b.Name]; ok {
			c.fatal(b.Origin, "backend %q is defined twice; backend names are unique over all files", b.Name)
		}
		t.byName[b.Name] = BackendID(i)
		made := backend{name: b.Name, proxy: b.Proxy, owner: b.Owner}
		for _, r := range b.Require {
			made.require |= c.requirement(b, r)
		}
		for j, h := range b.Hosts {
			h = strings.ToLower(strings.TrimSuffix(h, "."))
			if other, ok := c.hosts[h]; ok && other != int32(i) {
				c.fatal(b.Origin, "host %q is listed by backend %q too; a host belongs to one backend", h, c.in.Backends[other].Name)
			}
			c.hosts[h] = int32(i)
			made.hosts = append(made.hosts, h)
			if j == 0 {
				made.root = c.strings.put("https://" + h + "/")
			}
			if c.t.self(h) {
				c.fatal(b.Origin, "host %q is the gateway's own; requests would go round in circles", h)
			}
		}
		if b.Proxy {
			made.root = c.strings.put("/")
		}
		t.backends = append(t.backends, made)
	}
}

func (c *compiler) requirement(b *Backend, name string) require {
	switch name {
	case "oe_id", "oe":
		return requireOE
	case "lb_id", "lb":
		return requireLB
	case "od_id", "od":
		return requireOD
	}
	c.fatal(b.Origin, "backend %q requires %q; allowed: oe_id lb_id od_id", b.Name, name)
	return 0
}

// entries makes drafts of the entries.
func (c *compiler) entries() {
	c.drafts = make([]draft, 0, len(c.in.Entries))
	for i := range c.in.Entries {
		e := &c.in.Entries[i]
		if !c.sound(e) {
			continue
		}
		d := draft{e: e, span: index.SpanOf(e.Begin, e.End), refused: e.Refused}
		if c.target(&d) {
			c.finish(&d)
			c.drafts = append(c.drafts, d)
		}
	}
}

// sound refuses entries that no table can hold.
func (c *compiler) sound(e *registry.Entry) bool {
	switch {
	case e.Leistung.IsZero():
		c.problem(e.Origin, "the entry names no Leistung; write 14 digits")
	case int(e.Area) >= c.t.places.Len():
		c.problem(e.Origin, "the entry's area is none of this table's; this is a fault of the loader")
	case e.Area == registry.Bund && !e.Leistung.Federal():
		c.problem(e.Origin, "leistung %s is a local key and has entries only at a Land or deeper; name an area", e.Leistung)
	case !e.Begin.IsZero() && !e.End.IsZero() && !e.Begin.Before(e.End):
		c.problem(e.Origin, "begin %s is not before end %s; correct one of them", date(e.Begin), date(e.End))
	case e.Source < 0 || e.Source > math.MaxUint16:
		c.problem(e.Origin, "source number %d is out of range; this is a fault of the loader", e.Source)
	default:
		return true
	}
	return false
}

// finish sets the flags that an entry itself gives.
func (c *compiler) finish(d *draft) {
	d.flags |= entryFlags(d)
	if d.backend >= 0 && int(d.backend) < c.t.nConf && c.t.backends[d.backend].closed {
		d.flags |= flagClosed
	}
}

// entryFlags are those that an entry itself gives.
func entryFlags(d *draft) (flags rowFlags) {
	e := d.e
	set := func(f rowFlags, on bool) {
		if on {
			flags |= f
		}
	}
	set(flagPage, e.Kind == registry.Page)
	set(flagInactive, e.Inactive)
	set(flagBlocked, d.refused != "")
	set(flagNoBackend, d.backend < 0)
	set(flagGeneral, !e.Specialised)
	set(flagOtherRole, e.Role != "" && e.Role != "01")
	set(flagPriority, e.Priority != 0)
	set(flagContext, e.OE != "" || e.LB != "" || e.OD != "")
	set(flagOthers, len(e.Others) > 0 || e.Lang != "" && e.Lang != "de")
	return flags
}

// implicit numbers the implicit backends in the order of their names, so that no input order shows.
func (c *compiler) implicit() {
	sorted := slices.Sorted(slices.Values(c.implicits))
	place := make([]int32, len(sorted))
	for i, name := range c.implicits {
		at, _ := slices.BinarySearch(sorted, name)
		place[i] = int32(c.t.nConf + at)
		c.hosts[name] = place[i]
	}
	for i := range c.drafts {
		if d := &c.drafts[i]; int(d.backend) >= c.t.nConf {
			d.backend = place[int(d.backend)-c.t.nConf]
		}
	}
	for i := range c.t.overrides {
		if o := &c.t.overrides[i]; int(o.backend) >= c.t.nConf {
			o.backend = BackendID(place[int(o.backend)-c.t.nConf])
		}
	}
	for _, name := range sorted {
		c.t.backends = append(c.t.backends, backend{name: name, root: c.strings.put("https://" + name + "/")})
	}
}

func (c *compiler) help() {
	for land, on := range c.in.ParentKey {
		c.t.parentKey[land] = on
	}
	for land, h := range c.in.Help {
		c.t.help[land] = h
	}
}
