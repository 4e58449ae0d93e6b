// SPDX-License-Identifier: EUPL-1.2

package registrytest

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// SectionPoison is one way in which a section of an index can be bad in a file that is whole. None may ever be read.
type SectionPoison struct {
	Name, Tag string
	// Damage changes a copy of a section. What it returns is as it was where the section has nothing of the kind.
	Damage func(section []byte) []byte
}

// typesTag is the section of types of Leistungen, which an index of sources without any lacks.
const typesTag = "index.types"

// SectionPoisons are sections with more than rows lead to, or less, in another order, or with what no row can have. Package
// index says what is in each.
func SectionPoisons() (all []SectionPoison) {
	for _, t := range []struct {
		tag    string
		size   int  // of a value
		sorted bool // by what is in them, without one twice
	}{
		{"index.areas", 1, false},
		{"index.sources", 1, false},
		{"index.blocks", 32, true},
		{"index.lines", 64, true},
		{"index.groups", 4, false},
		{"index.more", 4, false},
		{"index.records", 24, true},
		{"index.traits", 12, true},
		{"index.contexts", 12, true},
		{"index.extras", 28, true},
		{"index.others", 8, false},
		{"index.origins", 8, true},
		{"index.spans", 16, true},
		{"index.heads", 4, true},
		{"index.texts", 1, false},
		{"index.ids", 4, false}, // the first two are 0
		{"index.idtexts", 1, false},
		{"index.columns", 12, true},
		{"index.from", 1, false},
		{typesTag, 16, true},
	} {
		add := func(name string, damage func([]byte) []byte) {
			all = append(all, SectionPoison{name, t.tag, func(section []byte) []byte { return damage(slices.Clone(section)) }})
		}
		last := func(s []byte) int { return max(0, len(s)-t.size) }
		add("nothing", func([]byte) []byte { return nil })
		if t.tag != typesTag { // fewer are types of fewer Leistungen: no row depends on them
			add("half", func(s []byte) []byte { return s[:len(s)/2] })
			add("without its last value", func(s []byte) []byte { return s[:last(s)] })
		}
		add("ones", func(s []byte) []byte { return bytes.Repeat([]byte{0xff}, len(s)) })
		add("zeros behind it", func(s []byte) []byte { return append(s, make([]byte, t.size)...) })
		add("ones behind it", func(s []byte) []byte { return append(s, bytes.Repeat([]byte{0xff}, t.size)...) })
		add("its last value again", func(s []byte) []byte { return append(s, s[last(s):]...) })
		if t.sorted {
			add("two values in each other's place", func(s []byte) []byte {
				if at := last(s); at >= 2*t.size {
					return slices.Concat(s[:at-t.size], s[at:], s[at-t.size:at])
				}
				return s
			})
		}
	}
	return append(all, valuePoisons()...)
}

// valuePoisons change single numbers. Of each table the first value is nobody's.
func valuePoisons() []SectionPoison {
	set := func(name, tag string, at int, v uint32) SectionPoison {
		return SectionPoison{name, tag, func(section []byte) []byte {
			section = slices.Clone(section)
			if len(section) >= at+4 {
				binary.LittleEndian.PutUint32(section[at:], v)
			}
			return section
		}}
	}
	return []SectionPoison{
		set("a row of nobody's record", "index.groups", 0, 0),
		set("a row of a record that is not there", "index.groups", 0, 1<<30),
		set("nobody's record with an address", "index.records", 4, 1),
		set("nobody's traits with hosts", "index.traits", 4, 1),
		set("nobody's context", "index.contexts", 0, 1),
		set("nobody's extra with a priority", "index.extras", 24, 7),
		set("nobody's origin", "index.origins", 4, 1),
		set("no dates that are some", "index.spans", 0, 1),
		set("traits without hosts", "index.traits", 12+4, 0),
		set("traits of no source, with unknown flags", "index.traits", 12+8, 1<<32-1),
		set("rows of groups before their own", "index.blocks", 24, 1),
		set("types that there are not", typesTag, 8, 1<<22),
		set("types of no Leistung", typesTag, 4, 1<<31),
	}
}
