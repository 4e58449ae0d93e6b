// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/routing"
)

// diffFlags are what diff is asked.
type diffFlags struct {
	at, to string // moments, "" = now, and that of old
	sender string // "" = direct
	all    bool
}

// newDiff is the verb diff: what a change means before it is published.
func newDiff() *cobra.Command {
	var (
		flags diffFlags
		out   output
	)
	cmd := &cobra.Command{
		Use:   "diff OLD [NEW]",
		Short: "Say what a change of configuration or registry does to each Leistung in each Gemeinde",
		Long: "diff asks two configurations (pvgate.yaml or the directory it is in) or bundles (x.pvb), or one at two moments\n" +
			"(--to), about every Leistung in every Gemeinde, and says whose answer changes: the backend, the address, or the reason\n" +
			"why there is none. A bundle is asked as it is, without any configuration.\n\n" +
			"Exit codes: 0 nothing changes, 1 diff itself failed, 4 something changes.",
		Args: cobra.RangeArgs(1, 2),
	}
	out.flag(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.at, "at", "", "moment: 2026-12-31, 2026-12-31T18:00 (Europe/Berlin) or RFC 3339; absent: now")
	f.StringVar(&flags.to, "to", "", "moment at which NEW is asked; absent: that of OLD")
	f.StringVar(&flags.sender, "sender", "", "portal that asks; absent: direct")
	f.BoolVar(&flags.all, "all", false, "show every group and every change")
	cmd.RunE = verb(func(cmd *cobra.Command, args []string) error {
		asJSON, err := out.json()
		if err != nil {
			return err
		}
		if len(args) == 1 && flags.to == "" {
			return usage("one configuration is the same as itself; name another one, or a moment: --to 2027-01-01")
		}
		r, err := newDiffReport(cmd, args, &flags, time.Now())
		if err != nil {
			return err
		}
		if asJSON {
			err = r.printJSON(cmd.OutOrStdout())
		} else {
			err = r.print(cmd.OutOrStdout())
		}
		if err == nil && !r.Empty() {
			err = &exitError{code: exitDiff}
		}
		return err
	})
	return cmd
}

// diffSide is one of the two that are compared.
type diffSide struct {
	Config string    `json:"config"`
	At     time.Time `json:"at"`
	Rows   int       `json:"rows"`

	moment routing.Moment
}

// diffReport is the result of diff; its JSON is described in docs/diff.md.
type diffReport struct {
	Old    diffSide `json:"old"`
	New    diffSide `json:"new"`
	Sender string   `json:"sender"`
	*routing.Difference

	all bool
}

// diffChange is one change in JSON: a Leistung on neighbouring Gemeinden.
type diffChange struct {
	Kind      routing.ChangeKind `json:"kind"`
	Leistung  registry.Leistung  `json:"leistung"`
	From      string             `json:"from"`
	To        string             `json:"to"`
	Gemeinden []string           `json:"gemeinden"` // keys at the new moment, or at the old one of those that are gone
}

func newDiffReport(cmd *cobra.Command, args []string, flags *diffFlags, now time.Time) (*diffReport, error) {
	r := &diffReport{Sender: cmp.Or(flags.sender, "direct"), all: flags.all}
	at, err := momentFlag("at", flags.at, now)
	if err != nil {
		return nil, err
	}
	to, err := momentFlag("to", flags.to, at)
	if err != nil {
		return nil, err
	}
	if r.Old, err = loadDiffSide(cmd, args[0], at, r.Sender); err != nil {
		return nil, err
	}
	if len(args) == 1 {
		r.New = r.Old
		r.New.At, r.New.moment.At = to, to
	} else if r.New, err = loadDiffSide(cmd, args[1], to, r.Sender); err != nil {
		return nil, err
	}
	r.Difference, err = routing.Diff(r.Old.moment, r.New.moment, routing.DiffOptions{Sender: r.asker(), Examples: 3})
	return r, err
}

// asker is the sender as routing knows it.
func (r *diffReport) asker() string {
	if r.Sender == "direct" {
		return ""
	}
	return r.Sender
}

// momentFlag reads a flag with a moment.
func momentFlag(flag, text string, absent time.Time) (time.Time, error) {
	if text == "" {
		return absent, nil
	}
	at, err := registry.ParseTime(text)
	if err != nil || at.IsZero() {
		return at, usage("--%s %q is no moment; write 2026-12-31, 2026-12-31T18:00 or with a zone", flag, text)
	}
	return at, nil
}

// loadDiffSide reads a configuration and its sources, or a bundle.
func loadDiffSide(cmd *cobra.Command, path string, at time.Time, sender string) (diffSide, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, defaultConfig)
	}
	s := diffSide{Config: path, At: at}
	if filepath.Ext(path) == ".pvb" {
		table, err := bundleTable(path)
		if err != nil {
			return s, fmt.Errorf("%s cannot be compared: %w", path, err)
		}
		s.Rows, s.moment = table.Rows(), routing.Moment{Table: table, At: at}
		return s, nil
	}
	cfg, err := (&configFlags{path: path, cmd: cmd}).load()
	if err != nil {
		return s, fmt.Errorf("%s cannot be compared:\n%w", path, err)
	}
	if _, known := cfg.Root.Senders.Find(sender); sender != "direct" && !known {
		return s, usage("sender %q is not configured in %s", sender, path)
	}
	built, err := buildRoutes(cmd.Context(), cfg, onlooker())
	if err != nil {
		return s, fmt.Errorf("%s cannot be compared:\n%w", path, err)
	}
	s.Rows, s.moment = built.table.Rows(), routing.Moment{Table: built.table, At: at}
	return s, nil
}

// bundleTable makes a table of a bundle alone: the built-in areas, each host a backend, nothing closed.
func bundleTable(path string) (*routing.Table, error) {
	b, err := openBundle(path)
	if err != nil {
		return nil, err
	}
	areas, err := registry.DefaultAreas()
	if err != nil {
		return nil, err
	}
	rows, err := index.FromSections(areas, b.Section)
	if errors.Is(err, index.ErrAreas) {
		err = fmt.Errorf("%w; or name it as a source (type: bundle) and compare configurations", err)
	}
	if err != nil {
		return nil, err
	}
	in := routing.Input{
		Areas: areas, Index: rows, Sources: []string{sourceOperator: "operator", sourceMarktplatz: "marktplatz"}, Marktplatz: sourceMarktplatz,
	}
	for _, name := range rows.Sources() {
		if !slices.Contains(in.Sources, name) {
			in.Sources = append(in.Sources, name)
		}
	}
	table, problems := routing.Compile(in)
	if table == nil {
		return nil, fmt.Errorf("%v", problems)
	}
	return table, nil
}

// each compares once more and shows every change: a list of them may be larger than memory.
func (r *diffReport) each(show func(*routing.Change) error) error {
	_, err := routing.Diff(r.Old.moment, r.New.moment, routing.DiffOptions{Sender: r.asker(), Each: show})
	return err
}

// key and name of a plot's Gemeinde.
func (r *diffReport) place(p routing.Plot) (key, name string) {
	areas, id := r.New.moment.Table.Areas(), p.New
	if id == routing.NoArea {
		areas, id = r.Old.moment.Table.Areas(), p.Old
	}
	return areas.ARS(id).String(), areas.Area(id).Short()
}
