// SPDX-License-Identifier: EUPL-1.2

// Package datahub reads an export of the OZG Data Hub ("open-pvog", filetype=csv): one Onlinedienst per row with
// leika_key, leika_name, ars, url, online_status and aktiv. [Read] reads a stream, [Load] a file.
//
// aktiv = nein makes a row dead; online_status, the result of somebody's link check, does not (R7): competence does not
// move because a page is down. Package fetch brings the file; [Pages] does where the Data Hub says that it is too large.
package datahub

import (
	"context"
	"io"

	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/source/csv"
)

// Options of a Data Hub source.
type Options struct {
	source.Options
	Separator byte // 0 = the export's own, from its header
}

// columns of the export that say something about routes. The others (ozgid, ozg_bezeichnung, art_flaechendeckung, …)
// may come and go.
var columns = csv.Columns{Leistung: "leika_key", Title: "leika_name", Area: "ars", URL: "url", Active: "aktiv"}

// Load reads the file at o.Path.
func Load(ctx context.Context, o Options) (source.Result, error) {
	return source.Load(ctx, o.Path, func(ctx context.Context, r io.Reader, emit source.Emit) (source.Report, error) {
		return Read(ctx, r, o, emit)
	})
}

// Read reads a stream in bounded memory; see [csv.Read].
func Read(ctx context.Context, r io.Reader, o Options, emit source.Emit) (source.Report, error) {
	return csv.Read(ctx, r, csv.Options{Options: o.Options, Separator: o.Separator, Columns: columns, Null: "null"}, emit)
}
