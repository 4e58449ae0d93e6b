// SPDX-License-Identifier: EUPL-1.2

package index_test

import (
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// Types of Leistungen are known with and without rows, what several sources say together, and they come back from a file.
func TestTypesOfLeistungenComeBack(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	b := index.NewBuilder(areas, []string{"one"})
	add := func(key string, codes ...string) {
		for _, c := range codes {
			if err := b.AddTypes(leistung(t, key), registry.ParseType(c)); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("99154016000000", "11")
	add("99050012104000", "2b", "11")
	add("06000000000012", "5")
	for _, err := range []error{b.AddTypes(registry.Leistung{}, 1), b.AddTypes(leistung(t, "99000000000001"), 0)} {
		if err != nil {
			t.Error(err)
		}
	}
	one, _ := b.Finish()
	other, err := index.FromSections(areas, keep(one.Sections()))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]registry.Types{
		"99154016000000": registry.ParseType("11"), "99050012104000": registry.ParseType("2b") | registry.ParseType("11"),
		"06000000000012": registry.ParseType("5"), "99000000000001": 0, "00000000000000": 0, "99999999999999": 0,
	} {
		if l := leistung(t, key); one.Types(l) != want || other.Types(l) != want {
			t.Errorf("%s: got %v and %v, want %v", key, one.Types(l).Codes(), other.Types(l).Codes(), want.Codes())
		}
	}
	if n := len(one.Sections()); n != 20 {
		t.Errorf("%d sections", n)
	}
	none, _ := index.NewBuilder(areas, nil).Finish()
	if n := len(none.Sections()); n != 19 {
		t.Errorf("without types there are %d sections", n)
	}
}
