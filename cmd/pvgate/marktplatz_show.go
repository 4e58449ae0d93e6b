// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// offerReport is an offer in an answer.
type offerReport struct {
	Name       string         `json:"name"`
	State      string         `json:"state"`
	Phase      string         `json:"phase"` // the state, or not yet, or ended
	Backend    string         `json:"backend"`
	Provider   providerReport `json:"provider"`
	Contract   string         `json:"contract,omitempty"`
	PriceModel string         `json:"price_model,omitempty"`
	Begin      string         `json:"begin,omitempty"`
	End        string         `json:"end,omitempty"`
	Successor  string         `json:"successor,omitempty"`
	Follows    []string       `json:"follows,omitempty"` // the offers whose successor it is
	Leistungen []offered      `json:"leistungen"`
	Adopted    int            `json:"adopted"` // areas with a live adoption
	Planned    int            `json:"planned"` // areas with one that is not live, or not yet
	reach
	Closes int    `json:"closes"` // live rows at Kreis or deeper that it takes away, or will once it is live
	From   string `json:"from"`
}

type providerReport struct {
	areaReport
	Title string `json:"title,omitempty"` // what it calls itself
	Via   string `json:"via,omitempty"`
}

// offered is a Leistung of an offer.
type offered struct {
	Leistung registry.Leistung `json:"leistung"`
	Title    string            `json:"title,omitempty"`
	URL      string            `json:"url"`
	Rivals   []string          `json:"rivals,omitempty"` // other offers that have it
}

func newMarktplatzList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the offers with how far they are and whom they reach",
		Args:  cobra.NoArgs,
	}
	type list struct {
		Offers []offerReport `json:"offers"`
	}
	return marketVerb(cmd, func(m *market, _ []string) (list, error) {
		return list{m.reportAll()}, nil
	}, func(w io.Writer, l list) {
		if len(l.Offers) == 0 {
			fmt.Fprintln(w, "no offers")
			return
		}
		columns(w, "OFFER STATE BACKEND PROVIDER VIA LEISTUNGEN AREAS GEMEINDEN INHABITANTS FROM UNTIL SUCCESSOR", func(row func(...any)) {
			for i := range l.Offers {
				o := &l.Offers[i]
				row(o.Name, o.Phase, o.Backend, o.Provider.title(), o.Provider.Via, len(o.Leistungen), o.Adopted, o.Gemeinden, o.Inhabitants, o.Begin, o.End, o.Successor)
			}
		})
	})
}

// title is what a provider calls itself, else its area's name.
func (p *providerReport) title() string { return cmp.Or(p.Title, p.Name) }

func newMarktplatzShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show OFFER",
		Short: "Show an offer: its Leistungen, contract, rivals, and what it would close",
		Args:  cobra.ExactArgs(1),
	}
	return marketVerb(cmd, func(m *market, args []string) (*offerReport, error) {
		if _, err := m.offer(args[0]); err != nil {
			return nil, err
		}
		all := m.reportAll()
		i := slices.IndexFunc(all, func(r offerReport) bool { return r.Name == args[0] })
		return &all[i], nil
	}, printOffer)
}

