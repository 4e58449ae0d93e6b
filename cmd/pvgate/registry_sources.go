// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/fetch"
	"github.com/pvgate/pvgate/registry/objects"
)

// newRegistrySources is the verb registry sources: what is known of each source.
func newRegistrySources() *cobra.Command {
	var (
		flags adminFlags
		out   output
		row   string
	)
	cmd := &cobra.Command{
		Use:   "sources",
		Short: "Show the sources of a configuration: form, age, counts, quarantine, why one was refused",
		Long: "sources shows what lies in registry.state of each source, and what the gateway that runs, if one does, says of them.\n" +
			"With --row SOURCE:NUMBER, as explain names an entry's origin, it names the objects that the entry was made of.",
		Args: cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			cfg, err := flags.config.load()
			if err != nil {
				return fmt.Errorf("the configuration has errors (pvgate check lists all of them):\n%w", err)
			}
			k := onlooker()
			if row != "" {
				return printRow(cmd, cfg, k, row)
			}
			list, err := k.sourcesOf(cmd.Context(), cfg, &flags)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), map[string]any{"sources": list})
			}
			return printSources(cmd.OutOrStdout(), list)
		}),
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&row, "row", "", "SOURCE:NUMBER of a row, to name the objects that it was made of")
	out.flag(cmd)
	return cmd
}

// sourceShown is what is known of a source.
type sourceShown struct {
	Name    string              `json:"name"`
	Type    string              `json:"type"`
	Place   string              `json:"place"`
	Facts   *bundle.SourceFacts `json:"facts,omitempty"` // of what is in service
	Objects *objects.State      `json:"objects,omitempty"`
	History *sourceHistory      `json:"history,omitempty"` // of the gateway that runs
}

// sourcesOf finds what the state's folder has, and asks the gateway.
func (k *keeper) sourcesOf(ctx context.Context, cfg *config.Config, gateway *adminFlags) ([]sourceShown, error) {
	plan := planOf(cfg, nil)
	areas, err := plan.Areas.read()
	if err != nil {
		return nil, err
	}
	if err := k.open(cfg, areas); err != nil {
		return nil, err
	}
	histories := map[string]*sourceHistory{}
	gateway.patience = time.Second // one need not run
	if text, err := gateway.call(ctx, "GET", "/api/v1/status"); err == nil {
		var r statusReport
		if json.Unmarshal(text, &r) == nil && r.Registry != nil {
			for i := range r.Registry.Sources {
				histories[r.Registry.Sources[i].Name] = &r.Registry.Sources[i]
			}
		}
	}
	var out []sourceShown
	for i := range cfg.Root.Sources {
		s := &cfg.Root.Sources[i]
		shown := sourceShown{Name: s.Name.V, Type: s.Type.V, Place: s.Path.V, History: histories[s.Name.V]}
		if s.URL.Set() {
			shown.Place = fetch.Shown(s.URL.V)
		}
		if a := k.current(); a != nil {
			for i := range a.meta.Sources {
				if a.meta.Sources[i].Name == s.Name.V {
					shown.Facts = &a.meta.Sources[i]
				}
			}
		}
		if s.Type.V == "xzufi" {
			state, err := objects.ReadState(objectsFolder(cfg, s.Name.V))
			if err == nil {
				shown.Objects = &state
			} else if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		out = append(out, shown)
	}
	return out, nil
}

func printSources(w io.Writer, list []sourceShown) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "source\ttype\trows\tservices\tpages\tquarantined\tread\tplace")
	for i := range list {
		s := &list[i]
		rows, read := "-\t-\t-\t-", "never"
		if f := s.Facts; f != nil {
			rows = fmt.Sprintf("%d\t%d\t%d\t%d", f.Rows, f.Services, f.Pages, f.Quarantined)
			read = "yes"
		}
		if h := s.History; h != nil && !h.Success.IsZero() {
			read = time.Since(h.Success).Round(time.Second).String() + " ago"
		} else if o := s.Objects; o != nil && !o.Imported.IsZero() {
			read = time.Since(o.Imported).Round(time.Second).String() + " ago"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.Type, rows, read, s.Place)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range list {
		s := &list[i]
		if s.Objects != nil {
			fmt.Fprintf(w, "\n%s: %d objects, imported %s\n", s.Name, s.Objects.Objects(), s.Objects.Imported.Format(time.RFC3339))
			printSystems(w, s.Objects)
			if r := s.Objects.Rows; r != (objects.RowCounts{}) {
				fmt.Fprintf(w, "  rows: %d; links without a row: %d wait for an end, %d hold at no time, %d have no Leistungsschlüssel, %d no address\n",
					r.Rows, r.Waiting, r.Over, r.NoKey, r.NoURL)
			}
			if n := s.Objects.Quarantined; n > 0 {
				fmt.Fprintf(w, "  quarantined in the last delivery: %d\n", n)
			}
			for n, f := range s.Objects.Faults {
				if n == maxPrinted {
					fmt.Fprintln(w, "    …")
					break
				}
				fmt.Fprintf(w, "    %s\n", f)
			}
		}
		if h := s.History; h != nil && h.Refused != nil {
			fmt.Fprintf(w, "%s: refused %s (%s): %s\n", s.Name, h.Refused.Time.Format(time.RFC3339), h.Refused.Cause, h.Refused.Text)
		}
	}
	return nil
}

// printSystems shows how fresh each editorial system is.
func printSystems(w io.Writer, state *objects.State) {
	for _, agency := range slices.Sorted(maps.Keys(state.Systems)) {
		s := state.Systems[agency]
		var counts []string
		n := 0
		for _, class := range slices.Sorted(maps.Keys(s.Objects)) {
			if s.Objects[class] > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", s.Objects[class], class))
			}
			n += s.Objects[class]
		}
		newest := "unknown"
		if !s.Newest.IsZero() {
			newest = s.Newest.Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(w, "    system %-10s newest message %s, %d objects: %s\n", agency, newest, n, strings.Join(counts, ", "))
	}
}

// printRow names the objects that a row was made of.
func printRow(cmd *cobra.Command, cfg *config.Config, k *keeper, row string) error {
	name, number, ok := strings.Cut(row, ":")
	n, err := strconv.Atoi(number)
	s, found := findSource(cfg, name)
	if !ok || err != nil || n < 1 || !found || s.Type.V != "xzufi" {
		return usage("--row %q names no row; write SOURCE:NUMBER of a source of type xzufi, as explain names an entry's origin", row)
	}
	plan := planOf(cfg, nil)
	areas, err := plan.Areas.read()
	if err != nil {
		return err
	}
	if err := k.open(cfg, areas); err != nil {
		return err
	}
	d := k.known(name)
	if d == nil {
		return fmt.Errorf("source %q has delivered nothing yet", name)
	}
	f, err := os.Open(d.file)
	if err != nil {
		return err
	}
	made, err := objects.Made(f, n)
	if err = errors.Join(err, f.Close()); err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), strings.ReplaceAll(made, ", ", "\n"))
	}
	return err
}
