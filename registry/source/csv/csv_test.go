// SPDX-License-Identifier: EUPL-1.2

package csv

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/registrytest"
	"github.com/pvgate/pvgate/registry/source"
)

func areas(t testing.TB) *registry.Areas {
	t.Helper()
	a, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestConformance(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, registrytest.Format{
		Read: func(ctx context.Context, r io.Reader, o source.Options, emit source.Emit) (source.Report, error) {
			return Read(ctx, r, Options{Options: o, Separator: ';', Columns: Columns{
				Leistung: "leika", Area: "ars", URL: "url", Title: "titel", Active: "aktiv",
			}}, emit)
		},
		Write: func(rows []registrytest.Row) ([]byte, []int) {
			var b bytes.Buffer
			w := stdcsv.NewWriter(&b)
			w.Comma = ';'
			write := func(fields ...string) int {
				line := 1 + bytes.Count(b.Bytes(), []byte{'\n'})
				if err := w.Write(fields); err != nil {
					t.Fatal(err)
				}
				w.Flush()
				return line
			}
			write("leika", "ars", "aktiv", "titel", "url")
			var lines []int
			for _, r := range rows {
				active := "ja"
				if r.Inactive {
					active = "nein"
				}
				lines = append(lines, write(r.Leistung, r.Area, active, r.Title, r.URL))
			}
			return b.Bytes(), lines
		},
		Head: []byte("leika;ars;aktiv;titel;url\n"),
	})
}

// load reads a text with these columns.
func load(t testing.TB, c Columns, text string) (source.Result, error) {
	t.Helper()
	var res source.Result
	var err error
	o := Options{Options: source.Options{Name: "s", Path: "s.csv", Areas: areas(t)}, Columns: c}
	res.Report, err = Read(context.Background(), strings.NewReader(text), o, func(e *registry.Entry) error {
		res.Entries = append(res.Entries, *e)
		return nil
	})
	return res, err
}

var all = Columns{
	Leistung: "leistung", Area: "area", URL: "url", Page: "page", Keep: "keep", Title: "title", Lang: "lang", Begin: "begin",
	End: "end", Active: "active", Role: "role", Specialised: "specialised", Priority: "priority", OE: "oe", LB: "lb", OD: "od",
}

const allHeader = "leistung;area;url;page;keep;title;lang;begin;end;active;role;specialised;priority;oe;lb;od\r\n"

func TestEveryColumnIsRead(t *testing.T) {
	t.Parallel()
	res, err := load(t, all, "\xEF\xBB\xBF"+allHeader+
		"99050012104000;06534;https://a.example/;https://b.example/;ja;\"Gewerbe;\r\nanmelden\";en;2026-01-01;2026-12-31;nein;3;true;-2;L1.OE.1;L1.LB.2;L1.OD.3\r\n"+
		"99050012104000;06;;https://c.example/;1;;;;;null;;;;;;\r\n")
	if err != nil || len(res.Entries) != 3 {
		t.Fatalf("%v, %+v", err, res)
	}
	e := res.Entries[0]
	if e.Kind != registry.Service || e.URL != "https://a.example/" || e.Title != "Gewerbe;\r\nanmelden" || e.Lang != "en" ||
		!e.Begin.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin())) ||
		!e.End.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, registry.Berlin())) ||
		!e.Inactive || e.Role != "03" || !e.Specialised || e.Priority != -2 || e.OE != "L1.OE.1" || e.LB != "L1.LB.2" || e.OD != "L1.OD.3" {
		t.Errorf("%+v", e)
	}
	if p := res.Entries[1]; p.Kind != registry.Page || p.URL != "https://b.example/" || p.Origin.Line != 2 || p.OE != e.OE {
		t.Errorf("%+v", p)
	}
	if p := res.Entries[2]; p.Kind != registry.Page || p.Inactive || p.Origin.Line != 4 {
		t.Errorf("%+v", p)
	}
	if res.Services != 1 || res.Pages != 2 {
		t.Errorf("%+v", res.Counts)
	}
}

