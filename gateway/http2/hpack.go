// SPDX-License-Identifier: EUPL-1.2

package http2

import (
	"github.com/pvgate/pvgate/gateway/huffman"
	"github.com/pvgate/pvgate/gateway/message"
)

// tableSize is the size of the dynamic table that the client may use: the default of SETTINGS_HEADER_TABLE_SIZE.
const tableSize = 4096

// entryOverhead is what an entry costs beyond its octets (RFC 7541, section 4.1).
const entryOverhead = 32

// maxEntries is how many entries the table can have: of nothing but overhead.
const maxEntries = tableSize / entryOverhead

// entry is one field of the dynamic table: where its name begins, its value follows.
type entry struct {
	at          uint32
	name, value uint16
	id          message.FieldID
	cause       message.HeadCause // of the name
}

// dynamicTable is the dynamic table (RFC 7541, section 2.3.2): entries and octets, each in a ring, so that adding costs
// what is added and never moves what is there.
type dynamicTable struct {
	octets  [tableSize]byte
	entries [maxEntries]entry
	newest  uint32 // its index, modulo maxEntries
	count   int
	end     uint32 // where the next entry's octets go, modulo tableSize
	size    int
}

// decoder reads header blocks. The zero value is ready after max and budget have been set.
type decoder struct {
	table  *dynamicTable // nil as long as the client adds nothing
	max    int           // size of the table, which the client may lower
	bomb   bool          // the block stood for far more than it says
	budget int           // octets that a block may stand for
}

// bombFactor is how many times the octets of the largest head a block may stand for. References of two octets to
// kilobytes are decoded however little is kept of them, since what they mean may be entered into the table.
const bombFactor = 8

// decode gives the lines of one header block to a. It appends their octets to text, of which a's head has slices; a line
// that a does not take leaves none. ok is false if the block is no encoding of anything, or a bomb; then the connection is
// lost, since nobody knows the table any more (RFC 7541, section 2.2).
func (d *decoder) decode(b []byte, a *message.Assembler, text []byte) (_ []byte, ok bool) {
	fields, budget := false, d.budget
	for len(b) > 0 {
		mark := len(text)
		c := b[0]
		switch {
		case c >= 0x80: // indexed
			var i int
			if i, b, ok = integer(b, 7); !ok {
				return text, false
			}
			var dropped int
			if text, dropped, ok = d.indexed(i, a, text); !ok {
				return text, false
			}
			budget -= dropped
		case c&0xe0 == 0x20: // size of the table, before any field (RFC 7541, section 4.2)
			var size int
			if size, b, ok = integer(b, 5); !ok || fields || size > tableSize {
				return text, false
			}
			d.resize(size)
			continue
		default:
			if b, text, ok = d.literal(b, a, text); !ok {
				return text, false
			}
		}
		fields = true
		if budget -= len(text) - mark; budget < 0 {
			d.bomb = true
			return text[:mark], false
		}
		if a.Failed() {
			text = text[:mark]
		}
	}
	return text, true
}

// indexed is a field that stands in a table. Of one that nobody wants any more it says how many octets it stands for.
func (d *decoder) indexed(i int, a *message.Assembler, text []byte) (_ []byte, dropped int, ok bool) {
	if i > 0 && i < len(static) {
		f := &static[i]
		a.Known(f.name, f.value, f.id)
		return text, 0, true
	}
	e := d.entry(i)
	if e == nil {
		return text, 0, false
	}
	if a.Failed() {
		return text, int(e.name) + int(e.value), true
	}
	at := len(text)
	text = d.table.copy(text, e.at, int(e.name)+int(e.value))
	line := text[at:len(text):len(text)]
	give(a, line[:e.name:e.name], line[e.name:], e.id, e.cause)
	return text, 0, true
}

func give(a *message.Assembler, name, value []byte, id message.FieldID, cause message.HeadCause) {
	if cause != message.HeadFine {
		a.Field(name, value) // which says why not
		return
	}
	a.Known(name, value, id)
}

