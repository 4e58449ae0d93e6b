// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// real is the built-in table with the default aliases.
func real(t testing.TB) *Areas {
	t.Helper()
	a, err := EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = a.WithAliases(DefaultAliases()); err != nil {
		t.Fatal(err)
	}
	return a
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, berlin)

func TestLocateAsR2AndR3Say(t *testing.T) {
	t.Parallel()
	a := real(t)
	for _, c := range []struct {
		key, want, name string
		form            Form
	}{
		{"065340014014", "065340014014", "Marburg", FormExact},
		{"06534014", "065340014014", "Marburg", FormAGS},
		{"06534", "06534", "Marburg-Biedenkopf", FormExact},
		{"065340000000", "06534", "Marburg-Biedenkopf", FormPadded},
		{"06534000", "06534", "Marburg-Biedenkopf", FormPadded},
		{"065000000000", "065", "Gießen", FormPadded},
		{"06500000", "065", "Gießen", FormPadded},
		{"06", "06", "Hessen", FormExact},
		{"060000000000", "06", "Hessen", FormPadded},
		{"06000000", "06", "Hessen", FormPadded},
		{"00", "", "Bundesrepublik Deutschland", FormExact},
		{"000", "", "Bundesrepublik Deutschland", FormExact},
		{"00000000", "", "Bundesrepublik Deutschland", FormExact},
		{"000000000000", "", "Bundesrepublik Deutschland", FormExact},
		// R3: one territory, one area.
		{"01001", "010010000000", "Flensburg", FormExact},
		{"010010000", "010010000000", "Flensburg", FormExact},
		{"01001000", "010010000000", "Flensburg", FormAGS},
		{"02", "020000000000", "Hamburg", FormExact},
		{"020000000000", "020000000000", "Hamburg", FormExact},
		{"02000000", "020000000000", "Hamburg", FormAGS},
		{"02000", "020000000000", "Hamburg", FormExact},
		{"11", "110000000000", "Berlin", FormExact},
		{"04", "04", "Bremen", FormExact},
		{"040110000000", "040110000000", "Bremen", FormExact},
		{"04012", "040120000000", "Bremerhaven", FormExact},
		{"010530032", "010530032032", "Geesthacht", FormExact},
		{"010530032032", "010530032032", "Geesthacht", FormExact},
		{"010530032000", "010530032032", "Geesthacht", FormPadded},
		{"01053032", "010530032032", "Geesthacht", FormAGS},
		{"010539105", "010539105105", "Sachsenwald (Forstgutsbez.)", FormExact},
		{"033519501501", "033519501501", "Lohheide", FormExact},
		{"120645410", "120645410", "Neuhardenberg", FormExact},
		{"120645410000", "120645410", "Neuhardenberg", FormPadded},
		{"120645410340", "120645410340", "Neuhardenberg", FormExact},
		{"120645499340", "120645410340", "Neuhardenberg", FormRenumbered},
		{"033", "033", "Lüneburg", FormExact},
		{"14612", "146120000000", "Dresden", FormExact},
	} {
		p, err := a.Locate(c.key, now, LocateOptions{})
		if err != nil {
			t.Errorf("Locate(%s): %v", c.key, err)
			continue
		}
		got := a.Area(p.ID)
		if got.ARS.String() != c.want || got.Short() != c.name || p.Form != c.form || p.Moved {
			t.Errorf("Locate(%s) = %s %s form %v moved %v, want %s %s form %v",
				c.key, got.ARS, got.Short(), p.Form, p.Moved, c.want, c.name, c.form)
		}
		if b, err := a.LocateBytes([]byte(c.key), now, LocateOptions{}); err != nil || b != p {
			t.Errorf("LocateBytes(%s) = %v, %v, want %v", c.key, b, err, p)
		}
		if id, err := a.EntryArea(c.key); err != nil || id != p.ID {
			t.Errorf("EntryArea(%s) = %v, %v, want %v", c.key, id, err, p.ID)
		}
	}
}

