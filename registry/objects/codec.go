// SPDX-License-Identifier: EUPL-1.2

package objects

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/xzufi"
)

// format is raised whenever an older program could not read what a newer one writes.
const format = 1

// appendKey is the key of an identity: its texts, of which none has a NUL, between NULs. The editorial system is first: all
// that is one system's lies together.
func appendKey(b []byte, id xzufi.ID) []byte {
	b = append(append(b, id.AgencyID...), 0)
	b = append(append(b, id.SchemeID...), 0)
	return append(b, id.Text...)
}

// encoder writes objects in their one form: equal objects have equal bytes.
type encoder struct {
	b      []byte
	agency string // of the object: links mostly lead to its own system
}

func (e *encoder) num(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

func (e *encoder) text(s string) {
	e.num(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) id(id xzufi.ID) {
	if id.AgencyID == e.agency {
		e.num(0)
	} else {
		e.num(uint64(len(id.AgencyID)) + 1)
		e.b = append(e.b, id.AgencyID...)
	}
	e.text(id.SchemeID)
	e.text(id.Text)
}

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.num(0)
		return
	}
	e.num(uint64(t.Nanosecond()) + 1)
	e.b = binary.AppendVarint(e.b, t.Unix())
}

func (e *encoder) texts(list []xzufi.Text) {
	e.num(uint64(len(list)))
	for _, t := range list {
		e.text(t.Lang)
		e.text(t.Text)
	}
}

func (e *encoder) words(list []string) {
	e.num(uint64(len(list)))
	for _, s := range list {
		e.text(s)
	}
}

func (e *encoder) areas(list []xzufi.Area) {
	e.num(uint64(len(list)))
	for _, a := range list {
		e.text(string(a))
	}
}

func (e *encoder) periods(list []xzufi.Period) {
	e.num(uint64(len(list)))
	for _, p := range list {
		e.time(p.Begin)
		e.time(p.End)
	}
}

func (e *encoder) links(list []xzufi.Link) {
	e.num(uint64(len(list)))
	for i := range list {
		l := &list[i]
		e.text(l.Type)
		e.text(l.Lang)
		e.text(l.URL)
		e.text(l.Title)
		e.periods(l.Validity)
	}
}

func (e *encoder) competences(list []xzufi.Zustaendigkeit) {
	e.num(uint64(len(list)))
	for i := range list {
		e.id(list[i].ID)
		e.competence(&list[i])
	}
}

func (e *encoder) competence(z *xzufi.Zustaendigkeit) {
	e.num(uint64(z.Of))
	e.id(z.Parent)
	e.id(z.Leistung)
	e.areas(z.Areas)
	e.text(z.Role)
	e.periods(z.Validity)
}

// encode appends what an object says beside its class and identity. Text modules and what else no entry is made of are
// not kept.
func encode(b []byte, o xzufi.Object) ([]byte, error) {
	e := encoder{b: b, agency: o.Identity().AgencyID}
	switch o := o.(type) {
	case *xzufi.Leistung:
		e.num(uint64(len(o.Keys)))
		for _, k := range o.Keys {
			e.text(k.String())
		}
		e.texts(o.Names)
		e.links(o.Portals)
		e.words(o.Types)
		e.areas(o.Areas)
		e.id(o.Publisher)
		e.periods(o.Validity)
	case *xzufi.Spezialisierung:
		e.id(o.Leistung)
		e.texts(o.Names)
		e.links(o.Portals)
		e.areas(o.Areas)
		e.id(o.Publisher)
		e.periods(o.Validity)
	case *xzufi.Onlinedienst:
		e.offer(o.Names, o.Links, o.Validity, o.Zustaendigkeiten)
	case *xzufi.Formular:
		e.offer(o.Names, o.Links, o.Validity, o.Zustaendigkeiten)
	case *xzufi.Organisationseinheit:
		e.offer(o.Names, nil, o.Validity, o.Zustaendigkeiten)
	case *xzufi.Zustaendigkeit:
		e.competence(o)
	default:
		return nil, fmt.Errorf("a %T is nothing that can be kept", o)
	}
	return e.b, nil
}

