// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// foreignKeys warns of URLs that name a place outside their entry's area (S82), in any language.
func (b *Builder) foreignKeys(e *registry.Entry) {
	var told []string
	look := func(url string) {
		for run, rest := digits(url); run != ""; run, rest = digits(rest) {
			if len(run) != arsDigits || run[0] > '1' || run == string(b.keys.ars[:]) || slices.Contains(told, run) {
				continue
			}
			id, err := b.areas.EntryArea(run)
			if err != nil || b.areas.Contains(e.Area, id) || b.areas.Contains(id, e.Area) || b.related(id, e.Area) {
				continue
			}
			told = append(told, run)
			b.warn(e, "leistung %s: URL names %s (%s), outside the entry's area %s (%s)",
				e.Leistung, run, b.areas.Area(id).Short(), cmp.Or(b.areas.ARS(e.Area).String(), "00"), b.areas.Area(e.Area).Short())
		}
	}
	look(e.URL)
	for _, o := range e.Others {
		look(o.URL)
	}
}

// digits cuts off all up to and with the first run of digits.
func digits(s string) (run, rest string) {
	isDigit := func(c byte) bool { return '0' <= c && c <= '9' }
	i := 0
	for i < len(s) && !isDigit(s[i]) {
		i++
	}
	end := i
	for end < len(s) && isDigit(s[end]) {
		end++
	}
	return s[i:end], s[end:]
}

// farFuture is after every change.
func farFuture() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }

// related says whether a dated change makes one area of the other.
func (b *Builder) related(one, other registry.AreaID) bool {
	return b.areas.Changed(one) && b.areas.Changed(other) &&
		(b.areas.ContainsAt(one, other, farFuture()) || b.areas.ContainsAt(other, one, farFuture()))
}

// oldAndNew warns of rows under an old and a new key of one area that lead to different places: from the day of the
// change on the new key's row answers (R4, R10; S33).
func (b *Builder) oldAndNew(x *Index) {
	for to := range uint32(b.areas.Len()) {
		if !b.areas.Changed(registry.AreaID(to)) {
			continue
		}
		for _, old := range b.areas.Formerly(registry.AreaID(to), farFuture()) {
			for n := range uint32(len(x.blocks)) {
				native, former := x.Exact(n, to), x.Exact(n, uint32(old))
				if native == None || former == None {
					continue
				}
				l := x.blocks[n].Key
				if row, other, differ := x.differ(l, former, uint32(old), native, to); differ {
					e, o := x.EntryAt(At{row, l, uint32(old)}), x.EntryAt(At{other, l, to})
					b.report.Warnings = append(b.report.Warnings, OldAndNew(b.areas, registry.AreaID(to), old, e.Origin, o.Origin))
				}
			}
		}
	}
	b.report.Warnings = b.report.Warnings[:min(len(b.report.Warnings), MaxWarnings)]
}

// OldAndNew is the warning that rows of an old and a new key of one area lead to different places.
func OldAndNew(areas *registry.Areas, to, old registry.AreaID, row, other registry.Origin) registry.Fault {
	return registry.Fault{Origin: row, Reason: fmt.Sprintf(
		"the entry for %s (%s) leads elsewhere than %s for %s, which is the same area by a dated change and will answer",
		areas.ARS(old), areas.Area(old).Short(), other, areas.ARS(to))}
}

// differ finds a row of the former area's group whose target no row of the same kind has at the native one.
func (x *Index) differ(l registry.Leistung, former, old, native, to uint32) (row, other uint32, differ bool) {
	page := func(row uint32) bool { return x.traits[x.TraitsOf(row)].Flags&Page != 0 }
	first, end := x.Rows(former)
	for r := first; r < end; r++ {
		like, found := false, false
		for s, last := x.Rows(native); s < last; s++ {
			if page(r) == page(s) {
				like, other = true, s
				found = found || x.SameURL(At{r, l, old}, At{s, l, to})
			}
		}
		if like && !found {
			return r, other, true
		}
	}
	return 0, 0, false
}