func TestRegionsOfBadenWuerttembergAreNoAreas(t *testing.T) {
	t.Parallel()
	a := real(t)
	for _, land := range []string{"081", "082", "083", "084"} {
		for _, digit := range []string{"1", "2", "3"} {
			if p, err := a.Locate(land+digit+"0", now, LocateOptions{}); err == nil {
				t.Errorf("%s%s0 = %s, want an error", land, digit, a.Area(p.ID).Name)
			}
		}
	}
	for i := range a.Len() {
		if n := a.Area(AreaID(i)).Name; n == "Region Stuttgart" || n == "Region Rhein-Neckar" {
			t.Errorf("%q is an area", n)
		}
	}
}

func TestKeysOfTheWrongShapeAreInvalidWithAHint(t *testing.T) {
	t.Parallel()
	a := real(t)
	direct := LocateOptions{Direct: true}
	for _, c := range []struct {
		key  string
		o    LocateOptions
		hint string
	}{
		{"10010000000", direct, "leading zero? 010010000000"},
		{"6534", direct, "leading zero? 06534"},
		{"6534014", direct, "leading zero? 06534014"},
		{"9", direct, "leading zero? 09"},
		{"1001000000", direct, ""},
		{"14612", direct, "may be a postcode; send 146120000000"},
		{"06534", direct, "may be a postcode; send 065340000000"},
		{"99999", direct, "may be a postcode; send the Gemeinde's ARS (12 digits) or AGS (8 digits)"},
		{"", direct, ""},
		{"0", direct, ""},
		{"0653", LocateOptions{}, ""},
		{"06 534", LocateOptions{}, ""},
		{"06534001401x", LocateOptions{}, ""},
		{"０６", LocateOptions{}, ""}, // full-width digits
		{"-1", LocateOptions{}, ""},
		{"0653400140140", LocateOptions{}, ""},
	} {
		_, err := a.Locate(c.key, now, c.o)
		var invalid *InvalidArea
		if !errors.As(err, &invalid) || invalid.Hint != c.hint || invalid.Value != c.key {
			t.Errorf("Locate(%q) = %#v, want InvalidArea with hint %q", c.key, err, c.hint)
		}
	}
}

func TestUnknownAreasNameTheirNeighbours(t *testing.T) {
	t.Parallel()
	a := real(t)
	for _, c := range []struct{ key, near string }{
		{"065340014099", "06534"},
		{"06534099", "06534"},
		{"069990000000", "06"},
		{"990000000000", ""},
		{"06999", "06"},
		{"0699", "invalid"},
	} {
		_, err := a.Locate(c.key, now, LocateOptions{})
		var unknown *UnknownArea
		if !errors.As(err, &unknown) {
			if c.near != "invalid" {
				t.Errorf("Locate(%s) = %v, want UnknownArea", c.key, err)
			}
			continue
		}
		if len(unknown.Near) > maxNear {
			t.Errorf("Locate(%s): %d near areas", c.key, len(unknown.Near))
		}
		if c.near != "" && a.ARS(unknown.Near[len(unknown.Near)-1]).String() != c.near {
			t.Errorf("Locate(%s): near %v, want last %s", c.key, unknown.Near, c.near)
		}
	}
	_, err := a.Locate("065340014094", now, LocateOptions{})
	var unknown *UnknownArea
	if !errors.As(err, &unknown) || !slices.ContainsFunc(unknown.Near, func(id AreaID) bool { return a.Area(id).Short() == "Marburg" }) {
		t.Errorf("one digit beside Marburg: near %v, want Marburg in it", err)
	}
}

