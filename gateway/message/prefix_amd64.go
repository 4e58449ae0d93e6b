// SPDX-License-Identifier: EUPL-1.2

package message

import "golang.org/x/sys/cpu"

// Prefix returns how many leading octets belong to the class. Heads consist of
// long runs of few classes, so it looks at as many at a time as the processor can.
func (c Class) Prefix(b []byte) int {
	return prefix(b, &nibbles[c])
}

// prefix returns how many octets of b belong to a class before the first that does not. It reads up to fifteen octets behind
// b, but none in another page.
//
//go:noescape
func prefix(b []byte, class *nibbleSets) int

// wide says whether the processor has AVX2; prefix goes octet by octet where it has not.
var wide = cpu.X86.HasAVX2

// nibbleSets is a class as a byte shuffle looks it up: an octet belongs to it if the sets of its two nibbles, the lower and
// the higher, have a bit in common. Every bit stands for rows of the code table, 16 octets each, that are alike.
type nibbleSets struct{ low, high [16]byte }

var nibbles = makeNibbles()

func makeNibbles() (t [allClasses]nibbleSets) {
	for i := range t {
		rows := make(map[uint16]byte) // which columns of a row belong to the class: its bit
		for h := range 16 {
			var columns uint16
			for l := range 16 {
				if Class(i).Has(byte(h<<4 | l)) {
					columns |= 1 << l
				}
			}
			if columns == 0 {
				continue
			}
			bit, known := rows[columns]
			if !known {
				bit = 1 << len(rows) // eight rows of ASCII, and all others are alike and full, or empty
				rows[columns] = bit
			}
			t[i].high[h] = bit
			for l := range 16 {
				if columns>>l&1 != 0 {
					t[i].low[l] |= bit
				}
			}
		}
	}
	return t
}
