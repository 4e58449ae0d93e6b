// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry/objects"
)

// newRegistryImport is the verb registry import: a delivery of objects is applied to a store.
func newRegistryImport() *cobra.Command {
	var (
		flags        configFlags
		out          output
		from, accept string
		planFile     string
	)
	cmd := &cobra.Command{
		Use:   "import SOURCE",
		Short: "Apply an XZuFi delivery to the objects that are kept of a source",
		Long: "import brings what the SOURCE of a configuration has (type xzufi), or the delivery at --from, and applies it to\n" +
			"the source's objects in registry.state. A gateway that serves does so by itself; import is for the first\n" +
			"delivery, which is large, and for one that came by another way. The gateway takes it into service when it asks the source\n" +
			"next, or at pvgate reload.\n\n" +
			"Exit codes: 0 it is applied, or nothing has changed, 3 it is refused, 1 it failed.",
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			if planFile != "" {
				return importGivenPlan(cmd, planFile)
			}
			if len(args) != 1 {
				return usage("which source? write pvgate registry import NAME")
			}
			cfg, err := flags.load()
			if err != nil {
				return fmt.Errorf("the configuration has errors (pvgate check lists all of them):\n%w", err)
			}
			s, err := objectsSource(cfg, args[0], from)
			if err != nil {
				return err
			}
			return importSource(cmd, cfg, s, importWish{accept, asJSON})
		}),
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&from, "from", "", "folder or index file of a whole delivery; absent: where the source is")
	cmd.Flags().StringVar(&accept, "accept", "", "digest of a refused delivery, which is applied although it lacks so much")
	cmd.Flags().StringVar(&planFile, "plan", "", "")
	_ = cmd.Flags().MarkHidden("plan") // serve tells its child what to import
	_ = cmd.MarkFlagDirname("from")
	out.flag(cmd)
	return cmd
}

// importWish is how a delivery is to be imported.
type importWish struct {
	accept string // digest of a refused delivery that is applied all the same
	asJSON bool
}

// claimTime is how long another process, such as a gateway that asks the source just now, is waited for.
const claimTime = 10 * time.Second

// importSource brings and applies what a source has, and says what became of it.
func importSource(cmd *cobra.Command, cfg *config.Config, s *config.Source, wish importWish) error {
	p := &progressLines{w: cmd.ErrOrStderr(), terminal: isTerminal(cmd.ErrOrStderr())}
	if wish.asJSON {
		p.w = io.Discard
	}
	free, cancel := context.WithTimeout(cmd.Context(), claimTime)
	defer cancel()
	o, end, err := newCourier(nil).importOf(free, cfg, s, cfg.Resolve(cfg.Root.Registry.State.V))
	defer end()
	if errors.Is(err, context.DeadlineExceeded) {
		err = objects.ErrBusy
	}
	if err != nil {
		return err
	}
	report := importReport{Source: s.Name.V}
	o.accept, o.run = wish.accept, report.collect(importHere(p.tell))
	_, err = o.bring(cmd.Context(), nil)
	p.end()
	if errors.As(err, new(*objects.Shrunk)) || report.Refused != nil {
		err = nil // it is in the report
	}
	if err != nil {
		return plain(err)
	}
	if wish.asJSON {
		err = writeJSON(cmd.OutOrStdout(), report)
	} else {
		report.print(cmd.OutOrStdout())
	}
	if err == nil && report.Refused != nil {
		err = &exitError{code: exitCheck}
	}
	return err
}

// importGivenPlan does what serve wants its child to do. What is refused is in its report, not in its end.
func importGivenPlan(cmd *cobra.Command, file string) error {
	if file != "-" {
		return usage("--plan %q is not possible; a plan comes by standard input: --plan -", file)
	}
	if err := beNice(); err != nil {
		return err
	}
	plan := &importPlan{}
	dec := json.NewDecoder(cmd.InOrStdin())
	dec.DisallowUnknownFields()
	if err := dec.Decode(plan); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	report, err := importHere(nil)(cmd.Context(), plan)
	if err != nil {
		return err
	}
	return writeJSON(cmd.OutOrStdout(), report)
}