func TestHanauChangesItsKeyAtMidnight(t *testing.T) {
	t.Parallel()
	a := real(t)
	const oldKey, newKey = "064350014014", "064150000000"
	before := time.Date(2025, 12, 31, 23, 59, 59, 0, berlin)
	on := time.Date(2026, 1, 1, 0, 0, 0, 0, berlin)
	locate := func(key string, at time.Time) (Place, error) { return a.Locate(key, at, LocateOptions{}) }

	old, err := locate(oldKey, before)
	if err != nil || a.ARS(old.ID).String() != oldKey || old.Moved {
		t.Fatalf("before: %v, %v", old, err)
	}
	chain := chainOf(a, old.ID)
	if want := []string{oldKey, "06435", "064", "06", ""}; !slices.Equal(chain, want) {
		t.Errorf("chain before = %v, want %v", chain, want)
	}
	for _, key := range []string{newKey, "06415", "064150000", "06415000"} {
		_, err = locate(key, before)
		var unknown *UnknownArea
		if !errors.As(err, &unknown) || !unknown.AliasDate.Equal(on) {
			t.Errorf("%s before = %v, want UnknownArea with the date", key, err)
		}
	}
	for _, key := range []string{oldKey, "06435014", newKey, "06415", "064150000", "06415000"} {
		p, err := locate(key, on)
		if err != nil || a.ARS(p.ID).String() != newKey {
			t.Errorf("%s from then on = %v, %v, want %s", key, p, err, newKey)
			continue
		}
		moved := key == oldKey || key == "06435014"
		if p.Moved != moved || moved && p.Former != old.ID {
			t.Errorf("%s: moved %v former %v, want %v %v", key, p.Moved, p.Former, moved, old.ID)
		}
		if want := []string{newKey, "064", "06", ""}; !slices.Equal(chainOf(a, p.ID), want) {
			t.Errorf("%s: chain %v, want %v", key, chainOf(a, p.ID), want)
		}
		if x := a.Area(p.ID); x.Name != "Hanau, Brüder-Grimm-Stadt" || x.Kind != "Kreisfreie Stadt" || !x.Added {
			t.Errorf("%s: %+v", key, x)
		}
	}
	p, _ := locate(newKey, on)
	if got := a.Formerly(p.ID, before); len(got) != 0 {
		t.Errorf("Formerly before = %v", got)
	}
	if got := a.Formerly(p.ID, on); !slices.Equal(got, []AreaID{old.ID}) {
		t.Errorf("Formerly = %v, want %v", got, old.ID)
	}
	if a.Retired(old.ID, before) || !a.Retired(old.ID, on) || a.Retired(p.ID, on) {
		t.Error("Retired is wrong")
	}
	if !a.Future(p.ID, before) || a.Future(p.ID, on) || a.Future(old.ID, before) {
		t.Error("Future is wrong")
	}
	if id, err := a.EntryArea(oldKey); err != nil || id != old.ID {
		t.Errorf("EntryArea(old) = %v, %v: a row keeps its own area", id, err)
	}
}

func TestEisenachsOldKeyLeadsToTheGemeinde(t *testing.T) {
	t.Parallel()
	a := real(t)
	for _, key := range []string{"160560000000", "16056", "160560000", "16056000"} {
		p, err := a.Locate(key, now, LocateOptions{})
		if err != nil || a.ARS(p.ID).String() != "160630105105" || !p.Moved {
			t.Errorf("%s = %v %v, want 160630105105", key, p, err)
		}
	}
	p, err := a.Locate("160560000000", time.Date(2021, 6, 30, 12, 0, 0, 0, berlin), LocateOptions{})
	if err != nil || a.ARS(p.ID).String() != "160560000000" {
		t.Errorf("on its last day = %v %v, want the old area", p, err)
	}
}

