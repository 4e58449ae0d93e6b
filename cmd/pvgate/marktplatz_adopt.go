// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// drafted are the adoptions that the registry's rows amount to, to be reviewed.
type drafted struct {
	Offer string         `json:"offer"`
	Files []adoptionFile `json:"files"`
	Left  []leftRow      `json:"left"` // what no adoption can open
}

// adoptionFile is a file for routes.d: the adoptions of one Land.
type adoptionFile struct {
	Name      string          `json:"name"`
	Area      string          `json:"area"`
	Adoptions []draftAdoption `json:"adoptions"`
}

// draftAdoption is the areas in which the registry has the same Leistungen.
type draftAdoption struct {
	Leistungen []registry.Leistung `json:"leistungen,omitempty"` // absent: all of the offer
	Areas      []draftArea         `json:"areas"`
}

// draftArea is one area, and the rows that speak for it.
type draftArea struct {
	areaReport
	OE   string   `json:"oe_id,omitempty"`
	From []string `json:"from"`           // the rows
	Note []string `json:"note,omitempty"` // what a person should look at
	id   registry.AreaID
}

// leftRow is a row that stays closed, and why.
type leftRow struct {
	From     string            `json:"from"`
	Leistung registry.Leistung `json:"leistung"`
	Area     areaReport        `json:"area"`
	Why      string            `json:"why"`
}

func newMarktplatzAdopt() *cobra.Command {
	var (
		fromRegistry bool
		land, into   string
	)
	cmd := &cobra.Command{
		Use:   "adopt --from-registry OFFER",
		Short: "Print adoptions of an offer for the rows that the registry has already",
		Long: "adopt looks for the live rows at Kreis or deeper that lead to the offer's backend and that no adoption covers:\n" +
			"those that the offer closes. It prints adoptions for them, a file for each Land, with the oe_id that their URLs\n" +
			"hold. Review them, add contract and begin, and put them into routes.d.",
		Args: cobra.ExactArgs(1),
	}
	marketVerb(cmd, func(m *market, args []string) (*drafted, error) {
		if !fromRegistry {
			return nil, usage("adoptions from where? write adopt --from-registry %s", args[0])
		}
		o, err := m.offer(args[0])
		if err != nil {
			return nil, err
		}
		if ended(o.End, m.now) {
			return nil, fmt.Errorf("offer %s ended on %s; nobody can adopt it", o.Name, lastDay(o.End))
		}
		d := m.draft(o)
		if land != "" {
			d.Files = slices.DeleteFunc(d.Files, func(f adoptionFile) bool { return f.Area != land })
			d.Left = slices.DeleteFunc(d.Left, func(l leftRow) bool { return !strings.HasPrefix(l.Area.ARS, land) })
		}
		return d, d.write(into)
	}, func(w io.Writer, d *drafted) {
		for i := range d.Files {
			if into != "" {
				fmt.Fprintln(w, filepath.Join(into, d.Files[i].Name))
				continue
			}
			if i > 0 {
				fmt.Fprintln(w, "---")
			}
			fmt.Fprintf(w, "# routes.d/%s\n%s", d.Files[i].Name, d.text(&d.Files[i]))
		}
		if len(d.Files) == 0 {
			fmt.Fprintf(w, "# nothing to adopt: no adoption of %s is missing\n", d.Offer)
		}
		d.printLeft(w)
	})
	cmd.Flags().BoolVar(&fromRegistry, "from-registry", false, "take them from the rows of the registry; required")
	cmd.Flags().StringVar(&land, "land", "", "only this Land, such as 06")
	cmd.Flags().StringVar(&into, "into", "", "write the files into this folder and print their names; no file is overwritten")
	return cmd
}

// draft makes adoptions of the rows that an offer closes.
func (m *market) draft(o *registry.Offer) *drafted {
	d := &drafted{Offer: o.Name, Files: []adoptionFile{}, Left: []leftRow{}}
	rows := map[registry.AreaID]map[registry.Leistung][]routing.Row{}
	eachClosed(m.routes, m.now, func(backend string, row *routing.Row) {
		_, has := o.Leistungen[row.Leistung]
		switch {
		case backend != o.Backend:
		case has && row.Kind == registry.Service:
			if rows[row.Area] == nil {
				rows[row.Area] = map[registry.Leistung][]routing.Row{}
			}
			rows[row.Area][row.Leistung] = append(rows[row.Area][row.Leistung], *row)
		case has:
			d.leave(m, row, "a page is no Onlinedienst")
		case m.offers[closedBy(m.offers, backend, row.Leistung)].Name == o.Name:
			d.leave(m, row, "the offer has no such leistung")
		}
	})
	// The areas of a Land with the same Leistungen make one adoption.
	files := map[uint8]map[string]*draftAdoption{}
	for _, area := range slices.Sorted(maps.Keys(rows)) {
		land := m.areas.LandOf(area)
		if files[land] == nil {
			files[land] = map[string]*draftAdoption{}
		}
		for _, a := range m.draftAreas(o, area, rows[area]) {
			key := fmt.Sprint(a.Leistungen)
			if files[land][key] == nil {
				files[land][key] = &draftAdoption{Leistungen: a.Leistungen}
			}
			files[land][key].Areas = append(files[land][key].Areas, a.Areas...)
		}
	}
	for _, land := range slices.Sorted(maps.Keys(files)) {
		f := adoptionFile{Name: fmt.Sprintf("%02d-%s-adoptions.yaml", land, o.Name), Area: fmt.Sprintf("%02d", land)}
		for _, key := range slices.Sorted(maps.Keys(files[land])) {
			f.Adoptions = append(f.Adoptions, *files[land][key])
		}
		d.Files = append(d.Files, f)
	}
	return d
}

