// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"cmp"

	"github.com/pvgate/pvgate/registry"
)

// GridBuilder makes a [Grid] of rows that come sorted: by Leistung, then in [Places.Compare]'s order of areas.
type GridBuilder struct {
	g    Grid
	area uint32 // of the last row
}

// NewGridBuilder begins a grid.
func NewGridBuilder(p *Places) *GridBuilder { return &GridBuilder{g: Grid{places: p}} }

// Compare is the order of areas in a [Grid]: by level, then by id.
func (p *Places) Compare(a, b uint32) int {
	return cmp.Or(cmp.Compare(p.list[a].Depth(), p.list[b].Depth()), cmp.Compare(a, b))
}

// Add appends a row.
func (b *GridBuilder) Add(l registry.Leistung, area, value uint32) {
	g := &b.g
	fresh := len(g.blocks) == 0 || g.blocks[len(g.blocks)-1].Key != l
	if fresh {
		g.blocks = append(g.blocks, Block{
			Key: l, Line: uint32(len(g.lines)), Group: uint32(len(g.groups)), More: uint32(len(g.more)),
		})
	}
	k := &g.blocks[len(g.blocks)-1]
	if !fresh && b.area == area {
		b.another(value)
		return
	}
	b.area = area
	p := g.places.list[area]
	if k.Mask>>p.line()&1 == 0 {
		k.Mask |= 1 << p.line()
		g.lines = append(g.lines, Line{uint64(len(g.groups))})
	}
	g.lines[len(g.lines)-1][1+p.bit()/64] |= 1 << (p.bit() % 64)
	k.Groups++
	g.groups = append(g.groups, value)
}

// another adds a row to the last group.
func (b *GridBuilder) another(value uint32) {
	g := &b.g
	last := &g.groups[len(g.groups)-1]
	if *last&severalRows == 0 {
		g.more = append(g.more, *last)
		*last = severalRows | uint32(len(g.more)-1)
	}
	g.more[len(g.more)-1] |= rowFollows
	g.more = append(g.more, value)
}

// Grid is what was added.
func (b *GridBuilder) Grid() *Grid {
	b.g.hash()
	return &b.g
}
