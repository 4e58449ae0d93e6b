// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"github.com/pvgate/pvgate/registry"
)

// Grid says which (Leistung, area) have rows. All rows of one Leistung at one area are a group, all groups of one
// Leistung a block. Each row has a number, its id, and a value, of which the Grid knows nothing.
//
// A look-up goes up the chain of the asked area and takes the first group. What it costs is waiting: a line of memory
// that no cache of the core has takes 150 ns, some that are asked for at once take hardly more. So nothing far away may
// say where the next far thing is, as far as that can be:
//
//   - slots is small enough to stay in the core's cache, as are the places of the areas, which give the chain.
//   - A block has a bitmap of its areas, cut into lines of 448 bits, each a cache line with the number of its first
//     group. The block says which lines are there; empty ones are not. Upper levels stand in the first line, so that a
//     whole chain asks for three lines at most, all at once.
//   - The bit's rank is the group's number, where the value of its one row stands, or where its rows are.
//
// The worked hard case: a Leistung has groups at Bund, 06 Hessen, 06534 Marburg-Biedenkopf and Biedenkopf 065340004004.
// Its block has two lines: the first, with the bits of Bund, Hessen and the Kreis, and the one that has Biedenkopf's.
// Asked is Marburg 065340014014, which stands in the same line as Biedenkopf: both lines are asked for. Marburg's bit is
// not set, its Verband is in a line that is not there, the Kreis' bit is set: it is the third group of the block.
type Grid struct {
	places *Places
	blocks []Block  // by Leistung
	lines  []Line   // of all blocks
	groups []uint32 // by group: the row's value, or with severalRows where its rows begin in more
	more   []uint32 // values of rows of groups that have several; rowFollows says that there is one more

	slots []uint32 // open addressing by Leistung: bits of the hash, block number + 1; 0 = empty
	shift uint     // 64 - log2(len(slots))
}

// Block is one Leistung's rows.
type Block struct {
	Key    registry.Leistung
	Mask   uint64 // of the lines that are there
	Line   uint32 // its first line
	Group  uint32 // its first group
	More   uint32 // where the rows of its groups with several begin
	Groups uint32 // how many
}

// Line is a cache line of a block's bitmap: the number of its first group, then the bits.
type Line [8]uint64

const (
	lineBits = 448
	maxLines = 64

	severalRows = 1 << 31
	rowFollows  = 1 << 31
	maxValue    = 1<<31 - 1

	slotTag   = 1<<32 - 1<<slotBits
	slotBits  = 21
	maxBlocks = 1<<slotBits - 2
)

// None is the block, group or row that is not there.
const None = 1<<32 - 1

// Find gives the number of a Leistung's block, or [None].
func (x *Grid) Find(l registry.Leistung) uint32 { return x.FindHash(l, Hash(l)) }

// Hash is what grids file a Leistung under, for who asks several.
func Hash(l registry.Leistung) uint64 { return mix(l.Number()) }

// FindHash is Find of a Leistung with its [Hash].
func (x *Grid) FindHash(l registry.Leistung, h uint64) uint32 {
	tag := uint32(h) & slotTag
	mask := uint64(len(x.slots) - 1)
	for i := h >> x.shift; ; i++ {
		switch s := x.slots[i&mask]; {
		case s == 0:
			return None
		case s&slotTag == tag:
			if n := s&^slotTag - 1; x.blocks[n].Key == l {
				return n
			}
		}
	}
}

// mix mixes both halves: Leistung keys are decimal-structured and a plain multiplication leaves runs.
func mix(key uint64) uint64 {
	hi, lo := bits.Mul64(key, 0x9E3779B97F4A7C15)
	return (hi ^ lo) * 0xD6E8FEB86659FD93
}

// hash fills the slots, to at most two thirds.
func (x *Grid) hash() {
	size := bits.Len(uint(len(x.blocks) + len(x.blocks)/2))
	x.shift = uint(64 - size)
	x.slots = make([]uint32, 1<<size)
	mask := uint64(len(x.slots) - 1)
	for n := range x.blocks {
		h := mix(x.blocks[n].Key.Number())
		at := h >> x.shift
		for x.slots[at&mask] != 0 {
			at++
		}
		x.slots[at&mask] = uint32(h)&slotTag | uint32(n+1)
	}
}

// Around gives the deepest group of a block whose area contains id, and the area; [None] if there is none.
func (x *Grid) Around(block, id uint32) (group, area uint32) {
	var (
		areas [nDepths]uint32
		lines [nDepths]uint32
		words [nDepths]uint64
	)
	b := &x.blocks[block]
	n := 0
	for { // a branch on what a line says would wait for it before the next is asked for
		p := x.places.list[id]
		if at := p.line(); b.Mask>>at&1 != 0 {
			line := b.Line + uint32(bits.OnesCount64(b.Mask&(1<<at-1)))
			areas[n], lines[n], words[n] = id, line, x.lines[line][1+p.bit()/64]
			n++
		}
		if id == 0 {
			break
		}
		id = p.Parent()
	}
	for i := range n {
		if bit := x.places.list[areas[i]].bit(); words[i]>>(bit%64)&1 != 0 {
			return x.lines[lines[i]].group(bit), areas[i]
		}
	}
	return None, 0
}

