// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"
	"slices"
	"strings"

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

func (k *keys) set(l registry.Leistung, a registry.ARS) {
	l.Append(k.leistung[:0])
	a.AppendPadded(k.ars[:0])
	k.hasAGS = len(a.AppendAGS(k.ags[:0])) > 0
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

// appendKeyed appends a row's text in keyed form, and says whether it has a mark. What is before from has none.
func (k *keys) appendKeyed(dst []byte, text string, from int) (keyed []byte, marked bool) {
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
		if c < '0' || c > '9' || i < from {
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

// width is how many digits a mark stands for; 0 if it is none.
func width(mark byte) int {
	switch {
	case mark == markLeistung:
		return leistungDigits
	case mark == markAGS:
		return agsDigits
	case mark >= markARS+minARS && mark <= markARS+arsDigits:
		return int(mark - markARS)
	}
	return 0
}

// number is what the digits of a mark say at a place.
func number(mark byte, l registry.Leistung, a registry.ARS) uint64 {
	n := a.Number()
	switch mark {
	case markLeistung:
		return l.Number()
	case markAGS:
		return n/1e7*1e3 + n%1e3
	}
	for range markARS + arsDigits - int(mark) {
		n /= 10
	}
	return n
}

// expand replaces the marks of the keyed text dst[at:], in place where dst has room.
func expand(dst []byte, at int, l registry.Leistung, a registry.ARS) []byte {
	if at < len(dst) && dst[at] == markPlain {
		return dst[:at+copy(dst[at:], dst[at+1:])]
	}
	from, more := len(dst), 0
	for _, c := range dst[at:] {
		if c < markEnd {
			more += width(c) - 1
		}
	}
	dst = slices.Grow(dst, more)[:from+more]
	for to := len(dst); from < to; { // from behind: what is read has not been written over
		from--
		to--
		c := dst[from]
		if c >= markEnd {
			dst[to] = c
			continue
		}
		n := number(c, l, a)
		for range width(c) - 1 {
			dst[to] = '0' + byte(n%10)
			n /= 10
			to--
		}
		dst[to] = '0' + byte(n%10)
	}
	return dst
}

// authorityEnd is where the path of a URL begins, or what follows its host and port else. Before it stands no mark: whose
// host it is must not depend on the place.
func authorityEnd(url string) int {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return 0
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[i:]
	} else {
		rest = ""
	}
	return len(url) - len(rest)
}

// wellKeyed says whether every byte below 0x20 is a mark, or the text begins with markPlain and has to.
func wellKeyed(text []byte) bool {
	if len(text) > 0 && text[0] == markPlain {
		return firstMark(text[1:]) >= 0
	}
	for _, c := range text {
		if c < markEnd && width(c) == 0 {
			return false
		}
	}
	return true
}

// firstMark is where a text has its first byte below 0x20, -1 without one.
func firstMark(text []byte) int {
	return slices.IndexFunc(text, func(c byte) bool { return c < markEnd })
}
