// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"strconv"
	"strings"
	"time"
)

// Kind is what an entry leads to (R8).
type Kind uint8

const (
	// Service is an Onlinedienst: a form that can be filled in.
	Service Kind = iota
	// Page is a source portal's text about the Leistung.
	Page
)

// String is the word of files and answers.
func (k Kind) String() string {
	if k == Page {
		return "page"
	}
	return "service"
}

// Origin is where a fact was read, so that a person can find it again.
type Origin struct {
	Source string // name of a source, "" for an operator's file
	File   string
	Line   int32 // from 1
	Col    int32 // from 1; 0 if it means nothing, as in rows
}

// String is "pvog-sample:30" for a row of a source, "routes.d/06-hessen.yaml:13:5" for an operator's file.
func (o Origin) String() string {
	var b strings.Builder
	if o.Source != "" {
		b.WriteString(o.Source)
	} else {
		b.WriteString(o.File)
	}
	for _, n := range [2]int32{o.Line, o.Col} {
		if n > 0 {
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(int(n)))
		}
	}
	return b.String()
}

// objectsPrefix begins the File of what stands in no line of a file, because it was made of objects: it names those.
const objectsPrefix = "xzufi:"

// MadeOf is the File of a row that was made of objects.
func MadeOf(objects string) string { return objectsPrefix + objects }

// Objects names the objects that a row was made of, "" if it stands in a file.
func (o Origin) Objects() string {
	objects, _ := strings.CutPrefix(o.File, objectsPrefix)
	if objects == o.File {
		return ""
	}
	return objects
}

// Place in the file itself, "routes.csv:30": for messages about a row.
func (o Origin) InFile() string {
	p := o
	if p.File != "" {
		p.Source = ""
	}
	return p.String()
}

// LangURL is a further URL of the same target in another language (R16).
type LangURL struct {
	Lang string // "en"
	URL  string
}

// Entry is one row of the registry: this Leistung in this area is served there.
//
// Entries are data: no field is checked here. Rows of sources come checked from registry/source, operators' entries
// from config.
type Entry struct {
	Leistung Leistung
	Area     AreaID // native: the area of the key as written (R3 applied, R4 not)
	AreaKey  string // the key as written, "01001" where Area is 010010000000; "" = the area's own
	Kind     Kind
	URL      string    // a registry URL, sent byte for byte, or a template of ours; "" if Backend and Path say it
	Template bool      // URL is a template (CONTRACT 13)
	Others   []LangURL // the same target in other languages
	Backend  string    // named by an operator; "" = the backend that lists the URL's host (R16)
	Path     string    // a template, with Backend
	Title    string
	Lang     string // of URL and Title; "" = de

	Begin, End time.Time // live in Begin ≤ t < End; zero = open (R7)
	Inactive   bool      // aktiv = nein

	Role        string // of the organisation unit; "" = 01
	Specialised bool   // Spezialisierung
	Priority    int    // higher wins, last of all
	OE, LB, OD  string // ids of organisation unit, Leistungsbeschreibung, Onlinedienst: opaque

	Source  int // place in the order of trust, 0 first (R10)
	Origin  Origin
	Refused string // not empty: the target breaks the URL policy, and why; the entry blocks (R7)
}

// Offer is an EfA service that a Land has put on the Marktplatz. The backend that a live one names is closed (R9).
type Offer struct {
	Name       string
	State      State
	Backend    string
	Provider   Provider
	Contract   string // of the provider with whom it offers through: the Einstellungsvertrag
	PriceModel string // reference to how it is paid
	Begin, End time.Time
	Leistungen map[Leistung]Template
	Successor  string // name of the offer that replaces this one
	Origin     Origin
}

// Provider is who runs an offer. Those who reuse it need not contract with the provider but with whom it offers through.
type Provider struct {
	Area AreaID
	Name string
	Via  string // "fit-store", …
}

// Adoption is the reuse of an offer by areas (R9).
type Adoption struct {
	Offer      string
	State      State
	Contract   string // the Nachnutzungsvertrag
	Areas      []AdoptedArea
	Without    []AreaID   // taken out again
	Leistungen []Leistung // empty = all of the offer
	Begin, End time.Time
	Origin     Origin
}

// AdoptedArea is one area of an adoption with the organisation unit that answers there.
type AdoptedArea struct {
	Area   AreaID
	Key    string // as written, as in Entry.AreaKey
	OE     string // oe_id; "" if the service needs none
	Origin Origin // of this area's line
}

// Fault is a row that could not be used. It never hides another row.
type Fault struct {
	Origin Origin
	Value  string // what was wrong, at most 64 bytes
	Reason string
}

// String is "routes.csv:30: reason".
func (f Fault) String() string { return f.Origin.InFile() + ": " + f.Reason }
