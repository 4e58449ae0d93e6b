// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/pvgate/pvgate/registry"
)

// The index. Rows are sorted by (Leistung, area); all rows of one Leistung at one area are a group, all rows of one
// Leistung a block. A look-up goes up the chain of the asked area and takes the first group.
//
// What it costs is waiting: a line of memory that no cache of the core has takes 150 ns, ten that are asked for at once
// take hardly more, and everything else together takes 80. So nothing far away may say where the next far thing is:
//
//   - tags is small enough to stay in the core's cache. A tag says which block is the Leistung's, and at which levels
//     it has groups, before the block itself has come.
//   - places, one word per area, stays there too and gives the chain.
//   - From block and area follows where the group's entry is. Entries of all levels that come into question, and the
//     block, are asked for together. An entry says everything that a plain decision needs: which row, and its traits,
//     of which there are few. The row itself is read only where its address is needed, or a second row is compared.
//
// The worked hard case: a Leistung has groups at Bund, 06 Hessen, 06534 Marburg-Biedenkopf and Biedenkopf 065340004004.
// Asked is Marburg 065340014014. The tag has the levels Bund, Land, Kreis and Gemeinde, not Regierungsbezirk and Verband;
// so the entries of Marburg, 06534, 06 and Bund are asked for at once. Marburg has none: no key in its bucket is Marburg's,
// or one is but with a row of another block, whose key agrees by chance; then, and where the bucket once was full, the
// search begins anew with care. 06534 has one, which is the answer. If its rows are all pages, or dead, the search goes on
// from 06.
//
// Nothing in here is a pointer: a table of ten million rows is a few slices to the garbage collector.
type index struct {
	tags   []uint16 // by block number: bits of the hash, levels; 0 = empty
	blocks []block  // open addressing by Leistung
	shift  uint     // 64 - log2(len(blocks))
	order  []uint32 // the blocks' numbers, by Leistung

	groups []bucket // open addressing by (block, area)
	traits []traits
	hot    []hotRow // by row
	places []place  // by area id
	ends   []uint32 // by area id: everything inside is id < x < ends[id]
}

// hotRow is what only some decisions read of a row: those that compare targets, or look into an area.
type hotRow struct {
	area   uint32
	url    uint32 // address, see address.go; equal numbers of equal backends are one target (R10)
	traits uint32 // into index.traits
}

// traits are what every decision reads of a row. Rows that agree share them: a million rows have a few thousand, which
// stay in a core's cache.
type traits struct {
	backend uint32
	valid   uint32 // into Table.valid; 0 = open
	source  uint16 // order of trust
	flags   rowFlags
}

// bucket is a cache line of groups, the empty places last.
type bucket struct {
	keys   [bucketSize]uint32 // the area, and part of the hash
	ends   [bucketSize]uint32 // the row after the group's last; 0 = empty
	traits [bucketSize]uint32 // of the group's last row
	over   uint32             // 1 = was full, look further
}

const bucketSize = 5

// group is all rows of one Leistung at one area.
type group struct {
	last   uint32 // row, none = there is no group
	traits uint32 // of that row
}

// block is one Leistung's rows: r0 ≤ r < r1.
type block struct {
	key     registry.Leistung // zero = empty
	r0, r1  uint32
	levels  levels // of the areas of its groups
	adopted bool   // has rows made by adoptions
	open    bool   // has rows that need no adoption's cover, the adoptions' own among them
	uniform bool   // all its services lead to one target, open to everybody
}

// levels is a set of levels: bit n is that of depth n.
type levels uint8

const allLevels = 1<<nDepths - 1

// none is the group or block that is not there.
const none = 1<<32 - 1

// find gives the number of a Leistung's block, or none.
func (x *index) find(l registry.Leistung) uint32 {
	h := mix(l.Number())
	tag := uint16(h) &^ allLevels
	mask := uint64(len(x.blocks) - 1)
	for i := h >> x.shift; ; i++ {
		i &= mask
		switch t := x.tags[i]; {
		case t == 0:
			return none
		case t&^allLevels == tag && x.blocks[i].key == l:
			return uint32(i)
		}
	}
}

// mix mixes both halves: Leistung keys are decimal-structured and a plain multiplication leaves runs.
func mix(key uint64) uint64 {
	hi, lo := bits.Mul64(key, 0x9E3779B97F4A7C15)
	return (hi ^ lo) * 0xD6E8FEB86659FD93
}