func TestSplitAndMergedAreas(t *testing.T) {
	t.Parallel()
	base, err := EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2027, 1, 1, 0, 0, 0, 0, berlin)
	second := time.Date(2028, 1, 1, 0, 0, 0, 0, berlin)
	a, err := base.WithAliases([]Alias{
		{From: []string{"065340014014"}, To: []string{"065340014901", "065340014902"}, On: first, Name: "Teil"},
		{From: []string{"065340014901", "065340004004"}, To: []string{"065340014903"}, On: second, Name: "Ganz"},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := func(key string) AreaID {
		got, err := a.EntryArea(key)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	var split *SplitArea
	if _, err = a.Locate("065340014014", first, LocateOptions{}); !errors.As(err, &split) ||
		!slices.Equal(split.Choices, []AreaID{id("065340014901"), id("065340014902")}) {
		t.Errorf("after the split: %v", err)
	}
	if _, err = a.Locate("065340014014", second, LocateOptions{}); !errors.As(err, &split) ||
		!slices.Equal(split.Choices, []AreaID{id("065340014902"), id("065340014903")}) {
		t.Errorf("after the merger: %v", err)
	}
	want := []AreaID{id("065340004004"), id("065340014014"), id("065340014901")}
	if got := a.Formerly(id("065340014903"), second); !slices.Equal(got, want) {
		t.Errorf("Formerly(whole) = %v, want %v", got, want)
	}
	if got := a.Formerly(id("065340014902"), second); !slices.Equal(got, []AreaID{id("065340014014")}) {
		t.Errorf("Formerly(part) = %v", got)
	}
}

func TestWrongAliasesAreRefused(t *testing.T) {
	t.Parallel()
	base, err := EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	on := time.Date(2027, 1, 1, 0, 0, 0, 0, berlin)
	for name, aliases := range map[string][]Alias{
		"no date":     {{From: []string{"065340014014"}, To: []string{"065340014901"}}},
		"no from":     {{To: []string{"065340014901"}, On: on}},
		"no to":       {{From: []string{"065340014014"}, On: on}},
		"bad key":     {{From: []string{"6534"}, To: []string{"065340014901"}, On: on}},
		"Bund":        {{From: []string{"00"}, To: []string{"065340014901"}, On: on}},
		"itself":      {{From: []string{"01001"}, To: []string{"010010000000"}, On: on}},
		"unknown AGS": {{From: []string{"06534999"}, To: []string{"065340014901"}, On: on}},
		"twice": {
			{From: []string{"065340014014"}, To: []string{"065340014901"}, On: on},
			{From: []string{"065340014014"}, To: []string{"065340014902"}, On: on.AddDate(1, 0, 0)},
		},
		"circle": {
			{From: []string{"065340014014"}, To: []string{"065340014901"}, On: on},
			{From: []string{"065340014901"}, To: []string{"065340014014"}, On: on.AddDate(1, 0, 0)},
		},
	} {
		if _, err := base.WithAliases(aliases); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Log(name+":", err)
		}
	}
}

func TestEveryAreaIsFoundByEachOfItsKeysAndLiesInItsChain(t *testing.T) {
	t.Parallel()
	a := real(t)
	gemeinden, laender := 0, 0
	for i := 1; i < a.Len(); i++ {
		id := AreaID(i)
		x := a.Area(id)
		if x.ID != id || x.Parent != a.Parent(id) || !a.Contains(x.Parent, id) || a.Contains(id, x.Parent) {
			t.Fatalf("%s: %+v", x.ARS, x)
		}
		if prev := a.ARS(id - 1); prev.Compare(x.ARS) >= 0 {
			t.Fatalf("%s is not behind %s", x.ARS, prev)
		}
		keys := []string{x.ARS.String()}
		for _, s := range a.SameAs(id) {
			keys = append(keys, s.String())
		}
		if x.ARS.Level() == LevelGemeinde {
			gemeinden++
			keys = append(keys, x.ARS.AGS(), x.ARS.Padded())
		}
		if x.ARS.Level() == LevelLand || len(a.Chain(nil, id)) == 2 {
			laender++
		}
		for _, key := range keys {
			if got, err := a.EntryArea(key); err != nil || got != id {
				t.Fatalf("EntryArea(%s) = %v, %v, want %v", key, got, err, id)
			}
		}
		for c := id + 1; c < x.End; c++ {
			if !x.ARS.Contains(a.ARS(c)) {
				t.Fatalf("%s is in the range of %s", a.ARS(c), x.ARS)
			}
		}
		if int(x.End) < a.Len() && x.ARS.Contains(a.ARS(x.End)) {
			t.Fatalf("%s is outside the range of %s", a.ARS(x.End), x.ARS)
		}
	}
	if gemeinden != 10997+2 || laender != 16 { // + Hanau's new area and Eisenach's old one
		t.Errorf("%d Gemeinden, %d Länder", gemeinden, laender)
	}
}

func TestRenumberedVerbandIsUniqueForAllGemeinden(t *testing.T) {
	t.Parallel()
	a, err := EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		id := AreaID(rapid.IntRange(1, a.Len()-1).Draw(t, "id"))
		ars := a.ARS(id)
		if ars.Level() != LevelGemeinde {
			t.Skip("no Gemeinde")
		}
		verband := rapid.IntRange(5000, 5999).Draw(t, "verband")
		other := ARS{n: ars.n/1e7*1e7 + uint64(verband)*1000 + ars.n%1000, level: LevelGemeinde}
		got, err := a.EntryArea(other.String())
		if err != nil {
			t.Fatal(err)
		}
		// (b) and (c) go first: the key may be another's own one.
		if got != id && !a.ARS(got).Contains(other) {
			t.Fatalf("%s = %s, want %s", other, a.ARS(got), ars)
		}
	})
}

