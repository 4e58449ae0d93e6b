// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"errors"
	"fmt"
	"slices"
)

// Areas is an immutable table of canonical areas; safe for concurrent use.
//
// The worked hard case is Flensburg. The Gemeindeverzeichnis has it three times, as Kreis 01001, as Gemeindeverband
// 010010000 and as Gemeinde 010010000000. The table has one area, the Gemeinde, and an index in which 01001, 010010000,
// 010010000000 and the AGS 01001000 lead to it. Its parent is Land 01, because nothing else contains it.
type Areas struct {
	areas  []Area   // by id
	parent []AreaID // by id; apart from areas because every request walks it
	end    []AreaID // by id
	flags  []uint8  // by id; what changes.go must be asked
	index  keyIndex
	names  nameIndex
	change changes
}

// The flags of an area that dated changes touch.
const (
	flagMoved  uint8 = 1 << iota // its key means another area from a day on
	flagFuture                   // it comes into being on a day
	flagFormer                   // other areas' keys mean it from a day on
)

// AreaRecord is one line of a Gemeindeverzeichnis, before R3 makes areas of them.
type AreaRecord struct {
	ARS                        ARS
	Name, Kind, Seat, Postcode string
	Inhabitants                int // of a Gemeinde
}

// NewAreas builds a table from the records of a Gemeindeverzeichnis, in any order. Keys that occur twice and areas
// without their Land are errors: such a file is damaged, and a table from it would send citizens astray.
func NewAreas(records []AreaRecord) (*Areas, error) {
	if len(records) == 0 {
		return nil, errors.New("build areas: no records")
	}
	rs := slices.Clone(records)
	slices.SortFunc(rs, func(x, y AreaRecord) int { return x.ARS.Compare(y.ARS) })
	for i := range rs {
		switch r := &rs[i]; {
		case r.ARS.IsBund():
			return nil, fmt.Errorf("build areas: %q has no key", r.Name)
		case r.Name == "":
			return nil, fmt.Errorf("build areas: %s has no name", r.ARS)
		case i > 0 && rs[i-1].ARS == r.ARS:
			return nil, fmt.Errorf("build areas: %s occurs twice (%q, %q)", r.ARS, rs[i-1].Name, r.Name)
		}
	}
	areas := make([]Area, 0, len(rs))
	for _, r := range canonical(rs) {
		areas = append(areas, Area{ARS: r.ARS, Name: r.Name, Kind: r.Kind, Seat: r.Seat, Postcode: r.Postcode, Inhabitants: r.Inhabitants})
	}
	return build(areas, nil)
}

// canonical applies R3 to sorted records: what is the same territory as one Gemeinde goes.
func canonical(rs []AreaRecord) []AreaRecord {
	has := make(map[ARS]bool, len(rs))
	verbaende := make(map[ARS]int) // Kreis → number of different Verband parts in it
	var last ARS
	for _, r := range rs {
		has[r.ARS] = true
		if v := r.ARS.At(LevelVerband); v.level == LevelVerband && v != last {
			verbaende[v.At(LevelKreis)]++
			last = v
		}
	}
	out := rs[:0:0]
	for _, r := range rs {
		g, same := ownGemeinde(r.ARS)
		if same && has[g] && (r.ARS.level != LevelKreis || verbaende[r.ARS] == 1) {
			continue
		}
		out = append(out, r)
	}
	return out
}

// ownGemeinde is the Gemeinde that R3 says is the same territory as an upper area, if there is one. For a Kreis it
// holds only if no other Verband lies in it.
func ownGemeinde(a ARS) (ARS, bool) {
	g := ARS{n: a.n, level: LevelGemeinde}
	switch a.level {
	case LevelLand:
		return g, a.Land() == 2 || a.Land() == 11
	case LevelKreis:
		return g, true
	case LevelVerband:
		v := a.verband()
		g.n += v % 1000 // Verband 0032 is Gemeinde 032
		return g, standsAlone(v)
	default:
		return ARS{}, false
	}
}

// standsAlone says whether the Verband part is that of one Gemeinde: 0000 kreisfrei, 0xxx verbandsfrei, 9xxx
// gemeindefreies Gebiet.
func standsAlone(verband uint64) bool { return verband < 1000 || verband >= 9000 }

