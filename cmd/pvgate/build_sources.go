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
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/source/csv"
	"github.com/pvgate/pvgate/registry/source/datahub"
)

// readSource is what became of a source.
type readSource struct {
	name   string
	counts source.Counts
}

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

// readSources reads the registry sources in their order of trust. A source that
// cannot be used whole refuses the load; rows that cannot cost only themselves.
func (b *routesBuilder) readSources(ctx context.Context) {
	for i := range b.cfg.Root.Sources {
		b.in.Sources = append(b.in.Sources, b.cfg.Root.Sources[i].Name.V)
	}
	rows := index.NewBuilder(b.out.areas, b.in.Sources)
	for i := range b.cfg.Root.Sources {
		s := &b.cfg.Root.Sources[i]
		if s.Name.V == "" || s.Type.V == "" || s.Path.V == "" {
			continue // reported
		}
		res, err := loadSource(ctx, s, source.Options{
			Name: s.Name.V, Path: b.cfg.Resolve(s.Path.V), Order: sourceFirst + i, Areas: b.out.areas,
			Policy: registry.URLPolicy{
				AllowHTTP: allows(s, "http"), AllowPrivate: allows(s, "private"), Hosts: texts(s.Hosts), Self: b.in.SelfHosts,
			},
		})
		if err != nil {
			b.fail(s.Path.Origin, "source %q is refused: %v", s.Name.V, plain(err))
			continue
		}
		for _, list := range [...][]registry.Fault{res.Faults, res.Warnings} {
			for _, f := range list {
				b.out.warnings = append(b.out.warnings, config.At(configOrigin(f.Origin), "%s", faultText(f)))
			}
		}
		b.warnBlocked(res.Entries)
		for j := range res.Entries {
			if err := rows.Add(&res.Entries[j]); err != nil {
				b.fail(s.Path.Origin, "source %q is refused: %v", s.Name.V, err)
				break
			}
		}
		b.out.sources = append(b.out.sources, readSource{s.Name.V, res.Counts})
	}
	var report index.Report
	b.in.Index, report = rows.Finish()
	for _, f := range report.Warnings {
		b.out.warnings = append(b.out.warnings, config.At(configOrigin(f.Origin), "%s", f.Reason))
	}
}

// warnBlocked names the rows whose target is refused: where one of them is
// responsible, the answer is target_refused.
func (b *routesBuilder) warnBlocked(entries []registry.Entry) {
	n := 0
	for i := range entries {
		if e := &entries[i]; e.Refused != "" && n < source.MaxFaults {
			n++
			b.out.warnings = append(b.out.warnings, config.At(configOrigin(e.Origin), "target refused: %s", e.Refused))
		}
	}
}

func loadSource(ctx context.Context, s *config.Source, o source.Options) (source.Result, error) {
	var separator byte
	if s.Separator.V != "" {
		separator = s.Separator.V[0] // one ASCII character: config holds it
	}
	if s.Type.V == "datahub" {
		return datahub.Load(ctx, datahub.Options{Options: o, Separator: separator})
	}
	c := &s.Columns
	return csv.Load(ctx, csv.Options{Options: o, Separator: separator, Columns: csv.Columns{
		Leistung: c.Leistung.V, Area: c.Area.V, URL: c.URL.V, Page: c.Page.V, Keep: c.Keep.V, Title: c.Title.V,
		Lang: c.Lang.V, Begin: c.Begin.V, End: c.End.V, Active: c.Active.V, Role: c.Role.V,
		Specialised: c.Specialised.V, Priority: c.Priority.V, OE: c.OE.V, LB: c.LB.V, OD: c.OD.V,
	}})
}

func allows(s *config.Source, what string) bool {
	return slices.ContainsFunc(s.Allow, func(t config.Text) bool { return t.V == what })
}

func faultText(f registry.Fault) string {
	if f.Value == "" || strings.Contains(f.Reason, f.Value) {
		return f.Reason
	}
	return fmt.Sprintf("%s: %q", f.Reason, f.Value)
}
