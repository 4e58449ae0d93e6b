// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// row is a row of the registry as it is made of objects.
type row struct {
	leistung, area, url, page, title, lang, begin, end, role, oe, lb, od string
	specialised                                                          bool
	from                                                                 string // objects that many rows are made of
	with                                                                 string // objects that this row is made of beside them
}

// RowCounts are what became of links.
type RowCounts struct {
	Rows    int `json:"rows"`
	Waiting int `json:"waiting"` // links of which an end is not there, perhaps not yet
	Over    int `json:"over"`    // links of ends that never hold at the same time
	NoKey   int `json:"no_key"`  // links to a Leistung without a Leistungsschlüssel
	NoURL   int `json:"no_url"`  // links to an Onlinedienst that has no link for citizens
}

// serviceLink is the type of the link that leads to the Onlinedienst itself (codelist onlinedienstlinktyp); others lead
// to what is said about it.
const serviceLink = "01"

// What a group of links has, in this order: the authorities come before what is offered.
const (
	kindAuthority = 'a'
	kindService   = 'b'
	kindPage      = 'c'
)

// maxAuthorities is how many a group may have for each to give a row of its own. With more no handover could choose one (R11).
const maxAuthorities = 256

// rows makes the rows of a store in their one order: by Leistung and area, as texts.
//
// A row is a Zustaendigkeit of an Onlinedienst for a Leistung in an area, and a portal of a Leistung or Spezialisierung in
// each area that it is valid in, or, where it does not say, in which an authority is competent for it. Authorities that are competent for the
// same Leistung in the same area give a row each, as long as they are competent; so what they have in common is one
// target, and routing says whether one of them is meant.
type rows struct {
	tx     *bbolt.Tx
	sorter *sorter
	give   func(*row) error
	most   int // rows
	counts RowCounts
	types  map[registry.Leistung]registry.Types
	buf    []byte
	val    []byte

	// The group that is read: one Leistung in one area.
	about       description
	place       string
	area        string // as the first of the group writes it
	authorities []authority
}

// description is a Leistung, or a Spezialisierung of one.
type description struct {
	id, base    xzufi.ID
	found       bool
	keys        []registry.Leistung
	names       []xzufi.Text
	portals     []xzufi.Link
	areas       []xzufi.Area
	validity    [2][]xzufi.Period // its own, and of what it specialises
	publisher   xzufi.ID
	specialised bool
}

// authority is an Organisationseinheit that is competent in the group.
type authority struct {
	oe, role, with string
	validity       []xzufi.Period
}

func (r *rows) run(ctx context.Context) error {
	if err := r.scatter(ctx); err != nil {
		return err
	}
	n := 0
	err := r.sorter.each(func(key, value []byte) error {
		if n++; n&4095 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return r.record(string(key), value)
	})
	if err != nil {
		return err
	}
	return r.endGroup()
}

