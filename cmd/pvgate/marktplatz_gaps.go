// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// gap is a Leistung that an offer has and Gemeinden lack.
type gap struct {
	Leistung registry.Leistung `json:"leistung"`
	Title    string            `json:"title,omitempty"`
	Offers   []closing         `json:"offers"`
	reach                      // who would gain an Onlinedienst
	Where    []lacking         `json:"where"` // most inhabitants first
}

// closing is an offer that would close a gap.
type closing struct {
	Offer string `json:"offer"`
	Phase string `json:"phase"`
}

// lacking is a Gemeinde without an Onlinedienst for a Leistung.
type lacking struct {
	areaReport
	Inhabitants int    `json:"inhabitants"`
	Verdict     string `json:"verdict"` // what is answered there: handover to a page, or a reason
}

func newMarktplatzGaps() *cobra.Command {
	var leistung, area string
	cmd := &cobra.Command{
		Use:   "gaps",
		Short: "Name the Gemeinden without an Onlinedienst that an offer would bring them",
		Long: "gaps asks for each Leistung of each offer that has not ended, in each Gemeinde with inhabitants, whether a\n" +
			"citizen is led to an Onlinedienst. Where not, it names the Gemeinde, the offers that would change that, and how\n" +
			"many inhabitants would gain. What no offer has is no gap of the Marktplatz.",
		Args: cobra.NoArgs,
	}
	type list struct {
		Gaps []gap `json:"gaps"`
	}
	marketVerb(cmd, func(m *market, _ []string) (list, error) {
		only, err := m.only(leistung, area)
		if err != nil {
			return list{}, err
		}
		return list{m.gaps(only)}, nil
	}, func(w io.Writer, l list) {
		if len(l.Gaps) == 0 {
			fmt.Fprintln(w, "no gaps: what is offered is there for everybody")
			return
		}
		columns(w, "LEISTUNG GEMEINDEN INHABITANTS OFFERS TITLE", func(row func(...any)) {
			for i := range l.Gaps {
				g := &l.Gaps[i]
				row(g.Leistung, g.Gemeinden, g.Inhabitants, g.offers(), g.Title)
			}
		})
		for i := range l.Gaps {
			l.Gaps[i].print(w)
		}
	})
	cmd.Flags().StringVar(&leistung, "leistung", "", "only this Leistung; absent: all that are offered")
	cmd.Flags().StringVar(&area, "area", "", "only Gemeinden at or below this area (ARS or AGS); absent: all")
	return cmd
}

// maxNamed bounds the Gemeinden that the text names for one Leistung.
const maxNamed = 10

func (g *gap) offers() string {
	var words []string
	for _, o := range g.Offers {
		if o.Phase == "live" {
			words = append(words, o.Offer)
		} else {
			words = append(words, o.Offer+" ("+o.Phase+")")
		}
	}
	return strings.Join(words, ", ")
}

func (g *gap) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s is missing in\n", g.Leistung)
	for i, x := range g.Where {
		if i == maxNamed && len(g.Where) > maxNamed+1 {
			fmt.Fprintf(w, "  … and %d more; --area narrows, -o json has all\n", len(g.Where)-i)
			return
		}
		fmt.Fprintf(w, "  %s %s  %d inhabitants  %s\n", x.ARS, x.Name, x.Inhabitants, x.Verdict)
	}
}

// asked narrows what gaps looks at.
type asked struct {
	leistung registry.Leistung // zero = all
	area     registry.AreaID
}

func (m *market) only(leistung, area string) (a asked, err error) {
	if leistung != "" {
		if a.leistung, err = registry.ParseLeistung(leistung); err != nil {
			return a, err
		}
	}
	if area != "" {
		place, err := m.areas.Locate(area, m.now, registry.LocateOptions{})
		if err != nil {
			return a, err
		}
		a.area = place.ID
	}
	return a, nil
}

// gaps are the Leistungen of offers with the Gemeinden that lack them, most inhabitants first.
func (m *market) gaps(only asked) []gap {
	byLeistung := map[registry.Leistung][]closing{}
	for i := range m.offers {
		o := &m.offers[i]
		phase := m.phase(o.State, o.Begin, o.End)
		if phase == "ended" {
			continue
		}
		for l := range o.Leistungen {
			if only.leistung.IsZero() || only.leistung == l {
				byLeistung[l] = append(byLeistung[l], closing{o.Name, phase})
			}
		}
	}
	out := []gap{}
	for l, offers := range byLeistung {
		slices.SortFunc(offers, func(a, b closing) int { return strings.Compare(a.Offer, b.Offer) })
		g := gap{Leistung: l, Title: m.table.Title(l), Offers: offers}
		for _, id := range m.gemeinden {
			if !m.areas.Contains(only.area, id) {
				continue
			}
			if verdict, online := m.online(l, id); !online {
				n := m.areas.Inhabitants(id, m.now)
				g.Where = append(g.Where, lacking{m.area(id), n, verdict})
				g.Inhabitants += n
			}
		}
		if g.Gemeinden = len(g.Where); g.Gemeinden > 0 {
			slices.SortStableFunc(g.Where, func(a, b lacking) int { return cmp.Compare(b.Inhabitants, a.Inhabitants) })
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b gap) int {
		return cmp.Or(cmp.Compare(b.Inhabitants, a.Inhabitants), a.Leistung.Compare(b.Leistung))
	})
	return out
}

// online says whether a citizen is led to an Onlinedienst, or can choose one.
func (m *market) online(l registry.Leistung, area registry.AreaID) (verdict string, ok bool) {
	q := routing.Query{Leistung: l, Area: area, At: m.now}
	d := m.table.Bulk().Resolve(&q)
	led := d.Verdict == routing.Handover || d.Verdict == routing.Ambiguous
	verdict = d.Verdict.String()
	if led && d.Kind == registry.Page {
		verdict = "page"
	}
	return verdict, led && d.Kind == registry.Service
}
