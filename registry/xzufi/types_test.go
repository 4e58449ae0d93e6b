// SPDX-License-Identifier: EUPL-1.2

package xzufi_test

import (
	"slices"
	"testing"

	"github.com/pvgate/pvgate/registry/xzufi"
)

func TestAnIDIsAllThreeTexts(t *testing.T) {
	t.Parallel()
	ids := []xzufi.ID{
		{Text: "2"},
		{AgencyID: "L100001", SchemeID: "Leistung", Text: "1"},
		{AgencyID: "L100012", SchemeID: "Leistung", Text: "1"},
		{AgencyID: "L100012", SchemeID: "Onlinedienst", Text: "1"},
		{AgencyID: "L100012", SchemeID: "Onlinedienst", Text: "2"},
	}
	if !slices.IsSortedFunc(ids, xzufi.ID.Compare) {
		t.Error("they do not ascend by agency, scheme, text")
	}
	for i, a := range ids {
		for j, b := range ids {
			if (a == b) != (i == j) || (a.Compare(b) == 0) != (i == j) {
				t.Errorf("%s and %s: same %t, compared %d", a, b, a == b, a.Compare(b))
			}
		}
	}
	if (xzufi.ID{Text: "0"}).IsZero() || !(xzufi.ID{}).IsZero() {
		t.Error("only the ID without texts is zero")
	}
}

func TestEachObjectKnowsItsClass(t *testing.T) {
	t.Parallel()
	id := xzufi.ID{AgencyID: "L100012", SchemeID: "x", Text: "1"}
	objects := []xzufi.Object{
		&xzufi.Leistung{ID: id}, &xzufi.Spezialisierung{ID: id}, &xzufi.Onlinedienst{ID: id},
		&xzufi.Organisationseinheit{ID: id}, &xzufi.Zustaendigkeit{ID: id}, &xzufi.Formular{ID: id},
	}
	for i, c := range xzufi.Classes() {
		if o := objects[i]; o.Class() != c || o.Identity() != id {
			t.Errorf("%T: got %v %v, want %v %v", o, o.Class(), o.Identity(), c, id)
		}
		if d := (&xzufi.Delete{Of: c, ID: id}); d.Class() != c || d.Identity() != id {
			t.Errorf("loesche of %v: got %v %v", c, d.Class(), d.Identity())
		}
		if c.String() == "" {
			t.Errorf("class %d has no word", c)
		}
	}
	if s := xzufi.Class(0).String(); s != "" {
		t.Errorf("no class is called %q", s)
	}
}
