// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// coverageFlags are what coverage is asked.
type coverageFlags struct {
	config  configFlags
	format  string
	at      string // "" = now
	ozg     []string
	history string
	lang    string
	all     bool
}

// newRegistryCoverage is the verb registry coverage: how much can be done online, and where not.
func newRegistryCoverage() *cobra.Command {
	var flags coverageFlags
	cmd := &cobra.Command{
		Use:   "coverage [pvgate.yaml]",
		Short: "Count how much can be done online, by Land, Kreis, Leistung and OZG service",
		Long: "coverage asks the configuration's registry about every Leistung in every Gemeinde and counts where a service\n" +
			"answers: the share of Gemeinden, and of inhabitants. Gemeinden without inhabitants do not count.",
		Args: cobra.MaximumNArgs(1),
	}
	flags.config.register(cmd)
	f := cmd.Flags()
	f.StringVarP(&flags.format, "output", "o", "text", "form of the result: text, json, csv or html")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "csv", "html"}, cobra.ShellCompDirectiveNoFileComp))
	f.StringVar(&flags.at, "at", "", "moment: 2026-12-31, 2026-12-31T18:00 (Europe/Berlin) or RFC 3339; absent: now")
	f.StringArrayVar(&flags.ozg, "ozg", nil, "file that says which OZG service a Leistung belongs to (leistung,ozg_id,title), or a Data Hub export")
	f.StringVar(&flags.history, "history", "", "csv file that gets one row a day")
	f.StringVar(&flags.lang, "lang", "de", "language of the html page: de or en")
	f.BoolVar(&flags.all, "all", false, "show every Kreis, OZG service and Leistung in text")
	cmd.RunE = verb(func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]string{"text", "json", "csv", "html"}, flags.format) {
			return usage("output %q is not possible; write -o text, -o json, -o csv or -o html", flags.format)
		}
		if _, ok := coverageWords(flags.lang); !ok {
			return usage("lang %q is not spoken here; de or en", flags.lang)
		}
		if len(args) == 1 {
			flags.config.path = args[0]
		}
		r, err := newCoverageReport(cmd, &flags, time.Now())
		if err != nil {
			return err
		}
		if flags.history != "" {
			if r.history, err = addToHistory(flags.history, r); err != nil {
				return err
			}
		}
		w := cmd.OutOrStdout()
		switch flags.format {
		case "json":
			return writeJSON(w, r)
		case "csv":
			return r.printCSV(w)
		case "html":
			return r.printPage(w, flags.lang)
		}
		return r.print(w, flags.all)
	})
	return cmd
}

// coverageReport is the result of coverage; its JSON is described in docs/coverage.md.
type coverageReport struct {
	Config string    `json:"config"`
	At     time.Time `json:"at"`
	*routing.Coverage

	history [][]string // rows of the history, the header first
}

func newCoverageReport(cmd *cobra.Command, flags *coverageFlags, now time.Time) (*coverageReport, error) {
	at, err := momentFlag("at", flags.at, now)
	if err != nil {
		return nil, err
	}
	cfg, err := flags.config.load()
	if err != nil {
		return nil, err
	}
	built, err := buildRoutes(cmd.Context(), cfg, onlooker())
	if err != nil {
		return nil, err
	}
	ozg, err := readOZG(cfg, flags.ozg)
	if err != nil {
		return nil, err
	}
	c := routing.CoverageOf(routing.Moment{Table: built.table, At: at}, routing.CoverageOptions{OZG: ozg})
	return &coverageReport{Config: flags.config.path, At: at, Coverage: c}, nil
}

// readOZG reads which OZG services the Leistungen belong to: from the files that were named, then from the
// configuration's Data Hub exports. What comes first holds.
func readOZG(cfg *config.Config, files []string) (map[registry.Leistung]registry.OZG, error) {
	files = slices.Clone(files)
	bulk := cfg.Bulk()
	for i := range bulk {
		if s := &bulk[i]; s.Type.V == "datahub" && s.Path.V != "" {
			files = append(files, cfg.Resolve(s.Path.V))
		}
	}
	all := map[registry.Leistung]registry.OZG{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read OZG services: %w", err)
		}
		m, err := registry.ReadOZG(f, name)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		for l, of := range m {
			if _, known := all[l]; !known {
				all[l] = of
			}
		}
	}
	return all, nil
}

