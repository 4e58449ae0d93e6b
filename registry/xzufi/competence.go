// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// readTransfer reads a zustaendigkeitTransferObjekt. Each Zustaendigkeit in it is an object of its own.
func (d *decoder) readTransfer(origin registry.Origin) {
	var parent ID
	d.nested = d.nested[:0]
	d.reason = ""
	found := 0
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "uebergeordnetesObjektID":
			d.id(&parent, "uebergeordnetesObjektID")
		case "zustaendigkeit":
			found++
			d.competence(0, true)
		default:
			d.skip()
		}
	}
	if found == 0 {
		d.wrong(nil, "a zustaendigkeitTransferObjekt has no zustaendigkeit")
	}
	if parent.IsZero() {
		d.wrong(nil, "a zustaendigkeitTransferObjekt has no uebergeordnetesObjektID")
	}
	reason := d.reason
	for i := range d.nested {
		z := &d.nested[i]
		z.Parent = parent
		if z.Of == 0 {
			z.Of = competent(parent.SchemeID)
		}
		d.reason = reason
		d.finish(origin, z)
	}
	if len(d.nested) == 0 && found == 0 {
		d.settle(origin, ClassZustaendigkeit, ID{}, false)
	}
}

// competence reads a zustaendigkeit into nested, or puts it aside without harm to the object that it is in.
func (d *decoder) competence(of Class, needsID bool) {
	origin := d.at(d.tag)
	found, reason, place := d.found, d.reason, d.place
	d.reason = ""
	list, z := next(d.nested)
	*z = Zustaendigkeit{Of: of, Areas: z.Areas[:0], Validity: z.Validity[:0]}
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "id":
			d.id(&z.ID, "id")
		case "leistungID":
			d.id(&z.Leistung, "leistungID")
		case "gebietID":
			z.Areas = d.area(z.Areas)
		case "rolle":
			z.Role = d.code()
		case "gueltigkeit":
			z.Validity = d.period(z.Validity)
		default:
			d.skip()
		}
	}
	if of == 0 {
		z.Of = competent(strings.TrimPrefix(z.ID.SchemeID, "Zustaendigkeit"))
	}
	if needsID && z.ID.IsZero() {
		d.wrong(nil, "it has no id")
	}
	if z.Leistung.IsZero() {
		d.wrong(nil, "it has no leistungID")
	}
	if d.room(len(d.nested), maxNested, "zustaendigkeit") && d.reason == "" {
		d.nested = list
	} else {
		d.settle(origin, ClassZustaendigkeit, z.ID, false)
	}
	d.found, d.reason, d.place = found, reason, place
}

// competent is the class of the objects that a scheme's name is about.
func competent(scheme string) Class {
	for _, c := range [...]Class{ClassOrganisationseinheit, ClassOnlinedienst, ClassFormular} {
		if scheme == c.String() {
			return c
		}
	}
	return 0
}
