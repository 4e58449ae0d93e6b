// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry"
)

// newMarktplatz is the verb marktplatz: EfA services, who offers them and who has joined.
func newMarktplatz() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "marktplatz",
		Short: "Show the offers of EfA services, who has joined them, and where they are missing",
		Long: "marktplatz reads a configuration and says what its offers and adoptions amount to. It opens no port and\n" +
			"changes nothing. docs/marktplatz.md explains the words.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMarktplatzList(), newMarktplatzShow(), newMarktplatzAdopters(), newMarktplatzGaps(), newMarktplatzAdopt())
	return cmd
}

// market is a configuration's offers and adoptions at a moment.
type market struct {
	*routes
	now time.Time
	// gemeinden are those with inhabitants, ascending.
	gemeinden []registry.AreaID
}

// marketFlags are the flags of all verbs below marktplatz.
type marketFlags struct {
	configFlags
	out output
	at  string
}

func (f *marketFlags) register(cmd *cobra.Command) {
	f.configFlags.register(cmd)
	f.out.flag(cmd)
	cmd.Flags().StringVar(&f.at, "at", "", "moment to answer for, such as 2026-12-31 or 2026-12-31T18:00; absent: now")
}

func (f *marketFlags) open(ctx context.Context) (*market, error) {
	m := &market{now: time.Now()}
	if f.at != "" {
		at, err := registry.ParseTime(f.at)
		if err != nil || at.IsZero() {
			return nil, usage("at %q is no moment; write 2026-12-31, 2026-12-31T18:00 or with a zone", f.at)
		}
		m.now = at
	}
	cfg, err := f.load()
	if err == nil {
		m.routes, err = buildRoutes(ctx, cfg, onlooker())
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration has errors (pvgate check lists all of them):\n%w", err)
	}
	for id := registry.Bund + 1; int(id) < m.areas.Len(); id++ {
		if m.areas.ARS(id).Level() == registry.LevelGemeinde && !m.areas.Retired(id, m.now) && !m.areas.Future(id, m.now) && m.areas.Inhabitants(id, m.now) > 0 {
			m.gemeinden = append(m.gemeinden, id)
		}
	}
	return m, nil
}

// marketVerb makes a verb below marktplatz that asks something and prints the answer.
func marketVerb[T any](cmd *cobra.Command, ask func(m *market, args []string) (T, error), print func(w io.Writer, answer T)) *cobra.Command {
	flags := &marketFlags{}
	flags.register(cmd)
	cmd.RunE = verb(func(cmd *cobra.Command, args []string) error {
		asJSON, err := flags.out.json()
		if err != nil {
			return err
		}
		m, err := flags.open(cmd.Context())
		if err != nil {
			return err
		}
		answer, err := ask(m, args)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), answer)
		}
		print(cmd.OutOrStdout(), answer)
		return nil
	})
	return cmd
}

// offer finds an offer by its name.
func (m *market) offer(name string) (*registry.Offer, error) {
	if o := offerNamed(m.offers, name); o != nil {
		return o, nil
	}
	var names []string
	for i := range m.offers {
		names = append(names, m.offers[i].Name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("offer %q is not defined (offers: %s)", name, cmp.Or(strings.Join(names, ", "), "none"))
}

// adoptionsOf are the adoptions of an offer in the order of the files.
func (m *market) adoptionsOf(o *registry.Offer) []*registry.Adoption {
	var out []*registry.Adoption
	for i := range m.adoptions {
		if m.adoptions[i].Offer == o.Name {
			out = append(out, &m.adoptions[i])
		}
	}
	return out
}

// phase says how far something is at the moment: its state, and for a live one whether its time has come.
func (m *market) phase(s registry.State, begin, end time.Time) string {
	switch {
	case s != registry.Live:
		return s.String()
	case ended(end, m.now):
		return "ended"
	case !liveAt(begin, end, m.now):
		return "not yet"
	}
	return "live"
}

// reaches adds the Gemeinden that an adopted area brings to an offer.
func (m *market) reaches(a *registry.Adoption, area registry.AreaID, add func(registry.AreaID)) {
	_, end := m.areas.Inside(area)
	first, _ := slices.BinarySearch(m.gemeinden, area)
	for _, g := range m.gemeinden[first:] {
		if g >= end {
			return
		}
		if !slices.ContainsFunc(a.Without, func(w registry.AreaID) bool { return m.areas.Contains(w, g) }) {
			add(g)
		}
	}
}

// reach is how many Gemeinden and people something is there for.
type reach struct {
	Gemeinden   int `json:"gemeinden"`
	Inhabitants int `json:"inhabitants"`
}

func (m *market) reachOf(gemeinden map[registry.AreaID]bool) reach {
	r := reach{Gemeinden: len(gemeinden)}
	for g := range gemeinden {
		r.Inhabitants += m.areas.Inhabitants(g, m.now)
	}
	return r
}

// areaReport is an area in an answer.
type areaReport struct {
	ARS   string `json:"ars"`
	Name  string `json:"name"`
	Level string `json:"level"`
}

func (m *market) area(id registry.AreaID) areaReport {
	a := m.areas.Area(id)
	key := a.ARS.String()
	if id == registry.Bund {
		key = "00"
	}
	return areaReport{key, a.Short(), a.ARS.Level().String()}
}

// columns prints a table: the words of head, then the rows.
func columns(w io.Writer, head string, rows func(row func(cells ...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(strings.Fields(head), "\t"))
	rows(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			if c == "" {
				c = "-"
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	_ = t.Flush() // as with every print to the terminal
}

// day is a moment as people write it; "" if it is open.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(registry.Berlin())
	if h, m, s := t.Clock(); h+m+s == 0 {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04")
}

// lastDay is an end as people write it: an end at midnight is the last day before.
func lastDay(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(registry.Berlin())
	if h, m, s := t.Clock(); h+m+s == 0 {
		return t.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04")
}
