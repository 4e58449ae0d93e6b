// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/pvgate/pvgate/registry"
)

// Place is what a look-up reads of an area, in one word so that all of them stay in a core's cache: from the lowest bit
// on depth (3), dated (1), Land (5), parent (20), bit (9) and line (6) of the area's place in the bitmaps of a [Grid].
type Place uint64

const (
	placeDated  = 1 << 3
	placeLand   = 4
	placeParent = 9
	placeBit    = 29
	placeLine   = 38
	parentMask  = 1<<20 - 1
)

// Parent is the next containing area; the Bund's is the Bund.
func (p Place) Parent() uint32 { return uint32(p>>placeParent) & parentMask }

// Land is 1 to 16, 0 for the Bund.
func (p Place) Land() uint8 { return uint8(p>>placeLand) & 31 }

// Depth is the place of the area's level among the levels: 0 for the Bund, [Gemeinde] for a Gemeinde.
func (p Place) Depth() uint8 { return uint8(p) & 7 }

// Dated says whether a dated change touches the area or one around it (R4).
func (p Place) Dated() bool { return p&placeDated != 0 }

func (p Place) line() uint { return uint(p>>placeLine) & (maxLines - 1) }

func (p Place) bit() uint { return uint(p>>placeBit) & 511 }

// pos is the area's place in the bitmaps.
func (p Place) pos() uint32 { return uint32(p.line()*lineBits + p.bit()) }

// Depths.
const (
	Gemeinde = 5
	nDepths  = Gemeinde + 1
)

// Places are the areas of a Gemeindeverzeichnis, by id. In the bitmaps they stand level by level, so that those of
// Bund, Land, Regierungsbezirk and Kreis share one cache line: most Leistungen have rows at one level, and bitmaps of
// levels without rows need not be there.
type Places struct {
	list  []Place
	ends  []uint32            // by id: everything inside is id < x < ends[id]
	byPos []uint32            // id by place in the bitmaps
	first [nDepths + 1]uint32 // by depth: the first place in the bitmaps
}

// MaxAreas is how many areas a Gemeindeverzeichnis may have: twice those of today.
const MaxAreas = maxLines * lineBits

// NewPlaces reads the areas; nil if they are more than [MaxAreas].
func NewPlaces(areas *registry.Areas) *Places {
	n := areas.Len()
	if n > MaxAreas {
		return nil
	}
	p := &Places{list: make([]Place, n), ends: make([]uint32, n), byPos: make([]uint32, n)}
	for i := range n {
		p.first[depthOf(areas.ARS(registry.AreaID(i)).Level())+1]++
	}
	for d := range nDepths {
		p.first[d+1] += p.first[d]
	}
	next := p.first
	for i := range n {
		id := registry.AreaID(i)
		_, end := areas.Inside(id)
		p.ends[i] = uint32(end)
		up, depth := areas.Parent(id), depthOf(areas.ARS(id).Level())
		pos := next[depth]
		next[depth]++
		p.byPos[pos] = uint32(i)
		made := Place(depth) | Place(areas.LandOf(id))<<placeLand | Place(up)<<placeParent |
			Place(pos%lineBits)<<placeBit | Place(pos/lineBits)<<placeLine
		if areas.Changed(id) || i > 0 && p.list[up].Dated() { // parents come before what they contain
			made |= placeDated
		}
		p.list[i] = made
	}
	return p
}

// Len is the number of areas.
func (p *Places) Len() int { return len(p.list) }

// At is the place of an area.
func (p *Places) At(id uint32) Place { return p.list[id] }

// End is one more than the last area inside; everything inside is id < x < End(id).
func (p *Places) End(id uint32) uint32 { return p.ends[id] }

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
		return Gemeinde
	}
}

// AreasDigest identifies the ids of areas, in hexadecimal: two tables of equal digest number the same keys alike.
func AreasDigest(areas *registry.Areas) string {
	h := sha256.New()
	var b [9]byte
	for i := range areas.Len() {
		ars := areas.ARS(registry.AreaID(i))
		binary.LittleEndian.PutUint64(b[:], ars.Number())
		b[8] = byte(ars.Level())
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
