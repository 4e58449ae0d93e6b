// SPDX-License-Identifier: EUPL-1.2

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// Row is one row of a registry as it is written; empty = absent. The bytes are not kept.
type Row struct {
	Line                int    // from 1
	From                string // what it was made of, in provenance and messages instead of the file; "" = the file
	Leistung, Area      []byte
	URL                 []byte // of the Onlinedienst: gives a service entry
	Page                []byte // of the source portal: gives a page entry
	Keep                []byte // with HasKeep: "false", "nein", "0" or nothing leave the row out
	Title, Lang         []byte
	Begin, End          []byte
	Active, Specialised []byte
	Role, Priority      []byte
	OE, LB, OD          []byte
	HasKeep             bool
}

// Builder checks rows and emits entries. Rows that directly follow one another and differ only in language and URL are
// one target in several languages (R16). Not safe for concurrent use.
type Builder struct {
	o       *Options
	emit    Emit
	report  Report
	pending [2]registry.Entry // by kind: the last entry, until it is certain that no other language follows
	waiting [2]bool
	texts   map[string]string
	from    string // Row.From of the row that is judged
}

// maxTexts bounds the memory for texts that occur again and again.
const maxTexts = 1 << 17

// NewBuilder begins a source.
func NewBuilder(o *Options, emit Emit) *Builder {
	return &Builder{o: o, emit: emit, texts: make(map[string]string)}
}

// Add takes the next row. An error ends the reading: the context's, emit's or a *[Refusal].
func (b *Builder) Add(ctx context.Context, r *Row) error {
	b.from = r.From
	if err := b.count(ctx, r.Line); err != nil {
		return err
	}
	if r.HasKeep {
		keep, ok := parseBool(r.Keep)
		if !ok {
			b.quarantine(r.Line, r.Keep, "keep is neither true nor false")
			return nil
		}
		if !keep {
			b.report.Skipped++
			return nil
		}
	}
	url, page := bytes.TrimSpace(r.URL), bytes.TrimSpace(r.Page)
	if len(url) == 0 && len(page) == 0 {
		b.report.Empty++
		return nil
	}
	e, value, err := b.entry(r)
	if err != nil {
		var unknown *registry.UnknownArea
		if errors.As(err, &unknown) {
			b.report.UnknownArea++
		}
		b.quarantine(r.Line, value, err.Error())
		return nil
	}
	if err = b.add(e, registry.Service, url); err != nil {
		return err
	}
	return b.add(e, registry.Page, page)
}

// Fault puts a row aside that could not even be cut into fields.
func (b *Builder) Fault(ctx context.Context, line int, reason string) error {
	if err := b.count(ctx, line); err != nil {
		return err
	}
	b.quarantine(line, nil, reason)
	return nil
}

// Warn notes something that does not keep a row or file from being used.
func (b *Builder) Warn(line int, text string) {
	if len(b.report.Warnings) < MaxFaults {
		b.report.Warnings = append(b.report.Warnings, registry.Fault{Origin: b.o.origin(line), Reason: text})
	}
}

// Report is the state so far; for a reading that failed.
func (b *Builder) Report() Report { return b.report }

// Finish ends the source. One without rows is refused.
func (b *Builder) Finish(ctx context.Context) (Report, error) {
	for _, k := range [...]registry.Kind{registry.Service, registry.Page} {
		if err := b.flush(k); err != nil {
			return b.report, err
		}
	}
	if err := ctx.Err(); err != nil {
		return b.report, fmt.Errorf("read source %s: %w", b.o.Name, err)
	}
	if b.report.Rows == 0 {
		return b.report, b.o.Refuse(CauseEmpty, 0, "the source has no rows; an empty registry is refused")
	}
	return b.report, nil
}

func (b *Builder) count(ctx context.Context, line int) error {
	b.report.Rows++
	if b.report.Rows%256 == 1 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read source %s: %w", b.o.Name, err)
		}
	}
	limit := b.o.MaxRows
	if limit <= 0 {
		limit = DefaultMaxRows
	}
	if b.report.Rows > limit {
		return b.o.Refuse(CauseOversized, line, "more than %d rows", limit)
	}
	return nil
}

func (b *Builder) quarantine(line int, value []byte, reason string) {
	b.report.Quarantined++
	if len(b.report.Faults) < MaxFaults {
		v := strings.ToValidUTF8(string(value[:min(len(value), 64)]), "")
		b.report.Faults = append(b.report.Faults, registry.Fault{Origin: b.origin(line), Value: v, Reason: reason})
	}
}

// origin is that of the row that is judged.
func (b *Builder) origin(line int) registry.Origin {
	o := b.o.origin(line)
	if b.from != "" {
		o.File = b.from
	}
	return o
}

