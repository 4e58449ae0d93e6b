// SPDX-License-Identifier: EUPL-1.2

package pvog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/registry/source"
)

// reading makes an answer of the pages that come for one key.
type reading struct {
	o       source.Options
	key     lookup.Key
	area    registry.AreaID
	unknown error // why the key's area is none
	at      time.Time
	rows    int // descriptions so far
	total   int // of all pages, as the first one says; -1 = it did not
	builder *source.Builder
	entries []registry.Entry
}

func newReading(o source.Options, areas *registry.Areas, k lookup.Key, at time.Time) *reading {
	d := &reading{o: o, key: k, at: at, total: -1}
	d.o.Areas = areas
	// "" is the Bund, whose key in the registry is all zeros.
	text := k.Area.String()
	if k.Area.IsBund() {
		text = k.Area.Padded()
	}
	d.area, d.unknown = areas.EntryArea(text)
	d.builder = source.NewBuilder(&d.o, func(e *registry.Entry) error {
		if len(d.entries) == maxEntries {
			return d.o.Refuse(source.CauseOversized, 0, "more than %d targets for one key", maxEntries)
		}
		d.entries = append(d.entries, *e)
		// The number of an area is of one areas table, and answers are kept longer than that may be in use.
		if placed := &d.entries[len(d.entries)-1]; placed.AreaKey == "" {
			placed.AreaKey = d.o.Areas.ARS(e.Area).Padded()
		}
		return nil
	})
	return d
}

// take reads the page that came when number was asked for, and says whether another one follows.
func (d *reading) take(ctx context.Context, number int, p *page) (more bool, err error) {
	refuse := func(cause source.Cause, text string, args ...any) (bool, error) {
		return false, d.o.Refuse(cause, 0, text, args...)
	}
	switch {
	case d.unknown != nil:
		return refuse(source.CauseUnknownArea, "%v", d.unknown)
	case p.Content == nil:
		return refuse(source.CauseSchema, "the answer has no content; it is no list of descriptions")
	case p.Number != nil && *p.Number != number:
		return refuse(source.CauseSchema, "page %d was asked for, page %d came", number, *p.Number)
	case len(*p.Content) > pageSize:
		return refuse(source.CauseOversized, "%d descriptions on a page of %d", len(*p.Content), pageSize)
	case number == 0 && p.Total != nil:
		d.total = *p.Total
	case d.total >= 0 && (p.Total == nil || *p.Total != d.total):
		return refuse(source.CauseTruncated, "the number of descriptions changed while they were read")
	}
	for i := range *p.Content {
		d.rows++
		if err := d.add(ctx, d.rows, &(*p.Content)[i]); err != nil {
			return false, err
		}
	}
	if p.Last != nil {
		more = !*p.Last
	} else {
		more = len(*p.Content) == pageSize
	}
	switch {
	case more && len(*p.Content) == 0:
		return refuse(source.CauseSchema, "page %d is empty and is not the last", number)
	case more && number+1 == maxPages:
		return refuse(source.CauseOversized, "more than %d pages of %d descriptions for one key", maxPages, pageSize)
	case !more && d.total >= 0 && d.rows != d.total:
		return refuse(source.CauseTruncated, "%d of %d descriptions came", d.rows, d.total)
	}
	return more, nil
}

// finish is the answer. One in which something was said about the key, and nothing of it could be read, is none.
func (d *reading) finish(ctx context.Context) (lookup.Answer, error) {
	if r := d.builder.Report(); r.Rows == 0 {
		return lookup.Answer{}, nil
	}
	r, err := d.builder.Finish(ctx)
	if err != nil {
		return lookup.Answer{}, err
	}
	if len(d.entries) == 0 && r.Quarantined > 0 {
		return lookup.Answer{}, d.o.Refuse(source.CauseEmpty, 0, "nothing of what came can be read; e.g. %v", r.Faults[0].Reason)
	}
	return lookup.Answer{Entries: d.entries}, nil
}

// add reads a description. One of another Leistung, or for other places, says nothing about the key.
func (d *reading) add(ctx context.Context, row int, in *description) error {
	if len(in.Keys) == 0 {
		return d.builder.Fault(ctx, row, "the description names no Leistung")
	}
	if !slices.ContainsFunc(in.Keys, d.asked) {
		return nil
	}
	areas := []string(in.Areas)
	if len(areas) == 0 {
		areas = []string{d.key.Area.Padded()}
	}
	for _, key := range areas {
		id, err := d.o.Areas.EntryArea(strings.TrimSpace(key))
		if err == nil && !d.o.Areas.ContainsAt(id, d.area, d.at) {
			continue
		}
		// Where the key is wrong the builder puts it aside.
		if err := d.addAt(ctx, row, key, in); err != nil {
			return err
		}
	}
	return nil
}

func (d *reading) asked(key string) bool {
	l, err := registry.ParseLeistung(strings.TrimSpace(key))
	return err == nil && l == d.key.Leistung
}

// addAt adds what a description says for one of its areas.
func (d *reading) addAt(ctx context.Context, row int, area string, in *description) error {
	base := source.Row{Line: row, Leistung: []byte(d.key.Leistung.String()), Area: []byte(area), LB: []byte(ident(in.ID))}
	for _, l := range in.Services {
		for _, oe := range organisations(in.Organisations, len(in.Services)) {
			r := base
			r.URL, r.Title, r.OE = []byte(l.URI), title(l.Title, in.Name), []byte(oe)
			if err := d.builder.Add(ctx, &r); err != nil {
				return bare(err)
			}
		}
	}
	for _, l := range portals(in) {
		r := base
		r.Page, r.Title = []byte(l.URI), title(l.Title, in.Name)
		if err := d.builder.Add(ctx, &r); err != nil {
			return bare(err)
		}
	}
	return nil
}

// bare is a refusal without what the builder puts before it.
func bare(err error) error {
	var r *source.Refusal
	if errors.As(err, &r) {
		return r
	}
	return err
}

// portals are the source portals.
func portals(in *description) []link {
	all := in.Portals
	for i := range in.Details {
		if len(in.Portals) == 0 && in.Details[i].Code == originPortal {
			all = append(all, in.Details[i].Links...)
		}
	}
	return all
}

// maxUnits is how many organisation units are told apart, each with each link. Berlin has 42 for one form; with more, or
// none, nobody is named.
const maxUnits = 64

func organisations(ids []string, links int) []string {
	if len(ids) == 0 || len(ids)*links > maxUnits {
		return []string{""}
	}
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = ident(id)
	}
	return all
}

// The bounds of texts.
const (
	maxIdent = 128
	maxTitle = 300
)

// ident is an id that may stand in URLs and fields; what is none is left out.
func ident(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxIdent || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return ""
	}
	return text
}

// title is the first text that says something, on one line.
func title(texts ...string) []byte {
	for _, t := range texts {
		t = strings.Join(strings.FieldsFunc(t, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
		if len(t) > maxTitle {
			t = strings.ToValidUTF8(t[:maxTitle], "")
		}
		if t != "" {
			return []byte(t)
		}
	}
	return nil
}
