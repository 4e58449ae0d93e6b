// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"slices"
	"strings"
	"time"
)

// place is where a key lies at a time.
type place struct {
	area  string
	moved bool
}

type oAlias struct {
	from, to []string // canonical keys
	on       time.Time
}

// oDirectory is R2 to R4 on texts.
type oDirectory struct {
	known   map[string]bool // canonical keys of the Gemeindeverzeichnis and of aliases; "" is the Bund
	byAGS   map[string]string
	kreis   map[string]string // Kreis, Verband and Land keys that are a Gemeinde (R3)
	aliases []oAlias
	born    map[string]time.Time // areas that only an alias knows
}

// newDirectory takes the keys of a Gemeindeverzeichnis, canonical or not.
func newDirectory(keys []string) *oDirectory {
	d := &oDirectory{known: map[string]bool{"": true}, byAGS: map[string]string{}, kreis: map[string]string{}, born: map[string]time.Time{}}
	for _, k := range keys {
		if len(k) == 12 {
			d.gemeinde(k)
		}
	}
	for _, k := range keys {
		if d.kreis[k] == "" {
			d.known[k] = true
		}
	}
	return d
}

// gemeinde enters a Gemeinde and the upper keys that are the same territory (R3).
func (d *oDirectory) gemeinde(k string) {
	d.known[k] = true
	d.byAGS[k[:5]+k[9:]] = k
	if k[5] == '0' || k[5] == '9' {
		d.kreis[k[:9]] = k
	}
	if k[5:9] == "0000" {
		d.kreis[k[:5]] = k
	}
	if k[:2] == "02" || k[:2] == "11" {
		d.kreis[k[:2]] = k
	}
}

func (d *oDirectory) alias(from, to []string, on time.Time) {
	a := oAlias{on: on}
	for _, t := range to {
		if !d.known[d.canonical(t)] {
			d.gemeinde(t)
			d.born[t] = on
		}
		a.to = append(a.to, d.canonical(t))
	}
	for _, f := range from {
		k, ok := d.native(f)
		if !ok {
			if len(f) == 8 {
				f = f[:5] + "0000" + f[5:]
			}
			if len(f) == 12 {
				d.gemeinde(f)
			}
			k = d.canonical(f)
		}
		a.from = append(a.from, k)
	}
	d.aliases = append(d.aliases, a)
}

func (d *oDirectory) canonical(k string) string {
	if g := d.kreis[k]; g != "" {
		return g
	}
	return k
}

// native is R2 (b) to (d) and R3.
func (d *oDirectory) native(text string) (string, bool) {
	if strings.Trim(text, "0") == "" {
		return "", true
	}
	if len(text) == 8 {
		if g := d.byAGS[text]; g != "" {
			return g, true
		}
		text += "0000"
	} else if k := d.canonical(text); d.known[k] {
		return k, true
	}
	if len(text) != 12 {
		return "", false
	}
	for _, n := range []int{9, 5, 3, 2} {
		if k := d.canonical(text[:n]); d.known[k] && strings.Trim(text[n:], "0") == "" {
			return k, true
		}
	}
	g := d.byAGS[text[:5]+text[9:]]
	return g, g != ""
}

// at is R4: where a canonical key lies at a time; nowhere if its area does not exist yet.
func (d *oDirectory) at(k string, at time.Time) []place {
	for _, a := range d.aliases {
		if !slices.Contains(a.from, k) || at.Before(a.on) {
			continue
		}
		var all []place
		for _, t := range a.to {
			for _, p := range d.at(t, at) {
				all = append(all, place{p.area, true})
			}
		}
		return all
	}
	if on, ok := d.born[k]; ok && at.Before(on) {
		return nil
	}
	return []place{{k, false}}
}

// chain is the area, each containing area upward, the Bund.
func (d *oDirectory) chain(k string) []string {
	c := []string{k}
	for _, n := range []int{9, 5, 3, 2, 0} {
		if n < len(k) && d.known[k[:n]] {
			c = append(c, k[:n])
		}
	}
	return c
}

// inside says whether b lies strictly inside a.
func (d *oDirectory) inside(a, b string) bool { return b != a && slices.Contains(d.chain(b), a) }
