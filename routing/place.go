// SPDX-License-Identifier: EUPL-1.2

package routing

import "github.com/pvgate/pvgate/registry"

// place is what a walk reads of an area, in one word so that all of them stay in a core's cache: from the lowest bit
// on depth (3), dated (1), Land (5), parent.
type place uint32

const (
	placeDated  = 1 << 3
	placeLand   = 4
	placeParent = 9
	placeBits   = 20 // of an area's id
	maxPlaces   = 1 << placeBits
)

func newPlace(parent uint32, l registry.Level, land uint8, dated bool) place {
	p := place(parent)<<placeParent | place(land)<<placeLand | place(depthOf(l))
	if dated {
		p |= placeDated
	}
	return p
}

// parent is the next containing area; the Bund's is the Bund.
func (p place) parent() uint32 { return uint32(p >> placeParent) }

// land is 1 to 16, 0 for the Bund.
func (p place) land() uint8 { return uint8(p>>placeLand) & 31 }

// depth is the place of the area's level among the levels: 0 for the Bund, gemeinde for a Gemeinde.
func (p place) depth() uint8 { return uint8(p) & 7 }

// dated says whether a dated change touches the area or one around it (R4).
func (p place) dated() bool { return p&placeDated != 0 }

const (
	gemeinde = 5 // depth
	nDepths  = gemeinde + 1
)

func depthOf(l registry.Level) uint8 {
	switch l {
	case registry.LevelBund:
		return 0
	case registry.LevelLand:
		return 1
	case registry.LevelRB:
		return 2
	case registry.LevelKreis:
		return 3
	case registry.LevelVerband:
		return 4
	default:
		return gemeinde
	}
}