// objectsSource is a source whose objects are kept, as if its delivery were at another place, if that is given.
func objectsSource(cfg *config.Config, name, from string) (*config.Source, error) {
	found, ok := findSource(cfg, name)
	if !ok {
		return nil, usage("%s has no source %q", cfg.Path, name)
	}
	if found.Type.V != "xzufi" {
		return nil, usage("source %q is of type %s; only those of type xzufi are imported, the others are read as they are", name, found.Type.V)
	}
	if from == "" {
		return found, nil
	}
	from, err := filepath.Abs(from)
	if err != nil {
		return nil, err
	}
	s := *found
	s.Path.V, s.URL, s.Changes, s.Token = from, config.Text{}, config.Bool{}, nil
	return &s, nil
}

// collect adds what an importer reports to r.
func (r *importReport) collect(run importer) importer {
	return func(ctx context.Context, p *importPlan) (*importReport, error) {
		one, err := run(ctx, p)
		if one != nil {
			r.Parts = append(r.Parts, one.Parts...)
			r.State, r.Refused = one.State, one.Refused
		}
		return one, err
	}
}

// print tells what an import has done.
func (r *importReport) print(w io.Writer) {
	var sum objects.Report
	for i := range r.Parts {
		p := &r.Parts[i]
		sum.Files, sum.Bytes, sum.Written, sum.Unchanged = sum.Files+p.Files, sum.Bytes+p.Bytes, sum.Written+p.Written, sum.Unchanged+p.Unchanged
		sum.Deleted, sum.Orphans, sum.Quarantined = sum.Deleted+p.Deleted, sum.Orphans+p.Orphans, sum.Quarantined+p.Quarantined
		for n, f := range p.Faults {
			if n == maxPrinted {
				fmt.Fprintf(w, "… and %d more; -o json has all\n", len(p.Faults)-n)
				break
			}
			fmt.Fprintf(w, "quarantined: %s\n", f)
		}
	}
	fmt.Fprintf(w, "source %s: %d files, %s; %d objects written, %d deleted, %d unchanged, %d deletions of nothing, %d quarantined\n",
		r.Source, sum.Files, byteText(sum.Bytes), sum.Written, sum.Deleted, sum.Unchanged, sum.Orphans, sum.Quarantined)
	printSystems(w, &r.State)
	if f := r.Refused; f != nil {
		fmt.Fprintf(w, "refused: %s: %s\n", f.Cause, f.err())
		if f.Digest != "" {
			fmt.Fprintf(w, "to apply it nevertheless: pvgate registry import %s --accept %s\n", r.Source, f.Digest)
		}
	}
}

func byteText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}

// progressLines show how far an import is: a bar on a terminal, a line now and then elsewhere.
type progressLines struct {
	w        io.Writer
	terminal bool
	told     time.Time
	open     bool // a bar stands in the line
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 10 * time.Second
	barWidth  = 30
)

func (p *progressLines) tell(at objects.Progress) {
	every := lineEvery
	if p.terminal {
		every = barEvery
	}
	if now := time.Now(); now.Sub(p.told) >= every {
		p.told = now
	} else {
		return
	}
	text := fmt.Sprintf("reading %s: %s, %d objects", at.File, byteText(at.Bytes), at.Objects)
	part, all := at.Read, at.Files
	if at.File == "" {
		text = fmt.Sprintf("comparing: %d objects", at.Objects)
	}
	if at.Changes > 0 {
		text = fmt.Sprintf("writing: %d of %d changes", at.Objects, at.Changes)
		part, all = at.Objects, at.Changes
	}
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	full := barWidth * min(part, all) / max(all, 1)
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %.80s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), text)
	p.open = true
}

// end clears the bar.
func (p *progressLines) end() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
