// SPDX-License-Identifier: EUPL-1.2

package registry

// keyIndex maps every spelling of a key that leads straight to an area: its ARS, the ARS of the levels that are the same
// territory (R3), and the AGS of a Gemeinde.
//
// One slot is one word, so a look-up is one cache miss: 40 bits of number (12 digits < 2^40), 4 bits of length, 20 bits
// of id. A slot of 0 is free; it would be the Bund, which is never stored.
type keyIndex struct {
	slots []uint64
	shift uint
}

const (
	idBits  = 20
	lenBits = 4
)

func pack(n uint64, digits int) uint64 { return n<<lenBits | uint64(digits) }

// indexKeys fills the index. The areas of the Gemeindeverzeichnis come before those that aliases added, so that an AGS
// which both have (a Verband was renumbered) goes through the area that is really there.
func indexKeys(areas []Area) keyIndex {
	size, shift := 1024, uint(64-10)
	for size < 6*len(areas) { // at most three keys per area: half full
		size, shift = size*2, shift-1
	}
	x := keyIndex{slots: make([]uint64, size), shift: shift}
	own := func(a *Area) { x.put(a.ARS.n/pow10[arsDigits-a.ARS.level], int(a.ARS.level), a.ID) }
	for i := range areas {
		if !areas[i].ARS.IsBund() {
			own(&areas[i])
		}
	}
	for _, added := range [...]bool{false, true} {
		for i := range areas {
			if a := &areas[i]; a.Added == added && a.ARS.level == LevelGemeinde {
				x.putGemeinde(a)
			}
		}
	}
	return x
}

// putGemeinde adds the AGS and the upper levels that are the same territory, unless they are areas of their own.
func (x *keyIndex) putGemeinde(a *Area) {
	x.put(a.ARS.agsNumber(), 8, a.ID)
	for _, l := range [...]Level{LevelLand, LevelKreis, LevelVerband} {
		if g, same := ownGemeinde(a.ARS.At(l)); same && g == a.ARS {
			x.put(a.ARS.n/pow10[arsDigits-l], int(l), a.ID)
		}
	}
}

// put keeps the first of equal keys.
func (x *keyIndex) put(n uint64, digits int, id AreaID) {
	key := pack(n, digits)
	for i := x.home(key); ; i = (i + 1) & (len(x.slots) - 1) {
		if x.slots[i] == 0 {
			x.slots[i] = key<<idBits | uint64(id)
			return
		}
		if x.slots[i]>>idBits == key {
			return
		}
	}
}

func (x *keyIndex) find(n uint64, digits int) (AreaID, bool) {
	key := pack(n, digits)
	for i := x.home(key); x.slots[i] != 0; i = (i + 1) & (len(x.slots) - 1) {
		if x.slots[i]>>idBits == key {
			return AreaID(x.slots[i] & (1<<idBits - 1)), true
		}
	}
	return 0, false
}

// home mixes both halves before it takes the top bits: the keys are decimal, their low bits alone collide.
func (x *keyIndex) home(key uint64) int {
	key ^= key >> 32
	key *= 0x9E3779B97F4A7C15
	key ^= key >> 29
	key *= 0xBF58476D1CE4E5B9
	return int(key >> x.shift)
}
