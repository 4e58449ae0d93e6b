// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// CoverageOptions say what is counted.
type CoverageOptions struct {
	OZG map[registry.Leistung]registry.OZG // the service of the OZG that a Leistung belongs to
}

// Coverage says how much can be done online: of all pairs of a Leistung and a Gemeinde, which share leads to a service
// at a moment, by Resolve for direct senders. Counted are the federal Leistungen (99…) that have rows or stand in the
// catalogue, without those that are no applications (R13), and the Gemeinden in which somebody can live. A choice among
// several services is online too; a page is not, and neither is a refused target. Its JSON is described in
// docs/coverage.md.
type Coverage struct {
	Leistungen  int `json:"leistungen"`
	Gemeinden   int `json:"gemeinden"`
	Inhabitants int `json:"inhabitants"`

	Bund            Online           `json:"bund"`
	Lands           []OnlineArea     `json:"laender"` // all that the areas have, by key
	Kreise          []OnlineArea     `json:"kreise"`  // by key, the kreisfreie Städte among them
	OZG             []OnlineOZG      `json:"ozg"`     // by id
	PerLeistung     []OnlineLeistung `json:"by_leistung"`
	NotInOZG        int              `json:"not_in_ozg"`      // Leistungen of which nobody said where they belong
	NotFederal      int              `json:"not_federal"`     // local keys: not counted
	NotApplications int              `json:"not_application"` // Leistungen that are no applications: not counted
}

// Online counts pairs of Leistungen and Gemeinden.
type Online struct {
	Pairs int `json:"pairs"`
	// Online are the pairs that lead to a service.
	Online int `json:"online"`
	// People are inhabitants times Leistungen, and PeopleOnline those for whom they lead to a service: the same share
	// weighted by inhabitants.
	People       int `json:"people"`
	PeopleOnline int `json:"people_online"`
}

// ShareOfGemeinden is from 0 to 1; 0 where there is nothing to count.
func (o Online) ShareOfGemeinden() float64 { return share(o.Online, o.Pairs) }

// ShareOfInhabitants is the same with each Gemeinde as heavy as it has inhabitants.
func (o Online) ShareOfInhabitants() float64 { return share(o.PeopleOnline, o.People) }