// percent is a share as people read it.
func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }

func (r *coverageReport) print(w io.Writer, all bool) error {
	p := &printer{Writer: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0), limit: shownGroups}
	if all {
		p.limit = 1 << 62
	}
	p.line("%s at %s: %d Leistungen × %d Gemeinden with %d inhabitants", r.Config, berlinTime(r.At), r.Leistungen, r.Gemeinden, r.Inhabitants)
	p.line("online: %s of Gemeinden, %s of inhabitants", percent(r.Bund.ShareOfGemeinden()), percent(r.Bund.ShareOfInhabitants()))
	row := func(name string, o routing.Online) {
		p.line("  %s\t%s of Gemeinden\t%s of inhabitants", name, percent(o.ShareOfGemeinden()), percent(o.ShareOfInhabitants()))
	}
	p.part("by Land")
	for _, x := range r.Lands {
		row(x.Key+" "+x.Name, x.Online)
	}
	if all {
		p.part("by Kreis")
		for _, x := range r.Kreise {
			row(x.Key+" "+x.Name, x.Online)
		}
	}
	if len(r.OZG) > 0 {
		p.part("by OZG service, the least first")
		for _, x := range leastFirst(r.OZG, func(x routing.OnlineOZG) routing.Online { return x.Online }, p.limit) {
			row(fmt.Sprintf("%s %s (%s)", x.ID, x.Title, counted(x.Leistungen, "Leistung", "Leistungen")), x.Online)
		}
		p.more(len(r.OZG))
	}
	p.part("by Leistung, the least first")
	for _, x := range leastFirst(r.PerLeistung, func(x routing.OnlineLeistung) routing.Online { return x.Online }, p.limit) {
		row(x.Leistung.String()+" "+x.Title, x.Online)
	}
	p.more(len(r.PerLeistung))
	p.part(fmt.Sprintf("not counted: %d Leistungen that are no applications, %d local keys; without an OZG service: %s",
		r.NotApplications, r.NotFederal, counted(r.NotInOZG, "Leistung", "Leistungen")))
	if err := p.Flush(); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return p.err
}

// leastFirst is the beginning of a list with the smallest shares of inhabitants first.
func leastFirst[T any](list []T, online func(T) routing.Online, limit int) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := online(a), online(b)
		return cmp.Or(cmp.Compare(x.ShareOfInhabitants(), y.ShareOfInhabitants()), cmp.Compare(x.ShareOfGemeinden(), y.ShareOfGemeinden()))
	})
	return list[:min(len(list), limit)]
}

// ratio is a share as programs read it.
func ratio(share float64) string { return strconv.FormatFloat(share, 'f', 4, 64) }

// printCSV writes a row for the Bund, each Land, Kreis, OZG service and Leistung.
func (r *coverageReport) printCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Comma = ';'
	row := func(level, key, name string, leistungen, gemeinden, inhabitants int, o routing.Online) {
		_ = out.Write([]string{ // kept for out.Error
			level, key, name, strconv.Itoa(leistungen), strconv.Itoa(gemeinden), strconv.Itoa(inhabitants), strconv.Itoa(o.Pairs),
			strconv.Itoa(o.Online), ratio(o.ShareOfGemeinden()), ratio(o.ShareOfInhabitants()),
		})
	}
	_ = out.Write([]string{"level", "key", "name", "leistungen", "gemeinden", "inhabitants", "pairs", "online", "share_gemeinden", "share_inhabitants"})
	row("bund", "00", "", r.Leistungen, r.Gemeinden, r.Inhabitants, r.Bund)
	for _, x := range r.Lands {
		row("land", x.Key, x.Name, r.Leistungen, x.Gemeinden, x.Inhabitants, x.Online)
	}
	for _, x := range r.Kreise {
		row("kreis", x.Key, x.Name, r.Leistungen, x.Gemeinden, x.Inhabitants, x.Online)
	}
	for _, x := range r.OZG {
		row("ozg", x.ID, x.Title, x.Leistungen, r.Gemeinden, r.Inhabitants, x.Online)
	}
	for _, x := range r.PerLeistung {
		row("leistung", x.Leistung.String(), x.Title, 1, r.Gemeinden, r.Inhabitants, x.Online)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}
