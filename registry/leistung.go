// SPDX-License-Identifier: EUPL-1.2

package registry

import "cmp"

// leistungDigits is the length of a Leistungsschlüssel: 99 GGG KKK VVV DDD (instance, Leistungsgruppierung,
// Leistungskennung, Verrichtungskennung, Verrichtungsdetail).
const leistungDigits = 14

// leistungPrefix may stand before the digits, in any case (R1).
const leistungPrefix = "urn:de:fim:leika:leistung:"

// Leistung is a Leistungsschlüssel: 14 decimal digits (R1). Keys that begin with 99 are federal, all others local.
// It is comparable and orders as its text does. The zero value is no Leistung.
type Leistung struct {
	n uint64 // the number plus one, so that the zero value is not the key of 14 zeros
}

// ParseLeistung reads a key as R1 says: ASCII space, dot and hyphen are ignored, the FIM URN prefix is optional.
// It does not allocate unless it fails; the error is a *[KeyError].
func ParseLeistung[S ~string | ~[]byte](s S) (Leistung, error) {
	if n, ok := parseLeistung(s); ok {
		return Leistung{n + 1}, nil
	}
	return Leistung{}, leistungError(clip(s))
}

func parseLeistung[S ~string | ~[]byte](s S) (n uint64, ok bool) {
	digits, prefix := 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ' ' || c == '.' || c == '-':
		case c >= '0' && c <= '9' && (prefix == 0 || prefix == len(leistungPrefix)):
			if digits++; digits > leistungDigits {
				return 0, false
			}
			n = n*10 + uint64(c-'0')
		case digits == 0 && prefix < len(leistungPrefix) && lower(c) == leistungPrefix[prefix]:
			prefix++
		default:
			return 0, false
		}
	}
	return n, digits == leistungDigits
}

// lower folds ASCII only: a Kelvin sign is no k.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

func leistungError(value string) error {
	e := &KeyError{What: "leistung", Value: value}
	digits := 0
	for i := range len(value) {
		if value[i] >= '0' && value[i] <= '9' {
			digits++
		}
	}
	switch digits {
	case leistungDigits:
		e.Hint = "only digits, spaces, dots and hyphens, e.g. 99050012104000"
	case leistungDigits - 1:
		e.Hint = "13 digits: one is missing; was the key kept as a number?"
	}
	return e
}

// String gives the 14 digits, or "" for the zero value.
func (l Leistung) String() string {
	if l.n == 0 {
		return ""
	}
	var b [leistungDigits]byte
	return string(l.Append(b[:0]))
}

// Append appends the 14 digits, nothing for the zero value.
func (l Leistung) Append(dst []byte) []byte {
	if l.n == 0 {
		return dst
	}
	return appendDigits(dst, l.n-1, leistungDigits)
}

// MarshalText gives the 14 digits: a key is a text in every file format, never a number.
func (l Leistung) MarshalText() ([]byte, error) { return l.Append(nil), nil }

// UnmarshalText is [ParseLeistung]; an empty text is the zero value.
func (l *Leistung) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*l = Leistung{}
		return nil
	}
	*l, err = ParseLeistung(text)
	return err
}

// IsZero says whether l is no Leistung.
func (l Leistung) IsZero() bool { return l.n == 0 }

// Number is the key as a number below 10^14; order and equality are those of the keys.
func (l Leistung) Number() uint64 {
	if l.n == 0 {
		return 0
	}
	return l.n - 1
}

// Federal says whether the key is the federal catalogue's (99…); local keys have entries only at a Land or deeper,
// no parent and no successor (R1).
func (l Leistung) Federal() bool { return l.n != 0 && (l.n-1)/1e12 == 99 }

// Parent is the key with Verrichtungsdetail 000 (…VVV000), or zero if l is local or has none but itself (R8).
func (l Leistung) Parent() Leistung {
	if !l.Federal() || (l.n-1)%1000 == 0 {
		return Leistung{}
	}
	return Leistung{(l.n-1)/1000*1000 + 1}
}

// Group is the Leistungsgruppierung "99GGG" of a federal key, "" for all others.
func (l Leistung) Group() string {
	if !l.Federal() {
		return ""
	}
	var b [5]byte
	return string(appendDigits(b[:0], l.GroupNumber(), 5))
}

// GroupNumber is the number of the first five digits.
func (l Leistung) GroupNumber() uint64 { return l.Number() / 1e9 }

// Compare orders by key; the zero value comes first.
func (l Leistung) Compare(m Leistung) int { return cmp.Compare(l.n, m.n) }

// appendDigits appends n with exactly width digits.
func appendDigits(dst []byte, n uint64, width int) []byte {
	var b [20]byte
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, b[:width]...)
}
