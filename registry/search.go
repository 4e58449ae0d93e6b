// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxSearch is the most areas that [Areas.Search] gives.
const MaxSearch = 20

// nameIndex finds areas by the beginning of a name or of a word in it. It is sorted by text.
type nameIndex []nameKey

type nameKey struct {
	text string // folded; from the word on to the end of the name
	id   AreaID
	word bool // text begins inside the name
}

// indexNames folds every name twice if it has umlauts: people write "München", "Muenchen" and "Munchen".
func indexNames(areas []Area) nameIndex {
	x := make(nameIndex, 0, 2*len(areas))
	for i := range areas {
		long, short := fold(areas[i].Name, true)
		x = x.add(long, short, AreaID(i))
		if isASCII(areas[i].Name) {
			continue
		}
		if plain, short := fold(areas[i].Name, false); plain != long {
			x = x.add(plain, short, AreaID(i))
		}
	}
	slices.SortFunc(x, func(a, b nameKey) int {
		return cmp.Or(strings.Compare(a.text, b.text), cmp.Compare(a.id, b.id))
	})
	return x
}

// add indexes a folded name and its words up to short; behind that stand titles ("Landeshauptstadt") that nobody looks
// for.
func (x nameIndex) add(name string, short int, id AreaID) nameIndex {
	x = append(x, nameKey{text: name, id: id})
	for i := 1; i < min(short, len(name)); i++ {
		if name[i-1] == ' ' {
			x = append(x, nameKey{text: name[i:], id: id, word: true})
		}
	}
	return x
}

// Search finds areas for type-ahead: names that begin with q, then names with a word that begins with q. Case, umlauts
// and accents do not matter. Digits are looked for at the beginning of ARS and AGS. It gives at most limit (≤
// [MaxSearch]) ids, likeliest first; areas that do not exist at that time are left out. Names are ambiguous (there are
// eleven Neuenkirchen), so the answer is for a person to choose from.
func (a *Areas) Search(q string, at time.Time, limit int) []AreaID {
	limit = min(limit, MaxSearch)
	q = strings.TrimSpace(q)
	if q == "" || limit <= 0 || len(q) > 200 {
		return nil
	}
	if strings.Trim(q, "0123456789") == "" {
		return a.searchDigits(q, at, limit)
	}
	if q, _ = fold(q, true); q == "" {
		return nil
	}
	first := sort.Search(len(a.names), func(i int) bool { return a.names[i].text >= q })
	best := make([]hit, 0, limit+1)
	for _, k := range a.names[first:] {
		if !strings.HasPrefix(k.text, q) {
			break
		}
		if a.Future(k.id, at) || a.Retired(k.id, at) {
			continue
		}
		best = insertHit(best, hit{id: k.id, rank: a.rank(k, q)}, limit)
	}
	ids := make([]AreaID, len(best))
	for i := range best {
		ids[i] = best[i].id
	}
	return ids
}

type hit struct {
	id   AreaID
	rank int // less is better
}

// insertHit keeps best sorted, without duplicates and not longer than limit.
func insertHit(best []hit, h hit, limit int) []hit {
	if i := slices.IndexFunc(best, func(o hit) bool { return o.id == h.id }); i >= 0 {
		if best[i].rank <= h.rank {
			return best
		}
		best = slices.Delete(best, i, i+1)
	}
	at, _ := slices.BinarySearchFunc(best, h, func(x, y hit) int {
		return cmp.Or(cmp.Compare(x.rank, y.rank), cmp.Compare(x.id, y.id))
	})
	if at >= limit {
		return best
	}
	best = slices.Insert(best, at, h)
	return best[:min(len(best), limit)]
}

// rank puts whole names before words, the exact name before longer ones, Gemeinden before what contains them, and among
// those the towns first: who types "Marb" seldom means Marbach.
func (a *Areas) rank(k nameKey, q string) int {
	rank := 0
	if k.word {
		rank += 1000
	}
	if rest := k.text[len(q):]; rest != "" && !strings.HasPrefix(rest, " ") {
		rank += 200
	}
	area := &a.areas[k.id]
	switch {
	case area.ARS.level != LevelGemeinde:
		rank += 50
	case area.ARS.verband() == 0:
	case strings.Contains(area.Kind, "adt"): // Stadt, Große Kreisstadt, …
		rank += 20
	default:
		rank += 30
	}
	return rank + min(len(area.Name)/8, 9)
}

func (a *Areas) searchDigits(q string, at time.Time, limit int) []AreaID {
	var ids []AreaID
	var b [arsDigits]byte
	for i := 1; i < len(a.areas) && len(ids) < limit; i++ {
		id, ars := AreaID(i), a.areas[i].ARS
		found := strings.HasPrefix(string(ars.Append(b[:0])), q) || strings.HasPrefix(string(ars.AppendAGS(b[:0])), q)
		if found && !a.Future(id, at) && !a.Retired(id, at) {
			ids = append(ids, id)
		}
	}
	return ids
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold makes names comparable: lower case, no accents, words separated by one space. With long, ä is "ae", else "a".
// short is the length of what stands before the first comma.
func fold(s string, long bool) (text string, short int) {
	if !isASCII(s) {
		s = norm.NFC.String(s) // a keyboard may send u + combining diaeresis
	}
	b := make([]byte, 0, len(s)+4)
	short = -1
	for _, r := range s {
		if r == ',' && short < 0 {
			short = len(b)
		}
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b = append(b, byte(r))
		case r >= 'A' && r <= 'Z':
			b = append(b, byte(r)+('a'-'A'))
		case r < utf8.RuneSelf:
			b = foldSpace(b)
		default:
			b = foldRune(b, r, long)
		}
	}
	text = strings.TrimSuffix(string(b), " ")
	if short < 0 {
		short = len(text)
	}
	return text, short
}

func foldSpace(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] != ' ' {
		b = append(b, ' ')
	}
	return b
}

func foldRune(b []byte, r rune, long bool) []byte {
	switch r = unicode.ToLower(r); r {
	case 'ä':
		return foldUmlaut(b, 'a', long)
	case 'ö':
		return foldUmlaut(b, 'o', long)
	case 'ü':
		return foldUmlaut(b, 'u', long)
	case 'ß':
		return append(b, "ss"...)
	case 'ł': // has no decomposition
		return append(b, 'l')
	}
	for _, d := range norm.NFD.String(string(r)) { // Sorbian and the rest: the letter without its mark
		switch {
		case d >= 'a' && d <= 'z':
			b = append(b, byte(d))
		case unicode.Is(unicode.Mn, d):
		case unicode.IsLetter(d):
			b = utf8.AppendRune(b, d)
		default:
			b = foldSpace(b)
		}
	}
	return b
}

func foldUmlaut(b []byte, vowel byte, long bool) []byte {
	if long {
		return append(b, vowel, 'e')
	}
	return append(b, vowel)
}