func (d *drafted) leave(m *market, row *routing.Row, why string) {
	d.Left = append(d.Left, leftRow{row.Origin.String(), row.Leistung, m.area(row.Area), why})
}

// draftAreas are the adoptions of one area: one for each oe_id that its rows have.
func (m *market) draftAreas(o *registry.Offer, area registry.AreaID, rows map[registry.Leistung][]routing.Row) []draftAdoption {
	var out []draftAdoption
	byOE := map[string]int{}
	for _, l := range slices.SortedFunc(maps.Keys(rows), registry.Leistung.Compare) {
		list := rows[l]
		slices.SortStableFunc(list, asTied)
		oe, notes := m.unit(o, &list[0])
		for i := range list[1:] {
			if other, _ := m.unit(o, &list[i+1]); other != oe {
				notes = append(notes, fmt.Sprintf("%s has oe_id %s", list[i+1].Origin, cmp.Or(other, "none")))
			}
		}
		at, ok := byOE[oe]
		if !ok {
			at = len(out)
			byOE[oe] = at
			out = append(out, draftAdoption{Areas: []draftArea{{areaReport: m.area(area), OE: oe, id: area}}})
		}
		a := &out[at]
		a.Leistungen = append(a.Leistungen, l)
		a.Areas[0].From = append(a.Areas[0].From, list[0].Origin.String())
		a.Areas[0].Note = append(a.Areas[0].Note, notes...)
	}
	for i := range out {
		if len(out[i].Leistungen) == len(o.Leistungen) {
			out[i].Leistungen = nil
		}
	}
	return out
}

// asTied is R10's order of rows in one place.
func asTied(a, b routing.Row) int {
	last := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(last(!a.Specialised), last(!b.Specialised)),
		cmp.Compare(last(a.Role != "01"), last(b.Role != "01")), cmp.Compare(b.Priority, a.Priority))
}

// unit is the oe_id of a row: what its URL says where the offer's template has it, else what the row says. The notes are
// what the adoption would change.
func (m *market) unit(o *registry.Offer, row *routing.Row) (oe string, notes []string) {
	t := o.Leistungen[row.Leistung]
	wanted := false
	for _, placeholder := range [...]string{"oe_id", "oe"} {
		f, ok := t.Finder(placeholder)
		if wanted = wanted || ok; ok && oe == "" && !row.Template {
			oe, _ = f.Find(row.URL)
		}
	}
	oe = cmp.Or(oe, row.OE)
	if wanted && oe == "" {
		return "", []string{"no oe_id in " + row.URL}
	}
	to, err := t.Append(nil, &registry.Values{Leistung: row.Leistung, ARS: m.areas.ARS(row.Area), Lang: row.Lang, OE: oe})
	if err == nil && !row.Template && !strings.HasSuffix(row.URL, string(to)) { // a template may be a path
		notes = append(notes, "the registry has "+row.URL)
	}
	return oe, notes
}

// text is the file as YAML.
func (d *drafted) text(f *adoptionFile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Adoptions of %s for what the registry has: review, add contract and begin, commit.\n", d.Offer)
	fmt.Fprintf(&b, "area: %q\nadoptions:\n", f.Area)
	for i := range f.Adoptions {
		a := &f.Adoptions[i]
		fmt.Fprintf(&b, "  - offer: %s\n", d.Offer)
		if len(a.Leistungen) > 0 {
			var keys []string
			for _, l := range a.Leistungen {
				keys = append(keys, fmt.Sprintf("%q", l.String()))
			}
			fmt.Fprintf(&b, "    leistungen: [%s]\n", strings.Join(keys, ", "))
		}
		b.WriteString("    areas:\n")
		for j := range a.Areas {
			x := &a.Areas[j]
			fmt.Fprintf(&b, "      %q: %q # %s\n", x.ARS, x.OE, oneLine(strings.Join(append([]string{x.Name, strings.Join(x.From, " ")}, x.Note...), "; ")))
		}
	}
	return b.String()
}

// oneLine keeps what a registry says inside its comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return ' '
		}
		return r
	}, s)
}

// write puts the files into a folder; "" is none.
func (d *drafted) write(into string) error {
	if into == "" {
		return nil
	}
	for i := range d.Files {
		if _, err := os.Lstat(filepath.Join(into, d.Files[i].Name)); err == nil {
			return fmt.Errorf("%s exists; move it away, or print without --into", filepath.Join(into, d.Files[i].Name))
		}
	}
	for i := range d.Files {
		if err := writeNew(filepath.Join(into, d.Files[i].Name), []byte(d.text(&d.Files[i]))); err != nil {
			return fmt.Errorf("write adoptions: %w", err)
		}
	}
	return nil
}

func (d *drafted) printLeft(w io.Writer) {
	for i, l := range d.Left {
		if i == maxNamed && len(d.Left) > maxNamed+1 {
			fmt.Fprintf(w, "# … and %d more rows that stay closed; -o json has all\n", len(d.Left)-i)
			return
		}
		fmt.Fprintf(w, "# stays closed: %s, leistung %s in %s %s: %s\n", oneLine(l.From), l.Leistung, l.Area.ARS, l.Area.Name, l.Why)
	}
}
