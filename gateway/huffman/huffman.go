// SPDX-License-Identifier: EUPL-1.2

// Package huffman is the code of strings that HPACK and QPACK share (RFC 7541, appendix B).
//
// The call you want: [Append], which decodes. Nothing of ours encodes: on today's lines the octets saved are worth less
// than the time.
package huffman

import "slices"

// The Huffman code of RFC 7541, appendix B, is canonical: the lengths of the codes say all about them. Codes of up to
// eight bits, in which nearly everything is written, are looked up; longer ones are found by comparing.

// lengths holds the length of each octet's code, as a letter: '@' is 0.
const lengths = "" +
	"MW\\\\\\\\\\\\\\X^\\\\^\\\\\\\\\\\\\\\\^\\\\\\\\\\\\\\\\\\" +
	"FJJLMFHKJJHKHFFFEEEFFFFFFFGHOFLJ" +
	"MFGGGGGGGGGGGGGGGGGGGGGGHGHMSMNF" +
	"OEFEFEFFFEGGFFFEFGFEEFGGGGGOKNM\\" +
	"TVTTVVVWVWWWWWXWXXVWXWWWWUVWVWWX" +
	"VUTVVWWUWVVXUVWWUUVUWVWWTVVVWVVW" +
	"ZZTSVWVYZZZ[[ZXYSUZ[[Z[XUUZZ\\[[[" +
	"TXTUVUUWVVYYXXZWZ[ZZ[[[[[\\[[[[[Z"

// eosLength is the length of the code of EOS, which is the last one and stands in no string.
const eosLength = 30

type letter struct{ octet, bits uint8 }

// tier is what there is of one length above eight bits: codes from first on, left-aligned in 32 bits, up to limit.
type tier struct {
	bits         uint8
	from         uint8 // index of its first octet in rare
	first, limit uint32
}

var table = makeTables()

type tables struct {
	short [256]letter // by the next eight bits; bits = 0: longer
	tiers []tier
	rare  []uint8 // octets of the longer codes, in the order of these
}

func makeTables() (t tables) {
	code := uint64(0) // left-aligned in 32 bits
	for bits := uint8(5); bits <= eosLength; bits++ {
		step := uint64(1) << (32 - bits)
		one := tier{bits: bits, from: uint8(len(t.rare)), first: uint32(code)}
		for octet := range 256 {
			if lengths[octet]-'@' != bits {
				continue
			}
			if bits <= 8 {
				for i := code >> 24; i < (code+step)>>24; i++ {
					t.short[i] = letter{uint8(octet), bits}
				}
			} else {
				t.rare = append(t.rare, uint8(octet))
			}
			code += step
		}
		if one.limit = uint32(code); bits > 8 && one.limit != one.first {
			t.tiers = append(t.tiers, one)
		}
	}
	return t
}

// Append appends the decoded string. ok is false if src is no encoding of anything: EOS in it, or an end that is
// not up to seven ones (RFC 7541, section 5.2).
func Append(dst, src []byte) (_ []byte, ok bool) {
	at := len(dst)
	dst = slices.Grow(dst, len(src)*8/5)[:at+len(src)*8/5] // the shortest codes have five bits
	var acc uint64                                         // the next bits, left-aligned
	var n uint                                             // how many
	for {
		for n <= 56 && len(src) > 0 {
			acc |= uint64(src[0]) << (56 - n)
			n += 8
			src = src[1:]
		}
		c := table.short[acc>>56]
		bits := uint(c.bits)
		if bits == 0 {
			if n < 8 {
				break
			}
			if c, ok = longCode(uint32(acc >> 32)); !ok || uint(c.bits) > n {
				return dst[:at], false
			}
			bits = uint(c.bits)
		} else if bits > n {
			break
		}
		dst[at] = c.octet
		at++
		acc <<= bits
		n -= bits
	}
	return dst[:at], n < 8 && acc>>(64-n) == 1<<n-1
}

// longCode finds the code of more than eight bits that v begins with.
func longCode(v uint32) (c letter, ok bool) {
	for i := range table.tiers {
		if t := &table.tiers[i]; v < t.limit {
			return letter{table.rare[t.from+uint8((v-t.first)>>(32-t.bits))], t.bits}, true
		}
	}
	return c, false
}
