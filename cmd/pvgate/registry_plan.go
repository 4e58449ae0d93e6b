// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/registry/objects"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/source/csv"
	"github.com/pvgate/pvgate/registry/source/datahub"
)

// registryPlan is all that the registry's bundle is made of, with nothing left to look up: the process that builds need not
// know the configuration, which may be another one by then.
type registryPlan struct {
	Areas    plannedAreas    `json:"areas"`
	Self     []string        `json:"self,omitempty"` // hosts that no target may have
	Sources  []plannedSource `json:"sources"`        // in the order of trust
	Sequence uint64          `json:"sequence"`
	Created  time.Time       `json:"created"`
}

// plannedAreas are files; "" is what is built in.
type plannedAreas struct {
	File    string `json:"file,omitempty"`
	Aliases string `json:"aliases,omitempty"`
}

// plannedSource is a source and how it is read.
type plannedSource struct {
	Name      string      `json:"name"`
	Type      string      `json:"type"`
	File      string      `json:"file"`  // where the bytes are
	Shown     string      `json:"shown"` // where they come from, for messages
	Separator string      `json:"separator,omitempty"`
	Columns   csv.Columns `json:"columns"`
	Hosts     []string    `json:"hosts,omitempty"`
	Allow     []string    `json:"allow,omitempty"`
	Digest    string      `json:"digest,omitempty"` // of the bytes, for the bundle's facts
	Modified  time.Time   `json:"modified"`         // likewise; zero = unknown
}

// buildReport is what building a bundle has found.
type buildReport struct {
	Digest   string           `json:"digest"` // of the bundle; "" without one
	Sources  []builtSource    `json:"sources"`
	Warnings []registry.Fault `json:"warnings,omitempty"` // of the index, about single rows
}

// builtSource is what became of one source. One that is refused has a cause; then there is no bundle.
type builtSource struct {
	Facts   bundle.SourceFacts `json:"facts"`
	Cause   source.Cause       `json:"cause,omitempty"`
	Text    string             `json:"text,omitempty"`
	Faults  []registry.Fault   `json:"faults,omitempty"`  // rows put aside, and warnings, not all of many
	Blocked []registry.Fault   `json:"blocked,omitempty"` // entries whose target is refused, not all of many
}

// planOf is the plan of a configuration, with its files where they lie. Sources with a URL have no file yet.
func planOf(cfg *config.Config, self []string) registryPlan {
	p := registryPlan{Areas: plannedAreas{cfg.Resolve(cfg.Root.Areas.File.V), cfg.Resolve(cfg.Root.Areas.Aliases.V)}, Self: self}
	bulk := cfg.Bulk()
	for i := range bulk {
		s := &bulk[i]
		if s.Name.V == "" || s.Type.V == "" || s.Path.V == "" && s.URL.V == "" {
			continue // reported
		}
		planned := plannedSource{
			Name: s.Name.V, Type: s.Type.V, File: cfg.Resolve(s.Path.V), Shown: s.URL.V, Separator: s.Separator.V, Hosts: texts(s.Hosts), Allow: texts(s.Allow),
		}
		if s.Path.V != "" {
			planned.Shown = planned.File
		}
		if c := &s.Columns; s.Type.V == "csv" {
			planned.Columns = csv.Columns{
				Leistung: c.Leistung.V, Area: c.Area.V, URL: c.URL.V, Page: c.Page.V, Keep: c.Keep.V, Title: c.Title.V,
				Lang: c.Lang.V, Begin: c.Begin.V, End: c.End.V, Active: c.Active.V, Role: c.Role.V,
				Specialised: c.Specialised.V, Priority: c.Priority.V, OE: c.OE.V, LB: c.LB.V, OD: c.OD.V,
			}
		}
		p.Sources = append(p.Sources, planned)
	}
	return p
}

// read makes the Gemeindeverzeichnis.
func (p *plannedAreas) read() (*registry.Areas, error) {
	b := &routesBuilder{cfg: &config.Config{}, out: &routes{}}
	b.cfg.Root.Areas.File.V, b.cfg.Root.Areas.Aliases.V = p.File, p.Aliases
	if b.readAreas(); len(b.errs) > 0 {
		return nil, b.errs
	}
	return b.out.areas, nil
}