// home is the bucket where a group belongs, and its key there.
func (x *index) home(block, id uint32) (at uint64, key uint32) {
	h := mix(uint64(block)<<32 | uint64(id))
	at, _ = bits.Mul64(h, uint64(len(x.groups)))
	return at, id<<(32-placeBits) | uint32(h)&(1<<(32-placeBits)-1)
}

// further is the bucket where the search goes on when the first ones were full. The first of them is its neighbour,
// which the processor has fetched along with it.
func (x *index) further(home, step uint64) uint64 {
	at := home ^ step&1 + step&^1
	if n := uint64(len(x.groups)); at >= n {
		at %= n
	}
	return at
}

// find gives the first place of a key, bucketSize if it is not there. Whatever it finds, it takes the same way through
// the code: the processor need not guess, and asks for the next bucket before this one has come.
func (b *bucket) find(key uint32) int {
	at := bucketSize
	if b.keys[4] == key {
		at = 4
	}
	if b.keys[3] == key {
		at = 3
	}
	if b.keys[2] == key {
		at = 2
	}
	if b.keys[1] == key {
		at = 1
	}
	if b.keys[0] == key {
		at = 0
	}
	return at
}

// has says whether a row is the block's, given the row after it.
func (b *block) has(end uint32) bool { return end-b.r0-1 < b.r1-b.r0 }

// exact gives the group at an area.
func (x *index) exact(block, id uint32) group {
	b := &x.blocks[block]
	home, key := x.home(block, id)
	for step := uint64(0); ; step++ {
		k := &x.groups[x.further(home, step)]
		for i := range k.keys {
			if k.keys[i] == key && b.has(k.ends[i]) {
				return group{k.ends[i] - 1, k.traits[i]}
			}
		}
		if k.over == 0 {
			return group{last: none}
		}
	}
}

// around gives the deepest group of a block whose area contains id, and the area.
func (x *index) around(block, id uint32) (g group, area uint32) {
	var (
		areas [nDepths]uint32
		homes [nDepths]*bucket
		at    [nDepths]int
	)
	n := 0
	for has := levels(x.tags[block] & allLevels); n < nDepths; {
		p := x.places[id]
		if has>>p.depth()&1 != 0 {
			home, key := x.home(block, id)
			k := &x.groups[home]
			areas[n], homes[n], at[n] = id, k, k.find(key)
			n++
		}
		if has &= 1<<p.depth() - 1; has == 0 {
			break
		}
		id = p.parent()
	}
	b := &x.blocks[block]
	for i := range n {
		k, at := homes[i], at[i]
		if at < bucketSize && b.has(k.ends[at]) {
			return group{k.ends[at] - 1, k.traits[at]}, areas[i]
		}
		if at < bucketSize || k.over != 0 { // another's key like this one's, or a full bucket
			if g = x.exact(block, areas[i]); g.last != none {
				return g, areas[i]
			}
		}
	}
	return group{last: none}, 0
}

