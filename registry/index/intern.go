// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// set numbers values as they come; number 0 is the zero value. It takes 4 to 8 bytes for each beside the value, a
// fraction of what a map does: a Builder may see ten million.
type set[T comparable] struct {
	list  []T
	slots []uint32 // open addressing; number of the value, 0 = empty
	seed  maphash.Seed
}

func newSet[T comparable]() *set[T] {
	return &set[T]{list: make([]T, 1), slots: make([]uint32, 16), seed: maphash.MakeSeed()}
}

// put gives the number of v. Numbers depend on the order of calls: see sorted.
func (s *set[T]) put(v T) uint32 {
	if v == s.list[0] {
		return 0
	}
	if 3*len(s.list) > 2*len(s.slots) {
		s.grow()
	}
	mask := len(s.slots) - 1
	i := int(maphash.Comparable(s.seed, v)) & mask
	for n := s.slots[i]; n != 0; n = s.slots[i] {
		if s.list[n] == v {
			return n
		}
		i = (i + 1) & mask
	}
	s.slots[i] = uint32(len(s.list))
	s.list = append(s.list, v)
	return s.slots[i]
}

func (s *set[T]) grow() {
	s.slots = make([]uint32, 2*len(s.slots))
	mask := len(s.slots) - 1
	for n := 1; n < len(s.list); n++ {
		i := int(maphash.Comparable(s.seed, s.list[n])) & mask
		for s.slots[i] != 0 {
			i = (i + 1) & mask
		}
		s.slots[i] = uint32(n)
	}
}

// sorted gives the values in their order, the zero value first, and the new number of each by its old one.
func (s *set[T]) sorted(compare func(a, b T) int) (list []T, renumber []uint32) {
	order := make([]uint32, len(s.list)-1)
	for i := range order {
		order[i] = uint32(i + 1)
	}
	slices.SortFunc(order, func(a, b uint32) int { return compare(s.list[a], s.list[b]) })
	list, renumber = append(make([]T, 0, len(s.list)), s.list[0]), make([]uint32, len(s.list))
	for i, old := range order {
		list = append(list, s.list[old])
		renumber[old] = uint32(i + 1)
	}
	return list, renumber
}

// textSet numbers texts as they come; number 0 is the empty one.
type textSet struct {
	blob  []byte
	off   []uint32 // text i is blob[off[i]:off[i+1]]
	slots []uint32
	seed  maphash.Seed
}

func newTextSet() *textSet {
	return &textSet{off: make([]uint32, 2), slots: make([]uint32, 1024), seed: maphash.MakeSeed()}
}

func (s *textSet) at(n uint32) []byte { return s.blob[s.off[n]:s.off[n+1]] }

func (s *textSet) len() int { return len(s.off) - 1 }

// put gives the number of a text.
func (s *textSet) put(text []byte) uint32 {
	if len(text) == 0 {
		return 0
	}
	if 3*s.len() > 2*len(s.slots) {
		s.slots = make([]uint32, 2*len(s.slots))
		for n := 1; n < s.len(); n++ {
			s.slots[s.place(s.at(uint32(n)))] = uint32(n)
		}
	}
	i := s.place(text)
	if s.slots[i] == 0 {
		s.slots[i] = uint32(s.len())
		s.blob = append(s.blob, text...)
		s.off = append(s.off, uint32(len(s.blob)))
	}
	return s.slots[i]
}

// place finds the slot that holds a text or would.
func (s *textSet) place(text []byte) int {
	mask := len(s.slots) - 1
	i := int(maphash.Bytes(s.seed, text)) & mask
	for n := s.slots[i]; n != 0 && !bytes.Equal(s.at(n), text); n = s.slots[i] {
		i = (i + 1) & mask
	}
	return i
}

// full says whether the texts are near the limit of their offsets.
func (s *textSet) full() bool { return len(s.blob) > 1<<32-1<<24 }

// sorted gives the numbers of the texts in their order without the empty one, and the new number of each by its old one.
func (s *textSet) sorted() (order, renumber []uint32) {
	order, renumber = make([]uint32, s.len()-1), make([]uint32, s.len())
	for i := range order {
		order[i] = uint32(i + 1)
	}
	slices.SortFunc(order, func(a, b uint32) int { return bytes.Compare(s.at(a), s.at(b)) })
	for i, old := range order {
		renumber[old] = uint32(i + 1)
	}
	return order, renumber
}
