// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"cmp"
	"slices"
	"time"
)

// Locate finds the area that a request's key means at a time (R2 to R4). It does not allocate unless it fails; errors
// are *[InvalidArea], *[UnknownArea] and *[SplitArea].
func (a *Areas) Locate(key string, at time.Time, o LocateOptions) (Place, error) {
	return locate(a, key, at, o)
}

// LocateBytes is [Areas.Locate] for bytes.
func (a *Areas) LocateBytes(key []byte, at time.Time, o LocateOptions) (Place, error) {
	return locate(a, key, at, o)
}

func locate[S ~string | ~[]byte](a *Areas, key S, at time.Time, o LocateOptions) (Place, error) {
	k, ok := parseKey(key)
	if !ok || o.Direct && k.digits == 5 {
		return Place{}, a.invalid(clip(key))
	}
	id, form, ok := a.resolve(k)
	if !ok {
		return Place{}, a.unknown(clip(key), k)
	}
	p := Place{ID: id, Form: form}
	// R4 comes first in R2, but it is about areas, not about spellings: an old Gemeinde may be named by its AGS too.
	if a.flags[id]&(flagMoved|flagFuture) == 0 {
		return p, nil
	}
	now, choices := a.change.follow(id, at.Unix())
	if choices != nil {
		return Place{}, &SplitArea{Value: clip(key), Choices: choices, On: a.change.moveOf(now).day()}
	}
	if a.Future(now, at) {
		return Place{}, a.notYet(clip(key), now)
	}
	if now != id {
		p.ID, p.Moved, p.Former = now, true, id
	}
	return p, nil
}

// resolve is R2 (b) to (d) with R3, without a time.
func (a *Areas) resolve(k areaKey) (AreaID, Form, bool) {
	if k.n == 0 {
		return Bund, FormExact, true
	}
	if id, ok := a.index.find(k.n, k.digits); ok {
		if k.digits == 8 {
			return id, FormAGS, true
		}
		return id, FormExact, true
	}
	switch k.digits {
	case 8:
		for _, l := range [...]Level{LevelKreis, LevelRB, LevelLand} {
			if id, ok := a.padded(k, l); ok {
				return id, FormPadded, true
			}
		}
	case arsDigits:
		for _, l := range [...]Level{LevelVerband, LevelKreis, LevelRB, LevelLand} {
			if id, ok := a.padded(k, l); ok {
				return id, FormPadded, true
			}
		}
		if id, ok := a.index.find(k.ars().agsNumber(), 8); ok {
			return id, FormRenumbered, true
		}
	}
	return 0, 0, false
}

// padded finds the area of a level whose key, filled up with zeros, is k.
func (a *Areas) padded(k areaKey, l Level) (AreaID, bool) {
	cut := pow10[k.digits-int(l)]
	if k.n%cut != 0 {
		return 0, false
	}
	return a.index.find(k.n/cut, int(l))
}

// EntryArea is where a row with this key sits natively: R2 and R3 without a time and without the postcode rule. An old
// key keeps its own area; routing asks [Areas.Formerly] when it looks things up. Errors are *[InvalidArea] and
// *[UnknownArea]. It does not allocate unless it fails.
func (a *Areas) EntryArea(key string) (AreaID, error) { return entryArea(a, key) }

// EntryAreaBytes is [Areas.EntryArea] for bytes.
func (a *Areas) EntryAreaBytes(key []byte) (AreaID, error) { return entryArea(a, key) }

func entryArea[S ~string | ~[]byte](a *Areas, key S) (AreaID, error) {
	k, ok := parseKey(key)
	if !ok {
		return 0, a.invalid(clip(key))
	}
	id, _, ok := a.resolve(k)
	if !ok {
		return 0, a.unknown(clip(key), k)
	}
	return id, nil
}

func (a *Areas) invalid(value string) error {
	e := &InvalidArea{Value: value}
	if k, ok := parseKey(value); ok { // only a direct sender's five digits come here with a good shape
		e.Hint = "may be a postcode; send " + k.ars().Padded()
		if _, _, known := a.resolve(k); !known {
			e.Hint = "may be a postcode; send the Gemeinde's ARS (12 digits) or AGS (8 digits)"
		}
		return e
	}
	e.Hint = a.leadingZero(value)
	return e
}

// leadingZero is a hint if one zero before the key makes it an area's: spreadsheets eat it.
func (a *Areas) leadingZero(value string) string {
	k, ok := parseKey("0" + value)
	if !ok || value[0] == '0' {
		return ""
	}
	if _, _, ok = a.resolve(k); !ok {
		return ""
	}
	return "leading zero? 0" + value
}

func (a *Areas) notYet(value string, id AreaID) error {
	on := a.change.birth(id)
	return &UnknownArea{
		Value: value, Near: []AreaID{}, AliasDate: on,
		Hint: a.areas[id].Short() + " has this key from " + on.Format(time.DateOnly) + " on",
	}
}

// maxNear bounds the near areas of an unknown one.
const maxNear = 5

func (a *Areas) unknown(value string, k areaKey) error {
	return &UnknownArea{Value: value, Near: a.near(k), Hint: a.leadingZero(value)}
}

// near lists areas beside an unknown key: it looks for the deepest area that contains it and there for the keys that
// differ in the fewest digits. It looks at one Kreis or at the direct parts of an upper area, never at the whole
// country, because anybody may ask for unknown areas.
func (a *Areas) near(k areaKey) []AreaID {
	want := k.ars()
	if k.digits == 8 {
		want = ARS{n: k.n/1e3*1e7 + k.n%1e3, level: LevelGemeinde} // the Verband is not known
	}
	up := Bund
	for _, l := range [...]Level{LevelKreis, LevelRB, LevelLand} {
		if id, ok := a.index.find(want.n/pow10[arsDigits-l], int(l)); ok && want.level >= l {
			up = id
			break
		}
	}
	type candidate struct {
		id   AreaID
		miss int
	}
	var cs []candidate
	deep := a.areas[up].ARS.level >= LevelKreis
	for id := up + 1; id < a.end[up]; {
		c := a.areas[id].ARS
		if !deep || c.level == LevelGemeinde || c.level == want.level {
			cs = append(cs, candidate{id, missing(c, want, k.digits == 8)})
		}
		if deep {
			id++
		} else {
			id = a.end[id]
		}
	}
	slices.SortStableFunc(cs, func(x, y candidate) int { return cmp.Compare(x.miss, y.miss) })
	var near []AreaID
	for _, c := range cs[:min(len(cs), maxNear-1)] {
		near = append(near, c.id)
	}
	if up != Bund {
		near = append(near, up)
	}
	return near
}

// missing counts the digits in which two padded keys differ.
func missing(x, y ARS, asAGS bool) int {
	p, q := x.n, y.n
	if asAGS {
		p, q = x.agsNumber(), y.agsNumber()
	}
	n := 0
	for p != q {
		if p%10 != q%10 {
			n++
		}
		p, q = p/10, q/10
	}
	return n
}