// Exact gives the group of a block at an area, [None] if there is none.
func (x *Grid) Exact(block, id uint32) (group uint32) {
	b, p := &x.blocks[block], x.places.list[id]
	if b.Mask>>p.line()&1 == 0 {
		return None
	}
	l := &x.lines[b.Line+uint32(bits.OnesCount64(b.Mask&(1<<p.line()-1)))]
	if l[1+p.bit()/64]>>(p.bit()%64)&1 == 0 {
		return None
	}
	return l.group(p.bit())
}

// group is the number of the group that a bit stands for.
func (l *Line) group(bit uint) uint32 {
	n := uint32(l[0]) + uint32(bits.OnesCount64(l[1+bit/64]&(1<<(bit%64)-1)))
	for _, w := range l[1 : 1+bit/64] {
		n += uint32(bits.OnesCount64(w))
	}
	return n
}

// Rows gives the rows of a group: first ≤ r < end.
func (x *Grid) Rows(group uint32) (first, end uint32) {
	v := x.groups[group]
	if v&severalRows == 0 {
		return group, group + 1
	}
	at := v &^ severalRows
	first = uint32(len(x.groups)) + at
	for end = first + 1; x.more[at]&rowFollows != 0; at++ {
		end++
	}
	return first, end
}

// Value is what a row stands for.
func (x *Grid) Value(row uint32) uint32 {
	if n := uint32(len(x.groups)); row >= n {
		return x.more[row-n] &^ rowFollows
	}
	return x.groups[row]
}

// Limit is one more than the largest id of a row. Not every number below it is a row.
func (x *Grid) Limit() uint32 { return uint32(len(x.groups) + len(x.more)) }

// Blocks is the number of Leistungen that have rows.
func (x *Grid) Blocks() int { return len(x.blocks) }

// Leistung is the key of a block; keys ascend with their numbers.
func (x *Grid) Leistung(block uint32) registry.Leistung { return x.blocks[block].Key }

// From gives the first block whose key is at least a number.
func (x *Grid) From(key uint64) uint32 {
	i, _ := slices.BinarySearchFunc(x.blocks, key, func(b Block, key uint64) int { return cmp.Compare(b.Key.Number(), key) })
	return uint32(i)
}

// All gives the groups of a block with their areas, level by level.
func (x *Grid) All(block uint32) iter.Seq2[uint32, uint32] {
	return func(yield func(area, group uint32) bool) {
		x.scan(block, 0, uint32(x.places.Len()), yield)
	}
}

// Inside gives the groups of a block at first ≤ area < end, level by level.
func (x *Grid) Inside(block, first, end uint32) iter.Seq2[uint32, uint32] {
	return func(yield func(area, group uint32) bool) {
		if first == 0 && end == uint32(x.places.Len()) {
			x.scan(block, 0, end, yield)
			return
		}
		for d := range nDepths { // areas of one level inside an area are neighbours
			level := x.places.byPos[x.places.first[d]:x.places.first[d+1]]
			lo, _ := slices.BinarySearch(level, first)
			hi, _ := slices.BinarySearch(level, end)
			if lo < hi && !x.scan(block, x.places.first[d]+uint32(lo), x.places.first[d]+uint32(hi), yield) {
				return
			}
		}
	}
}

// scan goes through the set bits from ≤ pos < to of a block's bitmap.
func (x *Grid) scan(block, from, to uint32, yield func(area, group uint32) bool) bool {
	b := &x.blocks[block]
	for at := from / lineBits; at*lineBits < to; at++ {
		if b.Mask>>at&1 == 0 {
			continue
		}
		l := &x.lines[b.Line+uint32(bits.OnesCount64(b.Mask&(1<<at-1)))]
		group := uint32(l[0])
		for i, w := range l[1:] {
			for ; w != 0; w &= w - 1 {
				pos := at*lineBits + uint32(i)*64 + uint32(bits.TrailingZeros64(w))
				if pos >= to {
					return true
				}
				if pos >= from && !yield(x.places.byPos[pos], group) {
					return false
				}
				group++
			}
		}
	}
	return true
}

// blockOf gives the block of a row. It searches.
func (x *Grid) blockOf(row uint32) uint32 {
	n := uint32(len(x.groups))
	i, _ := slices.BinarySearchFunc(x.blocks, row, func(b Block, row uint32) int {
		if row < n && b.Group > row || row >= n && b.More > row-n {
			return 1
		}
		return -1 // the last that begins at or before it; blocks that have none of these begin where the next one does
	})
	return uint32(i - 1)
}

// rowsOf is how many places a block has for rows: a group's, and those of rows that share one.
func (x *Grid) rowsOf(block uint32) uint32 {
	more := uint32(len(x.more))
	if int(block)+1 < len(x.blocks) {
		more = x.blocks[block+1].More
	}
	return x.blocks[block].Groups + more - x.blocks[block].More
}

// Locate finds where a row stands. It searches: it is for people's questions.
func (x *Grid) Locate(row uint32) (l registry.Leistung, area uint32) {
	block := x.blockOf(row)
	for area, group := range x.All(block) {
		if first, end := x.Rows(group); first <= row && row < end {
			return x.blocks[block].Key, area
		}
	}
	return x.blocks[block].Key, 0
}
