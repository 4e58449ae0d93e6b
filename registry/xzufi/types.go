// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// ID is an Identifikator. Two are the same only if all three texts are: editorial systems number their objects
// independently of one another. The texts are opaque. They hold at most [MaxID] bytes each and no control characters,
// so a NUL can separate them in a key.
type ID struct {
	AgencyID string // schemeAgencyID, "L100012"; may be empty
	SchemeID string // schemeID, "Leistung"; may be empty
	Text     string // "8939019"; empty only in the zero value
}

// IsZero says whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders by agency, scheme, text.
func (id ID) Compare(o ID) int {
	if c := strings.Compare(id.AgencyID, o.AgencyID); c != 0 {
		return c
	}
	if c := strings.Compare(id.SchemeID, o.SchemeID); c != 0 {
		return c
	}
	return strings.Compare(id.Text, o.Text)
}

// String is for people: "L100012/Leistung/8939019".
func (id ID) String() string { return id.AgencyID + "/" + id.SchemeID + "/" + id.Text }

// Class is the kind of an object. An object's identity is its class and its [ID].
type Class uint8

// The classes. Their numbers are kept on disk.
const (
	ClassLeistung             Class = 1
	ClassSpezialisierung      Class = 2
	ClassOnlinedienst         Class = 3
	ClassOrganisationseinheit Class = 4
	ClassZustaendigkeit       Class = 5
	ClassFormular             Class = 6
)

// Classes is the closed list.
func Classes() []Class {
	return []Class{
		ClassLeistung, ClassSpezialisierung, ClassOnlinedienst, ClassOrganisationseinheit, ClassZustaendigkeit, ClassFormular,
	}
}

// String is the word that a loesche says in klasse; "" for no class.
func (c Class) String() string {
	switch c {
	case ClassLeistung:
		return "Leistung"
	case ClassSpezialisierung:
		return "LeistungSpezialisierung"
	case ClassOnlinedienst:
		return "Onlinedienst"
	case ClassOrganisationseinheit:
		return "Organisationseinheit"
	case ClassZustaendigkeit:
		return "Zustaendigkeit"
	case ClassFormular:
		return "Formular"
	default:
		return ""
	}
}

// Object is what a schreibe or a loesche carries: *[Leistung], *[Spezialisierung], *[Onlinedienst],
// *[Organisationseinheit], *[Zustaendigkeit], *[Formular] or *[Delete].
type Object interface {
	Class() Class
	Identity() ID
	object()
}

// Text is a text in one language.
type Text struct {
	Lang string // "de", "en"; "" if the message does not say
	Text string
}

// Period is a Zeitraum; live in Begin ≤ t < End, zero = open (R7).
type Period struct {
	Begin, End time.Time
}

// Parameter is a dynamic parameter of a link: the portal expects a value of the type (001 to 009, 100) under the name.
type Parameter struct {
	Type string
	Name string
}

// Link leads to an Onlinedienst, a Formular or a page of a source portal.
type Link struct {
	Type       string // code of onlinedienstlinktyp, "01"; "" elsewhere
	Lang       string // "de", "en"; "" if the message does not say
	URL        string // as written, not checked
	Title      string
	Parameters []Parameter
	Validity   []Period
}

// Area is a gebietID as written: 2, 3, 5, 8, 9 or 12 digits. Whether there is such an area is the business of
// [registry.Areas].
type Area string

// Leistung is a description of a Leistung by an editorial system.
type Leistung struct {
	ID        ID
	Keys      []registry.Leistung // referenzLeiKa, referenzLeistungsschluessel
	Names     []Text              // text modules 02 and 03 (Leistungsbezeichnung I and II), in order of the message
	Portals   []Link              // modulUrsprungsportal
	Types     []string            // codes of typisierung, "4a"
	Areas     []Area              // gueltigkeitGebietID
	Publisher ID                  // herausgeber; zero if the message does not say
	Validity  []Period
}

// Spezialisierung is a variant of a Leistung's texts for some areas.
type Spezialisierung struct {
	ID        ID
	Leistung  ID
	Names     []Text
	Portals   []Link
	Areas     []Area
	Publisher ID
	Validity  []Period
}