func TestFaultsOfSingleColumnsPutTheRowAside(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		"99050012104000;06;https://a/;;vielleicht;;;;;;;;;;;":             "keep is neither true nor false",
		"99050012104000;06;https://a/;;1;;;01.02.2026;;;;;;;;":            "begin: time",
		"99050012104000;06;https://a/;;1;;;;2026-02-30;;;;;;;":            "end: time",
		"99050012104000;06;https://a/;;1;;;2026-02-02;2026-02-01;;;;;;;":  "begin is not before end",
		"99050012104000;06;https://a/;;1;;;2027-03-28 02:30;;;;;;;;":      "does not exist in Europe/Berlin",
		"99050012104000;06;https://a/;;1;;deutsch;;;;;;;;;":               "lang is no language",
		"99050012104000;06;https://a/;;1;;;;;;;sehr;;;;":                  "specialised is neither",
		"99050012104000;06;https://a/;;1;;;;;;;;hoch;;;":                  "priority is no whole number",
		"99050012104000;06;https://a/;;1":                                 "5 fields, but the header has 16",
		"99050012104000;06;https://a/?x;y;1;;;;;;;;;;;;z":                 "17 fields, but the header has 16",
		"99050012104000;06;https://a/;;1;;;2026-02-02;2026-02-02;;;;;;;":  "",
		"99050012104000;06;https://a/;;1;;;;;;;;;;;;;;":                   "", // empty fields too many
		"99050012104000;06;;;1;;;kaputt;;;;;;;;":                          "", // no target: not looked at
		"99050012104000;06;https://a/;;0;;;kaputt;;;;;;;;":                "", // left out: not looked at
		"\"99050012104000\";06;\"https://a/\"x;;1;;;;;;;;;;;":             "text follows a closing quote",
		"99050012104000;06;https://a/;;1;\xe4;;;;;;;;;;":                  "not UTF-8",
		"99050012104000;06;https://a/;;1;" + long + ";;;;;;;;;;":          "longer than 64 KiB",
		"99050012104000;06;https://a/;;1;;;2026-10-25 02:30;;;;;;;;":      "comes twice",
		"99050012104000;06;https://a/;;1;;;1970-01-01;2999-12-31;;;;;;;;": "",
	} {
		res, err := load(t, all, allHeader+row+"\r\n99050012104000;06;https://good.example/;;1;;;;;;;;;;;\r\n")
		if err != nil {
			t.Errorf("%.80q: %v", row, err)
			continue
		}
		if n := len(res.Faults); want == "" && n != 0 || want != "" && (n != 1 || !strings.Contains(res.Faults[0].Reason, want)) {
			t.Errorf("%.80q: faults %v, want %q", row, res.Faults, want)
		}
		if n := len(res.Entries); n == 0 || res.Entries[n-1].URL != "https://good.example/" || res.Entries[n-1].Origin.Line != 3 {
			t.Errorf("%.80q: the good row is lost: %+v", row, res.Entries)
		}
	}
}

var long = strings.Repeat("x", 70000)

func TestRowsForUnknownAreasAreCounted(t *testing.T) {
	t.Parallel()
	res, err := load(t, Columns{Leistung: "leistung", Area: "area", URL: "url"}, "leistung;area;url\n"+
		"99050012104000;065349999999;https://a.example/\n"+ // well formed, but there is no such Gemeinde
		"99050012104000;06x;https://a.example/\n"+
		"99050012104000;06;https://a.example/\n")
	if err != nil || res.Quarantined != 2 || res.UnknownArea != 1 || res.Services != 1 {
		t.Errorf("%v, %+v", err, res.Counts)
	}
}

