// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"github.com/pvgate/pvgate/registry"
)

func (d *decoder) readLeistung(origin registry.Origin) {
	o := &d.leistung
	*o = Leistung{
		Keys: o.Keys[:0], Names: o.Names[:0], Portals: o.Portals[:0], Types: o.Types[:0], Areas: o.Areas[:0], Validity: o.Validity[:0],
	}
	d.reason = ""
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "id":
			d.id(&o.ID, "id")
		case "referenzLeiKa", "referenzLeistungsschluessel":
			o.Keys = d.key(o.Keys)
		case "modulText":
			o.Names = d.module(o.Names)
		case "modulUrsprungsportal":
			o.Portals = d.link(o.Portals)
		case "typisierung":
			if t := d.code(); t != "" && d.room(len(o.Types), maxTexts, "types") {
				o.Types = append(o.Types, t)
			}
		case "gueltigkeitGebietID":
			o.Areas = d.area(o.Areas)
		case "herausgeber":
			d.publisher(&o.Publisher)
		case "gueltigkeit":
			o.Validity = d.period(o.Validity)
		default:
			d.skip()
		}
	}
	d.finish(origin, o)
}

func (d *decoder) readSpezialisierung(origin registry.Origin) {
	o := &d.spezialisierung
	*o = Spezialisierung{Names: o.Names[:0], Portals: o.Portals[:0], Areas: o.Areas[:0], Validity: o.Validity[:0]}
	d.reason = ""
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "id":
			d.id(&o.ID, "id")
		case "leistungID", "idLeistung":
			d.id(&o.Leistung, "leistungID")
		case "modulText":
			o.Names = d.module(o.Names)
		case "modulUrsprungsportal":
			o.Portals = d.link(o.Portals)
		case "gebietID", "gueltigkeitGebietID":
			o.Areas = d.area(o.Areas)
		case "herausgeber":
			d.publisher(&o.Publisher)
		case "gueltigkeit":
			o.Validity = d.period(o.Validity)
		default:
			d.skip()
		}
	}
	if o.Leistung.IsZero() {
		d.wrong(nil, "it has no leistungID")
	}
	d.finish(origin, o)
}

// finish emits the object at hand, or puts it aside.
func (d *decoder) finish(origin registry.Origin, o Object) {
	if d.settle(origin, o.Class(), o.Identity(), false) {
		d.m.Written++
		d.give(origin, o)
	}
}

// forget drops the lists that a large object made long.
func (d *decoder) forget() {
	d.leistung, d.spezialisierung, d.onlinedienst = Leistung{}, Spezialisierung{}, Onlinedienst{}
	d.einheit, d.formular, d.nested, d.modules = Organisationseinheit{}, Formular{}, nil, nil
}

// The text modules that name a Leistung: Leistungsbezeichnung and Leistungsbezeichnung II.
const moduleName, moduleName2 = "02", "03"

// module reads a modulText. Only the names of the Leistung are kept.
func (d *decoder) module(names []Text) []Text {
	code, known := "", false
	d.modules = d.modules[:0]
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch isName := !known || code == moduleName || code == moduleName2; {
		case string(name) == "leikaTextmodul":
			code, known = d.code(), true
		case string(name) == "inhalt" && isName && len(d.modules) < maxTexts:
			// Not name(): what is wrong with another module's text is not looked at.
			lang := string(d.attr("languageCode"))
			if text, long := d.text(); !long {
				d.modules = append(d.modules, Text{lang, oneLine(text)})
			}
		default:
			d.skip()
		}
	}
	if code != moduleName && code != moduleName2 {
		return names
	}
	for _, m := range d.modules {
		if m.Lang != "" && m.Lang != "de" && m.Lang != "en" {
			d.wrong([]byte(m.Lang), "languageCode %q; want de or en", clip([]byte(m.Lang)))
		}
		if m.Text != "" && d.room(len(names), maxTexts, "names") {
			names = append(names, m)
		}
	}
	return names
}

// publisher reads a herausgeber.
func (d *decoder) publisher(id *ID) {
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		if string(name) == "id" {
			d.id(id, "herausgeber")
		} else {
			d.skip()
		}
	}
}

func (d *decoder) readOnlinedienst(origin registry.Origin) {
	d.service(&d.onlinedienst, ClassOnlinedienst)
	d.finish(origin, &d.onlinedienst)
}

func (d *decoder) readFormular(origin registry.Origin) {
	d.service((*Onlinedienst)(&d.formular), ClassFormular)
	d.finish(origin, &d.formular)
}

// service reads an Onlinedienst, or a Formular, which has the same elements.
func (d *decoder) service(o *Onlinedienst, class Class) {
	*o = Onlinedienst{Names: o.Names[:0], Links: o.Links[:0], Validity: o.Validity[:0]}
	d.reason, d.nested = "", d.nested[:0]
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "id":
			d.id(&o.ID, "id")
		case "bezeichnung":
			o.Names = d.name(o.Names)
		case "link":
			o.Links = d.link(o.Links)
		case "zustaendigkeit":
			d.competence(class, false)
		case "gueltigkeit":
			o.Validity = d.period(o.Validity)
		default:
			d.skip()
		}
	}
	o.Zustaendigkeiten = d.settled(o.ID)
}

func (d *decoder) readEinheit(origin registry.Origin) {
	o := &d.einheit
	*o = Organisationseinheit{Names: o.Names[:0], Validity: o.Validity[:0]}
	d.reason, d.nested = "", d.nested[:0]
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "id":
			d.id(&o.ID, "id")
		case "name":
			o.Names = d.unitName(o.Names)
		case "zustaendigkeit":
			d.competence(ClassOrganisationseinheit, false)
		case "gueltigkeit":
			o.Validity = d.period(o.Validity)
		default:
			d.skip()
		}
	}
	o.Zustaendigkeiten = d.settled(o.ID)
	d.finish(origin, o)
}

// unitName reads the name of an Organisationseinheit: names in it, one for each language.
func (d *decoder) unitName(names []Text) []Text {
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		if string(name) == "name" {
			names = d.name(names)
		} else {
			d.skip()
		}
	}
	return names
}

// settled are the Zustaendigkeiten inside the object at hand, which is the competent one.
func (d *decoder) settled(parent ID) []Zustaendigkeit {
	for i := range d.nested {
		d.nested[i].Parent = parent
	}
	return d.nested
}