// reportAll describes the offers by name.
func (m *market) reportAll() []offerReport {
	closes := make([]int, len(m.offers))
	eachClosed(m.routes, m.now, func(backend string, row *routing.Row) { closes[closedBy(m.offers, backend, row.Leistung)]++ })
	out := make([]offerReport, 0, len(m.offers))
	for i := range m.offers {
		r := m.report(&m.offers[i])
		r.Closes = closes[i]
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b offerReport) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (m *market) report(o *registry.Offer) offerReport {
	r := offerReport{
		Name: o.Name, State: o.State.String(), Phase: m.phase(o.State, o.Begin, o.End), Backend: o.Backend,
		Provider: providerReport{m.area(o.Provider.Area), o.Provider.Name, o.Provider.Via}, Contract: o.Contract, PriceModel: o.PriceModel,
		Begin: day(o.Begin), End: lastDay(o.End), Successor: o.Successor, Leistungen: []offered{}, From: o.Origin.String(),
	}
	for _, l := range slices.SortedFunc(maps.Keys(o.Leistungen), registry.Leistung.Compare) {
		r.Leistungen = append(r.Leistungen, offered{l, m.table.Title(l), o.Leistungen[l].String(), m.rivals(o, l)})
	}
	for i := range m.offers {
		if m.offers[i].Successor == o.Name {
			r.Follows = append(r.Follows, m.offers[i].Name)
		}
	}
	reached := map[registry.AreaID]bool{}
	for _, a := range m.adoptionsOf(o) {
		switch m.phase(a.State, a.Begin, a.End) {
		case "ended":
		case "live":
			if r.Phase != "live" {
				r.Planned += len(a.Areas)
				continue
			}
			r.Adopted += len(a.Areas)
			for _, at := range a.Areas {
				m.reaches(a, at.Area, func(g registry.AreaID) { reached[g] = true })
			}
		default:
			r.Planned += len(a.Areas)
		}
	}
	r.reach = m.reachOf(reached)
	return r
}

// rivals are the other offers of a Leistung.
func (m *market) rivals(o *registry.Offer, l registry.Leistung) (names []string) {
	for i := range m.offers {
		if other := &m.offers[i]; other.Name != o.Name {
			if _, has := other.Leistungen[l]; has {
				names = append(names, other.Name)
			}
		}
	}
	return names
}

func printOffer(w io.Writer, o *offerReport) {
	fmt.Fprintf(w, "%s  %s  %s\n", o.Name, o.Phase, o.From)
	line := func(key, format string, args ...any) {
		fmt.Fprintf(w, "  %-11s %s\n", key, fmt.Sprintf(format, args...))
	}
	via := ""
	if o.Provider.Via != "" {
		via = ", via " + o.Provider.Via
	}
	line("provider", "%s (%s)%s", o.Provider.title(), o.Provider.ARS, via)
	line("backend", "%s", o.Backend)
	for _, x := range [...][2]string{
		{"contract", o.Contract},
		{"price model", o.PriceModel},
		{"from", o.Begin},
		{"until", o.End},
		{"successor", o.Successor},
		{"follows", strings.Join(o.Follows, ", ")},
	} {
		if x[1] != "" {
			line(x[0], "%s", x[1])
		}
	}
	for _, l := range o.Leistungen {
		line("leistung", "%s", strings.TrimSpace(l.Leistung.String()+" "+l.Title))
		line("", "%s", l.URL)
		if len(l.Rivals) > 0 {
			line("", "also offered by %s", strings.Join(l.Rivals, ", "))
		}
	}
	line("adopted", "%s, %s, %d inhabitants; %d planned", counted(o.Adopted, "area", "areas"), counted(o.Gemeinden, "Gemeinde", "Gemeinden"), o.Inhabitants, o.Planned)
	if o.Closes > 0 {
		line("closes", "%s without an adoption; pvgate marktplatz adopt --from-registry %s prints adoptions for them", counted(o.Closes, "live row", "live rows"), o.Name)
	}
}

// adopter is one area of an adoption.
type adopter struct {
	areaReport
	Phase      string              `json:"phase"`
	OE         string              `json:"oe_id,omitempty"`
	Contract   string              `json:"contract,omitempty"`
	Begin      string              `json:"begin,omitempty"`
	End        string              `json:"end,omitempty"`
	Leistungen []registry.Leistung `json:"leistungen,omitempty"` // absent: all
	Without    []areaReport        `json:"without,omitempty"`
	reach
	From string `json:"from"`
}

func newMarktplatzAdopters() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adopters OFFER",
		Short: "List the areas that have joined an offer, and those that will",
		Args:  cobra.ExactArgs(1),
	}
	type list struct {
		Offer    string    `json:"offer"`
		Adopters []adopter `json:"adopters"`
	}
	return marketVerb(cmd, func(m *market, args []string) (list, error) {
		o, err := m.offer(args[0])
		if err != nil {
			return list{}, err
		}
		return list{o.Name, m.adopters(o)}, nil
	}, func(w io.Writer, l list) {
		if len(l.Adopters) == 0 {
			fmt.Fprintf(w, "nobody has joined %s\n", l.Offer)
			return
		}
		columns(w, "AREA NAME STATE OE_ID CONTRACT FROM UNTIL GEMEINDEN INHABITANTS WITHOUT WHERE", func(row func(...any)) {
			for i := range l.Adopters {
				a := &l.Adopters[i]
				var without []string
				for _, x := range a.Without {
					without = append(without, x.ARS)
				}
				row(a.ARS, a.Name, a.Phase, a.OE, a.Contract, a.Begin, a.End, a.Gemeinden, a.Inhabitants, strings.Join(without, ","), a.From)
			}
		})
	})
}

// adopters are the areas of an offer's adoptions, in order of area.
func (m *market) adopters(o *registry.Offer) []adopter {
	out := []adopter{}
	for _, a := range m.adoptionsOf(o) {
		phase := m.phase(a.State, a.Begin, a.End)
		if phase == "live" {
			phase = m.phase(o.State, o.Begin, o.End)
		}
		for _, at := range a.Areas {
			reached := map[registry.AreaID]bool{}
			m.reaches(a, at.Area, func(g registry.AreaID) { reached[g] = true })
			x := adopter{
				areaReport: m.area(at.Area), Phase: phase, OE: at.OE, Contract: a.Contract, Begin: day(a.Begin), End: lastDay(a.End),
				Leistungen: a.Leistungen, reach: m.reachOf(reached), From: a.Origin.String(),
			}
			for _, w := range a.Without {
				if m.areas.Contains(at.Area, w) {
					x.Without = append(x.Without, m.area(w))
				}
			}
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(a, b adopter) int { return strings.Compare(a.ARS, b.ARS) })
	return out
}