func TestLanguagesOfOneTargetAreOneEntry(t *testing.T) {
	t.Parallel()
	c := Columns{Leistung: "l", Area: "a", URL: "u", Lang: "lang", OD: "od"}
	res, err := load(t, c, "l,a,u,lang,od\n"+
		"99050012104000,06,https://x.example/de,,1\n"+
		"99050012104000,06,https://x.example/en,en-GB,1\n"+
		"99050012104000,06,https://y.example/en,en,2\n"+
		"99050012104000,06,https://y.example/en2,en,2\n"+
		"99050012104000,07,https://y.example/fr,fr,2\n")
	if err != nil || len(res.Entries) != 4 || res.Services != 4 {
		t.Fatalf("%v, %+v", err, res)
	}
	if o := res.Entries[0].Others; len(o) != 1 || o[0] != (registry.LangURL{Lang: "en", URL: "https://x.example/en"}) {
		t.Errorf("%+v", res.Entries[0])
	}
	for _, e := range res.Entries[1:] {
		if len(e.Others) != 0 {
			t.Errorf("%+v", e)
		}
	}
}

func TestFilesWithoutTheColumnsAreRefused(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Columns{
		`s.csv:1: column "leika" (for leistung) is not in the file; the file's columns are: l a u u`: {Leistung: "leika", Area: "a", URL: "l"},
		`column "u" (for url) occurs twice`:       {Leistung: "l", Area: "a", URL: "u"},
		"no column is named for leistung":         {Area: "a", URL: "u"},
		"no column is named for url or page":      {Leistung: "l", Area: "a"},
		`column "e" (for oe_id) is not in the fi`: {Leistung: "l", Area: "a", Page: "l", OE: "e"},
	} {
		_, err := load(t, c, "l;a;u;u\n1;2;3;4\n")
		var r *source.Refusal
		if !errors.As(err, &r) || r.Cause != source.CauseSchema || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestAbsentFileIsAnError(t *testing.T) {
	t.Parallel()
	o := Options{Options: source.Options{Name: "s", Path: filepath.Join(t.TempDir(), "absent.csv"), Areas: areas(t)}}
	if _, err := Load(context.Background(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestSampleOfRealRoutes reads 50 rows of the PVOG as the operator's guide says.
func TestSampleOfRealRoutes(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("PVGATE_MATERIAL")
	if dir == "" {
		t.Skip("PVGATE_MATERIAL is not set: the test needs data/pvog_routes_sample.csv")
	}
	res, err := Load(context.Background(), Options{
		Options:   source.Options{Name: "pvog-sample", Path: filepath.Join(dir, "data/pvog_routes_sample.csv"), Areas: areas(t)},
		Separator: ';',
		Columns:   Columns{Leistung: "leika", Area: "ars", URL: "online_url", Page: "source_portal_url", Keep: "gefunden"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := source.Counts{Rows: 50, Services: 44, Pages: 47, Skipped: 3}
	if res.Counts != want || len(res.Faults) != 0 || len(res.Warnings) != 0 {
		t.Errorf("%+v, want %+v; %v %v", res.Counts, want, res.Faults, res.Warnings)
	}
	for _, e := range res.Entries {
		if e.Origin.Line == 30 && e.Kind == registry.Service {
			if e.Leistung.String() != "99050012104000" || e.Origin.String() != "pvog-sample:30" ||
				e.URL != "https://www.marburg.de/buergerservice/online/angebot/gewerbemeldungen-online-900000005-23001.html" {
				t.Errorf("%+v", e)
			}
			return
		}
	}
	t.Error("no service in line 30")
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(allHeader + "99050012104000;06;https://a/;;1;;;;;;;;;;;\r\n"))
	f.Add([]byte("leistung,area,url\n99050012104000,06,\"https://a/\"\n"))
	a := areas(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		o := Options{
			Options: source.Options{Name: "s", Path: "s.csv", Areas: a},
			Columns: Columns{Leistung: "leistung", Area: "area", URL: "url"},
		}
		n := 0
		rep, err := Read(context.Background(), bytes.NewReader(in), o, func(e *registry.Entry) error {
			n++
			if e.Refused == "" && (&registry.URLPolicy{}).Check(e.URL) != "" {
				t.Fatalf("%q is not refused", e.URL)
			}
			return nil
		})
		if err == nil && (rep.Services != n || rep.Rows != rep.Skipped+rep.Empty+rep.Quarantined+n) {
			t.Fatalf("%+v, %d entries", rep.Counts, n)
		}
	})
}
