// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"strings"
	"time"
)

// AreaID is the place of an area in one [Areas] table; 0 is the Bund. Ids ascend by (padded key, level), so an area and
// everything inside it are one contiguous range. An id means nothing in another table.
type AreaID uint32

// Bund is the id of the Bund in every table.
const Bund AreaID = 0

// Area is one territory under its canonical key (R3): a kreisfreie Stadt is one area at level Gemeinde, not also a
// Kreis and a Gemeindeverband.
type Area struct {
	ID       AreaID
	ARS      ARS
	Name     string // official, e.g. "Marburg, Universitätsstadt"
	Kind     string // e.g. "Landkreis", "Kreisfreie Stadt", "Gemeinde"
	Seat     string // of the administration, for Land, RB and Kreis
	Postcode string // of the seat, for Gemeinden; names no territory
	// Inhabitants of a Gemeinde as the Gemeindeverzeichnis counts them, 0 above; see [Areas.Inhabitants].
	Inhabitants int
	Parent      AreaID // the area above; the Bund is its own parent
	End         AreaID // everything inside is ID < x < End
	Added       bool   // made by an alias; the Gemeindeverzeichnis that was read lacks it
}

// Short is the name as people say it: "Marburg" for "Marburg, Universitätsstadt".
func (a Area) Short() string {
	name := a.Name
	if i := strings.IndexByte(name, ','); i > 0 {
		name = name[:i]
	}
	for _, prefix := range [...]string{"früher: ", "Direktionsbezirk ", "Reg.-Bez. ", "Statistische Region "} {
		name = strings.TrimPrefix(name, prefix)
	}
	return name
}

// Alias is a dated change of keys (R4): from On on, the keys in From mean the areas in To.
type Alias struct {
	From []string
	To   []string
	On   time.Time // 00:00 Europe/Berlin
	Name string    // of an area in To that the Gemeindeverzeichnis lacks; "" = that of From
}

// LocateOptions are the circumstances of a request.
type LocateOptions struct {
	// Direct is set for senders we do not know: five digits may be a postcode there (R2).
	Direct bool
}

// Form is how a key named its area.
type Form uint8

// The forms, in R2's order.
const (
	FormExact      Form = iota // the ARS of the area or of a level that is the same territory (R3)
	FormAGS                    // eight digits
	FormPadded                 // an upper area's key filled up with zeros
	FormRenumbered             // twelve digits with another Gemeindeverband; found by its AGS digits
)

// String is the word of explain's "given".
func (f Form) String() string {
	switch f {
	case FormAGS:
		return "ags"
	case FormPadded:
		return "padded"
	case FormRenumbered:
		return "renumbered"
	default:
		return "ars"
	}
}

// Place is the area that a key means at a time.
type Place struct {
	ID     AreaID
	Form   Form
	Moved  bool   // a dated change was applied (R4)
	Former AreaID // the area the key named before it, if Moved
}