// maxAreas is what an id in keyIndex can hold.
const maxAreas = 1 << idBits

// build makes a table of canonical areas. It takes over areas and sorts them.
func build(areas []Area, aliases []Alias) (*Areas, error) {
	areas = append(areas, Area{Name: "Bundesrepublik Deutschland", Kind: "Bund"})
	if len(areas) > maxAreas {
		return nil, fmt.Errorf("build areas: %d areas, more than %d", len(areas), maxAreas)
	}
	slices.SortFunc(areas, func(x, y Area) int { return x.ARS.Compare(y.ARS) })
	a := &Areas{
		areas:  areas,
		parent: make([]AreaID, len(areas)),
		end:    make([]AreaID, len(areas)),
		flags:  make([]uint8, len(areas)),
	}
	if err := a.nest(); err != nil {
		return nil, err
	}
	a.index = indexKeys(areas)
	if err := a.applyChanges(aliases); err != nil {
		return nil, err
	}
	a.names = indexNames(areas)
	return a, nil
}

// nest fills in parents and ends: one pass over the sorted keys with the chain of open areas on a stack.
func (a *Areas) nest() error {
	open := []AreaID{Bund}
	closeTo := func(depth, end int) {
		for len(open) > depth {
			top := open[len(open)-1]
			a.end[top], a.areas[top].End = AreaID(end), AreaID(end)
			open = open[:len(open)-1]
		}
	}
	for i := 1; i < len(a.areas); i++ {
		depth := len(open)
		for !a.areas[open[depth-1]].ARS.Contains(a.areas[i].ARS) {
			depth--
		}
		closeTo(depth, i)
		up := open[depth-1]
		if up == Bund && a.areas[i].ARS.level != LevelLand && a.areas[i].ARS.At(LevelLand).n != a.areas[i].ARS.n {
			return fmt.Errorf("build areas: %s %q has no Land %s", a.areas[i].ARS, a.areas[i].Name, a.areas[i].ARS.At(LevelLand))
		}
		a.areas[i].ID, a.parent[i], a.areas[i].Parent = AreaID(i), up, up
		open = append(open, AreaID(i))
	}
	closeTo(0, len(a.areas))
	return nil
}

// Len is the number of areas, the Bund included.
func (a *Areas) Len() int { return len(a.areas) }

// Area by id.
func (a *Areas) Area(id AreaID) Area { return a.areas[id] }

// ARS of an area.
func (a *Areas) ARS(id AreaID) ARS { return a.areas[id].ARS }

// Parent is the next containing area; the Bund's is the Bund.
func (a *Areas) Parent(id AreaID) AreaID { return a.parent[id] }

// Inside gives the range of areas strictly inside: first ≤ x < end. Retired and future areas are in it.
func (a *Areas) Inside(id AreaID) (first, end AreaID) { return id + 1, a.end[id] }

// Contains says whether inner is outer or lies inside it.
func (a *Areas) Contains(outer, inner AreaID) bool { return inner >= outer && inner < a.end[outer] }

// Chain appends the area itself, then each containing area upward, then the Bund (R3).
func (a *Areas) Chain(dst []AreaID, id AreaID) []AreaID {
	for id != Bund {
		dst = append(dst, id)
		id = a.parent[id]
	}
	return append(dst, Bund)
}

// LandOf is 1 to 16, or 0 for the Bund.
func (a *Areas) LandOf(id AreaID) uint8 { return a.areas[id].ARS.Land() }

// Changed says whether a dated change touches the area at any time; if not, Formerly, Retired and Future need not be
// asked about it.
func (a *Areas) Changed(id AreaID) bool { return a.flags[id] != 0 }

// SameAs lists the other keys of the same territory (R3), shortest first: 01001 and 010010000 for Flensburg.
func (a *Areas) SameAs(id AreaID) []ARS {
	var same []ARS
	own := a.areas[id].ARS
	for _, l := range [...]Level{LevelLand, LevelKreis, LevelVerband} {
		up := own.At(l)
		if got, ok := a.index.find(up.n/pow10[arsDigits-l], int(l)); ok && got == id && up != own {
			same = append(same, up)
		}
	}
	return same
}
