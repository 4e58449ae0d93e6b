// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"time"
)

// Areas is an immutable table of canonical areas; safe for concurrent use.
type Areas struct {
	areas []Area
}

// AreaRecord is one line of a Gemeindeverzeichnis, before R3 makes areas of them.
type AreaRecord struct {
	ARS                        ARS
	Name, Kind, Seat, Postcode string
}

// NewAreas builds a table from records in any order. It fails on duplicate keys and on a Gemeinde without a Land.
func NewAreas(records []AreaRecord) (*Areas, error) { panic("not yet") }

// EmbeddedAreas is the built-in table, without aliases (see [DefaultAliases]).
func EmbeddedAreas() (*Areas, error) { panic("not yet") }

// WithAliases gives a new table with dated changes applied (R4). Ids of the old table are not valid in the new one.
func (a *Areas) WithAliases(aliases []Alias) (*Areas, error) { panic("not yet") }

// Len is the number of areas, the Bund included.
func (a *Areas) Len() int { return len(a.areas) }

// Area by id.
func (a *Areas) Area(id AreaID) Area { return a.areas[id] }

// ARS of an area.
func (a *Areas) ARS(id AreaID) ARS { return a.areas[id].ARS }

// Parent is the next containing area; the Bund's is the Bund.
func (a *Areas) Parent(id AreaID) AreaID { panic("not yet") }

// Inside gives the range of areas strictly inside: first ≤ x < end. Retired and future areas are in it.
func (a *Areas) Inside(id AreaID) (first, end AreaID) { panic("not yet") }

// Contains says whether b is a or lies inside it.
func (a *Areas) Contains(outer, inner AreaID) bool { panic("not yet") }

// Chain appends the area itself, then each containing area upward, then the Bund (R3).
func (a *Areas) Chain(dst []AreaID, id AreaID) []AreaID { panic("not yet") }

// LandOf is 1 to 16, or 0 for the Bund.
func (a *Areas) LandOf(id AreaID) uint8 { panic("not yet") }

// Locate finds the area that a request's key means at a time (R2 to R4). It does not allocate unless it fails; errors
// are *[InvalidArea], *[UnknownArea] and *[SplitArea].
func (a *Areas) Locate(key string, at time.Time, o LocateOptions) (Place, error) { panic("not yet") }

// LocateBytes is [Areas.Locate] for bytes.
func (a *Areas) LocateBytes(key []byte, at time.Time, o LocateOptions) (Place, error) {
	panic("not yet")
}

// EntryArea is where a row with this key sits natively: R2 and R3 without a time and without the postcode rule. An old
// key keeps its own area even if the Gemeindeverzeichnis lacks it; routing asks [Areas.Formerly] when it looks things
// up. Errors are *[InvalidArea] and *[UnknownArea].
func (a *Areas) EntryArea(key string) (AreaID, error) { panic("not yet") }

// EntryAreas is [Areas.EntryArea] as a list of one.
func (a *Areas) EntryAreas(key string) ([]AreaID, error) { panic("not yet") }

// SameAs lists the other keys of the same territory (R3): "01001" and "010010000" for Flensburg.
func (a *Areas) SameAs(id AreaID) []ARS { panic("not yet") }

// Formerly lists the old areas whose keys mean id at that time (R4); nil for nearly every area. It does not allocate.
// The result must not be changed.
func (a *Areas) Formerly(id AreaID, at time.Time) []AreaID { panic("not yet") }

// Retired says whether the area's own key means something else at that time, or no longer anything: rows there answer
// only through [Areas.Formerly].
func (a *Areas) Retired(id AreaID, at time.Time) bool { panic("not yet") }

// Future says whether the area comes into being after that time.
func (a *Areas) Future(id AreaID, at time.Time) bool { panic("not yet") }

// HasChanges says whether any alias was applied; without one Formerly, Retired and Future need not be asked.
func (a *Areas) HasChanges() bool { panic("not yet") }

// Search finds areas for type-ahead: names that begin with q, then names with a word that begins with q; case, umlauts
// and accents do not matter ("munchen", "muenchen"). Digits are looked for at the beginning of ARS and AGS. At most
// limit (≤ 20) ids.
func (a *Areas) Search(q string, at time.Time, limit int) []AreaID { panic("not yet") }
