// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"errors"
	"math"
)

// provenance is the line of each row in its file: for each block the least line, and of its rows what they are more, in
// as many bytes as the block's largest needs. Sources keep what belongs together near, so that is two or three.
type provenance struct {
	lines []lineColumn // by block
	data  []byte
}

// lineColumn is one block's part: first its groups', then those of its rows that share a group with others.
type lineColumn struct {
	At    uint32 // in data
	Least uint32
	Width uint32 // bytes of each
}

// line is a row's line. It searches the row's block.
func (p *provenance) line(g *Grid, row uint32) uint32 {
	n := g.blockOf(row)
	b, c := &g.blocks[n], &p.lines[n]
	i := row - b.Group
	if groups := uint32(len(g.groups)); row >= groups {
		i = b.Groups + row - groups - b.More
	}
	return c.Least + littleEndian(p.data[c.At+i*c.Width:][:c.Width])
}

func littleEndian(b []byte) (n uint32) {
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | uint32(b[i])
	}
	return n
}

// add appends a block's lines.
func (p *provenance) add(lines []uint32) {
	least, most := lines[0], lines[0]
	for _, l := range lines {
		least, most = min(least, l), max(most, l)
	}
	c := lineColumn{At: uint32(len(p.data)), Least: least}
	for n := most - least; n > 0; n >>= 8 {
		c.Width++
	}
	for _, l := range lines {
		for i := range c.Width {
			p.data = append(p.data, byte((l-least)>>(8*i)))
		}
	}
	p.lines = append(p.lines, c)
}

var errProvenance = errors.New("the lines of rows are damaged")

// check holds that the column has one line for each row, in the form that add gives it.
func (p *provenance) check(g *Grid) error {
	if len(p.lines) != len(g.blocks) {
		return errProvenance
	}
	at := uint64(0)
	for i, c := range p.lines {
		if uint64(c.At) != at || c.Width > 4 {
			return errProvenance
		}
		at += uint64(c.Width) * uint64(g.rowsOf(uint32(i)))
		if at > uint64(len(p.data)) {
			return errProvenance
		}
		least, most := uint32(1<<32-1), uint32(0)
		for d := p.data[c.At:at]; len(d) > 0; d = d[c.Width:] {
			n := littleEndian(d[:c.Width])
			least, most = min(least, n), max(most, n)
		}
		if c.Width > 0 && (least != 0 || most>>(8*(c.Width-1)) == 0) || uint64(c.Least)+uint64(most) > math.MaxInt32 {
			return errProvenance
		}
	}
	if at != uint64(len(p.data)) {
		return errProvenance
	}
	return nil
}