// entry reads all but the target. On an error value is what was wrong.
func (b *Builder) entry(r *Row) (e registry.Entry, value []byte, err error) {
	if e.Leistung, err = registry.ParseLeistung(r.Leistung); err != nil {
		return e, r.Leistung, err
	}
	area := bytes.TrimSpace(r.Area)
	if e.Area, err = b.o.Areas.EntryAreaBytes(area); err != nil {
		return e, area, err
	}
	e.AreaKey = b.otherKey(e.Area, area)
	if e.Area == registry.Bund && !e.Leistung.Federal() {
		return e, r.Leistung, errors.New("a local Leistung (not 99…) needs a Land or an area in one, not the Bund")
	}
	if value, err = b.setTimes(&e, r); err != nil {
		return e, value, err
	}
	active, known := parseBool(r.Active)
	e.Inactive = known && !active && len(bytes.TrimSpace(r.Active)) > 0
	special, ok := parseBool(r.Specialised)
	if !ok {
		return e, r.Specialised, errors.New("specialised is neither true nor false")
	}
	e.Specialised = special
	if p := bytes.TrimSpace(r.Priority); len(p) > 0 {
		if e.Priority, err = strconv.Atoi(string(p)); err != nil {
			return e, p, errors.New("priority is no whole number")
		}
	}
	if e.Lang, err = parseLang(r.Lang); err != nil {
		return e, r.Lang, err
	}
	e.Title = b.text(r.Title)
	if e.Role = b.text(r.Role); len(e.Role) == 1 {
		e.Role = "0" + e.Role // a spreadsheet ate the zero
	}
	e.OE, e.LB, e.OD = b.text(r.OE), b.text(r.LB), b.text(r.OD)
	e.Source, e.Origin = b.o.Order, b.origin(r.Line)
	return e, nil, nil
}

// otherKey is the key as written if it is another than the area's own, padded or not: 01001 where it means the Gemeinde.
func (b *Builder) otherKey(id registry.AreaID, key []byte) string {
	var own [12]byte
	ars := b.o.Areas.ARS(id)
	if string(key) == string(ars.Append(own[:0])) || string(key) == string(ars.AppendPadded(own[:0])) || id == registry.Bund {
		return ""
	}
	return b.text(key)
}

func (b *Builder) setTimes(e *registry.Entry, r *Row) (value []byte, err error) {
	if t := bytes.TrimSpace(r.Begin); len(t) > 0 {
		if e.Begin, err = registry.ParseTime(string(t)); err != nil {
			return t, fmt.Errorf("begin: %w", err)
		}
	}
	if t := bytes.TrimSpace(r.End); len(t) > 0 {
		if e.End, err = registry.ParseEnd(string(t)); err != nil {
			return t, fmt.Errorf("end: %w", err)
		}
	}
	if !e.Begin.IsZero() && !e.End.IsZero() && !e.Begin.Before(e.End) {
		return r.Begin, errors.New("begin is not before end")
	}
	return nil, nil
}

// add judges a target and holds the entry until the next one shows whether it is another language of the same target.
func (b *Builder) add(e registry.Entry, k registry.Kind, url []byte) error {
	if len(url) == 0 {
		return b.flush(k)
	}
	e.Kind, e.URL = k, b.text(url)
	e.Refused = b.o.Policy.Check(e.URL)
	if b.waiting[k] && sameTarget(&b.pending[k], &e) {
		b.pending[k].Others = append(b.pending[k].Others, registry.LangURL{Lang: e.Lang, URL: e.URL})
		return nil
	}
	if err := b.flush(k); err != nil {
		return err
	}
	b.pending[k], b.waiting[k] = e, true
	return nil
}

func (b *Builder) flush(k registry.Kind) error {
	if !b.waiting[k] {
		return nil
	}
	b.waiting[k] = false
	e := &b.pending[k]
	if k == registry.Page {
		b.report.Pages++
	} else {
		b.report.Services++
	}
	if e.Refused != "" {
		b.report.Refused++
	}
	if err := b.emit(e); err != nil {
		return fmt.Errorf("read source %s: %w", b.o.Name, err)
	}
	return nil
}

// sameTarget says whether next is the same row as e in a language that e lacks.
func sameTarget(e, next *registry.Entry) bool {
	if lang(next.Lang) == lang(e.Lang) || e.Refused != "" || next.Refused != "" ||
		slices.ContainsFunc(e.Others, func(o registry.LangURL) bool { return lang(o.Lang) == lang(next.Lang) }) {
		return false
	}
	return e.Leistung == next.Leistung && e.Area == next.Area && e.Begin.Equal(next.Begin) && e.End.Equal(next.End) &&
		e.Inactive == next.Inactive && e.Role == next.Role && e.Specialised == next.Specialised &&
		e.Priority == next.Priority && e.OE == next.OE && e.LB == next.LB && e.OD == next.OD
}

func lang(l string) string {
	if l == "" {
		return "de"
	}
	return l
}

// text trims and keeps one copy of texts that come again.
func (b *Builder) text(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	if s, ok := b.texts[string(raw)]; ok {
		return s
	}
	if len(b.texts) >= maxTexts {
		clear(b.texts)
	}
	s := string(raw)
	b.texts[s] = s
	return s
}

// parseBool reads the words of exports; nothing is false.
func parseBool(raw []byte) (yes, ok bool) {
	switch strings.ToLower(string(bytes.TrimSpace(raw))) {
	case "true", "ja", "1", "yes", "wahr", "t", "j":
		return true, true
	case "false", "nein", "0", "no", "falsch", "f", "n", "":
		return false, true
	}
	return false, false
}

// parseLang takes "de", "en" and what is longer ("en-GB", "de_DE"), and keeps the language.
func parseLang(raw []byte) (string, error) {
	s := strings.ToLower(string(bytes.TrimSpace(raw)))
	if i := strings.IndexAny(s, "-_"); i >= 0 {
		s = s[:i]
	}
	if len(s) != 0 && len(s) != 2 && len(s) != 3 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", errors.New("lang is no language; want e.g. de or en")
	}
	return s, nil
}