func (e *encoder) offer(names []xzufi.Text, links []xzufi.Link, validity []xzufi.Period, z []xzufi.Zustaendigkeit) {
	e.texts(names)
	e.links(links)
	e.periods(validity)
	e.competences(z)
}

// errDecode says that a value of the store is not one that was written.
var errDecode = errors.New("the store of objects is damaged; remove its folder and import a whole delivery")

// decoder reads what encoder writes. After a fault it gives nothing more, and bad is set.
type decoder struct {
	b      []byte
	agency string
	bad    bool
}

func (d *decoder) num() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[size:]
	return n
}

// count is the length of a list: no list has more members than there are bytes.
func (d *decoder) count() int {
	n := d.num()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return 0
	}
	return int(n)
}

func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) text() string { return d.take(d.num()) }

func (d *decoder) id() xzufi.ID {
	id := xzufi.ID{AgencyID: d.agency}
	if n := d.num(); n > 0 {
		id.AgencyID = d.take(n - 1)
	}
	id.SchemeID = d.text()
	id.Text = d.text()
	return id
}

func (d *decoder) time() time.Time {
	nano := d.num()
	if nano == 0 {
		return time.Time{}
	}
	sec, size := binary.Varint(d.b)
	if size <= 0 {
		d.b, d.bad = nil, true
		return time.Time{}
	}
	d.b = d.b[size:]
	return time.Unix(sec, int64(nano-1)).UTC()
}

// list reads a list; nil if it is empty.
func list[T any](d *decoder, one func() T) []T {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := make([]T, 0, n)
	for range n {
		out = append(out, one())
	}
	return out
}

func (d *decoder) texts() []xzufi.Text {
	return list(d, func() xzufi.Text { return xzufi.Text{Lang: d.text(), Text: d.text()} })
}

func (d *decoder) areas() []xzufi.Area {
	return list(d, func() xzufi.Area { return xzufi.Area(d.text()) })
}

func (d *decoder) periods() []xzufi.Period {
	return list(d, func() xzufi.Period { return xzufi.Period{Begin: d.time(), End: d.time()} })
}

func (d *decoder) links() []xzufi.Link {
	return list(d, func() xzufi.Link {
		return xzufi.Link{Type: d.text(), Lang: d.text(), URL: d.text(), Title: d.text(), Validity: d.periods()}
	})
}

func (d *decoder) competences() []xzufi.Zustaendigkeit {
	return list(d, func() xzufi.Zustaendigkeit {
		id := d.id()
		return d.competence(id)
	})
}

func (d *decoder) competence(id xzufi.ID) xzufi.Zustaendigkeit {
	return xzufi.Zustaendigkeit{
		ID: id, Of: xzufi.Class(d.num()), Parent: d.id(), Leistung: d.id(), Areas: d.areas(), Role: d.text(), Validity: d.periods(),
	}
}

func (d *decoder) leistung(id xzufi.ID) *xzufi.Leistung {
	keys := list(d, func() registry.Leistung {
		k, err := registry.ParseLeistung([]byte(d.text()))
		d.bad = d.bad || err != nil
		return k
	})
	return &xzufi.Leistung{
		ID: id, Keys: keys, Names: d.texts(), Portals: d.links(), Types: list(d, d.text), Areas: d.areas(), Publisher: d.id(), Validity: d.periods(),
	}
}

func (d *decoder) specialised(id xzufi.ID) *xzufi.Spezialisierung {
	return &xzufi.Spezialisierung{
		ID: id, Leistung: d.id(), Names: d.texts(), Portals: d.links(), Areas: d.areas(), Publisher: d.id(), Validity: d.periods(),
	}
}

// service reads an Onlinedienst, and also an Organisationseinheit and a Formular, which are written alike.
func (d *decoder) service(id xzufi.ID) *xzufi.Onlinedienst {
	return &xzufi.Onlinedienst{ID: id, Names: d.texts(), Links: d.links(), Validity: d.periods(), Zustaendigkeiten: d.competences()}
}

// err is for the end of an object.
func (d *decoder) err() error {
	if d.bad || len(d.b) > 0 {
		return errDecode
	}
	return nil
}
