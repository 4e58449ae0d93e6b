// SPDX-License-Identifier: EUPL-1.2

package registry

import "slices"

// Types are codes of the code list Typisierung (urn:de:fim:leika:typisierung) as a set: who regulates a Leistung and who carries it
// out, and whether it is an application at all. The zero value says that none is known. It is as wide as a key in files.
type Types uint64

// typeCodes is the code list; a code's place is its bit.
func typeCodes() []string {
	return []string{
		"1", "2", "2a", "2b", "3", "3a", "3b", "2/3", "2/3a", "2/3b", "4", "4a", "4b", "5", "6", "7", "8", "9", "10", "11", "12",
	}
}

const (
	// OtherType stands for every code that the list lacks.
	OtherType Types = 1 << 63

	listedTypes      Types = 1<<21 - 1
	informationTypes Types = 1<<14 | 1<<15 | 1<<18 | 1<<19 | 1<<20 // 6, 7, 10, 11, 12
)

// ParseType reads one code.
func ParseType(code string) Types {
	if i := slices.Index(typeCodes(), code); i >= 0 {
		return 1 << i
	}
	return OtherType
}

// Codes are the codes in the order of the list, then "other".
func (t Types) Codes() (out []string) {
	for i, code := range typeCodes() {
		if t>>i&1 != 0 {
			out = append(out, code)
		}
	}
	if t&OtherType != 0 {
		out = append(out, "other")
	}
	return out
}

// Known says whether every bit stands for something.
func (t Types) Known() bool { return t&^(listedTypes|OtherType) == 0 }

// NotAnApplication says whether types are known and all of them are mere information (6, 7, 10, 11, 12; R13).
func (t Types) NotAnApplication() bool { return t != 0 && t&^informationTypes == 0 }
