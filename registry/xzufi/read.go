// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

// Options of one message.
type Options struct {
	Source string // its name, for provenance: "pvog"
	File   string // named in messages
	Limits Limits
	// Fault takes the objects that are put aside. An error ends the reading. nil: they are only counted.
	Fault func(Fault) error

	window int // bytes read at a time, for tests; 0 = the constant
}

// Emit takes an object and the line in which it begins. The object is valid during the call; its strings may be kept. An
// error ends the reading.
type Emit func(line int, o Object) error

// Read reads one message in bounded memory and emits its objects in their order. Errors are *[source.Refusal] for a
// message that cannot be used, the context's and those of the callbacks. What was emitted before an error is part of a
// message that must not be used.
//
// The root may have any name; it is known by xzufiVersion. Elements are known by their local names in the root's
// namespace, in one of an XÖV standard or in none; others are passed over, as are those that are xsi:nil.
func Read(ctx context.Context, r io.Reader, o Options, emit Emit) (Message, error) {
	d := decoder{scanner: newScanner(ctx, r, &o), emit: emit, fault: o.Fault}
	d.message()
	if d.err == nil {
		d.epilog()
	}
	return d.m, d.err
}

// decoder makes objects of elements.
type decoder struct {
	*scanner
	emit  Emit
	fault func(Fault) error
	m     Message
	texts texts
	times times

	// What is wrong with the object at hand; the first fault counts.
	found, reason string
	place         registry.Origin

	// The objects at hand; their lists are used again.
	leistung        Leistung
	spezialisierung Spezialisierung
	onlinedienst    Onlinedienst
	einheit         Organisationseinheit
	formular        Formular
	nested          []Zustaendigkeit
	modules         []Text
}

func (d *decoder) message() {
	if _, ok := d.child(noText); !ok {
		return
	}
	version := string(d.attr("xzufiVersion"))
	if !supported(version) {
		found := fmt.Sprintf("has xzufiVersion %q", clip([]byte(version)))
		if version == "" {
			found = "has no xzufiVersion"
		}
		d.broken(d.tag, "the root <%s> %s; want 2.1, 2.2 or 2.3", d.nameAt(0), found)
		return
	}
	d.m.Version, d.m.Product, d.m.Vendor = version, clip(d.attr("produktbezeichnung")), clip(d.attr("produkthersteller"))
	heads := 0
	for d.err == nil {
		name, ok := d.child(noText)
		if !ok {
			break
		}
		switch string(name) {
		case "nachrichtenkopf":
			if heads++; heads > 1 {
				d.broken(d.tag, "a second nachrichtenkopf; a message has one")
			}
			d.head()
		case "transaktionID":
			d.m.Transaction = d.word()
		case "transaktionPosition":
			d.m.Position = d.word()
		case "schreibe":
			d.write()
		case "loesche":
			d.delete()
		default:
			d.skip()
		}
	}
	if d.err == nil && heads == 0 {
		d.broken(d.pos, "the message has no nachrichtenkopf; it has one")
	}
}

// supported takes 2.1, 2.2, 2.3 and what is more precise.
func supported(version string) bool {
	for _, v := range [...]string{"2.1", "2.2", "2.3"} {
		if version == v || strings.HasPrefix(version, v+".") {
			return true
		}
	}
	return false
}

func (d *decoder) head() {
	for name, ok := d.child(noText); ok; name, ok = d.child(noText) {
		switch string(name) {
		case "nachrichtUUID":
			d.m.UUID = d.word()
		case "erstelltDatumZeit":
			d.m.Created, _ = parseTime(d.word(), false)
		case "empfaenger":
			d.m.Recipient = d.party()
		case "sender":
			d.m.Sender = d.party()
		default:
			d.skip()
		}
	}
}

