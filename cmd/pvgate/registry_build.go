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
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/signing"
)

// newRegistryBuild is the verb registry build: a configuration's sources become a bundle.
func newRegistryBuild() *cobra.Command {
	var (
		flags    configFlags
		out      output
		keyFiles []string
		created  string
		sequence uint64
		planFile string
	)
	cmd := &cobra.Command{
		Use:   "build FILE",
		Short: "Compile the sources of a configuration into a bundle",
		Long: "build reads the areas and sources that a configuration names, fetches those with a url, and writes the bundle that\n" +
			"gateways load by a source of type bundle. A source that cannot be used refuses the whole: there is a new FILE, or\n" +
			"the old one stays. The same sources, --created and --sequence give the same bytes.\n\n" +
			"Exit codes: 0 FILE is written, 1 it is not.",
		Args: cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			keys, err := readSigners(keyFiles)
			if err != nil {
				return err
			}
			var plan *registryPlan
			if planFile != "" {
				plan, err = givenPlan(cmd, planFile)
			} else {
				// What is fetched lies beside the bundle: there is room for it, and nobody else writes there.
				dir, failed := os.MkdirTemp(filepath.Dir(args[0]), "pvgate-build-")
				if failed != nil {
					return failed
				}
				defer os.RemoveAll(dir)
				plan, err = ownPlan(cmd.Context(), &flags, created, sequence, dir)
			}
			if err != nil {
				return err
			}
			report, err := buildTo(cmd.Context(), plan, args[0], keys)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				report.print(cmd, args[0])
			}
			if err == nil && report.Digest == "" && planFile == "" {
				err = &exitError{code: exitFailed}
			}
			return err
		}),
	}
	flags.register(cmd)
	cmd.Flags().StringArrayVar(&keyFiles, "key", nil, "private key to sign with, PEM; may be given several times")
	cmd.Flags().StringVar(&created, "created", "", "moment to be written down, such as 2026-12-31T03:00:00Z; absent: now")
	cmd.Flags().Uint64Var(&sequence, "sequence", 0, "version, which must ascend from bundle to bundle; absent: created in seconds since 1970")
	cmd.Flags().StringVar(&planFile, "plan", "", "")
	_ = cmd.Flags().MarkHidden("plan") // serve tells its child what to build
	_ = cmd.MarkFlagFilename("key")
	out.flag(cmd)
	return cmd
}

// givenPlan is what serve wants its child to build. The child lets everybody else go first, and tells of refused sources
// in its report, not by its end.
func givenPlan(cmd *cobra.Command, file string) (*registryPlan, error) {
	if file != "-" {
		return nil, usage("--plan %q is not possible; a plan comes by standard input: --plan -", file)
	}
	if err := beNice(); err != nil {
		return nil, err
	}
	plan := &registryPlan{}
	dec := json.NewDecoder(cmd.InOrStdin())
	dec.DisallowUnknownFields()
	if err := dec.Decode(plan); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return plan, nil
}

// ownPlan is the plan of a configuration, with its files here; those that are fetched come into a folder.
func ownPlan(ctx context.Context, flags *configFlags, created string, sequence uint64, into string) (*registryPlan, error) {
	at := time.Now()
	if created != "" {
		var err error
		if at, err = registry.ParseTime(created); err != nil || at.IsZero() {
			return nil, usage("created: %v", errors.Join(err, errors.New("want a moment")))
		}
	}
	cfg, err := flags.load()
	if err != nil {
		return nil, fmt.Errorf("the configuration has errors (pvgate check lists all of them):\n%w", err)
	}
	if len(cfg.Bulk()) == 0 {
		return nil, fmt.Errorf("%s has no sources, and so nothing to build", flags.path)
	}
	plan := planOf(cfg, selfHosts(cfg))
	plan.Created, plan.Sequence = at, sequence
	if sequence == 0 {
		plan.Sequence = uint64(max(at.Unix(), 1))
	}
	couriers := newCourier(importHere(nil))
	for i := range plan.Sources {
		if err := deliver(ctx, couriers, cfg, i, &plan.Sources[i], into); err != nil {
			return nil, fmt.Errorf("source %q: %w", plan.Sources[i].Name, err)
		}
	}
	return &plan, nil
}

// deliver brings the file of a source.
func deliver(ctx context.Context, c *courier, cfg *config.Config, i int, s *plannedSource, into string) error {
	if s.Type == "bundle" {
		return errors.New("it is a bundle already; name it where bundles are read, and build from what it was built from")
	}
	from := &cfg.Bulk()[i]
	if !from.URL.Set() && s.Type != "xzufi" {
		into = "" // it is read where it lies
	}
	d, err := c.fetch(ctx, cfg, from, into, nil)
	if err != nil {
		return plain(err)
	}
	s.File, s.Digest, s.Modified = d.file, d.digest, d.modified
	return nil
}

// buildTo makes a bundle and gives it its name when it is whole, signed and on disk.
func buildTo(ctx context.Context, plan *registryPlan, file string, keys []*signing.Private) (*buildReport, error) {
	unfinished := file + ".unfinished"
	defer func() { _ = os.Remove(unfinished) }() // it is not there any more if all went well
	report, err := buildBundle(ctx, plan, unfinished)
	if err != nil || report.Digest == "" {
		return report, err
	}
	if len(keys) == 0 {
		return report, renameSynced(unfinished, file)
	}
	b, err := openBundle(unfinished)
	if err != nil {
		return report, err
	}
	for _, key := range keys {
		if err := b.Sign(key); err != nil {
			return report, err
		}
	}
	return report, replaceFile(file, b)
}

// print tells what became of each source, and at most so many of its rows that are not as they should be.
func (r *buildReport) print(cmd *cobra.Command, file string) {
	tell := func(w io.Writer, faults []registry.Fault) {
		for i, f := range faults {
			if i == maxPrinted {
				fmt.Fprintf(w, "… and %d more; -o json has all\n", len(faults)-i)
				return
			}
			fmt.Fprintf(w, "%s: warning: %s\n", f.Origin.InFile(), faultText(f))
		}
	}
	w := cmd.ErrOrStderr()
	for i := range r.Sources {
		tell(w, r.Sources[i].Faults)
		tell(w, r.Sources[i].Blocked)
	}
	tell(w, r.Warnings)
	entries := 0
	for i := range r.Sources {
		s := &r.Sources[i]
		if s.Cause != "" {
			fmt.Fprintf(w, "pvgate: source %q is refused: %s: %s\n", s.Facts.Name, s.Cause, s.Text)
			continue
		}
		entries += s.Facts.Entries()
		fmt.Fprintf(cmd.OutOrStdout(), "source %s: %d rows, %d services, %d pages, %d blocked, %d quarantined\n",
			s.Facts.Name, s.Facts.Rows, s.Facts.Services, s.Facts.Pages, s.Facts.Blocked, s.Facts.Quarantined)
	}
	if r.Digest != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %d entries of %d sources\n%s\n", file, entries, len(r.Sources), r.Digest)
	}
}
