// SPDX-License-Identifier: EUPL-1.2

package registry

// LeistungInfo is what the catalogue knows about a Leistung.
type LeistungInfo struct {
	Title     string
	Types     Types
	Successor Leistung
}

// Catalogue is the list of known Leistungen with title, types and successor. A nil *Catalogue is an empty one.
// Immutable, safe for concurrent use.
type Catalogue struct {
	m map[Leistung]LeistungInfo
}

// NewCatalogue takes over m.
func NewCatalogue(m map[Leistung]LeistungInfo) *Catalogue { return &Catalogue{m} }

// Info of a Leistung; ok is false if the catalogue lacks it.
func (c *Catalogue) Info(l Leistung) (info LeistungInfo, ok bool) {
	if c == nil {
		return LeistungInfo{}, false
	}
	info, ok = c.m[l]
	return info, ok
}

// Title of a Leistung, "" if unknown.
func (c *Catalogue) Title(l Leistung) string {
	info, _ := c.Info(l)
	return info.Title
}

// Successor of a Leistung, zero if none.
func (c *Catalogue) Successor(l Leistung) Leistung {
	info, _ := c.Info(l)
	return info.Successor
}

// Types of a Leistung, zero if none is known.
func (c *Catalogue) Types(l Leistung) Types {
	info, _ := c.Info(l)
	return info.Types
}

// Len is the number of Leistungen.
func (c *Catalogue) Len() int {
	if c == nil {
		return 0
	}
	return len(c.m)
}

// All calls f for every Leistung in no particular order.
func (c *Catalogue) All(f func(Leistung, LeistungInfo)) {
	if c == nil {
		return
	}
	for l, info := range c.m {
		f(l, info)
	}
}