// Onlinedienst is a form that can be filled in, at one URL for each type of link and language.
type Onlinedienst struct {
	ID               ID
	Names            []Text
	Links            []Link
	Validity         []Period
	Zustaendigkeiten []Zustaendigkeit // the older form; those of a transfer object come by themselves
}

// Organisationseinheit is an authority or a part of one.
type Organisationseinheit struct {
	ID               ID
	Names            []Text
	Validity         []Period
	Zustaendigkeiten []Zustaendigkeit // the older form; those of a transfer object come by themselves
}

// Formular is a form to be printed or sent.
type Formular struct {
	ID               ID
	Names            []Text
	Links            []Link
	Validity         []Period
	Zustaendigkeiten []Zustaendigkeit // the older form; those of a transfer object come by themselves
}

// Zustaendigkeit says that an object is competent for a Leistung in areas. It lives apart from both ends and may come
// before them, and go after them.
type Zustaendigkeit struct {
	ID       ID    // may be zero inside another object, never in a transfer object
	Of       Class // of the competent object: Organisationseinheit, Onlinedienst or Formular; 0 if nothing says so
	Parent   ID    // the competent object, uebergeordnetesObjektID
	Leistung ID
	Areas    []Area
	Role     string // code of rolle, "01"; "" if the message does not say
	Validity []Period
}

// Delete is a loesche. What it names need not exist.
type Delete struct {
	Of Class
	ID ID
}

// Class is that of the object.
func (*Leistung) Class() Class { return ClassLeistung }

// Class is that of the object.
func (*Spezialisierung) Class() Class { return ClassSpezialisierung }

// Class is that of the object.
func (*Onlinedienst) Class() Class { return ClassOnlinedienst }

// Class is that of the object.
func (*Organisationseinheit) Class() Class { return ClassOrganisationseinheit }

// Class is that of the object.
func (*Formular) Class() Class { return ClassFormular }

// Class is that of the object.
func (*Zustaendigkeit) Class() Class { return ClassZustaendigkeit }

// Class is that of the object to be deleted.
func (d *Delete) Class() Class { return d.Of }

// Identity is the object's id.
func (o *Leistung) Identity() ID { return o.ID }

// Identity is the object's id.
func (o *Spezialisierung) Identity() ID { return o.ID }

// Identity is the object's id.
func (o *Onlinedienst) Identity() ID { return o.ID }

// Identity is the object's id.
func (o *Organisationseinheit) Identity() ID { return o.ID }

// Identity is the object's id.
func (o *Formular) Identity() ID { return o.ID }

// Identity is the object's id.
func (o *Zustaendigkeit) Identity() ID { return o.ID }

// Identity is the id of the object to be deleted.
func (d *Delete) Identity() ID { return d.ID }

func (*Leistung) object()             {}
func (*Spezialisierung) object()      {}
func (*Onlinedienst) object()         {}
func (*Organisationseinheit) object() {}
func (*Formular) object()             {}
func (*Zustaendigkeit) object()       {}
func (*Delete) object()               {}

// Message is what a message says about itself.
type Message struct {
	Version           string    // of XZuFi as written, "2.2", "2.2.0"
	Product, Vendor   string    // produktbezeichnung, produkthersteller
	UUID              string    // nachrichtUUID
	Created           time.Time // erstelltDatumZeit; zero if it cannot be read
	Sender, Recipient string
	Transaction       string // transaktionID
	Position          string // transaktionPosition
	Counts
}

// Counts are what became of the objects of a message.
type Counts struct {
	Written     int // objects of schreibe emitted
	Deleted     int // loesche emitted
	Quarantined int // objects with a fault
	Unknown     int // objects of a class that is not in [Classes]
}

// Fault is an object that could not be used. It costs only itself.
type Fault struct {
	registry.Fault       // place, value and reason; the reason names the object
	Class          Class // 0 if even that is not known
	ID             ID    // zero if that is what is wrong
	Delete         bool  // it was a loesche
}