// party names who sends or receives: the text of the element, or of the first of its children that has some.
func (d *decoder) party() (name string) {
	d.scanner.value, d.long = d.scanner.value[:0], false
	for {
		_, ok := d.child(keep)
		if !ok {
			break
		}
		if inner := d.party(); name == "" {
			name = inner
		}
		d.scanner.value = d.scanner.value[:0]
	}
	if name == "" {
		name = clip(bytes.TrimSpace(d.scanner.value))
	}
	return name
}

// objects that a schreibe can hold, for messages.
const objects = "leistung, spezialisierung, onlinedienst, organisationseinheit, zustaendigkeitTransferObjekt, formular"

// write reads a schreibe.
func (d *decoder) write() {
	began := d.at(d.tag)
	n := 0
	for name, ok := d.child(noText); ok; name, ok = d.child(noText) {
		if n++; n > 1 {
			d.broken(d.tag, "a schreibe holds a second object; it holds one of %s", objects)
			return
		}
		origin := d.at(d.tag)
		switch string(name) {
		case "leistung":
			d.readLeistung(origin)
		case "spezialisierung", "leistungSpezialisierung":
			d.readSpezialisierung(origin)
		case "onlinedienst":
			d.readOnlinedienst(origin)
		case "organisationseinheit":
			d.readEinheit(origin)
		case "zustaendigkeitTransferObjekt":
			d.readTransfer(origin)
		case "formular":
			d.readFormular(origin)
		default:
			d.m.Unknown++
			d.skip()
		}
	}
	if d.elements > keepAtMost {
		d.forget()
	}
	if d.err == nil && n == 0 {
		d.err = &source.Refusal{Cause: source.CauseSchema, Origin: began, Text: "a schreibe is empty; it holds one of " + objects}
	}
}

// delete reads a loesche.
func (d *decoder) delete() {
	origin := d.at(d.tag)
	class := d.attr("klasse")
	if len(class) == 0 {
		d.broken(d.tag, "a loesche has no klasse; want one of Leistung, LeistungSpezialisierung, Onlinedienst, Organisationseinheit, Zustaendigkeit, Formular")
		return
	}
	del := Delete{Of: classOf(class)}
	d.reason = ""
	for name, ok := d.child(noText); ok; name, ok = d.child(noText) {
		if string(name) == "id" {
			d.id(&del.ID, "id")
		} else {
			d.skip()
		}
	}
	switch {
	case d.err != nil:
	case del.Of == 0:
		d.m.Unknown++
	case d.settle(origin, del.Of, del.ID, true):
		d.m.Deleted++
		d.give(origin, &del)
	}
}

func classOf(word []byte) Class {
	for _, c := range Classes() {
		if string(word) == c.String() {
			return c
		}
	}
	if string(word) == "Spezialisierung" {
		return ClassSpezialisierung
	}
	return 0
}

// wrong notes what is wrong with the object at hand.
func (d *decoder) wrong(found []byte, format string, args ...any) {
	if d.reason == "" {
		d.place, d.found, d.reason = d.at(d.pos), clip(found), fmt.Sprintf(format, args...)
	}
}

// settle says whether the object at hand can be used, and puts it aside if not.
func (d *decoder) settle(origin registry.Origin, class Class, id ID, deleted bool) bool {
	if d.err != nil {
		return false
	}
	if d.reason == "" && id.IsZero() {
		d.place, d.found, d.reason = origin, "", "it has no id"
	}
	if d.reason == "" {
		return true
	}
	d.m.Quarantined++
	what := class.String()
	if !id.IsZero() {
		what += " " + id.String()
	}
	if d.fault != nil {
		f := Fault{Fault: registry.Fault{Origin: d.place, Value: d.found, Reason: what + ": " + d.reason}, Class: class, ID: id, Delete: deleted}
		d.err = d.fault(f)
	}
	d.reason = ""
	return false
}

// give emits an object.
func (d *decoder) give(origin registry.Origin, o Object) {
	if err := d.emit(int(origin.Line), o); err != nil {
		d.err = err
	}
}
