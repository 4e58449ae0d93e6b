// SPDX-License-Identifier: EUPL-1.2

package datahub

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/registrytest"
	"github.com/pvgate/pvgate/registry/source"
)

const head = "leika_key,leika_name,ars,ars_name,ozgid,ozg_bezeichnung,url,online_status,aktiv,art_flaechendeckung\n"

func TestConformance(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, registrytest.Format{
		Read: func(ctx context.Context, r io.Reader, o source.Options, emit source.Emit) (source.Report, error) {
			return Read(ctx, r, Options{Options: o}, emit)
		},
		Write: func(rows []registrytest.Row) ([]byte, []int) {
			b := bytes.NewBufferString(head)
			w := stdcsv.NewWriter(b)
			var lines []int
			for i, r := range rows {
				active := "null"
				if r.Inactive {
					active = "nein"
				}
				title := r.Title
				if title == "" {
					title = "null"
				}
				lines = append(lines, i+2)
				if err := w.Write([]string{r.Leistung, title, r.Area, "null", "10000", "Elterngeld", r.URL, "ok", active, "x"}); err != nil {
					t.Fatal(err)
				}
			}
			w.Flush()
			return b.Bytes(), lines
		},
		Head: []byte(head),
	})
}

func TestExportIsRead(t *testing.T) {
	t.Parallel()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	res, err := Load(context.Background(), Options{Options: source.Options{Name: "hub", Path: "testdata/export.csv", Areas: areas}})
	if err != nil {
		t.Fatal(err)
	}
	want := source.Counts{Rows: 6, Services: 4, Empty: 1, Quarantined: 1, Refused: 1}
	if res.Counts != want {
		t.Errorf("%+v, want %+v: %v", res.Counts, want, res.Faults)
	}
	down, dead, blocked := res.Entries[1], res.Entries[2], res.Entries[3]
	if down.Inactive || down.Origin.Line != 3 {
		t.Errorf("online_status must not make a row dead: %+v", down)
	}
	if !dead.Inactive || dead.Title != "Hundehaltung anmelden" {
		t.Errorf("aktiv = nein must: %+v", dead)
	}
	if blocked.Refused == "" {
		t.Errorf("http without permission: %+v", blocked)
	}
	if f := res.Faults[0]; f.Origin.Line != 7 || f.Value != "1051" {
		t.Errorf("%+v", f)
	}
}

func TestFileWithoutItsColumnsIsRefused(t *testing.T) {
	t.Parallel()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.csv")
	if err := os.WriteFile(path, []byte("leika_key,ars\n99050012104000,06\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(context.Background(), Options{Options: source.Options{Name: "hub", Path: path, Areas: areas}})
	if err == nil {
		t.Error("no error")
	}
}