// buildBundle reads the sources of a plan and writes their bundle to a file. It is the one way from sources to an index:
// serve runs it in a process of its own, check and explain in theirs. Without an error, and without a source that is
// refused, the file is whole and on disk.
func buildBundle(ctx context.Context, p *registryPlan, to string) (*buildReport, error) {
	areas, err := p.Areas.read()
	if err != nil {
		return nil, fmt.Errorf("areas: %w", err)
	}
	var names []string
	for i := range p.Sources {
		names = append(names, p.Sources[i].Name)
	}
	rows := index.NewBuilder(areas, names)
	report := &buildReport{}
	meta := bundle.Meta{Sequence: p.Sequence, Created: p.Created.UTC().Truncate(time.Second), Areas: index.AreasDigest(areas)}
	bad := false
	for i := range p.Sources {
		built, err := p.readSource(ctx, areas, i, rows)
		if err != nil {
			return nil, err
		}
		bad = bad || built.Cause != ""
		report.Sources = append(report.Sources, built)
		meta.Sources = append(meta.Sources, built.Facts)
	}
	if bad {
		return report, nil
	}
	x, found := rows.Finish()
	report.Warnings = found.Warnings
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	digest, err := bundle.Write(f, &meta, x.Sections())
	if err == nil {
		err = f.Sync()
	}
	report.Digest = digest.String()
	return report, errors.Join(err, f.Close())
}

// readSource reads one source into an index.
func (p *registryPlan) readSource(ctx context.Context, areas *registry.Areas, i int, rows *index.Builder) (builtSource, error) {
	s := &p.Sources[i]
	o := source.Options{Name: s.Name, Path: s.Shown, Order: i, Areas: areas, Policy: registry.URLPolicy{
		AllowHTTP: slices.Contains(s.Allow, "http"), AllowPrivate: slices.Contains(s.Allow, "private"), Hosts: s.Hosts, Self: p.Self,
	}}
	out := builtSource{Facts: bundle.SourceFacts{Name: s.Name, Digest: s.Digest}}
	if !s.Modified.IsZero() {
		out.Facts.Modified = s.Modified.UTC().Truncate(time.Second)
	}
	f, err := os.Open(s.File)
	if err != nil {
		out.Cause, out.Text = source.CauseUnreachable, plain(err).Error()
		return out, nil
	}
	defer f.Close()
	report, err := s.reader(o)(ctx, f, func(e *registry.Entry) error {
		before := rows.Len()
		if err := rows.Add(e); err != nil || rows.Len() == before {
			return err // what no index can hold is told by it, and counts as no entry
		}
		land := &out.Facts.Lands[areas.LandOf(e.Area)]
		if e.Kind == registry.Page {
			land.Pages++
			out.Facts.Pages++
		} else {
			land.Services++
			out.Facts.Services++
		}
		if e.Refused == "" {
			return nil
		}
		if out.Facts.Blocked++; len(out.Blocked) < source.MaxFaults {
			out.Blocked = append(out.Blocked, registry.Fault{Origin: e.Origin, Reason: "target refused: " + e.Refused})
		}
		return nil
	})
	for l, t := range report.Types {
		if full := rows.AddTypes(l, t); full != nil {
			err = errors.Join(err, full)
			break // it would say so of each that is left
		}
	}
	c := &report.Counts
	out.Facts.Rows = c.Rows
	out.Facts.Skipped, out.Facts.Empty, out.Facts.Quarantined, out.Facts.UnknownArea = c.Skipped, c.Empty, c.Quarantined, c.UnknownArea
	out.Faults = append(report.Faults, report.Warnings...)
	if r := (*source.Refusal)(nil); errors.As(err, &r) {
		out.Cause, out.Text = r.Cause, r.Error()
		return out, nil
	}
	return out, err
}

// reader is the reader of the source's form.
func (s *plannedSource) reader(o source.Options) source.Reader {
	var separator byte
	if s.Separator != "" {
		separator = s.Separator[0] // one ASCII character: config holds it
	}
	return func(ctx context.Context, r io.Reader, emit source.Emit) (source.Report, error) {
		switch s.Type {
		case "xzufi":
			return objects.Read(ctx, r, o, emit)
		case "datahub":
			return datahub.Read(ctx, r, datahub.Options{Options: o, Separator: separator}, emit)
		}
		return csv.Read(ctx, r, csv.Options{Options: o, Separator: separator, Columns: s.Columns}, emit)
	}
}
