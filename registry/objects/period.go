// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"slices"
	"time"

	"github.com/pvgate/pvgate/registry/xzufi"
)

// maxPeriods bounds what intersecting lists of periods may give.
const maxPeriods = 16

// common is when all of the lists hold; a list without periods holds always.
func common(lists ...[]xzufi.Period) []xzufi.Period {
	out := []xzufi.Period{{}}
	for _, list := range lists {
		if len(list) == 0 {
			continue
		}
		var next []xzufi.Period
		for _, a := range out {
			for _, b := range list {
				if p, ok := overlap(a, b); ok && len(next) < maxPeriods && !slices.ContainsFunc(next, func(o xzufi.Period) bool { return equal(o, p) }) {
					next = append(next, p)
				}
			}
		}
		out = next
	}
	slices.SortFunc(out, func(a, b xzufi.Period) int {
		if c := a.Begin.Compare(b.Begin); c != 0 {
			return c
		}
		return compareEnds(a.End, b.End)
	})
	return out
}

func equal(a, b xzufi.Period) bool { return a.Begin.Equal(b.Begin) && a.End.Equal(b.End) }

// compareEnds orders ends; zero is open and the last.
func compareEnds(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

// overlap is when both hold. A zero begin is before all others as it is.
func overlap(a, b xzufi.Period) (p xzufi.Period, ok bool) {
	p = a
	if b.Begin.After(p.Begin) {
		p.Begin = b.Begin
	}
	if compareEnds(b.End, p.End) < 0 {
		p.End = b.End
	}
	return p, p.End.IsZero() || p.Begin.Before(p.End)
}

// without is when one of the first periods holds and none of the second.
func without(left, minus []xzufi.Period) []xzufi.Period {
	for _, b := range minus {
		var next []xzufi.Period
		for _, a := range left {
			o, ok := overlap(a, b)
			if !ok {
				next = append(next, a)
				continue
			}
			if a.Begin.Before(o.Begin) {
				next = append(next, xzufi.Period{Begin: a.Begin, End: o.Begin})
			}
			if !o.End.IsZero() && compareEnds(o.End, a.End) < 0 {
				next = append(next, xzufi.Period{Begin: o.End, End: a.End})
			}
		}
		left = next
	}
	return left
}
