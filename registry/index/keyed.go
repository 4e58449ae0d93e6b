// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"
	"slices"

	"github.com/pvgate/pvgate/registry"
)

// A keyed text has marks, bytes below 0x20, where the text of a row has digits of the row's own Leistung or area. What
// has such bytes of itself begins with markPlain and has no marks.
const (
	markPlain    = 0x00
	markLeistung = 0x01 // 14 digits
	markAGS      = 0x02 // 8 digits: the Gemeinde's AGS
	markARS      = 0x10 // + n: the first n digits of the padded ARS
	markEnd      = 0x20 // one more than the largest

	leistungDigits = 14
	agsDigits      = 8
	arsDigits      = 12
	minARS         = 5 // shorter runs of digits are equal by chance
)

// keys are the digits that a row's texts may have in common with its place.
type keys struct {
	leistung [leistungDigits]byte
	ars      [arsDigits]byte
	ags      [agsDigits]byte // of a Gemeinde
	hasAGS   bool
}

func (k *keys) setLeistung(l registry.Leistung) { l.Append(k.leistung[:0]) }

func (k *keys) setArea(a registry.ARS) {
	a.AppendPadded(k.ars[:0])
	copy(k.ags[:], "00000000") // what only a file can say that no Builder made
	k.hasAGS = len(a.AppendAGS(k.ags[:0])) > 0
}

func keysOf(l registry.Leistung, a registry.ARS) (k keys) {
	k.setLeistung(l)
	k.setArea(a)
	return k
}

// digits are what a mark stands for; nil if it is none.
func (k *keys) digits(mark byte) []byte {
	switch {
	case mark == markLeistung:
		return k.leistung[:]
	case mark == markAGS:
		return k.ags[:]
	case mark >= markARS+minARS && mark <= markARS+arsDigits:
		return k.ars[:mark-markARS]
	}
	return nil
}

// mark is what a run of digits is written as; 0 if it is none of the keys.
func (k *keys) mark(run []byte) byte {
	switch n := len(run); {
	case n == leistungDigits && bytes.Equal(run, k.leistung[:]):
		return markLeistung
	case n == agsDigits && k.hasAGS && bytes.Equal(run, k.ags[:]):
		return markAGS
	case n >= minARS && n <= arsDigits && bytes.Equal(run, k.ars[:n]):
		return markARS + byte(n)
	}
	return 0
}

// appendKeyed appends a row's text in keyed form, and says whether it has a mark.
func (k *keys) appendKeyed(dst []byte, text string) (keyed []byte, marked bool) {
	at := len(dst)
	run := at // where the digits before the next byte begin
	end := func() {
		if len(dst)-run >= minARS {
			if m := k.mark(dst[run:]); m != 0 {
				dst, marked = append(dst[:run], m), true
			}
		}
	}
	for i := range len(text) {
		c := text[i]
		if c < markEnd {
			return append(append(dst[:at], markPlain), text...), false
		}
		if c < '0' || c > '9' {
			end()
			dst = append(dst, c)
			run = len(dst)
			continue
		}
		dst = append(dst, c)
	}
	end()
	return dst, marked
}

// expand replaces the marks of the keyed text dst[at:], in place where dst has room.
func (k *keys) expand(dst []byte, at int) []byte {
	if at < len(dst) && dst[at] == markPlain {
		return dst[:at+copy(dst[at:], dst[at+1:])]
	}
	from, more := len(dst), 0
	for _, c := range dst[at:] {
		if c < markEnd {
			more += len(k.digits(c)) - 1
		}
	}
	if more == 0 {
		return dst
	}
	dst = slices.Grow(dst, more)[:from+more]
	for to := len(dst); from > at; { // from behind: what is read has not been written over
		from--
		c := dst[from]
		if c >= markEnd {
			to--
			dst[to] = c
			continue
		}
		d := k.digits(c)
		to -= len(d)
		copy(dst[to:], d)
	}
	return dst
}

// wellKeyed says whether every byte below 0x20 is a mark, or the text begins with markPlain.
func wellKeyed(text []byte) bool {
	if len(text) > 0 && text[0] == markPlain {
		return true
	}
	var k keys
	for _, c := range text {
		if c < markEnd && k.digits(c) == nil {
			return false
		}
	}
	return true
}
