// SPDX-License-Identifier: EUPL-1.2

package registry

import "cmp"

// Level is the depth of an area, as the number of digits of its Amtlicher Regionalschlüssel.
type Level uint8

// The levels, from the whole to its parts.
const (
	LevelBund     Level = 0
	LevelLand     Level = 2
	LevelRB       Level = 3 // Regierungsbezirk or statistische Region
	LevelKreis    Level = 5
	LevelVerband  Level = 9 // Gemeindeverband
	LevelGemeinde Level = 12
)

// String is the German word.
func (l Level) String() string {
	switch l {
	case LevelBund:
		return "Bund"
	case LevelLand:
		return "Land"
	case LevelRB:
		return "Regierungsbezirk"
	case LevelKreis:
		return "Kreis"
	case LevelVerband:
		return "Gemeindeverband"
	case LevelGemeinde:
		return "Gemeinde"
	default:
		return "?"
	}
}

// Valid says whether l is one of the six levels.
func (l Level) Valid() bool {
	switch l {
	case LevelBund, LevelLand, LevelRB, LevelKreis, LevelVerband, LevelGemeinde:
		return true
	default:
		return false
	}
}

// arsDigits is the length of a full ARS: Land 2, RB 1, Kreis 2, Gemeindeverband 4, Gemeinde 3.
const arsDigits = 12

// pow10 are the powers that cut a padded ARS at a number of digits.
var pow10 = [arsDigits + 1]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12}

// ARS is an Amtlicher Regionalschlüssel together with its level: 06534 (a Kreis) and 065340000000 (no Gemeinde) are
// different values. The zero value is the Bund. Comparable.
type ARS struct {
	n     uint64 // the twelve digits, padded with zeros behind, as a number
	level Level
}

// ParseARS reads 2, 3, 5, 9 or 12 ASCII digits; zeros only are the Bund. It needs no directory of areas and so knows
// neither AGS nor padded keys: requests and rows go through [Areas]. It does not allocate unless it fails; the error
// is a *[KeyError].
func ParseARS[S ~string | ~[]byte](s S) (ARS, error) {
	k, ok := parseKey(s)
	if !ok || k.digits == 8 && k.n != 0 {
		e := &KeyError{What: "area", Value: clip(s)}
		if ok {
			e.Hint = "8 digits are an AGS, not an ARS"
		}
		return ARS{}, e
	}
	return k.ars(), nil
}

// areaKey is an area key as written: its digits, without any knowledge of areas.
type areaKey struct {
	n      uint64 // the digits as a number, not padded
	digits int    // 2, 3, 5, 8, 9 or 12
}

// parseKey is the grammar of R2.
func parseKey[S ~string | ~[]byte](s S) (k areaKey, ok bool) {
	switch len(s) {
	case 2, 3, 5, 8, 9, 12:
	default:
		return areaKey{}, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return areaKey{}, false
		}
		k.n = k.n*10 + uint64(c)
	}
	k.digits = len(s)
	return k, true
}

// ars reads the key as an ARS, which an AGS (8 digits) is not.
func (k areaKey) ars() ARS {
	if k.n == 0 {
		return ARS{}
	}
	return ARS{n: k.n * pow10[arsDigits-k.digits], level: Level(k.digits)}
}

// String gives the digits of the level: "06534"; "" for the Bund.
func (a ARS) String() string {
	var b [arsDigits]byte
	return string(a.Append(b[:0]))
}

// Padded gives twelve digits: "065340000000"; "000000000000" for the Bund.
func (a ARS) Padded() string {
	var b [arsDigits]byte
	return string(a.AppendPadded(b[:0]))
}

// Append appends what [ARS.String] gives.
func (a ARS) Append(dst []byte) []byte {
	return appendDigits(dst, a.n/pow10[arsDigits-a.level], int(a.level))
}

// AppendPadded appends what [ARS.Padded] gives.
func (a ARS) AppendPadded(dst []byte) []byte { return appendDigits(dst, a.n, arsDigits) }

// AppendAGS appends the Amtlicher Gemeindeschlüssel (digits 1–5 and 10–12) of a Gemeinde, nothing above it.
func (a ARS) AppendAGS(dst []byte) []byte {
	if a.level != LevelGemeinde {
		return dst
	}
	return appendDigits(dst, a.agsNumber(), 8)
}

// AGS is the Amtlicher Gemeindeschlüssel of a Gemeinde, "" above it.
func (a ARS) AGS() string {
	var b [8]byte
	return string(a.AppendAGS(b[:0]))
}

func (a ARS) agsNumber() uint64 { return a.n/1e7*1e3 + a.n%1e3 }

// verband is the four digits of the Gemeindeverband.
func (a ARS) verband() uint64 { return a.n / 1e3 % 1e4 }

// MarshalText gives [ARS.String].
func (a ARS) MarshalText() ([]byte, error) { return a.Append(nil), nil }

// UnmarshalText is [ParseARS]; an empty text is the Bund.
func (a *ARS) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*a = ARS{}
		return nil
	}
	*a, err = ParseARS(text)
	return err
}

// Level is how deep the area lies.
func (a ARS) Level() Level { return a.level }

// Number is the padded key as a number below 10^12.
func (a ARS) Number() uint64 { return a.n }

// Land is the number of the Land, 0 for the Bund.
func (a ARS) Land() uint8 { return uint8(a.n / 1e10) }

// IsBund says whether a is the Bund.
func (a ARS) IsBund() bool { return a.level == LevelBund }

// At cuts the key at a level above its own; at or below its own level it is a itself.
func (a ARS) At(l Level) ARS {
	if l >= a.level {
		return a
	}
	cut := pow10[arsDigits-l]
	return ARS{n: a.n / cut * cut, level: l}
}

// Contains says whether b is a or begins with a's digits. It compares keys; whether two keys are one territory (R3) is
// [Areas]' business.
func (a ARS) Contains(b ARS) bool { return b.level >= a.level && b.At(a.level) == a }

// Compare orders by padded key, then by level: an area comes before all that lies inside it.
func (a ARS) Compare(b ARS) int {
	if c := cmp.Compare(a.n, b.n); c != 0 {
		return c
	}
	return cmp.Compare(a.level, b.level)
}
