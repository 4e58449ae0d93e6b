// SPDX-License-Identifier: EUPL-1.2

// Package csv reads a registry from separated values with columns that the operator names. [Read] reads a stream, [Load]
// a file.
//
// One row may give two entries: an Onlinedienst (column url) and a source portal's page (column page). The package knows
// nothing of any publisher's format; see package datahub for one.
package csv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry/internal/rows"
	"github.com/pvgate/pvgate/registry/source"
)

// Columns are the file's names of the columns. Leistung, Area and one of URL and Page are required; "" = not there.
type Columns struct {
	Leistung, Area    string
	URL, Page         string
	Keep              string // rows where it says false, nein, 0 or nothing are left out
	Title, Lang       string
	Begin, End        string
	Active            string // nein, false, no or 0 make the row dead (R7); all else does not
	Role, Specialised string
	Priority          string
	OE, LB, OD        string // oe_id, lb_id, od_id
}

// Options of a csv source.
type Options struct {
	source.Options
	Separator byte // 0 = ";", "," or tab, whichever the header has most of
	Columns   Columns
	Null      string // a text that means nothing is there, in any column, e.g. "null"; "" = none
}

// Load reads the file at o.Path.
func Load(ctx context.Context, o Options) (source.Result, error) {
	return source.Load(ctx, o.Path, func(ctx context.Context, r io.Reader, emit source.Emit) (source.Report, error) {
		return Read(ctx, r, o, emit)
	})
}

// Read reads a stream in bounded memory and emits its entries in order. Errors are *[source.Refusal], the context's and
// emit's. The report tells how far it came also on an error.
func Read(ctx context.Context, r io.Reader, o Options, emit source.Emit) (source.Report, error) {
	in := rows.NewReader(r, o.Separator)
	b := source.NewBuilder(&o.Options, emit)
	header, err := in.Header()
	if err != nil {
		return b.Report(), o.headerError(err)
	}
	t := table{o: &o, width: len(header)}
	if err = t.findColumns(header); err != nil {
		return b.Report(), err
	}
	for {
		row, err := in.Next()
		var fault *rows.Fault
		switch {
		case errors.Is(err, io.EOF):
			return b.Finish(ctx)
		case errors.As(err, &fault):
			err = t.fault(ctx, b, fault)
		case err != nil:
			refusal := o.Refuse(source.CauseTruncated, 0, "reading stopped: %v", err)
			refusal.Err = err
			return b.Report(), refusal
		default:
			err = t.row(ctx, b, &row)
		}
		if err != nil {
			return b.Report(), err
		}
	}
}

func (o *Options) headerError(err error) error {
	var fault *rows.Fault
	switch {
	case errors.Is(err, io.EOF):
		return o.Refuse(source.CauseEmpty, 0, "the file is empty")
	case errors.As(err, &fault) && fault.Last:
		return o.Refuse(source.CauseTruncated, fault.Line, "the header breaks off: %s", fault.Reason)
	case errors.As(err, &fault):
		return o.Refuse(source.CauseSchema, fault.Line, "the header cannot be read: %s", fault.Reason)
	}
	refusal := o.Refuse(source.CauseTruncated, 0, "reading stopped: %v", err)
	refusal.Err = err
	return refusal
}

// The roles of columns, in the order of table.at.
const (
	colLeistung = iota
	colArea
	colURL
	colPage
	colKeep
	colTitle
	colLang
	colBegin
	colEnd
	colActive
	colRole
	colSpecialised
	colPriority
	colOE
	colLB
	colOD
	columns
)

// roles are the keys of the configuration.
var roles = [columns]string{
	"leistung", "area", "url", "page", "keep", "title", "lang", "begin", "end", "active", "role", "specialised", "priority",
	"oe_id", "lb_id", "od_id",
}

func (c *Columns) names() [columns]string {
	return [columns]string{
		c.Leistung, c.Area, c.URL, c.Page, c.Keep, c.Title, c.Lang, c.Begin, c.End, c.Active, c.Role, c.Specialised, c.Priority,
		c.OE, c.LB, c.OD,
	}
}

// table knows where the columns of a file are.
type table struct {
	o     *Options
	at    [columns]int // -1 = not there
	width int
	out   source.Row
}

func (t *table) findColumns(header []string) error {
	refuse := func(format string, args ...any) error {
		return t.o.Refuse(source.CauseSchema, 1, "%s; the file's columns are: %s", fmt.Sprintf(format, args...), strings.Join(header, " "))
	}
	for role, name := range t.o.Columns.names() {
		t.at[role] = -1
		if name == "" {
			if role == colLeistung || role == colArea {
				return refuse("no column is named for %s", roles[role])
			}
			continue
		}
		i := slices.Index(header, name)
		switch {
		case i < 0:
			return refuse("column %q (for %s) is not in the file", name, roles[role])
		case slices.Contains(header[i+1:], name):
			return refuse("column %q (for %s) occurs twice", name, roles[role])
		}
		t.at[role] = i
	}
	if t.at[colURL] < 0 && t.at[colPage] < 0 {
		return refuse("no column is named for url or page")
	}
	return nil
}

// fault puts a row aside; if the file ends inside it, the file is refused.
func (t *table) fault(ctx context.Context, b *source.Builder, f *rows.Fault) error {
	if f.Last {
		return t.o.Refuse(source.CauseTruncated, f.Line, "the file ends inside a row: %s", f.Reason)
	}
	return b.Fault(ctx, f.Line, f.Reason)
}

func (t *table) row(ctx context.Context, b *source.Builder, row *rows.Row) error {
	extra := 0
	for _, f := range row.Fields[min(t.width, len(row.Fields)):] {
		extra += len(f)
	}
	switch n := len(row.Fields); {
	case n < t.width && row.Open:
		return t.o.Refuse(source.CauseTruncated, row.Line, "the file ends inside a row: %d of %d fields", n, t.width)
	case n < t.width || extra > 0:
		return b.Fault(ctx, row.Line, fmt.Sprintf("%d fields, but the header has %d; is a separator in a text without quotes?", n, t.width))
	}
	if row.Open {
		b.Warn(row.Line, "the file ends without a line break; if it was cut off, the last URL may be too short")
	}
	t.out = source.Row{
		Line: row.Line, HasKeep: t.at[colKeep] >= 0,
		Leistung: t.get(row, colLeistung), Area: t.get(row, colArea), URL: t.get(row, colURL), Page: t.get(row, colPage),
		Keep: t.get(row, colKeep), Title: t.get(row, colTitle), Lang: t.get(row, colLang),
		Begin: t.get(row, colBegin), End: t.get(row, colEnd), Active: t.get(row, colActive),
		Role: t.get(row, colRole), Specialised: t.get(row, colSpecialised), Priority: t.get(row, colPriority),
		OE: t.get(row, colOE), LB: t.get(row, colLB), OD: t.get(row, colOD),
	}
	return b.Add(ctx, &t.out)
}

func (t *table) get(row *rows.Row, role int) []byte {
	i := t.at[role]
	if i < 0 || t.o.Null != "" && string(row.Fields[i]) == t.o.Null {
		return nil
	}
	return row.Fields[i]
}
