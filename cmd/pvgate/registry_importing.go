// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pvgate/pvgate/registry"
	transport "github.com/pvgate/pvgate/registry/delivery"
	"github.com/pvgate/pvgate/registry/objects"
	"github.com/pvgate/pvgate/registry/source"
)

// importPlan is what a process that imports has to do: apply deliveries to a store, one after another, and then write down its
// rows.
type importPlan struct {
	Source string       `json:"source"`
	Store  string       `json:"store"`
	Parts  []importPart `json:"parts"`
	Shrink float64      `json:"shrink"`
	Accept string       `json:"accept,omitempty"`
	Rows   string       `json:"rows,omitempty"` // file to be written; "" = none
}

// importPart is a delivery: the folder or index file of one, or files that were fetched.
type importPart struct {
	Place  string         `json:"place,omitempty"`
	Files  []importFile   `json:"files,omitempty"`
	Full   bool           `json:"full"`
	Cursor objects.Cursor `json:"cursor,omitzero"`
}

type importFile struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// importReport is what has become of it.
type importReport struct {
	Source  string             `json:"source"`
	Parts   []objects.Report   `json:"deliveries"`
	State   objects.State      `json:"state"`
	Rows    *objects.RowCounts `json:"rows,omitempty"`
	Refused *importRefusal     `json:"refused,omitempty"` // of the delivery after the last of Parts
}

// importRefusal is a *source.Refusal, or a *objects.Shrunk if it has a digest.
type importRefusal struct {
	Cause  source.Cause    `json:"cause"`
	Origin registry.Origin `json:"origin"`
	Text   string          `json:"text"`
	Digest string          `json:"digest,omitempty"`
}

func (r *importRefusal) err() error {
	refusal := source.Refusal{Cause: r.Cause, Origin: r.Origin, Text: r.Text}
	if r.Digest != "" {
		return &objects.Shrunk{Refusal: refusal, Digest: r.Digest}
	}
	return &refusal
}

// importer carries out a plan.
type importer func(ctx context.Context, p *importPlan) (*importReport, error)

// importHere is an importer of this process; progress may be nil.
func importHere(progress func(objects.Progress)) importer {
	return func(ctx context.Context, p *importPlan) (report *importReport, err error) {
		s, err := objects.Open(ctx, p.Store)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		report = &importReport{Source: p.Source, Parts: []objects.Report{}}
		for i := range p.Parts {
			r, err := importPartInto(ctx, s, p, &p.Parts[i], progress)
			if report.Refused = refusedImport(err); report.Refused != nil {
				break
			}
			if err != nil {
				return nil, err
			}
			report.Parts = append(report.Parts, *r)
		}
		if p.Rows != "" && report.Refused == nil {
			report.Rows, err = writeRows(ctx, s, p.Rows)
			if report.Refused = refusedImport(err); err != nil && report.Refused == nil {
				return nil, err
			}
		}
		report.State, err = s.State()
		return report, err
	}
}

func refusedImport(err error) *importRefusal {
	var refusal *source.Refusal
	if !errors.As(err, &refusal) {
		return nil
	}
	out := &importRefusal{Cause: refusal.Cause, Origin: refusal.Origin, Text: refusal.Text}
	if s := (*objects.Shrunk)(nil); errors.As(err, &s) {
		out.Digest = s.Digest
	}
	return out
}

func importPartInto(ctx context.Context, s *objects.Store, p *importPlan, part *importPart, progress func(objects.Progress)) (*objects.Report, error) {
	d := &objects.Delivery{Source: p.Source, Full: part.Full, Cursor: part.Cursor}
	for _, f := range part.Files {
		d.Files = append(d.Files, objects.PathFile(f.Path, f.Name))
	}
	if part.Place != "" {
		w, err := transport.Index(ctx, &transport.Options{Source: p.Source, Place: part.Place})
		if err != nil {
			return nil, err
		}
		d.Files = w.Files
	}
	return s.Import(ctx, d, &objects.Options{Shrink: p.Shrink, Accept: p.Accept, Now: time.Now(), Progress: progress})
}

func writeRows(ctx context.Context, s *objects.Store, to string) (*objects.RowCounts, error) {
	f, err := os.Create(to)
	if err != nil {
		return nil, err
	}
	counts, err := s.Export(ctx, f)
	return &counts, errors.Join(err, f.Close())
}

// importInChild is an importer in a process of its own, as buildInChild is a builder.
func importInChild(ctx context.Context, p *importPlan) (*importReport, error) {
	report := &importReport{}
	args := []string{"registry", "import", "--plan", "-", "-o", "json"}
	return report, inChild(ctx, args, p, report, fmt.Sprintf("GOMEMLIMIT=%d", objects.MemoryLimit))
}
