// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"time"

	"github.com/pvgate/pvgate/registry"
)

// maxWarnings bounds what a registry of millions of rows can say about its doubtful ones.
const maxWarnings = 10_000

// warn looks at the finished table for what is allowed but probably wrong.
func (c *compiler) warn() {
	for _, n := range c.t.index.order {
		b := &c.t.index.blocks[n]
		for row := b.r0; row < b.r1; row++ {
			c.foreignKeys(b.key, row)
		}
		c.oldAndNew(n)
		if len(c.problems) > maxWarnings {
			return
		}
	}
}

// foreignKeys warns of URLs that name a place outside their entry's area (S82).
func (c *compiler) foreignKeys(l registry.Leistung, row uint32) {
	h := &c.t.hot[row]
	area := registry.AreaID(h.area)
	if h.url&isTemplate != 0 {
		return
	}
	for _, key := range twelveDigits(c.t.strings.at(h.url)) {
		id, err := c.in.Areas.EntryArea(key)
		if err != nil || c.in.Areas.Contains(area, id) || c.in.Areas.Contains(id, area) || c.related(id, area) {
			continue
		}
		c.warning(c.t.Row(RowID(row)).Origin, "leistung %s: URL names %s (%s), outside the entry's area %s (%s)",
			l, key, c.in.Areas.Area(id).Short(), c.areaKey(area), c.in.Areas.Area(area).Short())
	}
}

// related says whether a dated change makes one area of the other.
func (c *compiler) related(a, b registry.AreaID) bool {
	return c.in.Areas.Changed(a) && c.in.Areas.Changed(b) && (c.inside(a, b, farFuture()) || c.inside(b, a, farFuture()))
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

// twelveDigits finds the runs of exactly twelve digits in a URL that may be an ARS.
func twelveDigits(url string) (keys []string) {
	run := 0
	for i := 0; i <= len(url); i++ {
		if i < len(url) && '0' <= url[i] && url[i] <= '9' {
			run++
			continue
		}
		if run == 12 && (url[i-12] == '0' || url[i-12] == '1') {
			keys = append(keys, url[i-12:i])
		}
		run = 0
	}
	return keys
}

// oldAndNew warns of rows under an old and a new key of one area that lead to different places: from the day of the
// change on the new key's row answers (R4, R10; S33).
func (c *compiler) oldAndNew(block uint32) {
	x := &c.t.index
	for _, to := range c.t.turned {
		for _, old := range c.in.Areas.Formerly(registry.AreaID(to), farFuture()) {
			native, former := x.exact(block, to), x.exact(block, uint32(old))
			if native.last == none || former.last == none {
				continue
			}
			if row, other, differ := c.t.differ(former, native); differ {
				c.warning(c.t.Row(row).Origin, "the entry for %s (%s) leads elsewhere than %s for %s, which is the same area by a dated change and will answer",
					c.in.Areas.ARS(old), c.in.Areas.Area(old).Short(), c.t.Row(other).Origin, c.in.Areas.ARS(registry.AreaID(to)))
			}
		}
	}
}

// differ finds a row of the former area's group whose target no row of the same kind has at the native one.
func (t *Table) differ(former, native group) (row, other RowID, differ bool) {
	first, end := t.index.rows(former)
	for r := first; r < end; r++ {
		lo, hi := t.index.rows(native)
		like, found := false, false
		for s := lo; s < hi; s++ {
			if t.index.of(former, r).kind() == t.index.of(native, s).kind() {
				like, other = true, RowID(s)
				found = found || t.index.sameTarget(r, s)
			}
		}
		if like && !found {
			return RowID(r), other, true
		}
	}
	return 0, 0, false
}