// scatter puts every link where its Leistung and area are.
func (r *rows) scatter(ctx context.Context) error {
	n := 0
	for _, c := range xzufi.Classes() {
		err := r.tx.Bucket(bucketOf(c)).ForEach(func(key, value []byte) error {
			if n++; n&4095 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			return r.scatterObject(c, idOf(string(key)), value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rows) scatterObject(c xzufi.Class, id xzufi.ID, value []byte) error {
	d := decoder{b: value, agency: id.AgencyID}
	switch c {
	case xzufi.ClassZustaendigkeit:
		z := d.competence(id)
		return errors.Join(d.err(), r.link(&z))
	case xzufi.ClassLeistung:
		o := d.leistung(id)
		return errors.Join(d.err(), r.typed(o), r.pages(id, o.ID, o.Areas, o.Portals))
	case xzufi.ClassSpezialisierung:
		o := d.specialised(id)
		return errors.Join(d.err(), r.pages(o.Leistung, o.ID, o.Areas, o.Portals))
	}
	o := d.service(id)
	if d.err() != nil {
		return d.err()
	}
	for i := range o.Zustaendigkeiten {
		z := &o.Zustaendigkeiten[i]
		z.Of, z.Parent = c, id
		if err := r.link(z); err != nil {
			return err
		}
	}
	return nil
}

// maxTyped bounds the Leistungen of which types are known: ten times the federal catalogue, and as many local ones again.
const maxTyped = 200_000

// typed takes the types of a Leistung. What several objects of a key say is known together (R13).
func (r *rows) typed(o *xzufi.Leistung) error {
	var t registry.Types
	for _, code := range o.Types {
		t |= registry.ParseType(code)
	}
	if t == 0 {
		return nil
	}
	for _, key := range o.Keys {
		if r.types[key] |= t; len(r.types) > maxTyped {
			return &source.Refusal{Cause: source.CauseOversized, Text: fmt.Sprintf("the objects say types of more than %d Leistungen; the last is %s", maxTyped, key)}
		}
	}
	return nil
}

// link puts a Zustaendigkeit.
func (r *rows) link(z *xzufi.Zustaendigkeit) error {
	kind := byte(kindService)
	switch r.classOf(z) {
	case xzufi.ClassOrganisationseinheit:
		kind = kindAuthority
	case xzufi.ClassOnlinedienst:
	case 0:
		r.counts.Waiting++
		return nil
	default:
		return nil // a Formular is no place to go to
	}
	e := encoder{b: r.val[:0]}
	for _, a := range z.Areas {
		e.b = e.b[:0]
		e.text(string(a))
		e.periods(z.Validity)
		if err := r.put(z.Leistung, a, kind, z.Parent, z.Role, z.ID, e.b); err != nil {
			return err
		}
	}
	r.val = e.b
	return nil
}

// classOf is the class of the competent object: what the link says, or else as what it is there; 0 if it is not.
func (r *rows) classOf(z *xzufi.Zustaendigkeit) xzufi.Class {
	if z.Of != 0 {
		return z.Of
	}
	r.buf = appendKey(r.buf[:0], z.Parent)
	for _, c := range [...]xzufi.Class{xzufi.ClassOnlinedienst, xzufi.ClassOrganisationseinheit, xzufi.ClassFormular} {
		if r.tx.Bucket(bucketOf(c)).Get(r.buf) != nil {
			return c
		}
	}
	return 0
}

// pages puts the portals of a Leistung, or of its Spezialisierung.
func (r *rows) pages(leistung, id xzufi.ID, areas []xzufi.Area, portals []xzufi.Link) error {
	if len(portals) == 0 {
		return nil
	}
	e := encoder{b: r.val[:0]}
	for _, a := range areas {
		e.b = e.b[:0]
		e.text(string(a))
		e.periods(nil)
		if err := r.put(leistung, a, kindPage, id, "", xzufi.ID{}, e.b); err != nil {
			return err
		}
	}
	r.val = e.b
	return nil
}

func (r *rows) put(leistung xzufi.ID, area xzufi.Area, kind byte, parent xzufi.ID, role string, z xzufi.ID, value []byte) error {
	b := append(appendKey(r.buf[:0], leistung), 0)
	b = append(append(b, padded(area)...), kind, 0)
	b = append(appendKey(b, parent), 0)
	b = append(append(b, role...), 0)
	r.buf = appendKey(b, z)
	return r.sorter.add(r.buf, value)
}

// padded brings the spellings of one territory together: 01001 and 010010000000. It is no key of an area.
func padded(a xzufi.Area) string {
	const zeros = "000000000000"
	s := strings.ReplaceAll(strings.TrimSpace(string(a)), "\x00", "")
	if len(s) < len(zeros) {
		s += zeros[len(s):]
	}
	return s
}

func idOf(key string) (id xzufi.ID) {
	id.AgencyID, key, _ = strings.Cut(key, "\x00")
	id.SchemeID, id.Text, _ = strings.Cut(key, "\x00")
	return id
}

// record takes what was put, in order.
func (r *rows) record(key string, value []byte) error {
	var f [11]string
	for i := range f {
		f[i], key, _ = strings.Cut(key, "\x00")
	}
	leistung := xzufi.ID{AgencyID: f[0], SchemeID: f[1], Text: f[2]}
	place, kind := f[3][:len(f[3])-1], f[3][len(f[3])-1]
	parent, role, z := xzufi.ID{AgencyID: f[4], SchemeID: f[5], Text: f[6]}, f[7], xzufi.ID{AgencyID: f[8], SchemeID: f[9], Text: f[10]}
	d := decoder{b: value}
	area, validity := d.text(), d.periods()
	if err := d.err(); err != nil {
		return err
	}
	if leistung != r.about.id || place != r.place {
		if err := r.endGroup(); err != nil {
			return err
		}
		if leistung != r.about.id {
			about, err := r.describe(leistung)
			if err != nil {
				return err
			}
			r.about = about
		}
		r.place, r.area = place, area
	}
	switch {
	case kind == kindPage:
		return r.page(parent, area)
	case !r.about.found:
		r.counts.Waiting++
		return nil
	case kind == kindAuthority:
		return r.authority(parent, role, z, validity)
	}
	return r.service(parent, role, z, area, validity)
}

// endGroup gives the pages of a Leistung that says no areas: those of the authorities are its.
func (r *rows) endGroup() error {
	about := &r.about
	defer func() { r.authorities = r.authorities[:0] }()
	if !about.found || len(about.areas) > 0 || len(r.authorities) == 0 {
		return nil
	}
	return r.portals(about, r.area)
}

// describe finds a Leistung, or a Spezialisierung with its Leistung.
func (r *rows) describe(id xzufi.ID) (description, error) {
	r.buf = appendKey(r.buf[:0], id)
	if v := r.tx.Bucket(bucketOf(xzufi.ClassLeistung)).Get(r.buf); v != nil {
		d := decoder{b: v, agency: id.AgencyID}
		o := d.leistung(id)
		return description{
			id: id, base: id, found: true, keys: distinct(o.Keys), names: o.Names, portals: o.Portals, areas: o.Areas, validity: [2][]xzufi.Period{o.Validity}, publisher: o.Publisher,
		}, d.err()
	}
	v := r.tx.Bucket(bucketOf(xzufi.ClassSpezialisierung)).Get(r.buf)
	if v == nil {
		return description{id: id}, nil
	}
	d := decoder{b: v, agency: id.AgencyID}
	o := d.specialised(id)
	if err := d.err(); err != nil {
		return description{}, err
	}
	r.buf = appendKey(r.buf[:0], o.Leistung)
	v = r.tx.Bucket(bucketOf(xzufi.ClassLeistung)).Get(r.buf)
	if v == nil {
		return description{id: id}, nil
	}
	d = decoder{b: v, agency: o.Leistung.AgencyID}
	of := d.leistung(o.Leistung)
	names := o.Names
	if len(names) == 0 {
		names = of.Names
	}
	return description{
		id: id, base: of.ID, found: true, keys: distinct(of.Keys), names: names, portals: o.Portals, areas: o.Areas,
		validity: [2][]xzufi.Period{o.Validity, of.Validity}, publisher: o.Publisher, specialised: true,
	}, d.err()
}

func distinct(keys []registry.Leistung) []registry.Leistung {
	slices.SortFunc(keys, registry.Leistung.Compare)
	return slices.Compact(keys)
}

// authority notes who is competent in the group.
func (r *rows) authority(id xzufi.ID, role string, z xzufi.ID, validity []xzufi.Period) error {
	if len(r.authorities) > maxAuthorities {
		return nil
	}
	r.buf = appendKey(r.buf[:0], id)
	v := r.tx.Bucket(bucketOf(xzufi.ClassOrganisationseinheit)).Get(r.buf)
	if v == nil {
		r.counts.Waiting++
		return nil
	}
	d := decoder{b: v, agency: id.AgencyID}
	d.texts()
	d.links()
	both := common(d.periods(), validity)
	if d.bad {
		return errDecode
	}
	a := authority{contextID(id, "OE"), role, named("Organisationseinheit", id) + maybe("Zustaendigkeit", z), both}
	if n := len(r.authorities); n > 0 && r.authorities[n-1].oe == a.oe && r.authorities[n-1].role == role && slices.EqualFunc(r.authorities[n-1].validity, both, equal) {
		return nil // said twice
	}
	r.authorities = append(r.authorities, a)
	return nil
}

// service gives the rows of an Onlinedienst.
func (r *rows) service(id xzufi.ID, role string, z xzufi.ID, area string, validity []xzufi.Period) error {
	r.buf = appendKey(r.buf[:0], id)
	v := r.tx.Bucket(bucketOf(xzufi.ClassOnlinedienst)).Get(r.buf)
	if v == nil {
		r.counts.Waiting++
		return nil
	}
	d := decoder{b: v, agency: id.AgencyID}
	o := d.service(id)
	if err := d.err(); err != nil {
		return err
	}
	links := slices.DeleteFunc(o.Links, func(l xzufi.Link) bool { return l.Type != "" && l.Type != serviceLink })
	if len(links) == 0 {
		r.counts.NoURL++
		return nil
	}
	return r.offer(&r.about, &target{
		links: links, names: o.Names, validity: common(r.about.validity[0], r.about.validity[1], o.Validity, validity),
		row: row{
			area: area, role: role, od: contextID(id, "OD"), from: r.about.String() + ", " + named("Onlinedienst", id), with: strings.TrimPrefix(maybe("Zustaendigkeit", z), ", "),
		},
	})
}

// page gives the rows of the portals of the group's Leistung, or of a Spezialisierung of it.
func (r *rows) page(id xzufi.ID, area string) error {
	about := r.about
	if id != r.about.id {
		var err error
		if about, err = r.describe(id); err != nil {
			return err
		}
	}
	if !about.found {
		r.counts.Waiting++
		return nil
	}
	return r.portals(&about, area)
}

func (r *rows) portals(about *description, area string) error {
	if len(about.portals) == 0 {
		return nil
	}
	return r.offer(about, &target{
		links: about.portals, names: about.names, validity: common(about.validity[0], about.validity[1]), page: true, row: row{area: area, from: about.String()},
	})
}

// target is what a group's rows lead to.
type target struct {
	row
	links    []xzufi.Link
	names    []xzufi.Text
	validity []xzufi.Period
	page     bool
}

// offer gives a row for each key, time, authority and language of a target. Languages come one after another: they are one
// target.
func (r *rows) offer(about *description, t *target) error {
	switch {
	case len(about.keys) == 0:
		r.counts.NoKey++
		return nil
	case len(t.validity) == 0:
		r.counts.Over++
		return nil
	}
	t.lb, t.specialised = contextID(about.base, "LB"), about.specialised
	for _, key := range about.keys {
		t.leistung = key.String()
		for _, p := range t.validity {
			if err := r.authorised(about, t, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// authorised gives the rows of a time: with each authority while it is competent, and without while none is.
func (r *rows) authorised(about *description, t *target, p xzufi.Period) error {
	alone, with := t.role, t.with
	defer func() { t.oe, t.role, t.with = "", alone, with }()
	left := []xzufi.Period{p}
	if len(r.authorities) <= maxAuthorities {
		for i := range r.authorities {
			a := &r.authorities[i]
			left = without(left, a.validity)
			t.oe, t.role, t.with = a.oe, alone, strings.TrimPrefix(with+", "+a.with, ", ")
			if alone == "" || alone == "01" {
				t.role = a.role
			}
			for _, q := range a.validity {
				if both, ok := overlap(p, q); ok {
					if err := r.linked(about, t, both); err != nil {
						return err
					}
				}
			}
		}
	}
	t.oe, t.role, t.with = "", alone, with
	for _, q := range left {
		if err := r.linked(about, t, q); err != nil {
			return err
		}
	}
	return nil
}

// linked gives the rows of each link.
func (r *rows) linked(about *description, t *target, p xzufi.Period) error {
	for i := range t.links {
		l := &t.links[i]
		for _, q := range common([]xzufi.Period{p}, l.Validity) {
			out := t.row
			out.lang, out.title = l.Lang, titleOf(l, t.names, about.names)
			out.begin, out.end = timeText(q.Begin), timeText(q.End)
			if t.page {
				out.page = l.URL
			} else {
				out.url = l.URL
			}
			if r.counts.Rows++; r.counts.Rows > r.most {
				return &source.Refusal{Cause: source.CauseOversized, Text: fmt.Sprintf("the objects make more than %d rows; the last is of %s", r.most, about)}
			}
			if err := r.give(&out); err != nil {
				return err
			}
		}
	}
	return nil
}

// titleOf is what a link is called: by its object in its language, by itself, by the Leistung.
func titleOf(l *xzufi.Link, lists ...[]xzufi.Text) string {
	for _, names := range lists {
		for _, n := range names {
			if language(n.Lang) == language(l.Lang) && n.Text != "" {
				return n.Text
			}
		}
	}
	if l.Title != "" {
		return l.Title
	}
	for _, names := range lists {
		for _, n := range names {
			if n.Text != "" {
				return n.Text
			}
		}
	}
	return ""
}

func language(l string) string {
	if l == "" {
		return "de"
	}
	return l
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// contextID is an identity as portals know it, L100012.OE.9029660: system, kind and number.
func contextID(id xzufi.ID, kind string) string {
	prefix := id.AgencyID + "." + kind + "."
	if id.AgencyID == "" || strings.HasPrefix(id.Text, prefix) {
		return id.Text
	}
	return prefix + id.Text
}

func named(class string, id xzufi.ID) string { return class + " " + id.String() }

func maybe(class string, id xzufi.ID) string {
	if id.IsZero() {
		return ""
	}
	return ", " + named(class, id)
}

// String names the objects.
func (d *description) String() string {
	out := named("Leistung", d.base)
	if d.specialised {
		out += ", " + named("Spezialisierung", d.id)
	}
	if !d.publisher.IsZero() {
		out += fmt.Sprintf(" (herausgeber %s)", d.publisher)
	}
	return out
}