// from gives the first row of a block whose area is at least id, the block's end if there is none.
func (x *index) from(b *block, id uint32) uint32 {
	lo, hi := b.r0, b.r1
	for lo < hi {
		if mid := lo + (hi-lo)/2; x.hot[mid].area < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// rows gives the rows of a group: first ≤ r < end.
func (x *index) rows(g group) (first, end uint32) {
	first = g.last
	for t := g.traits; x.traits[t].flags&flagFollows != 0; t = x.hot[first].traits {
		first--
	}
	return first, g.last + 1
}

// of gives the traits of a group's row.
func (x *index) of(g group, row uint32) *traits {
	if row == g.last {
		return &x.traits[g.traits]
	}
	return x.traitsOf(row)
}

func (x *index) traitsOf(row uint32) *traits { return &x.traits[x.hot[row].traits] }

// sameTarget says whether two rows lead to the same place (R10). A refused target is not the same as one that may be
// used.
func (x *index) sameTarget(a, b uint32) bool {
	if x.hot[a].url != x.hot[b].url {
		return false
	}
	t, o := x.traitsOf(a), x.traitsOf(b)
	return t.backend == o.backend && (t.flags^o.flags)&flagBlocked == 0
}

// blockOf gives the block that holds a row.
func (x *index) blockOf(row uint32) *block {
	i, _ := slices.BinarySearchFunc(x.order, row, func(n, row uint32) int {
		switch b := &x.blocks[n]; {
		case b.r1 <= row:
			return -1
		case b.r0 > row:
			return 1
		}
		return 0
	})
	return &x.blocks[x.order[i]]
}

// leistung is the key of the i-th block in order.
func (x *index) leistung(i int) registry.Leistung { return x.blocks[x.order[i]].key }

// firstFrom gives the place in order of the first block whose key is at least a number.
func (x *index) firstFrom(key uint64) int {
	i, _ := slices.BinarySearchFunc(x.order, key, func(n uint32, key uint64) int {
		return cmp.Compare(x.blocks[n].key.Number(), key)
	})
	return i
}

// indexer builds an index from rows that come sorted.
type indexer struct {
	index
	byTraits map[traits]uint32
	sorted   []block
	nGroups  int
}

func newIndexer(places []place, ends []uint32, rows int) *indexer {
	x := &indexer{index: index{places: places, ends: ends}, byTraits: map[traits]uint32{}}
	x.hot = make([]hotRow, 0, rows)
	return x
}

// add appends a row of a Leistung.
func (x *indexer) add(l registry.Leistung, area, url uint32, t traits) {
	row := uint32(len(x.hot))
	if n := len(x.sorted); n == 0 || x.sorted[n-1].key != l {
		x.sorted = append(x.sorted, block{key: l, r0: row, r1: row})
	}
	b := &x.sorted[len(x.sorted)-1]
	if row > b.r0 && x.hot[row-1].area == area {
		t.flags |= flagFollows
	} else {
		x.nGroups++
	}
	b.r1++
	b.levels |= 1 << x.places[area].depth()
	b.adopted = b.adopted || t.flags&flagAdopted != 0
	b.open = b.open || !t.needsCover()
	n, ok := x.byTraits[t]
	if !ok {
		n = uint32(len(x.traits))
		x.traits = append(x.traits, t)
		x.byTraits[t] = n
	}
	x.hot = append(x.hot, hotRow{area, url, n})
}

// isUniform says whether all services of a block lead to one target that no adoption has to open.
func (x *indexer) isUniform(b *block) bool {
	one := uint32(none)
	for row := b.r0; row < b.r1; row++ {
		switch t := x.traitsOf(row); {
		case t.flags&flagPage != 0:
		case t.flags&flagClosed != 0 || one != none && !x.sameTarget(row, one):
			return false
		default:
			one = row
		}
	}
	return true
}

// done fills the hash tables: that of the blocks to at most two thirds, that of the groups to 64 %.
func (x *indexer) done() index {
	size := bits.Len(uint(len(x.sorted) + len(x.sorted)/2))
	x.shift = uint(64 - size)
	x.tags, x.blocks = make([]uint16, 1<<size), make([]block, 1<<size)
	x.groups = make([]bucket, x.nGroups/32*10+10)
	x.order = make([]uint32, len(x.sorted))
	for i := range x.sorted {
		b := &x.sorted[i]
		b.uniform = x.isUniform(b)
		x.order[i] = x.put(b)
		for row := b.r0; row < b.r1; row++ {
			if row+1 == b.r1 || x.traitsOf(row+1).flags&flagFollows == 0 {
				x.putGroup(x.order[i], row)
			}
		}
	}
	return x.index
}

// put writes a block into its table.
func (x *indexer) put(b *block) uint32 {
	h := mix(b.key.Number())
	mask := uint64(len(x.blocks) - 1)
	at := h >> x.shift
	for x.tags[at] != 0 {
		at = (at + 1) & mask
	}
	x.tags[at] = uint16(h)&^allLevels | uint16(b.levels)
	x.blocks[at] = *b
	return uint32(at)
}

// putGroup writes a group into its table.
func (x *indexer) putGroup(block, last uint32) {
	home, key := x.home(block, x.hot[last].area)
	for step := uint64(0); ; step++ {
		k := &x.groups[x.further(home, step)]
		for i := range k.ends {
			if k.ends[i] == 0 {
				k.keys[i], k.ends[i], k.traits[i] = key, last+1, x.hot[last].traits
				return
			}
		}
		k.over = 1
	}
}
