// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/gv100ad"
)

// readAreas reads the Gemeindeverzeichnis and lays the dated changes over it.
func (b *routesBuilder) readAreas() {
	file := b.cfg.Root.Areas.File
	at := config.Origin{Where: config.FromFile, Name: "areas"}
	if file.V == "" && b.cfg.Root.Areas.Aliases.V == "" {
		areas, err := registry.DefaultAreas()
		if err != nil {
			b.fail(at, "areas: %v", err)
		}
		b.out.areas = areas
		return
	}
	areas, err := registry.EmbeddedAreas()
	if file.V != "" {
		at = file.Origin
		areas, err = gv100ad.ReadFile(b.cfg.Resolve(file.V))
	}
	if err != nil {
		b.fail(at, "areas.file: %v", plain(err))
		return
	}
	aliases := registry.DefaultAliases()
	if t := b.cfg.Root.Areas.Aliases; t.V != "" {
		at = t.Origin
		list, err := config.LoadAliases(b.cfg.Resolve(t.V), t.V)
		b.errs = append(b.errs, asErrors(err)...)
		aliases = b.aliases(list)
	}
	if len(b.errs) > 0 {
		return
	}
	if areas, err = areas.WithAliases(aliases); err != nil {
		b.fail(at, "areas.aliases: %v", err)
		return
	}
	b.out.areas = areas
}

func (b *routesBuilder) aliases(list []config.Alias) []registry.Alias {
	out := make([]registry.Alias, 0, len(list))
	for i := range list {
		a := &list[i]
		on, ok := b.moment("on", a.On, false)
		if ok && on.IsZero() {
			b.fail(a.On.Origin, "on %s means no day; write the first day of the new key", a.On.V)
		}
		out = append(out, registry.Alias{From: texts(a.From), To: texts(a.To), On: on, Name: a.Name.V})
	}
	return out
}

// asErrors is an error of package config with all its members.
func asErrors(err error) config.Errors {
	var list config.Errors
	if err == nil || errors.As(err, &list) {
		return list
	}
	return config.Errors{config.At(config.Origin{}, "%v", err)}
}

// plain says a missing file shortly.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}

// readCatalogue reads the list of Leistungen.
func (b *routesBuilder) readCatalogue() {
	t := b.cfg.Root.Leistungen
	if t.V == "" {
		return
	}
	f, err := os.Open(b.cfg.Resolve(t.V))
	if err != nil {
		b.fail(t.Origin, "leistungen: %v", plain(err))
		return
	}
	defer f.Close()
	if b.out.catalogue, err = registry.ReadCatalogue(f, t.V); err != nil {
		b.fail(t.Origin, "leistungen: %v", err)
	}
}

// readSources takes the registry that was made of the sources with files, and plans those that are looked up in, all in
// their order of trust. A delivery that cannot be used leaves its source as it was, or refuses the load where nothing is
// kept; rows that cannot cost only themselves.
func (b *routesBuilder) readSources(ctx context.Context) {
	t := b.takeRegistry(ctx)
	var bundled []string
	for i := range b.cfg.Root.Sources {
		s := &b.cfg.Root.Sources[i]
		if s.Type.V == "bundle" && t != nil { // it names its own, in their order of trust
			bundled = t.index.Sources()
			b.in.Sources = append(b.in.Sources, bundled...)
			continue
		}
		b.in.Sources = append(b.in.Sources, s.Name.V)
		if !s.LookedUp() {
			continue
		}
		b.planLookup(s, len(b.in.Sources)-1)
		if s.Type.V == "pvog" {
			b.in.Lookups = append(b.in.Lookups, len(b.in.Sources)-1)
		}
	}
	for i := range b.out.lookups {
		if s := b.out.lookups[i].conf; slices.Contains(bundled, s.Name.V) {
			b.fail(s.Name.Origin, "the bundle has a source %q too; rename this one", s.Name.V)
		}
	}
}

// takeRegistry takes the registry of the sources with files; nil if there is none.
func (b *routesBuilder) takeRegistry(ctx context.Context) *taken {
	if len(b.cfg.Bulk()) == 0 {
		return nil
	}
	t, err := b.registry.Take(ctx, b.cfg, b.out.areas, b.in.SelfHosts)
	if err != nil {
		b.errs = append(b.errs, asErrors(err)...)
		return nil
	}
	b.out.warnings = append(b.out.warnings, t.findings...)
	if b.out.pending = t.appliedIndex == nil; b.out.pending {
		return nil
	}
	b.out.applied = t.appliedIndex
	for i := range t.meta.Sources {
		f := &t.meta.Sources[i]
		b.out.sources = append(b.out.sources, sourceReport{f.Name, f.Rows, f.Services, f.Pages, f.Blocked, f.Quarantined})
	}
	if r := t.report; r != nil {
		for i := range r.Sources {
			b.warnOf(r.Sources[i].Faults)
			b.warnOf(r.Sources[i].Blocked)
		}
		b.warnOf(r.Warnings)
	}
	b.in.Index = t.index
	return t
}

// warnOf tells faults of rows: they cost these, and not the load.
func (b *routesBuilder) warnOf(faults []registry.Fault) {
	for _, f := range faults {
		b.out.warnings = append(b.out.warnings, config.At(configOrigin(f.Origin), "%s", faultText(f)))
	}
}

func faultText(f registry.Fault) string {
	if f.Value == "" || strings.Contains(f.Reason, f.Value) {
		return f.Reason
	}
	return fmt.Sprintf("%s: %q", f.Reason, f.Value)
}

func allows(s *config.Source, what string) bool {
	return slices.ContainsFunc(s.Allow, func(t config.Text) bool { return t.V == what })
}
