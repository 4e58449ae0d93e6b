// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
	sourcecsv "github.com/pvgate/pvgate/registry/source/csv"
	"github.com/pvgate/pvgate/routing"
)

// Fifty real rows of the PVOG: each question is answered by its own row, and those that found nothing have a reason.
func TestTheSampleOfRealRoutesAnswersItself(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("PVGATE_MATERIAL")
	if dir == "" {
		t.Skip("PVGATE_MATERIAL is not set: the test needs data/pvog_routes_sample.csv")
	}
	path := filepath.Join(dir, "data/pvog_routes_sample.csv")
	areas, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := sourcecsv.Load(context.Background(), sourcecsv.Options{
		Options:   source.Options{Name: "pvog-sample", Path: path, Areas: areas, Order: 2},
		Separator: ';',
		Columns:   sourcecsv.Columns{Leistung: "leika", Area: "ars", URL: "online_url", Page: "source_portal_url", Keep: "gefunden"},
	})
	if err != nil {
		t.Fatal(err)
	}
	table, problems := compiled(routing.Input{
		Areas: areas, Sources: []string{"operator", "marktplatz", "pvog-sample"}, Marktplatz: 1, Entries: loaded.Entries,
	})
	if table == nil {
		t.Fatal(problems)
	}
	if len(problems) != 1 { // the Fischereischein of Flensburg, whose link says Kiel (S82)
		t.Errorf("got %v, want one warning", problems)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = ';'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	services, pages, none := 0, 0, 0
	for i, row := range rows[1:] {
		l, err := registry.ParseLeistung(row[3])
		if err != nil {
			t.Fatal(err)
		}
		place, err := areas.Locate(row[0], at, registry.LocateOptions{Direct: true})
		if err != nil {
			t.Fatal(err)
		}
		q := routing.Query{Leistung: l, Area: place.ID, At: at}
		d := table.Resolve(&q)
		url, err := table.AppendURL(nil, &q, &d)
		if err != nil {
			t.Fatal(err)
		}
		online, page := row[7], row[8]
		switch {
		case row[4] != "true":
			none++
			if d.Verdict != routing.UnknownLeistung && d.Verdict != routing.NoRoute {
				t.Errorf("line %d: got %s %s, want nothing", i+2, d.Verdict, url)
			}
		case online != "":
			services++
			if d.Verdict != routing.Handover || string(url) != online || d.Kind != registry.Service {
				t.Errorf("line %d: got %s %s, want %s", i+2, d.Verdict, url, online)
			}
		default:
			pages++
			if d.Verdict != routing.Handover || string(url) != page || d.Kind != registry.Page {
				t.Errorf("line %d: got %s %s, want %s", i+2, d.Verdict, url, page)
			}
		}
	}
	if services != 44 || pages != 3 || none != 3 {
		t.Errorf("got %d services, %d pages, %d without; want 44, 3, 3", services, pages, none)
	}
}
