// SPDX-License-Identifier: EUPL-1.2

package index_test

import (
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// A host may have digits of the row's place, and so may a port: they stand as they are, since whose host it is, is no matter of
// the place.
func TestHostsWithKeysAreRead(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	id, err := areas.EntryArea("065340014014")
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"https://065340014014.example/a", "https://ags-06534014.example", "https://l99050012104000.example/?x=99050012104000", "https://a.example:06534/",
		"HTTPS://99050012104000.example?065340014014#06534",
	} {
		e := registry.Entry{Leistung: leistung(t, "99050012104000"), Area: id, Source: 2, URL: url}
		e.Others = []registry.LangURL{{Lang: "en", URL: url}}
		x, _ := build(t, areas, []registry.Entry{e})
		again, err := index.FromSections(areas, keep(x.Sections()))
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := again.Entry(0); got.URL != url || got.Others[0].URL != url {
			t.Errorf("got %+v, want %s", got, url)
		}
	}
}
