// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"hash/maphash"
	"strings"
)

// stringTable holds every text of a table once, in one blob without pointers: ten million rows then cost the garbage
// collector nothing. Number 0 is the empty text.
type stringTable struct {
	text string
	off  []uint32 // text i is text[off[i]:off[i+1]]
}

// at gives text i without copying it.
func (s *stringTable) at(i uint32) string { return s.text[s.off[i]:s.off[i+1]] }

// len is how many texts there are.
func (s *stringTable) len() int { return len(s.off) - 1 }

// interner builds a stringTable.
type interner struct {
	text  strings.Builder
	off   []uint32
	slots []uint32 // open addressing; number of the text, 0 = empty
	seed  maphash.Seed
}

func newInterner() *interner {
	return &interner{off: []uint32{0, 0}, slots: make([]uint32, 1024), seed: maphash.MakeSeed()}
}

// put gives the number of s. Numbers depend on the order of calls, so nothing may be sorted by them.
func (in *interner) put(s string) uint32 {
	if s == "" {
		return 0
	}
	if 2*len(in.off) > len(in.slots) {
		in.grow()
	}
	i := in.place(s)
	if n := in.slots[i]; n != 0 {
		return n
	}
	n := uint32(len(in.off) - 1)
	in.text.WriteString(s)
	in.off = append(in.off, uint32(in.text.Len()))
	in.slots[i] = n
	return n
}

// place finds the slot that holds s or would.
func (in *interner) place(s string) int {
	mask := len(in.slots) - 1
	i := int(maphash.String(in.seed, s)) & mask
	for n := in.slots[i]; n != 0 && in.get(n) != s; n = in.slots[i] {
		i = (i + 1) & mask
	}
	return i
}

func (in *interner) get(n uint32) string { return in.text.String()[in.off[n]:in.off[n+1]] }

func (in *interner) grow() {
	in.slots = make([]uint32, 2*len(in.slots))
	for n := 1; n < len(in.off)-1; n++ {
		in.slots[in.place(in.get(uint32(n)))] = uint32(n)
	}
}

// full says whether the blob is near the limit of its offsets.
func (in *interner) full() bool { return in.text.Len() > 1<<32-1<<24 }

func (in *interner) table() stringTable { return stringTable{text: in.text.String(), off: in.off} }