func TestLocateDoesNotAllocate(t *testing.T) {
	a := real(t)
	keys := [][]byte{[]byte("065340014014"), []byte("06534014"), []byte("064350014014"), []byte("120645499340"), []byte("065340000000")}
	text := []string{"065340014014", "06534014", "064350014014", "120645499340", "00"}
	hanau, _ := a.EntryArea("064150000000")
	var chain [8]AreaID
	if n := testing.AllocsPerRun(100, func() {
		for _, k := range keys {
			p, err := a.LocateBytes(k, now, LocateOptions{Direct: true})
			if err != nil {
				t.Fatal(err)
			}
			a.Chain(chain[:0], p.ID)
		}
		for _, k := range text {
			if _, err := a.Locate(k, now, LocateOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := a.EntryArea(k); err != nil {
				t.Fatal(err)
			}
		}
		if len(a.Formerly(hanau, now)) != 1 || a.Future(hanau, now) || a.Retired(hanau, now) {
			t.Fatal("changes are wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTableSurvivesWritingAndReading(t *testing.T) {
	t.Parallel()
	a := real(t)
	var b bytes.Buffer
	if err := a.WriteTable(&b, EmbeddedSource); err != nil {
		t.Fatal(err)
	}
	got, err := ReadTable(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := EmbeddedAreas()
	if d := cmp.Diff(want.areas, got.areas, cmp.AllowUnexported(ARS{})); d != "" {
		t.Error(d)
	}
	if !bytes.Equal(b.Bytes(), embeddedTable) {
		t.Error("writing the built-in table gives other bytes; run go generate")
	}
}

// The whole has as many inhabitants as Germany had, 208 gemeindefreie Gebiete have none, and Hanau takes its own along to
// its new key.
func TestInhabitantsOfTheBuiltInTable(t *testing.T) {
	t.Parallel()
	a := real(t)
	if got := a.Inhabitants(Bund, now); got != 83_155_031 {
		t.Errorf("Bund: got %d inhabitants, want 83155031", got)
	}
	empty := 0
	for _, x := range a.areas {
		if x.ARS.Level() == LevelGemeinde && !x.Added && x.Inhabitants == 0 {
			empty++
		}
	}
	if empty != 208 {
		t.Errorf("got %d Gemeinden without inhabitants, want 208", empty)
	}
	before, after := time.Date(2025, 12, 31, 0, 0, 0, 0, berlin), time.Date(2026, 1, 1, 0, 0, 0, 0, berlin)
	for key, want := range map[string][2]int{
		"064150000000": {0, 97_137}, "06435": {421_689, 421_689 - 97_137}, "06": {6_293_154, 6_293_154}, "010010000000": {89_934, 89_934},
	} {
		id, err := a.EntryArea(key)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]int{a.Inhabitants(id, before), a.Inhabitants(id, after)}; got != want {
			t.Errorf("%s: got %d inhabitants before and after, want %d", key, got, want)
		}
	}
}

// Who lives in which part of a divided Gemeinde is not known.
func TestInhabitantsOfDividedAndMergedGemeinden(t *testing.T) {
	t.Parallel()
	records := []AreaRecord{{ARS: mustARS(t, "01"), Name: "Land"}, {ARS: mustARS(t, "01053"), Name: "Kreis"}, {ARS: mustARS(t, "010530090"), Name: "V"}}
	for i, key := range []string{"010530090001", "010530090002", "010530090003"} {
		records = append(records, AreaRecord{ARS: mustARS(t, key), Name: key, Inhabitants: 100 << i})
	}
	a, err := NewAreas(records)
	if err != nil {
		t.Fatal(err)
	}
	on := time.Date(2026, 1, 1, 0, 0, 0, 0, berlin)
	if a, err = a.WithAliases([]Alias{
		{From: []string{"010530090001"}, To: []string{"010530090002"}, On: on},
		{From: []string{"010530090003"}, To: []string{"010530090004", "010530090005"}, On: on.AddDate(1, 0, 0)},
	}); err != nil {
		t.Fatal(err)
	}
	id, _ := a.EntryArea("010530090002")
	for _, want := range []struct {
		years, two, all int
	}{{-1, 200, 700}, {0, 300, 700}, {1, 300, 300}} {
		at := on.AddDate(want.years, 0, 0)
		if two, all := a.Inhabitants(id, at), a.Inhabitants(Bund, at); two != want.two || all != want.all {
			t.Errorf("%d years on: got %d and %d inhabitants, want %d and %d", want.years, two, all, want.two, want.all)
		}
	}
}

func TestDamagedTablesAreRefused(t *testing.T) {
	t.Parallel()
	for i := 0; i < len(embeddedTable); i += len(embeddedTable)/50 + 1 {
		if _, err := ReadTable(bytes.NewReader(embeddedTable[:i])); err == nil {
			t.Errorf("cut at %d: no error", i)
		}
	}
}

func TestSearchFindsNamesAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	a := real(t)
	for _, c := range []struct{ q, first string }{
		{"Marburg", "065340014014"},
		{"marb", "065340014014"},
		{"München", "091620000000"},
		{"munchen", "091620000000"},
		{"muenchen", "091620000000"},
		{"MU\u0308NCHEN", "091620000000"},
		{"Köln", "053150000000"},
		{"koln", "053150000000"},
		{"bautz", "146250020020"},
		{"budys", "146250020020"},
		{"Budyš", "146250020020"},
		{"Frankfurt am", "064120000000"},
		{"hanau", "064150000000"},
		{"Hamburg", "020000000000"},
		{"Gießen", "065310005005"},
		{"giessen", "065310005005"},
		{"065340014", "065340014014"},
		{"06534014", "065340014014"},
	} {
		got := a.Search(c.q, now, 20)
		if len(got) == 0 || a.ARS(got[0]).String() != c.first {
			t.Errorf("Search(%q) = %v, want first %s", c.q, names(a, got), c.first)
		}
		if len(got) > 20 {
			t.Errorf("Search(%q): %d results", c.q, len(got))
		}
	}
	if got := a.Search("Neuenkirchen", now, 20); len(got) < 11 {
		t.Errorf("Neuenkirchen: %v", names(a, got))
	}
	if got := a.Search("homburg", now, 20); !slices.ContainsFunc(got, func(id AreaID) bool { return a.Area(id).Short() == "Bad Homburg v. d. Höhe" }) {
		t.Errorf("a word inside a name: %v", names(a, got))
	}
	for _, q := range []string{"", " ", "-", "xyzxyz", "\xff"} {
		if got := a.Search(q, now, 20); len(got) != 0 {
			t.Errorf("Search(%q) = %v", q, names(a, got))
		}
	}
	if got := a.Search("hanau", now, 20); slices.ContainsFunc(got, func(id AreaID) bool { return a.Retired(id, now) }) {
		t.Error("a retired area is offered")
	}
}

func chainOf(a *Areas, id AreaID) []string {
	var chain []string
	for _, c := range a.Chain(nil, id) {
		chain = append(chain, a.ARS(c).String())
	}
	return chain
}

func names(a *Areas, ids []AreaID) []string {
	var ns []string
	for _, id := range ids {
		ns = append(ns, a.ARS(id).String()+" "+a.Area(id).Name)
	}
	return ns
}

func BenchmarkReadEmbedded(b *testing.B) {
	for b.Loop() {
		if _, err := ReadTable(bytes.NewReader(embeddedTable)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLocate(b *testing.B) {
	a := real(b)
	key := []byte("065340014014")
	for b.Loop() {
		if _, err := a.LocateBytes(key, now, LocateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
