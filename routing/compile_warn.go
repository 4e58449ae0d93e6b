// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"slices"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// maxWarnings bounds what a registry of millions of rows can say about its doubtful ones.
const maxWarnings = 10_000

// warn looks at the finished table for what is allowed but probably wrong in the operators' rows. What is doubtful in the
// sources' rows has been said when their index was built.
func (c *compiler) warn() {
	p := &c.t.policy
	for n := range p.blocks {
		b := &p.blocks[n]
		for i := range p.rows[b.first:b.end] {
			c.foreignKeys(&p.rows[int(b.first)+i])
		}
		c.oldAndNew(p.grid.Leistung(uint32(n)))
		if len(c.problems) > maxWarnings {
			return
		}
	}
}

// foreignKeys warns of URLs that name a place outside their entry's area (S82), in any language and where a template is fixed.
func (c *compiler) foreignKeys(r *policyRow) {
	area := registry.AreaID(r.area)
	url, _ := c.t.addressText(address{n: r.url})
	keys := twelveDigits(nil, url)
	for _, o := range c.t.othersOf(c.t.extraOf(r)) {
		keys = twelveDigits(keys, c.t.text(o.url))
	}
	for _, key := range keys {
		id, err := c.in.Areas.EntryArea(key)
		if err != nil || c.in.Areas.Contains(area, id) || c.in.Areas.Contains(id, area) || c.related(id, area) {
			continue
		}
		origin := registry.Origin{Source: c.t.origins[r.origin].source, File: c.t.origins[r.origin].file, Line: int32(r.line), Col: int32(r.col)}
		c.warning(origin, "leistung %s: URL names %s (%s), outside the entry's area %s (%s)",
			r.leistung, key, c.in.Areas.Area(id).Short(), c.areaKey(area), c.in.Areas.Area(area).Short())
	}
}

// related says whether a dated change makes one area of the other.
func (c *compiler) related(a, b registry.AreaID) bool {
	return c.in.Areas.Changed(a) && c.in.Areas.Changed(b) &&
		(c.in.Areas.ContainsAt(a, b, farFuture()) || c.in.Areas.ContainsAt(b, a, farFuture()))
}

// farFuture is after every change.
func farFuture() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }

// areaKey is "00" for the Bund, whose own key is empty.
func (c *compiler) areaKey(id registry.AreaID) string {
	if id == registry.Bund {
		return "00"
	}
	return c.in.Areas.ARS(id).String()
}

// twelveDigits appends the runs of exactly twelve digits in a URL that may be an ARS, each once.
func twelveDigits(keys []string, url string) []string {
	run := 0
	for i := 0; i <= len(url); i++ {
		if i < len(url) && '0' <= url[i] && url[i] <= '9' {
			run++
			continue
		}
		if run == 12 && (url[i-12] == '0' || url[i-12] == '1') && !slices.Contains(keys, url[i-12:i]) {
			keys = append(keys, url[i-12:i])
		}
		run = 0
	}
	return keys
}

// oldAndNew warns of rows under an old and a new key of one area that lead to different places, if one of them is an
// operator's: from the day of the change on the new key's row answers (R4, R10; S33).
func (c *compiler) oldAndNew(l registry.Leistung) {
	for _, to := range c.t.turned {
		native := c.t.rowsAt(l, to)
		if len(native) == 0 {
			continue
		}
		for _, old := range c.in.Areas.Formerly(registry.AreaID(to), farFuture()) {
			if row, other, differ := c.t.differ(c.t.rowsAt(l, uint32(old)), native); differ {
				f := index.OldAndNew(c.in.Areas, registry.AreaID(to), old, c.t.Row(row).Origin, c.t.Row(other).Origin)
				c.warning(f.Origin, "%s", f.Reason)
			}
		}
	}
}

// rowsAt are all rows of a Leistung at a native area.
func (t *Table) rowsAt(l registry.Leistung, area uint32) (list []index.At) {
	at := t.find(l)
	for part := range parts {
		if group := t.exact(part, at[part], area); group != none {
			for row, end := t.rows(part, group); row < end; row++ {
				list = append(list, index.At{Row: row, Leistung: l, Area: area})
			}
		}
	}
	return list
}

// differ finds a row of the former area whose target no row of the same kind has at the native one.
func (t *Table) differ(former, native []index.At) (row, other RowID, differ bool) {
	for _, r := range former {
		like, found := false, false
		for _, s := range native {
			if (t.own(r.Row) != nil || t.own(s.Row) != nil) && t.traitsOf(r.Row).kind() == t.traitsOf(s.Row).kind() {
				like, other = true, RowID(s.Row)
				found = found || t.sameTarget(r, s)
			}
		}
		if like && !found {
			return RowID(r.Row), other, true
		}
	}
	return 0, 0, false
}