func share(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

func (o *Online) add(x Online) {
	o.Pairs, o.Online, o.People, o.PeopleOnline = o.Pairs+x.Pairs, o.Online+x.Online, o.People+x.People, o.PeopleOnline+x.PeopleOnline
}

// OnlineArea is the coverage of a Land or Kreis.
type OnlineArea struct {
	Key         string `json:"key"`
	Name        string `json:"name"`
	Gemeinden   int    `json:"gemeinden"`
	Inhabitants int    `json:"inhabitants"`
	Online
}

// OnlineLeistung is the coverage of one Leistung.
type OnlineLeistung struct {
	Leistung registry.Leistung `json:"leistung"`
	Title    string            `json:"title,omitempty"`
	Online
}

// OnlineOZG is the coverage of the Leistungen of one service of the OZG.
type OnlineOZG struct {
	ID         string `json:"id"`
	Title      string `json:"title,omitempty"`
	Leistungen int    `json:"leistungen"`
	Online
}

// counting is the state of one Coverage.
type counting struct {
	Moment
	p     *plots
	q     Query
	lands []uint32 // the Bund and the Länder
	turns *turnSet
	// live and people count the Gemeinden that are not uninhabited, and who lives there, in the plots before a number.
	live, people []int
	// rises says by how much more Leistungen are online in a plot than in the one before it.
	rises []int
	now   Online // of the Leistung that is being counted
}

// CoverageOf counts at a moment. Nothing is looked up.
func CoverageOf(m Moment, o CoverageOptions) *Coverage {
	m.Table = m.Table.Bulk()
	c := &counting{Moment: m, p: layOut(m, m), lands: m.Table.lands(), turns: newTurnSet(m.Table.areas), q: Query{At: m.At}}
	c.rises = make([]int, len(c.p.list)+1)
	c.live, c.people = make([]int, 1), make([]int, 1)
	for n, x := range c.p.list {
		lives := 0
		if !strings.Contains(c.Table.areas.Area(x.Old).Kind, "unbewohnt") {
			lives = 1
		}
		c.live = append(c.live, c.live[n]+lives)
		c.people = append(c.people, c.people[n]+lives*x.Inhabitants)
	}
	r := &Coverage{
		Gemeinden: c.live[len(c.p.list)], Inhabitants: c.people[len(c.p.list)], Lands: []OnlineArea{}, Kreise: []OnlineArea{},
		OZG: []OnlineOZG{}, PerLeistung: []OnlineLeistung{},
	}
	ozg := map[string]*OnlineOZG{}
	for _, l := range questions(m.Table) {
		switch {
		case !l.Federal():
			r.NotFederal++
			continue
		case m.Table.Types(l).NotAnApplication():
			r.NotApplications++
			continue
		}
		r.Leistungen++
		x := OnlineLeistung{Leistung: l, Title: m.Table.Title(l), Online: c.leistung(l)}
		r.PerLeistung = append(r.PerLeistung, x)
		r.Bund.add(x.Online)
		of, known := o.OZG[l]
		if !known {
			r.NotInOZG++
			continue
		}
		if ozg[of.ID] == nil {
			ozg[of.ID] = &OnlineOZG{ID: of.ID}
		}
		ozg[of.ID].take(of.Title, x.Online)
	}
	for _, id := range slices.Sorted(maps.Keys(ozg)) {
		r.OZG = append(r.OZG, *ozg[id])
	}
	c.areas(r)
	return r
}

func (x *OnlineOZG) take(title string, o Online) {
	if x.Title == "" {
		x.Title = title
	}
	x.Leistungen++
	x.Online.add(o)
}

// leistung counts one Leistung.
func (c *counting) leistung(l registry.Leistung) Online {
	all := len(c.p.list)
	c.q.Leistung, c.now = l, Online{Pairs: c.live[all], People: c.people[all]}
	s := c.turns
	s.scratch = append(s.scratch, c.lands...)
	s.scratch = c.Table.appendTurnsOf(s.scratch, l, "")
	s.add(nil)
	sweep(s.take(), c.p.within, c.isOnline, c.emit)
	for n := c.p.plain; int(n) < all; n++ {
		c.emit(n, n+1, c.isOnline(n))
	}
	return c.now
}

// isOnline says whether a plot's answer is a service, or several to choose from.
func (c *counting) isOnline(number uint32) bool {
	c.q.Area = c.p.list[number].Old
	d := c.Table.Resolve(&c.q)
	return (d.Verdict == Handover || d.Verdict == Ambiguous) && d.Kind == registry.Service
}

func (c *counting) emit(first, end uint32, online bool) {
	if !online {
		return
	}
	c.now.Online += c.live[end] - c.live[first]
	c.now.PeopleOnline += c.people[end] - c.people[first]
	c.rises[first]++
	c.rises[end]--
}

// areas sums up what the Leistungen have left in rises, by Land and Kreis.
func (c *counting) areas(r *Coverage) {
	type sums map[string]*OnlineArea
	lands, kreise := sums{}, sums{}
	online := 0
	for n, x := range c.p.list {
		online += c.rises[n]
		lives, people := c.live[n+1]-c.live[n], c.people[n+1]-c.people[n]
		here := Online{
			Pairs: lives * r.Leistungen, Online: lives * online, People: people * r.Leistungen, PeopleOnline: people * online,
		}
		key := c.Table.areas.ARS(x.Old)
		for of, key := range map[*sums]string{&lands: fmt.Sprintf("%02d", key.Land()), &kreise: key.At(registry.LevelKreis).String()} {
			a := (*of)[key]
			if a == nil {
				a = &OnlineArea{Key: key, Name: c.name(key)}
				(*of)[key] = a
			}
			a.Gemeinden, a.Inhabitants = a.Gemeinden+lives, a.Inhabitants+people
			a.add(here)
		}
	}
	list := func(of sums) (list []OnlineArea) {
		for _, key := range slices.Sorted(maps.Keys(of)) {
			if of[key].Gemeinden > 0 {
				list = append(list, *of[key])
			}
		}
		return list
	}
	r.Lands, r.Kreise = append(r.Lands, list(lands)...), append(r.Kreise, list(kreise)...)
}

// name of a Land or Kreis; a kreisfreie Stadt is found by its Kreis too (R3).
func (c *counting) name(key string) string {
	id, err := c.Table.areas.EntryArea(key)
	if err != nil {
		return key
	}
	return c.Table.areas.Area(id).Short()
}
