// SPDX-License-Identifier: EUPL-1.2

package index_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/registry/registrytest"
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

// CP-02: nothing is read that no builder writes, whoever has sealed it.
func TestCP02PoisonedSectionsAreRefused(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	in := generated(t, 500, 9)
	in[0].Origin.File = "another"
	x, _ := build(t, areas, in)
	sections := x.Sections()
	tried := map[string]bool{}
	for _, p := range registrytest.SectionPoisons() {
		i := slices.IndexFunc(sections, func(s bundle.Section) bool { return s.Tag == p.Tag })
		bad := slices.Clone(sections)
		bad[i].Data = p.Damage(sections[i].Data)
		if bytes.Equal(bad[i].Data, sections[i].Data) {
			t.Errorf("%s %s: has changed nothing", p.Tag, p.Name)
		}
		tried[p.Tag] = true
		if x, err := index.FromSections(areas, keep(bad)); err == nil {
			t.Errorf("%s %s: was read, %d rows", p.Tag, p.Name, x.Len())
		}
	}
	if len(tried) != len(sections) {
		t.Errorf("%d of %d sections have poisons", len(tried), len(sections))
	}
}
