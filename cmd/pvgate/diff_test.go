// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/index"
)

// bundleOf writes a bundle with one service in Hessen.
func bundleOf(t *testing.T, file string, areas *registry.Areas, url string) {
	t.Helper()
	l, err := registry.ParseLeistung("99050012104000")
	if err != nil {
		t.Fatal(err)
	}
	hessen, err := areas.EntryArea("06")
	if err != nil {
		t.Fatal(err)
	}
	rows := index.NewBuilder(areas, []string{"hub"})
	if err := rows.Add(&registry.Entry{
		Leistung: l, Area: hessen, URL: url, Origin: registry.Origin{Source: "hub", File: "hub.csv", Line: 2},
	}); err != nil {
		t.Fatal(err)
	}
	x, _ := rows.Finish()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = bundle.Write(f, &bundle.Meta{Sequence: 1, Created: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Areas: x.AreasDigest()}, x.Sections()); err != nil {
		t.Fatal(err)
	}
	if err = f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Two bundles are compared as they are; a broken one, and one of another Gemeindeverzeichnis, are refused.
func TestDiffComparesBundles(t *testing.T) {
	t.Parallel()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	old, young := filepath.Join(dir, "old.pvb"), filepath.Join(dir, "new.pvb")
	bundleOf(t, old, areas, "https://a.example/gewerbe")
	bundleOf(t, young, areas, "https://b.example/gewerbe")
	out, complaints, code := pvgateVerb(t, "diff", old, young)
	if code != exitDiff || !strings.Contains(out, "\n  moved  a.example → b.example: 426 pairs, 426 Gemeinden, 6293154 inhabitants\n") {
		t.Errorf("exit code %d\n%s%s", code, out, complaints)
	}
	if out, complaints, code = pvgateVerb(t, "diff", old, old); code != exitOK {
		t.Errorf("with itself: exit code %d\n%s%s", code, out, complaints)
	}
	embedded, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	bundleOf(t, young, embedded, "https://b.example/gewerbe")
	if _, complaints, code = pvgateVerb(t, "diff", old, young); code != exitFailed || !strings.Contains(complaints, "another Gemeindeverzeichnis or other aliases") {
		t.Errorf("other areas: exit code %d: %s", code, complaints)
	}
	if err := os.Truncate(old, 1000); err != nil {
		t.Fatal(err)
	}
	if _, complaints, code = pvgateVerb(t, "diff", old, young); code != exitFailed || !strings.Contains(complaints, "old.pvb cannot be compared: ") {
		t.Errorf("truncated: exit code %d: %s", code, complaints)
	}
}
