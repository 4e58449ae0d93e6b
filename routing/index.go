// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"math/bits"

	"github.com/pvgate/pvgate/registry"
)

// The index. Rows are sorted by (Leistung, area); all rows of one Leistung at one area are a group, named by its last
// row, all groups of one Leistung are a block. Area ids are numbered so that an area and everything inside it are one
// range. So one search per request finds the last group at or before the asked area, and each group knows the nearest
// group around it: from there the chain is a few steps upward, past groups of neighbours, without a search per level.
//
// The worked hard case: a block has groups at Bund, 06 Hessen, 06534 Marburg-Biedenkopf and Biedenkopf 065340004004.
// Asked is Marburg 065340014014. The search ends at Biedenkopf, which does not contain Marburg; up from there is 06534,
// which does; then 06, then the Bund.
//
// Nothing in here is a pointer: a table of ten million rows is a few slices to the garbage collector.
type index struct {
	slots  []slot // open addressing by Leistung
	shift  uint   // 64 - log2(len(slots))
	blocks []block
	keys   []registry.Leistung // of the blocks, ascending

	hot     []hotRow // by row
	samples []uint32 // of the blocks: every 8th row's area, then every 16th of those, until topNode are left
	ends    []uint32 // by area id: everything inside is id < x < ends[id]
}

// hotRow is what every decision reads of a row.
type hotRow struct {
	area    uint32
	up      uint32 // in the last row of a group: the nearest group of the block around it, or none
	url     uint32 // address, see address.go; equal numbers of equal backends are one target (R10)
	backend uint32
	valid   uint32 // into Table.valid; 0 = open
	source  uint16 // order of trust
	flags   rowFlags
}

// The search looks at few cache lines, because those are what it costs: samples of the areas lead to eight rows that
// lie beside each other, and the row that is found is one of them. A plain binary search in a block of 4 000 rows
// touches eight lines in as many pages.
const (
	rowNode = 8  // rows: three lines
	node    = 16 // samples: one line
	topNode = 64 // samples where the search begins
)

// slot is a block's entry in the hash table.
type slot struct {
	key uint64 // Leistung's number + 1; 0 = empty
	block
}

// block is one Leistung's rows: r0 ≤ r < r1.
type block struct {
	r0, r1  uint32
	sample  uint32 // where its samples begin
	adopted bool   // has rows made by adoptions
	open    bool   // has rows that need no adoption's cover, the adoptions' own among them
	uniform bool   // all its services lead to one target, open to everybody
}

// none is the group that is not there.
const none = 1<<32 - 1

// find gives a Leistung's block.
func (x *index) find(l registry.Leistung) (block, bool) {
	key := l.Number() + 1
	mask := uint64(len(x.slots) - 1)
	for i := x.hash(key); ; i++ {
		s := &x.slots[i&mask]
		if s.key == key {
			return s.block, true
		}
		if s.key == 0 {
			return block{}, false
		}
	}
}

// hash mixes both halves: Leistung keys are decimal-structured and a plain multiplication leaves runs.
func (x *index) hash(key uint64) uint64 {
	hi, lo := bits.Mul64(key, 0x9E3779B97F4A7C15)
	return ((hi ^ lo) * 0xD6E8FEB86659FD93) >> x.shift
}

// last gives the last row of a block whose area is at most id, or none. It is the last one of its group.
func (x *index) last(b block, id uint32) uint32 {
	rows := x.hot[b.r0:b.r1]
	n := len(rows)
	if n > rowNode {
		at := x.sampled(b, id)
		if at < 0 {
			return none
		}
		at *= rowNode
		rows = rows[at:min(at+rowNode, n)]
		b.r0 += uint32(at)
		n = len(rows)
	} else if n == 0 || rows[0].area > id {
		return none
	}
	at := 0
	for n > 1 { // no branch to mispredict
		half := n / 2
		if rows[at+half].area <= id {
			at += half
		}
		n -= half
	}
	return b.r0 + uint32(at)
}

// sampled gives the place of the last of a block's lowest samples that is at most id, -1 if there is none.
func (x *index) sampled(b block, id uint32) int {
	n := (int(b.r1-b.r0) + rowNode - 1) / rowNode
	from := b.sample
	if n <= topNode {
		return lastIn(x.samples[from:from+uint32(n)], id)
	}
	var levels [8][]uint32 // lowest first; they suffice for any block
	levels[0] = x.samples[from : from+uint32(n)]
	depth := 1
	for n > topNode {
		from += uint32(n)
		n = (n + node - 1) / node
		levels[depth] = x.samples[from : from+uint32(n)]
		depth++
	}
	at := lastIn(levels[depth-1], id)
	if at < 0 {
		return -1
	}
	for depth -= 2; depth >= 0; depth-- {
		at *= node
		below := levels[depth]
		at += lastIn(below[at:min(at+node, len(below))], id)
	}
	return at
}