// literal is a field that is written out, its name perhaps as an index, with or without becoming an entry.
func (d *decoder) literal(b []byte, a *message.Assembler, text []byte) (_, _ []byte, ok bool) {
	add, prefix := b[0]&0x40 != 0, uint(4)
	if add {
		prefix = 6
	}
	i, b, ok := integer(b, prefix)
	if !ok {
		return b, text, false
	}
	var name []byte
	var id message.FieldID
	cause := message.HeadFine
	at := len(text)
	switch {
	case i == 0:
		if b, text, ok = str(b, text); !ok {
			return b, text, false
		}
		name = text[at:len(text):len(text)]
		id, cause = message.LowerName(name)
	case i < len(static):
		name, id = static[i].name, static[i].id
	default:
		e := d.entry(i)
		if e == nil {
			return b, text, false
		}
		text = d.table.copy(text, e.at, int(e.name))
		name = text[at:len(text):len(text)]
		id, cause = e.id, e.cause
	}
	at = len(text)
	if b, text, ok = str(b, text); !ok {
		return b, text, false
	}
	value := text[at:len(text):len(text)]
	give(a, name, value, id, cause)
	if add {
		d.add(name, value, id, cause)
	}
	return b, text, true
}

// entry returns an entry by its index in the address space of both tables, nil if there is none.
func (d *decoder) entry(i int) *entry {
	i -= len(static)
	if i < 0 || d.table == nil || i >= d.table.count {
		return nil
	}
	return &d.table.entries[(d.table.newest-uint32(i))%maxEntries]
}

// resize sets the size of the table; what does not fit any more goes.
func (d *decoder) resize(size int) {
	d.max = size
	if d.table != nil {
		d.table.shrink(size)
	}
}

func (d *decoder) add(name, value []byte, id message.FieldID, cause message.HeadCause) {
	size := len(name) + len(value) + entryOverhead
	if d.table == nil {
		if size > d.max {
			return
		}
		d.table = new(dynamicTable)
	}
	t := d.table
	t.shrink(max(d.max-size, 0))
	if size > d.max {
		return // and the table is empty (RFC 7541, section 4.4)
	}
	t.newest++
	t.count++
	t.size += size
	t.entries[t.newest%maxEntries] = entry{at: t.end, name: uint16(len(name)), value: uint16(len(value)), id: id, cause: cause}
	t.put(name)
	t.put(value)
}

// shrink drops the oldest entries until what is left fits.
func (t *dynamicTable) shrink(size int) {
	for t.size > size {
		t.count--
		oldest := &t.entries[(t.newest-uint32(t.count))%maxEntries]
		t.size -= int(oldest.name) + int(oldest.value) + entryOverhead
	}
}

func (t *dynamicTable) put(b []byte) {
	n := copy(t.octets[t.end%tableSize:], b)
	copy(t.octets[:], b[n:])
	t.end += uint32(len(b))
}

// copy appends n octets that begin at a place.
func (t *dynamicTable) copy(dst []byte, at uint32, n int) []byte {
	from := int(at % tableSize)
	if end := from + n; end > tableSize {
		dst = append(dst, t.octets[from:]...)
		return append(dst, t.octets[:end-tableSize]...)
	}
	return append(dst, t.octets[from:from+n]...)
}

// maxInteger is more than any index or length here can be.
const maxInteger = 1 << 24

// integer reads an integer with a prefix of so many bits (RFC 7541, section 5.1).
func integer(b []byte, prefix uint) (v int, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, b, false
	}
	top := 1<<prefix - 1
	v = int(b[0]) & top
	b = b[1:]
	if v < top {
		return v, b, true
	}
	for shift := uint(0); shift < 28 && len(b) > 0; shift += 7 {
		c := b[0]
		b = b[1:]
		v += int(c&0x7f) << shift
		if c < 0x80 {
			return v, b, v < maxInteger
		}
	}
	return 0, b, false
}

// str reads a string and appends it to text (RFC 7541, section 5.2).
func str(b, text []byte) (rest, _ []byte, ok bool) {
	if len(b) == 0 {
		return b, text, false
	}
	coded := b[0]&0x80 != 0
	n, b, ok := integer(b, 7)
	if !ok || n > len(b) {
		return b, text, false
	}
	if coded {
		text, ok = huffman.Append(text, b[:n])
		return b[n:], text, ok
	}
	return b[n:], append(text, b[:n]...), true
}