// lastIn gives the last place of a sorted list whose area is at most id, -1 if there is none.
func lastIn(areas []uint32, id uint32) int {
	if len(areas) == 0 || areas[0] > id {
		return -1
	}
	at, n := 0, len(areas)
	for n > 1 {
		half := n / 2
		if areas[at+half] <= id {
			at += half
		}
		n -= half
	}
	return at
}

// around gives the deepest group of a block whose area contains id, or none.
func (x *index) around(b block, id uint32) uint32 {
	g := x.last(b, id)
	for g != none && id >= x.ends[x.hot[g].area] {
		g = x.hot[g].up
	}
	return g
}

// exact gives the group at an area, or none.
func (x *index) exact(b block, id uint32) uint32 {
	if g := x.last(b, id); g != none && x.hot[g].area == id {
		return g
	}
	return none
}

// from gives the first row of a block whose area is at least id, b.r1 if there is none.
func (x *index) from(b block, id uint32) uint32 {
	if id == 0 {
		return b.r0
	}
	if g := x.last(b, id-1); g != none {
		return g + 1
	}
	return b.r0
}

// rows gives the rows of a group: first ≤ r < end.
func (x *index) rows(b block, g uint32) (first, end uint32) {
	first = g
	for first > b.r0 && x.hot[first-1].area == x.hot[g].area {
		first--
	}
	return first, g + 1
}

// blockOf gives the block that holds a row, by its place in keys.
func (x *index) blockOf(row uint32) int {
	lo, hi := 0, len(x.blocks)
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		if x.blocks[mid].r0 <= row {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// indexer builds an index from rows that come sorted.
type indexer struct {
	index
	open []uint32 // groups around the next one, outermost first
}

// add appends a row of a Leistung.
func (x *indexer) add(l registry.Leistung, h hotRow) {
	row := uint32(len(x.hot))
	if n := len(x.keys); n == 0 || x.keys[n-1] != l {
		x.keys = append(x.keys, l)
		x.blocks = append(x.blocks, block{r0: row, r1: row})
		x.open = x.open[:0]
	}
	b := &x.blocks[len(x.blocks)-1]
	b.r1++
	b.adopted = b.adopted || h.flags&flagAdopted != 0
	b.open = b.open || !h.needsCover()
	if n := len(x.open); n > 0 && x.hot[x.open[n-1]].area == h.area {
		x.open[n-1] = row // the group goes on: its last row names it
		h.up = x.hot[row-1].up
		x.hot = append(x.hot, h)
		return
	}
	for len(x.open) > 0 && h.area >= x.ends[x.hot[x.open[len(x.open)-1]].area] {
		x.open = x.open[:len(x.open)-1]
	}
	h.up = none
	if n := len(x.open); n > 0 {
		h.up = x.open[n-1]
	}
	x.open = append(x.open, row)
	x.hot = append(x.hot, h)
}

// sample writes a block's samples.
func (x *indexer) sample(b *block) {
	b.sample = uint32(len(x.samples))
	for row := b.r0; row < b.r1; row += rowNode {
		x.samples = append(x.samples, x.hot[row].area)
	}
	level := x.samples[b.sample:]
	for len(level) > topNode {
		from := len(x.samples)
		for i := 0; i < len(level); i += node {
			x.samples = append(x.samples, level[i])
		}
		level = x.samples[from:]
	}
}

// isUniform says whether all services of a block lead to one target that no adoption has to open.
func (x *indexer) isUniform(b *block) bool {
	var one *hotRow
	for row := b.r0; row < b.r1; row++ {
		h := &x.hot[row]
		switch {
		case h.flags&flagPage != 0:
		case h.flags&flagClosed != 0 || one != nil && !h.sameTarget(one):
			return false
		default:
			one = h
		}
	}
	return true
}

// done writes the samples and fills the hash table to at most a half.
func (x *indexer) done() index {
	for i := range x.blocks {
		b := &x.blocks[i]
		x.sample(b)
		b.uniform = x.isUniform(b)
	}
	size := bits.Len(uint(2*len(x.keys) + 1))
	x.shift = uint(64 - size)
	x.slots = make([]slot, 1<<size)
	mask := uint64(len(x.slots) - 1)
	for i, l := range x.keys {
		key := l.Number() + 1
		at := x.hash(key)
		for x.slots[at&mask].key != 0 {
			at++
		}
		x.slots[at&mask] = slot{key, x.blocks[i]}
	}
	return x.index
}
